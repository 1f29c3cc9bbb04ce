"""Cartesia's protocol: HTTP, and contexts over a WebSocket."""

from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.sync.client import ClientConnection

from tests.e2e.servers import ServerThread, active_leases
from tests.http.web import LINE, Web, is_sound, unpacked
from voxswap_client import Client

RAW = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24000}
BODY: dict[str, Any] = {
    "model_id": "sonic-3",
    "transcript": LINE,
    "voice": {"mode": "id", "id": "joe"},
    "output_format": RAW,
}


@pytest.mark.parametrize(
    ("output", "start"),
    [
        (RAW, b""),
        ({"container": "wav", "encoding": "pcm_s16le", "sample_rate": 44100}, b"RIFF"),
        ({"container": "mp3", "sample_rate": 44100, "bit_rate": 128000}, b"\xff"),
        ({"container": "raw", "encoding": "pcm_f32le", "sample_rate": 48000}, b""),
        ({"container": "raw", "encoding": "pcm_mulaw", "sample_rate": 8000}, b""),
    ],
)
def test_bytes_are_of_the_form_that_was_asked_for(
    web: Web, output: dict[str, Any], start: bytes
) -> None:
    answer = web.post("/tts/bytes", BODY | {"output_format": output})
    assert (answer.status, answer.whole) == (200, True)
    assert answer.body.startswith(start)
    assert len(answer.body) > 8000


def test_events_have_audio_and_word_times(web: Web) -> None:
    answer = web.post("/tts/sse", BODY | {"add_timestamps": True, "context_id": "c"})
    *pieces, done = answer.events
    assert (done["type"], done["done"], done["context_id"]) == ("done", True, "c")
    audio = b"".join(unpacked(p["data"]) for p in pieces if p["type"] == "chunk")
    assert is_sound(audio, seconds=3.5, hertz=24000)
    assert words_of(pieces) == LINE.split()  # with their punctuation: clients look for them there


def words_of(messages: list[dict[str, Any]]) -> list[str]:
    told = [m["word_timestamps"] for m in messages if m["type"] == "timestamps"]
    return [word for times in told for word in times["words"]]


def test_voices_are_told_in_its_shape_to_who_says_its_version(web: Web) -> None:
    found = web.get("/voices?limit=5", **{"cartesia-version": "2026-03-01"}).json
    assert [(voice["id"], voice["language"]) for voice in found["data"]] == [("joe", "en")]
    assert found["has_more"] is False


@pytest.mark.parametrize(
    ("change", "status", "word"),
    [
        ({"voice": {"mode": "id", "id": "nobody"}}, 404, "nobody"),
        ({"voice": {"mode": "embedding", "embedding": [1.0]}}, 400, "voice"),
        ({"transcript": " "}, 400, "transcript"),
        ({"output_format": {"container": "ogg"}}, 400, "output_format"),
        ({"output_format": RAW | {"sample_rate": 1}}, 400, "output_format.sample_rate"),
        ({"generation_config": {"speed": 9.0}}, 400, "generation_config.speed"),
        ({"generation_config": {"volume": 9.0}}, 400, "generation_config.volume"),
        ({"generation_config": {"emotion": "angry"}}, 400, "generation_config.emotion"),
        ({"pronunciation_dict_id": "x"}, 400, "pronunciation_dict_id"),
        ({"colour": "red"}, 400, "colour"),
    ],
)
def test_errors_have_its_shape(web: Web, change: dict[str, Any], status: int, word: str) -> None:
    answer = web.post("/tts/bytes", BODY | change)
    assert answer.status == status
    assert word in answer.json["message"]
    assert answer.json["error_code"]


def send(
    ws: ClientConnection, text: str, context: str = "a", *, more: bool = False, **fields: Any
) -> None:
    frame = {"transcript": text, "context_id": context, "continue": more}
    ws.send(json.dumps(BODY | frame | fields))


def listen(ws: ClientConnection, context: str = "a") -> list[dict[str, Any]]:
    """The messages of a context to its end."""
    found: list[dict[str, Any]] = []
    while not found or found[-1]["type"] not in {"done", "error"}:
        message = json.loads(ws.recv(timeout=30))
        if message["context_id"] == context:
            found.append(message)
    return found


def audio_of(messages: list[dict[str, Any]]) -> bytes:
    return b"".join(unpacked(m["data"]) for m in messages if m["type"] == "chunk")


