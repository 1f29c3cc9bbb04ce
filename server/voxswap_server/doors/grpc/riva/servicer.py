"""`nvidia.riva.tts.RivaSpeechSynthesis`: thin, like the servicers beside it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc

from voxswap.riva.v1 import riva_tts_pb2 as riva
from voxswap_registry.catalog.catalog import Catalog
from voxswap_registry.errors import InvalidInputError
from voxswap_server.audio.encoding import AudioEncoding
from voxswap_server.doors.fields import named
from voxswap_server.doors.grpc.calls import mapped, patience_s, tenant_of
from voxswap_server.doors.grpc.conversations import read
from voxswap_server.doors.grpc.riva import voices
from voxswap_server.doors.grpc.riva.asked import (
    FIELDS,
    check_built,
    check_id,
    check_repeated,
    request_of,
)
from voxswap_server.doors.grpc.status import Context
from voxswap_server.doors.silence import Silence
from voxswap_server.speech.asking import Faults, check_fragment
from voxswap_server.speech.conversation import Conversation
from voxswap_server.speech.errors import OverloadedError
from voxswap_server.speech.messages import Chunk, Header, Mark
from voxswap_server.speech.request import SpeechRequest
from voxswap_server.speech.speaking import Call, Speaker
from voxswap_server.voices.browsing import first_of

SERVICE = "nvidia.riva.tts.RivaSpeechSynthesis"
#: What reflection is to tell of it: the file, its package here, and its package on the wire.
RENAMED = (riva.DESCRIPTOR, "voxswap.riva.v1", "nvidia.riva.tts")

# Most clients take no larger message.
MAX_REPLY_BYTES = 4 << 20
# Of all replies together that are being put together.
_MOST_HELD_BYTES = 256 << 20
_BYTES_PER_SAMPLE = {
    AudioEncoding.PCM_S16LE: 2,
    AudioEncoding.MULAW: 1,
    AudioEncoding.ALAW: 1,
}
# An estimate may be wrong by so much, and a reply that fits is not refused for it.
_DOUBT = 1.5


class RivaServicer:
    """Translates, both ways, and decides nothing. Confined to one event loop."""

    def __init__(self, speaker: Speaker, catalog: Catalog, *, max_text_characters: int) -> None:
        self._speaker = speaker
        self._catalog = catalog
        self._max_text_characters = max_text_characters
        self._held_bytes = 0

    @mapped
    async def Synthesize(  # noqa: N802
        self, message: riva.SynthesizeSpeechRequest, context: Context
    ) -> None:
        """Speak one text, and answer once all of it is made.

        Written with ``context.write``, which waits until the reply is taken: see `add_to_server`.
        """
        with named(FIELDS), self._reply(message) as reply:
            request = await self._request(message, context, is_whole=True)
            async with self._speaker.open(request, self._call(context)) as stream:
                rate = 1
                async for part in stream:
                    match part:
                        case Header():
                            rate = part.sample_rate_hertz
                            _check_estimate(part)
                        case Chunk():
                            reply.add(part, rate)
            await context.write(reply.message())

    @mapped
    async def SynthesizeOnline(  # noqa: N802
        self, requests: AsyncIterator[riva.SynthesizeSpeechRequest], context: Context
    ) -> None:
        """Speak texts one after the other: a conversation, of which each request is a sentence.

        Reads with ``context.read``, since that can be waited for with a limit. Raises
        `InvalidInputError`.
        """
        del requests
        first: Any = await context.read()  # no need to wait: the guard has seen that it is there
        if first is grpc.aio.EOF:
            raise InvalidInputError.one("message", "is missing; send one, then end the call")
        with named(FIELDS):
            request = await self._request(first, context, is_whole=False)
            conversation = Conversation(most_waiting=self._max_text_characters)
            silence = Silence()
            speaking = self._speaker.open(request, self._call(context), script=conversation)
            async with speaking as stream:
                listening = self._listen(context, first, conversation, silence)
                reading = asyncio.create_task(listening)
                try:
                    rate = 1
                    async for part in stream:
                        if isinstance(part, Header):
                            rate = part.sample_rate_hertz
                        elif isinstance(part, Chunk):
                            await context.write(_answer(first, part, rate))
                        silence.broken()
                finally:
                    reading.cancel()
                    await asyncio.gather(reading, return_exceptions=True)

    @mapped
    async def GetRivaSynthesisConfig(  # noqa: N802
        self, message: riva.RivaSynthesisConfigRequest, context: Context
    ) -> riva.RivaSynthesisConfigResponse:
        """What voices there are."""
        with named({"id": "model_name"}):
            return await asyncio.to_thread(voices.config, self._catalog, message.model_name)

    async def _listen(
        self,
        context: Context,
        first: riva.SynthesizeSpeechRequest,
        conversation: Conversation,
        silence: Silence,
    ) -> None:
        """Hand over each request's text as there is room; a fault fails the whole."""
        try:
            message: Any = first
            while message is not None:
                if message is not first:
                    self._check(first, message)
                conversation.push(message.text)
                # Texts are sentences, whether or not they end like some.
                conversation.flush()
                await conversation.make_room()
                message = await read(context, silence)
            conversation.end()
        except Exception as error:  # noqa: BLE001 - raised where the conversation is spoken
            conversation.fail(error)

    def _check(
        self, first: riva.SynthesizeSpeechRequest, message: riva.SynthesizeSpeechRequest
    ) -> None:
        check_built(message)
        faults = Faults()
        check_id(faults, message)
        faults.raise_if_any()
        check_repeated(first, message)
        check_fragment(message.text, self._max_text_characters)

    async def _request(
        self, message: riva.SynthesizeSpeechRequest, context: Context, *, is_whole: bool
    ) -> SpeechRequest:
        voice, speaker = voices.named(self._catalog, message.voice_name)
        if not voice:
            voice = await asyncio.to_thread(first_of, self._catalog, message.language_code)
        return request_of(
            *(message, voice, speaker),
            max_characters=self._max_text_characters,
            tenant=tenant_of(context),
            is_whole=is_whole,
        )

    def _call(self, context: Context) -> Call:
        now_s, left_s = self._speaker.clock(), patience_s(context)
        return Call(now_s, None if left_s is None else now_s + left_s)

    @contextlib.contextmanager
    def _reply(self, message: riva.SynthesizeSpeechRequest) -> Iterator[_Reply]:
        """One that is put together, as long as the block lasts."""
        reply = _Reply(message, self._take)
        try:
            yield reply
        finally:
            self._held_bytes -= reply.size_bytes

    def _take(self, size_bytes: int) -> None:
        if self._held_bytes + size_bytes > _MOST_HELD_BYTES:
            raise OverloadedError(
                "too much is being held for replies that are sent whole; use SynthesizeOnline, or "
                "try again"
            )
        self._held_bytes += size_bytes


