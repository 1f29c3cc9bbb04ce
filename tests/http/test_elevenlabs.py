"""ElevenLabs' protocol: HTTP, and contexts over a WebSocket."""

from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from tests.e2e.servers import ServerThread, active_leases
from tests.http.web import LINE, Web, is_sound, unpacked
from voxswap_client import Client

SPEECH = "/v1/text-to-speech/joe"
BODY = {"text": LINE, "model_id": "eleven_turbo_v2_5", "seed": 7}
CONTEXTS = f"{SPEECH}/multi-stream-input?output_format=pcm_24000"


@pytest.mark.parametrize(
    ("name", "encoding", "rate"),
    [
        ("mp3_22050_32", "mp3", 22050),
        ("mp3_44100_128", "mp3", 44100),
        ("pcm_16000", "pcm_s16le", 16000),
        ("pcm_44100", "pcm_s16le", 44100),
        ("ulaw_8000", "mulaw", 8000),
        ("alaw_8000", "alaw", 8000),
    ],
)
@pytest.mark.parametrize("end", ["", "/stream"])
def test_each_format_is_that_of_grpc(
    web: Web, client: Client, name: str, encoding: str, rate: int, end: str
) -> None:
    told = client.say("joe", LINE, seed=7, encoding=encoding, sample_rate_hertz=rate)
    assert web.post(f"{SPEECH}{end}?output_format={name}", BODY).body == told.audio


def test_characters_have_times_that_follow_the_words(web: Web, client: Client) -> None:
    with client.synthesize("joe", LINE, seed=7, marks=["word"]) as stream:
        words = [mark for chunk in stream for mark in chunk.marks]
        hertz = stream.header.sample_rate_hertz
    answer = web.post(f"{SPEECH}/with-timestamps?output_format=pcm_22050", BODY).json
    times = answer["alignment"]
    assert "".join(times["characters"]) == LINE
    starts = times["character_start_times_seconds"]
    ends = times["character_end_times_seconds"]
    assert starts == sorted(starts)
    for word in words:
        assert starts[word.text_start] == pytest.approx(word.start_sample / hertz, abs=1e-3)
        end = word.start_sample + word.duration_samples
        assert ends[word.text_end - 1] == pytest.approx(end / hertz, abs=1e-3)
    lines = web.post(f"{SPEECH}/stream/with-timestamps?output_format=pcm_22050", BODY).body
    pieces = [json.loads(line) for line in lines.splitlines()]
    assert b"".join(unpacked(p["audio_base64"]) for p in pieces) == unpacked(answer["audio_base64"])
    told = [c for p in pieces if p["alignment"] for c in p["alignment"]["characters"]]
    assert LINE.startswith("".join(told))
    assert len(told) >= len(LINE) - 1  # the mark at the end comes with no sound


def test_voices_are_told_in_its_shape_to_who_has_its_key(web: Web) -> None:
    for path in ("/v1/voices", "/v2/voices"):
        (joe,) = web.get(path, **{"xi-api-key": "x"}).json["voices"]
        assert (joe["voice_id"], joe["name"]) == ("joe", "Joe")
    assert web.get("/v1/voices/joe", **{"xi-api-key": "x"}).json["voice_id"] == "joe"
    (model, *_) = web.get("/v1/models", **{"xi-api-key": "x"}).json
    assert model["can_do_text_to_speech"] is True


@pytest.mark.parametrize(
    ("path", "change", "status", "param"),
    [
        ("/v1/text-to-speech/nobody", {}, 404, None),
        ("/v1/text-to-speech/npc/guard@9/stream", {}, 404, None),
        ("/v1/text-to-speech/NPC/stream", {}, 400, "voice"),
        (f"{SPEECH}?output_format=aac_44100", {}, 400, "output_format"),
        (f"{SPEECH}?output_format=pcm_5", {}, 400, "output_format"),
        (SPEECH, {"text": ""}, 400, "text"),
        (SPEECH, {"voice_settings": {"speed": 9.0}}, 400, "voice_settings.speed"),
        (SPEECH, {"pronunciation_dictionary_locators": [{}]}, 400, None),
        (SPEECH, {"colour": "red"}, 400, "colour"),
    ],
)
def test_errors_have_its_shape(
    web: Web, path: str, change: dict[str, Any], status: int, param: str | None
) -> None:
    answer = web.post(path, BODY | change)
    assert answer.status == status
    detail = answer.json["detail"]
    assert detail["message"]
    if param is not None:
        assert detail["param"] == param


