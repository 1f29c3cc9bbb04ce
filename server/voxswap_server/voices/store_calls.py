"""Calls that block on the registry's store, off the event loop."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from voxswap_registry.errors import RegistryBusyError
from voxswap_server.voices.errors import StoreClosedError

_P = ParamSpec("_P")
_T = TypeVar("_T")


class StoreCalls:
    """Calls that block on the store, on threads of their own: one that hangs delays no other work.

    Thread-safe; `run` and `finish` are for an event loop. A call counts until its thread is done
    with it, even if nobody waits for it any more.
    """

    def __init__(self, *, threads: int = 8, most: int = 64) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="voxswap-store")
        self._places = threading.BoundedSemaphore(most)
        self._most = most

    async def run(self, func: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """What ``func`` returns, or raises. Raises `RegistryBusyError` if too many calls wait.

        `StoreClosedError` is one of those, for calls after `close`.
        If cancelled before its turn, ``func`` is never called; after that it goes on to its end.
        """
        if not self._places.acquire(blocking=False):
            raise RegistryBusyError(
                f"{self._most} calls wait for the registry's store, the most that this server "
                "lets wait; try again later, and see its log if the store hangs"
            )
        return await self._run(functools.partial(func, *args, **kwargs), self._places.release)

    async def finish(self, func: Callable[[], _T]) -> _T:
        """As `run`, but never refused before `close`: for what tidies up after others."""
        return await self._run(func, lambda: None)

    async def _run(self, func: Callable[[], _T], ended: Callable[[], object]) -> _T:
        wanted = True

        def work() -> _T:
            try:
                if not wanted:
                    raise asyncio.CancelledError
                return func()
            finally:
                ended()

        try:
            future = asyncio.wrap_future(self._executor.submit(work))
        except RuntimeError:  # what an executor says that was shut down
            ended()
            raise StoreClosedError(
                "this server stops, and does not ask the registry any more; ask another one"
            ) from None
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            wanted = False
            future.add_done_callback(_look_away)
            raise

    def close(self) -> None:
        """Take no more calls, and drop those that wait. Does not wait for threads that hang."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def _look_away(call: asyncio.Future[Any]) -> None:
    """What a call comes to that nobody waits for is no news; asyncio would log it."""
    if not call.cancelled():
        call.exception()
