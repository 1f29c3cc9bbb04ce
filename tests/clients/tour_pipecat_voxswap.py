"""A tour with Pipecat and our own service."""

from __future__ import annotations

import asyncio

from pipecat.frames.frames import (
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSUpdateSettingsFrame,
)
from pipecat.services.tts_service import TextAggregationMode
from pipecat.utils.errors import ErrorCategory
from pipecat_tour import FRAME_S, HERTZ, LONG, TEXT, VOICE, Tour, running
from tour import FACTS, PAUSE_S, check_length, look, trying

from voxswap_client import AsyncClient, errors
from voxswap_pipecat import VoxswapTTSService
from voxswap_pipecat.errors import category

SLOW = FACTS["slow_voice"]
Settings = VoxswapTTSService.Settings


def make(voice, address=FACTS["address"], **more):
    given = {"voice": voice, **more.pop("settings", {})}
    return VoxswapTTSService(settings=Settings(**given), address=address, **more)


def settings(voice):
    return Settings(voice=voice)


async def receipts() -> None:
    async with running(make(VOICE)) as bot:
        told = asyncio.Queue()

        @bot.service.event_handler("on_speech_interrupted")
        async def interrupted(_service, context_id, receipt):
            told.put_nowait((context_id, receipt))

        for is_over in (True, False):  # whether all of the turn has been written
            last = [LLMFullResponseEndFrame()] if is_over else []
            await bot.tell(LLMFullResponseStartFrame(), LLMTextFrame(LONG), *last)
            first = await bot.next(TTSAudioRawFrame)
            await bot.tell(InterruptionFrame())
            context_id, receipt = await asyncio.wait_for(told.get(), FRAME_S)
            assert context_id == first.context_id
            assert receipt.end_sample > 0, receipt
            assert receipt.last_word in TEXT, receipt
            await asyncio.to_thread(look)
            while not bot.listener.frames.empty():
                bot.listener.frames.get_nowait()
        assert bot.errors.empty()


async def prepares() -> None:
    async with AsyncClient(FACTS["address"]) as client:
        await client.unload(SLOW)
        async with client.watch() as events, running(make(SLOW)):
            async with asyncio.timeout(FRAME_S):
                async for event in events:
                    if event.kind == "loaded" and f"{SLOW}@1" in event.voices:
                        break


async def speaks_sentences() -> None:
    service = make(VOICE, text_aggregation_mode=TextAggregationMode.SENTENCE)
    async with running(service) as bot:
        await bot.write()
        heard = await bot.hear()
        check_length(heard.pcm, HERTZ, 0.03, PAUSE_S)
        assert " ".join(word for word, _ in heard.words) == TEXT, heard.words


async def changes_voice_in_a_turn() -> None:
    line = "The quick brown fox jumps over the lazy dog. "
    async with running(make(VOICE)) as bot:
        await bot.tell(LLMFullResponseStartFrame(), LLMTextFrame(line))
        await bot.tell(TTSUpdateSettingsFrame(delta=settings(SLOW)))
        await bot.tell(LLMTextFrame(line), LLMFullResponseEndFrame())
        first, second = await bot.hear(), await bot.hear()
        share = len(first.pcm) / len(second.pcm)
        assert 0.4 < share < 0.65, share
        words = [word for word, _ in first.words + second.words]
        assert words == (line + line).split(), words


async def takes_options() -> None:
    options = {"line_class": "dialogue"}
    async with running(make(VOICE, settings={"rate": 2.0, "seed": 3}, options=options)) as bot:
        await bot.tell(TTSSpeakFrame(TEXT))
        quick = len((await bot.hear()).pcm)
        await bot.tell(TTSUpdateSettingsFrame(delta=Settings(rate=1.0)), TTSSpeakFrame(TEXT))
        share = quick / len((await bot.hear()).pcm)
        assert 0.4 < share < 0.7, share


async def refusals() -> None:
    unreachable = "127.0.0.1:9"
    for service, said, kind in (
        (make(VOICE, settings={"rate": 99.0}), "controls.rate", ErrorCategory.INVALID_REQUEST),
        (make(VOICE, options={"start_by_ms": 1}), "start", ErrorCategory.SERVER),
        (make(VOICE, address=unreachable), unreachable, ErrorCategory.CONNECTIVITY),
    ):
        async with running(service) as bot:
            await bot.tell(TTSSpeakFrame(TEXT))
            error = await asyncio.wait_for(bot.errors.get(), FRAME_S)
            assert said in error.error, error
            assert error.category is kind, error
            assert service.is_usable is not kind.is_permanent


async def kinds_of_errors() -> None:
    told = {name: category(kind("no")) for name, kind in errors.CLASS_BY_CODE.items()}
    final = {name for name, kind in told.items() if kind.is_permanent}
    assert final == {"INVALID_ARGUMENT", "NOT_FOUND", "UNIMPLEMENTED"}, final
    faults = [errors.Violation("text", "is too long")]
    error = errors.InvalidRequestError("no", violations=faults)
    assert category(error) is ErrorCategory.APPLICATION


async def main() -> None:
    await Tour(make, settings, pause_s=0.0).walk()
    for work in (
        *(receipts, prepares, speaks_sentences, changes_voice_in_a_turn, takes_options),
        *(refusals, kinds_of_errors),
    ):
        with trying(work.__name__):
            await work()


asyncio.run(main())