class Told:
    """What one context gave: audio, and when its characters sound, adding up the chunks."""

    def __init__(self) -> None:
        self.audio = b""
        self.characters: list[tuple[str, int]] = []
        self.added_ms = 0  # of the chunks before, as who adds them up has it
        self.is_final = False
        self.errors: list[str] = []


def listen(ws: ClientConnection, *names: str) -> dict[str, Told]:
    """All of these contexts, to their ends."""
    found = {name: Told() for name in names}
    while not all(told.is_final or told.errors for told in found.values()):
        message = json.loads(ws.recv(timeout=30))
        told = found[message["contextId"]]
        if "error" in message:
            told.errors.append(message["error"])
        told.is_final |= message.get("isFinal") is True
        told.audio += unpacked(message.get("audio") or "")
        if times := message.get("alignment"):
            rows = zip(times["chars"], times["charStartTimesMs"], strict=True)
            told.characters += [(text, told.added_ms + start) for text, start in rows]
            told.added_ms += times["charStartTimesMs"][-1] + times["charDurationsMs"][-1]
    return found


def send(ws: ClientConnection, **frame: Any) -> None:
    ws.send(json.dumps(frame))


def test_contexts_are_conversations(web: Web) -> None:
    with web.socket(CONTEXTS) as ws:
        for name in "ab":
            send(ws, text=" ", context_id=name, voice_settings={"stability": 0.5, "speed": 1.0})
        found: dict[str, Told] = {}
        # Both are open; one speaks after the other, lest a busy machine refuses one.
        for name, words in (("a", "Halt! Who goes there?"), ("b", "The bridge is closed.")):
            for word in words.split():
                send(ws, text=f"{word} ", context_id=name)
            send(ws, text="", context_id=name, flush=True)
            send(ws, context_id=name, close_context=True)
            found |= listen(ws, name)
        # A name that has ended may be used anew.
        send(ws, text="Halt! ", context_id="a", flush=True)
        send(ws, context_id="a", close_context=True)
        assert listen(ws, "a")["a"].audio
    assert is_sound(found["a"].audio, seconds=1.6, hertz=24000)
    assert "".join(text for text, _ in found["a"].characters).split() == [
        *("Halt!", "Who", "goes", "there?"),
    ]
    assert "".join(text for text, _ in found["b"].characters).split()[:2] == ["The", "bridge"]


@pytest.mark.parametrize("sync", [False, True])
def test_word_times_come_out_right_however_they_are_added_up(
    web: Web, client: Client, *, sync: bool
) -> None:
    """Chunks' times are added up, or count from the beginning where the client says so."""
    path = f"{CONTEXTS}&sync_alignment=true" if sync else CONTEXTS
    with web.socket(path) as ws:
        send(ws, text=f"{LINE} ", context_id="a", flush=True)
        send(ws, context_id="a", close_context=True)
        messages: list[dict[str, Any]] = []
        while not (messages and messages[-1].get("isFinal")):
            messages.append(json.loads(ws.recv(timeout=30)))
    clock_ms, text, starts = 0.0, "", []
    for message in messages:
        origin = 0.0 if sync else clock_ms
        if times := message.get("alignment"):
            text += "".join(times["chars"])
            starts += [origin + s for t, s in zip(times["chars"], times["charStartTimesMs"]) if t]  # noqa: B905
        clock_ms += len(unpacked(message.get("audio") or "")) / 48
    assert text.split() == LINE.split()
    # Sounding is not silence: at each word's first character there is sound soon.
    audio = b"".join(unpacked(message.get("audio") or "") for message in messages)
    assert starts == sorted(starts)
    assert 0.8 * len(audio) / 48 < starts[-1] <= len(audio) / 48 + 1


