"""SpeechService: text in, a stream of parts out."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator

from voxswap.v1 import speech_pb2, speech_pb2_grpc
from voxswap_registry.catalog.catalog import Catalog
from voxswap_registry.errors import InvalidInputError
from voxswap_registry.manifest import Manifest
from voxswap_server.metrics import Metrics, StreamObservation
from voxswap_server.residency.ahead import Ahead
from voxswap_server.residency.errors import LoadTimeoutError, MemoryBusyError
from voxswap_server.residency.lease import Lease
from voxswap_server.residency.manager import ModelManager
from voxswap_server.residency.outlook import CastMember, explain
from voxswap_server.rpc import conversations, translate
from voxswap_server.rpc import residency_messages as messages
from voxswap_server.rpc.calls import mapped, patience_s
from voxswap_server.rpc.status import Context
from voxswap_server.speech.admission import Admission, Ticket
from voxswap_server.speech.cache.cache import AudioCache
from voxswap_server.speech.cache.listener import Terms
from voxswap_server.speech.conversation import Conversation
from voxswap_server.speech.errors import StreamNotFoundError
from voxswap_server.speech.listening import Listening, too_late
from voxswap_server.speech.parts import Chunk, Header, Part, Receipt, Trailer
from voxswap_server.speech.pipeline import Stage, Synthesis
from voxswap_server.speech.request import SpeechRequest
from voxswap_server.speech.script import Script

# Clocks that tell one instant may differ by so much.
_CLOCK_S = 0.001

_Write = Callable[[Part], Awaitable[None]]
_Interrupt = Callable[[], Receipt]


class SpeechServicer(speech_pb2_grpc.SpeechServiceServicer):
    """Thin: translate, resolve, ask the cache, or admit and lease, and pass the parts on.

    Confined to one event loop.
    """

    def __init__(
        self,
        catalog: Catalog,
        manager: ModelManager,
        ahead: Ahead,
        stage: Stage,
        admission: Admission,
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
        self._admission = admission
        self._audio_cache = audio_cache
        self._metrics = metrics
        self._max_text_characters = max_text_characters
        self._interrupts: dict[str, _Interrupt] = {}

    @mapped
    async def Synthesize(  # type: ignore[override]  # noqa: N802
        self, request: speech_pb2.SynthesizeRequest, context: Context
    ) -> None:
        """Speak one text.

        Written with ``context.write`` and not as a generator: a cancelled call then ends here, in
        the ``finally`` clauses, and not whenever a suspended generator is collected.
        """
        arrived = time.perf_counter()
        spoken = translate.speech_request(
            request, max_characters=self._max_text_characters, tenant=_tenant(context)
        )
        now_s = asyncio.get_running_loop().time()
        listening = Listening(arrived_s=now_s, start_by_s=spoken.start_by_s)

        async def write(part: Part) -> None:
            await context.write(translate.speech_part(part))

        with self._metrics.stream(context.time_remaining) as stream:
            # No thread: the catalog answers from this machine's page cache.
            manifest = self._catalog.resolve(spoken.voice, session_id=spoken.session_id)

            stream.characters = len(spoken.text)

            def make(
                request: SpeechRequest, terms: Callable[[], Terms]
            ) -> AsyncGenerator[Part, None]:
                return self._made(request, manifest, stream, arrived, terms)

            shared = self._audio_cache.parts(
                *(spoken, manifest, make),
                arrived_s=arrived,
                until_s=_until(arrived, patience_s(context)),
            )
            async with contextlib.aclosing(shared):
                parts = listening.parts(shared)
                await self._send(parts, stream, write, arrived, listening.interrupt)

    @mapped
    async def Converse(  # type: ignore[override]  # noqa: N802
        self,
        request: AsyncIterator[speech_pb2.ConverseRequest],
        context: Context,
    ) -> None:
        """Speak a text that is still being written; what is being written is never in the cache.

        Reads with ``context.read``, since that can be waited for with a limit.
        """
        del request
        arrived = time.perf_counter()
        start = await conversations.begun(context)
        spoken = translate.speech_request(
            start,
            max_characters=self._max_text_characters,
            tenant=_tenant(context),
            text_may_follow=True,
        )
        conversation = Conversation(most_waiting=self._max_text_characters)
        conversation.push(spoken.text)
        speaking: asyncio.Future[Synthesis] = asyncio.get_running_loop().create_future()
        silence = conversations.Silence()

        async def interrupt() -> None:
            (await speaking).interrupt()

        async def write(part: Part) -> None:
            await context.write(translate.conversation_part(part))
            silence.broken()

        with self._metrics.stream(context.time_remaining) as stream:
            manifest = self._catalog.resolve(spoken.voice, session_id=spoken.session_id)
            reading = asyncio.create_task(
                conversations.listen(
                    context,
                    conversation,
                    interrupt,
                    silence,
                    max_characters=self._max_text_characters,
                )
            )
            terms = Terms(
                _until(arrived, patience_s(context), spoken.start_by_s), spoken.start_by_s
            )
            try:
                parts = self._made(
                    spoken,
                    manifest,
                    stream,
                    arrived,
                    lambda: terms,
                    script=conversation,
                    begun=speaking.set_result,
                )
                await self._send(
                    parts, stream, write, arrived, lambda: speaking.result().interrupt()
                )
            except (LoadTimeoutError, MemoryBusyError) as error:
                start_by_s = spoken.start_by_s
                if start_by_s is None or time.perf_counter() < arrived + start_by_s:
                    raise
                raise too_late(start_by_s, None) from error
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)

    @mapped
    async def Interrupt(  # noqa: N802
        self, request: speech_pb2.InterruptRequest, context: Context
    ) -> speech_pb2.InterruptResponse:
        """Stop a stream."""
        if not request.stream_id:
            raise InvalidInputError.one("stream_id", "is empty; send a Header's stream_id")
        interrupt = self._interrupts.get(request.stream_id)
        if interrupt is None:
            raise StreamNotFoundError("no stream has this stream_id; it may have ended")
        return speech_pb2.InterruptResponse(receipt=translate.receipt(interrupt()))

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

    async def _send(
        self,
        parts: AsyncGenerator[Part, None],
        stream: StreamObservation,
        write: _Write,
        arrived: float,
        interrupt: _Interrupt,
    ) -> None:
        """Write ``parts`` under an id by which they can be interrupted."""
        stream_id = secrets.token_urlsafe(12)
        async with contextlib.aclosing(parts):
            with self._known(stream_id, interrupt):
                async for part in parts:
                    match part:
                        case Header():
                            stream.cached = part.cached
                            await write(dataclasses.replace(part, stream_id=stream_id))
                            continue
                        case Trailer():
                            # Before the client knows, and may look at what was counted.
                            stream.finished(part)
                    await write(part)
                    if isinstance(part, Chunk):
                        stream.sent_chunk(time.perf_counter() - arrived)

    @contextlib.contextmanager
    def _known(self, stream_id: str, interrupt: _Interrupt) -> Iterator[None]:
        """Whoever has the id may interrupt it."""
        self._interrupts[stream_id] = interrupt
        try:
            yield
        finally:
            del self._interrupts[stream_id]

    async def _made(
        self,
        request: SpeechRequest,
        manifest: Manifest,
        stream: StreamObservation,
        arrived: float,
        terms: Callable[[], Terms],
        *,
        script: Script | None = None,
        begun: Callable[[Synthesis], None] = lambda synthesis: None,
    ) -> AsyncGenerator[Part, None]:
        """The parts as they are made, with a place and a lease held from the first to the last.

        It waits for both on ``terms``, which may change meanwhile, and may go on when its own
        stream has ended, for others that share the audio.
        """
        with stream.admission():
            ticket = await self._admit(request, manifest, terms)
        with ticket:
            async with Synthesis(
                request,
                manifest,
                self._stage,
                script=script,
                arrived=arrived,
                progress=ticket,
            ) as synthesis:
                begun(synthesis)
                with await self._lease(manifest, terms) as lease:
                    stream.leased(cold=lease.cold, waited_s=lease.wait_s)
                    self._on_use(manifest.ref)
                    parts = synthesis.parts(lease)
                    async with contextlib.aclosing(parts):
                        async for part in parts:
                            if isinstance(part, Trailer):
                                stream.characters = stream.characters or synthesis.characters
                            yield part

    async def _admit(
        self, request: SpeechRequest, manifest: Manifest, terms: Callable[[], Terms]
    ) -> Ticket:
        swap_s = 0.0
        if terms().start_by_s is not None:
            swap_s = (await explain(self._manager, manifest)).estimated_s
        # Looked at again: somebody in less of a hurry may have joined.
        request = dataclasses.replace(request, start_by_s=terms().start_by_s)
        return await self._admission.admit(request, manifest, swap_s=swap_s)

    async def _lease(self, manifest: Manifest, terms: Callable[[], Terms]) -> Lease:
        while True:
            until_s = terms().until_s
            left_s = None if until_s is None else max(0.0, until_s - time.perf_counter())
            try:
                return await self._manager.acquire(manifest, timeout_s=left_s)
            except (LoadTimeoutError, MemoryBusyError):
                latest_s = terms().until_s
                is_over = until_s is not None and time.perf_counter() >= until_s - _CLOCK_S
                if not is_over or latest_s == until_s:
                    raise
                # Somebody has joined who waits longer; whoever does not hears so from grpc.


def _until(arrived: float, *limits_s: float | None) -> float | None:
    """When the first of ``limits_s`` is over."""
    known = [arrived + limit_s for limit_s in limits_s if limit_s is not None]
    return min(known, default=None)


def _tenant(context: Context) -> str:
    """On whose behalf the call is made, by its metadata."""
    for key, value in context.invocation_metadata() or ():
        if key == translate.TENANT_KEY:
            return value if isinstance(value, str) else ""
    return ""
