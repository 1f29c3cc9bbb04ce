"""What `say` and `converse` share: how a line is to be delivered, and where its audio goes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from voxswap_client.audio_file import container, encoding_of, wav_header
from voxswap_client.cli.failure import usage_error, warn
from voxswap_client.cli.output import human_ms
from voxswap_client.cli.players import PCM
from voxswap_client.emotions import emotion_in
from voxswap_client.types import (
    EmotionFallback,
    Encoding,
    Expression,
    Header,
    LineClass,
    Pacing,
    SpeechResult,
)

if TYPE_CHECKING:
    from voxswap_client.request import SpeechOptions

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
    parser.add_argument("--pitch", type=float, metavar="SEMITONES", help="12: an octave up")
    parser.add_argument("--pitch-range", type=float, metavar="FACTOR", help="0 is monotonous")
    parser.add_argument("--volume", type=float, metavar="DECIBELS", help="-40 to 12")
    parser.add_argument("--pauses", type=float, metavar="FACTOR", help="2 makes them twice as long")
    _add_emotion(parser)
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


def _add_emotion(parser: argparse.ArgumentParser) -> None:
    """Add what says how a line is felt."""
    parser.add_argument(
        "--emotion",
        action="append",
        metavar="NAME[=SHARE]",
        help="angry, or angry=0.7 and again sad=0.2; auto: what each sentence says",
    )
    parser.add_argument("--intensity", type=float, metavar="N", help="of it, 0 to 2; 1 unless set")
    parser.add_argument("--valence", type=float, metavar="N", help="-1 to 1, with --arousal")
    parser.add_argument("--arousal", type=float, metavar="N", help="-1 to 1, with --valence")
    parser.add_argument(
        "--fallback",
        choices=list(map(str, EmotionFallback)),
        metavar="HOW",
        help="what speaks an emotion that the voice does not list: prosody (by rate, pitch and "
        "volume; so if unset), or none (it is refused)",
    )
    parser.add_argument("--style-prompt", metavar="WORDS", help="a style in words")


def _emotion(args: argparse.Namespace) -> str | dict[str, float] | None:
    if not args.emotion:
        return None
    try:
        return emotion_in(", ".join(args.emotion))
    except ValueError as error:
        raise usage_error(f"--emotion: {error}", "say it once for each emotion") from error


def _fallback(args: argparse.Namespace) -> EmotionFallback | None:
    """Who names an emotion here asks for prosody too: how it was spoken is told with the line."""
    is_felt = args.emotion or args.valence is not None or args.arousal is not None
    return EmotionFallback.PROSODY if is_felt else None


def options(args: argparse.Namespace) -> SpeechOptions:
    """What was asked for with `add_delivery`, for the client."""
    return {
        "speaker": args.speaker,
        "rate": args.rate,
        "pitch_semitones": args.pitch,
        "pitch_range": args.pitch_range,
        "volume_db": args.volume,
        "pause_scale": args.pauses,
        "emotion": _emotion(args),
        "intensity": args.intensity,
        "valence": args.valence,
        "arousal": args.arousal,
        "fallback": args.fallback or _fallback(args),
        "style_prompt": args.style_prompt,
        "seed": args.seed,
        "sample_rate_hertz": args.sample_rate,
        "encoding": args.encoding,
        "noise_scale": args.noise_scale,
        "duration_noise_scale": args.duration_noise_scale,
        # A file or a pipe takes the audio as fast as it comes.
        "pacing": Pacing.REALTIME if args.play else Pacing.NONE,
        "line_class": args.line_class,
    }


def check_output(args: argparse.Namespace) -> None:
    """Take the encoding from the file's name, and raise what cannot work: `CliError`."""
    if args.output and not args.encoding:
        args.encoding = encoding_of(args.output)
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


def tell(result: SpeechResult, written: Path | None, args: argparse.Namespace, more: str) -> None:
    """Say in a line where the audio went, and how it was made; ``more`` stands in its middle."""
    target = written or ("stdout" if args.output == STDOUT else None)
    header = result.header
    begun = f"cold ({human_ms(header.swap_ms)} to load)" if header.cold else "warm"
    show(
        f"{f'wrote {target}' if target else 'played'}: {result.duration_s:.2f} s of "
        f"{header.voice}, {_felt(header)}{begun}, {more}RTF {result.rtf:.3f}, seed "
        f"{result.trailer.seed}",
        args,
    )
    if header.expression is Expression.NONE and (args.emotion or args.valence is not None):
        show("no emotion was spoken: there was none in what was asked for", args)


def _felt(header: Header) -> str:
    """What emotion is spoken, and how."""
    if not header.emotions or header.expression is None:
        return ""
    shares = " and ".join(
        f"{name} {round(amount, 2):g}" for name, amount in header.emotions.items()
    )
    return f"{shares} ({header.expression.upper()}), "


def show(text: str, args: argparse.Namespace) -> None:
    """Print, but not where the audio goes."""
    print(text, file=sys.stderr if args.output == STDOUT else sys.stdout)


def warn_of_unknown(result: SpeechResult) -> None:
    """Say what was left out."""
    for unknown in result.trailer.unknown_symbols:
        warn(f"{unknown.symbol!r} ({unknown.count}×) was left out: the voice has no sound for it")
