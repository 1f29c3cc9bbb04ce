"""Converse and Interrupt as a fake, by the rules of speech.proto; a conversation with one face."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator
from typing import Any

from voxswap.v1 import speech_pb2

RECEIPT = speech_pb2.InterruptReceipt(end_sample=4, last_word="Hi", text_end=2)


def said(part: speech_pb2.SynthesizeResponse) -> speech_pb2.ConverseResponse:
    """A part of a line as a part of a conversation."""
    name: Any = part.WhichOneof("part")
    return speech_pb2.ConverseResponse(**{name: getattr(part, name)})


def saying(behaviour: Any) -> Any:
    """What plays or fails a line does it with a conversation, once ``start`` has come."""

    def conversing(requests: Any, context: Any) -> Iterator[speech_pb2.ConverseResponse]:
        next(requests)
        yield from map(said, behaviour(None, context))

    return conversing


def deaf(behaviour: Any) -> Any:
    """The same, for a server that reads nothing at all."""
    return lambda _requests, context: map(said, behaviour(None, context))


def echo(requests: Any, _context: Any) -> Iterator[speech_pb2.ConverseResponse]:
    """A sample for each character, at once; the header comes with the first audio or at the end."""
    samples, header_is_out = 0, False
    header = speech_pb2.Header(
        voice="npc/smith@3",
        sample_rate_hertz=8000,
        encoding=speech_pb2.AUDIO_ENCODING_PCM_S16LE,
        stream_id="stream-1",
    )
    for request in requests:
        text = request.start.text if request.HasField("start") else request.text
        if (text or request.HasField("interrupt")) and not header_is_out:
            header_is_out = True
            yield speech_pb2.ConverseResponse(header=header)
        if text:
            audio = struct.pack(f"<{len(text)}h", *range(samples, samples + len(text)))
            chunk = speech_pb2.AudioChunk(audio=audio, start_sample=samples, sample_count=len(text))
            samples += len(text)
            yield speech_pb2.ConverseResponse(chunk=chunk)
        if request.HasField("interrupt"):
            receipt = speech_pb2.InterruptReceipt(
                end_sample=samples, last_word="Hi", text_end=samples
            )
            yield speech_pb2.ConverseResponse(interrupted=receipt)
    if not header_is_out:
        yield speech_pb2.ConverseResponse(header=header)
    yield speech_pb2.ConverseResponse(trailer=speech_pb2.Trailer(total_samples=samples, seed=7))


class FakeConversations:
    """A conversation does what the script says, or `echo`; `Interrupt` answers `RECEIPT`."""

    saying, deaf = staticmethod(saying), staticmethod(deaf)
    script: deque[Any]

    def _note(self, request: Any, context: Any) -> None:
        """Note the request."""
        raise NotImplementedError

    def _unary(self, request: Any, context: Any) -> None:
        """Note the request, and do what the script says."""
        raise NotImplementedError

    def Converse(self, requests: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        def noted() -> Iterator[Any]:
            for request in requests:
                self._note(request, context)
                yield request

        behaviour = self.script.popleft() if self.script else echo
        yield from behaviour(noted(), context)

    def Interrupt(self, request: Any, context: Any) -> speech_pb2.InterruptResponse:  # noqa: N802
        self._unary(request, context)
        return speech_pb2.InterruptResponse(receipt=RECEIPT)
