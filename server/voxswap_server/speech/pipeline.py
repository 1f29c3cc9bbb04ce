"""From a request and a leased voice to the messages of its stream.

The pipeline is pulled, with one window ahead: while a chunk is on its way the next is computed, and
then nothing until that is taken. So a client that stops reading stops its own compute, and one that
goes away leaves at most one step behind.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from voxswap_families.work import SuspendedError, Work
from voxswap_registry.manifest import Manifest
from voxswap_server.audio.encoding import Samples
from voxswap_server.compute.hooks import Ran
from voxswap_server.compute.scheduler import Scheduler
from voxswap_server.residency.bars import Bars
from voxswap_server.residency.lease import Lease
from voxswap_server.speech.admission import Ticket
from voxswap_server.speech.chunking import Chunking
from voxswap_server.speech.messages import Chunk, Header, Message, Receipt, Trailer, digest_of
from voxswap_server.speech.offers import nothing_to_speak
from voxswap_server.speech.playback import Pacing, PlaybackClock
from voxswap_server.speech.reader import Read, Reader
from voxswap_server.speech.request import SpeechRequest
from voxswap_server.speech.script import Script, WholeText
from voxswap_server.speech.stream_memory import StreamMemory
from voxswap_server.speech.track import Track

_T = TypeVar("_T")

# What takes longer to encode does so on a compute thread: others' messages wait for the loop.
_MOST_ON_LOOP_S = 0.001


@dataclass(frozen=True, slots=True)
class Stage:
    """What the streams of one device share, and how they share it.

    ``bars`` hears of voices whose steps take too long, and ends what is left of their streams.
    ``memory`` is for what is kept of segments.
    Audio is encoded by ``coding``; None: by the ``scheduler``, whose device is a CPU.
    With ``parts_at_clause`` a long first segment that is waited for may be parted at a clause.
    """

    scheduler: Scheduler
    coding: Scheduler | None = None
    parts_at_clause: bool = False
    chunking: Chunking = field(default_factory=Chunking)
    pacing: Pacing = field(default_factory=Pacing)
    clock: Callable[[], float] = time.perf_counter
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    bars: Bars = field(default_factory=lambda: Bars(time.monotonic))
    memory: StreamMemory = field(
        default_factory=lambda: StreamMemory(0, lambda size_bytes: True, lambda size_bytes: None)
    )


@dataclass(frozen=True, slots=True)
class _Window:
    """Audio of ``[first, last)`` frames of a segment, at the engine's rate. Keeps nothing else."""

    read: Read
    durations_frames: Sequence[int]
    frames: int
    first: int
    last: int
    samples: Samples


