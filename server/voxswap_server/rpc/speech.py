"""SpeechService: one request in, a stream of parts out."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import NoReturn

from voxswap.v1 import speech_pb2, speech_pb2_grpc
from voxswap_registry.catalog.catalog import Catalog
from voxswap_registry.manifest import Manifest
from voxswap_server.metrics import Metrics, StreamObservation
from voxswap_server.residency.ahead import Ahead
from voxswap_server.residency.manager import ModelManager
from voxswap_server.residency.outlook import CastMember
from voxswap_server.rpc import residency_messages as messages
from voxswap_server.rpc import translate
from voxswap_server.rpc.calls import mapped, not_built, patience_s
from voxswap_server.rpc.status import Context
from voxswap_server.speech.cache.cache import AudioCache
from voxswap_server.speech.parts import Chunk, Header, Part, Trailer
from voxswap_server.speech.pipeline import Stage, Synthesis
from voxswap_server.speech.request import SpeechRequest


class SpeechServicer(speech_pb2_grpc.SpeechServiceServicer):
    """Thin: translate, resolve, ask the cache or lease, and pass the parts on."""

    def __init__(
        self,
        catalog: Catalog,
        manager: ModelManager,
        ahead: Ahead,
        stage: Stage,
        audio_cache: AudioCache,
        metrics: Metrics,
        *,
        max_text_characters: int,
        on_use: Callable[[str], None] = lambda ref: None,
    ) -> None:
        """``on_use`` hears of each version that speaks, as ``voice@version``."""
        self._on_use = on_use
        self._catalog = catalog
        self._manager = manager
        self._ahead = ahead
        self._stage = stage
        self._audio_cache = audio_cache
        self._metrics = metrics
        self._max_text_characters = max_text_characters

    @mapped
    async def Synthesize(  # type: ignore[override]  # noqa: N802
        self,
        request: speech_pb2.SynthesizeRequest,
        context: Context,
    ) -> None:
        """Speak one text.

        Written with ``context.write`` and not as a generator: a cancelled call then ends here, in
        the ``finally`` clauses, and not whenever a suspended generator is collected.
        """
        arrived = time.perf_counter()
        spoken = translate.speech_request(request, max_characters=self._max_text_characters)
        with self._metrics.stream(context.time_remaining) as stream:
            # No thread: the catalog answers from this machine's page cache.
            manifest = self._catalog.resolve(spoken.voice, session_id=spoken.session_id)

            def make(request: SpeechRequest) -> AsyncGenerator[Part, None]:
                patience = patience_s(context)  # the context may be gone before the generator is
                return self._synthesized(request, manifest, stream, arrived, patience)

            parts = self._audio_cache.parts(spoken, manifest, make, arrived_s=arrived)
            async with contextlib.aclosing(parts):
                async for part in parts:
                    await context.write(translate.speech_part(part))
                    match part:
                        case Header():
                            stream.cached = part.cached
                        case Chunk():
                            stream.sent_chunk(time.perf_counter() - arrived)
                        case Trailer():
                            stream.finished(part, characters=len(spoken.text))

    async def _synthesized(
        self,
        request: SpeechRequest,
        manifest: Manifest,
        stream: StreamObservation,
        arrived: float,
        patience: float | None,
    ) -> AsyncGenerator[Part, None]:
        """The parts as they are made, with a lease held from the first to the last.

        May go on when its own stream has ended, for others that share the audio.
        """
        async with Synthesis(request, manifest, self._stage, arrived=arrived) as synthesis:
            with await self._manager.acquire(
                manifest, timeout_s=patience, early=synthesis.begin
            ) as lease:
                stream.leased(cold=lease.cold, waited_s=lease.wait_s)
                self._on_use(manifest.ref)
                parts = synthesis.parts(lease)
                async with contextlib.aclosing(parts):
                    async for part in parts:
                        yield part

    @mapped
    async def Prepare(  # noqa: N802
        self, request: speech_pb2.PrepareRequest, context: Context
    ) -> speech_pb2.PrepareResponse:
        """Begin to load a scene's voices; the answer does not wait for them."""
        scene = translate.scene_request(request)
        cast = [
            CastMember(self._catalog.resolve(voice, session_id=scene.session_id), due_s)
            for voice, due_s in scene.cast
        ]
        return messages.scene(await self._ahead.prepare(cast, dry_run=scene.dry_run))

    @mapped
    async def Converse(  # type: ignore[override]  # noqa: N802
        self,
        request: AsyncIterator[speech_pb2.ConverseRequest],
        context: Context,
    ) -> NoReturn:
        """Not built yet."""
        raise not_built("SpeechService.Converse")
