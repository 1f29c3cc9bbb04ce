"""Programs that play audio: found on PATH, fed with PCM as it arrives."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from voxswap_client.audio_file import file_bytes, wav_header
from voxswap_client.cli.failure import CliError
from voxswap_client.types import Encoding, Header

PCM = (Encoding.PCM_S16LE, Encoding.PCM_F32LE)

Command = Callable[[str, Header], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Program:
    """One player. ``feed`` is what it reads: ``raw`` or ``wav`` on its stdin, or a ``file``."""

    name: str
    feed: str
    command: Command


def _is_float(header: Header) -> bool:
    return header.encoding is Encoding.PCM_F32LE


def _pw_play(path: str, header: Header) -> list[str]:
    # From 1.4 on, PipeWire parses what is on stdin unless it is told "--raw"; before, it knew no
    # such option and took stdin for raw samples.
    told = subprocess.run(  # noqa: S603
        [path, "--help"], stdin=subprocess.DEVNULL, capture_output=True, check=False, text=True
    )
    kind = ["--raw"] if "--raw" in told.stdout + told.stderr else []
    sample = "f32" if _is_float(header) else "s16"
    rate = f"--rate={header.sample_rate_hertz}"
    return [path, *kind, rate, f"--format={sample}", "--channels=1", "-"]


def _paplay(path: str, header: Header) -> list[str]:
    sample = "float32le" if _is_float(header) else "s16le"
    rate = f"--rate={header.sample_rate_hertz}"
    return [path, "--raw", rate, f"--format={sample}", "--channels=1"]


def _aplay(path: str, header: Header) -> list[str]:
    sample = "FLOAT_LE" if _is_float(header) else "S16_LE"
    rate = str(header.sample_rate_hertz)
    return [path, "-q", "-t", "raw", "-r", rate, "-f", sample, "-c", "1", "-"]


def _ffplay(path: str, _header: Header) -> list[str]:
    return [path, "-nodisp", "-autoexit", "-loglevel", "error", "-i", "-"]


PROGRAMS = (
    Program("pw-play", "raw", _pw_play),
    Program("paplay", "raw", _paplay),
    Program("aplay", "raw", _aplay),
    Program("ffplay", "wav", _ffplay),
    Program("afplay", "file", lambda path, _header: [path]),
)


def find_program() -> tuple[Program, str]:
    """The first player on PATH, and where it is. Raises `CliError` if there is none."""
    for program in PROGRAMS:
        path = shutil.which(program.name)
        if path:
            return program, path
    names = ", ".join(program.name for program in PROGRAMS)
    raise CliError(f"no player is installed for --play ({names})", "write a file instead: -o FILE")


class Player:
    """One run of a player. Leave the ``with`` block and it is stopped, if it still plays.

    Not thread-safe, but for `stop`. `write` blocks while the player's pipe is full, `finish` until
    all is played.
    """

    def __init__(self, program: Program, path: str, header: Header) -> None:
        self._program = program
        self._header = header
        self._command = program.command(path, header)
        self._kept: list[bytes] = []
        self._process: subprocess.Popen[bytes] | None = None
        if program.feed != "file":
            self._process = self._start(self._command, stdin=subprocess.PIPE)
            if program.feed == "wav":
                self.write(wav_header(header.encoding, header.sample_rate_hertz))

    def write(self, audio: bytes) -> None:
        """Play these samples after those before. Raises `CliError` if the player has gone."""
        if self._process is None or self._process.stdin is None:
            self._kept.append(audio)
            return
        try:
            self._process.stdin.write(audio)
            self._process.stdin.flush()
        except BrokenPipeError:
            self._wait()
            raise CliError(f"{self._program.name} stopped before the line was over") from None

    def finish(self) -> None:
        """Wait until everything has been played."""
        if self._process is None:
            header = self._header
            data = file_bytes(b"".join(self._kept), header.encoding, header.sample_rate_hertz)
            with tempfile.TemporaryDirectory(prefix="voxswap-") as folder:
                file = Path(folder) / "line.wav"
                file.write_bytes(data)
                self._process = self._start([*self._command, str(file)], stdin=subprocess.DEVNULL)
                self._wait()
        else:
            self._wait()

    def stop(self) -> None:
        """Play no more, at once. Any thread may; a `write` or `finish` under way fails."""
        if self._process is not None:
            self._process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.kill()
            with contextlib.suppress(BrokenPipeError):
                self._process.communicate()

    def _start(self, command: Sequence[str], *, stdin: int) -> subprocess.Popen[bytes]:
        # Never our stdout, which may carry a WAV. What it has to say on stderr is for the user.
        # A terminal's Ctrl-C is for us: we stop the player if that is what it means.
        return subprocess.Popen(  # noqa: S603
            command, stdin=stdin, stdout=subprocess.DEVNULL, process_group=0
        )

    def _wait(self) -> None:
        if self._process is None:
            return
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        code = self._process.wait()
        if code:
            raise CliError(
                f"{self._program.name} failed with exit code {code}",
                "write a file instead: -o FILE",
            )
