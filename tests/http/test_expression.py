"""Emotions through every door: what is wrong is named, and how they are spoken is told."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest
from google.protobuf import json_format

from tests.e2e.servers import ServerThread
from tests.http.web import Web, hear, say
from voxswap.riva.v1 import riva_tts_pb2 as riva
from voxswap.v1 import speech_pb2, speech_pb2_grpc
from voxswap_client import Client, InvalidRequestError
from voxswap_client.rpc_status import from_rpc_error
from voxswap_client.types import Expression

NAN = float("nan")
SAD = {"emotion": "sad", "weight": 1.0}
PROSODY = "EMOTION_FALLBACK_PROSODY"

# What is sent, in the words of the proto, and the fields that are at fault.
BAD: list[tuple[dict[str, Any], set[str]]] = [
    ({"emotion": {"mixture": [SAD, {"emotion": "angry", "weight": 0.5}]}}, {"emotion.mixture"}),
    ({"emotion": {"mixture": [SAD | {"weight": 1.5}]}}, {"emotion.mixture[0].weight", "+mixture"}),
    ({"emotion": {"mixture": [SAD | {"weight": -0.1}]}}, {"emotion.mixture[0].weight"}),
    ({"emotion": {"mixture": [SAD | {"weight": NAN}]}}, {"emotion.mixture[0].weight"}),
    ({"emotion": {"mixture": [SAD]}}, {"emotion.mixture"}),  # joe lists none
    ({"emotion": {"mixture": [SAD | {"emotion": "glum"}], "fallback": PROSODY}}, {"+mixture"}),
    ({"emotion": {"mixture": [SAD | {"emotion": ""}]}}, {"emotion.mixture[0].emotion"}),
    (
        {"emotion": {"mixture": [SAD | {"weight": 0.1}, {"emotion": "sadness", "weight": 0.1}]}},
        {"emotion.mixture[1].emotion"},
    ),
    ({"emotion": {"intensity": 2.5}}, {"emotion.intensity"}),
    ({"emotion": {"intensity": -0.5}}, {"emotion.intensity"}),
    ({"emotion": {"intensity": NAN}}, {"emotion.intensity"}),
    ({"emotion": {"valence": 0.5}}, {"emotion.arousal"}),
    ({"emotion": {"arousal": 0.5}}, {"emotion.valence"}),
    ({"emotion": {"valence": 1.5, "arousal": NAN}}, {"emotion.valence", "emotion.arousal"}),
    ({"emotion": {"valence": 0.5, "arousal": 0.5}}, {"emotion.valence"}),
    ({"emotion": {"mixture": [SAD], "valence": 0.5, "arousal": 0.5}}, {"emotion.valence"}),
    ({"emotion": {"mixture": [SAD], "from_text": True}}, {"emotion.from_text"}),
    ({"emotion": {"valence": 0.5, "arousal": 0.5, "from_text": True}}, {"emotion.from_text"}),
    ({"emotion": {"from_text": True}}, {"emotion.from_text"}),
    ({"style_prompt": "afraid"}, {"style_prompt"}),
    ({"style_prompt": "x" * 10_000}, {"style_prompt"}),
    ({"style_prompt": "..."}, {"style_prompt"}),
    ({"style_prompt": "a\x00b"}, {"style_prompt"}),
    ({"style": "AAAA"}, {"style"}),
    ({"style": "A" * 8000}, {"style"}),
    ({"style_prompt": "afraid", "style": "AAAA"}, {"style"}),
    ({"controls": {"pitch_semitones": 13}}, {"controls.pitch_semitones"}),
    ({"controls": {"volume_db": NAN}}, {"controls.volume_db"}),
    ({"controls": {"pitch_range": 2.5}}, {"controls.pitch_range"}),
    ({"controls": {"pause_scale": -1}}, {"controls.pause_scale"}),
]


def message(fields: dict[str, Any]) -> speech_pb2.SynthesizeRequest:
    found = json_format.ParseDict(_as_proto(fields), speech_pb2.SynthesizeRequest())
    found.voice, found.text = "joe", "Halt!"
    return found


def _as_proto(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _as_proto(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_as_proto(inner) for inner in value]
    return "NaN" if value is NAN else value


def told(fields: set[str]) -> set[str]:
    return {field.replace("+mixture", "emotion.mixture") for field in fields}


def refused(call: Any) -> set[str]:
    with pytest.raises(grpc.RpcError) as raised:
        list(call)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT, raised.value.details()
    return {violation.field for violation in from_rpc_error(raised.value).violations}


def test_what_is_wrong_is_named_over_grpc(server: ServerThread) -> None:
    with grpc.insecure_channel(server.server.address) as channel:
        stub = speech_pb2_grpc.SpeechServiceStub(channel)
        for fields, wrong in BAD:
            asked = message(fields)
            start = speech_pb2.ConverseRequest(start=asked)
            assert refused(stub.Synthesize(asked, timeout=30)) == told(wrong), fields
            assert refused(stub.Converse(iter([start]), timeout=30)) == told(wrong), fields
        unknown = speech_pb2.SynthesizeRequest(voice="joe", text="Halt!")
        unknown.emotion.fallback = 9  # type: ignore[assignment]
        assert refused(stub.Synthesize(unknown, timeout=30)) == {"emotion.fallback"}


def test_what_is_wrong_is_named_in_json(web: Web) -> None:
    """But for what JSON has no number for."""
    with web.socket("/v1/converse") as ws:
        for n, (fields, wrong) in enumerate(BAD):
            if "nan" in str(fields):
                continue
            body = json.loads(json.dumps(fields).replace(PROSODY, "prosody"))
            answer = web.post("/v1/speech", {"voice": "joe", "text": "Halt!", **body})
            found = {violation["field"] for violation in answer.error["violations"]}
            assert (answer.status, found) == (400, told(wrong)), fields
            say(ws, "start", str(n), voice="joe", text="Halt!", **body)
            error = hear(ws, conversation=str(n)).told[-1]
            assert {violation["field"] for violation in error["error"]["violations"]} == told(
                wrong
            ), fields


SPEECH = {"model": "tts-1", "voice": "joe", "input": "Halt!"}
CARTESIA = {
    "model_id": "sonic",
    "transcript": "Halt!",
    "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 22050},
}


@pytest.mark.parametrize(
    ("path", "body", "word"),
    [
        ("/v1/audio/speech", SPEECH | {"instructions": "sad"}, "instructions"),
        ("/v1/audio/speech", SPEECH | {"instructions": "sad=0.7, angry=nan"}, "instructions"),
        ("/v1/audio/speech", SPEECH | {"instructions": "sad=0.7, angry=0.7"}, "instructions"),
        ("/v1/audio/speech", SPEECH | {"instructions": "auto"}, "instructions"),
        ("/v1/audio/speech", SPEECH | {"instructions": "Whisper, afraid."}, "instructions"),
        ("/v1/audio/speech", SPEECH | {"instructions": "x" * 10_000}, "instructions"),
        (
            "/tts/bytes",
            CARTESIA | {"voice": "joe", "generation_config": {"emotion": "sad"}},
            "generation_config.emotion",
        ),
        (
            "/tts/bytes",
            CARTESIA
            | {"voice": {"id": "joe", "__experimental_controls": {"emotion": ["anger:enormous"]}}},
            "__experimental_controls.emotion",
        ),
        (
            "/v1/text-to-speech/joe",
            {"text": "Halt!", "voice_settings": {"style": 1.5}},
            "voice_settings.style",
        ),
    ],
)
def test_what_is_wrong_is_named_in_others_words(
    web: Web, path: str, body: dict[str, Any], word: str
) -> None:
    answer = web.post(path, body)
    assert answer.status == 400
    assert word in answer.body.decode()


@pytest.mark.parametrize(
    ("said", "key"),
    [
        ({"emotion": "sad"}, "emotion"),
        ({"emotion": "sad=nan"}, "emotion"),
        ({"emotion": "sad=0.7,angry=0.7"}, "emotion"),
        ({"emotion": "=1"}, "emotion"),
        ({"emotion": "auto"}, "emotion"),
        ({"emotion": "sad", "intensity": "3", "emotion_fallback": "prosody"}, "intensity"),
        ({"emotion": "sad", "intensity": "much", "emotion_fallback": "prosody"}, "intensity"),
        ({"valence": "0.5"}, "arousal"),
        ({"emotion_fallback": "magic"}, "emotion_fallback"),
        ({"style_prompt": "afraid"}, "style_prompt"),
    ],
)
def test_what_is_wrong_is_named_in_rivas_words(
    server: ServerThread, said: dict[str, str], key: str
) -> None:
    asked = riva.SynthesizeSpeechRequest(text="Halt!", voice_name="joe", custom_configuration=said)
    with grpc.insecure_channel(server.server.address) as channel:
        call = channel.unary_stream(
            "/nvidia.riva.tts.RivaSpeechSynthesis/Synthesize",
            riva.SynthesizeSpeechRequest.SerializeToString,
            riva.SynthesizeSpeechResponse.FromString,
        )
        assert refused(call(asked, timeout=30)) == {f"custom_configuration[{key}]"}


def test_how_it_is_spoken_is_told(web: Web, client: Client) -> None:
    felt = {"mixture": [SAD | {"weight": 0.5}], "intensity": 1.5, "fallback": "prosody"}
    body: dict[str, Any] = {"voice": "joe", "text": "Halt!", "emotion": felt}
    answer = web.post("/v1/speech", body)
    assert answer.headers["voxswap-expression"] == "prosody"
    with web.socket("/v1/converse") as ws:
        say(ws, "start", **body)
        say(ws, "end")
        header = hear(ws).told[0]
    assert header["expression"] == "prosody"
    assert header["emotions"] == [{"emotion": "sad", "weight": 0.75}]
    line = client.say("joe", "Halt!", emotion="sad", intensity=0.75, fallback="prosody")
    assert line.header.expression is Expression.PROSODY
    assert line.header.emotions == pytest.approx({"sad": 0.75})
    slow = client.say("joe", "Halt!", emotion={"sad": 1.0}, intensity=2.0, fallback="prosody")
    assert slow.duration_s > 1.1 * client.say("joe", "Halt!").duration_s
    with client.converse("joe", emotion="auto", fallback="prosody") as conversation:
        conversation.send("How dare you! ")
        conversation.end()
        assert conversation.header.emotions == pytest.approx({"angry": 1.0})
    with pytest.raises(InvalidRequestError, match=r"set emotion\.fallback to PROSODY"):
        client.say("joe", "Halt!", emotion="sad")
    assert client.say("joe", "Halt!").header.expression is Expression.NONE


def test_a_style_of_elevenlabs_is_for_whoever_can(web: Web) -> None:
    """Its clients send one to any voice."""
    settings = {"style": 0.5, "stability": 0.5}
    answer = web.post("/v1/text-to-speech/joe", {"text": "Wow!", "voice_settings": settings})
    assert (answer.status, len(answer.body) > 1000) == (200, True)


def test_what_a_voice_can_do_is_listed(web: Web, client: Client) -> None:
    (listed,) = web.get("/v1/voices").json["voices"]
    voice = client.get_voice("joe")
    assert listed["expression"] == "prosody"
    assert voice.expression is Expression.PROSODY
    assert (voice.style_prompts, voice.reads_style) == (False, False)
    assert set(voice.controls) >= {"rate", "pitch_semitones", "volume_db", "pause_scale"}
    assert {control["name"] for control in listed["controls"]} == set(voice.controls)
    assert "sad" in listed["prosody"]
