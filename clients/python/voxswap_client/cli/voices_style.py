"""``voxswap voices read-style``: how a recording is spoken, as a style for a voice."""

from __future__ import annotations

import argparse
import base64
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from voxswap_client.audio_file import write_atomically
from voxswap_client.cli.commands import Commands, add_command
from voxswap_client.cli.connection import add_address, add_timeout, connect
from voxswap_client.cli.failure import CliError
from voxswap_client.cli.output import print_json
from voxswap_client.cli.table import render

if TYPE_CHECKING:
    from voxswap_client.recording_types import Prosody, ReadStyle

#: What a style begins with; no recording does.
SEALED = b"VXST"
MOST_BYTES = 2_000_000


def add_to(actions: Commands) -> None:
    """Add the command."""
    command = add_command(
        actions,
        "read-style",
        "read off a recording how it is spoken, as a style for a voice",
        run,
        description="Read off a recording how it is spoken: how high, how lively, how fast. Speak "
        "with it by `voxswap say VOICE TEXT --like FILE`, with what -o wrote or the recording.",
    )
    command.add_argument("voice", metavar="VOICE", help="that is to speak like it")
    command.add_argument(
        "recording", metavar="FILE", type=Path, help="one speaker, 3 to 10 s: WAV, FLAC, MP3, Ogg"
    )
    command.add_argument("-o", "--output", metavar="FILE", type=Path, help="write the style there")
    add_address(command)
    add_timeout(command)


def run(args: argparse.Namespace) -> int:
    """Read it, and say what was heard."""
    audio = recording_in(args.recording)
    with connect(args) as client:
        found = client.read_style(args.voice, audio, timeout_s=args.timeout)
    if args.output:
        write_atomically(args.output, found.style)
    if args.json:
        style = base64.b64encode(found.style).decode()
        print_json({**dataclasses.asdict(found), "style": style})
        return 0
    print(render(["", "PITCH Hz", "RANGE st", "SYLLABLES/s", "STRESS dB", "PAUSES"], _rows(found)))
    print(told(found))
    if args.output:
        print(f"wrote {args.output}: {len(found.style)} bytes")
    return 0


def recording_in(path: Path) -> bytes:
    """Its bytes. Raises `CliError` for a file that is larger than any server takes."""
    with path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise CliError(
            f"{path} has over {MOST_BYTES} bytes", "cut 3 to 10 s out of it, as 16-bit WAV or FLAC"
        )
    return data


def told(found: ReadStyle) -> str:
    """How near it is expected to come, and of what it is made."""
    shares = ", ".join(f"{share.weight:.0%} {share.voice}" for share in found.mixture[:4])
    return (
        f"{found.voice} is expected to come to {found.similarity:.2f} of 1 "
        f"(without: {found.similarity_without:.2f}); {shares}"
    )


def _rows(found: ReadStyle) -> list[list[object]]:
    def row(what: str, prosody: Prosody) -> list[object]:
        return [
            what,
            f"{prosody.pitch_hertz:.0f}",
            f"{prosody.pitch_range_semitones:.1f}",
            f"{prosody.syllables_per_s:.1f}",
            f"{prosody.stress_db:.1f}",
            f"{prosody.pauses:.0%}",
        ]

    return [row("heard", found.heard), row("expected", found.expected)]
