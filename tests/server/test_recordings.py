"""Reading styles: who waits, who is refused, and what a cancelled call leaves."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from tests.audio import clips
from tests.fakes.manifests import make_manifest
from tests.families.styled_packs import SUMMARIES, VOICES
from voxswap_families.kokoro.style_reading import KokoroStyles
from voxswap_registry.errors import EngineError, InvalidInputError
from voxswap_registry.manifest import Component, Manifest
from voxswap_registry.names import VoiceRef
from voxswap_server.audio.clips.limits import ClipFault, UnusableClipError
from voxswap_server.audio.clips.reader import Clip, ClipReader
from voxswap_server.compute.scheduler import Scheduler
from voxswap_server.speech import recordings as module
from voxswap_server.speech.errors import OverloadedError, StylesUnknownError
from voxswap_server.speech.recordings import AskedStyle, Recordings, asked_style
from voxswap_server.speech.styles import opened

CLIP = clips.file_of(clips.voice(3.5, hertz=180))
ASKED = AskedStyle(VoiceRef.parse("kokoro/1"), CLIP)


class Catalog:
    """The voices that a test names."""

    def __init__(self, *voices: Manifest) -> None:
        self.voices = {voice.voice_id: voice for voice in voices}

    def resolve(self, ref: VoiceRef, *, session_id: str = "") -> Manifest:
        return self.voices[ref.voice_id]

    def listings(self, wanted: Any) -> Iterator[Any]:
        return (
            SimpleNamespace(newest=v) for v in self.voices.values() if v.engine == wanted.engine
        )


class Components:
    """Whose bytes are their own digests."""

    def __init__(self) -> None:
        self.held: list[str] = []

    def hold(self, component: Component) -> Any:
        self.held.append(component.digest)
        return nullcontext(SimpleNamespace(read_bytes=component.digest.encode))


class Gated(ClipReader):
    """A reader that waits for a gate before it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.begun = threading.Event(), threading.Semaphore(0)

    def read(self, data: bytes, *, raw_hertz: int = 0) -> Clip:
        self.begun.release()
        assert self.gate.wait(60)
        return super().read(data, raw_hertz=raw_hertz)


