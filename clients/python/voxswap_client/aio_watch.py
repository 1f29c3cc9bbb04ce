"""The events of a server's memory, for the asyncio client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

import grpc.aio

from voxswap.v1 import residency_pb2
from voxswap_client.aio_connection import Sleep, call_cancelled, grpc_errors
from voxswap_client.errors import VoxswapClientError
from voxswap_client.residency_types import ResidencyEvent
from voxswap_client.watching import WatchProgress, ended

if TYPE_CHECKING:
    WatchCall = grpc.aio.UnaryStreamCall[residency_pb2.WatchRequest, residency_pb2.WatchResponse]


class AsyncResidencyWatch(AsyncIterator[ResidencyEvent]):
    """Iterates over events, each as it comes; see `voxswap_client.watch.ResidencyWatch`.

    Use it in an ``async with`` block. For one task at a time, in the event loop of its client;
    cancelling the task that waits for an event ends the call.
    """

    def __init__(
        self,
        start: Callable[[residency_pb2.WatchRequest], WatchCall],
        progress: WatchProgress,
        *,
        sleep: Sleep,
    ) -> None:
        self._start = start
        self._progress = progress
        self._sleep = sleep
        self._cancelled = False
        self._call = start(progress.begin())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ResidencyEvent:
        while True:
            message = await self._receive()
            try:
                event = self._progress.accept(message)
            except VoxswapClientError:
                self.cancel()
                raise
            if event is not None:
                return event

    def cancel(self) -> None:
        """End the watch, here and at the server. Idempotent."""
        self._cancelled = True
        self._call.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.cancel()

    async def _receive(self) -> residency_pb2.WatchResponse:
        """The next message; resumes a stream that broke."""
        while True:
            try:
                with grpc_errors():
                    message = await self._call.read()
                if isinstance(message, residency_pb2.WatchResponse):
                    return message
                raise ended()
            except asyncio.CancelledError:
                self.cancel()
                raise
            except VoxswapClientError as error:
                delay_s = self._progress.delay_s(error)
                if delay_s is None:
                    self.cancel()
                    raise
            await self._sleep(delay_s)
            if self._cancelled:
                raise call_cancelled()
            try:
                self._call = self._start(self._progress.begin())
            except grpc.aio.UsageError as error:  # the client was closed meanwhile
                raise call_cancelled() from error
