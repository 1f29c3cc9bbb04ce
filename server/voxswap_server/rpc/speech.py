"""SpeechService: text in, a stream of parts out."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import grpc

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
from voxswap_server.rpc import residency_messages as messages
from voxswap_server.rpc import translate
from voxswap_server.rpc.calls import mapped, patience_s
from voxswap_server.rpc.status import Context
from voxswap_server.speech.admission import Admission, Ticket, too_late
from voxswap_server.speech.conversation import Conversation
from voxswap_server.speech.errors import ConversationIdleError, StreamNotFoundError
from voxswap_server.speech.parts import Chunk, Part, Trailer
from voxswap_server.speech.pipeline import Stage, Synthesis, kind_of
from voxswap_server.speech.request import SpeechRequest
from voxswap_server.speech.script import Script

# A Converse call says what it wants within this, and then something now and then.
_START_WITHIN_S, _IDLE_S = 10.0, 60.0


class SpeechServicer(speech_pb2_grpc.SpeechServiceServicer):
    """Thin: translate, resolve, admit, lease, and pass the parts on. Confined to one event loop."""

    def __init__(
        self,
        catalog: Catalog,
        manager: ModelManager,
        ahead: Ahead,
        stage: Stage,
        admission: Admission,
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
        self._metrics = metrics
        self._max_text_characters = max_text_characters
        self._streams: dict[str, Synthesis] = {}

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

        async def write(part: Part) -> None:
            await context.write(translate.speech_part(part))

        await self._speak(spoken, context, write, arrived=arrived)

    @mapped
    async def Converse(  # type: ignore[override]  # noqa: N802
        self,
        request: AsyncIterator[speech_pb2.ConverseRequest],
        context: Context,
    ) -> None:
        """Speak a text that is still being written.

        Reads with ``context.read``, since that can be waited for with a limit.
        """
        del request
        arrived = time.perf_counter()
        first = await _read(context, _Silence(_START_WITHIN_S))
        if first is None or first.WhichOneof("part") != "start":
            raise InvalidInputError.one("start", "is missing; the first message carries it")
        spoken = translate.speech_request(
            first.start,
            max_characters=self._max_text_characters,
            tenant=_tenant(context),
            text_may_follow=True,
        )
        conversation = Conversation(most_waiting=self._max_text_characters)
        conversation.push(spoken.text)
        speaking: asyncio.Future[Synthesis] = asyncio.get_running_loop().create_future()
        silence = _Silence(_IDLE_S)
        reading = asyncio.create_task(self._listen(context, conversation, speaking, silence))

        async def write(part: Part) -> None:
            await context.write(translate.conversation_part(part))
            silence.broken()

        try:
            await self._speak(
                spoken,
                context,
                write,
                arrived=arrived,
                script=conversation,
                begun=speaking.set_result,
            )
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
        synthesis = self._streams.get(request.stream_id)
        if synthesis is None:
            raise StreamNotFoundError("no stream has this stream_id; it may have ended")
        return speech_pb2.InterruptResponse(receipt=translate.receipt(synthesis.interrupt()))

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

    async def _speak(
        self,
        spoken: SpeechRequest,
        context: Context,
        write: Callable[[Part], Awaitable[None]],
        *,
        arrived: float,
        script: Script | None = None,
        begun: Callable[[Synthesis], None] = lambda synthesis: None,
    ) -> None:
        stream_id = secrets.token_urlsafe(12)
        with contextlib.ExitStack() as held:
            stream = held.enter_context(self._metrics.stream(context.time_remaining))
            # No thread: the catalog answers from this machine's page cache.
            manifest = self._catalog.resolve(spoken.voice, session_id=spoken.session_id)
            with stream.admission():
                ticket = held.enter_context(await self._admit(spoken, manifest))
            async with Synthesis(
                spoken,
                manifest,
                self._stage,
                script=script,
                stream_id=stream_id,
                arrived=arrived,
                weight=ticket.weight,
            ) as synthesis:
                ticket.done = lambda: synthesis.compute_s
                begun(synthesis)
                with (
                    await self._lease(manifest, spoken, context, synthesis, arrived) as lease,
                    self._known(stream_id, synthesis),
                ):
                    stream.leased(cold=lease.cold, waited_s=lease.wait_s)
                    self._on_use(manifest.ref)
                    parts = synthesis.parts(lease)
                    async with contextlib.aclosing(parts):
                        async for part in _in_time(parts, spoken, arrived, self._stage.clock):
                            await write(part)
                            self._note(part, spoken, ticket, stream, synthesis, arrived)

    async def _admit(self, spoken: SpeechRequest, manifest: Manifest) -> Ticket:
        swap_s = 0.0
        if spoken.start_by_s is not None:
            swap_s = (await explain(self._manager, manifest)).estimated_s
        return self._admission.admit(spoken, kind_of(manifest), swap_s=swap_s)

    async def _lease(
        self,
        manifest: Manifest,
        spoken: SpeechRequest,
        context: Context,
        synthesis: Synthesis,
        arrived: float,
    ) -> Lease:
        timeout_s = patience_s(context)
        if spoken.start_by_s is not None:
            left_s = max(0.0, arrived + spoken.start_by_s - self._stage.clock())
            timeout_s = left_s if timeout_s is None else min(timeout_s, left_s)
        try:
            return await self._manager.acquire(manifest, timeout_s=timeout_s, early=synthesis.begin)
        except (LoadTimeoutError, MemoryBusyError) as error:
            if spoken.start_by_s is None or timeout_s != left_s:
                raise
            raise too_late(spoken.start_by_s, None) from error

    @contextlib.contextmanager
    def _known(self, stream_id: str, synthesis: Synthesis) -> Iterator[None]:
        """Whoever has the id may interrupt it."""
        self._streams[stream_id] = synthesis
        try:
            yield
        finally:
            del self._streams[stream_id]

    def _note(
        self,
        part: Part,
        spoken: SpeechRequest,
        ticket: Ticket,
        stream: StreamObservation,
        synthesis: Synthesis,
        arrived: float,
    ) -> None:
        """What was written tells how the stream goes, and what the next ones will cost."""
        match part:
            case Chunk():
                stream.sent_chunk(time.perf_counter() - arrived)
                if not ticket.has_begun:
                    ticket.begun(synthesis.compute_s, len(spoken.text))
            case Trailer():
                characters = synthesis.characters
                stream.finished(part, characters=characters)
                audio_s = part.total_samples / part.sample_rate_hertz
                ticket.finished(part.compute_ms / 1e3, audio_s, characters)

    async def _listen(
        self,
        context: Context,
        conversation: Conversation,
        speaking: asyncio.Future[Synthesis],
        silence: _Silence,
    ) -> None:
        """Read what the client says, as far as there is room for it."""
        try:
            while (said := await _read(context, silence)) is not None:
                match said.WhichOneof("part"):
                    case "text":
                        for description in translate.fragment_faults(
                            said.text, self._max_text_characters
                        ):
                            raise InvalidInputError.one("text", description)
                        conversation.push(said.text)
                    case "flush":
                        conversation.flush()
                    case "interrupt":
                        (await speaking).interrupt()
                    case "start":
                        raise InvalidInputError.one("start", "comes once, in the first message")
                    case _:
                        raise InvalidInputError.one(
                            "part", "is missing; send text, flush or interrupt"
                        )
                await conversation.make_room()
            conversation.end()
        except Exception as error:  # noqa: BLE001 - raised where the stream is spoken
            conversation.fail(error)


class _Silence:
    """How long neither side has said anything. Confined to one event loop."""

    def __init__(self, most_s: float) -> None:
        self.most_s = most_s
        self._clock = asyncio.get_running_loop().time
        self.broken()

    def broken(self) -> None:
        """Somebody says something: it begins anew."""
        self._since_s = self._clock()

    @property
    def left_s(self) -> float:
        """Until it is too long."""
        return self._since_s + self.most_s - self._clock()


async def _read(context: Context, silence: _Silence) -> speech_pb2.ConverseRequest | None:
    """The client's next message; None once it has closed its side."""
    silence.broken()
    # One read, however often it is waited for: what a cancelled one had received would be lost.
    reading: asyncio.Future[Any] = asyncio.ensure_future(context.read())
    try:
        while not reading.done():
            if (left_s := silence.left_s) <= 0:
                raise ConversationIdleError(
                    f"nothing came for {silence.most_s:.0f} s; send text, or close your side of "
                    "the call"
                )
            await asyncio.wait((reading,), timeout=left_s)
        said = reading.result()
    finally:
        reading.cancel()
    return None if said is grpc.aio.EOF else said


async def _in_time(
    parts: AsyncIterator[Part],
    spoken: SpeechRequest,
    arrived: float,
    clock: Callable[[], float],
) -> AsyncIterator[Part]:
    """``parts``, unless the first of them comes too late. Raises `TooLateError`."""
    if spoken.start_by_s is not None:
        try:
            async with asyncio.timeout(max(0.0, arrived + spoken.start_by_s - clock())):
                first = await anext(parts)
        except TimeoutError as error:
            raise too_late(spoken.start_by_s, None) from error
        yield first
    async for part in parts:
        yield part


def _tenant(context: Context) -> str:
    """On whose behalf the call is made, by its metadata."""
    for key, value in context.invocation_metadata() or ():
        if key == translate.TENANT_KEY:
            return value if isinstance(value, str) else ""
    return ""
