"""What is read off recordings, behind every door: a clip in, a style for a voice out."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

from voxswap_families.styles import StyleFound, StyleReader, style_reader_of
from voxswap_families.work import Work
from voxswap_registry.catalog.catalog import Catalog
from voxswap_registry.catalog.index import VoiceFilter
from voxswap_registry.components import Components
from voxswap_registry.errors import EngineError, InvalidInputError
from voxswap_registry.families import installed, rules_of, style_role_of
from voxswap_registry.manifest import Component, Manifest
from voxswap_registry.names import VoiceRef
from voxswap_server.audio.clips.judging import Heard, heard_in
from voxswap_server.audio.clips.reader import ClipReader
from voxswap_server.compute.scheduler import Scheduler
from voxswap_server.speech.asking import Faults
from voxswap_server.speech.errors import OverloadedError, StylesUnknownError
from voxswap_server.speech.styles import Style, sealed

_T = TypeVar("_T")

# A clip is in memory several times over while it is listened to: some 10 MB.
_AT_ONCE: Final = 2
_MOST_WAITING: Final = 8
_RETRY_S: Final = 1.0
# Nobody listens to a clip while it is read: whoever does listen goes first.
_IN_NO_HURRY_S: Final = 10.0
_LEAST_SOURCES: Final = 2
_SUMMARIES: Final = 1024


@dataclass(frozen=True, slots=True)
class AskedStyle:
    """A clip and a voice, as a door was asked for them."""

    voice: VoiceRef
    audio: bytes
    raw_hertz: int = 0
    session_id: str = ""


def asked_style(
    voice: str, audio: bytes, *, raw_hertz: int | None = None, session_id: str = ""
) -> AskedStyle:
    """What a door was asked for. Raises `InvalidInputError` with every fault."""
    faults = Faults()
    ref = faults.voice(voice)
    faults.session(session_id)
    if raw_hertz is not None and raw_hertz < 1:
        faults.add("raw_sample_rate_hertz", f"is {raw_hertz}; say how many samples a second has")
    if not audio:
        faults.add("audio", "is empty; send a recording")
    faults.raise_if_any()
    return AskedStyle(ref, audio, raw_hertz or 0, session_id)


@dataclass(frozen=True, slots=True)
class ReadStyle:
    """The style ``data`` for the version ``ref``, and what was heard and found on the way."""

    ref: str
    data: bytes
    heard: Heard
    found: StyleFound


class Recordings:
    """Reads styles off clips. Confined to one event loop, but for `close`, which blocks.

    Two clips are read at a time, and a few wait. Decoding is in a process of its own, listening in
    steps on the compute threads that give way to everybody's speech; both end soon after a call is
    cancelled. Of styles that were read from the registry the means are kept, by digest.
    """

    def __init__(
        self,
        catalog: Catalog,
        components: Components,
        scheduler: Scheduler,
        reader: ClipReader,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._catalog = catalog
        self._components = components
        self._scheduler = scheduler
        self._reader = reader
        self._clock = clock
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="voxswap-recordings")
        self._lock = threading.Lock()  # guards the summaries
        self._summaries: dict[str, tuple[float, ...]] = {}

    def close(self) -> None:
        """End the processes and threads."""
        self._reader.close()
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def read_style(self, asked: AskedStyle) -> ReadStyle:
        """The style of a clip for a voice.

        Raises `VoiceNotFoundError`; `InvalidInputError` for a voice without styles,
        `UnusableClipError` for a clip that is of no use; `StylesUnknownError` where too few styles
        are published, `OverloadedError`, `ClipReaderError`, and `RegistryError`.
        """
        manifest = self._catalog.resolve(asked.voice, session_id=asked.session_id)
        reader = _reader_for(manifest)
        async with self._place():
            read = functools.partial(self._reader.read, asked.audio, raw_hertz=asked.raw_hertz)
            clip = await self._on_thread(read)
            heard = await self._step(Work(heard_in(clip, self._reader.limits)))
            del clip
            sources, summaries = await self._on_thread(
                functools.partial(self._styles, manifest, reader)
            )
            found = await self._step(
                Work.of(functools.partial(reader.read, sources, summaries, heard.prosody))
            )
        rules = rules_of(manifest.engine)
        assert rules is not None  # noqa: S101 - it has a reader
        base = manifest.component(style_role_of(rules)).digest
        data = sealed(Style(manifest.engine, base, found.values))
        return ReadStyle(manifest.ref, data, heard, found)

    @contextlib.asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        if self._waiting >= _MOST_WAITING:
            error = OverloadedError(
                f"{_AT_ONCE} recordings are being read and {_MOST_WAITING} wait, the most that "
                "this server takes; try again"
            )
            error.retry_s = _RETRY_S
            raise error
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._places.release()

    async def _step(self, work: Work[_T]) -> _T:
        ran = await self._scheduler.run(work, due_s=self._clock() + _IN_NO_HURRY_S)
        return ran.result

    async def _on_thread(self, call: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def _styles(
        self, manifest: Manifest, reader: StyleReader
    ) -> tuple[Sequence[Manifest], dict[str, tuple[float, ...]]]:
        """The versions whose styles may be mixed, and what is needed of each. Blocks."""
        listed = self._catalog.listings(VoiceFilter(engine=manifest.engine))
        sources = reader.sources(
            manifest, (found.newest for found in listed if found.newest is not None)
        )
        if len(sources) < _LEAST_SOURCES:
            raise StylesUnknownError(
                f"no style is published for the model of {manifest.ref} of which it is known how "
                "it sounds; publish some: scripts/kokoro-packs"
            )
        parts = [source.component(reader.role) for source in sources]
        return sources, {part.digest: self._summary(part, reader, manifest) for part in parts}

    def _summary(
        self, part: Component, reader: StyleReader, manifest: Manifest
    ) -> tuple[float, ...]:
        with self._lock:
            if (kept := self._summaries.get(part.digest)) is not None:
                return kept
        try:
            with self._components.hold(part) as file:
                found = reader.summary(file.read_bytes())
        except ValueError as error:
            raise EngineError(
                f"a style for the model of {manifest.ref} ({part.digest}) {error}; import it again"
            ) from error
        with self._lock:
            self._summaries[part.digest] = found
            if len(self._summaries) > _SUMMARIES:
                del self._summaries[next(iter(self._summaries))]
        return found


def _reader_for(manifest: Manifest) -> StyleReader:
    reader = style_reader_of(manifest.engine)
    if reader is None:
        able = [name for name in installed() if style_reader_of(name) is not None]
        raise InvalidInputError.one(
            "voice",
            f"is {manifest.ref}, of the family {manifest.engine}, for which no style can be read "
            f"off a recording; choose a voice of: {', '.join(able) or 'none here'}",
        )
    return reader
