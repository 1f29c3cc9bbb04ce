"""Tasks that run for as long as something is open."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from typing import Any

from voxswap_server.app.way_down import WayDown

_LOGGER = logging.getLogger(__name__)


def in_background(
    stack: contextlib.AsyncExitStack,
    way_down: WayDown,
    work: Coroutine[Any, Any, None],
    name: str,
) -> None:
    """Run ``work`` until it ends or ``stack`` is closed."""
    task = asyncio.get_running_loop().create_task(work, name=name)
    way_down.closing(stack, name, lambda: stop(task))


async def stop(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for its end; whatever it came to is logged."""
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        pass
    except Exception:
        _LOGGER.exception("%s", task.get_name())
