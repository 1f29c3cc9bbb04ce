"""A call of the asyncio client that streams its answers, and is begun anew when it breaks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from voxswap_client._backend import aio as backend
from voxswap_client.errors import VoxswapClientError
from voxswap_client.rpc_status import cancelled

_Message = TypeVar("_Message")
_Item = TypeVar("_Item")


class AsyncAnswers(Generic[_Message]):
    """The messages of a call, and of those that take its place.

    For one task at a time, in the event loop of its client, but for `cancel`, which any of its
    tasks may call. ``start`` begins the call once more; ``delay_s`` says how many seconds after an
    error that may be, None if it is final. Where the messages must not end, ``at_end`` makes the
    error for an end.
    """

    def __init__(
        self,
        start: Callable[[], backend.Answers[_Message]],
        delay_s: Callable[[VoxswapClientError], float | None],
        *,
        sleep: backend.Sleep,
        at_end: Callable[[], VoxswapClientError] | None = None,
    ) -> None:
        self._start = start
        self._delay_s = delay_s
        self._sleep = sleep
        self._at_end = at_end
        self._lock = backend.Lock()  # guards the two below: a retry must not outrun `cancel`
        self._cancelled = False
        with backend.grpc_errors():
            self._call = start()

    async def next(self) -> _Message | None:
        """The next message, None at the end.

        Raises `VoxswapClientError`. A task that is cancelled here cancels the call.
        """
        while True:
            try:
                message = await backend.receive(self._call)
                if message is None and self._at_end is not None:
                    raise self._at_end()
                return message
            except VoxswapClientError as error:
                delay_s = self._delay_s(error)
                if delay_s is None:
                    raise
            await self._sleep(delay_s)
            with self._lock:
                if self._cancelled:
                    raise cancelled()
                with backend.grpc_errors():
                    self._call = self._start()

    def cancel(self) -> None:
        """End the call, here and at the server. Idempotent."""
        with self._lock:
            self._cancelled = True
            self._call.cancel()


class AsyncItems(AsyncIterator[_Item]):
    """What a call gives, item by item. Leaving the block of one cancels the call."""

    _answers: AsyncAnswers[Any]

    def __aiter__(self) -> Self:
        return self

    def cancel(self) -> None:
        """End the call, here and at the server. Idempotent; does nothing after the end."""
        self._answers.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.cancel()
