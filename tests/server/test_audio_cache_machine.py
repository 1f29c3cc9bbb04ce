"""Streams join, read, leave, fail, end in any order: each hears its line, and the books balance."""

from __future__ import annotations

import asyncio
import random

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.examples import examples
from tests.fakes.executors import settle
from tests.server.audio_cache_fixture import (
    TOTAL,
    CacheFixture,
    FakeListener,
    FakeStream,
    audio_of,
    check_whole,
    line,
    sent,
)
from voxswap_registry.errors import EngineError
from voxswap_registry.names import VoiceRef
from voxswap_server.audio.encoding import AudioEncoding
from voxswap_server.speech.cache.store import MemoryStore
from voxswap_server.speech.errors import TooFarBehindError
from voxswap_server.speech.messages import Chunk, Message
from voxswap_server.speech.request import CachePolicy, SpeechRequest

LINES = {
    text: SpeechRequest(VoiceRef("a"), text, seed=seed, cache_policy=CachePolicy.USE)
    for text, seed in (("One.", 1), ("Two.", 2), ("Any.", None))
}


class BrokenError(EngineError):
    """Says which stream broke."""

    def __init__(self, stream: int) -> None:
        super().__init__("broken")
        self.stream = stream


class SharingMachine(RuleBasedStateMachine):
    entry, held = 1 << 20, 1 << 20

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        self.stray: list[object] = []
        self.loop.set_exception_handler(lambda _, context: self.stray.append(context))
        self.fixture = CacheFixture(MemoryStore(6_000), entry=self.entry, held=self.held)
        self.listeners: list[FakeListener] = []

    def turn(self, turns: int | None = None) -> None:
        """Let the loop run: to its rest, or only so far that things are under way."""

        async def some() -> None:
            for _ in range(turns or 0):
                await asyncio.sleep(0)

        self.loop.run_until_complete(settle() if turns is None else some())

    @rule(text=st.sampled_from(sorted(LINES)), parts=st.integers(0, 3), turns=st.integers(0, 6))
    def join(self, text: str, parts: int, turns: int) -> None:
        async def start() -> FakeListener:
            return FakeListener(self.fixture, LINES[text])

        self.listeners.append(self.loop.run_until_complete(start()).read(parts))
        self.turn(turns)

    @precondition(lambda self: self.listeners)
    @rule(data=st.data(), parts=st.sampled_from([1, 2, 5, 1_000]), turns=st.integers(0, 6))
    def read(self, data: st.DataObject, parts: int, turns: int) -> None:
        data.draw(st.sampled_from(self.listeners)).read(parts)
        self.turn(turns)

    @precondition(lambda self: self.fixture.running)
    @rule(data=st.data(), parts=st.sampled_from([1, 2, 5, 1_000]), turns=st.integers(0, 6))
    def make(self, data: st.DataObject, parts: int, turns: int) -> None:
        data.draw(st.sampled_from(self.fixture.running)).let(parts)
        self.turn(turns)

    @precondition(lambda self: self.fixture.running)
    @rule(data=st.data(), turns=st.integers(0, 6))
    def fail(self, data: st.DataObject, turns: int) -> None:
        stream = data.draw(st.sampled_from(self.fixture.running))
        stream.fail(BrokenError(stream.number))
        self.turn(turns)

    @precondition(lambda self: self.listeners)
    @rule(data=st.data(), turns=st.integers(0, 6))
    def leave(self, data: st.DataObject, turns: int) -> None:
        data.draw(st.sampled_from(self.listeners)).task.cancel()
        self.turn(turns)

    @rule()
    def come_to_rest(self) -> None:
        self.turn()
        listening = sum(not listener.task.done() for listener in self.listeners)
        at_work = self.fixture.cache.statistics()
        assert at_work.subscribers <= listening
        # Ends come through callbacks, and each flight is at work for somebody.
        assert at_work.flights <= at_work.subscribers
        assert len(self.fixture.running) <= at_work.flights, "what nobody hears is not made"
        self.fixture.cache.check_integrity()

    @invariant()
    def everybody_hears_one_making_to_its_end_or_to_its_error(self) -> None:
        assert not self.stray, self.stray
        for listener in self.listeners:
            if len(listener.parts) > 1:
                heard = sent(listener.parts)
                seed = self.seed_of(heard)
                assert heard == audio_of(seed, 0, len(heard) // 2)
                assert any(self.is_from(stream, listener.parts) for stream in self.fixture.streams)
        for listener in [listener for listener in self.listeners if listener.task.done()]:
            self.listeners.remove(listener)
            if listener.task.cancelled():
                continue
            error = listener.task.exception()
            if error is None:
                check_whole(listener.parts, self.seed_of(sent(listener.parts)))
                continue
            if isinstance(error, TooFarBehindError):
                assert self.entry < 1 << 20, "there was room"
                continue
            assert isinstance(error, BrokenError), repr(error)
            broken = self.fixture.streams[error.stream]
            assert len(listener.parts) <= 1 or self.is_from(broken, listener.parts), (
                "told of another's"
            )

    def is_from(self, stream: FakeStream, parts: list[Message]) -> bool:
        """Whether these are the first chunks of that making, by where it was cut."""
        chunks = [part for part in parts if isinstance(part, Chunk)]
        made = line(stream.seed, random.Random(stream.number), AudioEncoding.PCM_S16LE)
        return chunks == [part for part in made if isinstance(part, Chunk)][: len(chunks)]

    def seed_of(self, heard: bytes) -> int:
        """The line that a stream hears, by how it begins."""
        seeds = {stream.seed for stream in self.fixture.streams}
        (found,) = {s for s in seeds if audio_of(s, 0, TOTAL).startswith(heard)}
        return found

    def teardown(self) -> None:
        for listener in self.listeners:
            listener.task.cancel()
        self.turn()
        self.turn()
        assert all(listener.task.done() for listener in self.listeners)
        left = self.fixture.cache.statistics()
        assert (left.flights, left.subscribers, left.held_bytes) == (0, 0, 0)
        assert not self.fixture.running
        assert not self.fixture.cache._open
        assert isinstance(self.fixture.store, MemoryStore)
        self.fixture.store.check_integrity()
        self.loop.run_until_complete(self.fixture.cache.close())
        assert not self.stray, self.stray
        self.loop.close()
        asyncio.set_event_loop(None)


class CrampedMachine(SharingMachine):
    """Hardly a line may be held: streams that are slow part from those that are not."""

    entry, held = 2_600, 5_000


TestSharing = SharingMachine.TestCase
TestSharing.settings = examples(150, stateful_step_count=40)
TestCramped = CrampedMachine.TestCase
TestCramped.settings = examples(150, stateful_step_count=40)