def test_keep_alives_open_nothing_and_unknown_fields_do_no_harm(
    web: Web, server: ServerThread
) -> None:
    with web.socket(CONTEXTS) as ws:
        send(ws, text="")
        send(ws, text="", context_id="a")
        send(ws, context_id="a", close_context=True)
        send(ws, text="Halt! ", context_id="b", generation_config={"chunk_length_schedule": [50]})
        send(ws, close_socket=True)
        assert listen(ws, "b")["b"].audio
        with pytest.raises(ConnectionClosed):
            ws.recv(timeout=10)
    server.wait_until(lambda: active_leases(server) == 0)


def test_auto_mode_speaks_each_text_as_it_comes(web: Web) -> None:
    with web.socket(f"{CONTEXTS}&auto_mode=true") as ws:
        send(ws, text="And then ", context_id="a")
        assert unpacked(json.loads(ws.recv(timeout=10))["audio"])


def test_a_context_that_is_at_fault_ends_alone(web: Web) -> None:
    with web.socket(CONTEXTS) as ws:
        send(ws, text="Halt! ", context_id="a", pronunciation_dictionary_locators=[{}])
        send(ws, text="Halt! ", context_id="b", voice_settings=5)
        send(ws, text=5, context_id="c")
        send(ws, text="Halt! ", context_id="d", flush=True)
        send(ws, context_id="d", close_context=True)
        found = listen(ws, "a", "b", "c", "d")
    assert "pronunciation_dictionary_locators" in found["a"].errors[0]
    assert "voice_settings" in found["b"].errors[0]
    assert "text" in found["c"].errors[0]
    assert found["d"].audio


def test_a_socket_for_an_unknown_voice_is_not_opened(web: Web) -> None:
    """Published clients miss what is said of a context, and wait for its audio."""
    path = "/v1/text-to-speech/nobody"
    with pytest.raises(InvalidStatus) as refused, web.socket(f"{path}/multi-stream-input"):
        pass
    assert refused.value.response.status_code == 404
    assert b"nobody" in refused.value.response.body
    with web.socket(f"{path}/stream-input") as ws:
        send(ws, text="Halt! ")
        assert "nobody" in json.loads(ws.recv(timeout=10))["error"]


def test_closing_a_context_lets_go_of_what_was_not_flushed(web: Web, server: ServerThread) -> None:
    """So clients interrupt: a turn that ends is flushed first."""
    with web.socket(f"{CONTEXTS}&auto_mode=true") as ws:
        send(ws, text=f"{LINE} " * 20, context_id="a")
        assert unpacked(json.loads(ws.recv(timeout=10))["audio"])
        send(ws, context_id="a", close_context=True)
        listen(ws, "a")
        assert server.on_loop(lambda: active_leases(server)) == 0
        send(ws, text=f"{LINE} " * 20, context_id="b", flush=True)
        send(ws, context_id="b", close_context=True)
        assert unpacked(json.loads(ws.recv(timeout=10))["audio"])
        send(ws, context_id="b", close_context=True)
        listen(ws, "b")
        assert server.on_loop(lambda: active_leases(server)) == 0


def test_texts_that_are_spoken_one_by_one_are_words_of_their_own(web: Web) -> None:
    with web.socket(f"{CONTEXTS}&auto_mode=true") as ws:
        for text in ("Halt!", "Who goes there?"):
            send(ws, text=text, context_id="a")
        send(ws, context_id="a", flush=True)
        send(ws, context_id="a", close_context=True)
        characters = listen(ws, "a")["a"].characters
    assert "".join(text for text, _ in characters).split() == ["Halt!", "Who", "goes", "there?"]
    assert characters[-1][0] == " "  # who adds up chunks takes a word for whole at a space


def test_one_text_over_a_socket_ends_it(web: Web) -> None:
    messages: list[dict[str, Any]] = []
    with web.socket(f"{SPEECH}/stream-input?output_format=pcm_24000") as ws:
        send(ws, text=" ", try_trigger_generation=True, voice_settings=None)
        send(ws, text="Halt! Who goes there? ", try_trigger_generation=True)
        send(ws, text="")
        with pytest.raises(ConnectionClosed):
            read_on(ws, messages)
    audio = b"".join(unpacked(message.get("audio") or "") for message in messages)
    assert is_sound(audio, seconds=1.6, hertz=24000)
    assert messages[-1]["isFinal"] is True


def read_on(ws: ClientConnection, messages: list[dict[str, Any]]) -> None:
    while True:
        messages.append(json.loads(ws.recv(timeout=20)))
