"""Presets: drafts of them, and what a manifest may say of its delivery."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.fakes.manifests import make_manifest
from voxswap_registry.delivery import PresetDelivery
from voxswap_registry.draft import VoiceDraft
from voxswap_registry.errors import InvalidInputError
from voxswap_registry.manifest import Manifest
from voxswap_registry.manifest_check import misfits
from voxswap_registry.presets import AskedPreset, preset

# Of engines that are here: one without emotions, one with some and a name of its own for one.
STILL = dataclasses.replace(make_manifest("joe"), engine="vits", controls=("rate", "noise_scale"))
FEELS = dataclasses.replace(
    make_manifest("zh"),
    engine="sambert",
    emotions=("angry", "fear"),
    tags=("old",),
    gender="male",
    fabricated=True,
)
TAKES_WORDS = dataclasses.replace(make_manifest("emo"), engine="emotivoice", emotions=("sad",))


def made(base: Manifest = STILL, **asked: Any) -> VoiceDraft:
    return preset(
        base,
        "npc/guard",
        AskedPreset(**asked),
        tool="voxswap",
        clock=lambda: datetime(2026, 1, 2, tzinfo=UTC),
    )


def delivery(base: Manifest = STILL, **asked: Any) -> PresetDelivery:
    found = made(base, **asked).delivery
    assert found is not None
    return found


def refused(base: Manifest = STILL, **asked: Any) -> dict[str, str]:
    with pytest.raises(InvalidInputError) as raised:
        made(base, **asked)
    return {fault.field: fault.description for fault in raised.value.violations}


def test_it_has_its_bases_parts_and_says_whose() -> None:
    draft = made(FEELS, emotions={"angry": 0.7}, intensity=1.2)
    assert [part.digest for part in draft.components] == [c.digest for c in FEELS.components]
    assert all(part.path is None for part in draft.components)
    assert (draft.voice_id, draft.provenance.source) == ("npc/guard", "preset of zh@1")
    assert (draft.tags, draft.gender, draft.fabricated) == (("old",), "male", True)
    assert draft.delivery == PresetDelivery(emotions={"angry": 0.7}, intensity=1.2)
    # What is written is read again.
    manifest = draft.manifest(1, FEELS.components)
    again = Manifest.from_json(dataclasses.replace(manifest, engine="others").to_json(), where="it")
    assert again.delivery == draft.delivery
    assert b"delivery" not in FEELS.to_json()


def test_an_emotion_that_its_base_lacks_is_prosodys_and_says_so() -> None:
    assert delivery(emotions={"angry": 0.7, "sad": 0.3}).fallback == "prosody"
    assert delivery(FEELS, emotions={"fearful": 1.0}) == PresetDelivery(emotions={"fear": 1.0})
    assert delivery(FEELS, emotions={"sad": 1.0}).fallback == "prosody"


def test_neutral_numbers_say_nothing() -> None:
    controls = {"rate": 0.9, "volume_db": 0.0, "pitch_semitones": -2.0}
    assert delivery(controls=controls).controls == {"rate": 0.9, "pitch_semitones": -2.0}


def test_a_preset_of_a_preset_has_what_it_does_not_say_from_that() -> None:
    guard = made(emotions={"angry": 0.7}, intensity=1.5, controls={"rate": 0.9}).manifest(
        3, STILL.components
    )
    tired = delivery(guard, controls={"rate": 0.7, "volume_db": -3.0})
    assert tired.emotions == {"angry": 0.7}
    assert (tired.intensity, tired.fallback) == (1.5, "prosody")
    assert tired.controls == {"rate": 0.7, "volume_db": -3.0}
    sad = delivery(guard, emotions={"sad": 1.0})
    assert (sad.emotions, sad.intensity, sad.controls) == ({"sad": 1.0}, 1.0, {"rate": 0.9})
    assert made(guard, intensity=0.5).provenance.source == "preset of npc/guard@3"
    # A number that is neutral again is none.
    assert delivery(guard, controls={"rate": 1.0}).controls == {}


def test_words_take_the_place_of_emotions() -> None:
    sad = made(TAKES_WORDS, emotions={"sad": 1.0}).manifest(1, TAKES_WORDS.components)
    assert delivery(sad, style_prompt="非常开心") == PresetDelivery(style_prompt="非常开心")


def test_what_its_base_cannot_do_is_told_with_what_it_can() -> None:
    told = refused(
        FEELS,
        emotions={"jealous": 0.5},
        intensity=2.5,
        controls={"noise_scale": 0.5, "rate": 9.0},
        style_prompt="calm",
    )
    assert told.keys() == {
        "emotion",
        "intensity",
        "controls.noise_scale",
        "controls.rate",
        "style_prompt",
    }
    assert "it has angry, fear, and rate and pitch can speak happy, sad" in told["emotion"]
    assert "it has pause_scale, pitch_range, pitch_semitones, rate" in told["controls.noise_scale"]
    assert "use 0.25 to 4" in told["controls.rate"]
    assert "takes no style in words" in told["style_prompt"]


@pytest.mark.parametrize(
    ("asked", "field", "told"),
    [
        ({}, "delivery", "says nothing that joe@1 does not"),
        ({"emotions": {"angry": 0.7, "sad": 0.7}}, "emotion", "sum to more than 1"),
        ({"emotions": {"angry": float("nan")}}, "emotion", "use 0 to 1"),
        ({"emotions": {"angry": -0.1}}, "emotion", "use 0 to 1"),
        ({"intensity": float("nan")}, "intensity", "use 0 to 2"),
        ({"controls": {"rate": float("inf")}}, "controls.rate", "use 0.25 to 4"),
    ],
)
def test_numbers_out_of_bounds(asked: dict[str, Any], field: str, told: str) -> None:
    assert told in refused(**asked)[field]


def test_names_for_one_emotion_are_one() -> None:
    assert "names one twice" in refused(FEELS, emotions={"fear": 0.2, "fearful": 0.2})["emotion"]
    assert "must be one line" in refused(TAKES_WORDS, style_prompt="a\nb")["style_prompt"]
    assert "with a letter" in refused(TAKES_WORDS, style_prompt="!!")["style_prompt"]


@pytest.mark.parametrize(
    ("base", "found", "field", "told"),
    [
        (FEELS, {"emotions": {"sad": 1.0}}, "delivery.emotions", "or add the fallback prosody"),
        (FEELS, {"emotions": {"fear": 0.6, "angry": 0.6}}, "delivery.emotions", "more than 1"),
        (STILL, {"emotions": {"hate": 1.0}, "fallback": "prosody"}, "delivery.emotions", "'hate'"),
        (STILL, {"style_prompt": "calm"}, "delivery.style_prompt", "takes no style in words"),
        (STILL, {"controls": {"rate": 9.0}}, "delivery.controls.rate", "use 0.25 to 4"),
        (STILL, {"controls": {"tempo": 1.0}}, "delivery.controls.tempo", ""),
        (STILL, {"intensity": 3.0}, "delivery.intensity", "use 0 to 2"),
        (STILL, {"fallback": "other"}, "delivery.fallback", ""),
    ],
)
def test_a_manifest_says_no_delivery_that_its_voice_has_not(
    base: Manifest, found: dict[str, Any], field: str, told: str
) -> None:
    manifest = dataclasses.replace(base, delivery=PresetDelivery(**found))
    faults = {f.field: f.description for f in (*manifest.faults(), *misfits(manifest))}
    assert told in faults[field]
