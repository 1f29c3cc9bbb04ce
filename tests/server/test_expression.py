"""From what a request says of an emotion to what a voice is given, and what the header says."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.family import FakeFrontEnd, FakeVoice
from tests.fakes.manifests import make_manifest
from voxswap_families.contract import LoadedVoice
from voxswap_registry.controls import CONTROLS
from voxswap_registry.emotions import EMOTIONS
from voxswap_registry.errors import InvalidInputError
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_server.speech.expression import best_of, settled
from voxswap_server.speech.offers import check_offered
from voxswap_server.speech.prosody_table import PARTS, PROSODY
from voxswap_server.speech.reader import Read, Reader
from voxswap_server.speech.request import EmotionFallback, Expression, SpeechRequest
from voxswap_server.text.types import Segment

STILL = dataclasses.replace(make_manifest("a"), engine="vits", controls=None, emotions=None)
FEELS = dataclasses.replace(STILL, emotions=("angry", "fear", "lyrical"))
PROSODY_TOO: dict[str, Any] = {"fallback": EmotionFallback.PROSODY}


def asked(**fields: Any) -> SpeechRequest:
    return SpeechRequest(VoiceRef("a"), "Halt!", **fields)


def spoken(manifest: Manifest, **fields: Any) -> SpeechRequest:
    """What becomes of it, for a voice that can speak it."""
    request = asked(**fields)
    check_offered(request, manifest)
    return settled(request, manifest)


def refused(manifest: Manifest, **fields: Any) -> dict[str, str]:
    with pytest.raises(InvalidInputError) as raised:
        check_offered(asked(**fields), manifest)
    return {fault.field: fault.description for fault in raised.value.violations}


def test_what_a_voice_lists_its_model_speaks() -> None:
    found = spoken(FEELS, emotions={"fearful": 0.5, "lyrical": 1.0}, **PROSODY_TOO)
    assert found.emotions == found.spoken == {"fear": 0.5, "lyrical": 1.0}
    assert found.expression is Expression.NATIVE
    assert (found.rate, found.controls) == (1.0, {})


def test_what_it_does_not_list_prosody_speaks_if_somebody_said_so() -> None:
    found = spoken(STILL, emotions={"sadness": 1.0}, **PROSODY_TOO)
    assert (found.expression, found.spoken, found.emotions) == (
        *(Expression.PROSODY, {"sad": 1.0}, {}),
    )
    row = PROSODY["sad"]
    assert {**found.controls, "rate": found.rate} == pytest.approx(row)
    assert refused(STILL, emotions={"sad": 1.0})["emotion.mixture"].endswith(
        "it has none; or set emotion.fallback to PROSODY, which says it by rate, pitch and volume"
    )
    # One that is not there is by prosody as a whole: two ways at once would be told as one.
    found = spoken(FEELS, emotions={"angry": 0.5, "sad": 0.5}, **PROSODY_TOO)
    assert (found.expression, found.emotions) == (Expression.PROSODY, {})


def test_prosody_changes_what_the_voice_carries_out_and_was_asked_for() -> None:
    found = spoken(
        *(STILL,),
        emotions={"angry": 1.0},
        rate=0.5,
        controls={"volume_db": -6.0, "noise_scale": 0.1},
        **PROSODY_TOO,
    )
    assert found.rate == pytest.approx(0.5 * PROSODY["angry"]["rate"])
    louder = -6.0 + PROSODY["angry"]["volume_db"]
    assert found.controls["volume_db"] == pytest.approx(louder)
    assert found.controls["noise_scale"] == 0.1


amounts = st.dictionaries(st.sampled_from(EMOTIONS), st.floats(0, 2), min_size=1).filter(
    lambda found: 0 < sum(found.values()) <= 2
)


@given(amounts, st.floats(0.25, 4), st.floats(-12, 12))
def test_prosody_is_within_the_bounds(mixture: dict[str, float], rate: float, pitch: float) -> None:
    asked_for = {"pitch_semitones": pitch} if pitch else {}
    found = spoken(STILL, emotions=mixture, rate=rate, controls=asked_for, **PROSODY_TOO)
    for name, value in {**found.controls, "rate": found.rate}.items():
        assert CONTROLS[name].least <= value <= CONTROLS[name].most


@pytest.mark.parametrize("emotion", EMOTIONS)
@pytest.mark.parametrize("part", PARTS)
def test_prosody_goes_on_as_the_intensity_does(emotion: str, part: str) -> None:
    steps = [
        spoken(STILL, emotions={emotion: amount} if amount else {}, **PROSODY_TOO)
        for amount in (0.0, 0.5, 1.0, 1.5, 2.0)
    ]
    neutral = CONTROLS[part].neutral or 0.0
    values = [s.rate if part == "rate" else s.controls.get(part, neutral) for s in steps]
    assert values[0] == neutral
    assert values in (sorted(values), sorted(values, reverse=True))


def test_valence_and_arousal_are_what_the_voice_has_near_them() -> None:
    anger = (-0.51, 0.59)
    found = spoken(FEELS, affect=anger, intensity=1.5)
    assert found.spoken == found.emotions == pytest.approx({"angry": 1.5})
    assert (found.expression, found.affect) == (Expression.NATIVE, None)
    found = spoken(STILL, affect=anger, **PROSODY_TOO)
    assert (found.expression, found.spoken) == (
        *(Expression.PROSODY, pytest.approx({"angry": 1.0})),
    )
    # Joy is not what this one has: prosody, where it may.
    assert spoken(FEELS, affect=(0.8, 0.5), **PROSODY_TOO).expression is Expression.PROSODY
    assert spoken(FEELS, affect=(0.0, 0.0)).expression is Expression.NONE
    assert "near no emotion" in refused(FEELS, affect=(0.9, -0.3))["emotion.valence"]
    assert "set emotion.fallback to PROSODY" in refused(STILL, affect=anger)["emotion.valence"]


@pytest.mark.parametrize(
    ("manifest", "fields", "field", "told"),
    [
        (FEELS, {"emotions": {"sad": 1.0}}, "emotion.mixture", "it has angry, fear, lyrical;"),
        (FEELS, {"emotions": {"x": 1.0}, **PROSODY_TOO}, "emotion.mixture", "PROSODY has angry"),
        (STILL, {"affect": (0.5, 0.5)}, "emotion.valence", "a@1 has no emotion; set emotion.fall"),
        (STILL, {"from_text": True}, "emotion.from_text", "set emotion.fallback to PROSODY"),
        (
            *(dataclasses.replace(FEELS, language="pt"), {"from_text": True}),
            *("emotion.from_text", "in pt here; there are de, en, es, fr, zh: name the emotion"),
        ),
    ],
)
def test_what_a_voice_lacks_is_refused_with_what_it_has(
    manifest: Manifest, fields: dict[str, Any], field: str, told: str
) -> None:
    found = refused(manifest, **fields)
    assert list(found) == [field]
    assert told in found[field]


def test_nothing_asked_is_nothing_spoken() -> None:
    for fields in ({}, {"intensity": 2.0}, PROSODY_TOO):
        found = spoken(STILL, **fields)
        assert found == asked()
        assert found.expression is Expression.NONE


def test_settling_again_changes_nothing() -> None:
    for manifest in (FEELS, STILL):
        once = spoken(manifest, emotions={"fearful": 1.0}, **PROSODY_TOO)
        assert settled(once, manifest, "Wow!") == once


def read(manifest: Manifest, text: str, **fields: Any) -> tuple[Read, FakeVoice]:
    voice = FakeVoice()
    request = settled(asked(**fields), manifest)
    assert request.from_text
    found = Reader(request, manifest).read(
        Segment(text, 0, 0), LoadedVoice("a@1", voice, FakeFrontEnd())
    )
    assert isinstance(found, Read)
    return found, voice


def test_what_is_read_off_a_text_is_of_each_sentence() -> None:
    says = "How dare you!"
    found, voice = read(FEELS, says, from_text=True, intensity=0.5)
    assert (found.request.expression, found.request.spoken) == (
        *(Expression.NATIVE, {"angry": 0.5}),
    )
    assert voice.deliveries[0].emotions == found.delivery.emotions == {"angry": 0.5}
    found, _ = read(FEELS, "He is angry.", from_text=True)
    assert (found.request.expression, found.request.spoken) == (Expression.NONE, {})
    # It asks for nothing that the voice has not, unless prosody may speak that.
    found, _ = read(FEELS, "Wow!", from_text=True)
    assert found.request.expression is Expression.NONE
    found, voice = read(FEELS, "Wow!", from_text=True, **PROSODY_TOO)
    assert found.request.expression is Expression.PROSODY
    raised = 1.0 * PROSODY["surprised"]["pitch_semitones"]
    assert voice.deliveries[0].controls["pitch_semitones"] == pytest.approx(raised)


def test_what_a_voice_can_do_is_told() -> None:
    assert [best_of(manifest) for manifest in (FEELS, STILL)] == [
        *(Expression.NATIVE, Expression.PROSODY),
    ]
