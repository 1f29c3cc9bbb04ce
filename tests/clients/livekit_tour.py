"""A tour with LiveKit Agents, whichever plugin speaks. Runs in its environment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp
from livekit.agents import APIConnectOptions, APIError, tts
from livekit.agents.types import USERDATA_TIMED_TRANSCRIPT
from tour import FACTS, PAUSE_S, check_length, close_times, error_of_awaited, look, said_by, trying

VOICE, TEXT = FACTS["voice"], FACTS["text"]
#: Nobody waits until it has been spoken: what stops has been stopped.
LONG = " ".join([TEXT] * 30)
ONCE = APIConnectOptions(max_retry=0, timeout=10.0)


@dataclass
class Spoken:
    """What a stream gave: 16-bit samples, and when words begin."""

    pcm: bytes = b""
    hertz: int = 0
    frames: int = 0
    words: tuple[tuple[str, float], ...] = ()
    transcript: str = ""

    async def listen(self, stream) -> Spoken:
        """Take all of it."""
        async for event in stream:
            frame = event.frame
            self.frames += 1
            self.hertz = frame.sample_rate
            self.pcm += frame.data.tobytes()
            for timed in frame.userdata.get(USERDATA_TIMED_TRANSCRIPT, ()):
                self.transcript += timed
                if timed.strip():
                    self.words += ((str(timed), timed.start_time),)
        return self


async def write(speech: tts.TTS, text: str = TEXT):
    """A stream of ``text`` as a language model writes it."""
    stream = speech.stream(conn_options=ONCE)
    for word in text.split(" "):
        stream.push_text(f"{word} ")
        await asyncio.sleep(0)
    stream.end_input()
    return stream


@dataclass
class Tour:
    """``make`` gives a plugin with a voice; ``change`` has it speak with another one from then on.

    ``within_s`` is how far lengths and times may be off: what codecs and gaps between sentences
    make of them.
    """

    make: Callable[[str, aiohttp.ClientSession], tts.TTS]
    change: Callable[[tts.TTS, str], object] | None = None
    voices: Callable[[tts.TTS], Awaitable[list[str]]] | None = None
    voice: str = VOICE
    slow_voice: str = FACTS["slow_voice"]
    within_s: float = 0.02
    #: Whether the server hears of it when a stream is closed.
    cancels: bool = True
    #: What is raised where there is no such voice: by a whole line, and by a stream.
    unknown: tuple[str, str] = ("APIStatusError", "APIStatusError")

    def take(self) -> None:
        """All of it."""
        asyncio.run(self.walk())

    async def walk(self) -> None:
        """The same in a loop that runs."""
        async with aiohttp.ClientSession() as session:
            speech = self.make(self.voice, session)
            speech.prewarm()
            await self._speak(speech)
            if speech.capabilities.streaming:
                await self._stream(speech)
            if self.voices is not None:
                with trying("lists voices"):
                    found = await self.voices(speech)
                    assert any(VOICE in name for name in found), found
            if self.change is not None:
                await self._change(speech)
            if self.cancels:
                await self._cancel(speech)
            await speech.aclose()
            await self._refuse(session)

    async def _speak(self, speech: tts.TTS) -> None:
        with trying("speaks"):
            spoken = await Spoken().listen(speech.synthesize(TEXT, conn_options=ONCE))
            assert spoken.hertz == speech.sample_rate
            check_length(spoken.pcm, spoken.hertz, self.within_s, PAUSE_S)
        with trying("streams"):
            assert spoken.frames > 1, spoken.frames

    async def _stream(self, speech: tts.TTS) -> None:
        with trying("takes text as it comes"):
            async with await write(speech) as stream:
                spoken = await Spoken().listen(stream)
            check_length(spoken.pcm, spoken.hertz, self.within_s, PAUSE_S)
        if speech.capabilities.aligned_transcript:
            with trying("times words"):
                close_times(spoken.words, self.within_s)
                assert spoken.transcript.split() == TEXT.split(), spoken.transcript

    async def _change(self, speech: tts.TTS) -> None:
        with trying("changes voice"):
            before = await Spoken().listen(speech.synthesize(TEXT, conn_options=ONCE))
            self.change(speech, self.slow_voice)
            after = await Spoken().listen(speech.synthesize(TEXT, conn_options=ONCE))
            self.change(speech, self.voice)
            assert 0.4 < len(before.pcm) / len(after.pcm) < 0.65, (len(before.pcm), len(after.pcm))

    async def _cancel(self, speech: tts.TTS) -> None:
        with trying("cancels"):
            stream = speech.synthesize(LONG, conn_options=ONCE)
            assert (await anext(stream)).frame.data
            await stream.aclose()
            await asyncio.to_thread(look)
            if speech.capabilities.streaming:
                stream = await write(speech, LONG)
                assert (await anext(stream)).frame.data
                await stream.aclose()
                await asyncio.to_thread(look)
            # It speaks as before.
            spoken = await Spoken().listen(speech.synthesize(TEXT, conn_options=ONCE))
            check_length(spoken.pcm, spoken.hertz, self.within_s, PAUSE_S)

    async def _refuse(self, session: aiohttp.ClientSession) -> None:
        with trying("refuses an unknown voice") as found:
            speech = self.make("nobody", session)
            told = []
            speech.on("error", lambda event: told.append(event.error))
            calls = [speech.synthesize(TEXT, conn_options=ONCE)]
            if speech.capabilities.streaming:
                calls.append(await write(speech))
            for call, kind in zip(calls, self.unknown, strict=False):
                error = await error_of_awaited(Spoken().listen(call), APIError)
                found.append(type(error).__name__)
                assert type(error).__name__ == kind, said_by(error)
                await call.aclose()
            assert len(told) >= len(calls)
            del found[1:]
            await speech.aclose()
