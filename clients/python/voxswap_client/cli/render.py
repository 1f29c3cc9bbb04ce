"""``voxswap render``: speak the lines of a script into files, and go on where it was left."""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from voxswap_client.cli.commands import Commands, add_command
from voxswap_client.cli.connection import add_address, connect_async, seconds
from voxswap_client.cli.failure import CliError, usage_error, warn
from voxswap_client.cli.output import human_duration, print_json
from voxswap_client.cli.progress import LineProgress
from voxswap_client.types import Encoding

if TYPE_CHECKING:
    from voxswap_client.cli.render_folder import RenderFolder
    from voxswap_client.cli.render_run import Tally
    from voxswap_client.render.results import Failed
    from voxswap_client.render.script import Line

STDIN = "-"
_JOBS = 4
_MOST_JOBS = 64
_TIMEOUT_S = 600.0
_MOST_TOLD = 10  # kinds of failures
_MOST_NUMBERS = 5  # lines of one kind
_EXTRA = ("numpy", "pyloudnorm", "scipy", "soundfile")
_ENCODINGS = [str(encoding) for encoding in Encoding if encoding is not Encoding.OPUS_PACKETS]


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "render",
        "speak the lines of a script into files",
        run,
        description="Speak the lines of a script, each into a file. A file that is there and "
        "sounds as the script says is left alone: after an interruption, or a change of the "
        "script, the same command does what is left.",
        epilog="SCRIPT is UTF-8: CSV whose first line names the columns, or a JSON object on each "
        "line. Columns: voice, text; and where wanted id (the file's name), speaker, seed, rate, "
        "pitch_semitones, pitch_range, volume_db, pause_scale, noise_scale, duration_noise_scale, "
        "emotion (angry=0.7, sad=0.2), intensity, fallback, style_prompt, encoding, sample_rate, "
        "loudness. "
        "DIR/results.jsonl says what became of each line.",
    )
    parser.add_argument("script", metavar="SCRIPT", help="a file; '-' reads it from stdin")
    parser.add_argument(
        "-o", "--out", metavar="DIR", type=Path, required=True, help="folder to write to"
    )
    parser.add_argument(
        "--jobs", type=jobs, metavar="N", default=_JOBS, help=f"lines at a time (default: {_JOBS})"
    )
    parser.add_argument(
        "--force", action="store_true", help="render all lines, those too that are there"
    )
    parser.add_argument(
        "--encoding",
        type=str.lower,
        choices=_ENCODINGS,
        metavar="NAME",
        help=f"{', '.join(_ENCODINGS)}; unset: what the id ends in, or wav",
    )
    parser.add_argument("--sample-rate", type=int, metavar="HERTZ", help="resample to this rate")
    parser.add_argument(
        "--loudness",
        type=lufs,
        metavar="LUFS",
        help="bring every line to this loudness, such as -23, with no true peak above -1 dBTP",
    )
    add_address(parser)
    parser.add_argument(
        "--timeout",
        type=seconds,
        metavar="SECONDS",
        default=_TIMEOUT_S,
        help=f"give a line up after this long (default: {_TIMEOUT_S:g})",
    )


def jobs(text: str) -> int:
    """A number of lines at a time. Raises `ArgumentTypeError`."""
    value = int(text)
    if not 1 <= value <= _MOST_JOBS:
        raise argparse.ArgumentTypeError(f"must be from 1 to {_MOST_JOBS}")
    return value


def lufs(text: str) -> float:
    """A loudness that a line can be brought to. Raises `ArgumentTypeError`."""
    from voxswap_client.render.script import LOUDNESS_LUFS

    value = float(text)
    if not LOUDNESS_LUFS[0] <= value <= LOUDNESS_LUFS[1]:
        least, most = LOUDNESS_LUFS
        raise argparse.ArgumentTypeError(f"must be from {least:g} to {most:g} LUFS")
    return value


def run(args: argparse.Namespace) -> int:
    """Read the script, do what is left of it, and say how it went. Raises `CliError`."""
    from voxswap_client.cli.render_folder import RenderFolder
    from voxswap_client.cli.render_run import OutOfReachError, Tally

    lines = _read(args)
    if any(line.loudness_lufs is not None for line in lines):
        _need_extra()
    tally = Tally()
    with RenderFolder(args.out) as folder:
        left = lines if args.force else _left(folder, lines)
        began_s = time.monotonic()
        try:
            if left:
                asyncio.run(_render(args, folder, left, tally))
        except (KeyboardInterrupt, OutOfReachError, OSError):
            done = len(lines) - len(left) + tally.rendered
            told = f"{done} of {len(lines)} lines are done; the same command goes on from here"
            print(told, file=sys.stderr)
            raise
        spent_s = time.monotonic() - began_s
        results = folder.results_path
    _tell(args, tally, unchanged=len(lines) - len(left), spent_s=spent_s)
    _warn(tally, results)
    if tally.failed:
        raise CliError(
            f"{len(tally.failed)} of {len(lines)} lines failed",
            f"the same command tries them again; {results} has them all",
            details=list(_grouped(tally.failed)),
        )
    return 0


