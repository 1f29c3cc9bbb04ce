"""OpenAI's protocol, as its clients and self-hosted servers have it."""

from __future__ import annotations

import io
import json
import wave
from typing import Any

import pytest

from tests.http.web import LINE, Web, is_sound, unpacked
from voxswap_client import Client

SPEECH: dict[str, Any] = {"model": "tts-1", "input": LINE, "voice": "joe", "seed": 7}


@pytest.mark.parametrize(
    ("name", "encoding", "media_type"),
    [
        ("mp3", "mp3", "audio/mpeg"),
        ("flac", "flac", "audio/flac"),
        ("wav", "wav", "audio/wav"),
        ("pcm", "pcm_s16le", "audio/pcm; rate=24000; channels=1"),
    ],
)
def test_each_format_is_that_of_grpc(
    web: Web, client: Client, name: str, encoding: str, media_type: str
) -> None:
    rate = 24000 if name == "pcm" else 0
    told = client.say("joe", LINE, seed=7, encoding=encoding, sample_rate_hertz=rate)
    answer = web.post("/v1/audio/speech", SPEECH | {"response_format": name})
    assert answer.headers["content-type"] == media_type
    assert answer.body == told.audio


def test_mp3_is_what_comes_unasked_and_opus_is_in_ogg(web: Web) -> None:
    assert web.post("/v1/audio/speech", SPEECH).headers["content-type"] == "audio/mpeg"
    assert web.post("/v1/audio/speech", SPEECH | {"response_format": "opus"}).body[:4] == b"OggS"


def test_speed_is_heard(web: Web) -> None:
    pcm = SPEECH | {"response_format": "pcm"}
    slow, fast = (web.post("/v1/audio/speech", {**pcm, "speed": s}).body for s in (0.5, 2.0))
    assert 2 < len(slow) / len(fast) < 5


def test_a_voice_has_several_ways_to_be_named(web: Web) -> None:
    pcm: dict[str, Any] = {**SPEECH, "response_format": "pcm"}
    del pcm["voice"]
    bodies: list[dict[str, Any]] = [{"voice": "joe"}, {"voice": {"id": "joe"}}, {"speaker": "joe"}]
    first, *others = (web.post("/v1/audio/speech", pcm | body).body for body in bodies)
    assert all(body == first for body in others)


def test_events_end_with_what_it_took(web: Web) -> None:
    body = SPEECH | {"response_format": "pcm", "stream_format": "sse"}
    answer = web.post("/v1/audio/speech", body)
    *deltas, done = answer.events
    audio = b"".join(unpacked(delta["audio"]) for delta in deltas)
    assert is_sound(audio, seconds=3.5, hertz=24000)
    assert done["type"] == "speech.audio.done"
    assert done["usage"]["input_tokens"] == len(LINE)
    assert answer.body.endswith(b"data: [DONE]\n\n")


def test_word_times_stand_in_a_header_that_is_not_too_long(web: Web) -> None:
    body = SPEECH | {"word_timestamps": True, "response_format": "wav"}
    answer = web.post("/v1/audio/speech", body)
    words = json.loads(answer.headers["x-word-timestamps"])
    assert [word["word"] for word in words][:4] == ["Halt", "Who", "goes", "there"]
    assert all(word["start_ms"] < word["end_ms"] for word in words)
    long = web.post("/v1/audio/speech", body | {"input": LINE * 20})
    assert len(long.headers["x-word-timestamps"]) <= 4096
    assert len(json.loads(long.headers["x-word-timestamps"])) > 40


def test_what_is_not_streamed_says_how_long_it_is(web: Web) -> None:
    answer = web.post("/v1/audio/speech", SPEECH | {"stream": False, "response_format": "wav"})
    with wave.open(io.BytesIO(answer.body)) as file:
        assert file.getnframes() * 2 == len(answer.body) - 44


@pytest.mark.parametrize(
    ("change", "status", "param"),
    [
        ({"voice": "alloy"}, 404, None),
        ({"voice": None}, 400, "voice"),
        ({"input": ""}, 400, "input"),
        ({"input": "x" * 100_001}, 400, "input"),
        ({"speed": 5}, 400, "speed"),
        ({"response_format": "aac"}, 400, "response_format"),
        ({"response_format": "ogg"}, 400, "response_format"),
        ({"instructions": "Whisper."}, 400, "instructions"),
        ({"sample_rate": 5}, 400, "sample_rate"),
        ({"colour": "red"}, 400, "colour"),
        ({"model": None}, 400, "model"),
    ],
)
def test_errors_have_its_shape(
    web: Web, change: dict[str, Any], status: int, param: str | None
) -> None:
    answer = web.post("/v1/audio/speech", SPEECH | change)
    assert answer.status == status
    assert answer.error["param"] == param
    assert answer.error["type"] == "invalid_request_error"
    assert answer.error["message"]
    assert answer.error["code"] == ("voice_not_found" if status == 404 else "invalid_input")


def test_models_and_voices_are_listed(web: Web) -> None:
    models = web.get("/v1/models").json["data"]
    assert "tts-1" in [model["id"] for model in models]
    assert web.get("/v1/models/tts-1").json["object"] == "model"
    assert web.get("/v1/models/gpt-9").status == 404
    assert web.get("/v1/audio/voices").json == {"voices": ["joe"], "uploaded_voices": []}
