"""Notices a step of compute that does not come back, and tells the health service."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from voxswap_server.speech.scheduler import Scheduler

_LOGGER = logging.getLogger(__name__)


class Tell(Protocol):
    """Whoever is to know."""

    async def __call__(self, *, serves: bool) -> None:
        """Whether the server can speak."""
        ...


async def watch_steps(
    scheduler: Scheduler,
    tell: Tell,
    *,
    after_s: float,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Look at the scheduler four times in ``after_s``, for ever; ``tell`` hears of changes.

    With False once a step has been under way for longer than ``after_s``: by then its stream, and
    whoever waits behind it, has failed. With True when it came back after all.
    """
    was_stuck = False
    while True:
        await sleep(after_s / 4)
        is_stuck = scheduler.is_stuck(after_s)
        if is_stuck != was_stuck:
            was_stuck = is_stuck
            if is_stuck:
                _LOGGER.error(
                    "a step of compute has not come back for %g s; streams fail, and the health "
                    "service says NOT_SERVING until it does. Restart the server if it stays so",
                    after_s,
                )
            else:
                _LOGGER.warning("the step of compute came back; the server serves again")
            await tell(serves=not is_stuck)
