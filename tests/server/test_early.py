"""Computing beside verification: nothing is said before there is a lease, and nothing wrong."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import dataclasses
import gc
import os
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.registry.drafts import blob_path, make_draft
from tests.registry.stores import memory_objects
from tests.server.fakes import FakeLoader, House, make_manifest, settle
from tests.server.test_loader import SYMBOLS, FakeEngine
from tests.server.test_self_test import FakeFrontEnd
from voxswap_registry.components import Components
from voxswap_registry.errors import (
    DigestMismatchError,
    EngineError,
    InvalidInputError,
    RegistryError,
)
from voxswap_registry.manifest import FrontEndSpec, Manifest
from voxswap_registry.names import VoiceRef
from voxswap_registry.storage.cache import ComponentCache
from voxswap_registry.storage.folder import FolderObjects
from voxswap_registry.storage.verified import VerifiedFile
from voxswap_registry.store import Registry
from voxswap_server.audio.encoding import AudioEncoding
from voxswap_server.engines.base import Delivery
from voxswap_server.engines.work import Work
from voxswap_server.residency.lease import Lease
from voxswap_server.residency.loader import LoadedVoice, VoiceLoader
from voxswap_server.residency.manager import ModelManager
from voxswap_server.speech.parts import Chunk, Header, Trailer
from voxswap_server.speech.pipeline import Stage, Synthesis
from voxswap_server.speech.request import SpeechRequest
from voxswap_server.speech.scheduler import Scheduler

HOP, FRAMES = 256, 40
GOOD, BAD = 0.25, -0.5
TEXT = "One two three. Four five six!"


class Weights:
    """A part; what is computed with it is recognised by its level."""

    allocated_bytes = 0

    def __init__(self, level: float, size: int = 10) -> None:
        self.level = level
        self.resident_bytes = size


class Utterance:
    frames = FRAMES

    def __init__(self, voice: SpeakingVoice, n_symbols: int) -> None:
        self._voice = voice
        self.durations_frames = [FRAMES] + [0] * (n_symbols - 1)

    def decode(self, first_frame: int, last_frame: int) -> Work[npt.NDArray[np.float32]]:
        def decoded() -> npt.NDArray[np.float32]:
            self._voice.step("decode")
            return np.full((last_frame - first_frame) * HOP, self._voice.weights.level, np.float32)

        return Work.of(decoded)


class SpeakingVoice:
    """Tells of each step, and waits for whatever ``during`` waits for."""

    def __init__(self, weights: Weights, during: Callable[[str], None]) -> None:
        self.weights = weights
        self.steps: list[str] = []
        self.during = during

    def most_symbols(self, rate: float) -> int:
        return 1_000

    def step(self, what: str) -> None:
        self.steps.append(what)
        self.during(what)

    def prepare(self, ids: Sequence[int], delivery: Delivery) -> Work[Utterance]:
        def prepared() -> Utterance:
            self.step("prepare")
            return Utterance(self, len(ids))

        return Work.of(prepared)


class Play:
    """One stream's synthesis, over voices that are made by hand."""

    def __init__(self, text: str = TEXT, letters: str = "abcdefghijklmnopqrstuvwxyz") -> None:
        self.manifest = make_manifest("a")
        self.compute = Scheduler()
        self.during: Callable[[str], None] = lambda what: None
        self.letters = letters
        self.voices: list[SpeakingVoice] = []
        self.request = SpeechRequest(
            VoiceRef("a", 1), text, encoding=AudioEncoding.PCM_F32LE, seed=1
        )
        self.stage = Stage(self.compute)
        self.synthesis = Synthesis(self.request, self.manifest, self.stage)

    def voice(self, level: float) -> LoadedVoice:
        voice = SpeakingVoice(Weights(level), self.tell)
        self.voices.append(voice)
        return LoadedVoice("a@1", voice, FakeFrontEnd(self.letters))

    def tell(self, what: str) -> None:
        self.during(what)

    def lease(self, loaded: LoadedVoice, *, early_holds: bool = True) -> Lease:
        lease = Lease(loaded, lambda: None)
        lease.early_holds = early_holds
        return lease

    async def heard(self, lease: Lease) -> npt.NDArray[np.float32]:
        """All of the audio; the stream's form is checked as well."""
        found = [part async for part in self.synthesis.parts(lease)]
        assert isinstance(found[0], Header)
        assert isinstance(found[-1], Trailer)
        chunks = [part for part in found if isinstance(part, Chunk)]
        assert len(chunks) == len(found) - 2
        audio = np.frombuffer(b"".join(chunk.audio for chunk in chunks), np.float32)
        assert found[-1].total_samples == len(audio)
        return audio