class Synthesis:
    """Speaks one request. Used once; confined to one event loop."""

    def __init__(
        self,
        request: SpeechRequest,
        manifest: Manifest,
        stage: Stage,
        ticket: Ticket,
        *,
        script: Script | None = None,
        arrived: float | None = None,
    ) -> None:
        """The request arrived at ``arrived`` on the stage's clock; None: now.

        ``script`` is what to say in place of the request's text: a conversation, which may be
        `cut`. ``ticket`` hears how it goes.
        """
        self._ticket = ticket
        self._request = request
        self._manifest = manifest
        self._stage = stage
        self._arrived = stage.clock() if arrived is None else arrived
        self._playback = PlaybackClock(
            stage.pacing,
            request.line_class,
            paced=request.paced,
            eager=request.eager,
            arrived_s=self._arrived,
            clock=stage.clock,
            weight=self._ticket.weight,
        )
        self._may_part = stage.parts_at_clause and request.is_awaited
        self._reader = Reader(request, manifest, is_awaited=self._may_part)
        self._track = Track(request, manifest)
        self._is_conversation = script is not None
        self._script = WholeText(request.text) if script is None else script
        self.characters = 0  # of the segments that were spoken so far
        self._compute_s = 0.0
        self._queue_s = 0.0
        self._first_chunk_s: float | None = None
        self._lease: Lease | None = None
        self._stuck: Future[None] | None = None  # until a step with the voice comes back
        self._windows = self._compute_windows()
        self._ahead: asyncio.Task[_Window | None] | None = None
        self._cut: Receipt | None = None  # that `messages` is still to give out
        # Whether no chunk is being made, or is made and not given out.
        self._settled = asyncio.Event()
        self._settled.set()

    async def settled(self) -> None:
        """Wait until no chunk is on its way to whoever reads `messages`. Then nothing is missing
        from what that one has, until it asks again."""
        while not self._settled.is_set():
            await self._settled.wait()

    def cut(self, receipt: Receipt) -> None:
        """Say nothing more of what there was before the script was cut. Only while it is `settled`.

        `messages` gives the latest ``receipt`` out, and goes on with what the script has then.
        """
        self._cut = receipt
        self._track.cut()
        if self._ahead is not None:
            # Here and not where it is dropped: it must not take what the script gets from now on.
            self._ahead.cancel()

    async def messages(self, lease: Lease) -> AsyncGenerator[Message, None]:
        """The stream. The window after a chunk is computed while that is on its way.

        Raises `InvalidInputError` before the first message if there is nothing to speak, and
        `EngineError` if the engine fails. Closing it drops what is not computed yet, and waits for
        a step under way; then nothing computes with the ``lease``, or it says until when.
        """
        self._lease = lease
        header_is_out = False
        try:
            while True:
                window = await self._next_window()
                if self._cut is not None:
                    await self._drop_windows()
                    self._ticket.cut()
                    self._windows = self._compute_windows()
                    self._await_sound()
                    receipt, self._cut = self._cut, None
                    if not header_is_out:
                        header_is_out = True
                        yield self._header(None, lease)
                    yield receipt
                    continue
                if window is None and not header_is_out and not self._is_conversation:
                    raise nothing_to_speak(self._manifest)
                chunk = await self._encoded(window)
                if not header_is_out and (chunk is not None or window is None):
                    # Not sooner: a message of its own would wake the client, and on a small machine
                    # that takes time from the first chunk, which it is waiting for.
                    header_is_out = True
                    yield self._header(window, lease)
                if chunk is not None:
                    if self._first_chunk_s is None:
                        self._first_chunk_s = self._stage.clock() - self._arrived
                    self._playback.delivered(chunk.sample_count / self._track.rate)
                    if window is not None:
                        self._look_ahead()
                    self._settled.set()
                    yield chunk
                if window is None:
                    break
            while self._cut is not None:
                # It came while the last audio was on its way.
                receipt, self._cut = self._cut, None
                yield receipt
            yield self._trailer()
        finally:
            self._settled.set()
            try:
                await self._drop_windows()
            finally:
                self._lease = None
                if self._stuck is not None:
                    lease.used_until(self._stuck)

    async def _encoded(self, window: _Window | None) -> Chunk | None:
        """What there is to give out with ``window``, or after the last one."""
        audio_s, push = 0.0, self._track.finish
        if window is not None:
            if not window.first:
                self._track.begin(window.read, window.durations_frames)
            ends = window.read if window.last == window.frames else None
            audio_s = len(window.samples) / self._track.rate_in
            push = partial(self._track.push, window.samples, ends=ends)
        self._settled.clear()
        if self._track.takes_s(audio_s) <= _MOST_ON_LOOP_S:
            began_s = self._stage.clock()
            chunk = push()
            self._ticket.encoded(audio_s, self._stage.clock() - began_s)
        else:
            coding = self._stage.coding or self._stage.scheduler
            chunk = (await coding.run(Work.of(push), due_s=self._playback.due_s())).result
        if chunk is None:
            self._settled.set()
        return chunk

    def _look_ahead(self) -> None:
        """Begin to compute the next window."""
        self._ticket.asks(self._script.characters_left, self._playback.dry_at_s)
        self._ahead = asyncio.get_running_loop().create_task(self._compute_window())

    async def _next_window(self) -> _Window | None:
        """The next one; None if there is none, or nobody wants it any more."""
        if self._cut is not None:
            return None
        if self._ahead is None:
            self._look_ahead()
        assert self._ahead is not None  # noqa: S101 - see above
        await asyncio.wait([self._ahead])  # it may have been cut, and its reader was not cancelled
        if self._cut is not None:
            return None
        ahead, self._ahead = self._ahead, None  # a task keeps its result
        return ahead.result()

    async def _drop_windows(self) -> None:
        """Forget what is computed ahead, and what holds the voice's bytes with it."""
        ahead, self._ahead = self._ahead, None
        try:
            if ahead is not None:
                ahead.cancel()
                await asyncio.gather(ahead, return_exceptions=True)
        finally:
            await self._windows.aclose()

    async def _compute_window(self) -> _Window | None:
        if (wait_s := self._playback.wait_s()) > 0:
            await self._stage.sleep(wait_s)
        window = await anext(self._windows, None)
        self._ticket.stands()
        return window

    async def _compute_windows(self) -> AsyncGenerator[_Window, None]:
        """Every window of every segment."""
        size, frame_ms = 0, 1e3 * self._track.hop / self._track.rate_in
        while (read := await self._read_next()) is not None:
            utterance = (await self._run(read.preparation)).result
            durations, frames = utterance.durations_frames, utterance.frames
            self._ticket.prepared(len(read.segment.text), frames * frame_ms / 1e3)
            if self._playback.is_silent:
                size = 0  # a new turn: whoever listens has nothing to hear meanwhile
            async with self._stage.memory.held(utterance.held_bytes):
                for first, last in self._stage.chunking.windows(frames, frame_ms, size):
                    size = last - first
                    samples = (await self._run(utterance.decode(first, last))).result
                    self._ticket.decoded(size * frame_ms / 1e3)
                    yield _Window(read, durations, frames, first, last, samples)
                del utterance

    async def _read_next(self) -> Read | None:
        """The next segment that speaks, or None after the last."""
        while True:
            is_ready = self._script.is_ready
            if not is_ready:
                self._ticket.stands(for_words=True)
            part = await self._script.next()
            if not is_ready:
                # Whoever listens waited for words, not for the device.
                self._playback.begin_anew()
                if self._playback.is_silent:
                    self._await_sound()
                self._ticket.asks(self._script.characters_left, self._playback.dry_at_s)
            if part is None:
                return None
            read = Work.of(partial(self._reader.read, part, self._leased.loaded))
            found = (await self._run(read)).result
            if isinstance(found, Read):
                self.characters += len(part.text)
                return found
            if found:
                self._script.put_back(found)

    def _await_sound(self) -> None:
        """What is read next is waited for. With a seed, audio must not depend on when that is."""
        if self._request.seed is None:
            self._reader.is_awaited = self._may_part

    async def _run(self, work: Work[_T]) -> Ran[_T]:
        ref = self._manifest.ref
        while True:
            self._stage.bars.check(ref)  # another stream of it may have found out
            try:
                ran = await self._stage.scheduler.run(
                    work, due_s=self._playback.due_s(), owner=ref, on_stuck=self._got_stuck
                )
            except SuspendedError:
                # What the voice is mapped from was changed: on if it is sound.
                await self._leased.verify()
                continue
            if not work.is_intact:  # It was changed in the last step, or since.
                await self._leased.verify()
            break
        self._ticket.computed(ran, is_long=work.may_be_long)
        self._compute_s += ran.compute_s
        self._queue_s += ran.queue_s
        return ran

    def _got_stuck(self, returned: Future[None]) -> None:
        self._stuck = returned
        self._stage.bars.bar(self._manifest.ref)

    @property
    def _leased(self) -> Lease:
        """Windows are computed within `messages` alone, and so under its lease."""
        assert self._lease is not None  # noqa: S101 - see above
        return self._lease

    def _header(self, window: _Window | None, lease: Lease) -> Header:
        samples = 0.0
        if window is not None:
            # What is still to be prepared is taken to last as long, per character, as this segment.
            share = 1 + self._script.characters_left / len(window.read.segment.text)
            samples = window.frames * self._track.hop * share
        spoken = self._request if window is None else window.read.request
        return Header(
            voice=self._manifest.ref,
            component_digests=tuple(c.digest for c in self._manifest.components),
            sample_rate_hertz=self._track.rate,
            encoding=self._request.encoding,
            estimated_samples=self._track.to_output(round(samples)),
            cold=lease.cold,
            queue_ms=self._queue_s * 1e3,
            swap_ms=lease.wait_s * 1e3,
            text_digest=digest_of(self._request.text),
            codec_delay_samples=self._track.delay_samples,
            expression=spoken.expression,
            emotions=spoken.spoken,
        )

    def _trailer(self) -> Trailer:
        return Trailer(
            total_samples=self._track.samples,
            sample_rate_hertz=self._track.rate,
            seed=self._reader.seed,
            compute_ms=self._compute_s * 1e3,
            first_chunk_ms=(self._first_chunk_s or 0.0) * 1e3,
            underruns=self._playback.underruns,
            unknown_symbols=dict(self._reader.unknown),
        )
