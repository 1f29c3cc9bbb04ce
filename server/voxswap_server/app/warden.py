"""Ends a server whose interpreter stands still when it is told to stop.

Nothing in a process can do that: Python's handlers, and whatever they would arm, need an
interpreter that goes on. So this is a small process beside the server's, run as a script. It hears
of the signal from C code of the server's (`faulthandler.register`), through a pipe that is closed
when the server is gone.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

_MOST_BYTES = 1 << 16
# Shows where all threads are, from C; anybody may send it.
_SHOW = signal.SIGQUIT
_SHOWING_S, _MARGIN_S = 0.1, 0.7


def start_warden(limit_s: float, signals: Iterable[signal.Signals]) -> None:
    """Start one that ends this process ``limit_s`` after the first of ``signals``.

    Their handlers must have been set before; they are called as well. Raises OSError if there can
    be none.
    """
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)  # who writes is a signal handler
    command = [sys.executable, "-I", "-S", str(Path(__file__)), f"{limit_s:.3f}"]
    try:
        subprocess.Popen(  # noqa: S603
            command, stdin=ours, stdout=subprocess.DEVNULL, start_new_session=True
        )
    finally:
        os.close(ours)
    faulthandler.register(_SHOW, all_threads=True)
    for number in signals:
        faulthandler.register(number, file=theirs, all_threads=False, chain=True)


def watch(server: int, limit_s: float) -> None:
    """Until standard input ends, or for ``limit_s`` from the first thing that comes there."""
    last = os.read(0, _MOST_BYTES)
    until = time.monotonic() + limit_s - _SHOWING_S - _MARGIN_S
    while last and (left_s := until - time.monotonic()) > 0:
        if select.select([0], [], [], left_s)[0]:
            last = os.read(0, _MOST_BYTES)
    if last and os.getppid() == server:
        with contextlib.suppress(OSError):
            os.write(2, b"voxswap serve: error: it was told to stop, stands still, and is ended\n")
        os.kill(server, _SHOW)
        time.sleep(_SHOWING_S)
        os.kill(server, signal.SIGKILL)


if __name__ == "__main__":
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    watch(os.getppid(), float(sys.argv[1]))
