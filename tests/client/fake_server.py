"""A real gRPC server on a loopback socket, with scripted services."""

from __future__ import annotations

import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from tests.client.fake_conversations import FakeConversations
from tests.client.fake_residency import FakeResidency
from tests.client.fake_voices import FakeVoices
from tests.client.statuses import abort, fail, reason, retry_info
from voxswap.v1 import residency_pb2_grpc, speech_pb2, speech_pb2_grpc, voices_pb2_grpc

PATIENCE_S = 10.0  # how long a test waits for an event that must come
RATE_HERTZ = 8000
Part = speech_pb2.SynthesizeResponse
#: What a call does: parts of a line, or whatever its method answers with.
Behaviour = Callable[[Any, Any], Iterator[Any]]


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


def play(*parts: Any) -> Behaviour:
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

    # The parts, for tests that script it.
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
