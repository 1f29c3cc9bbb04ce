"""A speaker with everything behind it but the wire: real parts, and voices made by hand."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.fakes.audio_stores import FarStore
from tests.fakes.executors import settle
from tests.fakes.family import FakeVoice
from tests.fakes.gates import Gate
from tests.fakes.manifests import make_manifest
from tests.fakes.residency import FakeLoader
from tests.server.audio_cache_fixture import FakeObserver
from voxswap_registry.errors import VoiceNotFoundError
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_server.app.metrics import Metrics
from voxswap_server.audio.encoding import AudioEncoding
from voxswap_server.audio.opus import OpusPacketsEncoder
from voxswap_server.compute.scheduler import Scheduler
from voxswap_server.residency.manager import ModelManager
from voxswap_server.speech.admission import Admission
from voxswap_server.speech.books import Limits
from voxswap_server.speech.cache.cache import AudioCache, AudioCacheStatistics
from voxswap_server.speech.conversation import Conversation
from voxswap_server.speech.listening import Stream
from voxswap_server.speech.messages import Message
from voxswap_server.speech.pipeline import Stage
from voxswap_server.speech.request import CachePolicy, SpeechRequest
from voxswap_server.speech.speaking import Call, Maker, Speaker
from voxswap_server.text.types import Segment

# Without pacing, since admission says how many of those there are.
LINE = SpeechRequest(VoiceRef("a"), "One two three. Four five six!", seed=1, paced=False)
OFF = dataclasses.replace(LINE, cache_policy=CachePolicy.OFF)
OPUS = dataclasses.replace(OFF, encoding=AudioEncoding.OPUS_PACKETS)


class SpeakerFixture:
    """Where something may be held up: see ``hold``. One version of one voice, "a"."""

    def __init__(self) -> None:
        self.gates: dict[str, Gate] = {}
        self.faults: dict[str, Exception] = {}
        self.voice = FakeVoice(during=self.passed)
        self.manifest = make_manifest("a")
        self.executor = ThreadPoolExecutor(1)
        loader = FakeLoader(voice=self.voice, passing=self.passed)
        self.manager = ModelManager(loader, self.executor, budget_bytes=100)
        self.compute = Scheduler()
        stage = Stage(self.compute)
        self.admission = Admission(Limits(), stage.pacing, clock=stage.clock)
        self.store = FarStore()
        counts = FakeObserver()
        self.cache = AudioCache(
            self.store,
            on_request=counts.request,
            on_fault=counts.fault,
            maker="here",
            most_entry_bytes=1 << 20,
            most_held_bytes=1 << 20,
        )
        self.metrics = Metrics("cpu")
        self.used: list[str] = []
        maker = Maker(self.manager, stage, self.admission, on_use=self.used.append)
        self.speaker = Speaker(self, maker, self.cache, self.metrics.streams)  # type: ignore[arg-type]

    # A catalog

    def resolve(self, voice: VoiceRef, *, session_id: str = "") -> Manifest:
        if voice.voice_id != "a":
            raise VoiceNotFoundError(f"there is no {voice}")
        return self.manifest

    # Gates

    def passed(self, where: str) -> None:
        """On whatever thread it is."""
        gate = self.gates.get(where)
        if gate is not None:
            gate()
        if where in self.faults:
            raise self.faults[where]

    def hold(self, where: str) -> Gate:
        """Hold up whoever comes to "outlook", "load", "prepare", "decode" or "encode"."""
        return self.gates.setdefault(where, Gate())

    def streams(self, end: str) -> float | None:
        return self.metrics.registry.get_sample_value("voxswap_streams_total", {"end": end})

    async def nothing_is_left(self) -> None:
        """No lease, place, flight, work or name of a stream, once what was cancelled has ended."""
        await settle()
        if flights := [flight.task for flight in self.cache._flights]:
            await asyncio.wait(flights)
            await settle()
        assert self.manager.held_leases() == 0
        self.manager.check_integrity()
        assert self.admission.shown.streams == 0
        self.admission.check_integrity()
        assert self.cache.statistics() == AudioCacheStatistics(0, 0, 0)
        self.cache.check_integrity()
        assert not self.speaker._streams
        assert self.compute.waiting == 0
        assert self.metrics.registry.get_sample_value("voxswap_active_streams") == 0

    async def close(self) -> None:
        for gate in self.gates.values():
            gate.open()
        await self.cache.close()
        await self.manager.close()
        await asyncio.to_thread(self.compute.close)
        self.executor.shutdown()


@contextlib.asynccontextmanager
async def opened(monkeypatch: Any) -> AsyncIterator[SpeakerFixture]:
    """A fixture whose encoder can be held up off the event loop, and whose books are proven."""
    fixture, loops_thread = SpeakerFixture(), threading.current_thread()
    encode = OpusPacketsEncoder.encode

    def held(encoder: OpusPacketsEncoder, samples: Any) -> Any:
        if threading.current_thread() is not loops_thread:
            fixture.passed("encode")
        return encode(encoder, samples)

    monkeypatch.setattr(OpusPacketsEncoder, "encode", held)
    yield fixture
    await fixture.close()
    await fixture.nothing_is_left()


class WatchedConversation(Conversation):
    """Tells when somebody waits for words."""

    def __init__(self) -> None:
        super().__init__(most_waiting=1_000)
        self.is_waited_for = asyncio.Event()

    async def next(self) -> Segment | None:
        if not self.is_ready:
            self.is_waited_for.set()
        return await super().next()


def conversation(text: str = LINE.text, *, ends: bool = True) -> WatchedConversation:
    script = WatchedConversation()
    script.push(text)
    if ends:
        script.end()
    else:
        script.flush()
    return script


async def hear(
    fixture: SpeakerFixture,
    request: SpeechRequest,
    into: list[Message],
    *,
    script: Conversation | None = None,
    until_s: float | None = None,
    opened: Callable[[Stream], object] = lambda stream: None,
    write: Callable[[Message], Awaitable[None]] | None = None,
) -> None:
    """As a door does it."""
    call = Call(fixture.speaker.clock(), until_s)
    async with fixture.speaker.open(request, call, script=script) as stream:
        opened(stream)
        async for part in stream:
            into.append(part)
            if write is not None:
                await write(part)