@pytest.fixture(autouse=True)
def collected() -> None:
    """Cycles of an earlier test must not be mistaken for ours."""
    gc.collect()


@pytest.fixture
async def stage() -> AsyncIterator[Play]:
    made = Play()
    yield made
    made.compute.close()


async def until(condition: Callable[[], bool]) -> None:
    """Other threads bring it about."""
    while not condition():  # noqa: ASYNC110 - it may become true in any way
        await asyncio.sleep(0)


async def first_window_of(synthesis: Synthesis) -> None:
    """Wait until what `begin` began has ended."""
    await until(lambda: synthesis._ahead is not None and synthesis._ahead.done())


async def computed(stage: Play, step: str) -> Callable[[], None]:
    """Wait until a step of this kind has begun; it goes on when the result is called."""
    loop, begun, gate = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def during(what: str) -> None:
        if what == step and not gate.is_set():
            loop.call_soon_threadsafe(begun.set)
            assert gate.wait(timeout=20)

    stage.during = during
    await begun.wait()
    return gate.set


async def test_the_first_window_is_computed_once_and_the_line_is_the_same(stage: Play) -> None:
    loaded = stage.voice(GOOD)
    async with stage.synthesis as synthesis:
        synthesis.begin(loaded)
        synthesis.begin(stage.voice(BAD))  # once is enough
        await first_window_of(synthesis)
        assert stage.voices[0].steps == ["prepare", "decode"], "and no further"
        early = await stage.heard(stage.lease(loaded))
    steps = list(stage.voices[0].steps)
    assert not stage.voices[1].steps
    late = Play()
    async with late.synthesis:
        assert np.array_equal(early, await late.heard(late.lease(late.voice(GOOD))))
    late.compute.close()
    assert late.voices[0].steps == steps
    assert steps.count("prepare") == 2


async def test_what_was_computed_with_other_bytes_is_computed_anew(stage: Play) -> None:
    stage.letters = "abcdefghijklmnopqrstuvwxy"  # no z
    async with stage.synthesis as synthesis:
        synthesis.begin(stage.voice(BAD))
        await first_window_of(synthesis)
        heard = await stage.heard(stage.lease(stage.voice(GOOD), early_holds=False))
    assert heard.min() >= 0
    assert stage.voices[0].steps == ["prepare", "decode"]
    late = Play()
    async with late.synthesis:
        assert np.array_equal(heard, await late.heard(late.lease(late.voice(GOOD))))
    late.compute.close()


async def test_a_step_on_other_bytes_is_waited_for_and_dropped(stage: Play) -> None:
    async with stage.synthesis as synthesis:
        synthesis.begin(stage.voice(BAD))
        go_on = await computed(stage, "decode")
        hearing = asyncio.ensure_future(
            stage.heard(stage.lease(stage.voice(GOOD), early_holds=False))
        )
        await settle()
        assert not hearing.done()
        go_on()
        assert (await hearing).min() >= 0


