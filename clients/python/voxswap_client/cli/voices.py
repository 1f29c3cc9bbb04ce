"""``voxswap voices``: what is registered, at a server or in a registry folder here."""

from __future__ import annotations

import argparse
import contextlib
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from voxswap_client.cli import local
from voxswap_client.cli.connection import add_address, add_json, add_timeout, address_of, connect
from voxswap_client.cli.failure import usage_error, warn
from voxswap_client.cli.output import human_bytes, print_json
from voxswap_client.cli.table import WIDTH, render
from voxswap_client.types import Voice

_LABEL_COLUMNS = 12


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    text = "list, show, add and verify voices"
    group = commands.add_parser("voices", help=text, description=text.capitalize() + ".")
    actions = group.add_subparsers(required=True, metavar="ACTION", dest="action")

    listing = _action(actions, "list", "list voices, each at its newest version")
    _add_source(listing)
    listing.add_argument("--prefix", default="", help="only ids that begin with this")
    listing.add_argument("--language", default="", metavar="TAG", help="'en' takes 'en-US' too")
    listing.add_argument("--engine", default="", metavar="NAME", help="such as vits")
    listing.set_defaults(run=run_list)

    show = _action(actions, "show", "show all that is known of one voice")
    show.add_argument("voice", metavar="VOICE", help="npc/smith, or npc/smith@3 for one version")
    _add_source(show)
    show.set_defaults(run=run_show)

    add = _action(actions, "add", "import a voice into a registry folder")
    add.add_argument("path", metavar="PATH", nargs="?", type=Path, help="a Piper .onnx or a folder")
    add.add_argument("--embedded", action="store_true", help="voices of installed packages")
    add.add_argument("--id", metavar="ID", help="what the voice shall be called, such as npc/smith")
    add.add_argument("--dtype", choices=("float32", "bfloat16"), help="of the weights")
    add.add_argument("--licence", "--license", metavar="TEXT", help="of the weights")
    add.add_argument("--language", metavar="TAG", help="such as en-US; usually the files say it")
    local.add_registry(add)
    add.set_defaults(run=run_add)

    verify = _action(actions, "verify", "hash every component again; exit code 1 if any is bad")
    verify.add_argument("voices", metavar="VOICE", nargs="*", help="all voices if none is named")
    local.add_registry(verify)
    verify.set_defaults(run=run_verify)


def _action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str
) -> argparse.ArgumentParser:
    parser = actions.add_parser(
        name, help=text, description=text.capitalize() + ".", allow_abbrev=False
    )
    add_json(parser)
    return parser


def _add_source(parser: argparse.ArgumentParser) -> None:
    group = parser.add_mutually_exclusive_group()
    add_address(group, "ask this server (default: $VOXSWAP_ADDRESS, else read the folder)")
    local.add_registry(group)
    add_timeout(parser)


class _Catalog(Protocol):
    def list_voices(self, *, prefix: str, language: str, engine: str) -> Iterator[Voice]: ...

    def get_voice(self, ref: str) -> Voice: ...

    def versions(self, voice_id: str) -> list[int]: ...


