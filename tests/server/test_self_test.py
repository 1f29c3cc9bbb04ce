"""The self-test: what passes for a voice, what does not, and what it costs."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from google.rpc import code_pb2

from tests.registry.faults import Gate
from tests.server.fakes import FakePart, make_manifest, settle
from voxswap_families.contract import Delivery, LoadedVoice
from voxswap_families.text import NormalizedText, Phone, SymbolSequence
from voxswap_families.work import Work
from voxswap_registry.errors import EngineError, InvalidInputError
from voxswap_registry.manifest import Manifest
from voxswap_server.compute.scheduler import Scheduler
from voxswap_server.doors.grpc.status import to_status
from voxswap_server.residency.errors import VoiceTooLargeError
from voxswap_server.residency.estimates import Tier
from voxswap_server.residency.manager import ModelManager
from voxswap_server.residency.plans import PartPlan, VoicePlan
from voxswap_server.speech.admission import Admission
from voxswap_server.speech.books import Limits
from voxswap_server.speech.errors import OverloadedError
from voxswap_server.speech.pipeline import Stage
from voxswap_server.speech.speaking import Maker
from voxswap_server.voices.self_test import SelfTest, SelfTestError

RATE, HOP = 22050, 256
Samples = npt.NDArray[np.float32]


def tone(seconds: float, level: float = 0.1) -> Samples:
    """A sine whose RMS is ``level``."""
    time = np.arange(round(seconds * RATE)) / RATE
    return (level * np.sqrt(2) * np.sin(2 * np.pi * 220 * time)).astype(np.float32)


class FakeUtterance:
    held_bytes = 0

    def __init__(self, voice: FakeVoice, n_symbols: int) -> None:
        self._voice = voice
        self.frames = max(1, len(voice.audio) // HOP)
        self.durations_frames = [self.frames] + [0] * (n_symbols - 1)

    def decode(self, first_frame: int, last_frame: int) -> Work[Samples]:
        return Work.of(lambda: self._decoded(first_frame, last_frame))

    def _decoded(self, first_frame: int, last_frame: int) -> Samples:
        self._voice.steps += 1
        if self._voice.fault is not None:
            raise self._voice.fault
        return self._voice.audio[first_frame * HOP : last_frame * HOP]


class FakeVoice:
    """Says the same whatever it is given."""

    def most_symbols(self, rate: float) -> int:
        return 1_000

    def __init__(self, audio: Samples) -> None:
        self.audio = audio
        self.fault: Exception | None = None
        self.steps = 0
        self.deliveries: list[Delivery] = []

    def prepare(self, ids: Sequence[int], delivery: Delivery) -> Work[FakeUtterance]:
        self.deliveries.append(delivery)
        return Work.of(lambda: FakeUtterance(self, len(ids)))


class FakeFrontEnd:
    """Reads the letters that it knows."""

    def __init__(self, letters: str) -> None:
        self.letters = letters
        self.texts: list[str] = []

    def symbols(self, text: NormalizedText) -> SymbolSequence:
        self.texts.append(text.text)
        known = [letter for letter in text.text.lower() if letter in self.letters]
        phones = tuple(Phone(letter, n, n + 1, 0) for n, letter in enumerate(known))
        return SymbolSequence(tuple(range(len(known))), phones)


class House:
    """A manager whose every voice is one fake, and a self-test with it."""

    def __init__(self, audio: Samples | None = None, letters: str = "abcdefghijklmnopqrstuvwxyzü"):
        self.voice = FakeVoice(tone(1.0) if audio is None else audio)
        self.front_end = FakeFrontEnd(letters)
        self.executor = ThreadPoolExecutor(1)
        self.manager = ModelManager(self, self.executor, budget_bytes=100)
        self.compute = Scheduler()
        stage = Stage(self.compute)
        self.admission = Admission(Limits(), stage.pacing, clock=stage.clock)
        self.outcomes: list[str] = []
        maker = Maker(self.manager, stage, self.admission)
        self.self_test = SelfTest(maker, observe=self.outcomes.append)

    def plan(self, manifest: Manifest) -> VoicePlan:
        parts = tuple(PartPlan(c.digest, c.role, c, c.size_bytes) for c in manifest.components)
        return VoicePlan(manifest.voice_id, manifest, parts)

    def load(self, plan: VoicePlan, part: PartPlan, *_: object) -> FakePart:
        return FakePart(part.footprint_bytes)

    def assemble(self, plan: VoicePlan, parts: object) -> LoadedVoice:
        return LoadedVoice(plan.manifest.ref, self.voice, self.front_end)

    def is_here(self, part: PartPlan) -> bool:
        return True

    def fetch(self, plan: VoicePlan, part: PartPlan, *_: object) -> None:
        raise AssertionError("everything is here")

    def tier(self, part: PartPlan) -> Tier:
        return Tier.DISK

    def load_s(self, part: PartPlan, tier: Tier) -> float:
        return 0.0

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
async def houses() -> AsyncIterator[Any]:
    """Makes houses; proves their books and pulls them down."""
    made: list[House] = []

    def make(*args: Any, **options: Any) -> House:
        made.append(House(*args, **options))
        return made[-1]

    yield make
    for house in made:
        house.manager.check_integrity()
        house.admission.check_integrity()
        assert house.admission.shown.streams == 0
        assert house.manager.held_leases() == 0
        await house.manager.close()
        house.compute.close()
        house.executor.shutdown()


async def test_a_voice_that_speaks_passes_and_stays_resident(houses: Any) -> None:
    house = houses(tone(1.5, 0.1))
    report = await house.self_test.run(manifest(), "Hello there.")
    assert report.text == "Hello there."
    assert report.duration_s == pytest.approx(1.5, abs=HOP / RATE)
    assert report.rms == pytest.approx(0.1, rel=0.01)
    assert report.cold
    assert report.swap_ms > 0
    (resident,) = house.manager.residents()
    assert (resident.refs, resident.leases) == (("npc/smith@3",), 0)
    again = await house.self_test.run(manifest(), "Hello there.")
    assert not again.cold
    assert house.outcomes == ["passed", "passed"]
    # The same noise each time: whether it passes is no matter of luck.
    assert {delivery.seed for delivery in house.voice.deliveries} == {0}


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
    houses: Any, language: str, said: str
) -> None:
    house = houses()
    report = await house.self_test.run(manifest(language=language))
    assert said in report.text.lower()
    assert any(said in text.lower() for text in house.front_end.texts)


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
async def test_what_is_no_voice_does_not_pass(houses: Any, audio: Samples, told: str) -> None:
    assert told in await houses(audio).fault("Hello there.")


@pytest.mark.parametrize(
    "audio",
    [tone(1.0, 0.0011), tone(0.25), with_bad_values(1.0, 0.009), tone(1.0, 0.7)],
    ids=["soft", "brief", "a few peaks", "loud"],
)
async def test_what_is_barely_a_voice_passes(houses: Any, audio: Samples) -> None:
    await houses(audio).self_test.run(manifest(), "Hello there.")


async def test_a_voice_that_does_not_end_is_cut_off(houses: Any) -> None:
    """One second a character and one more is all that it gets, not the hour that it would take."""
    house = houses(np.tile(tone(1.0), 3600))
    assert "over 4 s" in await house.fault("abc")
    assert house.voice.steps < 20
    assert "over 14 s" in await house.fault("Hello, there!")
    house = houses(tone(3.9))
    assert (await house.self_test.run(manifest(), "abc")).duration_s < 4


async def test_an_engine_that_fails_is_told_as_it_is(houses: Any) -> None:
    house = houses()
    house.voice.fault = EngineError("the generator gave NaN")
    with pytest.raises(EngineError, match="gave NaN"):
        await house.self_test.run(manifest(), "Hello there.")
    assert house.outcomes == ["failed"]
    assert house.manager.held_leases() == 0


async def test_a_voice_that_does_not_fit_is_told_as_it_is(houses: Any) -> None:
    house = houses()
    (model,) = make_manifest(size=101).components
    with pytest.raises(VoiceTooLargeError):
        await house.self_test.run(manifest(components=(model,)))


async def test_a_text_that_it_cannot_read_is_a_fault_of_that_field(houses: Any) -> None:
    house = houses(letters="xyz")
    with pytest.raises(InvalidInputError) as raised:
        await house.self_test.run(manifest(), "Hello there.")
    assert [violation.field for violation in raised.value.violations] == ["test_text"]


async def test_a_voice_that_cannot_read_our_own_text_asks_for_another(houses: Any) -> None:
    house = houses(letters="铁匠")
    assert "test_text" in await house.fault()
    assert (await house.self_test.run(manifest(), "铁匠")).duration_s > 0.2


# How many at a time


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """Stands before every step of a voice."""
    gate, decoded = Gate(), FakeUtterance._decoded

    def stopped(self: FakeUtterance, first_frame: int, last_frame: int) -> Samples:
        gate()
        return decoded(self, first_frame, last_frame)

    monkeypatch.setattr(FakeUtterance, "_decoded", stopped)
    yield gate
    gate.open()


async def test_two_are_tried_at_a_time_and_the_others_wait(houses: Any, gate: Gate) -> None:
    """As streams without pacing, so that whoever comes meanwhile is told how much there is."""
    house = houses()
    tests = [asyncio.create_task(house.self_test.run(manifest(), "Hello there.")) for _ in range(5)]
    await asyncio.to_thread(gate.wait_reached)
    await settle()
    shown = house.admission.shown
    assert (shown.streams, shown.load) == (2, 0.0)
    assert house.manager.held_leases() == 2
    gate.open()
    assert {(await test).text for test in tests} == {"Hello there."}
    assert house.outcomes == ["passed"] * 5


async def test_who_waits_too_long_for_a_place_is_told_when_to_come_again(
    houses: Any, gate: Gate
) -> None:
    house = houses()
    tests = [asyncio.create_task(house.self_test.run(manifest(), "Hello.")) for _ in range(2)]
    await asyncio.to_thread(gate.wait_reached)
    await settle()
    with pytest.raises(OverloadedError, match="2 versions are being tried") as raised:
        await house.self_test.run(manifest(), "Hello.", timeout_s=0.0)
    assert raised.value.retry_s
    assert to_status(raised.value).code == code_pb2.RESOURCE_EXHAUSTED
    gate.open()
    await asyncio.gather(*tests)
    assert sorted(house.outcomes) == ["passed", "passed", "refused"]
    assert (await house.self_test.run(manifest(), "Hello.")).text == "Hello."


async def test_one_that_is_cancelled_gives_its_place_back(houses: Any, gate: Gate) -> None:
    house = houses()
    for _ in range(3):
        tests = [asyncio.create_task(house.self_test.run(manifest(), "Hello.")) for _ in range(4)]
        await settle()
        for test in tests:
            test.cancel()
        gate.open()
        results = await asyncio.gather(*tests, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
    assert house.admission.shown.streams == 0
    assert (await house.self_test.run(manifest(), "Hello.")).text == "Hello."


async def test_admission_may_refuse_a_test(houses: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    house = houses()

    def refuse(self: Admission, *_: object, **__: object) -> None:
        raise OverloadedError("as much as there is time for")

    monkeypatch.setattr(Admission, "admit", refuse)
    with pytest.raises(OverloadedError, match="as much as"):
        await house.self_test.run(manifest(), "Hello.")
    assert house.outcomes == ["refused"]
    assert not house.manager.residents()
