"""The self-test: what passes for a voice, what does not, and what it costs."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from tests.fakes.executors import settle
from tests.fakes.family import RATE, FakeFrontEnd, FakeVoice, Samples
from tests.fakes.gates import Gate
from tests.fakes.manifests import make_manifest
from tests.fakes.residency import FakeLoader
from voxswap_registry.errors import EngineError, InvalidInputError
from voxswap_registry.manifest import Manifest
from voxswap_server.compute.scheduler import Scheduler
from voxswap_server.doors.failures import Code, failure_of
from voxswap_server.residency.errors import VoiceTooLargeError
from voxswap_server.residency.manager import ModelManager
from voxswap_server.speech.admission import Admission
from voxswap_server.speech.books import Limits
from voxswap_server.speech.errors import OverloadedError
from voxswap_server.speech.pipeline import Stage
from voxswap_server.speech.speaking import Maker
from voxswap_server.voices.self_test import SelfTest, SelfTestError


def tone(seconds: float, level: float = 0.1) -> Samples:
    """A sine whose RMS is ``level``."""
    time = np.arange(round(seconds * RATE)) / RATE
    samples: Samples = (level * np.sqrt(2) * np.sin(2 * np.pi * 220 * time)).astype(np.float32)
    return samples


class SelfTestFixture:
    """A manager whose every voice is one fake, and a self-test with it."""

    def __init__(self, audio: Samples | None = None, letters: str = "abcdefghijklmnopqrstuvwxyzü"):
        self.voice = FakeVoice(tone(1.0) if audio is None else audio)
        self.front_end = FakeFrontEnd(letters)
        self.executor = ThreadPoolExecutor(1)
        loader = FakeLoader(voice=self.voice, front_end=self.front_end)
        self.manager = ModelManager(loader, self.executor, budget_bytes=100)
        self.compute = Scheduler()
        stage = Stage(self.compute)
        self.admission = Admission(Limits(), stage.pacing, clock=stage.clock)
        self.outcomes: list[str] = []
        maker = Maker(self.manager, stage, self.admission)
        self.self_test = SelfTest(maker, observe=self.outcomes.append)

    async def fault(self, *args: Any, **options: Any) -> str:
        with pytest.raises(SelfTestError) as raised:
            await self.self_test.run(manifest(), *args, **options)
        assert raised.value.reason == "SELF_TEST_FAILED"
        assert raised.value.metadata == {"voice": "npc/smith@3"}
        assert "no label was moved" in raised.value.message
        return raised.value.message


def manifest(**changes: Any) -> Manifest:
    return dataclasses.replace(make_manifest("npc/smith", version=3), **changes)


@pytest.fixture
async def fixtures() -> AsyncIterator[Any]:
    """Makes fixtures; proves their books and pulls them down."""
    made: list[SelfTestFixture] = []

    def make(*args: Any, **options: Any) -> SelfTestFixture:
        made.append(SelfTestFixture(*args, **options))
        return made[-1]

    yield make
    for fixture in made:
        fixture.manager.check_integrity()
        fixture.admission.check_integrity()
        assert fixture.admission.shown.streams == 0
        assert fixture.manager.held_leases() == 0
        await fixture.manager.close()
        fixture.compute.close()
        fixture.executor.shutdown()


async def test_a_voice_that_speaks_passes_and_stays_resident(fixtures: Any) -> None:
    fixture = fixtures(tone(1.5, 0.1))
    await fixture.self_test.run(manifest(), "Hello there.")
    assert fixture.front_end.texts == ["Hello there."]
    (resident,) = fixture.manager.residents()
    assert (resident.refs, resident.leases) == (("npc/smith@3",), 0)
    await fixture.self_test.run(manifest(), "Hello there.")
    assert fixture.outcomes == ["passed", "passed"]
    # The same noise each time: whether it passes is no matter of luck.
    assert {delivery.seed for delivery in fixture.voice.deliveries} == {0}


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "quick brown fox"),
        ("en-GB", "quick brown fox"),
        ("EN", "quick brown fox"),
        ("de-CH", "boxkämpfer"),
        ("eng", "la la la"),
        ("", "la la la"),
        ("tlh", "la la la"),
    ],
)
async def test_it_says_a_sentence_of_the_voices_language(
    fixtures: Any, language: str, said: str
) -> None:
    fixture = fixtures()
    await fixture.self_test.run(manifest(language=language))
    assert any(said in text.lower() for text in fixture.front_end.texts)


def with_bad_values(value: float, share: float) -> Samples:
    audio = tone(1.0)
    audio[: max(1, round(share * len(audio)))] = value
    return audio


@pytest.mark.parametrize(
    ("audio", "told"),
    [
        (np.zeros(RATE, np.float32), "it was silent"),
        (tone(1.0, 0.0009), "it was silent"),
        (np.full(RATE, np.nan, np.float32), "no numbers"),
        (with_bad_values(np.nan, 0.0), "no numbers"),
        (tone(0.19), "under 0.2 s"),
        (np.ones(RATE, np.float32), "clipped"),
        (with_bad_values(np.inf, 0.02), "clipped"),
        (with_bad_values(-1.0, 0.02), "clipped"),
        (tone(1.0, 2.0), "clipped"),
    ],
    ids=[
        "zeros", "faint", "nan", "one nan", "short", "ones", "infinite", "at the rail", "too loud",
    ],
)  # fmt: skip
async def test_what_is_no_voice_does_not_pass(fixtures: Any, audio: Samples, told: str) -> None:
    assert told in await fixtures(audio).fault("Hello there.")


@pytest.mark.parametrize(
    "audio",
    [tone(1.0, 0.0011), tone(0.25), with_bad_values(1.0, 0.009), tone(1.0, 0.7)],
    ids=["soft", "brief", "a few peaks", "loud"],
)
async def test_what_is_barely_a_voice_passes(fixtures: Any, audio: Samples) -> None:
    await fixtures(audio).self_test.run(manifest(), "Hello there.")


async def test_a_voice_that_does_not_end_is_cut_off(fixtures: Any) -> None:
    """One second a character and one more is all that it gets, not the hour that it would take."""
    fixture = fixtures(np.tile(tone(1.0), 3600))
    assert "over 4 s" in await fixture.fault("abc")
    assert len(fixture.voice.steps) < 20
    assert "over 14 s" in await fixture.fault("Hello, there!")
    fixture = fixtures(tone(3.9))
    await fixture.self_test.run(manifest(), "abc")


async def test_an_engine_that_fails_is_told_as_it_is(fixtures: Any) -> None:
    fixture = fixtures()

    def fail(step: str) -> None:
        raise EngineError("the generator gave NaN")

    fixture.voice.during = fail
    with pytest.raises(EngineError, match="gave NaN"):
        await fixture.self_test.run(manifest(), "Hello there.")
    assert fixture.outcomes == ["failed"]
    assert fixture.manager.held_leases() == 0


async def test_a_voice_that_does_not_fit_is_told_as_it_is(fixtures: Any) -> None:
    fixture = fixtures()
    (model,) = make_manifest(size=101).components
    with pytest.raises(VoiceTooLargeError):
        await fixture.self_test.run(manifest(components=(model,)))


async def test_a_text_that_it_cannot_read_is_a_fault_of_that_field(fixtures: Any) -> None:
    fixture = fixtures(letters="xyz")
    with pytest.raises(InvalidInputError) as raised:
        await fixture.self_test.run(manifest(), "Hello there.")
    assert [violation.field for violation in raised.value.violations] == ["test_text"]


async def test_a_voice_that_cannot_read_our_own_text_asks_for_another(fixtures: Any) -> None:
    fixture = fixtures(letters="кузнец")
    assert "test_text" in await fixture.fault()
    await fixture.self_test.run(manifest(), "кузнец")


# How many at a time


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()


def stops_at(fixture: SelfTestFixture, gate: Gate) -> None:
    """Whenever its voice decodes."""
    fixture.voice.during = lambda step: gate() if step == "decode" else None


async def test_two_are_tried_at_a_time_and_the_others_wait(fixtures: Any, gate: Gate) -> None:
    """As streams without pacing, so that whoever comes meanwhile is told how much there is."""
    fixture = fixtures()
    stops_at(fixture, gate)
    tests = [
        asyncio.create_task(fixture.self_test.run(manifest(), "Hello there.")) for _ in range(5)
    ]
    await asyncio.to_thread(gate.wait_reached)
    await settle()
    shown = fixture.admission.shown
    assert (shown.streams, shown.load) == (2, 0.0)
    assert fixture.manager.held_leases() == 2
    gate.open()
    await asyncio.gather(*tests)
    assert fixture.front_end.texts == ["Hello there."] * 5
    assert fixture.outcomes == ["passed"] * 5


async def test_who_waits_too_long_for_a_place_is_told_when_to_come_again(
    fixtures: Any, gate: Gate
) -> None:
    fixture = fixtures()
    stops_at(fixture, gate)
    tests = [asyncio.create_task(fixture.self_test.run(manifest(), "Hello.")) for _ in range(2)]
    await asyncio.to_thread(gate.wait_reached)
    await settle()
    with pytest.raises(OverloadedError, match="2 versions are being tried") as raised:
        await fixture.self_test.run(manifest(), "Hello.", timeout_s=0.0)
    assert raised.value.retry_s
    assert failure_of(raised.value).code is Code.RESOURCE_EXHAUSTED
    gate.open()
    await asyncio.gather(*tests)
    assert sorted(fixture.outcomes) == ["passed", "passed", "refused"]
    await fixture.self_test.run(manifest(), "Hello.")


async def test_one_that_is_cancelled_gives_its_place_back(fixtures: Any, gate: Gate) -> None:
    fixture = fixtures()
    stops_at(fixture, gate)
    for _ in range(3):
        tests = [asyncio.create_task(fixture.self_test.run(manifest(), "Hello.")) for _ in range(4)]
        await settle()
        for test in tests:
            test.cancel()
        gate.open()
        results = await asyncio.gather(*tests, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
    assert fixture.admission.shown.streams == 0
    await fixture.self_test.run(manifest(), "Hello.")


async def test_admission_may_refuse_a_test(fixtures: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fixture = fixtures()

    def refuse(self: Admission, *_: object, **__: object) -> None:
        raise OverloadedError("as much as there is time for")

    monkeypatch.setattr(Admission, "admit", refuse)
    with pytest.raises(OverloadedError, match="as much as"):
        await fixture.self_test.run(manifest(), "Hello.")
    assert fixture.outcomes == ["refused"]
    assert not fixture.manager.residents()


async def test_a_voice_with_emotions_is_tried_with_all_of_them(fixtures: Any) -> None:
    fixture = fixtures(tone(1.0))
    await fixture.self_test.run(manifest(emotions=("angry", "fear")))
    assert [dict(delivery.emotions) for delivery in fixture.voice.deliveries] == [
        *({}, {"angry": 0.5, "fear": 0.5}),
    ]

    def feel(step: str) -> None:
        if step == "prepare" and fixture.voice.deliveries[-1].emotions:
            fixture.voice.audio = tone(1.0, level=0.0)

    fixture.voice.during = feel
    with pytest.raises(SelfTestError) as raised:
        await fixture.self_test.run(manifest(emotions=("angry", "fear")))
    assert "with all of its emotions it was silent" in raised.value.message
    assert "--emotion angry=0.5 --emotion fear=0.5" in raised.value.message