@pytest.fixture(scope="module")
def scheduler() -> Iterator[Scheduler]:
    scheduler = Scheduler("test", threads=1)
    yield scheduler
    scheduler.close()


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Summaries that a test knows, in place of packs that it has not."""

    def summary(self: object, data: bytes) -> tuple[float, ...]:
        if data.decode() not in SUMMARIES:
            raise ValueError("is no style")
        return SUMMARIES[data.decode()]

    monkeypatch.setattr(KokoroStyles, "summary", summary)


@contextmanager
def reading(
    scheduler: Scheduler, *voices: Manifest, reader: ClipReader | None = None
) -> Iterator[Recordings]:
    made: Any = Recordings
    found = made(
        *(Catalog(*voices), Components(), scheduler, reader or ClipReader()),
        clock=time.perf_counter,
    )
    try:
        yield found
    finally:
        found.close()


async def test_a_clip_becomes_a_style_for_its_voice(scheduler: Scheduler, known: None) -> None:
    with reading(scheduler, *VOICES[:6]) as recordings:
        read = await recordings.read_style(ASKED)
        style = opened(read.data)
        voice = VOICES[1]
        assert read.ref == voice.ref
        assert (style.engine, style.base) == ("kokoro", voice.component("base").digest)
        assert style.values == read.found.values
        assert read.heard.prosody.pitch_hertz == pytest.approx(180, rel=0.03)
        held: Any = recordings._components
        assert len(held.held) == 6
        # What is known of a style stays known.
        await recordings.read_style(ASKED)
        assert len(held.held) == 6


async def test_voices_without_styles_say_which_have(scheduler: Scheduler) -> None:
    with reading(scheduler, make_manifest("kokoro/1")) as recordings:
        with pytest.raises(InvalidInputError, match=r"choose a voice of: .*kokoro") as refused:
            await recordings.read_style(ASKED)
    assert [violation.field for violation in refused.value.violations] == ["voice"]


async def test_one_style_alone_is_none_to_choose_from(scheduler: Scheduler, known: None) -> None:
    with reading(scheduler, VOICES[1]) as recordings:
        with pytest.raises(StylesUnknownError, match="kokoro-packs"):
            await recordings.read_style(ASKED)


async def test_a_style_that_is_none_is_the_models_fault(scheduler: Scheduler, known: None) -> None:
    other = Component("style", "sha256:" + "2" * 64, 10, "x/y")
    parts = tuple(part for part in VOICES[1].components if part.role != "style")
    broken = dataclasses.replace(VOICES[1], components=(*parts, other))
    with reading(scheduler, broken, *VOICES[2:6]) as recordings:
        with pytest.raises(EngineError, match="import it again"):
            await recordings.read_style(ASKED)


async def test_a_clip_of_no_use_frees_its_place(scheduler: Scheduler, known: None) -> None:
    with reading(scheduler, *VOICES[:3]) as recordings:
        for audio, fault in ((b"no", ClipFault.NOT_AUDIO), (CLIP[:44_000], ClipFault.TOO_SHORT)):
            for _ in range(3):
                with pytest.raises(UnusableClipError) as refused:
                    await recordings.read_style(dataclasses.replace(ASKED, audio=audio))
                assert refused.value.fault is fault
        assert (await recordings.read_style(ASKED)).data


async def test_two_are_read_eight_wait_and_the_next_is_told(
    scheduler: Scheduler, known: None
) -> None:
    reader = Gated()
    with reading(scheduler, *VOICES[:3], reader=reader) as recordings:
        calls = [asyncio.create_task(recordings.read_style(ASKED)) for _ in range(10)]
        for _ in range(2):
            await asyncio.to_thread(reader.begun.acquire)
        with pytest.raises(OverloadedError, match="2 recordings are being read and 8 wait") as told:
            await recordings.read_style(ASKED)
        assert told.value.retry_s
        for call in calls[2:]:
            call.cancel()
        reader.gate.set()
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert [isinstance(each, asyncio.CancelledError) for each in found] == [False] * 2 + [
            True
        ] * 8
        assert recordings._waiting == 0
        assert (await recordings.read_style(ASKED)).data


async def test_a_cancelled_call_leaves_its_place(scheduler: Scheduler, known: None) -> None:
    reader = Gated()
    with reading(scheduler, *VOICES[:3], reader=reader) as recordings:
        call = asyncio.create_task(recordings.read_style(ASKED))
        await asyncio.to_thread(reader.begun.acquire)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert recordings._places._value == module._AT_ONCE
        reader.gate.set()
        assert (await recordings.read_style(ASKED)).data


async def test_listening_waits_behind_everybody_elses_work(
    scheduler: Scheduler, known: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    due: list[float] = []
    run: Callable[..., Any] = scheduler.run

    async def noting(work: Any, *, due_s: float = 0.0) -> Any:
        due.append(due_s - time.perf_counter())
        return await run(work, due_s=due_s)

    monkeypatch.setattr(scheduler, "run", noting)
    with reading(scheduler, *VOICES[:3]) as recordings:
        await recordings.read_style(ASKED)
    assert len(due) == 2
    assert min(due) > 5


def test_what_is_asked_is_judged_at_once() -> None:
    with pytest.raises(InvalidInputError) as refused:
        asked_style("no such id!", b"", raw_hertz=0, session_id="s" * 200)
    fields = [violation.field for violation in refused.value.violations]
    assert fields == ["voice", "session_id", "raw_sample_rate_hertz", "audio"]
    asked = asked_style("npc/a@3", CLIP, raw_hertz=None)
    assert (asked.voice.version, asked.raw_hertz) == (3, 0)
