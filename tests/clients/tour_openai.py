"""A tour with OpenAI's own SDK, unchanged."""

from __future__ import annotations

import base64
import io
import json
import wave

import openai
from tour import FACTS, check_length, close_times, error_of, is_about, is_heard, look, trying

VOICE, TEXT = FACTS["voice"], FACTS["text"]
client = openai.OpenAI(base_url=f"http://{FACTS['address']}/v1", api_key="none", max_retries=0)


def speech(**changes):
    usual = {"model": "tts-1", "voice": VOICE, "input": TEXT, "response_format": "pcm"}
    return client.audio.speech.create(**usual | changes)


with trying("speaks"):
    check_length(speech().content, 24_000)
    assert speech(extra_body={"seed": 3}).content == speech(extra_body={"seed": 3}).content
    slow = speech(voice=FACTS["slow_voice"], speed=2.0).content
    check_length(slow, 24_000, within_s=0.2)

with trying("speaks in every format"):
    starts = {"mp3": (b"\xff", b"ID3"), "opus": (b"OggS",), "flac": (b"fLaC",), "wav": (b"RIFF",)}
    for name, begins in starts.items():
        audio = speech(response_format=name).content
        assert audio.startswith(begins), (name, audio[:8])
    with wave.open(io.BytesIO(audio)) as file:
        assert file.getframerate() == FACTS["sample_rate_hertz"]
        check_length(file.readframes(FACTS["samples"] * 2), file.getframerate())

with trying("streams"):
    streaming = client.audio.speech.with_streaming_response
    usual = {"model": "tts-1", "voice": VOICE, "input": TEXT, "response_format": "pcm"}
    with streaming.create(**usual) as answer:
        pieces = list(answer.iter_bytes())
    assert len(pieces) > 1
    check_length(b"".join(pieces), 24_000)
    with streaming.create(**usual, stream_format="sse") as answer:
        lines = [line.removeprefix("data: ") for line in answer.iter_lines() if line]
    assert lines.pop() == "[DONE]"
    events = [json.loads(line) for line in lines]
    audio = b"".join(base64.b64decode(e["audio"]) for e in events[:-1])
    check_length(audio, 24_000)
    assert events[-1]["type"] == "speech.audio.done"
    assert is_about(events[-1]["usage"]["output_tokens"] / 100, len(audio) / 48_000)

with trying("times words"):
    raw = client.audio.speech.with_raw_response
    answer = raw.create(**usual, extra_body={"word_timestamps": True})
    told = json.loads(answer.headers["x-word-timestamps"])
    close_times([(word["word"], word["start_ms"] / 1e3) for word in told])

with trying("changes voice"):
    # One connection, one request after the other: each has a voice of its own.
    half = len(speech().content) / len(speech(voice=FACTS["slow_voice"]).content)
    assert 0.4 < half < 0.65, half

with trying("lists voices"):
    found = client.get("/audio/voices", cast_to=object)["voices"]
    assert {VOICE, FACTS["openai_voice"]} <= set(found), found
    assert any(model.id == "tts-1" for model in client.models.list())

with trying("cancels"):
    with streaming.create(**usual | {"input": TEXT * 30}) as answer:
        assert next(answer.iter_bytes())
    look()

with trying("refuses an unknown voice") as found:
    error = error_of(lambda: speech(voice="nobody"), openai.NotFoundError)
    assert "nobody" in str(error)
    assert error.code == "voice_not_found", vars(error)
    found.append(type(error).__name__)

with trying("names what it refuses"):
    error = error_of(lambda: speech(response_format="aac"), openai.BadRequestError)
    assert error.param == "response_format", vars(error)
    assert is_heard(speech(instructions="").content)
