"""``voxswap explain`` and ``voxswap prepare``: what loading voices would do, or does."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from voxswap_client.cli.commands import Commands, add_command
from voxswap_client.cli.connection import add_address, add_timeout, connect
from voxswap_client.cli.output import human_ago, human_bytes, human_ms, print_json
from voxswap_client.cli.ps import several, short_digest
from voxswap_client.cli.table import printable, render, terminal_width, wrapped
from voxswap_client.residency_types import (
    CastMember,
    CastOutlook,
    Explanation,
    SceneOutlook,
    Tier,
)

_PLACES = {
    Tier.DEVICE: "in memory",
    Tier.HOST: "in host memory",
    Tier.DISK: "on disk",
    Tier.REMOTE: "in the store",
}


def add_to(commands: Commands) -> None:
    """Add the commands."""
    asks = (add_address, add_timeout)
    text = "say what loading a voice would do, and why"
    explain = add_command(commands, "explain", text, run_explain, *asks)
    explain.add_argument(
        "voice", metavar="VOICE", help="npc/smith, npc/smith@3 or npc/smith@stable"
    )

    prepare = add_command(
        commands,
        "prepare",
        "begin to load the voices of a scene",
        run_prepare,
        *asks,
        epilog="npc/smith=500 says that its first line is due 500 ms from now. Exit code 1 if not "
        "all of them fit into memory together: those that do are loaded, in order of first lines.",
    )
    prepare.add_argument(
        "cast",
        metavar="VOICE[=FIRST_LINE_MS]",
        nargs="+",
        type=member,
        help="such as npc/smith=500",
    )
    prepare.add_argument(
        "--by-ms", type=int, metavar="MS", help="when the scene begins, from now (default: at once)"
    )
    prepare.add_argument("--dry-run", action="store_true", help="only say what would become of it")
    prepare.add_argument(
        "--session", metavar="ID", default="", help="of its lines: traffic splits then go by it"
    )


def member(text: str) -> CastMember:
    """Read ``npc/smith`` or ``npc/smith=500``. Raises `ArgumentTypeError`."""
    voice, equals, first_line_ms = text.partition("=")
    if not equals and voice:
        return CastMember(voice)
    if not (voice and first_line_ms.isascii() and first_line_ms.isdecimal()):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not VOICE=FIRST_LINE_MS, such as npc/smith=500"
        )
    return CastMember(voice, int(first_line_ms))


def run_explain(args: argparse.Namespace) -> int:
    """Ask and print."""
    with connect(args) as client:
        found = client.explain(args.voice, timeout_s=args.timeout)
    if args.json:
        print_json(found)
    else:
        print(explanation(found, now=datetime.now(UTC), width=terminal_width()))
    return 0


def run_prepare(args: argparse.Namespace) -> int:
    """Ask and print."""
    with connect(args) as client:
        found = client.prepare(
            args.cast,
            by_ms=args.by_ms,
            dry_run=args.dry_run,
            session_id=args.session,
            timeout_s=args.timeout,
        )
    if args.json:
        print_json(found)
    else:
        print(scene(found, dry_run=args.dry_run, width=terminal_width()))
    return 0 if found.fits else 1


def explanation(found: Explanation, *, now: datetime, width: int = 100) -> str:
    """The answer in a line, the reason in another, and then what it rests on."""
    lines = _wrapped(f"{found.voice} {_verdict(found)}", width)
    lines += _wrapped(f"{_sentence(found.reason)}.", width)
    if found.ahead and not found.resident:
        waits = "load waits" if found.ahead == 1 else "loads wait"
        lines += _wrapped(f"{found.ahead} {waits} for memory before it.", width)
    if found.speaking:
        lines += _wrapped(f"Speaking now: {', '.join(found.speaking)}.", width)
    if found.components:
        rows = [
            [c.role, human_bytes(c.size_bytes), _PLACES[c.tier], short_digest(c.digest)]
            for c in found.components
        ]
        lines += ["", *_table(["COMPONENT", "SIZE", "NOW", "DIGEST"], rows, "COMPONENT", width)]
    if found.would_evict:
        rows = [
            [
                several(c.voices),
                c.role,
                human_bytes(c.size_bytes),
                human_ago(c.last_use_time, now),
            ]
            for c in found.would_evict
        ]
        headings = ["WOULD EVICT", "COMPONENT", "SIZE", "LAST USE"]
        lines += ["", *_table(headings, rows, headings[0], width)]
    return "\n".join(lines)


def scene(found: SceneOutlook, *, dry_run: bool, width: int = 100) -> str:
    """Each voice in a line, and what becomes of them together."""
    rows = [[cast.voice, *_becomes(cast)] for cast in found.cast]
    lines = _table(["VOICE", "READY IN", "IN TIME"], rows, "VOICE", width) if rows else []
    fitting = sum(cast.fits for cast in found.cast)
    all_of_them = len(found.cast)
    if found.fits:
        who = "the voice fits" if all_of_them == 1 else f"all {all_of_them} voices fit"
        when = f"; the last one is ready in about {human_ms(found.estimated_ms)}"
        resident = ", and is resident" if all_of_them == 1 else ", and are resident"
        lines += _wrapped(who + (when if found.estimated_ms else resident), width)
    else:
        left = "would not be loaded" if dry_run else "are not loaded"
        lines += _wrapped(f"{fitting} of {all_of_them} voices fit; the others {left}", width)
    if found.would_evict:
        what = "would evict" if dry_run else "evicts"
        lines += _wrapped(f"{what} {', '.join(found.would_evict)}", width)
    return "\n".join(lines)


def _sentence(reason: str) -> str:
    """With a capital, unless it begins with a voice: ids are as they are."""
    if not reason.partition(" ")[0].isalpha():
        return reason
    return f"{reason[0].upper()}{reason[1:]}"


def _verdict(found: Explanation) -> str:
    if found.resident:
        return "is resident."
    if found.fits:
        return f"is not resident. It can be loaded now, in about {human_ms(found.estimated_ms)}."
    return "is not resident, and cannot be loaded now."


def _becomes(cast: CastOutlook) -> list[str]:
    if not cast.fits:
        return ["does not fit", "-"]
    ready = human_ms(cast.estimated_ms) if cast.estimated_ms else "resident"
    return [ready, "yes" if cast.in_time else "late"]


def _table(headings: list[str], rows: list[list[str]], names: str, width: int) -> list[str]:
    right = ["SIZE", "LAST USE", "READY IN"]
    return render(headings, rows, right=right, names=names, width=width).splitlines()


def _wrapped(line: str, width: int) -> list[str]:
    return wrapped(printable(" ".join(line.split())), width, indent="")
