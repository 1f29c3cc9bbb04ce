"""The events of a server's memory, for the blocking client."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

import grpc

from voxswap.v1 import residency_pb2
from voxswap_client.errors import CallCancelledError, VoxswapClientError
from voxswap_client.residency_types import ResidencyEvent
from voxswap_client.rpc_status import from_rpc_error
from voxswap_client.watching import WatchProgress, ended

if TYPE_CHECKING:
    from grpc import _CallIterator as CallIterator  # the stubs' name for a call that is iterated


class ResidencyWatch(Iterator[ResidencyEvent]):
    """Iterates over events, each as it comes, and never ends well.

    A connection that breaks is made anew after the last event, so that none is missed or told
    twice. Use it in a ``with`` block: leaving it ends the call. Not thread-safe, but for `cancel`,
    which any thread may call at any time. Iteration blocks for the server, and raises
    `VoxswapClientError`: `EventsLostError` if the server no longer has the next event,
    `SlowWatcherError` if this reader was too slow, `UnavailableError` if the server stays away,
    `CallCancelledError` after `cancel`.
    """

    def __init__(
        self,
        start: Callable[[residency_pb2.WatchRequest], CallIterator[residency_pb2.WatchResponse]],
        progress: WatchProgress,
        *,
        sleep: Callable[[float], object],
    ) -> None:
        self._start = start
        self._progress = progress
        self._sleep = sleep
        self._lock = (
            threading.Lock()
        )  # guards _cancelled and _call: a resume must not outrun cancel
        self._cancelled = False
        self._call = start(progress.begin())

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ResidencyEvent:
        while True:
            message = self._receive()
            try:
                event = self._progress.accept(message)
            except VoxswapClientError:
                self.cancel()
                raise
            if event is not None:
                return event

    def cancel(self) -> None:
        """End the watch, here and at the server. Idempotent."""
        with self._lock:
            self._cancelled = True
            self._call.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.cancel()

    def _receive(self) -> residency_pb2.WatchResponse:
        """The next message; resumes a stream that broke."""
        while True:
            cause: grpc.RpcError | None = None
            try:
                message = next(self._call, None)
            except grpc.RpcError as raised:
                error, cause = from_rpc_error(raised), raised
            else:
                if message is not None:
                    return message
                error = ended()
            delay_s = self._progress.delay_s(error)
            if delay_s is None:
                raise error from cause
            self._sleep(delay_s)
            self._resume()

    def _resume(self) -> None:
        with self._lock:
            if self._cancelled:
                raise _cancelled()
            try:
                self._call = self._start(self._progress.begin())
            except ValueError as error:  # the client was closed meanwhile
                raise _cancelled() from error


def _cancelled() -> CallCancelledError:
    return CallCancelledError("the call was cancelled", code="CANCELLED")
