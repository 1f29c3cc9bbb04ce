"""The service: one connection to a server, and a conversation for each turn."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

from loguru import logger
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    StartFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
)
from pipecat.processors.frame_processor import FrameProcessorSetup
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TextAggregationMode, TTSService
from pipecat.utils.tracing.service_decorators import traced_tts

from voxswap_client import (
    AsyncClient,
    AsyncConversation,
    Chunk,
    Encoding,
    InterruptReceipt,
    MarkKind,
    VoxswapClientError,
)
from voxswap_client.channel import DEFAULT_ADDRESS
from voxswap_client.request import SpeechOptions
from voxswap_client.transcript import Piece, Transcript
from voxswap_pipecat.errors import category
from voxswap_pipecat.settings import VoxswapTTSSettings, defaults

_RECEIPT_S = 2.0  # a receipt is worth no longer wait
_QUIET_S = 60.0  # a voice may have to be loaded; every conversation says when it ends


@dataclass
class _Talk:
    """A turn as it is spoken."""

    context_id: str
    conversation: AsyncConversation
    transcript: Transcript = field(default_factory=Transcript)
    listening: asyncio.Task[None] | None = None

    async def say(self, text: str) -> None:
        self.transcript.push(text)
        await self.conversation.send(text)


class VoxswapTTSService(TTSService):
    """Speaks with a voice of a voxswap server. For one pipeline.

    Its event ``on_speech_interrupted(service, context_id, receipt)`` is called for each turn that
    is cut off, with the `InterruptReceipt` that says which word was the last to be sent.
    """

    Settings = VoxswapTTSSettings
    _settings: VoxswapTTSSettings
    _turn_context_id: str | None

    def __init__(
        self,
        *,
        settings: VoxswapTTSSettings | None = None,
        address: str = DEFAULT_ADDRESS,
        client: AsyncClient | None = None,
        sample_rate: int | None = None,
        options: SpeechOptions | None = None,
        text_aggregation_mode: TextAggregationMode = TextAggregationMode.TOKEN,
        **kwargs: Any,
    ) -> None:
        """``settings`` name the voice. ``sample_rate`` None: the pipeline's.

        ``options`` are those of every line besides the settings: ``start_by_ms``, ``line_class``
        and more; encoding and marks are the service's own. ``client`` is used instead of a
        connection to ``address``, and is its maker's to close. Text goes to the server as it is
        written: it finds the sentences. ``kwargs`` are `TTSService`'s.
        """
        chosen = defaults()
        if settings is not None:
            chosen.apply_update(settings)
        super().__init__(
            text_aggregation_mode=text_aggregation_mode,
            append_trailing_space=True,
            push_text_frames=False,
            push_start_frame=True,
            push_stop_frames=False,
            sample_rate=sample_rate,
            settings=chosen,
            **{"stop_frame_timeout_s": _QUIET_S, **kwargs},
        )
        self._address = address
        self._client = client
        self._own_client: AsyncClient | None = None
        self._options = options or SpeechOptions()
        self._talks: dict[str, _Talk] = {}
        self._preparing: asyncio.Task[None] | None = None
        self._register_event_handler("on_speech_interrupted")

    def can_generate_metrics(self) -> bool:
        """Whether it takes part in measuring."""
        return True

    @property
    def supports_processing_metrics(self) -> bool:
        """Not so: `run_tts` hands a text over, and the audio comes later."""
        return False

    # Its life

    async def setup(self, setup: FrameProcessorSetup) -> None:
        """Make the connection, which opens with the first call."""
        await super().setup(setup)
        if self._client is None:
            self._client = self._own_client = AsyncClient(self._address)

    async def start(self, frame: StartFrame) -> None:
        """Have the voice loaded."""
        await super().start(frame)
        self._prepare()

    async def stop(self, frame: EndFrame) -> None:
        """All is said: close the connection once it has been heard."""
        await super().stop(frame)
        await self._close()

    async def cancel(self, frame: CancelFrame) -> None:
        """Stop speaking at once."""
        await super().cancel(frame)
        await self._close()

    async def cleanup(self) -> None:
        """Let go of everything; again does nothing."""
        await super().cleanup()
        await self._close()

    async def _close(self) -> None:
        for talk in list(self._talks.values()):
            talk.conversation.cancel()
        if self._preparing is not None:
            await self.cancel_task(self._preparing)
            self._preparing = None
        if self._own_client is not None:
            await self._own_client.close()
            self._client = self._own_client = None

    # What is said

    @traced_tts
    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        """Hand ``text`` over; its audio comes into the context as the server sends it."""
        talk = self._talks.get(context_id) or self._begin(context_id)
        # What has ended the conversation is told where it is listened to.
        with contextlib.suppress(VoxswapClientError):
            await talk.say(text)
        await self.start_tts_usage_metrics(text)
        yield None

    async def flush_audio(self, context_id: str | None = None) -> None:
        """Speak what has been handed over, even if it ends within a sentence."""
        talk = self._talks.get(context_id or self.get_active_audio_context_id() or "")
        if talk is not None:
            with contextlib.suppress(VoxswapClientError):
                await talk.conversation.flush()

    async def on_turn_context_created(self, context_id: str) -> None:
        """Have the voice loaded while the first words are written."""
        await super().on_turn_context_created(context_id)
        self._prepare()

    async def on_turn_context_completed(self) -> None:
        """Nothing more comes in this turn."""
        talk = self._talks.get(self._turn_context_id or "")
        if talk is not None:
            await talk.conversation.end()  # before it is flushed, or a pause would follow
        await super().on_turn_context_completed()

    async def on_audio_context_interrupted(self, context_id: str) -> None:
        """Stop speaking; what had been sent of it is told."""
        await super().on_audio_context_interrupted(context_id)
        await self.stop_all_metrics()
        if (talk := self._talks.pop(context_id, None)) is not None:
            self.create_task(self._interrupt(talk), "interrupt")

    async def _update_settings(self, delta: TTSSettings) -> dict[str, Any]:
        """Another voice speaks from the next text on: the conversation of before ends there."""
        changed: dict[str, Any] = await super()._update_settings(delta)
        if changed.keys() & {"voice", "speaker", "rate", "seed"}:
            if context_id := self._turn_context_id:
                frames = await self._aggregated_frame_sequencer.finalize(context_id)
                await self._push_sequencer_frames(frames, context_id)
                await self.on_turn_context_completed()
                self._turn_context_id = self.create_context_id()
            self._prepare()
        return changed

    # How it is spoken

    def _begin(self, context_id: str) -> _Talk:
        assert self._client is not None, "a pipeline sets its processors up"  # noqa: S101
        settings = self._settings
        options = SpeechOptions(**self._options)
        options["encoding"] = Encoding.PCM_S16LE
        options["sample_rate_hertz"] = self.sample_rate
        options["marks"] = [MarkKind.WORD]
        options["speaker"] = settings.speaker
        options["rate"] = settings.rate
        options["seed"] = settings.seed
        talk = _Talk(context_id, self._client.converse(settings.voice or "", **options))
        talk.listening = self.create_task(self._listen(talk), "listen")
        self._talks[context_id] = talk
        return talk

    async def _listen(self, talk: _Talk) -> None:
        context_id = talk.context_id
        try:
            async with talk.conversation:
                async for part in talk.conversation:
                    if isinstance(part, InterruptReceipt):
                        await self._call_event_handler("on_speech_interrupted", context_id, part)
                        return
                    await self._hear(talk, part)
        except VoxswapClientError as error:
            if context_id in self._talks:  # or else it was interrupted
                await self.push_error(
                    f"voxswap: {error.message}", exception=error, category=category(error)
                )
        finally:
            if self._talks.get(context_id) is talk:
                del self._talks[context_id]
                await self._tell(talk, talk.transcript.rest())
                if self.audio_context_available(context_id):
                    stopped = TTSStoppedFrame(context_id=context_id)
                    await self.append_to_audio_context(context_id, stopped)
                    await self.remove_audio_context(context_id)

    async def _hear(self, talk: _Talk, chunk: Chunk) -> None:
        frame = TTSAudioRawFrame(*(chunk.audio, self.sample_rate, 1), context_id=talk.context_id)
        await self.append_to_audio_context(talk.context_id, frame)
        for mark in chunk.marks:
            if mark.kind is MarkKind.WORD:
                await self._tell(talk, talk.transcript.piece(mark))

    async def _tell(self, talk: _Talk, piece: Piece) -> None:
        if word := piece.text.strip():
            at_s = piece.start_sample / self.sample_rate
            await self.add_word_timestamps([(word, at_s)], talk.context_id)

    async def _interrupt(self, talk: _Talk) -> None:
        try:
            async with asyncio.timeout(_RECEIPT_S):
                with contextlib.suppress(VoxswapClientError):
                    await talk.conversation.interrupt()
                    if talk.listening is not None:
                        await asyncio.wait([talk.listening])
        except TimeoutError:
            logger.debug(f"{self}: no receipt came for {talk.context_id}")
        finally:
            talk.conversation.cancel()

    def _prepare(self) -> None:
        if self._preparing is None or self._preparing.done():
            self._preparing = self.create_task(self._load(), "prepare")

    async def _load(self) -> None:
        if self._client is None or not self._settings.voice:
            return
        try:
            await self._client.prepare([self._settings.voice])
        except VoxswapClientError as error:
            logger.warning(f"{self}: could not prepare {self._settings.voice}: {error}")
