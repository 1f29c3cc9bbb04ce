"""Emotions in the words of other protocols."""

from __future__ import annotations

from typing import Any

import pytest

from voxswap.riva.v1 import riva_tts_pb2 as riva
from voxswap_server.doors.emotions import is_vocabulary, mixture_in
from voxswap_server.doors.grpc.riva.asked import request_of
from voxswap_server.doors.http.cartesia.asked import CartesiaSpeech
from voxswap_server.doors.http.elevenlabs.asked import VoiceSettings, asked
from voxswap_server.doors.http.elevenlabs.formats import format_of
from voxswap_server.doors.http.openai.speech import _instructed
from voxswap_server.speech.asking import AskedEmotion
from voxswap_server.speech.request import EmotionFallback

CARTESIA = {
    "model_id": "sonic",
    "transcript": "Halt!",
    "voice": "joe",
    "output_format": {"container": "raw"},
}


def test_a_mixture_in_a_line() -> None:
    assert mixture_in("angry=0.7, sad = .2") == [("angry", 0.7), ("sad", 0.2)]
    assert mixture_in(" sad ") == [("sad", 1.0)]
    found = mixture_in("sad=nan") or []
    assert len(found) == 1  # it is refused as a share, by its field
    for none in ("", "=1", "sad=", "sad=much", "sad,", "a=b=c", "x" * 65):
        assert mixture_in(none) is None
    assert is_vocabulary([("fear", 0.5), ("Neutral", 0.5)])
    assert not is_vocabulary([("sad", 0.5), ("whispering", 0.5)])
    # As many as nobody mixes are read, so that they can be refused, and no more.
    assert len(mixture_in(",".join("a" * 16)) or []) == 16
    assert mixture_in(",".join("a" * 100)) is None


@pytest.mark.parametrize(
    ("instructions", "fields"),
    [
        ("", {"style_prompt": ""}),
        ("Sad", {"emotion": AskedEmotion([("Sad", 1.0)])}),
        ("angry=0.7, sad=0.2", {"emotion": AskedEmotion([("angry", 0.7), ("sad", 0.2)])}),
        ("AUTO", {"emotion": AskedEmotion(from_text=True)}),
        ("Speak in a sad voice.", {"style_prompt": "Speak in a sad voice."}),
        ("sad, whispering", {"style_prompt": "sad, whispering"}),
    ],
)
def test_openais_instructions(instructions: str, fields: dict[str, Any]) -> None:
    assert _instructed(instructions) == fields


def test_elevenlabs_style() -> None:
    def felt(**settings: Any) -> AskedEmotion | None:
        sound = format_of("pcm_24000")
        return asked("joe", "Halt!", sound, settings=VoiceSettings(**settings)).emotion

    assert felt() is felt(style=0.0) is None
    assert felt(style=0.5) == AskedEmotion(from_text=True, intensity=1.0, if_it_can=True)


@pytest.mark.parametrize(
    ("fields", "emotion"),
    [
        ({}, None),
        ({"generation_config": {"emotion": "scared"}}, AskedEmotion([("scared", 1.0)])),
        (
            {"voice": {"id": "a", "__experimental_controls": {"emotion": ["anger:high"]}}},
            AskedEmotion([("anger", 1.0)], intensity=1.5),
        ),
        (
            {"voice": {"id": "a", "__experimental_controls": {"emotion": ["positivity", "x:low"]}}},
            AskedEmotion([("happy", 0.5), ("x", 0.25)], intensity=1.0),
        ),
    ],
)
def test_cartesias_emotions(fields: dict[str, Any], emotion: AskedEmotion | None) -> None:
    assert CartesiaSpeech.model_validate(CARTESIA | fields).asked(tenant="").emotion == emotion


def test_cartesias_older_speed() -> None:
    older = {"voice": {"id": "a", "__experimental_controls": {"speed": "fast"}}}
    assert CartesiaSpeech.model_validate(CARTESIA | older).asked(tenant="").controls == {
        "rate": 1.25
    }


def test_rivas_keys() -> None:
    said = {"emotion": "fear=0.5", "intensity": "2", "emotion_fallback": "PROSODY"}
    more = {"style_prompt": "whispering", "pitch_semitones": "-2"}
    message = riva.SynthesizeSpeechRequest(text="Hi.", custom_configuration={**said, **more})
    found = request_of(message, "joe", "", max_characters=100, tenant="", is_whole=True)
    assert found.emotions == {"fear": 1.0}
    assert (found.fallback, found.style_prompt) == (EmotionFallback.PROSODY, "whispering")
    assert found.controls == {"pitch_semitones": -2.0}
