"""``voxswap load``, ``unload``, ``pin``, ``unpin`` and ``budget``: steer a server's memory."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from voxswap_client.cli.commands import Commands, add_command
from voxswap_client.cli.connection import add_address, add_timeout, connect
from voxswap_client.cli.failure import report
from voxswap_client.cli.output import human_bytes, human_ms, print_json
from voxswap_client.cli.ps import ledger_lines
from voxswap_client.cli.table import printable, terminal_width
from voxswap_client.errors import (
    NotImplementedByServerError,
    UnavailableError,
    VoxswapClientError,
)
from voxswap_client.residency_types import Resident

if TYPE_CHECKING:
    from voxswap_client import Client

_T = TypeVar("_T")

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_MOST_BYTES = (1 << 63) - 1


def add_to(commands: Commands) -> None:
    """Add the commands."""
    for name, text, run in (
        ("load", "make voices resident, until memory is short", run_load),
        ("unload", "evict voices that nobody uses", run_unload),
        ("pin", "make voices resident, and keep them so", run_pin),
        ("unpin", "let pinned voices be evicted again", run_unpin),
    ):
        parser = add_command(commands, name, text, run, add_address, add_timeout)
        parser.add_argument(
            "voices", metavar="VOICE", nargs="+", help="npc/smith, npc/smith@3 or npc/smith@stable"
        )
    text = "change a server's memory budget until it stops"
    parser = add_command(commands, "budget", text, run_budget, add_address, add_timeout)
    parser.add_argument("size", metavar="SIZE", type=size, help="such as 512MiB or 2GiB")


def size(text: str) -> int:
    """Read ``512MiB``, ``2G`` or a number of bytes. All units are powers of 1024.

    Raises `ArgumentTypeError`.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write 512MiB or 2GiB")
    n_bytes = int(float(match[1]) * _UNITS[match[2].upper()])
    if not 0 < n_bytes <= _MOST_BYTES:
        raise argparse.ArgumentTypeError(f"{text!r} is no size that a budget can have")
    return n_bytes


def run_load(args: argparse.Namespace) -> int:
    """Load one voice after the other."""

    def told(voice: str, now: Resident) -> str:
        loaded = f"{human_bytes(now.size_bytes)}, loaded in {human_ms(now.load_ms)}"
        return f"{_version(voice, now)} is resident: {loaded}"

    return _each(args, lambda client, voice: client.load(voice, timeout_s=args.timeout), told)


def run_unload(args: argparse.Namespace) -> int:
    """Evict one voice after the other."""

    def told(voice: str, freed_bytes: int) -> str:
        if not freed_bytes:
            return f"{voice} freed nothing: it was not resident, or others use all it had"
        return f"{voice} is unloaded: {human_bytes(freed_bytes)} are free again"

    return _each(
        args,
        lambda client, voice: client.unload(voice, timeout_s=args.timeout),
        told,
        key="freed_bytes",
    )


def run_pin(args: argparse.Namespace) -> int:
    """Pin one voice after the other."""

    def told(voice: str, now: Resident) -> str:
        return f"{_version(voice, now)} is pinned: {human_bytes(now.size_bytes)}"

    return _each(args, lambda client, voice: client.pin(voice, timeout_s=args.timeout), told)


def run_unpin(args: argparse.Namespace) -> int:
    """Unpin one voice after the other."""

    def told(voice: str, now: Resident | None) -> str:
        if now is None:
            return f"{voice} is not pinned, and not resident"
        return f"{_version(voice, now)} may be evicted again"

    return _each(args, lambda client, voice: client.unpin(voice, timeout_s=args.timeout), told)


def run_budget(args: argparse.Namespace) -> int:
    """Change the budget."""
    with connect(args) as client:
        ledger = client.set_budget(args.size, timeout_s=args.timeout)
    if args.json:
        print_json({"ledger": ledger})
    else:
        print("\n".join(ledger_lines(ledger, width=terminal_width())))
    return 0


def _each(
    args: argparse.Namespace,
    ask: Callable[[Client, str], _T],
    told: Callable[[str, _T], str],
    *,
    key: str = "resident",
) -> int:
    """Ask for one voice after the other; exit code 1 if any failed.

    What fails for one is told, and need not fail for the next, unless the server is away.
    """
    done: list[dict[str, object]] = []
    code = 0
    with connect(args) as client:
        for voice in args.voices:
            try:
                answer = ask(client, voice)
            except (UnavailableError, NotImplementedByServerError):
                raise
            except VoxswapClientError as error:
                if len(args.voices) > 1 and voice not in error.message:
                    error.message = f"{voice}: {error.message}"
                code = report(error)
                continue
            done.append({"voice": voice, key: answer})
            if not args.json:
                print(printable(told(voice, answer)), flush=True)
    if args.json:
        print_json({"voices": done})
    return code


def _version(voice: str, now: Resident) -> str:
    """The version that ``voice`` stood for: of those that share the memory, it may be any."""
    voice_id = voice.partition("@")[0]
    versions = [ref for ref in now.voices if ref.partition("@")[0] == voice_id]
    return versions[0] if len(versions) == 1 else voice
