"""One stream over a leased voice: what fails is told, and who leaves waits for its step alone."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import AsyncIterator

import numpy as np
import pytest

from tests.fakes.executors import settle
from tests.fakes.family import LEVEL
from tests.server.synthesis_fixture import SynthesisFixture
from voxswap_registry.errors import EngineError, InvalidInputError
from voxswap_server.audio.encoding import AudioEncoding, Samples
from voxswap_server.compute.scheduler import Scheduler
from voxswap_server.residency.lease import Lease
from voxswap_server.speech.messages import Chunk
from voxswap_server.speech.reader import Read
from voxswap_server.speech.track import Track


@pytest.fixture
async def fixture() -> AsyncIterator[SynthesisFixture]:
    made = SynthesisFixture()
    yield made
    made.compute.close()


def lease(fixture: SynthesisFixture, given_back: list[str] | None = None) -> Lease:
    told = [] if given_back is None else given_back
    return Lease(fixture.voice(LEVEL), lambda: told.append("lease"))


async def test_every_sentence_is_prepared_once_and_then_decoded(fixture: SynthesisFixture) -> None:
    heard = await fixture.heard(lease(fixture))
    assert float(np.median(heard)) == pytest.approx(LEVEL)
    steps = fixture.voices[0].steps
    assert (steps[:2], steps.count("prepare")) == (["prepare", "decode"], 2)


async def test_a_step_that_fails_is_told_and_ends_the_stream(fixture: SynthesisFixture) -> None:
    def fail(what: str) -> None:
        raise EngineError("the generator gave NaN")

    fixture.during = fail
    synthesis = fixture.synthesis
    with pytest.raises(EngineError, match="NaN"):
        await fixture.heard(lease(fixture))
    assert fixture.voices[0].steps == ["prepare"]
    assert synthesis._lease is synthesis._ahead is None


async def test_nothing_to_speak_is_told() -> None:
    fixture = SynthesisFixture("Zzz!", letters="abc")
    with pytest.raises(InvalidInputError, match="nothing that this voice can speak"):
        await fixture.heard(lease(fixture))
    fixture.compute.close()


async def test_who_writes_to_a_voice_what_it_cannot_read_hears_what_it_reads() -> None:
    # The front-end would say something of each character.
    fixture = SynthesisFixture("你好，世界！", letters="你好世界")
    with pytest.raises(InvalidInputError, match=r"it reads English \(en\): send words"):
        await fixture.heard(lease(fixture))
    assert fixture.voices[0].steps == []
    fixture.compute.close()


async def test_nothing_is_computed_before_there_is_a_lease(fixture: SynthesisFixture) -> None:
    parts = fixture.synthesis.messages(lease(fixture))
    await settle()
    assert fixture.voices[0].steps == []
    await anext(parts)
    assert fixture.voices[0].steps[:2] == ["prepare", "decode"]
    await parts.aclose()


async def test_a_device_that_is_no_cpu_is_not_kept_waiting_by_codecs(
    fixture: SynthesisFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    push, threads = Track.push, list[str]()

    def noted(track: Track, samples: Samples, *, ends: Read | None = None) -> Chunk | None:
        threads.append(threading.current_thread().name)
        return push(track, samples, ends=ends)

    monkeypatch.setattr(Track, "push", noted)
    coding = Scheduler("coding")
    request = dataclasses.replace(fixture.request, encoding=AudioEncoding.OPUS_PACKETS)
    stage = dataclasses.replace(fixture.stage, coding=coding)
    async for _ in fixture.again(request=request, stage=stage).messages(lease(fixture)):
        pass
    assert {name.partition("-")[0] for name in threads} == {"MainThread", "coding"}
    coding.close()


@pytest.mark.parametrize("step", ["prepare", "decode"])
async def test_leaving_waits_for_the_step_under_way_and_drops_the_rest(
    fixture: SynthesisFixture, step: str
) -> None:
    loop, begun, gate = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def during(what: str) -> None:
        if what == step:
            loop.call_soon_threadsafe(begun.set)
            assert gate.wait(timeout=20)

    async def speak() -> None:
        with lease(fixture, ended) as held:
            await fixture.heard(held)

    ended: list[str] = []
    fixture.during = during
    speaking = asyncio.ensure_future(speak())
    await begun.wait()
    speaking.cancel()
    await settle()
    assert not speaking.done()
    assert ended == [], "the step still computes with the voice"
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await speaking
    assert ended == ["lease"]
    assert fixture.voices[-1].steps[-1] == step
    synthesis = fixture.synthesis
    assert synthesis._lease is synthesis._ahead is None
    with pytest.raises(StopAsyncIteration):
        await anext(synthesis._windows)