async def test_a_first_step_that_fails_is_told_when_the_stream_begins(stage: Play) -> None:
    def fail(what: str) -> None:
        raise EngineError("the generator gave NaN")

    stage.during = fail
    loaded = stage.voice(GOOD)
    async with stage.synthesis as synthesis:
        synthesis.begin(loaded)
        await settle()
        with pytest.raises(EngineError, match="NaN"):
            await stage.heard(stage.lease(loaded))


async def test_a_first_step_that_fails_on_other_bytes_is_told_to_nobody(stage: Play) -> None:
    async with stage.synthesis as synthesis:
        bad, good = stage.voice(BAD), stage.voice(GOOD)

        def fail(what: str) -> None:
            if not stage.voices[1].steps:
                raise EngineError("the generator gave NaN")

        stage.during = fail
        synthesis.begin(bad)
        await first_window_of(synthesis)
        assert (await stage.heard(stage.lease(good, early_holds=False))).min() >= 0


async def test_nothing_to_speak_is_told_when_the_stream_begins() -> None:
    stage = Play("Zzz!", letters="abc")
    loaded = stage.voice(GOOD)
    async with stage.synthesis as synthesis:
        synthesis.begin(loaded)
        await settle()
        with pytest.raises(InvalidInputError, match="nothing that this voice can speak"):
            await stage.heard(stage.lease(loaded))
    stage.compute.close()


@pytest.mark.parametrize("cancelled", [False, True])
async def test_leaving_waits_for_the_step_under_way_and_drops_the_rest(
    stage: Play, *, cancelled: bool
) -> None:
    async def leave() -> None:
        loaded = stage.voice(GOOD)
        async with stage.synthesis as synthesis:
            synthesis.begin(loaded)
            left.append(await computed(stage, "prepare"))

    left: list[Callable[[], None]] = []
    leaving = asyncio.ensure_future(leave())
    await until(lambda: bool(left))
    await settle()
    assert not leaving.done()
    if cancelled:
        leaving.cancel()
        await settle()
        assert not leaving.done()
    left[0]()
    await asyncio.wait([leaving])
    assert leaving.cancelled() == cancelled
    assert stage.voices[0].steps == ["prepare"]
    synthesis = stage.synthesis
    assert synthesis._loaded is synthesis._ahead is None
    with pytest.raises(StopAsyncIteration):
        await anext(synthesis._windows)


# With the manager: from the offer to the lease, or to none


class VerifyingLoader(FakeLoader):
    """Offers its part at once, and returns it when somebody says what came of its digest."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.loop = loop
        self.reading = asyncio.Event()
        self.verified = threading.Event()
        self.outcome: Weights | Exception | None = None
        self.offers: Weights | None = Weights(GOOD)
        self.during: Callable[[str], None] = lambda what: None
        self.voices: list[weakref.ref[SpeakingVoice]] = []

    def load(self, plan: Any, part: Any, cancelled: Any, early: Any) -> Any:
        offered = self.offers
        if offered is not None:
            early(offered)
        self.loop.call_soon_threadsafe(self.reading.set)
        assert self.verified.wait(timeout=20)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome or offered

    def tell(self, what: str) -> None:
        self.during(what)

    def assemble(self, plan: Any, parts: Any) -> LoadedVoice:
        voice = SpeakingVoice(parts["model"], self.tell)
        self.voices.append(weakref.ref(voice))
        return LoadedVoice("a@1", voice, FakeFrontEnd("abcdefghijklmnopqrstuvwxyz"))


class Theatre:
    """A manager on a loading thread, a stream that speaks as the servicer does, and its client."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.loader = VerifyingLoader(self.loop)
        self.executor = ThreadPoolExecutor(1)
        self.freeing = ThreadPoolExecutor(1)
        self.compute = Scheduler()
        self.manager = ModelManager(
            self.loader, self.executor, freeing=self.freeing, budget_bytes=30
        )
        self.sent: list[object] = []
        self.held_while_stepping = True

    async def speak(self, manifest: Manifest) -> None:
        request = SpeechRequest(VoiceRef("a", 1), TEXT, encoding=AudioEncoding.PCM_F32LE, seed=1)
        async with Synthesis(request, manifest, Stage(self.compute)) as synthesis:
            with await self.manager.acquire(manifest, early=synthesis.begin) as lease:
                parts = synthesis.parts(lease)
                async with contextlib.aclosing(parts):
                    async for part in parts:
                        self.sent.append(part)

    async def begin(self) -> asyncio.Task[None]:
        """A stream that has computed what it can before there is a lease."""
        loop, stepped = self.loop, asyncio.Event()

        def during(what: str) -> None:
            if what == "decode":
                loop.call_soon_threadsafe(stepped.set)

        self.loader.during = during
        speaking = asyncio.ensure_future(self.speak(make_manifest("a")))
        await self.loader.reading.wait()
        if self.loader.offers is not None:
            await stepped.wait()
        await settle()
        return speaking

    def heard(self) -> npt.NDArray[np.float32]:
        audio = b"".join(part.audio for part in self.sent if isinstance(part, Chunk))
        return np.frombuffer(audio, np.float32)


