"""Streams that are made by hand: each part when the test says so."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any

from tests.fakes.executors import settle
from tests.fakes.manifests import make_manifest
from voxswap_registry.names import VoiceRef
from voxswap_server.audio.encoding import AudioEncoding
from voxswap_server.speech.cache.cache import AudioCache
from voxswap_server.speech.cache.flight import Outcome
from voxswap_server.speech.cache.store import AudioStore, MemoryStore, StoreFault
from voxswap_server.speech.cache.subscriber import Terms
from voxswap_server.speech.messages import Chunk, Header, Mark, Message, Trailer
from voxswap_server.speech.request import MarkKind, SpeechRequest

VOICE = make_manifest("a")
REQUEST = SpeechRequest(VoiceRef("a"), "Halt!", seed=7)
ALL = 1_000

RATE = 22050
TOTAL = 40


def audio_of(seed: int, first: int, last: int) -> bytes:
    """Samples ``[first, last)``: two bytes each, unlike those of any other seed and place."""
    every = b"".join(
        hashlib.blake2b(f"{seed} {n}".encode(), digest_size=2).digest() for n in range(TOTAL)
    )
    return every[2 * first : 2 * last]


def line(seed: int, cuts: random.Random, encoding: AudioEncoding) -> Iterator[Message]:
    """A line of `TOTAL` samples with a mark at each fifth, cut anywhere."""
    yield Header("a@1", ("sha256:0",), RATE, encoding, TOTAL, True, 3.0, 4.0)
    start = 0
    while start < TOTAL:
        end = min(TOTAL, start + cuts.randint(1, 15))
        marks = [Mark(MarkKind.VISEME, f"{n}", n, 5) for n in range(start, end) if not n % 5]
        head = b"RIFF" if encoding is AudioEncoding.WAV and not start else b""
        yield Chunk(head + audio_of(seed, start, end), start, end - start, tuple(marks))
        start = end
    yield Trailer(TOTAL, RATE, seed, 5.0, 6.0, {"?": 1})


class FakeStream:
    """One making. Its next part comes for each `let`; `fail` ends it."""

    def __init__(self, seed: int | None, number: int, encoding: AudioEncoding) -> None:
        # Who is not told one chooses it, as the pipeline does.
        self.seed = 1_000 + number if seed is None else seed
        self.number = number
        self.parts = tuple(line(self.seed, random.Random(number), encoding))
        self.gate = asyncio.Semaphore(0)
        self.terms: Callable[[], Terms] = Terms
        self.error: Exception | None = None
        self.waits = False  # for the gate
        self.running = False  # as long as it has something to give back
        self.cancelled = False

    def let(self, n: int = 1) -> None:
        for _ in range(n):
            self.gate.release()

    def fail(self, error: Exception) -> None:
        self.error = error
        self.gate.release()

    async def run(self) -> AsyncGenerator[Message, None]:
        self.running = True
        try:
            for part in self.parts:
                self.waits = True
                await self.gate.acquire()
                self.waits = False
                if self.error is not None:
                    raise self.error
                yield part
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled = True
            raise
        finally:
            self.waits = self.running = False


class FakeObserver:
    def __init__(self) -> None:
        self.outcomes: Counter[Outcome] = Counter()
        self.faults: Counter[StoreFault] = Counter()

    def request(self, outcome: Outcome) -> None:
        self.outcomes[outcome] += 1

    def fault(self, fault: StoreFault) -> None:
        self.faults[fault] += 1


class CacheFixture:
    """A cache and all the streams that were ever begun for it."""

    def __init__(
        self, store: AudioStore | None = None, *, entry: int = 1 << 20, held: int = 1 << 20
    ) -> None:
        self.store = MemoryStore(1 << 20) if store is None else store
        self.observer = FakeObserver()
        self.streams: list[FakeStream] = []
        self.cache = AudioCache(
            self.store,
            on_request=self.observer.request,
            on_fault=self.observer.fault,
            maker="here",
            most_entry_bytes=entry,
            most_held_bytes=held,
            clock=lambda: 0.0,
        )

    def make(
        self, request: SpeechRequest, terms: Callable[[], Terms]
    ) -> AsyncGenerator[Message, None]:
        stream = FakeStream(request.seed, len(self.streams), request.encoding)
        stream.terms = terms
        self.streams.append(stream)
        return stream.run()

    @property
    def running(self) -> list[FakeStream]:
        return [stream for stream in self.streams if stream.running]


def sent(parts: list[Message]) -> bytes:
    return b"".join(part.audio for part in parts if isinstance(part, Chunk))


def check_whole(parts: list[Message], seed: int = 7, head: bytes = b"") -> None:
    """In order, without gaps, each mark once, and nothing that is not of this seed."""
    header, *chunks, trailer = parts
    assert isinstance(header, Header)
    assert isinstance(trailer, Trailer)
    position = 0
    marks = []
    for chunk in chunks:
        assert isinstance(chunk, Chunk)
        assert chunk.audio
        assert chunk.start_sample == position
        position += chunk.sample_count
        marks += [mark.start_sample for mark in chunk.marks]
    assert position == trailer.total_samples == TOTAL
    assert marks == list(range(0, TOTAL, 5))
    assert sent(parts) == head + audio_of(seed, 0, TOTAL)
    assert trailer.seed == seed


class FakeListener:
    """Reads a stream, as fast as the test lets it."""

    def __init__(
        self,
        fixture: CacheFixture,
        request: SpeechRequest,
        *,
        arrived_s: float = 0.0,
        until_s: float | None = None,
    ) -> None:
        self.parts: list[Message] = []
        self.gate = asyncio.Semaphore(0)
        self._stream: Any = fixture.cache.messages(
            *(request, VOICE, fixture.make), arrived_s=arrived_s, until_s=until_s
        )
        self.task = asyncio.ensure_future(self._listen())

    async def _listen(self) -> None:
        try:
            await self.gate.acquire()
            async for part in self._stream:
                self.parts.append(part)
                await self.gate.acquire()
        finally:
            await self._stream.aclose()

    def read(self, n: int = ALL) -> FakeListener:
        for _ in range(n):
            self.gate.release()
        return self

    async def leave(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])
        await settle()

    @property
    def header(self) -> Header:
        assert isinstance(self.parts[0], Header)
        return self.parts[0]


async def heard(fixture: CacheFixture, request: SpeechRequest = REQUEST) -> list[Message]:
    """All of a line; a stream that it needs is let run."""
    before = len(fixture.streams)
    listener = FakeListener(fixture, request).read()
    await settle()
    for stream in fixture.streams[before:]:
        stream.let(ALL)
    await asyncio.wait_for(listener.task, 30)
    return listener.parts
