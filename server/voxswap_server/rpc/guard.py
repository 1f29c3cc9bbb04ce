"""Stands between grpc and every servicer, ours and others': what a caller did is the caller's."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import grpc

from voxswap_registry.errors import InvalidInputError
from voxswap_server.rpc.calls import not_built, statuses
from voxswap_server.rpc.status import Context, clipped_message

_LOGGER = logging.getLogger(__name__)

# grpc's core sends a timeout with three digits, rounded up: of what it says, so much may be none.
_ROUNDED_SHARE = 0.01

if TYPE_CHECKING:
    _Handler: TypeAlias = grpc.RpcMethodHandler[Any, Any]
else:  # grpc's class takes no parameters when it runs
    _Handler = grpc.RpcMethodHandler
_Deserializer = Callable[[bytes], Any]


@dataclass(frozen=True, slots=True)
class Undecodable:
    """Stands for a message that is none of its method's.

    grpc takes what a deserializer raises for the server's fault: UNKNOWN, and a traceback for six
    bytes of a stranger's.
    """

    expected: str

    def error(self) -> InvalidInputError:
        """What the caller is told."""
        return InvalidInputError.one(
            "message",
            f"is no {self.expected}: it was cut or damaged, or is meant for another method or "
            "service",
        )


class Guard(grpc.aio.ServerInterceptor):
    """Lets every method read and write through a `GuardedContext`. Confined to one event loop.

    ``observe`` hears of each message that could not be decoded.
    """

    def __init__(self, observe: Callable[[], object] = lambda: None) -> None:
        self._observe = observe
        self._guarded: dict[str, tuple[_Handler, _Handler]] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler | None:
        """The handler that grpc would call, guarded; None if the method is unknown."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        known, guarded = self._guarded.get(handler_call_details.method, (None, None))
        if known is not handler or guarded is None:
            guarded = guarded_handler(handler, self._observe)
            self._guarded[handler_call_details.method] = (handler, guarded)
        return guarded


def guarded_handler(handler: _Handler, observe: Callable[[], object]) -> _Handler:
    """``handler`` with messages that are checked and errors that become statuses.

    To grpc all of them take streams: where there is one message it is read here, so that a call
    that ends without it gets an answer.
    """
    behaviour = _behaviour(handler)
    if not (inspect.iscoroutinefunction(behaviour) or inspect.isasyncgenfunction(behaviour)):
        behaviour = _not_built  # what generated code has for a method that nobody wrote
    deserializer = _marking(handler.request_deserializer, observe)
    writes = not handler.response_streaming or not inspect.isasyncgenfunction(behaviour)

    async def request(context: GuardedContext) -> Any:
        return context.messages() if handler.request_streaming else await context.message()

    async def call(_: object, unguarded: Context) -> Any:
        context = GuardedContext(unguarded)
        async with statuses(cast("Context", context)):
            return await behaviour(await request(context), context)

    async def call_generator(_: object, unguarded: Context) -> None:
        context = GuardedContext(unguarded)
        async with (
            statuses(cast("Context", context)),
            contextlib.aclosing(behaviour(await request(context), context)) as answers,
        ):
            async for answer in answers:
                await context.write(answer)

    make = (
        grpc.stream_stream_rpc_method_handler
        if handler.response_streaming
        else grpc.stream_unary_rpc_method_handler
    )
    return make(call if writes else call_generator, deserializer, handler.response_serializer)


class GuardedContext:
    """A call's context, as grpc has it but for what follows. Confined to one event loop.

    A message that cannot be decoded is the caller's fault. A connection that went away while it was
    written to is a call that was cancelled. And the time that remains is what the client will wait
    at least: grpc's core rounds up what the client says by as much as a hundredth.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._rounded_s = _ROUNDED_SHARE * (context.time_remaining() or 0.0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def time_remaining(self) -> float | None:
        """Seconds that the client will still wait, at the least; None: for ever."""
        remaining_s = self._context.time_remaining()
        return None if remaining_s is None else max(0.0, remaining_s - self._rounded_s)

    async def read(self) -> Any:
        """The next message, or `grpc.aio.EOF`. Raises `InvalidInputError`."""
        with _gone_is_cancelled():
            message = await self._context.read()
        if isinstance(message, Undecodable):
            raise message.error()
        return message

    async def message(self) -> Any:
        """The only message. Raises `InvalidInputError`."""
        message = await self.read()
        if message is grpc.aio.EOF:
            raise InvalidInputError.one("message", "is missing; send one before the call's end")
        return message

    async def messages(self) -> AsyncIterator[Any]:
        """All messages as they come. Raises `InvalidInputError`."""
        while (message := await self.read()) is not grpc.aio.EOF:
            yield message

    async def write(self, message: Any) -> None:
        """Send a message."""
        with _gone_is_cancelled():
            await self._context.write(message)

    async def abort(
        self, code: grpc.StatusCode, details: str = "", trailing_metadata: Any = ()
    ) -> None:
        """End the call with a status that is small enough to arrive."""
        with _gone_is_cancelled():
            await self._context.abort(code, clipped_message(details), trailing_metadata)


@contextlib.contextmanager
def _gone_is_cancelled() -> Iterator[None]:
    try:
        yield
    except grpc.aio.InternalError as error:
        _LOGGER.debug("a connection went away under a call: %s", error)
        raise asyncio.CancelledError from None


def _behaviour(handler: _Handler) -> Callable[[Any, Any], Any]:
    """The servicer's method, of whichever kind."""
    found = (
        *(handler.unary_unary, handler.unary_stream),
        *(handler.stream_unary, handler.stream_stream),
    )
    return cast("Callable[[Any, Any], Any]", next(behaviour for behaviour in found if behaviour))


async def _not_built(_: object, __: object) -> Any:
    raise not_built("this method")


def _marking(deserializer: _Deserializer | None, observe: Callable[[], object]) -> _Deserializer:
    if deserializer is None:
        return lambda data: data
    kind = getattr(deserializer, "__self__", None)
    expected = getattr(getattr(kind, "DESCRIPTOR", None), "full_name", "message of this method")

    def decode(data: bytes) -> Any:
        try:
            return deserializer(data)
        except Exception as error:  # noqa: BLE001 - whatever a decoder makes of foreign bytes
            _LOGGER.debug("%d bytes are no %s: %s", len(data), expected, error)
            observe()
            return Undecodable(expected)

    return decode