@pytest.fixture
async def theatre() -> AsyncIterator[Theatre]:
    made = Theatre()
    yield made
    made.loader.verified.set()
    await made.manager.close()
    made.compute.close()
    made.executor.shutdown()
    made.freeing.shutdown()


async def test_nothing_is_sent_before_the_bytes_are_verified(theatre: Theatre) -> None:
    speaking = await theatre.begin()
    assert theatre.sent == []
    assert theatre.manager.held_leases() == 0
    theatre.loader.verified.set()
    await speaking
    assert theatre.heard().min() >= 0
    assert len(theatre.loader.voices) == 2, "one early, one for good"
    assert isinstance(theatre.sent[0], Header)
    assert theatre.sent[0].cold


async def test_nothing_is_sent_of_bytes_that_are_wrong_and_nothing_of_them_stays(
    theatre: Theatre,
) -> None:
    theatre.loader.outcome = DigestMismatchError("not what its digest says")
    speaking = await theatre.begin()
    theatre.loader.verified.set()
    with pytest.raises(DigestMismatchError):
        await speaking
    assert theatre.sent == []
    theatre.manager.check_integrity()
    assert theatre.manager.statistics().charged_bytes == 0
    theatre.loader.offers = theatre.loader.outcome = None
    del speaking
    gc.collect()
    assert [ref() for ref in theatre.loader.voices] == [None]


async def test_verification_may_fail_while_a_step_runs(theatre: Theatre) -> None:
    theatre.loader.outcome = DigestMismatchError("not what its digest says")
    gate, stepping = threading.Event(), asyncio.Event()

    def during(what: str) -> None:
        theatre.loop.call_soon_threadsafe(stepping.set)
        assert gate.wait(timeout=20)

    theatre.loader.during = during
    speaking = asyncio.ensure_future(theatre.speak(make_manifest("a")))
    await stepping.wait()
    theatre.loader.verified.set()
    await until(lambda: not theatre.manager.statistics().charged_bytes)
    await settle()
    assert not speaking.done(), "the step still computes with these bytes"
    gate.set()
    with pytest.raises(DigestMismatchError):
        await speaking
    assert theatre.sent == []


@pytest.mark.parametrize("when", ["before the step", "in the step", "after the step"])
async def test_who_goes_away_meanwhile_leaves_no_step_and_no_bytes(
    theatre: Theatre, when: str
) -> None:
    gate, stepping = threading.Event(), asyncio.Event()

    def during(what: str) -> None:
        theatre.loop.call_soon_threadsafe(stepping.set)
        assert gate.wait(timeout=20)

    if when == "after the step":
        speaking = await theatre.begin()
    else:
        theatre.loader.during = during
        if when == "before the step":
            blocked = asyncio.ensure_future(
                theatre.compute.run(Work.of(lambda: gate.wait(timeout=20)))
            )
        speaking = asyncio.ensure_future(theatre.speak(make_manifest("a")))
        await theatre.loader.reading.wait()
        if when == "in the step":
            await stepping.wait()
        await settle()
    speaking.cancel()
    await settle()
    if when == "in the step":
        assert not speaking.done()
    elif when == "before the step":
        assert speaking.done()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await speaking
    if when == "before the step":
        await blocked
        assert not theatre.loader.voices[0] or theatre.loader.voices[0]() is None
    theatre.loader.verified.set()
    await until(lambda: not theatre.manager.statistics().charged_bytes)
    theatre.manager.check_integrity()
    assert theatre.sent == []


