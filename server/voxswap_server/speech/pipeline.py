"""From a request and a leased voice to the parts of its stream.

The pipeline is pulled, with one window ahead: while a chunk is on its way the next is computed, and
then nothing until that is taken. So a client that stops reading stops its own compute, and one that
goes away leaves at most one step behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import secrets
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Self, TypeVar

import numpy as np

from voxswap_registry.errors import InvalidInputError
from voxswap_registry.manifest import Manifest
from voxswap_server.audio.encoding import Samples, make_encoder
from voxswap_server.audio.resampling import Resampler
from voxswap_server.engines.base import Delivery, Preparation, Utterance
from voxswap_server.residency.lease import Lease
from voxswap_server.residency.loader import LoadedVoice
from voxswap_server.speech.chunking import Chunking, StepSizes
from voxswap_server.speech.marks import segment_marks
from voxswap_server.speech.parts import Chunk, Header, Mark, Part, Trailer
from voxswap_server.speech.playback import Pacing, PlaybackClock
from voxswap_server.speech.request import SpeechRequest
from voxswap_server.speech.scheduler import ComputeThread
from voxswap_server.text.normalization import normalize
from voxswap_server.text.segmentation import segment
from voxswap_server.text.types import NormalizedText, Segment, SymbolSequence

_T = TypeVar("_T")

# Spreads consecutive segments over the seed space (2^64 divided by the golden ratio).
_SEED_STRIDE = 0x9E3779B97F4A7C15
_SEED_SPACE = 1 << 64

# Preparing goes on for this share of a step's bound; what was begun then takes the rest at most.
_SLICE = 0.4


@dataclass(frozen=True, slots=True)
class Stage:
    """What the streams of one device share, and how they share it."""

    compute: ComputeThread
    chunking: Chunking = field(default_factory=Chunking)
    step_sizes: StepSizes = field(default_factory=StepSizes)
    pacing: Pacing = field(default_factory=Pacing)
    clock: Callable[[], float] = time.perf_counter
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(frozen=True, slots=True)
class _Read:
    """A segment that was read: what its symbols are, and what makes an utterance of them."""

    segment: Segment
    text: NormalizedText
    symbols: SymbolSequence
    preparation: Preparation


@dataclass(frozen=True, slots=True)
class _Prepared:
    segment: Segment
    text: NormalizedText
    symbols: SymbolSequence
    utterance: Utterance


@dataclass(frozen=True, slots=True)
class _Window:
    """Audio of ``[first, last)`` frames of a segment, at the engine's rate."""

    prepared: _Prepared
    first: int
    last: int
    samples: Samples


