"""A tour with Cartesia's own SDK, unchanged."""

from __future__ import annotations

import base64
import itertools

import cartesia
from tour import FACTS, check_length, close_times, error_of, look, trying

VOICE, TEXT, HERTZ = FACTS["voice"], FACTS["text"], 24_000
RAW = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": HERTZ}
address = FACTS["address"]
client = cartesia.Cartesia(
    api_key="none", base_url=f"http://{address}", websocket_base_url=f"ws://{address}"
)


def voice(name=VOICE):
    return {"mode": "id", "id": name}


def usual(**changes):
    told = {"model_id": "sonic-3", "transcript": TEXT, "voice": voice(), "output_format": RAW}
    return told | changes


def audio_of(events):
    return b"".join(base64.b64decode(e.data) for e in events if e.type == "chunk")


def words_of(events):
    times = [e.word_timestamps for e in events if e.type == "timestamps"]
    return list(itertools.chain.from_iterable(zip(t.words, t.start, strict=True) for t in times))


with trying("speaks"):
    check_length(client.tts.generate(**usual()).read(), HERTZ)
    quick = client.tts.generate(**usual(generation_config={"speed": 2.0})).read()
    assert 0.4 < len(quick) / len(client.tts.generate(**usual()).read()) < 0.65

with trying("speaks in every format"):
    for container, encoding, start in (
        ("wav", "pcm_s16le", b"RIFF"),
        ("mp3", None, b"\xff"),
        ("raw", "pcm_f32le", b""),
        ("raw", "pcm_mulaw", b""),
    ):
        form = {"container": container, "encoding": encoding, "sample_rate": HERTZ}
        form = {name: value for name, value in form.items() if value is not None}
        audio = client.tts.generate(**usual(output_format=form)).read()
        assert audio.startswith(start), (container, audio[:8])
        assert len(audio) > 10_000, (container, len(audio))

with trying("streams"):
    with client.tts.with_streaming_response.generate(**usual()) as answer:
        pieces = list(answer.iter_bytes())
    assert len(pieces) > 1
    check_length(b"".join(pieces), HERTZ)

with client.tts.websocket_connect() as connection:
    with trying("times words"):
        events = list(client.tts.generate_sse(**usual(add_timestamps=True)))
        check_length(audio_of(events), HERTZ)
        close_times(words_of(events))
        timed = {"add_timestamps": True, "add_phoneme_timestamps": True}
        context = connection.context()
        context.send(**usual(continue_=False), **timed)
        events = list(context.receive())
        check_length(audio_of(events), HERTZ)
        close_times(words_of(events))
        sounds = [e.phoneme_timestamps for e in events if e.type == "phoneme_timestamps"]
        starts = [at for times in sounds for at in times.start]
        assert len(starts) > len(TEXT.split())
        assert starts == sorted(starts)
        assert events[-1].type == "done"

    with trying("takes text as it comes"):
        context = connection.context(voice=voice(), output_format=RAW, add_timestamps=True)
        for word in TEXT.split():
            context.push(f"{word} ")
        context.no_more_inputs()
        events = list(context.receive())
        assert sum(e.type == "chunk" for e in events) > 1
        check_length(audio_of(events), HERTZ)
        close_times(words_of(events))

    with trying("flushes"):
        context = connection.context(voice=voice(), output_format=RAW)
        for line in ("One of two", "the other one"):
            context.push(line, flush=True)
        context.no_more_inputs()
        kinds = [e.type for e in context.receive()]
        assert kinds.count("flush_done") == 2, kinds
        assert kinds.index("flush_done") > kinds.index("chunk"), kinds
        assert kinds[-2:] == ["flush_done", "done"], kinds

    with trying("speaks in several contexts at once"):
        contexts = [connection.context() for _ in range(2)]
        for context in contexts:
            context.send(**usual(continue_=False))
        for context in contexts:
            check_length(audio_of(list(context.receive())), HERTZ)

    with trying("changes voice"):
        context = connection.context()
        context.send(**usual(continue_=False, voice=voice(FACTS["slow_voice"])))
        half = len(client.tts.generate(**usual()).read()) / len(audio_of(context.receive()))
        assert 0.4 < half < 0.65, half

    with trying("cancels"):
        context = connection.context()
        context.send(**usual(continue_=False, transcript=TEXT * 30))
        assert next(iter(context.receive())).type == "chunk"
        context.cancel()
        look()
        # The socket is as good as before.
        context = connection.context()
        context.send(**usual(continue_=False))
        check_length(audio_of(list(context.receive())), HERTZ)

    with trying("refuses an unknown voice on a socket"):
        context = connection.context()
        context.send(**usual(continue_=False, voice=voice("nobody")))
        events = list(context.receive())
        assert [e.type for e in events] == ["error"], events
        assert "nobody" in str(events[0]), events

with trying("lists voices"):
    assert VOICE in [found.id for found in client.voices.list(limit=2)]
    assert client.voices.get(VOICE).id == VOICE

with trying("refuses an unknown voice") as found:
    wrong = usual(voice=voice("nobody"))
    error = error_of(lambda: client.tts.generate(**wrong), cartesia.NotFoundError)
    assert "nobody" in str(error), error
    found.append(type(error).__name__)