async def test_if_other_bytes_take_their_place_only_those_are_heard(theatre: Theatre) -> None:
    """A damaged copy in the cache is thrown away and fetched anew, all in one load."""
    theatre.loader.offers = Weights(BAD)
    theatre.loader.outcome = Weights(GOOD)
    speaking = await theatre.begin()
    theatre.loader.verified.set()
    await speaking
    heard = theatre.heard()
    assert heard.min() >= 0
    assert isinstance(trailer := theatre.sent[-1], Trailer)
    assert trailer.total_samples == len(heard)


async def test_who_joins_a_load_later_is_offered_nothing_and_waits(theatre: Theatre) -> None:
    speaking = await theatre.begin()
    offered: list[object] = []
    joining = asyncio.ensure_future(
        theatre.manager.acquire(make_manifest("a"), early=offered.append)
    )
    await settle()
    theatre.loader.verified.set()
    (await joining).release()
    await speaking
    assert not offered


# With the manager by hand


class ByHand:
    """Offers in the order and number that a test wants, within one load."""

    def __init__(self, *offers: Weights) -> None:
        self.offers = offers

    def load(self, plan: Any, part: Any, cancelled: Any, early: Any) -> Any:
        for weights in self.offers:
            early(weights)
        return self.offers[-1]


@pytest.mark.parametrize(("offers", "holds"), [("a", True), ("aa", True), ("ab", False)])
async def test_a_lease_says_whether_what_was_offered_is_what_it_has(
    offers: str,
    holds: bool,
) -> None:
    house = House()
    weights = {name: Weights(GOOD) for name in set(offers)}
    house.loader.load = ByHand(*(weights[name] for name in offers)).load  # type: ignore[method-assign]
    offered: list[object] = []
    task = house.ask("a", early=offered.append)
    plain = house.ask("a")
    await house.work()
    for done in (task, plain):
        lease = done.result()
        assert lease.early_holds is holds
        lease.release()
    assert len(offered) == 1
    later = await house.manager.acquire(make_manifest("a"))
    assert later.early_holds
    later.release()


async def test_a_voice_of_two_parts_is_offered_when_both_can_be_had() -> None:
    house = House()
    house.loader.early = True
    offered: list[object] = []
    task = house.ask(make_manifest("a", 5, base=("base", 5)), early=offered.append)
    await settle()
    house.executor.run_next()
    await settle()
    assert not offered
    house.executor.run_next()
    await settle()
    assert len(offered) == 1
    await house.work()
    (await task).release()


async def test_parts_that_do_not_fit_are_offered_to_nobody() -> None:
    house = House()
    house.loader.early = True
    house.loader.misfits.add("a")
    offered: list[object] = []
    task = house.ask("a", early=offered.append)
    await house.work()
    assert isinstance(task.exception(), EngineError)
    assert not offered


# With the real loader, over a cache and over a folder


class ReadingEngine(FakeEngine):
    """Reads bytes whether they are verified or not; what it placed is what they were."""

    reads_unverified = ("model",)

    def __init__(self) -> None:
        super().__init__()
        self.placed: list[bytes] = []
        self.after_reading: Callable[[VerifiedFile], None] = lambda file: None

    def read(self, manifest: Manifest, role: str, file: VerifiedFile) -> Any:
        # Not `read_bytes`, which hands out nothing unverified.
        data = os.pread(file.fd, file.size_bytes, 0)
        self.after_reading(file)
        return ReadPart(data, self)


