"""SpeechService: text in, a stream of parts out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from voxswap.v1 import speech_pb2, speech_pb2_grpc
from voxswap_registry.catalog.catalog import Catalog
from voxswap_registry.errors import InvalidInputError
from voxswap_server.doors.grpc import conversations
from voxswap_server.doors.grpc.calls import mapped, patience_s, tenant_of
from voxswap_server.doors.grpc.status import Context
from voxswap_server.doors.grpc.translate import residency as messages
from voxswap_server.doors.grpc.translate import speech as translate
from voxswap_server.doors.silence import Silence
from voxswap_server.residency.ahead import Ahead
from voxswap_server.residency.outlook import CastMember
from voxswap_server.speech.conversation import Conversation
from voxswap_server.speech.request import SpeechRequest
from voxswap_server.speech.speaking import Call, Speaker


class SpeechServicer(speech_pb2_grpc.SpeechServiceServicer):
    """Translates, both ways, and decides nothing. Confined to one event loop."""

    def __init__(
        self, speaker: Speaker, catalog: Catalog, ahead: Ahead, *, max_text_characters: int
    ) -> None:
        self._speaker = speaker
        self._catalog = catalog
        self._ahead = ahead
        self._max_text_characters = max_text_characters

    @mapped
    async def Synthesize(  # type: ignore[override]  # noqa: N802
        self, request: speech_pb2.SynthesizeRequest, context: Context
    ) -> None:
        """Speak one text.

        Written with ``context.write`` and not as a generator: a cancelled call then ends here, in
        the ``finally`` clauses, and not whenever a suspended generator is collected.
        """
        call = self._call(context)
        async with self._speaker.open(self._request(request, context), call) as stream:
            async for part in stream:
                await context.write(translate.speech_part(part))

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
        call = self._call(context)
        start = await conversations.begun(context)
        spoken = self._request(start, context, text_may_follow=True)
        conversation = Conversation(most_waiting=self._max_text_characters)
        conversation.push(spoken.text)
        silence = Silence()
        async with self._speaker.open(spoken, call, script=conversation) as stream:
            listening = conversations.listen(
                *(context, conversation, stream.interrupt, silence),
                max_characters=self._max_text_characters,
            )
            reading = asyncio.create_task(listening)
            try:
                async for part in stream:
                    await context.write(translate.conversation_part(part))
                    silence.broken()
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)

    @mapped
    async def Interrupt(  # noqa: N802
        self, request: speech_pb2.InterruptRequest, context: Context
    ) -> speech_pb2.InterruptResponse:
        """Stop a stream. Raises `InvalidInputError`."""
        if not request.stream_id:
            raise InvalidInputError.one("stream_id", "is empty; send a Header's stream_id")
        receipt = await self._speaker.interrupt(request.stream_id)
        return speech_pb2.InterruptResponse(receipt=translate.receipt(receipt))

    @mapped
    async def Prepare(  # noqa: N802
        self, request: speech_pb2.PrepareRequest, context: Context
    ) -> speech_pb2.PrepareResponse:
        """Begin to load a scene's voices; the answer does not wait for them."""
        cast = [
            CastMember(self._catalog.resolve(voice, session_id=request.session_id), due_s)
            for voice, due_s in translate.cast_of(request)
        ]
        return messages.scene(await self._ahead.prepare(cast, dry_run=request.dry_run))

    def _call(self, context: Context) -> Call:
        now_s, left_s = self._speaker.clock(), patience_s(context)
        return Call(now_s, None if left_s is None else now_s + left_s)

    def _request(
        self,
        message: speech_pb2.SynthesizeRequest,
        context: Context,
        *,
        text_may_follow: bool = False,
    ) -> SpeechRequest:
        return translate.speech_request(
            message,
            max_characters=self._max_text_characters,
            tenant=tenant_of(context),
            text_may_follow=text_may_follow,
        )
