"""``voxswap say``: speak one line into a file, a pipe or the loudspeaker."""

from __future__ import annotations

import argparse
import contextlib
import math
import sys
from pathlib import Path

from voxswap_client.audio_file import container, encoding_of, wav_header
from voxswap_client.cli.connection import add_address, add_json, add_timeout, connect
from voxswap_client.cli.failure import usage_error, warn
from voxswap_client.cli.output import human_ms, print_json
from voxswap_client.cli.players import PCM, Player, find_program
from voxswap_client.cli.table import render
from voxswap_client.types import Chunk, Encoding, Header, Mark, MarkKind, SpeechResult

_STDOUT = "-"
# Raw packets are for programs: a file or a pipe of them could not be read again.
_ENCODINGS = [str(encoding) for encoding in Encoding if encoding is not Encoding.OPUS_PACKETS]


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "say",
        help="speak a line",
        description="Speak a line, into a file unless told otherwise.",
        epilog="Without -o and --play the line goes to a new file named after the voice: "
        "npc/smith makes smith.wav, then smith-2.wav.",
        allow_abbrev=False,
    )
    parser.add_argument("voice", metavar="VOICE", help="npc/smith, or npc/smith@3 for one version")
    parser.add_argument("text", metavar="TEXT", help="what to say; '-' reads it from stdin")
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="file to write, such as line.mp3; '-' pipes a WAV"
    )
    parser.add_argument("--play", action="store_true", help="play it as it arrives")
    parser.add_argument("--speaker", metavar="NAME", help="a speaker that the voice lists")
    parser.add_argument("--rate", type=float, metavar="FACTOR", help="2 is twice as fast")
    parser.add_argument("--seed", type=int, metavar="N", help="the same seed, the same audio")
    parser.add_argument("--sample-rate", type=int, metavar="HERTZ", help="resample to this rate")
    parser.add_argument(
        "--encoding",
        type=str.lower,
        choices=_ENCODINGS,
        metavar="NAME",
        help=f"{', '.join(_ENCODINGS)}; unset: what -o is named after, or WAV",
    )
    parser.add_argument("--noise-scale", type=float, metavar="SIGMA", help="noise of the voice")
    parser.add_argument(
        "--duration-noise-scale", type=float, metavar="SIGMA", help="noise of the rhythm"
    )
    parser.add_argument(
        "--marks", type=_kinds, default=(), metavar="KINDS", help="word,phoneme,viseme: any of them"
    )
    add_address(parser)
    add_timeout(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def _kinds(text: str) -> list[MarkKind]:
    try:
        return [MarkKind(name.strip()) for name in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}; use {', '.join(MarkKind)}") from error


def run(args: argparse.Namespace) -> int:
    """Speak, deliver, and say in one line how it went."""
    if args.output and not args.encoding:
        args.encoding = encoding_of(args.output)
    _check(args)
    program = find_program() if args.play else None
    text = _read_stdin() if args.text == "-" else args.text
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(
            stack.enter_context(connect(args)).synthesize(
                args.voice,
                text,
                timeout_s=_timeout_s(args),
                speaker=args.speaker,
                rate=args.rate,
                seed=args.seed,
                sample_rate_hertz=args.sample_rate,
                encoding=args.encoding,
                marks=args.marks,
                noise_scale=args.noise_scale,
                duration_noise_scale=args.duration_noise_scale,
            )
        )
        header = stream.header
        player = stack.enter_context(Player(*program, header)) if program else None
        if args.output == _STDOUT:
            _pipe(_opening(header))
        chunks: list[Chunk] = []
        for chunk in stream:
            chunks.append(chunk)
            if args.output == _STDOUT:
                _pipe(chunk.audio)
            if player:
                player.write(chunk.audio)
        result = stream.result(chunks)
        written = _save(result, args)
        if player:
            player.finish()
    _tell(result, written, args)
    return 0


def _check(args: argparse.Namespace) -> None:
    if args.output == _STDOUT and args.json:
        raise usage_error("-o - and --json both want stdout", "write the audio to a file: -o FILE")
    if args.output == _STDOUT and sys.stdout.isatty():
        raise usage_error("-o - would write audio to the terminal", "pipe it, or use -o FILE")
    if args.play and args.encoding and Encoding(args.encoding) not in PCM:
        raise usage_error(f"--play does not take {args.encoding}", f"use {' or '.join(PCM)}")
    if args.output and args.output != _STDOUT:
        path = Path(args.output)
        if path.is_dir():
            raise usage_error(f"{path} is a folder", f"name a file in it: -o {path / 'line.wav'}")
        if not path.parent.is_dir():
            raise usage_error(f"there is no folder {path.parent}", f"mkdir -p {path.parent}")


def _read_stdin() -> str:
    try:
        return sys.stdin.buffer.read().decode().strip()
    except UnicodeDecodeError as error:
        raise usage_error(f"the text on stdin is not UTF-8 ({error})") from error


def _timeout_s(args: argparse.Namespace) -> float | None:
    """No deadline of our own where the listener or the pipe sets the pace."""
    paced = args.play or args.output == _STDOUT
    timeout_s: float | None = args.timeout or (math.inf if paced else None)
    return timeout_s


def _opening(header: Header) -> bytes:
    """What goes before the first chunk to make a file of a stream."""
    pcm = container(header.encoding).sample_bytes
    return wav_header(header.encoding, header.sample_rate_hertz) if pcm else b""


def _pipe(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _save(result: SpeechResult, args: argparse.Namespace) -> Path | None:
    if args.output == _STDOUT or (args.play and not args.output):
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


def _tell(result: SpeechResult, written: Path | None, args: argparse.Namespace) -> None:
    for unknown in result.trailer.unknown_symbols:
        warn(f"{unknown.symbol!r} ({unknown.count}×) was left out: the voice has no sound for it")
    if args.json:
        print_json(_document(result, written, played=args.play))
        return
    # stdout carries the audio and nothing else, if it does.
    stream = sys.stderr if args.output == _STDOUT else sys.stdout
    target = written or ("stdout" if args.output == _STDOUT else None)
    print(_line(result, f"wrote {target}" if target else "played"), file=stream)
    if result.marks:
        print(_marks(result), file=stream)


def _line(result: SpeechResult, done: str) -> str:
    header = result.header
    start = f"cold ({human_ms(header.swap_ms)} to load)" if header.cold else "warm"
    return (
        f"{done}: {result.duration_s:.2f} s of {header.voice}, {start}, "
        f"TTFA {human_ms(result.ttfa_ms)}, RTF {result.rtf:.3f}, seed {result.trailer.seed}"
    )


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