@dataclasses.dataclass(eq=False)
class ReadPart:
    data: bytes
    engine: ReadingEngine
    host_bytes: int = 0
    allocated_bytes: int = 0

    @property
    def resident_bytes(self) -> int:
        return len(self.data)

    def place(self) -> ReadPart:
        self.engine.placed.append(self.data)
        return self


SOUND, DAMAGED = b"the right weights", b"the wrong weights"


class Shelf:
    """A voice in a registry, and a loader over it."""

    def __init__(self, folder: Path, *, remote: bool) -> None:
        objects = memory_objects() if remote else FolderObjects(folder / "registry")
        draft = make_draft(folder, data=SOUND, engine="fake", front_end=FrontEndSpec("characters"))
        (folder / "symbols.json").write_bytes(SYMBOLS)
        self.registry = Registry(objects)
        self.manifest = self.registry.publish(draft)
        self.mismatches: list[DigestMismatchError] = []
        self.folder = folder / ("cache" if remote else "registry")
        self.components = Components(
            objects,
            ComponentCache(folder / "cache", 1 << 20) if remote else None,
            listener=lambda _, error: self.mismatches.append(error),
        )
        self.engine = ReadingEngine()
        self.loader = VoiceLoader(self.components, {"fake": self.engine}, front_end="espeak")
        self.early: list[Any] = []

    def load(self, cancelled: Callable[[], bool] = lambda: False) -> Any:
        self.early.clear()
        self.engine.placed.clear()
        plan = self.loader.plan(self.manifest)
        return self.loader.load(plan, plan.parts[0], cancelled, self.early.append)

    def replace(self, old: bytes, new: bytes) -> None:
        for path in self.folder.rglob("*"):
            if path.is_file() and path.read_bytes() == old:
                path.chmod(0o644)
                path.write_bytes(new)


@pytest.mark.parametrize("remote", [False, True])
def test_what_is_read_beside_hashing_is_what_is_returned(tmp_path: Path, *, remote: bool) -> None:
    shelf = Shelf(tmp_path, remote=remote)
    assert shelf.load().data == SOUND
    assert len(shelf.early) == (not remote), "what comes from afar is not read before it is here"
    for _ in range(2):
        loaded = shelf.load()
        assert loaded.data == SOUND
        assert shelf.early == [loaded]
        assert shelf.engine.placed == [SOUND]


def test_a_damaged_copy_in_the_cache_is_never_returned(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, remote=True)
    shelf.load()
    shelf.replace(SOUND, DAMAGED)
    loaded = shelf.load()
    assert loaded.data == SOUND
    assert [part.data for part in shelf.early] == [DAMAGED], "and whoever has it must be told"
    assert loaded is not shelf.early[0]
    assert len(shelf.mismatches) == 1
    assert not shelf.components.quarantined()


def test_damaged_bytes_in_the_store_are_never_returned_and_read_once(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, remote=False)
    shelf.replace(SOUND, DAMAGED)
    for reads in (1, 0, 0):
        with pytest.raises(DigestMismatchError):
            shelf.load()
        assert len(shelf.engine.placed) == reads, "in quarantine it is not even looked at"
    shelf.replace(DAMAGED, SOUND)
    assert shelf.load().data == SOUND


def test_what_takes_a_files_place_while_it_is_read_changes_nothing(tmp_path: Path) -> None:
    """Be it the very same bytes, sent again, or others."""
    shelf = Shelf(tmp_path, remote=False)
    path = blob_path(shelf.registry, shelf.manifest.component("model"))
    for other in (SOUND, DAMAGED):

        def swap(file: VerifiedFile, other: bytes = other) -> None:
            path.with_name("other").write_bytes(other)
            path.with_name("other").replace(path)
            shelf.engine.after_reading = lambda file: None

        shelf.engine.after_reading = swap
        assert shelf.load().data == SOUND
    with pytest.raises(DigestMismatchError):
        shelf.load()


