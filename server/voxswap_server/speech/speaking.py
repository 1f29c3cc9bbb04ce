"""Speaking a line: the one use case behind every door, and the self-test's."""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial

from voxswap_registry.catalog.catalog import Catalog
from voxswap_registry.manifest import Manifest
from voxswap_server.residency.errors import LoadTimeoutError, MemoryBusyError
from voxswap_server.residency.lease import Lease
from voxswap_server.residency.manager import ModelManager
from voxswap_server.residency.outlook import estimated_s
from voxswap_server.speech.admission import Admission, Ticket
from voxswap_server.speech.cache.cache import AudioCache
from voxswap_server.speech.cache.subscriber import Terms
from voxswap_server.speech.errors import StreamNotFoundError
from voxswap_server.speech.expression import settled
from voxswap_server.speech.listening import Stream
from voxswap_server.speech.messages import Message, Messages, Receipt
from voxswap_server.speech.metrics import StreamMetrics, StreamObservation
from voxswap_server.speech.offers import check_offered
from voxswap_server.speech.pipeline import Stage, Synthesis
from voxswap_server.speech.presets import as_preset
from voxswap_server.speech.request import EmotionFallback, SpeechRequest
from voxswap_server.speech.script import Script

# Clocks that tell one instant may differ by so much.
_CLOCK_S = 0.001


@dataclass(frozen=True, slots=True)
class Call:
    """When a request came, and by when it must be answered, if only with an error; None: any time.

    Both on the speaker's clock, in seconds.
    """

    arrived_s: float
    deadline_s: float | None = None


class Maker:
    """Makes streams, each with a place, a synthesis and a lease from its first message to its last.

    Confined to one event loop.
    """

    def __init__(
        self,
        manager: ModelManager,
        stage: Stage,
        admission: Admission,
        *,
        on_use: Callable[[str], None] = lambda ref: None,
    ) -> None:
        """``on_use`` hears of each version that speaks for somebody, as ``voice@version``."""
        self.clock = stage.clock
        self._manager = manager
        self._stage = stage
        self._admission = admission
        self._on_use = on_use

    async def messages(
        self,
        manifest: Manifest,
        request: SpeechRequest,
        terms: Callable[[], Terms],
        *,
        arrived_s: float | None = None,
        script: Script | None = None,
        begun: Callable[[Synthesis], None] = lambda synthesis: None,
        seen: StreamObservation | None = None,
    ) -> AsyncGenerator[Message, None]:
        """The messages as they are made. See `Synthesis` for ``script``, and for what they are.

        It waits for its place and its voice on ``terms``, which may change meanwhile, and may go on
        when its own stream has ended, for others that share the audio. ``seen`` is None for what
        nobody listens to. Raises what `Admission.admit`, `ModelManager.acquire` and `Synthesis`
        raise. Closing or cancelling it waits for a step under way, and gives everything back.
        """
        with contextlib.nullcontext() if seen is None else seen.admission():
            ticket = await self._admit(request, manifest, terms)
        with ticket:
            synthesis = Synthesis(
                *(request, manifest, self._stage, ticket),
                script=script,
                arrived=arrived_s,
            )
            begun(synthesis)
            with await self._lease(manifest, terms) as lease:
                if seen is not None:
                    seen.leased(cold=lease.cold, waited_s=lease.wait_s)
                    self._on_use(manifest.ref)
                async with contextlib.aclosing(synthesis.messages(lease)) as messages:
                    async for message in messages:
                        yield message

    def used(self, manifest: Manifest) -> None:
        """A line of the voice was spoken from the cache: its next new one is not to be cold."""
        self._manager.used(manifest)

    async def _admit(
        self, request: SpeechRequest, manifest: Manifest, terms: Callable[[], Terms]
    ) -> Ticket:
        swap_s = 0.0
        if terms().start_by_s is not None:
            swap_s = await estimated_s(self._manager, manifest)
        # Looked at again: somebody in less of a hurry may have joined.
        request = dataclasses.replace(request, start_by_s=terms().start_by_s)
        return await self._admission.admit(request, manifest, swap_s=swap_s)

    async def _lease(self, manifest: Manifest, terms: Callable[[], Terms]) -> Lease:
        while True:
            until_s = terms().until_s
            left_s = None if until_s is None else max(0.0, until_s - self.clock())
            try:
                return await self._manager.acquire(manifest, timeout_s=left_s)
            except (LoadTimeoutError, MemoryBusyError):
                is_over = until_s is not None and self.clock() >= until_s - _CLOCK_S
                if not is_over or terms().until_s == until_s:
                    raise
                # Somebody has joined who waits longer; whoever does not hears so from its door.


class Speaker:
    """Resolves, asks the cache, admits, leases, speaks and counts. Knows no wire.

    Confined to one event loop.
    """

    def __init__(
        self,
        catalog: Catalog,
        maker: Maker,
        audio_cache: AudioCache,
        metrics: StreamMetrics,
        *,
        fallback: EmotionFallback = EmotionFallback.NONE,
    ) -> None:
        """``fallback`` is for emotions of requests that name none."""
        self._fallback = fallback
        self.clock = maker.clock
        self._catalog = catalog
        self._maker = maker
        self._audio_cache = audio_cache
        self._metrics = metrics
        self._streams: dict[str, Stream] = {}

    @contextlib.asynccontextmanager
    async def open(
        self, request: SpeechRequest, call: Call, *, script: Script | None = None
    ) -> AsyncIterator[Stream]:
        """The stream of ``request``; with a ``script``, of a conversation that is still written.

        Raises `VoiceNotFoundError`, and `InvalidInputError` for what the voice does not have,
        before the block; everything else is raised where the stream is
        read. Leaving the block, for whatever reason, ends what only this stream wants, waits for
        a step under way, and gives everything back.
        """

        def left_s() -> float | None:
            return None if call.deadline_s is None else call.deadline_s - self.clock()

        with self._metrics.stream(left_s) as seen:
            # No thread: the catalog answers from this machine's page cache.
            manifest = self._catalog.resolve(request.voice, session_id=request.session_id)
            request = as_preset(request, manifest)
            request = dataclasses.replace(request, fallback=request.fallback or self._fallback)
            check_offered(request, manifest)
            request = settled(request, manifest)
            seen.characters = len(request.text)

            make = partial(self._maker.messages, manifest, arrived_s=call.arrived_s, seen=seen)
            made: Messages
            if script is None:
                made = self._audio_cache.messages(
                    *(request, manifest, make),
                    arrived_s=call.arrived_s,
                    until_s=call.deadline_s,
                )
            else:  # What is being written is never in the cache.
                terms = Terms(call.deadline_s, request.start_by_s)

                def begun(synthesis: Synthesis) -> None:
                    stream.begun(synthesis)

                made = make(request, lambda: terms, script=script, begun=begun)
            stream = Stream(
                *(secrets.token_urlsafe(12), made, seen),
                arrived_s=call.arrived_s,
                clock=self.clock,
                start_by_s=request.start_by_s,
                script=script,
            )
            async with contextlib.aclosing(made):
                self._streams[stream.id] = stream
                try:
                    yield stream
                finally:
                    del self._streams[stream.id]
                    if seen.cached:
                        self._maker.used(manifest)

    async def interrupt(self, stream_id: str) -> Receipt:
        """See `Stream.interrupt`. Raises `StreamNotFoundError`: whoever has the id may do it."""
        stream = self._streams.get(stream_id)
        if stream is None:
            raise StreamNotFoundError("no stream has this stream_id; it may have ended")
        return await stream.interrupt()
