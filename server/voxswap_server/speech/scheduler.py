"""Steps of compute, off the event loop: the most urgent first.

Which work goes on is decided anew after each step, so what is urgent waits for one step at most.
"""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from voxswap_server.engines.work import Work
from voxswap_server.speech.lane import Lane, Ran, Surroundings

_T = TypeVar("_T")


class Scheduler:
    """Owns a device's compute threads, and one more for works whose steps may be long.

    Who asks with deadlines that move on with the clock is served in the end, whatever else is asked
    for: see `Line`. `run` belongs on an event loop; everything else may be called from any thread.
    """

    def __init__(
        self,
        name: str = "voxswap-compute",
        *,
        threads: int = 1,
        most_together: int = 4,
        surroundings: Surroundings | None = None,
    ) -> None:
        """As many steps at a time as there are ``threads``: each has one to itself.

        At most ``most_together`` works take a step together.
        """
        around = surroundings or Surroundings()
        self.threads = threads
        self._lanes = (
            Lane(name, threads, most_together, around),
            Lane(f"{name}-long", 1, most_together, around),
        )

    async def run(self, work: Work[_T], *, due_s: float = 0.0) -> Ran[_T]:
        """Take all steps of ``work``, which is due at ``due_s`` on the clock.

        Raises whatever it raises, and `DeviceStuckError` if a step does not come back.

        Cancelling drops the steps that are left. One that has begun cannot be stopped: `run` then
        ends when the step does, so that whoever awaits it may give back what the step was using.
        """
        lane = self._lanes[work.may_be_long]
        entry, future = lane.add(work, due_s)
        del work  # the line lets go of it when nobody waits for it any more
        wrapped = asyncio.wrap_future(future)
        try:
            return await asyncio.shield(wrapped)
        except asyncio.CancelledError:
            lane.give_up(entry)
            await _settled(wrapped)
            raise

    @property
    def waiting(self) -> int:
        """Works in line."""
        return sum(lane.waiting for lane in self._lanes)

    def is_stuck(self, after_s: float) -> bool:
        """Whether a step has been under way for longer than ``after_s``.

        If so, whoever waits for its lane gets `DeviceStuckError`, and so does whoever comes, until
        the step ends after all.
        """
        found = [lane.is_stuck(after_s) for lane in self._lanes]  # each of them is to look
        return any(found)

    def abandon(self) -> None:
        """Let go of what stuck steps hold, because the process ends: leases wait for them."""
        for lane in self._lanes:
            lane.abandon()

    def close(self) -> None:
        """Let steps under way end, drop the others. Blocks until the threads are gone.

        One that is stuck is left behind.
        """
        for lane in self._lanes:
            lane.close()


async def _settled(future: asyncio.Future[Any]) -> None:
    """Wait until ``future`` is done, whatever it comes to and however often we are cancelled."""
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            continue
    if not future.cancelled():
        future.exception()
