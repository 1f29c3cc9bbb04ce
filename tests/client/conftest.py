"""A real gRPC server on a loopback socket with scripted services; both clients with one face."""

from __future__ import annotations

import contextlib
import os
import struct
import sys
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from tests.client.fake_conversations import FakeConversations, SyncConversation
from tests.client.fake_residency import FakeResidency
from tests.client.fake_voices import FakeVoices
from tests.client.statuses import abort, fail, reason, retry_info
from tests.fakes.clocks import FakeClock
from voxswap.v1 import (
    residency_pb2_grpc,
    speech_pb2,
    speech_pb2_grpc,
    voices_pb2_grpc,
)
from voxswap_client import AsyncClient, Client

PATIENCE_S = 10.0  # how long a test waits for an event that must come
RATE_HERTZ = 8000
Part = speech_pb2.SynthesizeResponse
Behaviour = Callable[[Any, Any], Iterator[Part]]


def header(**changes: Any) -> Part:
    """The header of the default line."""
    fields: dict[str, Any] = {
        "voice": "npc/smith@3",
        "component_digests": ["sha256:" + "a" * 64],
        "sample_rate_hertz": RATE_HERTZ,
        "encoding": speech_pb2.AUDIO_ENCODING_PCM_S16LE,
        "estimated_samples": 12,
        "cold": True,
        "queue_ms": 1.5,
        "swap_ms": 20.0,
    }
    return Part(header=speech_pb2.Header(**(fields | changes)))


def chunk(start: int, count: int, *marks: speech_pb2.Mark, audio: bytes | None = None) -> Part:
    """Samples that count upwards from ``start``, as 16-bit integers."""
    data = struct.pack(f"<{count}h", *range(start, start + count)) if audio is None else audio
    return Part(
        chunk=speech_pb2.AudioChunk(audio=data, start_sample=start, sample_count=count, marks=marks)
    )


def trailer(total: int = 12, **changes: Any) -> Part:
    """The trailer of the default line."""
    fields: dict[str, Any] = {
        "total_samples": total,
        "seed": 7,
        "compute_ms": 0.75,
        "first_chunk_ms": 30.0,
    }
    return Part(trailer=speech_pb2.Trailer(**(fields | changes)))


WORD = speech_pb2.Mark(
    kind=speech_pb2.MARK_KIND_WORD, text="Hi", start_sample=0, duration_samples=8, text_end=2
)
CLOSING_SIL = speech_pb2.Mark(
    kind=speech_pb2.MARK_KIND_VISEME, text="sil", start_sample=12, duration_samples=0
)
LINE = (header(), chunk(0, 4, WORD), chunk(4, 4), chunk(8, 4, CLOSING_SIL), trailer())


def play(*parts: Part) -> Behaviour:
    """Sends these parts and ends well."""
    return lambda _request, _context: iter(parts)


class FakeServer(
    FakeConversations,
    FakeResidency,
    FakeVoices,
    speech_pb2_grpc.SpeechServiceServicer,
):
    """All three services. ``script`` holds what the next calls do; once it is empty, all is well.

    ``requests`` are those that came. ``waiting`` is set once a stalled stream waits, ``ended`` once
    the client has ended it.
    """

    # The parts, for tests: this module cannot be imported by them.
    header, chunk, trailer = staticmethod(header), staticmethod(chunk), staticmethod(trailer)
    play, fail, retry_info = staticmethod(play), staticmethod(fail), staticmethod(retry_info)
    abort, reason = staticmethod(abort), staticmethod(reason)
    line = LINE
    patience_s = PATIENCE_S

    def __init__(self, *, with_health: bool = True) -> None:
        FakeVoices.__init__(self)
        FakeResidency.__init__(self)
        self.requests: list[Any] = []
        self.user_agents: list[str] = []
        self.script: deque[Behaviour] = deque()
        self.waiting = threading.Event()
        self.ended = threading.Event()
        self.health = health.HealthServicer()
        self._server = grpc.server(ThreadPoolExecutor(8))
        speech_pb2_grpc.add_SpeechServiceServicer_to_server(self, self._server)
        voices_pb2_grpc.add_VoiceServiceServicer_to_server(self, self._server)
        residency_pb2_grpc.add_ResidencyServiceServicer_to_server(self, self._server)
        if with_health:
            health_pb2_grpc.add_HealthServicer_to_server(self.health, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self.serving(now=True)

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        self._server.stop(None).wait()

    def serving(self, *, now: bool) -> None:
        kind = health_pb2.HealthCheckResponse
        self.health.set("", kind.SERVING if now else kind.NOT_SERVING)

    def stall(self, *parts: Part) -> Behaviour:
        """Sends these parts, then waits until the client ends the call."""

        def behaviour(_request: Any, context: Any) -> Iterator[Part]:
            # Before the first part: a generator whose call has ended is not resumed.
            if not context.add_callback(self.ended.set):
                self.ended.set()
            yield from parts
            self.waiting.set()
            # Longer than any test waits for `ended`, so that only the client can be what sets it.
            self.ended.wait(3 * PATIENCE_S)

        return behaviour

    def Synthesize(self, request: Any, context: Any) -> Iterator[Part]:  # noqa: N802
        self._note(request, context)
        behaviour = self.script.popleft() if self.script else play(*LINE)
        yield from behaviour(request, context)

    def _note(self, request: Any, context: Any) -> None:
        # The client goes on to change and resend its page request.
        self.requests.append(type(request).FromString(request.SerializeToString()))
        self.user_agents.append(dict(context.invocation_metadata())["user-agent"])

    def _unary(self, request: Any, context: Any) -> None:
        self._note(request, context)
        if self.script:
            for _ in self.script.popleft()(request, context):
                pass

    def _streamed(self, requests: Any, context: Any) -> Iterator[Any]:
        def noted() -> Iterator[Any]:
            for request in requests:
                self._note(request, context)
                yield request

        stream = noted()
        if self.script:
            for _ in self.script.popleft()(stream, context):
                pass
        return stream


PYTHONPATH = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path)


