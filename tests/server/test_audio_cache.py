"""One making for all who want it: joined, followed, taken over, kept, and found again."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import weakref
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest

from tests.server.audio_makers import TOTAL, Kitchen, Take, audio_of
from tests.server.fakes import make_manifest, settle
from voxswap_registry.errors import EngineError
from voxswap_registry.names import VoiceRef
from voxswap_server.audio.encoding import AudioEncoding
from voxswap_server.residency.errors import ClosedError
from voxswap_server.speech.cache.errors import CannotContinueError
from voxswap_server.speech.cache.flight import Outcome
from voxswap_server.speech.cache.listener import SAMPLE_BYTES
from voxswap_server.speech.cache.store import MemoryStore, StoreFault
from voxswap_server.speech.parts import Chunk, Header, Part, Trailer
from voxswap_server.speech.request import CachePolicy, LineClass, SpeechRequest

VOICE = make_manifest("a")
REQUEST = SpeechRequest(VoiceRef("a"), "Halt!", seed=7)
ALL = 1_000


def sent(parts: list[Part]) -> bytes:
    return b"".join(part.audio for part in parts if isinstance(part, Chunk))


def check_whole(parts: list[Part], seed: int = 7, head: bytes = b"") -> None:
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


class Ear:
    """Reads a stream, as fast as the test lets it."""

    def __init__(self, kitchen: Kitchen, request: SpeechRequest) -> None:
        self.parts: list[Part] = []
        self.gate = asyncio.Semaphore(0)
        self._stream = kitchen.cache.parts(request, VOICE, kitchen.make, arrived_s=0.0)
        self.task = asyncio.ensure_future(self._listen())

    async def _listen(self) -> None:
        try:
            await self.gate.acquire()
            async for part in self._stream:
                self.parts.append(part)
                await self.gate.acquire()
        finally:
            await self._stream.aclose()

    def read(self, n: int = ALL) -> Ear:
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


@pytest.fixture
async def kitchen() -> AsyncIterator[Kitchen]:
    made = Kitchen()
    yield made
    await settle()
    made.cache.check_integrity()
    assert not made.running
    assert made.cache.statistics() == type(made.cache.statistics())(0, 0, 0)
    await made.cache.close()


async def heard(kitchen: Kitchen, request: SpeechRequest = REQUEST) -> list[Part]:
    """All of a line; a take that it needs is let run."""
    before = len(kitchen.takes)
    ear = Ear(kitchen, request).read()
    await settle()
    for take in kitchen.takes[before:]:
        take.let(ALL)
    await asyncio.wait_for(ear.task, 30)
    return ear.parts


async def test_a_line_is_made_once_and_then_it_is_there(kitchen: Kitchen) -> None:
    first, second = await heard(kitchen), await heard(kitchen)
    check_whole(first)
    check_whole(second)
    assert len(kitchen.takes) == 1
    assert kitchen.observer.outcomes == {Outcome.MISS: 1, Outcome.HIT: 1}
    header, trailer = first[0], first[-1]
    assert header == Header("a@1", ("sha256:0",), 22050, REQUEST.encoding, TOTAL, True, 3.0, 4.0)
    assert second[0] == dataclasses.replace(
        header, cached=True, cold=False, queue_ms=0.0, swap_ms=0.0
    )
    assert isinstance(trailer, Trailer)
    assert trailer.compute_ms == 5.0
    assert second[-1] == dataclasses.replace(trailer, compute_ms=0.0)
    assert second[1:-1] == first[1:-1]


@pytest.mark.parametrize(
    ("policy", "seed", "takes"),
    [
        (CachePolicy.DEFAULT, 7, 1),
        (CachePolicy.DEFAULT, None, 2),
        (CachePolicy.OFF, 7, 2),
        (CachePolicy.USE, None, 1),
        (CachePolicy.USE, 7, 1),
    ],
)
async def test_who_says_nothing_gets_what_is_the_same_either_way(
    kitchen: Kitchen, policy: CachePolicy, seed: int | None, takes: int
) -> None:
    request = dataclasses.replace(REQUEST, cache_policy=policy, seed=seed)
    ears = [Ear(kitchen, request).read(1) for _ in range(2)]
    await settle()
    assert len(kitchen.takes) == takes
    off = 2 if takes == 2 else 0
    assert kitchen.observer.outcomes[Outcome.OFF] == off
    for ear in ears:
        await ear.leave()


async def test_off_is_neither_read_nor_written(kitchen: Kitchen) -> None:
    off = dataclasses.replace(REQUEST, cache_policy=CachePolicy.OFF)
    for request, takes in ((off, 1), (REQUEST, 2), (off, 3), (REQUEST, 3)):
        check_whole(await heard(kitchen, request))
        assert len(kitchen.takes) == takes


async def test_without_a_seed_all_get_the_audio_and_the_seed_of_the_first(
    kitchen: Kitchen,
) -> None:
    request = dataclasses.replace(REQUEST, seed=None, cache_policy=CachePolicy.USE)
    lines = [await heard(kitchen, request) for _ in range(3)]
    (take,) = kitchen.takes
    assert take.seed is not None
    for parts in lines:
        check_whole(parts, take.seed)


async def test_followers_hear_it_grow(kitchen: Kitchen) -> None:
    first = Ear(kitchen, REQUEST).read()
    second = Ear(kitchen, REQUEST).read()
    await settle()
    (take,) = kitchen.takes
    for n in range(1, 4):
        take.let()
        await settle()
        assert len(first.parts) == len(second.parts) == n
    late = Ear(kitchen, REQUEST).read()
    await settle()
    assert len(late.parts) == 3
    assert not first.header.cached
    assert second.header.cached
    assert second.header.swap_ms == second.header.queue_ms == 0
    take.let(ALL)
    await asyncio.gather(first.task, second.task, late.task)
    for ear in (first, second, late):
        check_whole(ear.parts)
    assert len(kitchen.takes) == 1
    assert kitchen.observer.outcomes == {Outcome.MISS: 1, Outcome.JOINED: 2}


async def test_no_more_is_made_than_the_fastest_reads(kitchen: Kitchen) -> None:
    slow, fast = Ear(kitchen, REQUEST).read(1), Ear(kitchen, REQUEST).read(3)
    await settle()
    (take,) = kitchen.takes
    take.let(ALL)
    await settle()
    # Three were read, and the reader waits with the fourth not yet asked for.
    assert [len(slow.parts), len(fast.parts)] == [1, 3]
    assert not take.waits
    assert take.gate._value == ALL - 3
    fast.read()
    await asyncio.wait_for(fast.task, 30)
    check_whole(fast.parts)
    assert len(slow.parts) == 1, "and the slow one held up nobody"
    await asyncio.wait_for(slow.read().task, 30)
    check_whole(slow.parts)


async def test_the_first_may_leave_and_nobody_notices(kitchen: Kitchen) -> None:
    first, second = (Ear(kitchen, REQUEST).read() for _ in range(2))
    await settle()
    (take,) = kitchen.takes
    take.let(2)
    await settle()
    await first.leave()
    assert take.running
    take.let(ALL)
    await asyncio.wait_for(second.task, 30)
    check_whole(second.parts)
    assert len(kitchen.takes) == 1


@pytest.mark.parametrize("parts", [0, 1, 3])
async def test_the_last_to_leave_ends_the_making(kitchen: Kitchen, parts: int) -> None:
    ears = [Ear(kitchen, REQUEST).read() for _ in range(2)]
    await settle()
    (take,) = kitchen.takes
    take.let(parts)
    await settle()
    await ears[0].leave()
    assert take.running
    await ears[1].leave()
    assert take.cancelled
    check_whole(await heard(kitchen))
    assert len(kitchen.takes) == 2, "half a line is not kept"


async def test_who_leaves_before_anything_began_leaves_nothing(kitchen: Kitchen) -> None:
    ear = Ear(kitchen, REQUEST).read()
    for _ in range(3):
        await asyncio.sleep(0)
    await ear.leave()
    assert kitchen.cache.statistics().flights == 0


@pytest.mark.parametrize("parts", range(6))
async def test_an_error_is_that_of_whom_it_was_made_for(kitchen: Kitchen, parts: int) -> None:
    """The next one makes it anew, and goes on where it is, whatever the new cuts are."""
    first, second, third = (Ear(kitchen, REQUEST).read() for _ in range(3))
    await settle()
    kitchen.takes[0].let(parts)
    await settle()
    kitchen.takes[0].fail(EngineError("out of luck"))
    await settle()
    with pytest.raises(EngineError, match="out of luck"):
        await first.task
    assert len(kitchen.takes) == 2
    kitchen.takes[1].let(ALL)
    await asyncio.gather(second.task, third.task)
    for ear in (second, third):
        check_whole(ear.parts)
    assert second.header.cached is (parts > 0)
    assert third.header.cached
    check_whole(await heard(kitchen))
    assert len(kitchen.takes) == 2, "the second making was kept"


async def test_everybody_may_fail_each_with_an_error_of_its_own(kitchen: Kitchen) -> None:
    ears = [Ear(kitchen, REQUEST).read() for _ in range(3)]
    for n in range(3):
        await settle()
        assert len(kitchen.takes) == n + 1
        kitchen.takes[n].fail(EngineError(f"number {n}"))
    for n, ear in enumerate(ears):
        with pytest.raises(EngineError, match=f"number {n}"):
            await ear.task


async def test_who_took_over_has_figures_of_its_own(kitchen: Kitchen) -> None:
    first, second = (Ear(kitchen, REQUEST).read() for _ in range(2))
    await settle()
    kitchen.takes[0].fail(EngineError("out of luck"))
    await asyncio.wait([first.task])
    assert isinstance(first.task.exception(), EngineError)
    await settle()
    kitchen.takes[1].let(ALL)
    await second.task
    trailer = second.parts[-1]
    assert isinstance(trailer, Trailer)
    assert trailer.compute_ms == 5.0
    assert second.header.cold
    assert not second.header.cached


async def test_a_wav_file_has_one_beginning(kitchen: Kitchen) -> None:
    request = dataclasses.replace(REQUEST, encoding=AudioEncoding.WAV)
    ears = [Ear(kitchen, request).read() for _ in range(3)]
    await settle()
    kitchen.takes[0].let(3)
    await settle()
    kitchen.takes[0].fail(EngineError("out of luck"))
    late = Ear(kitchen, request).read()
    await settle()
    kitchen.takes[1].let(ALL)
    assert isinstance((await asyncio.gather(ears[0].task, return_exceptions=True))[0], EngineError)
    for ear in (*ears[1:], late):
        await ear.task
        check_whole(ear.parts, head=b"RIFF")


async def test_every_encoding_is_known_to_have_samples_of_its_own_or_not() -> None:
    """A new one is not taken up in the middle until somebody has thought about it."""
    with_state: set[AudioEncoding] = set()
    assert not with_state & set(SAMPLE_BYTES)
    assert with_state | set(SAMPLE_BYTES) == set(AudioEncoding)


async def test_an_encoding_with_state_is_not_taken_up_in_the_middle(
    kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(SAMPLE_BYTES, REQUEST.encoding)
    first, second = (Ear(kitchen, REQUEST).read() for _ in range(2))
    await settle()
    third = Ear(kitchen, REQUEST)  # has not asked for anything yet
    kitchen.takes[0].let(2)
    await settle()
    third.read(1)
    await settle()
    kitchen.takes[0].fail(EngineError("out of luck"))
    await settle()
    with pytest.raises(EngineError):
        await first.task
    with pytest.raises(CannotContinueError, match="cannot be taken up"):
        await second.task
    kitchen.takes[1].let(ALL)
    await third.read().task
    check_whole(third.parts)


async def test_a_second_making_of_another_length_is_no_continuation(kitchen: Kitchen) -> None:
    class Shorter(Take):
        async def run(self) -> AsyncGenerator[Part, None]:
            async for part in super().run():
                if isinstance(part, Header | Trailer):
                    shorter: dict[str, Any] = {"total_samples": 2}
                    yield part if isinstance(part, Header) else dataclasses.replace(part, **shorter)

    first, second = (Ear(kitchen, REQUEST).read() for _ in range(2))
    await settle()
    kitchen.takes[0].let(4)
    await settle()

    def make(request: SpeechRequest) -> AsyncGenerator[Part, None]:
        take = Shorter(request.seed, 1, request.encoding)
        take.let(ALL)
        return take.run()

    for listener in kitchen.cache._places:
        listener.make = lambda: make(REQUEST)
    kitchen.takes[0].fail(EngineError("out of luck"))
    errors = await asyncio.gather(first.task, second.task, return_exceptions=True)
    assert [type(error) for error in errors] == [EngineError, CannotContinueError]


async def test_nobody_waits_at_the_pace_of_another(kitchen: Kitchen) -> None:
    requests = [
        REQUEST,
        dataclasses.replace(REQUEST, line_class=LineClass.BARK),
        dataclasses.replace(REQUEST, paced=False),
    ]
    ears = [Ear(kitchen, request).read() for request in requests]
    await settle()
    assert len(kitchen.takes) == 3
    for take in kitchen.takes:
        take.let(ALL)
    await asyncio.gather(*(ear.task for ear in ears))
    for request in requests:
        check_whole(await heard(kitchen, request))
    assert len(kitchen.takes) == 3, "what is kept is for all of them"


async def test_what_is_too_large_is_not_kept_and_may_not_be_joined() -> None:
    kitchen = Kitchen(entry=2_500)  # three parts or so
    first, second = (Ear(kitchen, REQUEST).read() for _ in range(2))
    await settle()
    take = kitchen.takes[0]
    take.let(1)
    await settle()
    assert kitchen.cache.statistics().held_bytes > 0
    take.let(4)
    await settle()
    assert not take.gate._value
    assert len(first.parts) == len(second.parts) == 5
    assert kitchen.cache.statistics().held_bytes == 0, "both have read it"
    third = Ear(kitchen, REQUEST).read()
    await settle()
    assert len(kitchen.takes) == 2
    for one in kitchen.takes:
        one.let(ALL)
    for ear in (first, second, third):
        await asyncio.wait_for(ear.task, 30)
        check_whole(ear.parts)
    assert isinstance(kitchen.store, MemoryStore)
    assert kitchen.store.statistics().entries == 0
    await settle()
    assert kitchen.cache.statistics().flights == 0


async def test_all_that_is_held_is_bounded() -> None:
    kitchen = Kitchen(held=5_000)
    requests = [dataclasses.replace(REQUEST, seed=n) for n in range(6)]
    ears = [Ear(kitchen, request).read() for request in requests]
    await settle()
    for _ in range(4):
        for take in kitchen.takes:
            take.let()
        await settle()
        assert kitchen.cache.statistics().held_bytes <= 5_000
    for take in kitchen.takes:
        take.let(ALL)
    for n, ear in enumerate(ears):
        await asyncio.wait_for(ear.task, 30)
        check_whole(ear.parts, n)


async def test_who_is_far_behind_where_too_much_is_held_goes_on_alone() -> None:
    kitchen = Kitchen(entry=2_000)
    slow, fast = Ear(kitchen, REQUEST).read(2), Ear(kitchen, REQUEST).read()
    await settle()
    take = kitchen.takes[0]
    take.let(ALL)
    await asyncio.wait_for(fast.task, 30)
    check_whole(fast.parts)
    assert kitchen.cache.statistics().held_bytes <= 3_000
    slow.read()
    await settle()
    assert len(kitchen.takes) == 2
    kitchen.takes[1].let(ALL)
    await asyncio.wait_for(slow.task, 30)
    check_whole(slow.parts)
    await settle()
    assert kitchen.cache.statistics().flights == 0
    assert not kitchen.running


async def test_a_damaged_recording_is_made_anew_and_put_right(kitchen: Kitchen) -> None:
    await heard(kitchen)
    assert isinstance(kitchen.store, MemoryStore)
    (key,) = kitchen.store._entries
    await kitchen.store.put(key, b"damaged")
    check_whole(await heard(kitchen))
    assert kitchen.observer.faults == {StoreFault.DAMAGED: 1}
    check_whole(await heard(kitchen))
    assert len(kitchen.takes) == 2


class HeldUp(MemoryStore):
    """Waits for a gate, as one that is far away does."""

    def __init__(self) -> None:
        super().__init__(1 << 20)
        self.reads, self.writes = asyncio.Event(), asyncio.Event()
        self.reads.set()
        self.writes.set()
        self.asked = 0

    async def get(self, key: str) -> bytes | None:
        self.asked += 1
        await self.reads.wait()
        return await super().get(key)

    async def put(self, key: str, value: bytes) -> None:
        await self.writes.wait()
        await super().put(key, value)


async def test_looking_up_is_shared_too() -> None:
    store = HeldUp()
    kitchen = Kitchen(store)
    store.reads.clear()
    ears = [Ear(kitchen, REQUEST).read() for _ in range(5)]
    await settle()
    await ears.pop(0).leave()
    assert not kitchen.observer.outcomes, "it is not known yet"
    store.reads.set()
    await settle()
    assert kitchen.observer.outcomes == {Outcome.MISS: 1, Outcome.JOINED: 3}
    kitchen.takes[0].let(ALL)
    for ear in ears:
        await ear.task
        check_whole(ear.parts)
    assert store.asked == len(kitchen.takes) == 1


async def test_a_slow_store_holds_up_no_listener_and_later_ones_need_not_wait_for_it() -> None:
    store = HeldUp()
    kitchen = Kitchen(store)
    store.writes.clear()
    check_whole(await heard(kitchen))
    check_whole(await heard(kitchen))
    assert len(kitchen.takes) == 1
    assert kitchen.observer.outcomes == {Outcome.MISS: 1, Outcome.HIT: 1}
    assert kitchen.cache.statistics().flights == 1, "it is still being kept"
    store.writes.set()
    await settle()
    assert kitchen.cache.statistics().flights == 0
    assert store.statistics().entries == 1


async def test_closing_tells_whoever_listens() -> None:
    kitchen = Kitchen()
    ear = Ear(kitchen, REQUEST).read()
    await settle()
    kitchen.takes[0].let(2)
    await settle()
    await kitchen.cache.close()
    with pytest.raises(ClosedError):
        await ear.task
    assert kitchen.takes[0].cancelled
    assert kitchen.cache.statistics().flights == 0


async def test_without_a_store_everything_is_made(kitchen: Kitchen) -> None:
    kitchen.cache._store = None
    request = dataclasses.replace(REQUEST, cache_policy=CachePolicy.USE)
    for n in (1, 2):
        check_whole(await heard(kitchen, request))
        assert len(kitchen.takes) == n
    assert kitchen.observer.outcomes == {Outcome.OFF: 2}


async def test_an_error_that_was_told_keeps_nothing(kitchen: Kitchen) -> None:
    """Its frames had weights in them."""

    class Weights:
        pass

    seen: list[weakref.ref[Weights]] = []

    async def failing(request: SpeechRequest) -> AsyncGenerator[Part, None]:
        weights = Weights()
        seen.append(weakref.ref(weights))
        if weights:
            raise EngineError("out of luck")
        yield None  # type: ignore[unreachable]

    gc.disable()
    try:
        stream = kitchen.cache.parts(REQUEST, VOICE, failing, arrived_s=0.0)
        try:
            await anext(stream)
        except EngineError:
            pass
        else:
            pytest.fail("it had to be told")
        del stream
        await settle()
        assert [ref() for ref in seen] == [None]
    finally:
        gc.enable()
