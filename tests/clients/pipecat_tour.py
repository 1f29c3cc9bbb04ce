"""A tour with Pipecat, whichever service speaks. Runs in its environment."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from loguru import logger
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
    TTSUpdateSettingsFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.tts_service import TTSService
from pipecat.workers.runner import WorkerRunner
from tour import FACTS, PAUSE_S, check_length, close_times, look, trying

VOICE, TEXT = FACTS["voice"], FACTS["text"]
#: Nobody waits until it has been spoken: what stops has been stopped.
LONG = " ".join([TEXT] * 30)
HERTZ, FRAME_S = 24_000, 20

logger.remove()
logger.add(sys.stderr, level="ERROR")


@dataclass
class Heard:
    """What came of a turn: 16-bit samples, and when words are due."""

    pcm: bytes = b""
    words: list[tuple[str, float]] = field(default_factory=list)
    began_ns: int = 0


class Listener(FrameProcessor):
    """The end of a pipeline: what a transport would play."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: asyncio.Queue[Frame] = asyncio.Queue()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Note the frame with the time at which it came, and pass it on."""
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSAudioRawFrame | TTSTextFrame | TTSStoppedFrame | TTSStartedFrame):
            frame.came_ns = self.get_clock().get_time()
            self.frames.put_nowait(frame)
        await self.push_frame(frame, direction)


class Bot:
    """A pipeline of one service that runs."""

    def __init__(self, service: TTSService, worker: PipelineWorker, listener: Listener) -> None:
        self.service = service
        self.worker = worker
        self.listener = listener
        self.errors: asyncio.Queue[ErrorFrame] = asyncio.Queue()

    async def tell(self, *frames: Frame) -> None:
        for frame in frames:
            await self.worker.queue_frame(frame)

    async def write(self, text: str = TEXT) -> None:
        """A turn as a language model writes it."""
        words = [LLMTextFrame(f"{word} ") for word in text.split(" ")]
        await self.tell(LLMFullResponseStartFrame(), *words, LLMFullResponseEndFrame())

    async def next(self, kind: type[Frame]) -> Frame:
        """The next frame of this kind."""
        while True:
            frame = await asyncio.wait_for(self.listener.frames.get(), FRAME_S)
            if isinstance(frame, kind):
                return frame

    async def hear(self) -> Heard:
        """All until the service stops."""
        heard = Heard()
        while True:
            frame = await asyncio.wait_for(self.listener.frames.get(), FRAME_S)
            match frame:
                case TTSAudioRawFrame():
                    assert frame.sample_rate == HERTZ
                    heard.began_ns = heard.began_ns or frame.came_ns
                    heard.pcm += frame.audio
                case TTSTextFrame():
                    heard.words.append((frame.text, frame.pts))
                case TTSStoppedFrame():
                    return heard


@contextlib.asynccontextmanager
async def running(service: TTSService) -> AsyncIterator[Bot]:
    """A pipeline until the block ends."""
    listener = Listener()
    worker = PipelineWorker(
        Pipeline([service, listener]),
        params=PipelineParams(audio_out_sample_rate=HERTZ),
        cancel_on_idle_timeout=False,
    )
    bot = Bot(service, worker, listener)
    began = asyncio.Event()

    @worker.event_handler("on_pipeline_started")
    async def started(_worker, _frame):
        began.set()

    @service.event_handler("on_error")
    async def failed(_service, error):
        bot.errors.put_nowait(error)

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    task = asyncio.create_task(runner.run())
    try:
        await asyncio.wait_for(began.wait(), FRAME_S)
        yield bot
    finally:
        await worker.cancel()
        await asyncio.wait_for(task, FRAME_S)


@dataclass
class Tour:
    """``make`` gives a service with a voice; ``settings`` its settings with another one."""

    make: Callable[[str], TTSService]
    settings: Callable[[str], object]
    voice: str = VOICE
    slow_voice: str = FACTS["slow_voice"]
    has_words: bool = True
    #: Whether what it is handed is spoken before all of it is there.
    streams_text: bool = True
    within_s: float = 0.03
    pause_s: float = PAUSE_S
    #: What its error says where there is no such voice.
    unknown: str = "nobody"

    def take(self) -> None:
        """All of it."""
        asyncio.run(self.walk())

    async def walk(self) -> None:
        """The same in a loop that runs."""
        async with running(self.make(self.voice)) as bot:
            await self._write(bot)  # first: words of later turns wait for those before to be played
            await self._speak(bot)
            await self._change(bot)
            await self._cancel(bot)
        await self._refuse()

    def _check(self, heard: Heard) -> None:
        check_length(heard.pcm, HERTZ, self.within_s, self.pause_s)

    async def _speak(self, bot: Bot) -> None:
        with trying("speaks"):
            await bot.tell(TTSSpeakFrame(TEXT))
            first = await bot.next(TTSAudioRawFrame)
            heard = await bot.hear()
            heard.pcm = first.audio + heard.pcm
            self._check(heard)
        with trying("streams"):
            assert len(first.audio) < len(heard.pcm)

    async def _write(self, bot: Bot) -> None:
        heard = Heard()
        with trying("takes text as it comes" if self.streams_text else "speaks what is written"):
            await bot.write()
            heard = await bot.hear()
            self._check(heard)
        if self.has_words:
            with trying("times words"):
                # The clock of the words begins with the first audio, give or take its way here.
                origin_ns = heard.words[0][1] - FACTS["words"][0][1] * 1e6
                assert abs(origin_ns - heard.began_ns) < 0.25e9, (origin_ns, heard.began_ns)
                words = [(word, (pts - origin_ns) / 1e9) for word, pts in heard.words]
                close_times(words, self.within_s)
                assert " ".join(word for word, _ in words) == TEXT, words

    async def _change(self, bot: Bot) -> None:
        with trying("changes voice"):
            lengths = []
            for voice in (self.slow_voice, self.voice):
                settings = self.settings(voice)
                await bot.tell(TTSUpdateSettingsFrame(delta=settings), TTSSpeakFrame(TEXT))
                lengths.append(len((await bot.hear()).pcm))
            slow, usual = lengths
            assert 0.4 < usual / slow < 0.65, lengths

    async def _cancel(self, bot: Bot) -> None:
        with trying("cancels"):
            await bot.write(LONG)
            assert (await bot.next(TTSAudioRawFrame)).audio
            await bot.tell(InterruptionFrame())
            await asyncio.to_thread(look)
            while not bot.listener.frames.empty():
                bot.listener.frames.get_nowait()
            # It speaks as before.
            await bot.tell(TTSSpeakFrame(TEXT))
            self._check(await bot.hear())

    async def _refuse(self) -> None:
        with trying("refuses an unknown voice") as found:
            async with running(self.make("nobody")) as bot:
                await bot.tell(TTSSpeakFrame(TEXT))
                error = await asyncio.wait_for(bot.errors.get(), FRAME_S)
                assert self.unknown in error.error, error
                found.append(f"{type(error).__name__}, {error.category.name}")
