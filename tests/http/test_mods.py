"""What the mods of games call: xtts-api-server's and Piper's shapes."""

from __future__ import annotations

import io
import wave
from typing import Any

import pytest

from tests.http.web import LINE, Web, is_sound


def sound(data: bytes) -> bool:
    with wave.open(io.BytesIO(data)) as file:
        samples = file.readframes(file.getnframes())
        return is_sound(samples, seconds=3.5, hertz=file.getframerate())


@pytest.mark.parametrize("name", ["joe", "joe.wav"])
def test_xtts_speaks_a_whole_file(web: Web, name: str) -> None:
    body = {"text": LINE, "speaker_wav": name, "language": "en"}
    assert sound(web.post("/tts_to_audio/", body).body)


def test_xtts_streams(web: Web) -> None:
    answer = web.get(f"/tts_stream?text={LINE.replace(' ', '%20')}&speaker_wav=joe&language=en")
    assert answer.headers["content-type"] == "audio/wav"
    assert is_sound(answer.body[44:], seconds=3.5, hertz=22050)


def test_xtts_lists(web: Web) -> None:
    assert web.get("/speakers_list").json == ["joe"]
    assert web.get("/speakers").json[0]["voice_id"] == "joe"
    assert web.get("/languages").json == {"languages": {"en-US": "en"}}


@pytest.mark.parametrize("body", [{}, {"voice": "joe"}, {"length_scale": 1.0, "speaker_id": 0}])
def test_piper_speaks_a_whole_file(web: Web, body: dict[str, Any]) -> None:
    assert sound(web.post("/synthesize", {"text": LINE} | body).body)


def test_pipers_length_is_heard(web: Web) -> None:
    scales = (0.5, 2.0)
    short, long = (web.post("/synthesize", {"text": LINE, "length_scale": s}) for s in scales)
    assert 2 < len(long.body) / len(short.body) < 5


def test_piper_lists(web: Web) -> None:
    assert web.get("/voices").json["joe"]["audio"] == {"sample_rate": 22050}
    assert web.get("/info").json["voices"] == 1


@pytest.mark.parametrize(
    ("path", "body", "status", "word"),
    [
        ("/tts_to_audio/", {"text": LINE, "speaker_wav": "nobody"}, 404, "nobody"),
        ("/tts_to_audio/", {"text": LINE, "speaker_wav": "C:\\voices\\joe"}, 400, "speaker_wav"),
        ("/tts_to_audio/", {"text": ""}, 400, "speaker_wav"),
        ("/synthesize", {"text": LINE, "voice": "nobody"}, 404, "nobody"),
        ("/synthesize", {"text": LINE, "speaker_id": 4}, 400, "speaker_id"),
        ("/synthesize", {"text": LINE, "length_scale": 99.0}, 400, "length_scale"),
        ("/synthesize", {"text": LINE, "noise_scale": -1.0}, 400, "noise_scale"),
        ("/synthesize", {"text": LINE, "pitch": 1}, 400, "pitch"),
    ],
)
def test_errors_say_what_is_wrong(
    web: Web, path: str, body: dict[str, Any], status: int, word: str
) -> None:
    answer = web.post(path, body)
    assert answer.status == status
    assert word in answer.json["detail"]
