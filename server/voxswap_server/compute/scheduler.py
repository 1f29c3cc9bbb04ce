"""Steps of compute, off the event loop: the most urgent first.

Which work goes on is decided anew after each step, so what is urgent waits for one step at most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, TypeVar

from voxswap_families.work import Work
from voxswap_server.compute.hooks import Ran, ThreadHooks
from voxswap_server.compute.threads import ComputeThreads

_T = TypeVar("_T")


class Scheduler:
    """Owns a device's compute threads, and one more for works whose steps may be long.

    Who asks with deadlines that move on with the clock is served in the end, whatever else is asked
    for: see `StepQueue`. `run` belongs on an event loop; all else may be called from any thread.
    """

    def __init__(
        self,
        name: str = "voxswap-compute",
        *,
        threads: int = 1,
        most_together: int = 4,
        spare: int = 8,
        spare_long: int = 8,
        hooks: ThreadHooks | None = None,
    ) -> None:
        """As many steps at a time as there are ``threads``: each has one to itself.

        At most ``most_together`` works take a step together. ``spare`` is how many threads whose
        steps do not come back are replaced: 0 where they share a device that then hangs as a whole.
        ``spare_long`` is that for the thread of long steps, which computes on the CPU always.
        """
        around = hooks or ThreadHooks()
        self.threads = threads
        self._lanes = (
            ComputeThreads(name, threads, most_together, around, spare=spare),
            ComputeThreads(f"{name}-long", 1, most_together, around, spare=spare_long),
        )

    async def run(
        self,
        work: Work[_T],
        *,
        due_s: float = 0.0,
        owner: Hashable = None,
        on_stuck: Callable[[Future[None]], None] | None = None,
    ) -> Ran[_T]:
        """Take all steps of ``work``, which is due at ``due_s`` on the clock.

        Raises whatever it raises, and `DeviceStuckError` if a step takes longer than any may. Then
        all works of that ``owner`` fail, those in line too; and ``on_stuck`` is called before this
        ends, whether it raises or was cancelled, with a future that is done once the step is over
        after all: until then it uses whatever it was given.

        Cancelling drops the steps that are left. One that has begun cannot be stopped: `run` then
        ends when the step does, so that whoever awaits it may give back what the step was using.
        """
        lane = self._lanes[work.may_be_long]
        entry, future = lane.add(work, due_s, owner)
        del work  # the line lets go of it when nobody waits for it any more
        wrapped = asyncio.wrap_future(future)
        try:
            return await asyncio.shield(wrapped)
        except asyncio.CancelledError:
            lane.give_up(entry)
            await _settled(wrapped)
            raise
        finally:
            if entry.returned is not None and on_stuck is not None:
                on_stuck(entry.returned)

    @property
    def waiting(self) -> int:
        """Works in line."""
        return sum(lane.waiting for lane in self._lanes)

    def busy(self) -> tuple[float, float]:
        """For how many seconds in each second steps were taken of late: short ones, long ones."""
        short, long = self._lanes
        return short.busy, long.busy

    def speeds(self) -> tuple[float, float]:
        """See `Meter.speed`: of short steps, and of long ones."""
        short, long = self._lanes
        return short.speed, long.speed

    @property
    def lost(self) -> int:
        """Threads whose steps were written off and have not come back."""
        return sum(lane.lost for lane in self._lanes)

    def is_alive(self, *, may_be_long: bool = False) -> bool:
        """Whether there is a thread for steps that are short, or for those that ``may_be_long``."""
        return self._lanes[may_be_long].is_alive

    def end_steps_longer_than(self, limit_s: float) -> None:
        """Ask steps that have been under way for longer than ``limit_s`` to end.

        Those that cannot be asked are written off at once, the others if they have not ended when
        this is called again. Whoever waits for such a step fails, and its thread is replaced if one
        may be; without a thread left, so does everybody who needs one.
        """
        for lane in self._lanes:
            lane.end_steps_longer_than(limit_s)

    def abandon(self) -> None:
        """The process ends: every step that is under way counts as stuck, and nobody waits for it.

        What such steps hold is let go of, although they may still use it.
        """
        for lane in self._lanes:
            lane.abandon()

    def close(self, patience_s: float = 0.0) -> int:
        """Let steps under way end, drop the others. Blocks until the threads are gone.

        Threads that are written off have ``patience_s`` to come back; how many did not.
        """
        return sum(lane.close(patience_s) for lane in self._lanes)


async def _settled(future: asyncio.Future[Any]) -> None:
    """Wait until ``future`` is done, whatever it comes to and however often we are cancelled."""
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            continue
    if not future.cancelled():
        future.exception()
