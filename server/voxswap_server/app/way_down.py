"""The way down: one limit for all of it, and nothing that hangs may hold it up.

::

    begun ── grace_s ──> streams are cancelled
          ── + 1 s ────> every step that is under way counts as stuck
          ── + 2.5 s ──> what is being closed is left behind, one thing after the other
          ── + 3 s ────> `Guard`: the process leaves, whatever it waits for
          ── + 3.6 s ──> `Guard`: the interpreter itself stands still; its threads are shown
          ── + 4 s ────> `Guard`: the kernel ends the process; so does `warden`, if none of this
                         could even begin

That leaves a second for a machine that is busy, and for the process to be taken apart.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future
from typing import NoReturn, TypeVar

_LOGGER = logging.getLogger(__name__)

_T = TypeVar("_T")

#: What the way down may take beyond the grace.
BEYOND_GRACE_S = 5.0
STEPS_S = 1.0
CLOSED_S = 2.5
_LEAVE_S, _SHOW_S, _KILL_S = 3.0, 3.6, 4.0
_LEAST_SHARE_S, _TELLING_S = 0.05, 0.5

_OUR_THREADS = "voxswap-"
_GUARD = f"{_OUR_THREADS}guard"

#: The exit status of a process that ended as it was told to, and had to leave something behind.
LEFT_BEHIND = 3


class WayDown:
    """How much time is left, and what did not end in it. Confined to one event loop."""

    def __init__(self, grace_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Streams have ``grace_s`` from `begin` on."""
        self._grace_s = grace_s
        self._clock = clock
        self._grace_ends_s: float | None = None
        self._hurried = asyncio.Event()
        self.left_behind: list[str] = []

    def begin(self) -> None:
        """It begins now, unless it has begun."""
        if self._grace_ends_s is None:
            self._grace_ends_s = self._clock() + self._grace_s

    def hurry(self) -> None:
        """Streams have no more time."""
        now = self._clock()
        self._grace_ends_s = now if self._grace_ends_s is None else min(now, self._grace_ends_s)
        self._hurried.set()

    @property
    def has_begun(self) -> bool:
        """Whether it has."""
        return self._grace_ends_s is not None

    @property
    def is_hurried(self) -> bool:
        """Whether streams have no more time, whatever their grace was."""
        return self._hurried.is_set()

    def left_s(self, beyond_grace_s: float = 0.0) -> float:
        """Until so long after the end of the grace; 0 once that is over."""
        if self._grace_ends_s is None:
            return self._grace_s + beyond_grace_s
        return max(0.0, self._grace_ends_s + beyond_grace_s - self._clock())

    async def grace(self, ended: Awaitable[object]) -> None:
        """Wait for ``ended``, but not longer than the grace."""
        waits = [asyncio.ensure_future(ended), asyncio.ensure_future(self._hurried.wait())]
        try:
            await asyncio.wait(waits, timeout=self.left_s(), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def closing(
        self, stack: contextlib.AsyncExitStack, what: str, close: Callable[[], Awaitable[object]]
    ) -> None:
        """When ``stack`` is left, ``close``; what does not end in time is left behind."""
        stack.push_async_callback(self.within, what, close)

    def closing_on_thread(
        self, stack: contextlib.AsyncExitStack, what: str, close: Callable[[], object]
    ) -> None:
        """As `closing`, for what blocks."""
        self.closing(stack, what, lambda: on_thread(close, f"close {what}"))

    async def within(self, what: str, close: Callable[[], Awaitable[_T]]) -> _T | None:
        """What ``close`` gives, or None if it does not end in its share of the time.

        That is half of what is left, so that whoever comes later has some. Raises what it raises.
        """
        self.begin()
        share_s = max(_LEAST_SHARE_S, self.left_s(CLOSED_S) / 2)
        task = asyncio.ensure_future(close())
        await asyncio.wait([task], timeout=share_s)
        if task.done():
            return task.result()
        _LOGGER.warning("%s did not end within %.1f s, and is left behind", what, share_s)
        self.left_behind.append(what)
        task.cancel()
        return None


async def on_thread(work: Callable[[], _T], name: str) -> _T:
    """``work`` on a thread of its own, which nobody waits for at the process's end."""
    future: Future[_T] = Future()
    future.set_running_or_notify_cancel()  # or whoever gives up waiting would cancel it

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised where it is awaited
            future.set_exception(error)

    threading.Thread(target=run, name=f"{_OUR_THREADS}{name}", daemon=True).start()
    return await asyncio.wrap_future(future)


class Guard:
    """Ends this process at its last moment, whatever it is doing. Thread-safe; never blocks.

    Three times, each where the one before may fail: a thread of Python says what hangs and leaves
    with `LEFT_BEHIND`; C code shows where the threads are, for it needs no interpreter; an alarm of
    the kernel ends the process, for it needs nothing of it (status 142 in a shell).
    """

    def __init__(self) -> None:
        self._due_s: float | None = None
        self._changed = threading.Condition()

    def arm(self, grace_s: float) -> None:
        """The way down has begun now, with so much time for streams. The soonest end counts."""
        due_s = time.monotonic() + grace_s
        with self._changed:
            if self._due_s is not None and self._due_s <= due_s:
                return
            is_new, self._due_s = self._due_s is None, due_s
            self._changed.notify()
        signal.setitimer(signal.ITIMER_REAL, grace_s + _KILL_S)
        faulthandler.dump_traceback_later(grace_s + _SHOW_S, exit=False)
        if is_new:
            threading.Thread(target=self._watch, name=_GUARD, daemon=True).start()

    def disarm(self) -> None:
        """The end is near, and the interpreter's own."""
        faulthandler.cancel_dump_traceback_later()

    def _watch(self) -> None:
        with self._changed:
            while (left_s := (self._due_s or 0.0) + _LEAVE_S - time.monotonic()) > 0:
                self._changed.wait(left_s)
        leave("the time is up", threads=threading.enumerate())


def leave(
    why: str, *, threads: Iterable[threading.Thread] = (), status: int = LEFT_BEHIND
) -> NoReturn:
    """End the process now, with ``status``; the log says what ``threads`` are doing."""
    mine = threading.get_ident()
    hanging = [thread for thread in threads if thread.ident not in (None, mine)]
    # On a thread: a log that cannot be written to must not hold this up.
    telling = threading.Thread(target=_tell, args=(why, hanging), daemon=True)
    telling.start()
    telling.join(_TELLING_S)
    os._exit(status)


def _tell(why: str, hanging: list[threading.Thread]) -> None:
    if hanging:
        why += f"; these threads are not waited for: {', '.join(sorted(t.name for t in hanging))}"
    _LOGGER.log(logging.ERROR if hanging else logging.INFO, "%s", why)
    frames = sys._current_frames()
    for thread in hanging:
        if (frame := frames.get(thread.ident or 0)) is not None:
            where = "".join(traceback.format_stack(frame)[-6:])
            _LOGGER.warning("%s is here:\n%s", thread.name, where)
    logging.shutdown()
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()


def threads_of_ours() -> list[threading.Thread]:
    """Those that this server started and that are still there; once all is closed, they hang."""
    ours = [t for t in threading.enumerate() if t.name.startswith(_OUR_THREADS)]
    return [thread for thread in ours if thread.name != _GUARD]


def threads_that_hang(patience_s: float) -> list[threading.Thread]:
    """Threads that Python would wait for at its end, and that do not end in time."""
    until = time.monotonic() + patience_s
    others = [t for t in threading.enumerate() if not t.daemon and t is not threading.main_thread()]
    for thread in others:
        # What is idle ends when it is told to; what is told at the interpreter's end is told now.
        thread.join(max(0.0, until - time.monotonic()))
    return [thread for thread in others if thread.is_alive()]