def test_a_context_is_a_conversation(web: Web, client: Client) -> None:
    with web.socket("/tts/websocket?cartesia_version=2026-03-01&api_key=x") as ws:
        for sentence in ("Halt! ", "Who goes there? ", "The bridge is closed after dark."):
            send(ws, sentence, add_timestamps=True, more=True)
        send(ws, "", add_timestamps=True)
        heard = listen(ws)
    assert heard[-1]["type"] == "done"
    assert all(message["done"] is (message["type"] == "done") for message in heard)
    assert is_sound(audio_of(heard), seconds=3.5, hertz=24000)
    assert words_of(heard) == LINE.split()
    times = [m["word_timestamps"] for m in heard if m["type"] == "timestamps"]
    starts = [start for found in times for start in found["start"]]
    assert starts == sorted(starts)
    assert starts[-1] < len(audio_of(heard)) / 48000


def test_one_frame_is_enough(web: Web) -> None:
    with web.socket("/tts/websocket") as ws:
        send(ws, "Halt!", add_phoneme_timestamps=True)
        heard = listen(ws)
    (first, *_) = [m for m in heard if m["type"] == "phoneme_timestamps"]
    assert first["phoneme_timestamps"]["phonemes"]
    assert not words_of(heard)


def test_a_flush_is_told_once_what_came_before_it_was_sent(web: Web) -> None:
    with web.socket("/tts/websocket") as ws:
        send(ws, "And then", flush=True, more=True)
        send(ws, " he was gone", flush=True, more=True)
        send(ws, "")
        heard = listen(ws)
    kinds = [m["type"] for m in heard]
    flushes = [m["flush_id"] for m in heard if m["type"] == "flush_done"]
    assert flushes == [1, 2]
    assert "chunk" in kinds[: kinds.index("flush_done")]
    assert "chunk" in kinds[kinds.index("flush_done") :]


def test_what_waits_for_more_is_spoken_when_nothing_comes(web: Web) -> None:
    with web.socket("/tts/websocket") as ws:
        send(ws, "And then", max_buffer_delay_ms=30, more=True)
        assert json.loads(ws.recv(timeout=10))["type"] == "chunk"
        send(ws, "")
        listen(ws)


def test_a_cancel_lets_go_at_once(web: Web, server: ServerThread) -> None:
    with web.socket("/tts/websocket") as ws:
        send(ws, LINE * 20)
        assert json.loads(ws.recv(timeout=10))["type"] == "chunk"
        ws.send(json.dumps({"context_id": "a", "cancel": True}))
        server.wait_until(lambda: active_leases(server) == 0)
        # Nothing more is said of it: Cartesia's own client would take that for the next one's end.
        send(ws, "Halt!", "b")
        told = [json.loads(ws.recv(timeout=10))]
        while told[-1].get("context_id") == "a":
            told.append(json.loads(ws.recv(timeout=10)))
        assert {message["type"] for message in told[:-1]} <= {"chunk", "timestamps"}
        assert listen(ws, "b")[-1]["type"] == "done"


def test_a_voice_is_told_by_its_id(web: Web) -> None:
    version = {"cartesia-version": "2026-08-14"}
    assert web.get("/voices/joe", **version).json["id"] == "joe"
    assert web.get("/voices/nobody", **version).status == 404


def test_words_of_a_context_come_with_their_punctuation(web: Web) -> None:
    with web.socket("/tts/websocket") as ws:
        send(ws, 'Halt! "Who goes there?" (he said)', add_timestamps=True)
        assert words_of(listen(ws)) == ["Halt!", '"Who', "goes", 'there?"', "(he", "said)"]


def test_a_frame_at_fault_ends_its_context_alone(web: Web) -> None:
    with web.socket("/tts/websocket") as ws:
        send(ws, "Halt!", "a", voice={"mode": "id", "id": "nobody"})
        send(ws, "Halt!", "b", output_format={"container": "raw", "encoding": "opus"})
        told = [json.loads(ws.recv(timeout=30)) for _ in range(2)]
        errors = {message["context_id"]: message for message in told}
        send(ws, "Halt!", "c")
        assert listen(ws, "c")[-1]["type"] == "done"
    assert (errors["a"]["status_code"], errors["a"]["error_code"]) == (404, "voice_not_found")
    assert errors["b"]["status_code"] == 400
    assert "output_format.encoding" in errors["b"]["message"]
