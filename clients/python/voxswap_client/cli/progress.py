"""Progress of slow work on stderr: a bar on a terminal, now and then a plain line elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Self, TextIO

from voxswap_client.cli.output import human_bytes, human_duration

_BAR = 30
_PLAIN_STEP_PERCENT = 25
_LIVE_STEP_S = 0.1
_PLAIN_STEP_S = 10.0


class ProgressBar:
    """A `voxswap_registry.progress.Progress` for people. For one thread at a time.

    Leaving its ``with`` block ends the stretch.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._live = self._stream.isatty()
        self._label = ""
        self._total_bytes = 0
        self._done_bytes = 0
        self._shown_percent = -1
        self._open = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.finish()

    def start(self, label: str, total_bytes: int) -> None:
        """A stretch of work begins; the one before it is over."""
        self.finish()
        self._label, self._total_bytes = label, total_bytes
        self._done_bytes, self._shown_percent, self._open = 0, -1, True
        self.advance(0)

    def advance(self, n_bytes: int) -> None:
        """``n_bytes`` more are done."""
        if not self._total_bytes:
            return
        self._done_bytes += n_bytes
        whole = min(self._done_bytes, self._total_bytes)
        percent = 100 * whole // self._total_bytes
        step = 1 if self._live else _PLAIN_STEP_PERCENT
        if percent // step > self._shown_percent // step:
            self._shown_percent = percent
            self._show(percent, whole)

    def finish(self) -> None:
        """The stretch is over, whether it came to its end or failed."""
        if self._open and self._live:
            self._stream.write("\n")
            self._stream.flush()
        self._open = False

    def _show(self, percent: int, whole: int) -> None:
        size = f"{human_bytes(whole)} of {human_bytes(self._total_bytes)}"
        if self._live:
            self._stream.write(_bar(self._label, percent, size))
        else:
            self._stream.write(f"{self._label}: {percent}%, {size}\n")
        self._stream.flush()


def _bar(label: str, percent: int, told: str) -> str:
    filled = _BAR * percent // 100
    bar = "#" * filled + "." * (_BAR - filled)
    # "\x1b[K" clears what a longer line left behind.
    return f"\r{label[:36]} [{bar}] {percent:3}% {told}\x1b[K"


class LineProgress:
    """Progress over lines of different length, and the time that is left.

    For one thread at a time.
    On a terminal it is a bar; elsewhere a plain line every ten seconds. ``effort`` is what the work
    of a line goes by, such as its characters. Leaving its ``with`` block ends it.
    """

    def __init__(
        self,
        label: str,
        lines: int,
        effort: int,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._label, self._lines, self._effort = label, lines, effort
        self._stream = sys.stderr if stream is None else stream
        self._live = self._stream.isatty()
        self._clock = clock
        self._done = self._done_effort = 0
        self._note = ""
        self._began_s = self._shown_s = clock()
        if self._live:
            self._show()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._live:
            self._show()
            self._stream.write("\n")
            self._stream.flush()

    def advance(self, effort: int, note: str = "") -> None:
        """One more line is done. ``note`` is shown from now on."""
        self._done += 1
        self._done_effort += effort
        self._note = note
        if self._clock() - self._shown_s >= (_LIVE_STEP_S if self._live else _PLAIN_STEP_S):
            self._show()

    def _show(self) -> None:
        self._shown_s = self._clock()
        told = f"{self._done} of {self._lines} lines{self._note}"
        if 0 < self._done_effort < self._effort:
            spent_s = self._shown_s - self._began_s
            left_s = spent_s * (self._effort - self._done_effort) / self._done_effort
            told += f", {human_duration(left_s)} left"
        percent = 100 * self._done_effort // self._effort if self._effort else 100
        if self._live:
            self._stream.write(_bar(self._label, percent, told))
        else:
            self._stream.write(f"{self._label}: {percent}%, {told}\n")
        self._stream.flush()
