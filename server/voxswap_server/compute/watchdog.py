"""Ends steps of compute that do not come back, and says when no thread is left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from voxswap_server.compute.scheduler import Scheduler

_LOGGER = logging.getLogger(__name__)


async def watch_steps(
    scheduler: Scheduler,
    tell: Callable[[bool, bool], None],
    *,
    after_s: float,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Look at the scheduler four times in ``after_s``, for ever.

    A step that has been under way for longer than ``after_s`` is ended or written off, and its
    stream has failed by then. ``tell(may_be_long, are_there)`` hears whether there are threads left
    for steps that may be long, and for others.
    """
    lost, had_threads = 0, {False: True, True: True}
    while True:
        await sleep(after_s / 4)
        scheduler.end_steps_longer_than(after_s)
        before, lost = lost, scheduler.lost
        if lost > before:
            _LOGGER.error(
                "a step of compute has not come back for %g s: its voice is barred, and its thread "
                "written off, the %s that still hangs",
                *(after_s, _nth(lost)),
            )
        elif lost < before:
            _LOGGER.warning("a step of compute came back after all; %d still hang", lost)
        for may_be_long, had in had_threads.items():
            has = had_threads[may_be_long] = scheduler.is_alive(may_be_long=may_be_long)
            tell(may_be_long, has)
            if had != has:
                _log(has=has, may_be_long=may_be_long)


def _log(*, has: bool, may_be_long: bool) -> None:
    which = "long steps (Kokoro voices)" if may_be_long else "steps of compute"
    if has:
        _LOGGER.warning("there is a thread for %s again, and they are served", which)
    else:
        _LOGGER.error(
            "no thread is left for %s: what needs one fails, and health says NOT_SERVING for it "
            "until a step comes back. Restart the server if it stays so",
            which,
        )


def _nth(n: int) -> str:
    return {1: "first", 2: "second", 3: "third"}.get(n, f"{n}th")
