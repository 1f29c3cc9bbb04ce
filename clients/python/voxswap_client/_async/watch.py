"""The events of a server's memory, for the asyncio client."""

from __future__ import annotations

from collections.abc import Callable

from voxswap.v1 import residency_pb2
from voxswap_client._async.answers import AsyncAnswers, AsyncItems
from voxswap_client._backend import aio as backend
from voxswap_client.errors import VoxswapClientError
from voxswap_client.residency_types import ResidencyEvent
from voxswap_client.watching import WatchProgress, ended


class AsyncResidencyWatch(AsyncItems[ResidencyEvent]):
    """Iterates over events, each as it comes, and never ends well.

    A connection that breaks is made anew after the last event, so that none is missed or told
    twice. Use it in an ``async with`` block: leaving it ends the call. For one task at a time, in
    the event loop of its client, but for `cancel`, which any of its tasks may call. Iteration waits
    for the server, and raises `VoxswapClientError`: `EventsLostError` if the server no longer has
    the next event, `SlowWatcherError` if this reader was too slow, `UnavailableError` if the server
    stays away, `CallCancelledError` after `cancel`. Where the waiting task is cancelled, so is the
    call.
    """

    def __init__(
        self,
        start: Callable[[residency_pb2.WatchRequest], backend.Answers[residency_pb2.WatchResponse]],
        progress: WatchProgress,
        *,
        sleep: backend.Sleep,
    ) -> None:
        self._progress = progress
        self._answers = AsyncAnswers(
            lambda: start(progress.begin()), progress.delay_s, sleep=sleep, at_end=ended
        )

    async def __anext__(self) -> ResidencyEvent:
        while True:
            message = await self._answers.next()
            try:
                event = self._progress.accept(message) if message is not None else None
            except VoxswapClientError:
                self.cancel()
                raise
            if event is not None:
                return event
