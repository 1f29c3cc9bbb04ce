"""Lines and conversations as LiveKit's streams."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from livekit.agents import APIConnectOptions, APITimeoutError, tts, utils
from livekit.agents.voice.io import TimedString

from voxswap_client import (
    AsyncConversation,
    Chunk,
    InterruptReceipt,
    MarkKind,
    VoxswapClientError,
)
from voxswap_client.request import SpeechOptions
from voxswap_client.transcript import Piece, Transcript
from voxswap_livekit.errors import livekit_errors

if TYPE_CHECKING:
    from voxswap_livekit.tts import TTS

_RECEIPT_S = 2.0  # a receipt is worth no longer wait


@dataclass(frozen=True, slots=True)
class Line:
    """What a line is asked for with."""

    voice: str
    options: SpeechOptions


class _Output:
    """Puts chunks into an emitter, with the words that begin in them."""

    def __init__(self, emitter: tts.AudioEmitter, hertz: int, text: str = "") -> None:
        self._emitter = emitter
        self._hertz = hertz
        self.transcript = Transcript(text)

    def push(self, chunk: Chunk) -> None:
        for mark in chunk.marks:
            if mark.kind is MarkKind.WORD:
                self._say(self.transcript.piece(mark))
        self._emitter.push(chunk.audio)

    def finish(self) -> None:
        self._say(self.transcript.rest())

    def _say(self, piece: Piece) -> None:
        if piece.text:
            start_s, end_s = (s / self._hertz for s in (piece.start_sample, piece.end_sample))
            timed = TimedString(piece.text, start_time=start_s, end_time=end_s)
            self._emitter.push_timed_transcript(timed)


class ChunkedStream(tts.ChunkedStream):
    """A line whose text is there. Closing it ends its computing."""

    def __init__(self, *, tts: TTS, input_text: str, conn_options: APIConnectOptions) -> None:
        super().__init__(tts=tts, input_text=input_text, conn_options=conn_options)
        self._plugin = tts
        self._line = tts.line

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        line, hertz = self._line, self._plugin.sample_rate
        self._connection_reused = True
        limit_s = self._conn_options.timeout
        with livekit_errors(), _timed_out(limit_s):
            async with (
                asyncio.timeout(limit_s) as limit,
                self._plugin.client.synthesize(
                    *(line.voice, self.input_text), timeout_s=math.inf, **line.options
                ) as stream,
            ):
                header = await stream.header()
                output_emitter.initialize(
                    request_id=header.stream_id or utils.shortuuid(),
                    sample_rate=hertz,
                    num_channels=1,
                    mime_type="audio/pcm",
                )
                output = _Output(output_emitter, hertz, self.input_text)
                async for chunk in stream:
                    limit.reschedule(asyncio.get_running_loop().time() + limit_s)
                    output.push(chunk)
                output.finish()
        output_emitter.flush()


class SynthesizeStream(tts.SynthesizeStream):
    """A text that is spoken while it is written.

    Closing it while it speaks interrupts it, and has the plugin emit the receipt.
    """

    def __init__(self, *, tts: TTS, conn_options: APIConnectOptions) -> None:
        super().__init__(tts=tts, conn_options=conn_options)
        self._plugin = tts
        self._line = tts.line

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        hertz = self._plugin.sample_rate
        segment_id = utils.shortuuid()
        output_emitter.initialize(
            request_id=segment_id,
            sample_rate=hertz,
            num_channels=1,
            mime_type="audio/pcm",
            stream=True,
        )
        output_emitter.start_segment(segment_id=segment_id)
        first = await self._first_text()
        if first is None:
            return
        self._connection_reused = True
        with livekit_errors(), _timed_out(self._conn_options.timeout):
            options = self._line.options
            conversation = self._plugin.client.converse(self._line.voice, **options)
            output = _Output(output_emitter, hertz)
            talk = _Talk(conversation, output, self._conn_options.timeout)
            feeding = asyncio.create_task(self._feed(talk, first))
            try:
                # Listening is not cancelled with this task: it then waits for the receipt.
                tasks = (talk.listening, feeding)
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
                for task in done:
                    task.result()
            except asyncio.CancelledError:
                self._plugin.begin(talk.interrupt(self._plugin.interrupted))
                raise
            finally:
                await utils.aio.gracefully_cancel(feeding)
        output.finish()

    async def _first_text(self) -> str | None:
        """None if all there is to say is nothing."""
        async for data in self._input_ch:
            if isinstance(data, str) and data.strip():
                return data
        return None

    async def _feed(self, talk: _Talk, first: str) -> None:
        """Hand the text over. What has ended the conversation is told where it is listened to."""
        with contextlib.suppress(VoxswapClientError):
            self._mark_started()
            await talk.say(first)
            async for data in self._input_ch:
                await (talk.say(data) if isinstance(data, str) else talk.flush())
            await talk.end()


class _Talk:
    """A conversation, listened to by a task of its own."""

    def __init__(self, conversation: AsyncConversation, output: _Output, limit_s: float) -> None:
        self._conversation = conversation
        self._output = output
        self._limit_s = limit_s
        self._limit = asyncio.timeout(None)
        self._is_due = False
        self._receipt: InterruptReceipt | None = None
        self.listening = asyncio.create_task(self._listen())

    async def say(self, text: str) -> None:
        self._output.transcript.push(text)
        await self._conversation.send(text)

    async def flush(self) -> None:
        await self._conversation.flush()
        self._expect()

    async def end(self) -> None:
        await self._conversation.end()
        self._expect()

    def _expect(self) -> None:
        """From now on something must come, and go on coming."""
        self._is_due = True
        self._put_off()

    def _put_off(self) -> None:
        if self._is_due and not self.listening.done():
            self._limit.reschedule(asyncio.get_running_loop().time() + self._limit_s)

    async def _listen(self) -> None:
        async with self._limit, self._conversation:
            async for part in self._conversation:
                if isinstance(part, InterruptReceipt):
                    self._receipt = part
                    return
                self._output.push(part)
                self._put_off()

    async def interrupt(self, told: Callable[[InterruptReceipt], object]) -> None:
        """End it, and tell what had been sent of it."""
        try:
            async with asyncio.timeout(_RECEIPT_S):
                with contextlib.suppress(VoxswapClientError):
                    await self._conversation.interrupt()
                    await asyncio.wait([self.listening])
        except TimeoutError:
            pass
        finally:
            await utils.aio.gracefully_cancel(self.listening)
        if self._receipt is not None:
            told(self._receipt)


@contextlib.contextmanager
def _timed_out(limit_s: float) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise APITimeoutError(f"voxswap sent nothing for {limit_s:g} s") from error