@pytest.fixture(autouse=True)
def _absolute_pythonpath(monkeypatch: pytest.MonkeyPatch) -> None:
    """Subprocesses import what this process imports, from whichever folder they start in."""
    monkeypatch.setenv("PYTHONPATH", PYTHONPATH)


@pytest.fixture
def at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder of one's own, and an environment that names its registry and no server."""
    monkeypatch.chdir(tmp_path)
    for name in ("VOXSWAP_ADDRESS", "VOXSWAP_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VOXSWAP_REGISTRY", "var/registry")


@pytest.fixture
def registry(tmp_path: Path) -> Any:
    """The registry that the environment names: npc/baker@1, npc/smith@1 and the same as @2."""
    from tests.client.local_voices import draft
    from voxswap_registry.store import Registry

    found = Registry(tmp_path / "var" / "registry")
    baker = draft(tmp_path, "npc/baker", weights=b"other", language="de", tags=("old", "kind"))
    found.publish(baker)
    found.publish(draft(tmp_path))
    found.publish(draft(tmp_path))
    return found


@pytest.fixture
def server() -> Iterator[FakeServer]:
    fake = FakeServer()
    fake.start()
    yield fake
    fake.stop()


@pytest.fixture
def make_server() -> Iterator[Callable[..., FakeServer]]:
    """Makes servers that have not been started."""
    with contextlib.ExitStack() as stack:

        def make(**options: Any) -> FakeServer:
            fake = FakeServer(**options)
            stack.callback(fake.stop)
            return fake

        yield make


@pytest.fixture
def fake_clock() -> FakeClock:
    return FakeClock()


class _SyncStream:
    """A `SpeechStream` with the face of an `AsyncSpeechStream`."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.cancel = stream.cancel
        self.result = stream.result

    receipt = property(lambda self: self._stream.receipt)
    trailer = property(lambda self: self._stream.trailer)
    ttfa_ms = property(lambda self: self._stream.ttfa_ms)

    async def header(self) -> Any:
        return self._stream.header

    async def collect(self) -> Any:
        return self._stream.collect()

    async def interrupt(self) -> Any:
        return self._stream.interrupt()

    def __aiter__(self) -> _SyncStream:
        return self

    async def __anext__(self) -> Any:
        try:
            return next(self._stream)
        except StopIteration:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> _SyncStream:
        self._stream.__enter__()
        return self

    async def __aexit__(self, *exc: Any) -> None:
        self._stream.__exit__(*exc)


class _SyncWatch:
    """A `ResidencyWatch` with the face of an `AsyncResidencyWatch`."""

    def __init__(self, watch: Any) -> None:
        self._watch = watch
        self.cancel = watch.cancel

    def __aiter__(self) -> _SyncWatch:
        return self

    async def __anext__(self) -> Any:
        return next(self._watch)

    async def __aenter__(self) -> _SyncWatch:
        self._watch.__enter__()
        return self

    async def __aexit__(self, *exc: Any) -> None:
        self._watch.__exit__(*exc)


class _SyncClient:
    """A `Client` with the face of an `AsyncClient`: its calls block, the server has own threads."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def synthesize(self, *args: Any, **options: Any) -> _SyncStream:
        return _SyncStream(self._client.synthesize(*args, **options))

    def converse(self, *args: Any, **options: Any) -> SyncConversation:
        return SyncConversation(self._client.converse(*args, **options))

    def watch(self, **options: Any) -> _SyncWatch:
        return _SyncWatch(self._client.watch(**options))

    async def list_voices(self, **options: Any) -> AsyncIterator[Any]:
        for voice in self._client.list_voices(**options):
            yield voice

    async def list_changes(self, *args: Any, **options: Any) -> AsyncIterator[Any]:
        for change in self._client.list_changes(*args, **options):
            yield change

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        async def call(*args: Any, **options: Any) -> Any:
            return method(*args, **options)

        return call


@pytest.fixture(params=["sync", "async"])
async def connect(request: Any, server: FakeServer) -> AsyncIterator[Callable[..., Any]]:
    """Makes clients of one kind, all with the asynchronous face. ``time`` takes a `FakeClock`."""
    async with contextlib.AsyncExitStack() as stack:

        def make(address: str = "", *, time: FakeClock | None = None, **options: Any) -> Any:
            target = address or server.address
            if request.param == "sync":
                if time:
                    options |= {"clock": time, "sleep": time.sleep}
                return _SyncClient(stack.enter_context(Client(target, **options)))
            if time:
                options |= {"clock": time, "sleep": time.sleep_async}
            client = AsyncClient(target, **options)
            stack.push_async_callback(client.close)
            return client

        yield make
