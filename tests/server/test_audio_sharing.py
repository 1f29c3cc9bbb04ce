"""One making for all who want it: joined, followed, left, and taken over."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import weakref
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest

from tests.server.audio_makers import (
    ALL,
    REQUEST,
    VOICE,
    Ear,
    Kitchen,
    Take,
    check_whole,
    heard,
)
from tests.server.fakes import settle
from voxswap_registry.errors import EngineError
from voxswap_server.audio.encoding import AudioEncoding
from voxswap_server.speech.cache.errors import CannotContinueError
from voxswap_server.speech.cache.flight import Outcome
from voxswap_server.speech.cache.listener import SAMPLE_BYTES
from voxswap_server.speech.parts import Header, Part, Trailer
from voxswap_server.speech.request import LineClass, SpeechRequest


@pytest.fixture
async def kitchen() -> AsyncIterator[Kitchen]:
    made = Kitchen()
    yield made
    await settle()
    made.cache.check_integrity()
    assert not made.running
    assert made.cache.statistics() == type(made.cache.statistics())(0, 0, 0)
    await made.cache.close()


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
    with_state = {
        *(AudioEncoding.FLAC, AudioEncoding.OPUS_PACKETS),
        *(AudioEncoding.OGG_OPUS, AudioEncoding.MP3),
    }
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
