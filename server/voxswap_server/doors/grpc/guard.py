"""What stands between a client and a handler, for every method, ours and others' alike.

Limits of number and time:

::

    waiting     for its first message    a Row; who is late, or pushed out, is ended
    running     in its handler           a place among those of its method, or it is refused
    answering   until all was taken      writes of streams, a Row of answers; each has a time limit
    lame        told of its end          and does not take even that: see `Guard.lame`

grpc.aio reads a unary call's message itself, and waits for it for ever. So unary methods are
registered as streaming ones, of which the first message is read here.

And what a caller did is the caller's: messages that cannot be decoded, and connections that went
away, are no fault of the server's.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

import grpc
from typing_extensions import override

from voxswap_registry.errors import InvalidInputError, NotBuiltError
from voxswap_server.doors.errors import (
    FirstMessageError,
    TooManyCallsError,
    WriteStalledError,
)
from voxswap_server.doors.failures import Failure
from voxswap_server.doors.grpc.calls import ENDS
from voxswap_server.doors.grpc.connections import hang_up
from voxswap_server.doors.grpc.decoding import Undecodable, marking
from voxswap_server.doors.grpc.status import Context, Refusable, abort, clipped_message
from voxswap_server.doors.places import Places, Row
from voxswap_server.doors.shared import Shared

_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"

STREAMS = frozenset(
    (
        *(f"/voxswap.v1.SpeechService/{name}" for name in ("Synthesize", "Converse")),
        *(
            f"/nvidia.riva.tts.RivaSpeechSynthesis/{name}"
            for name in ("Synthesize", "SynthesizeOnline")
        ),
    )
)
# Of other methods. Each has its own, so that one that is flooded shuts nobody out of the others:
# calls that end soon, and those that stay open.
_MOST_CALLS, _MOST_OPEN = 128, 64
# Those who look after servers and clients come in numbers.
_MOST_CALLS_OF: Mapping[str, int] = {
    "/grpc.health.v1.Health/Check": 1024,
    "/grpc.health.v1.Health/Watch": 1024,
}
_MOST_WAITING, _MOST_ANSWERING, _MOST_LAME = 512, 512, 64
# grpc's core sends a timeout with three digits, rounded up, and in whole milliseconds: of what it
# says, so much may be none.
_ROUNDED_SHARE, _ROUNDED_S = 0.01, 0.001

_LOGGER = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Connection:
    """The calls of one connection."""

    calls: set[Call] = field(default_factory=set)
    lame: set[Call] = field(default_factory=set)


class Guard:
    """Makes handlers guarded, and keeps the books of their calls. Confined to one event loop."""

    def __init__(
        self,
        shared: Shared,
        *,
        observe_undecodable: Callable[[], object] = lambda: None,
        end_connection: Callable[[str], bool] = hang_up,
    ) -> None:
        """``observe_undecodable`` hears of messages.

        ``end_connection`` ends the one of a peer, if it is there.
        """
        self.limits = shared.limits
        self.under_way = shared.calls
        self._observe_undecodable = observe_undecodable
        self.refusals = shared.refusals
        self._end_connection = end_connection
        self._streams = shared.streams
        self._places: dict[str, Places] = {}
        self._connections: dict[str, _Connection] = {}  # by their peers' names
        self._open = 0
        self.waiting: Row[asyncio.Timeout] = Row(_MOST_WAITING, _expire)
        self.answering: Row[Call] = Row(_MOST_ANSWERING, self.stalled)
        self._nobody = asyncio.Event()
        self._nobody.set()

    def places(self, method: str) -> Places:
        """Those of ``method``."""
        return self._streams if method in STREAMS else self._places[method]

    @property
    def open_calls(self) -> int:
        """Calls that have begun, and whose end has not been sent yet."""
        return self._open

    async def nobody_left(self) -> None:
        """Wait until no call is open."""
        await self._nobody.wait()

    def handler(self, method: str, inner: _Handler) -> _Handler:
        """``inner``, guarded, under the name by which it is called: ``/package.Service/Method``."""
        behaviour = _behaviour(inner)
        if method not in STREAMS:
            usual = _MOST_OPEN if inner.response_streaming else _MOST_CALLS
            most = _MOST_CALLS_OF.get(method, usual)
            self._places[method] = Places(most, lambda n: _too_many_calls(method, n))

        async def answer(_: object, context: Context) -> Any:
            call = Call(context, self)
            self._come(call)
            try:
                return await self._run(call, method, inner, behaviour)
            except ENDS:
                raise
            except Exception as error:  # noqa: BLE001 - see `mapped`
                await abort(cast("Context", call), error)

        make = (
            grpc.stream_stream_rpc_method_handler
            if inner.response_streaming
            else grpc.stream_unary_rpc_method_handler
        )
        deserializer = marking(inner.request_deserializer, self._observe_undecodable)
        return make(answer, deserializer, inner.response_serializer)

    async def _run(self, call: Call, method: str, inner: _Handler, behaviour: Any) -> Any:
        first = await call.first_message()
        # A stop waits for those that run, and not for those that never said what they want.
        with self.places(method).one(), self.under_way.one(method):
            if inner.request_streaming:
                request: Any = call.messages()
            elif first is grpc.aio.EOF:
                raise InvalidInputError.one("message", "is missing; send one, then end the call")
            else:
                request = await call.read()
            if inspect.isasyncgenfunction(behaviour):
                async with aclosing(behaviour(request, call)) as responses:
                    async for message in responses:
                        await call.write(message)
                return None
            response = await behaviour(request, call)
        if not inner.response_streaming:
            call.answers()
        return response

    def stalled(self, call: Call) -> None:
        """The answer of ``call`` is not taken."""
        self.refusals.note(WriteStalledError.reason, "a client does not take the answer of a call")
        self.lame(call)

    def lame(self, call: Call) -> None:
        """``call`` has ended here, and its client does not take what is still to be sent.

        HTTP/2 lets its status wait behind that, and gRPC keeps both. That is borne as long as its
        connection does other things and lame calls are few; otherwise the connection is ended.
        """
        self._connections[call.peer].lame.add(call)
        limit_s = self.limits.stalled_write_s
        call.later(limit_s, lambda: self._end_if_useless(call.peer))
        lame = Counter({peer: len(c.lame) for peer, c in self._connections.items() if c.lame})
        if lame.total() > _MOST_LAME:
            self.end_connection(lame.most_common(1)[0][0])

    def _end_if_useless(self, peer: str) -> None:
        connection = self._connections[peer]
        if len(connection.lame) == len(connection.calls):
            self.end_connection(peer)

    def end_connection(self, peer: str) -> None:
        """End the connection from ``peer``, with all of its calls."""
        n = len(self._connections[peer].calls)
        if self._end_connection(peer):
            message = f"a client takes nothing of what is sent to it; its connection was ended, {n}"
            self.refusals.note("CONNECTION_STALLED", f"{message} calls with it")

    def _come(self, call: Call) -> None:
        self._connections.setdefault(call.peer, _Connection()).calls.add(call)
        self._open += 1
        self._nobody.clear()
        call.when_done(self._gone)

    def _gone(self, call: Call) -> None:
        self.answering.leave(call)
        connection = self._connections[call.peer]
        connection.calls.discard(call)
        connection.lame.discard(call)
        if not connection.calls:
            del self._connections[call.peer]
        self._open -= 1
        if not self._open:
            self._nobody.set()


class Call(Refusable):
    """A call as its handler sees it: grpc.aio's context, whose reads and writes have limits.

    A message that cannot be decoded is the caller's fault. A connection that went away while it was
    read or written is a call that was cancelled. And the time that remains is what the client will
    wait at least: grpc's core rounds up what the client says by as much as a hundredth.
    """

    def __init__(self, context: Context, guard: Guard) -> None:
        self._context = context
        self._guard = guard
        self.peer: str = context.peer()
        self._rounded_s = max(_ROUNDED_S, _ROUNDED_SHARE * (context.time_remaining() or 0.0))
        self._first: list[Any] = []  # a message that was read and not handed out
        self._has_written = False
        self._has_stalled = False
        self._timers: list[asyncio.TimerHandle] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def when_done(self, gone: Callable[[Call], object]) -> None:
        """Call ``gone`` when nothing of this call is left to do."""

        def done(_: object) -> None:
            for timer in self._timers:
                timer.cancel()
            gone(self)

        self._context.add_done_callback(done)  # type: ignore[arg-type]  # names its parameter

    def later(self, after_s: float, do: Callable[[], object]) -> None:
        """Call ``do`` unless the call is done by then."""
        self._timers.append(asyncio.get_running_loop().call_later(after_s, do))

    @override
    def refused(self, failure: Failure) -> None:
        self._guard.refusals.note(failure.reason, failure.refused)

    def time_remaining(self) -> float | None:
        """Seconds that the client will still wait, at the least; None: for ever."""
        remaining_s = self._context.time_remaining()
        return None if remaining_s is None else max(0.0, remaining_s - self._rounded_s)

    async def first_message(self) -> Any:
        """What `read` will give. Raises `FirstMessageError` if it does not come in time."""
        limit_s = self._guard.limits.first_message_s
        try:
            async with asyncio.timeout(limit_s) as limit:
                ends_at_s = limit.when()
                self._guard.waiting.join(limit)
                try:
                    with _gone_is_cancelled():
                        first = await self._context.read()
                finally:
                    self._guard.waiting.leave(limit)
        except TimeoutError:
            raise FirstMessageError(
                f"no message came within {limit_s:g} s of the beginning of the call; send it with "
                "the call"
                if limit.when() == ends_at_s
                else "too many calls have begun without a message, and this one waited longest; "
                "send it with the call"
            ) from None
        self._first.append(first)
        return first

    async def read(self) -> Any:
        """The next message, or `grpc.aio.EOF`. Raises `InvalidInputError` for what is none."""
        if self._first:
            message = self._first.pop()
        else:
            with _gone_is_cancelled():
                message = await self._context.read()
        if isinstance(message, Undecodable):
            raise message.error()
        return message

    async def messages(self) -> AsyncIterator[Any]:
        """All messages until the client's end."""
        while (message := await self.read()) is not grpc.aio.EOF:
            yield message

    async def write(self, message: Any) -> None:
        """Send ``message``. Raises `WriteStalledError` if the client does not take it in time."""
        limit_s = self._guard.limits.stalled_write_s
        try:
            async with asyncio.timeout(limit_s):
                with _gone_is_cancelled():
                    await self._context.write(message)
        except TimeoutError:
            self._has_stalled = True
            raise WriteStalledError(
                f"the client took nothing for {limit_s:g} s of what was sent, so the call was "
                "ended; read what comes, or cancel the call"
            ) from None
        self._has_written = True

    def answers(self) -> None:
        """The handler is done; what it gave is on its way, which is all that is left."""
        self._guard.answering.join(self)
        self.later(self._guard.limits.stalled_write_s, lambda: self._guard.stalled(self))

    async def abort(
        self, code: grpc.StatusCode, details: str = "", trailing_metadata: Any = ()
    ) -> None:
        """End the call with a status that is small enough to arrive."""
        if self._has_stalled:
            if not self._has_written:
                # The core takes no status before the first message has gone: nobody can be told.
                self._guard.end_connection(self.peer)
                raise asyncio.CancelledError
            self._guard.lame(self)
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
    behaviour = cast("Callable[[Any, Any], Any]", next(method for method in found if method))
    if inspect.iscoroutinefunction(behaviour) or inspect.isasyncgenfunction(behaviour):
        return behaviour
    return _not_built  # what generated code has for a method that nobody wrote


async def _not_built(_: object, __: object) -> Any:
    raise NotBuiltError("this method is not carried out by this server yet")


def _expire(limit: asyncio.Timeout) -> None:
    if not limit.expired():
        limit.reschedule(asyncio.get_running_loop().time())


def _too_many_calls(method: str, most: int) -> TooManyCallsError:
    name = method.rpartition("/")[2]
    return TooManyCallsError(
        f"{most} calls of {name} are open, the most that this server takes at a time; try again, "
        "or end one"
    )