class _Reply:
    """The whole audio of one request. Not thread-safe."""

    def __init__(self, request: riva.SynthesizeSpeechRequest, take: Any) -> None:
        self._request = request
        self._take = take
        self._audio: list[bytes] = []
        self._words: list[riva.WordTiming] = []
        self.size_bytes = 0

    def add(self, chunk: Chunk, rate_hertz: int) -> None:
        """This too. Raises `InvalidInputError` if it is too much for one reply."""
        size_bytes = self.size_bytes + len(chunk.audio)
        if size_bytes > MAX_REPLY_BYTES:
            raise _too_long(size_bytes)
        self._take(len(chunk.audio))
        self.size_bytes = size_bytes
        self._audio.append(chunk.audio)
        self._words += [_word(mark, rate_hertz) for mark in chunk.marks]

    def message(self) -> riva.SynthesizeSpeechResponse:
        """All of it. Raises as `add` does."""
        reply = riva.SynthesizeSpeechResponse(audio=b"".join(self._audio))
        if self._request.enable_word_time_offsets:
            reply.meta.text = self._request.text
            reply.meta.words.extend(self._words)
        _echo(self._request, reply)
        if reply.ByteSize() > MAX_REPLY_BYTES:
            raise _too_long(reply.ByteSize())
        return reply


def add_to_server(servicer: RivaServicer, server: grpc.aio.Server) -> None:
    """Register the service under the name that its clients call.

    A reply of `Synthesize` is large, so it is registered as a stream of one: its write then waits
    for the client, within the limits of streams. Over the wire there is no difference. So it is
    with clients that send one request to `SynthesizeOnline`, as older ones do.
    """
    asked = riva.SynthesizeSpeechRequest.FromString
    told = riva.SynthesizeSpeechResponse.SerializeToString
    behaviour: Any = servicer
    server.add_registered_method_handlers(
        SERVICE,
        {
            "Synthesize": grpc.unary_stream_rpc_method_handler(behaviour.Synthesize, asked, told),
            "SynthesizeOnline": grpc.stream_stream_rpc_method_handler(
                behaviour.SynthesizeOnline, asked, told
            ),
            "GetRivaSynthesisConfig": grpc.unary_unary_rpc_method_handler(
                behaviour.GetRivaSynthesisConfig,
                riva.RivaSynthesisConfigRequest.FromString,
                riva.RivaSynthesisConfigResponse.SerializeToString,
            ),
        },
    )


def _answer(
    request: riva.SynthesizeSpeechRequest, chunk: Chunk, rate_hertz: int
) -> riva.SynthesizeSpeechResponse:
    answer = riva.SynthesizeSpeechResponse(audio=chunk.audio)
    if request.enable_word_time_offsets:
        answer.meta.words.extend(_word(mark, rate_hertz) for mark in chunk.marks)
        answer.meta.SetInParent()
    _echo(request, answer)
    return answer


def _echo(request: riva.SynthesizeSpeechRequest, answer: riva.SynthesizeSpeechResponse) -> None:
    if request.HasField("id"):
        answer.id.CopyFrom(request.id)


def _word(mark: Mark, rate_hertz: int) -> riva.WordTiming:
    return riva.WordTiming(
        word=mark.text,
        start_time=round(mark.start_sample * 1000 / rate_hertz),
        end_time=round((mark.start_sample + mark.duration_samples) * 1000 / rate_hertz),
    )


def _check_estimate(header: Header) -> None:
    size_bytes = header.estimated_samples * _BYTES_PER_SAMPLE.get(header.encoding, 0)
    if size_bytes > _DOUBT * MAX_REPLY_BYTES:
        raise _too_long(size_bytes)


def _too_long(size_bytes: int) -> InvalidInputError:
    return InvalidInputError.one(
        "text",
        f"would give {size_bytes} bytes of audio or more, and one reply holds {MAX_REPLY_BYTES}; "
        "use SynthesizeOnline, or split the text up",
    )
