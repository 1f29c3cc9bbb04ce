"""Threads and the calls of grpc, for the blocking client; `aio` has the same names."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Generic, ParamSpec, TypeVar

import grpc

from voxswap.v1.voices_pb2 import RegisterVoiceRequest, RegisterVoiceResponse
from voxswap_client.channel import OPTIONS
from voxswap_client.errors import VoxswapClientError
from voxswap_client.rpc_status import cancelled, from_rpc_error
from voxswap_client.types import InterruptReceipt
from voxswap_client.upload import Meter

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Sent = TypeVar("_Sent")
_Got = TypeVar("_Got")

Sleep = Callable[[float], object]
Interrupt = Callable[[str], InterruptReceipt]
Fragments = Iterable[str]
if TYPE_CHECKING:
    from grpc import _CallIterator  # the stubs' name for a call that is iterated

    Answers = _CallIterator
    TwoWay = _CallIterator
    Unary = grpc.UnaryUnaryMultiCallable

FAULTS = BaseException  # what fragments may fail with: nothing else would tell of it
Lock = threading.Lock
sleep = time.sleep


def open_channel(address: str, credentials: grpc.ChannelCredentials | None) -> grpc.Channel:
    """A channel to ``address``; without ``credentials`` nothing is encrypted."""
    if credentials is None:
        return grpc.insecure_channel(address, options=OPTIONS)
    return grpc.secure_channel(address, credentials, options=OPTIONS)


@contextlib.contextmanager
def grpc_errors() -> Iterator[None]:
    """What grpc raises in the block leaves it as a `VoxswapClientError`."""
    try:
        yield
    except grpc.RpcError as raised:
        raise from_rpc_error(raised) from raised
    except ValueError as error:  # the client is closed
        raise cancelled() from error


def receive(call: Answers[_T]) -> _T | None:
    """The next message, None at the end. Blocks; raises `VoxswapClientError`."""
    with grpc_errors():
        return next(call, None)


def run_blocking(function: Callable[_P, _T], *args: _P.args, **options: _P.kwargs) -> _T:
    """What ``function`` gives: in this very thread."""
    return function(*args, **options)


class Exchange(Generic[_Sent, _Got]):
    """A call that sends messages, kept here until there is room, while it receives others.

    Thread-safe, but for `receive`, which is for one thread at a time. ``on_end`` is called once the
    call is over, however it ended.
    """

    def __init__(
        self,
        start: Callable[[Iterator[_Sent]], Answers[_Got]],
        first: _Sent,
        *,
        on_end: Callable[[], object],
    ) -> None:
        self._outbox = outbox = queue.SimpleQueue[_Sent | None]()
        outbox.put(first)
        with grpc_errors():
            self._call = start(_until_none(outbox))

        def ended() -> None:
            outbox.put(None)  # grpc's own thread waits at the outbox: let it go
            on_end()

        if not self._call.add_callback(ended):
            ended()

    def put(self, message: _Sent | None) -> None:
        """Send ``message`` in its turn; None ends our side. Never blocks."""
        self._outbox.put(message)

    def receive(self) -> _Got | None:
        """The next message, None at the end. Blocks; raises `VoxswapClientError`."""
        return receive(self._call)

    @property
    def is_over(self) -> bool:
        """Whether the call has ended."""
        return not self._call.is_active()

    @property
    def failure(self) -> VoxswapClientError | None:
        """What a call that is over failed with, if it did."""
        call = self._call
        if isinstance(call, grpc.RpcError) and call.code() is not grpc.StatusCode.OK:
            return from_rpc_error(call)
        return None

    def cancel(self) -> None:
        """End the call. Idempotent."""
        self._call.cancel()


def _until_none(outbox: queue.SimpleQueue[_T | None]) -> Iterator[_T]:
    while (message := outbox.get()) is not None:
        yield message


class Feeders:
    """Threads that work beside a conversation. A thread cannot be ended: it looks at its turn."""

    def begin(self, feed: Callable[[], None]) -> None:
        """Run ``feed``."""
        threading.Thread(target=feed, name="voxswap-feed", daemon=True).start()

    def stop(self) -> None:
        """Nothing: see above."""

    def join(self) -> None:
        """Nothing: one that waits for its fragments may do so for ever."""


def each(fragments: Fragments) -> Iterable[str]:
    """``fragments``, which may block."""
    return fragments


def close(fragments: Fragments) -> None:
    """Nobody reads on: whoever writes ``fragments`` need not go on."""
    if isinstance(fragments, Generator):
        fragments.close()


def send_all(
    method: grpc.StreamUnaryMultiCallable[RegisterVoiceRequest, RegisterVoiceResponse],
    messages: Iterator[RegisterVoiceRequest],
    meter: Meter,
    timeout_s: float | None,
) -> RegisterVoiceResponse:
    """Send everything and wait for the answer. Blocks; grpc sends in a thread of its own.

    What ``messages`` and ``meter`` raise there is raised here, and the call is cancelled. If the
    server ends the call before it has everything, `VoxswapClientError` has its own status, whatever
    became of the message on its way.
    """
    failures: list[Exception] = []
    begun: Future[grpc.Future[RegisterVoiceResponse]] = Future()

    def feed() -> Iterator[RegisterVoiceRequest]:
        call = begun.result()  # nothing goes out that nobody could stop
        try:
            for message in messages:
                yield message
                meter.sent(message)
        except Exception as error:  # noqa: BLE001 - grpc would log it, and say UNKNOWN
            failures.append(error)
            call.cancel()

    try:
        with grpc_errors():
            call = method.future(feed(), timeout=timeout_s)
            begun.set_result(call)
            return call.result()
    except grpc.FutureCancelledError:
        raise failures[0] from None  # nobody else can have cancelled it
    finally:
        if not begun.cancel():
            begun.result().cancel()
