"""Streams join, read, leave, fail, end in any order: each hears its line, and the books balance."""

from __future__ import annotations

import asyncio
import random

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.examples import examples
from tests.fakes.executors import settle
from tests.server.audio_makers import (
    TOTAL,
    Ear,
    Kitchen,
    Take,
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
from voxswap_server.speech.parts import Chunk, Part
from voxswap_server.speech.request import CachePolicy, SpeechRequest

LINES = {
    text: SpeechRequest(VoiceRef("a"), text, seed=seed, cache_policy=CachePolicy.USE)
    for text, seed in (("One.", 1), ("Two.", 2), ("Any.", None))
}


class BrokenError(EngineError):
    """Says which take broke."""

    def __init__(self, take: int) -> None:
        super().__init__("broken")
        self.take = take


class SharingMachine(RuleBasedStateMachine):
    entry, held = 1 << 20, 1 << 20

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        self.stray: list[object] = []
        self.loop.set_exception_handler(lambda _, context: self.stray.append(context))
        self.kitchen = Kitchen(MemoryStore(6_000), entry=self.entry, held=self.held)
        self.ears: list[Ear] = []

    def turn(self, turns: int | None = None) -> None:
        """Let the loop run: to its rest, or only so far that things are under way."""

        async def some() -> None:
            for _ in range(turns or 0):
                await asyncio.sleep(0)

        self.loop.run_until_complete(settle() if turns is None else some())

    @rule(text=st.sampled_from(sorted(LINES)), parts=st.integers(0, 3), turns=st.integers(0, 6))
    def join(self, text: str, parts: int, turns: int) -> None:
        async def start() -> Ear:
            return Ear(self.kitchen, LINES[text])

        self.ears.append(self.loop.run_until_complete(start()).read(parts))
        self.turn(turns)

    @precondition(lambda self: self.ears)
    @rule(data=st.data(), parts=st.sampled_from([1, 2, 5, 1_000]), turns=st.integers(0, 6))
    def read(self, data: st.DataObject, parts: int, turns: int) -> None:
        data.draw(st.sampled_from(self.ears)).read(parts)
        self.turn(turns)

    @precondition(lambda self: self.kitchen.running)
    @rule(data=st.data(), parts=st.sampled_from([1, 2, 5, 1_000]), turns=st.integers(0, 6))
    def make(self, data: st.DataObject, parts: int, turns: int) -> None:
        data.draw(st.sampled_from(self.kitchen.running)).let(parts)
        self.turn(turns)

    @precondition(lambda self: self.kitchen.running)
    @rule(data=st.data(), turns=st.integers(0, 6))
    def fail(self, data: st.DataObject, turns: int) -> None:
        take = data.draw(st.sampled_from(self.kitchen.running))
        take.fail(BrokenError(take.number))
        self.turn(turns)

    @precondition(lambda self: self.ears)
    @rule(data=st.data(), turns=st.integers(0, 6))
    def leave(self, data: st.DataObject, turns: int) -> None:
        data.draw(st.sampled_from(self.ears)).task.cancel()
        self.turn(turns)

    @rule()
    def come_to_rest(self) -> None:
        self.turn()
        listening = sum(not ear.task.done() for ear in self.ears)
        at_work = self.kitchen.cache.statistics()
        assert at_work.listeners <= listening
        # Ends come through callbacks, and each flight is at work for somebody.
        assert at_work.flights <= at_work.listeners
        assert len(self.kitchen.running) <= at_work.flights, "what nobody hears is not made"
        self.kitchen.cache.check_integrity()

    @invariant()
    def everybody_hears_one_making_to_its_end_or_to_its_error(self) -> None:
        assert not self.stray, self.stray
        for ear in self.ears:
            if len(ear.parts) > 1:
                heard = sent(ear.parts)
                seed = self.seed_of(heard)
                assert heard == audio_of(seed, 0, len(heard) // 2)
                assert any(self.is_from(take, ear.parts) for take in self.kitchen.takes)
        for ear in [ear for ear in self.ears if ear.task.done()]:
            self.ears.remove(ear)
            if ear.task.cancelled():
                continue
            error = ear.task.exception()
            if error is None:
                check_whole(ear.parts, self.seed_of(sent(ear.parts)))
                continue
            if isinstance(error, TooFarBehindError):
                assert self.entry < 1 << 20, "there was room"
                continue
            assert isinstance(error, BrokenError), repr(error)
            broken = self.kitchen.takes[error.take]
            assert len(ear.parts) <= 1 or self.is_from(broken, ear.parts), "told of another's"

    def is_from(self, take: Take, parts: list[Part]) -> bool:
        """Whether these are the first chunks of that making, by where it was cut."""
        chunks = [part for part in parts if isinstance(part, Chunk)]
        made = line(take.seed, random.Random(take.number), AudioEncoding.PCM_S16LE)
        return chunks == [part for part in made if isinstance(part, Chunk)][: len(chunks)]

    def seed_of(self, heard: bytes) -> int:
        """The line that a stream hears, by how it begins."""
        seeds = {take.seed for take in self.kitchen.takes}
        (found,) = {s for s in seeds if audio_of(s, 0, TOTAL).startswith(heard)}
        return found

    def teardown(self) -> None:
        for ear in self.ears:
            ear.task.cancel()
        self.turn()
        self.turn()
        assert all(ear.task.done() for ear in self.ears)
        left = self.kitchen.cache.statistics()
        assert (left.flights, left.listeners, left.held_bytes) == (0, 0, 0)
        assert not self.kitchen.running
        assert not self.kitchen.cache._open
        assert isinstance(self.kitchen.store, MemoryStore)
        self.kitchen.store.check_integrity()
        self.loop.run_until_complete(self.kitchen.cache.close())
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
