"""Executors whose work is done when a test says so, and callbacks of the loop that are ready."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any


class ManualExecutor(Executor):
    """Work waits until the test says `run_next`; then it runs on the spot."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.waiting.append((future, lambda: fn(*args, **kwargs)))
        return future

    def run_next(self, index: int = 0) -> None:
        future, work = self.waiting[index]
        del self.waiting[index]
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - as executors do
            future.set_exception(error)
            del future  # as executors do: the error has this frame, and must not keep itself
        else:
            future.set_result(result)


class ReadyExecutor(Executor):
    """Work is done before it is handed in."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        manual = ManualExecutor()
        future = manual.submit(fn, *args, **kwargs)
        manual.run_next()
        return future


async def settle() -> None:
    """Let every callback that is ready run, and those that they make ready."""
    for _ in range(25):
        await asyncio.sleep(0)
