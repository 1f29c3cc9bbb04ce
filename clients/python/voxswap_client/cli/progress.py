"""Progress of slow work on stderr: a bar on a terminal, now and then a plain line elsewhere."""

from __future__ import annotations

import sys
from typing import Self, TextIO

from voxswap_client.cli.output import human_bytes

_BAR = 30
_PLAIN_STEP_PERCENT = 25


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
            filled = _BAR * percent // 100
            bar = "#" * filled + "." * (_BAR - filled)
            # "\x1b[K" clears what a longer line left behind.
            self._stream.write(f"\r{self._label[:36]} [{bar}] {percent:3}% {size}\x1b[K")
        else:
            self._stream.write(f"{self._label}: {percent}%, {size}\n")
        self._stream.flush()