def test_a_sound_file_that_takes_the_place_of_a_wrong_one_does_not_make_it_sound(
    tmp_path: Path,
) -> None:
    shelf = Shelf(tmp_path, remote=False)
    path = blob_path(shelf.registry, shelf.manifest.component("model"))

    def swap(file: VerifiedFile) -> None:
        path.with_name("other").write_bytes(SOUND)
        path.with_name("other").replace(path)

    shelf.replace(SOUND, DAMAGED)
    shelf.engine.after_reading = swap
    with pytest.raises(DigestMismatchError):
        shelf.load()
    shelf.engine.after_reading = lambda file: None
    assert shelf.load().data == SOUND, "and it is not the sound one that is in quarantine"


def test_what_was_copied_while_the_file_was_written_to_is_copied_again(tmp_path: Path) -> None:
    """Wrong bytes for a moment, while it is read, and the right ones whenever it is hashed."""
    shelf = Shelf(tmp_path, remote=False)
    shelf.engine.reads_unverified = ()
    path = blob_path(shelf.registry, shelf.manifest.component("model"))
    path.chmod(0o644)
    times = path.stat()
    copied: list[bytes] = []

    def read(manifest: Manifest, role: str, file: VerifiedFile) -> Any:
        if not copied:
            path.write_bytes(DAMAGED)
        copied.append(os.pread(file.fd, file.size_bytes, 0))
        path.write_bytes(SOUND)
        if len(copied) == 1:
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        else:
            shelf.engine.read = calm  # type: ignore[method-assign]
        return ReadPart(copied[-1], shelf.engine)

    calm = shelf.engine.read
    shelf.engine.read = read  # type: ignore[method-assign]
    assert shelf.load().data == SOUND
    assert copied == [DAMAGED, SOUND]


def test_a_file_that_is_written_to_whenever_it_is_read_is_told_as_such(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, remote=False)
    path = blob_path(shelf.registry, shelf.manifest.component("model"))
    shelf.engine.after_reading = lambda file: path.chmod(0o644)
    with pytest.raises(RegistryError, match="is being written to; try again"):
        shelf.load()
    shelf.engine.after_reading = lambda file: None
    assert shelf.load().data == SOUND


def test_a_reading_that_fails_is_told_once_the_bytes_are_found_to_be_right(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, remote=False)

    def fail(file: VerifiedFile) -> None:
        raise EngineError("no safetensors file")

    shelf.engine.after_reading = fail
    with pytest.raises(EngineError, match="no safetensors file"):
        shelf.load()
    shelf.replace(SOUND, DAMAGED)
    with pytest.raises(DigestMismatchError):
        shelf.load()


def test_a_reading_that_fails_keeps_nothing_of_what_was_read(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, remote=False)
    seen: list[weakref.ref[object]] = []

    def load() -> None:
        part = Weights(GOOD)
        seen.append(weakref.ref(part))
        with contextlib.suppress(EngineError):
            shelf.load()

    def fail(file: VerifiedFile) -> None:
        raise EngineError("no safetensors file")

    shelf.engine.after_reading = fail
    gc.disable()
    try:
        load()
        assert seen[0]() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("remote", [False, True])
def test_a_load_that_is_given_up_has_ended_its_reading(tmp_path: Path, *, remote: bool) -> None:
    shelf = Shelf(tmp_path, remote=remote)
    shelf.load()
    for looks in range(1, 6):
        asked = iter(range(looks))
        with contextlib.suppress(concurrent.futures.CancelledError):
            shelf.load(lambda asked=asked: next(asked, None) is None)  # type: ignore[misc]
        assert not [t for t in threading.enumerate() if t.name == "voxswap-beside"]
