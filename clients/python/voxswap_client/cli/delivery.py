"""What `say` and `converse` share: how a line is to be delivered, and where its audio goes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from voxswap_client.audio_file import container, wav_header
from voxswap_client.cli.failure import usage_error
from voxswap_client.cli.output import human_ms
from voxswap_client.cli.players import PCM
from voxswap_client.types import CachePolicy, Encoding, Header, LineClass, Pacing

STDOUT = "-"
# Raw packets are for programs: a file or a pipe of them could not be read again.
_ENCODINGS = [str(encoding) for encoding in Encoding if encoding is not Encoding.OPUS_PACKETS]


def add_voice(parser: argparse.ArgumentParser) -> None:
    """Add ``VOICE``."""
    parser.add_argument("voice", metavar="VOICE", help="npc/smith, or npc/smith@3 for one version")


def add_output(parser: argparse.ArgumentParser, play: str) -> None:
    """Add ``--output`` and ``--play``."""
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="file to write, such as line.mp3; '-' pipes a WAV"
    )
    parser.add_argument("--play", action="store_true", help=play)


def add_delivery(parser: argparse.ArgumentParser) -> None:
    """Add the options that shape the speech."""
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
        "--class",
        dest="line_class",
        choices=list(map(str, LineClass)),
        metavar="CLASS",
        help=f"{', '.join(LineClass)}: how soon it should begin",
    )


def pacing(args: argparse.Namespace) -> Pacing:
    """A file or a pipe takes the audio as fast as it comes."""
    return Pacing.REALTIME if args.play else Pacing.NONE


def cache(args: argparse.Namespace) -> CachePolicy | None:
    """What ``--no-cache`` asks for."""
    return CachePolicy.OFF if args.no_cache else None


def check_output(args: argparse.Namespace) -> None:
    """Raise what cannot work before anything is asked of the server."""
    if args.output == STDOUT and args.json:
        raise usage_error("-o - and --json both want stdout", "write the audio to a file: -o FILE")
    if args.output == STDOUT and sys.stdout.isatty():
        raise usage_error("-o - would write audio to the terminal", "pipe it, or use -o FILE")
    if args.play and args.encoding and Encoding(args.encoding) not in PCM:
        raise usage_error(f"--play does not take {args.encoding}", f"use {' or '.join(PCM)}")
    if args.output and args.output != STDOUT:
        path = Path(args.output)
        if path.is_dir():
            raise usage_error(f"{path} is a folder", f"name a file in it: -o {path / 'line.wav'}")
        if not path.parent.is_dir():
            raise usage_error(f"there is no folder {path.parent}", f"mkdir -p {path.parent}")


def opening(header: Header) -> bytes:
    """What goes before the first chunk to make a file of a stream."""
    pcm = container(header.encoding).sample_bytes
    return wav_header(header.encoding, header.sample_rate_hertz) if pcm else b""


def pipe(data: bytes) -> None:
    """Write audio to stdout, now."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def begun(header: Header) -> str:
    """Whether the voice had to be loaded first, in words."""
    return f"cold ({human_ms(header.swap_ms)} to load)" if header.cold else "warm"