class _Remote:
    """The catalog of a server."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._client = connect(args)
        self._timeout_s: float | None = args.timeout
        self.close = self._client.close

    def list_voices(self, *, prefix: str, language: str, engine: str) -> Iterator[Voice]:
        return self._client.list_voices(
            prefix=prefix, language=language, engine=engine, timeout_s=self._timeout_s
        )

    def get_voice(self, ref: str) -> Voice:
        return self._client.get_voice(ref, timeout_s=self._timeout_s)

    def versions(self, voice_id: str) -> list[int]:
        found = self._client.list_versions(voice_id, timeout_s=self._timeout_s)
        return [voice.version for voice in found]


@contextlib.contextmanager
def _catalog(args: argparse.Namespace) -> Iterator[_Catalog]:
    """A server if one was named, and no folder was; otherwise the folder."""
    if args.registry is None and address_of(args):
        with contextlib.closing(_Remote(args)) as remote:
            yield remote
    else:
        yield local.LocalCatalog(local.registry_path(args))


def run_list(args: argparse.Namespace) -> int:
    """Print a table of voices."""
    with _catalog(args) as catalog:
        found = list(
            catalog.list_voices(prefix=args.prefix, language=args.language, engine=args.engine)
        )
    if args.json:
        print_json({"voices": found})
        return 0
    numbers = ["VERSION", "HERTZ", "SPEAKERS", "SIZE"]
    headings = ["VOICE", "VERSION", "LANGUAGE", "ENGINE", "HERTZ", "SPEAKERS", "SIZE", "LICENCE"]
    if found:
        print(render(headings, [_row(voice) for voice in found], right=numbers))
    else:
        warn("no voice matches" if args.prefix or args.language or args.engine else "no voices yet")
    for voice in found:
        if voice.problem:
            warn(f"{voice.ref} cannot be used: {voice.problem}")
    return 0


def _row(voice: Voice) -> list[object]:
    if voice.problem and not voice.components:
        return [voice.id, voice.version, "-", "-", "-", "-", "-", "-"]
    return [
        voice.id,
        voice.version,
        voice.language,
        voice.engine,
        voice.sample_rate_hertz,
        len(voice.speakers) or 1,
        human_bytes(voice.size_bytes),
        voice.licence or "-",
    ]


def run_show(args: argparse.Namespace) -> int:
    """Print one voice."""
    with _catalog(args) as catalog:
        voice = catalog.get_voice(args.voice)
        versions = catalog.versions(voice.id)
    if args.json:
        print_json({"voice": voice, "versions": versions})
    else:
        print(card(voice, versions))
    return 0


def card(voice: Voice, versions: Sequence[int]) -> str:
    """Everything about a voice that people want to know, with its components below."""
    origin = voice.provenance
    facts = [
        ("voice", voice.ref),
        ("problem", voice.problem),
        ("name", voice.display_name),
        ("versions", ", ".join(map(str, versions))),
        ("labels", ", ".join(voice.labels)),
        ("language", voice.language),
        ("engine", voice.engine),
        ("rate", f"{voice.sample_rate_hertz} Hz" if voice.sample_rate_hertz else ""),
        ("speakers", ", ".join(voice.speakers)),
        ("emotions", ", ".join(voice.emotions)),
        ("gender", voice.gender),
        ("tags", ", ".join(voice.tags)),
        ("licence", voice.licence),
        ("size", human_bytes(voice.size_bytes)),
        ("source", origin.source),
        ("imported", f"{origin.created:%Y-%m-%d %H:%M:%S} UTC" if origin.created else ""),
        ("with", origin.tool),
        ("note", origin.note),
    ]
    lines = [
        textwrap.fill(
            " ".join(value.split()),
            WIDTH,
            initial_indent=label.ljust(_LABEL_COLUMNS),
            subsequent_indent=" " * _LABEL_COLUMNS,
            break_on_hyphens=False,
        )
        for label, value in facts
        if value
    ]
    if voice.components:
        rows = [[c.role, human_bytes(c.size_bytes), c.digest] for c in voice.components]
        lines += ["", render(["COMPONENT", "SIZE", "DIGEST"], rows, right=["SIZE"])]
    return "\n".join(lines)


def run_add(args: argparse.Namespace) -> int:
    """Import one voice, or those that ship in packages."""
    if args.embedded is (args.path is not None):
        raise usage_error("voices add takes either a PATH or --embedded")
    root = local.registry_path(args, must_exist=False)
    if args.embedded:
        if args.id or args.dtype or args.licence or args.language:
            raise usage_error("--embedded voices bring their own id, licence and language")
        added = local.add_embedded(root)
    else:
        if not args.id:
            raise usage_error("a voice needs a name", "give it one: --id npc/smith")
        added = [local.add_voice(root, args)]
    if args.json:
        print_json({"registry": str(root), "added": added})
        return 0
    if not added:
        print(f"nothing to add: {root} has every voice that installed packages bring")
    for voice in added:
        print(f"added {voice.ref} ({human_bytes(voice.size_bytes)}) to {root}")
    return 0


def run_verify(args: argparse.Namespace) -> int:
    """Hash components, each once, and print what was found."""
    findings = local.verify(local.registry_path(args), args.voices)
    bad = [finding for finding in findings if finding.result != local.SOUND]
    if args.json:
        print_json({"ok": not bad, "components": findings})
        return 1 if bad else 0
    if findings:
        rows = [
            [f.voice, f.role or "-", human_bytes(f.size_bytes) if f.role else "-", f.result]
            for f in findings
        ]
        print(render(["VOICE", "COMPONENT", "SIZE", "RESULT"], rows, right=["SIZE"]))
    print(f"{len(findings) - len(bad)} of {len(findings)} components are sound")
    for finding in bad:
        warn(f"{finding.voice}: {finding.message}")
    return 1 if bad else 0
