"""A tour with the published package of Wyoming, as Home Assistant uses it."""

from __future__ import annotations

import asyncio

from tour import FACTS, is_about, is_heard, look, trying
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.info import Describe, Info, SelectProgram
from wyoming.ping import Ping, Pong
from wyoming.tts import (
    Synthesize,
    SynthesizeChunk,
    SynthesizeStart,
    SynthesizeStop,
    SynthesizeStopped,
    SynthesizeTextFormat,
    SynthesizeVoice,
)
from wyoming_bench.const import MODE_NON_STREAMING, MODE_STREAMING
from wyoming_bench.tts.client import measure_once

TEXT, RATE, SAMPLES = FACTS["text"], FACTS["sample_rate_hertz"], FACTS["samples"]
VOICE = SynthesizeVoice(FACTS["voice"])
HOST, _, PORT = FACTS["address"].rpartition(":")


def connected():
    return AsyncTcpClient(HOST, int(PORT), connect_timeout=10, read_timeout=60)


async def said(client, *events, until=AudioStop):
    """Send, and read to the end: the audio, its form, and the kinds of events."""
    for event in events:
        await client.write_event(event.event())
    audio, form, kinds = b"", None, []
    while True:
        event = await client.read_event()
        assert event is not None, "it hung up"
        kinds.append(event.type)
        if Error.is_type(event.type):
            error = Error.from_event(event)
            raise RuntimeError(f"{error.code}: {error.text}")
        if AudioStart.is_type(event.type):
            start = AudioStart.from_event(event)
            form = start.rate, start.width, start.channels
        elif AudioChunk.is_type(event.type):
            chunk = AudioChunk.from_event(event)
            assert (chunk.rate, chunk.width, chunk.channels) == form
            assert chunk.timestamp == len(audio) // 2 * 1000 // chunk.rate
            audio += chunk.audio
        if until.is_type(event.type):
            return audio, form, kinds


async def refusal(client, *events, until=AudioStop):
    try:
        await said(client, *events, until=until)
    except RuntimeError as error:
        return str(error)
    raise AssertionError("it was not refused")


async def whole():
    async with connected() as client:
        audio, form, kinds = await said(client, Synthesize(TEXT, VOICE))
        assert form == (RATE, 2, 1), form
        assert is_heard(audio)
        assert is_about(len(audio) / 2, SAMPLES, 0.3), (len(audio), SAMPLES)
        assert kinds[0] == "audio-start", kinds
        # And once more over the same connection.
        again, _, _ = await said(client, Synthesize(TEXT, VOICE, SynthesizeTextFormat.TEXT))
        assert is_heard(again)


async def another_voice():
    async with connected() as client:
        usual, _, _ = await said(client, Synthesize(TEXT, VOICE))
        slow, _, _ = await said(client, Synthesize(TEXT, SynthesizeVoice(FACTS["slow_voice"])))
        assert 0.4 < len(usual) / len(slow) < 0.65, (len(usual), len(slow))


async def streaming():
    async with connected() as client:
        words = [SynthesizeChunk(f"{word} ") for word in TEXT.split()]
        legacy = Synthesize(TEXT, VOICE)
        audio, form, kinds = await said(
            *(client, SynthesizeStart(VOICE), *words, legacy, SynthesizeStop()),
            until=SynthesizeStopped,
        )
        assert form == (RATE, 2, 1), form
        assert is_heard(audio)
        # Once, though its text was sent twice.
        assert is_about(len(audio) / 2, SAMPLES, 0.4), (len(audio), SAMPLES)
        assert kinds.count("audio-start") == kinds.count("audio-stop") == 1, kinds


async def streams_while_it_is_written():
    async with connected() as client:
        await client.write_event(SynthesizeStart(VOICE).event())
        await client.write_event(SynthesizeChunk(f"{TEXT} {TEXT} And").event())
        while (event := await client.read_event()) is not None:
            if AudioChunk.is_type(event.type):
                break  # before the text has ended
        await client.write_event(SynthesizeChunk(" so on.").event())
        await said_rest(client)


async def said_rest(client):
    await client.write_event(SynthesizeStop().event())
    while (event := await client.read_event()) is not None:
        if SynthesizeStopped.is_type(event.type):
            return
    raise AssertionError("it hung up")


async def describes():
    async with connected() as client:
        await client.write_event(SelectProgram("voxswap").event())
        await client.write_event(Describe().event())
        (program,) = Info.from_event(await client.read_event()).tts
        assert program.supports_synthesize_streaming
        voices = {voice.name: voice for voice in program.voices}
        assert voices[FACTS["voice"]].languages == ["en-US"], voices
        await client.write_event(Ping("here?").event())
        assert Pong.from_event(await client.read_event()).text == "here?"


async def by_language():
    async with connected() as client:
        for voice in (SynthesizeVoice(language="en_US"), SynthesizeVoice(language="en"), None):
            audio, _, _ = await said(client, Synthesize("Yes.", voice))
            assert is_heard(audio), voice
        told = await refusal(client, Synthesize("Yes.", SynthesizeVoice(language="tlh")))
        assert told.startswith("VOICE_NOT_FOUND"), told
        assert "tlh" in told, told


async def unknown():
    async with connected() as client:
        told = await refusal(client, Synthesize(TEXT, SynthesizeVoice("nobody")))
        assert told.startswith("VOICE_NOT_FOUND"), told
        assert "nobody" in told, told
        told = await refusal(client, Synthesize(TEXT, SynthesizeVoice("../joe")))
        assert "voice.name" in told, told
        told = await refusal(client, Synthesize(TEXT, SynthesizeVoice("joe", speaker="Bob")))
        assert "voice.speaker" in told, told
        told = await refusal(
            *(client, SynthesizeStart(SynthesizeVoice("nobody")), SynthesizeChunk("Yes. ")),
            *(Synthesize("Yes."), SynthesizeStop()),
            until=SynthesizeStopped,
        )
        assert "nobody" in told, told
        told = await refusal(client, Synthesize("<speak/>", VOICE, SynthesizeTextFormat.SSML))
        assert "text_format" in told, told
        # None of it has hurt the connection.
        audio, _, _ = await said(client, Synthesize(TEXT, VOICE))
        assert is_heard(audio)
        return [Error.__name__]


async def measured():
    """By wyoming-bench, another package."""
    for mode in (MODE_NON_STREAMING, MODE_STREAMING):
        told = await measure_once(HOST, int(PORT), mode, f"{TEXT} {TEXT}", VOICE, "text", 10, 60)
        assert told.ok, told.error
        assert (told.sample_rate, told.sample_width, told.channels) == (RATE, 2, 1), told
        assert is_about(told.audio_duration_s, 2 * SAMPLES / RATE, 0.4), told


async def cancelled(*events):
    """Hang up in the middle of it."""
    client = connected()
    await client.connect()
    for event in events:
        await client.write_event(event.event())
    while not AudioChunk.is_type((await client.read_event()).type):
        pass
    await client.disconnect()


for check, tour in (
    ("lists voices", describes),
    ("speaks", whole),
    ("changes voice", another_voice),
    ("streams", streaming),
    ("takes text as it comes", streams_while_it_is_written),
    ("takes the first voice of a language", by_language),
    ("refuses an unknown voice", unknown),
    ("is measured by wyoming-bench", measured),
):
    with trying(check) as found:
        found.extend(asyncio.run(tour()) or ())

with trying("cancels"):
    asyncio.run(cancelled(Synthesize(TEXT * 100, VOICE)))
    look()
    asyncio.run(cancelled(SynthesizeStart(VOICE), SynthesizeChunk(f"{TEXT} " * 100)))
    look()
