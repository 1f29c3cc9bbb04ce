"""A tour with LiveKit Agents and our own plugin."""

from __future__ import annotations

import asyncio

from livekit.agents import APIConnectionError, APIConnectOptions, APIStatusError, APITimeoutError
from livekit_tour import LONG, ONCE, TEXT, VOICE, Spoken, Tour, write
from tour import FACTS, check_length, close_times, error_of_awaited, look, trying

from voxswap_client import AsyncClient, errors
from voxswap_livekit import TTS
from voxswap_livekit.errors import api_error


def make(voice, session=None, **options):
    return TTS(voice=voice, address=FACTS["address"], **options)


async def first_frame(stream):
    return (await anext(stream)).frame


async def receipts() -> None:
    async with make(VOICE) as speech:
        told = asyncio.Queue()
        speech.on("interrupted", told.put_nowait)
        stream = await write(speech, LONG)
        await first_frame(stream)
        for _ in range(4):
            await first_frame(stream)
        await stream.aclose()
        receipt = await asyncio.wait_for(told.get(), 5)
        assert receipt.end_sample > 0, receipt
        assert receipt.last_word in TEXT, receipt
        assert receipt.last_word, receipt
        await asyncio.to_thread(look)
        # One that was heard to its end was not interrupted.
        async with await write(speech) as stream:
            await Spoken().listen(stream)
        assert told.empty()


async def prepares() -> None:
    async with AsyncClient(FACTS["address"]) as client:
        await client.unload(FACTS["slow_voice"])
        async with client.watch() as events, make(FACTS["slow_voice"]) as speech:
            speech.prewarm()
            async with asyncio.timeout(20):
                async for event in events:
                    if event.kind == "loaded" and f"{FACTS['slow_voice']}@1" in event.voices:
                        break


async def refusals() -> None:
    async with make(VOICE, rate=99.0) as speech:
        for stream in (speech.synthesize(TEXT, conn_options=ONCE), await write(speech)):
            error = await error_of_awaited(Spoken().listen(stream), APIStatusError)
            assert (error.status_code, error.retryable) == (400, False), error
            assert error.body["violations"][0]["field"] == "controls.rate", error
    async with make("nobody") as speech:
        error = await error_of_awaited(Spoken().listen(await write(speech)), APIStatusError)
        assert (error.status_code, error.body["reason"]) == (404, "VOICE_NOT_FOUND"), error
    async with make(VOICE, start_by_ms=1) as speech:
        error = await error_of_awaited(Spoken().listen(await write(speech)), APITimeoutError)
        assert not error.retryable, error
    async with TTS(voice=VOICE, address="127.0.0.1:9") as speech:
        error = await error_of_awaited(Spoken().listen(await write(speech)), APIConnectionError)
        assert error.retryable, error


async def options() -> None:
    async with make(VOICE, seed=FACTS["seed"], sample_rate=48_000) as speech:
        spoken = await Spoken().listen(speech.synthesize(TEXT, conn_options=ONCE))
        assert spoken.hertz == 48_000
        check_length(spoken.pcm, spoken.hertz)
        close_times(spoken.words)
        assert spoken.transcript == TEXT, spoken.transcript
        speech.update_options(rate=2.0)
        quick = await Spoken().listen(await write(speech))
        assert 0.4 < len(quick.pcm) / len(spoken.pcm) < 0.7


async def silence() -> None:
    """A server that takes the connection, and says nothing."""
    mute = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    host, port = mute.sockets[0].getsockname()
    soon = APIConnectOptions(max_retry=0, timeout=0.5)
    speech = TTS(voice=VOICE, address=f"{host}:{port}")
    stream = speech.stream(conn_options=soon)
    stream.push_text(TEXT)
    stream.end_input()
    for each in (stream, speech.synthesize(TEXT, conn_options=soon)):
        error = await error_of_awaited(Spoken().listen(each), APITimeoutError)
        assert error.retryable, error
    await speech.aclose()
    mute.close()


async def early_interruption() -> None:
    """Before anything has been heard, or even said."""
    async with make(VOICE) as speech:
        await speech.stream(conn_options=ONCE).aclose()
        stream = await write(speech, LONG)
        await asyncio.sleep(0)
        await stream.aclose()
        await asyncio.to_thread(look)


async def kinds_of_errors() -> None:
    told = {name: api_error(kind("no", code=name)) for name, kind in errors.CLASS_BY_CODE.items()}
    final = {name for name, error in told.items() if not error.retryable}
    assert final == {
        *("INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "UNIMPLEMENTED"),
        *("FAILED_PRECONDITION", "DATA_LOSS"),
    }, final
    assert told["RESOURCE_EXHAUSTED"].status_code == 429
    busy = api_error(errors.OverloadedError("no", reason="OVERLOADED", retry_after_s=2.0))
    assert busy.body["retry_after_s"] == 2.0


async def whitespace() -> None:
    async with make(VOICE) as speech:
        stream = await write(speech, "   ")
        assert (await Spoken().listen(stream)).pcm == b""


async def main() -> None:
    await Tour(make, change=lambda speech, voice: speech.update_options(voice=voice)).walk()
    for work in (
        *(receipts, early_interruption, prepares, refusals, silence, kinds_of_errors),
        *(options, whitespace),
    ):
        with trying(work.__name__):
            await work()


asyncio.run(main())