def _read(args: argparse.Namespace) -> list[Line]:
    from voxswap_client.render.script import Defaults, read_script

    defaults = Defaults(args.encoding, args.sample_rate, args.loudness)
    if args.script == STDIN:
        script = read_script(sys.stdin.buffer, defaults)
    else:
        with Path(args.script).open("rb") as file:
            script = read_script(file, defaults)
    faults = script.faults
    if not faults.count:
        return script.lines
    name = "the script on stdin" if args.script == STDIN else args.script
    details = [
        f"line {fault.number}: {fault.message}" if fault.number else fault.message
        for fault in faults.shown
    ]
    if faults.count > len(details):
        details.append(f"… and {faults.count - len(details)} more")
    told = "a fault" if faults.count == 1 else f"{faults.count} faults"
    raise CliError(f"{name} has {told}; nothing was rendered", exit_code=2, details=details)


def _need_extra() -> None:
    missing = [name for name in _EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise usage_error(
            f"a loudness needs {' and '.join(missing)}, not installed here",
            "pip install 'voxswap[render]', or leave the loudness out",
        )


def _left(folder: RenderFolder, lines: Sequence[Line]) -> list[Line]:
    from voxswap_client.cli.render_run import left_to_do

    kept, unreadable = folder.kept()
    if unreadable:
        rows = "a row" if unreadable == 1 else f"{unreadable} rows"
        warn(f"{folder.results_path}: {rows} could not be read")
    if not kept:
        return list(lines)
    with LineProgress("checking", len(lines), len(lines)) as progress:
        return left_to_do(folder, lines, kept, lambda: progress.advance(1))


async def _render(
    args: argparse.Namespace, folder: RenderFolder, lines: Sequence[Line], tally: Tally
) -> None:
    from voxswap_client.cli.render_run import RETRIES, in_memory, render
    from voxswap_client.render.plan import in_order
    from voxswap_client.render.results import Done

    # Whether there is a server is soon told; one that was there may be waited for.
    async with connect_async(args, timeout_s=args.timeout) as client:
        resident = await in_memory(client)
    queue = in_order(lines, resident)
    effort = sum(len(line.text) for line in lines)
    with LineProgress("rendering", len(lines), effort) as progress:

        def ended(end: Done | Failed) -> None:
            tally.add(end)
            failed = f", {len(tally.failed)} failed" if tally.failed else ""
            progress.advance(len(end.line.text), failed)

        async with connect_async(args, timeout_s=args.timeout, retries=RETRIES) as client:
            await render(client, folder, queue, jobs=args.jobs, ended=ended)


def _tell(args: argparse.Namespace, tally: Tally, *, unchanged: int, spent_s: float) -> None:
    counts = {"rendered": tally.rendered, "unchanged": unchanged, "failed": len(tally.failed)}
    if args.json:
        failures = [
            {"line": failed.line.number, "id": failed.line.id}
            | {"reason": failed.reason, "message": failed.message}
            for failed in tally.failed
        ]
        print_json(
            {
                "out": str(args.out),
                **counts,
                "audio_s": round(tally.audio_s, 6),
                "off_target": tally.off_target,
                "failures": failures,
            }
        )
        return
    shown = [f"{n} {name}" for name, n in counts.items() if n or name == "rendered"]
    audio, spent = human_duration(tally.audio_s), human_duration(spent_s)
    made = f"; {audio} of audio in {spent}" if tally.rendered else ""
    print(f"{args.out}: {', '.join(shown)}{made}")


def _warn(tally: Tally, results: Path) -> None:
    if tally.off_target:
        warn(
            f"{_lines(tally.off_target)} could not be made as loud as asked: silent, or with peaks "
            "that would pass -1 dBTP",
            f"see loudness in {results}",
        )
    if tally.with_unknown:
        warn(
            f"what the voice has no sound for was left out of {_lines(tally.with_unknown)}",
            f"see unknown_symbols in {results}",
        )


def _lines(lines: int) -> str:
    return "1 line" if lines == 1 else f"{lines} lines"


def _grouped(failures: Sequence[Failed]) -> list[str]:
    """A row for each kind of failure, with the numbers of some of its lines."""
    kinds: dict[str, list[int]] = {}
    for failed in failures:
        kinds.setdefault(failed.message, []).append(failed.line.number)
    rows = []
    for message, numbers in list(kinds.items())[:_MOST_TOLD]:
        numbers.sort()
        shown = ", ".join(map(str, numbers[:_MOST_NUMBERS]))
        more = len(numbers) - _MOST_NUMBERS
        word = "line" if len(numbers) == 1 else "lines"
        rows.append(f"{word} {shown}{f' and {more} more' if more > 0 else ''}: {message}")
    if len(kinds) > _MOST_TOLD:
        rows.append(f"… and {len(kinds) - _MOST_TOLD} more kinds of failures")
    return rows
