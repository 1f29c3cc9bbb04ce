"""``voxswap say``: speak one line into a file, a pipe or the loudspeaker."""

from __future__ import annotations

import argparse
import contextlib
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from voxswap_client.cli.commands import Commands, add_command
from voxswap_client.cli.connection import add_address, add_timeout, connect
from voxswap_client.cli.delivery import (
    STDOUT,
    add_delivery,
    add_output,
    add_voice,
    check_output,
    opening,
    options,
    pipe,
    show,
    tell,
    warn_of_unknown,
)
from voxswap_client.cli.failure import usage_error
from voxswap_client.cli.output import human_ms, print_json
from voxswap_client.cli.players import Player, find_program
from voxswap_client.cli.table import render
from voxswap_client.cli.voices_style import SEALED, recording_in, told
from voxswap_client.types import CachePolicy, Chunk, Mark, MarkKind, SpeechResult

if TYPE_CHECKING:
    from voxswap_client import Client


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "say",
        "speak a line",
        run,
        description="Speak a line, into a file unless told otherwise.",
        epilog="Without -o and --play the line goes to a new file named after the voice: "
        "npc/smith makes smith.wav, then smith-2.wav.",
    )
    add_voice(parser)
    parser.add_argument("text", metavar="TEXT", help="what to say; '-' reads it from stdin")
    add_output(parser, "play it as it arrives")
    add_delivery(parser)
    parser.add_argument(
        "--like",
        type=Path,
        metavar="FILE",
        help="speak like this recording of 3 to 10 s, or by what `voices read-style` wrote",
    )
    parser.add_argument(
        "--start-by", type=int, metavar="MS", help="of no use unless it begins within this time"
    )
    parser.add_argument("--no-cache", action="store_true", help="have it made anew, and not kept")
    parser.add_argument(
        "--marks", type=_kinds, default=(), metavar="KINDS", help="word,phoneme,viseme: any of them"
    )
    add_address(parser)
    add_timeout(parser)


def _kinds(text: str) -> list[MarkKind]:
    try:
        return [MarkKind(name.strip()) for name in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}; use {', '.join(MarkKind)}") from error


def run(args: argparse.Namespace) -> int:
    """Speak, deliver, and say in one line how it went."""
    check_output(args)
    program = find_program() if args.play else None
    text = _read_stdin() if args.text == "-" else args.text
    asked = options(args)
    asked["marks"] = args.marks
    asked["start_by_ms"] = args.start_by
    asked["cache"] = CachePolicy.OFF if args.no_cache else None
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(connect(args))
        if args.like:
            asked["style"] = _style(client, args)
        stream = stack.enter_context(
            client.synthesize(
                args.voice,
                text,
                timeout_s=_timeout_s(args),
                **asked,
            )
        )
        header = stream.header
        player = stack.enter_context(Player(*program, header)) if program else None
        if args.output == STDOUT:
            pipe(opening(header))
        chunks: list[Chunk] = []
        for chunk in stream:
            chunks.append(chunk)
            if args.output == STDOUT:
                pipe(chunk.audio)
            if player:
                player.write(chunk.audio)
        result = stream.result(chunks)
        written = _save(result, args)
        if player:
            player.finish()
    warn_of_unknown(result)
    if args.json:
        print_json(_document(result, written, played=args.play))
        return 0
    tell(result, written, args, f"TTFA {human_ms(result.ttfa_ms)}, ")
    if result.marks:
        show(_marks(result), args)
    return 0


def _style(client: Client, args: argparse.Namespace) -> bytes:
    """As it was written, or as it is read off the recording now."""
    data = recording_in(args.like)
    if data.startswith(SEALED):
        return data
    found = client.read_style(args.voice, data, timeout_s=args.timeout)
    print(told(found), file=sys.stderr)
    return found.style


def _read_stdin() -> str:
    try:
        return sys.stdin.buffer.read().decode().strip()
    except UnicodeDecodeError as error:
        raise usage_error(f"the text on stdin is not UTF-8 ({error})") from error


def _timeout_s(args: argparse.Namespace) -> float | None:
    """No deadline of our own where the listener or the pipe sets the pace."""
    paced = args.play or args.output == STDOUT
    timeout_s: float | None = args.timeout or (math.inf if paced else None)
    return timeout_s


def _save(result: SpeechResult, args: argparse.Namespace) -> Path | None:
    if args.output == STDOUT or (args.play and not args.output):
        return None
    return result.save(args.output or _new_name(result))


def _new_name(result: SpeechResult) -> Path:
    """A file here that is not there yet, named after the voice."""
    stem = result.header.voice.partition("@")[0].rpartition("/")[2] or "voxswap"
    path, n = Path(stem + result.suffix), 1
    while path.exists():
        n += 1
        path = Path(f"{stem}-{n}{result.suffix}")
    return path


def _marks(result: SpeechResult) -> str:
    def row(mark: Mark) -> list[object]:
        begin = mark.start_sample / result.header.sample_rate_hertz
        end = begin + mark.duration_samples / result.header.sample_rate_hertz
        return [mark.kind, f"{begin:.3f}", f"{end:.3f}", mark.text]

    headings = ["MARK", "START s", "END s", "TEXT"]
    return render(headings, [row(mark) for mark in result.marks], right=headings[1:3])


def _document(result: SpeechResult, written: Path | None, *, played: bool) -> dict[str, object]:
    return {
        "output": str(written) if written else None,
        "played": played,
        "ttfa_ms": result.ttfa_ms,
        "duration_s": result.duration_s,
        "rtf": result.rtf,
        "header": result.header,
        "trailer": result.trailer,
        "marks": result.marks,
    }