class Synthesis:
    """Speaks one request. Used once: `begin` if there is time, then `parts`; closed in the end."""

    def __init__(
        self,
        request: SpeechRequest,
        manifest: Manifest,
        stage: Stage,
        *,
        arrived: float | None = None,
    ) -> None:
        """The request arrived at ``arrived`` on the stage's clock; None: now."""
        self._request = request
        self._manifest = manifest
        self._stage = stage
        self._arrived = stage.clock() if arrived is None else arrived
        self._playback = PlaybackClock(
            stage.pacing,
            request.line_class,
            paced=request.paced,
            arrived_s=self._arrived,
            clock=stage.clock,
        )
        self._rate_in = manifest.audio.sample_rate_hertz
        self._hop = manifest.audio.hop_length_samples
        self._rate_out = request.sample_rate_hertz or self._rate_in
        self._resampler = Resampler(self._rate_in, self._rate_out)
        self._encoder = make_encoder(request.encoding, self._rate_out)
        self._kind = (
            manifest.engine,
            json.dumps(manifest.engine_config, sort_keys=True, default=dict),
        )
        self._seed = secrets.randbits(63) if request.seed is None else request.seed
        self._speaker = _speaker_index(request, manifest)
        self._unknown: Counter[str] = Counter()
        self._marks: deque[Mark] = deque()
        self._pending: deque[Segment] | None = None  # segments still to be prepared
        self._samples_in = 0  # of the segments that are complete, at the engine's rate
        self._samples_out = 0  # sent, at the client's rate
        self._compute_s = 0.0
        self._queue_s = 0.0
        self._loaded: LoadedVoice | None = None
        self._windows = self._compute_windows()
        self._ahead: asyncio.Task[_Window | None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Drop what is not computed yet; a step under way is waited for."""
        try:
            await self._drop_ahead()
        finally:
            try:
                await self._windows.aclose()
            finally:
                self._loaded = None

    async def _drop_ahead(self) -> None:
        """Forget what is computed ahead, and what holds the voice's bytes with it."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)

    def begin(self, loaded: LoadedVoice) -> None:
        """Compute the first window with a voice whose bytes are still being verified.

        What comes of it is kept back until `parts` is called: that is, until there is a lease.
        """
        if self._ahead is None:
            self._loaded = loaded
            self._look_ahead()

    async def parts(self, lease: Lease) -> AsyncGenerator[Part, None]:
        """The stream. The window after a chunk is computed while that is on its way.

        Raises `InvalidInputError` before the first part if there is nothing to speak, `EngineError`
        if the engine fails.
        """
        if not lease.early_holds and self._ahead is not None:
            # It was computed with bytes that turned out not to be the voice's.
            await self._drop_ahead()
            await self._windows.aclose()
            self._windows, self._pending = self._compute_windows(), None
            self._unknown.clear()
        self._loaded = lease.loaded
        try:
            async with contextlib.aclosing(self._parts(lease)) as parts:
                async for part in parts:
                    yield part
        finally:
            # The lease goes next: nothing may compute without it.
            await self._drop_ahead()

    async def _parts(self, lease: Lease) -> AsyncGenerator[Part, None]:
        window = await self._next_window()
        if window is None:
            raise InvalidInputError.one(
                "text", "has nothing that this voice can speak; send words in the voice's language"
            )
        header: Header | None = self._header(window.prepared, lease)
        first_chunk_s = 0.0
        while window is not None:
            if not window.first:
                self._queue_marks(window.prepared)
            samples = window.samples
            if window.last == window.prepared.utterance.frames:
                samples = self._with_pause(samples, window.prepared.segment)
            chunk = self._chunk(self._resampler.push(samples))
            if chunk is not None:
                if header is not None:
                    # Not sooner: a message of its own would wake the client, and on a small
                    # machine that takes time from the first chunk, which it is waiting for.
                    yield header
                    header = None
                    first_chunk_s = self._stage.clock() - self._arrived
                self._playback.delivered(chunk.sample_count / self._rate_out)
                self._look_ahead()
                yield chunk
            window = await self._next_window()
        chunk = self._chunk(self._resampler.finish(np.zeros(0, np.float32)))
        if header is not None:
            yield header
            first_chunk_s = self._stage.clock() - self._arrived
        if chunk is not None:
            yield chunk
        yield Trailer(
            total_samples=self._samples_out,
            sample_rate_hertz=self._rate_out,
            seed=self._seed,
            compute_ms=self._compute_s * 1e3,
            first_chunk_ms=first_chunk_s * 1e3,
            underruns=self._playback.underruns,
            unknown_symbols=dict(self._unknown),
        )

    def _look_ahead(self) -> None:
        """Begin to compute the next window."""
        self._ahead = asyncio.get_running_loop().create_task(self._compute_window())

    async def _next_window(self) -> _Window | None:
        if self._ahead is None:
            self._look_ahead()
        assert self._ahead is not None  # noqa: S101 - see above
        window = await asyncio.shield(self._ahead)
        self._ahead = None  # a task keeps its result
        return window

    async def _compute_window(self) -> _Window | None:
        if (wait_s := self._playback.wait_s()) > 0:
            await self._stage.sleep(wait_s)
        return await anext(self._windows, None)

    async def _compute_windows(self) -> AsyncGenerator[_Window, None]:
        """Every window of every segment."""
        size, frame_ms = 0, 1e3 * self._hop / self._rate_in
        while (read := await self._run(self._read_next)) is not None:
            utterance = None
            while utterance is None:
                utterance = await self._run(partial(self._prepare, read.preparation))
            prepared = _Prepared(read.segment, read.text, read.symbols, utterance)
            for first, last in self._stage.chunking.windows(utterance.frames, frame_ms, size):
                size = last - first
                samples = await self._decode(utterance, first, last)
                yield _Window(prepared, first, last, samples)

    async def _decode(self, utterance: Utterance, first: int, last: int) -> Samples:
        """A window, in steps that each end in time."""
        sizes, kind = self._stage.step_sizes, self._kind
        pieces = []
        for begin, end in sizes.cut(kind, first, last):
            before = self._compute_s
            pieces.append(await self._run(partial(utterance.decode, begin, end)))
            sizes.record(kind, end - begin, self._compute_s - before)
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    async def _run(self, work: Callable[[], _T]) -> _T:
        step = await self._stage.compute.run(work, due_s=self._playback.due_s())
        self._compute_s += step.compute_s
        self._queue_s += step.queue_s
        return step.result

    def _prepare(self, preparation: Preparation) -> Utterance | None:
        """*Step.* Go on with it, for a while."""
        until = time.perf_counter() + _SLICE * self._stage.step_sizes.bound_s
        while (utterance := preparation.step()) is None and time.perf_counter() < until:
            pass
        return utterance

    def _read_next(self) -> _Read | None:
        """*Step.* The next segment that speaks, or None after the last."""
        loaded = self._loaded
        assert loaded is not None  # noqa: S101 - set by whoever asks for windows
        if self._pending is None:
            self._pending = deque(segment(self._request.text))
        while self._pending:
            part = self._pending.popleft()
            text = normalize(part.text, self._manifest.language)
            symbols = loaded.front_end.symbols(text)
            most = loaded.voice.most_symbols(self._request.rate)
            if len(symbols.ids) > most:
                self._pending.extendleft(reversed(_parted(part, len(symbols.ids) / most)))
                continue
            self._unknown.update(text.dropped)
            self._unknown.update(symbols.unknown)
            if symbols.speaks:
                seed = (self._seed + part.start * _SEED_STRIDE) % _SEED_SPACE
                preparation = loaded.voice.prepare(symbols.ids, self._delivery(seed))
                return _Read(part, text, symbols, preparation)
        return None

    def _delivery(self, seed: int) -> Delivery:
        request, defaults = self._request, self._manifest.defaults

        def scale(asked: float | None, default: str) -> float:
            return defaults.get(default, 0.0) if asked is None else asked

        return Delivery(
            rate=request.rate / defaults.get("length_scale", 1.0),
            noise_scale=scale(request.noise_scale, "noise_scale"),
            duration_noise_scale=scale(request.duration_noise_scale, "noise_w"),
            seed=seed,
            speaker=self._speaker,
        )

    def _header(self, prepared: _Prepared, lease: Lease) -> Header:
        # What is still to be prepared is taken to last as long, per character, as this segment.
        rest = sum(len(part.text) for part in self._pending or ())
        share = 1 + rest / len(prepared.segment.text)
        samples = prepared.utterance.frames * self._hop * share
        return Header(
            voice=self._manifest.ref,
            component_digests=tuple(c.digest for c in self._manifest.components),
            sample_rate_hertz=self._rate_out,
            encoding=self._request.encoding,
            estimated_samples=self._to_output(round(samples)),
            cold=lease.cold,
            queue_ms=self._queue_s * 1e3,
            swap_ms=lease.wait_s * 1e3,
        )

    def _with_pause(self, samples: Samples, part: Segment) -> Samples:
        pause = np.zeros(self._pause_samples(part), np.float32)
        return np.concatenate([samples, pause])

    def _pause_samples(self, part: Segment) -> int:
        return part.pause_ms * self._rate_in // 1000

    def _to_output(self, sample: int) -> int:
        return round(sample * self._rate_out / self._rate_in)

    def _queue_marks(self, prepared: _Prepared) -> None:
        base = self._samples_in

        def to_sample(frame: int) -> int:
            return self._to_output(base + frame * self._hop)

        if self._request.marks:
            self._marks.extend(
                segment_marks(
                    self._request.marks,
                    prepared.segment,
                    prepared.text,
                    prepared.symbols,
                    prepared.utterance.durations_frames,
                    to_sample,
                )
            )
        self._samples_in += prepared.utterance.frames * self._hop
        self._samples_in += self._pause_samples(prepared.segment)

    def _chunk(self, samples: Samples) -> Chunk | None:
        """Encode what the resampler gave; None if it kept everything for now."""
        if not len(samples):
            return None
        start = self._samples_out
        self._samples_out = end = start + len(samples)
        marks: list[Mark] = []
        # A mark without length at the very end has no chunk to begin in but this one.
        while self._marks and (
            self._marks[0].start_sample < end
            or (self._marks[0].start_sample == end and not self._marks[0].duration_samples)
        ):
            marks.append(self._marks.popleft())
        return Chunk(self._encoder.encode(samples), start, len(samples), tuple(marks))


def _parted(part: Segment, excess: float) -> list[Segment]:
    """A segment with ``excess`` times as many symbols as its voice takes, in smaller ones."""
    longest = max(1, min(len(part.text) - 1, int(0.9 * len(part.text) / excess)))
    pieces = segment(part.text, longest=longest) if len(part.text) > 1 else ()
    if not pieces:
        raise InvalidInputError.one(
            "text", f"has {part.text[:64]!r}, which is more than the voice can say in one go"
        )
    *first, last = pieces
    last = dataclasses.replace(last, pause_ms=part.pause_ms)
    return [dataclasses.replace(piece, start=part.start + piece.start) for piece in (*first, last)]


def _speaker_index(request: SpeechRequest, manifest: Manifest) -> int:
    if request.speaker is None:
        return 0
    index = manifest.speakers.get(request.speaker)
    if index is None:
        names = sorted(manifest.speakers)
        known = (
            f"it has {', '.join(names[:8])}{' …' if len(names) > 8 else ''}"
            if names
            else ("it has one speaker only; leave the field out")
        )
        raise InvalidInputError.one(
            "speaker", f"{manifest.ref} has no speaker {request.speaker[:64]!r}; {known}"
        )
    return index
