"""What a preset's delivery makes of a request."""

from __future__ import annotations

import dataclasses
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.manifests import make_manifest
from voxswap_registry.controls import CONTROLS
from voxswap_registry.delivery import PresetDelivery
from voxswap_registry.names import VoiceRef
from voxswap_server.speech.presets import as_preset
from voxswap_server.speech.request import EmotionFallback, SpeechRequest

GUARD = PresetDelivery(
    emotions={"angry": 0.7},
    intensity=1.5,
    controls={"rate": 0.8, "pitch_semitones": -2.0, "pitch_range": 1.5, "noise_scale": 0.4},
    style_prompt="grim",
    fallback="prosody",
)


def spoken(delivery: PresetDelivery | None = GUARD, **asked: Any) -> SpeechRequest:
    manifest = dataclasses.replace(make_manifest("npc/guard"), delivery=delivery)
    return as_preset(SpeechRequest(VoiceRef("npc/guard"), "Halt!", **asked), manifest)


def test_a_voice_that_is_none_changes_nothing() -> None:
    request = SpeechRequest(VoiceRef("npc/guard"), "Halt!")
    assert as_preset(request, make_manifest("npc/guard")) is request
    assert spoken(PresetDelivery()) == request


def test_what_is_not_said_is_the_presets() -> None:
    found = spoken()
    assert found.emotions == {"angry": 0.7 * 1.5}
    assert (found.rate, found.style_prompt) == (0.8, "grim")
    own = {n: value for n, value in GUARD.controls.items() if n != "rate"}
    assert found.controls == own
    assert found.fallback is EmotionFallback.PROSODY


def test_emotions_and_styles_of_a_request_go_before_its() -> None:
    for own in (
        {"emotions": {"sad": 1.0}},
        {"affect": (0.5, 0.5)},
        {"from_text": True},
        {"style_prompt": "calm"},
        {"style": b"sealed"},
    ):
        found = spoken(**own)
        assert found.emotions == own.get("emotions", {})
        assert found.style_prompt == own.get("style_prompt", "")
        assert found.rate == 0.8
    assert spoken(fallback=EmotionFallback.NONE).fallback is EmotionFallback.NONE


def test_an_intensity_alone_is_of_its_emotions() -> None:
    assert spoken(intensity=0.5).emotions == {"angry": 0.35}
    assert spoken(intensity=0.0).emotions == {}


def test_numbers_are_on_top_of_its_and_within_bounds() -> None:
    found = spoken(
        rate=1.5, controls={"pitch_semitones": 1.0, "pitch_range": 1.2, "noise_scale": 0.9}
    )
    assert found.rate == 1.5 * 0.8
    assert found.controls == {
        "pitch_semitones": -1.0,
        "pitch_range": 1.5 * 1.2,
        # Of what has no neutral value, there is nothing to be on top of.
        "noise_scale": 0.9,
    }
    assert spoken(rate=0.25).rate == 0.25
    assert spoken(controls={"pitch_range": 2.0}).controls["pitch_range"] == 2.0
    # What cancels is not asked for.
    assert "pitch_semitones" not in spoken(controls={"pitch_semitones": 2.0}).controls


@given(st.sampled_from(sorted(CONTROLS)), st.floats(0, 1), st.floats(0, 1))
def test_whatever_two_say_is_within_the_bounds_of_all(name: str, own: float, asked: float) -> None:
    control = CONTROLS[name]
    at = [control.least + share * (control.most - control.least) for share in (own, asked)]
    request: dict[str, Any] = {"rate": at[1]} if name == "rate" else {"controls": {name: at[1]}}
    found = spoken(PresetDelivery(controls={name: at[0]}), **request)
    for value in (found.rate, *found.controls.values()):
        assert min(control.least, 1.0) <= value <= max(control.most, 1.0)
