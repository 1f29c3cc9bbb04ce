"""Where the `voices` commands look: at a server, or at a registry from here."""

from __future__ import annotations

import argparse
import contextlib
import getpass
import shlex
import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, TypeAlias

from voxswap_client.channel import DEFAULT_TIMEOUT_S
from voxswap_client.cli import local
from voxswap_client.cli.connection import add_address, add_json, add_timeout, address_of, connect
from voxswap_client.types import Change, LabelMove, Voice, VoiceDetails

_MAX_ACTOR_CHARACTERS = 128

Parser = argparse.ArgumentParser
Actions: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


class Catalog(Protocol):
    """What the commands ask, of `voxswap_client.Client` or of `local.LocalCatalog`.

    Every method may block, and raises `VoxswapClientError` or `CliError`. ``ref`` is ``id``,
    ``id@version`` or ``id@label``. See `voxswap_client.catalog.Catalog` for what each one does.
    """

    def list_voices(
        self, *, prefix: str, language: str, engine: str, tags: Sequence[str], gender: str
    ) -> Iterator[Voice]:
        """Voices by id, each at its newest version."""
        ...

    def get_voice_details(self, ref: str) -> VoiceDetails:
        """One voice with its versions, labels and revision."""
        ...

    def list_versions(self, voice_id: str) -> list[Voice]:
        """All versions of a voice, the newest first."""
        ...

    def list_changes(self, voice_id: str) -> Iterator[Change]:
        """The history of a voice, the newest first."""
        ...

    def promote(
        self, ref: str, label: str, *, warm_up: bool, test_text: str, actor: str, note: str
    ) -> LabelMove:
        """Move a label to a version."""
        ...

    def withdraw_label(self, voice_id: str, label: str, *, actor: str, note: str) -> int:
        """Take a label away; the version that it named."""
        ...

    def roll_back(self, voice_id: str, label: str, *, actor: str, note: str) -> LabelMove:
        """Move a label back."""
        ...

    def update_voice(
        self,
        voice_id: str,
        *,
        display_name: str | None = None,
        tags: Sequence[str] | None = None,
        gender: str | None = None,
        traffic: Mapping[int, int] | None = None,
        actor: str,
        note: str,
    ) -> Voice:
        """Change what is not None."""
        ...

    def delete_voice(self, ref: str, *, actor: str, note: str) -> tuple[int, ...]:
        """Delete a version or a voice."""
        ...


@contextlib.contextmanager
def catalog(args: argparse.Namespace) -> Iterator[Catalog]:
    """The catalog that ``args`` name, for as long as the block lasts."""
    if asks_server(args):
        with connect(args, timeout_s=args.timeout or DEFAULT_TIMEOUT_S) as client:
            yield client
    else:
        yield local.LocalCatalog(local.registry_location(args))


def asks_server(args: argparse.Namespace) -> bool:
    """A server counts if one was named, by option or environment, and no registry by option."""
    return args.registry is None and address_of(args) is not None


def add_action(actions: Actions, name: str, text: str, *, epilog: str = "") -> Parser:
    """Add one command of `voices`, with what all of them take."""
    parser = actions.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog=epilog or None,
        allow_abbrev=False,
    )
    add_json(parser)
    return parser


def add_source(parser: Parser) -> None:
    """Add ``--address``, ``--registry`` and ``--timeout``."""
    group = parser.add_mutually_exclusive_group()
    add_address(group, "ask this server (default: $VOXSWAP_ADDRESS, else the registry)")
    local.add_registry(group)
    add_timeout(parser)


def same_source(args: argparse.Namespace) -> str:
    """The option that names the same source once more, for a command to copy."""
    for name in ("address", "registry"):
        if value := getattr(args, name):
            return f" --{name} {shlex.quote(str(value))}"
    return ""


def add_change(parser: Parser, *, note: bool = True) -> None:
    """Add what every command that changes something takes: the source, ``--actor``, ``--note``."""
    add_source(parser)
    add_actor(parser)
    if note:
        parser.add_argument("--note", metavar="TEXT", default="", help="why, for the history")


def add_actor(parser: Parser) -> None:
    """Add ``--actor``."""
    parser.add_argument("--actor", metavar="NAME", help="who you are, for the history")


def actor(args: argparse.Namespace) -> str:
    """Who does it: as they say, or else ``user@host``."""
    if args.actor is not None:
        return str(args.actor)
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user need not have a name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"[:_MAX_ACTOR_CHARACTERS]
