"""A voice is asked for what it has, or says what that is."""

from __future__ import annotations

import dataclasses

import pytest

from tests.fakes.manifests import make_manifest
from voxswap_registry.controls import CONTROLS, ON_AUDIO
from voxswap_registry.errors import InvalidInputError
from voxswap_registry.families import controls_of, installed, native_controls_of
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_server.speech.offers import check_offered, nothing_to_speak
from voxswap_server.speech.request import SpeechRequest

VOICE = dataclasses.replace(make_manifest("a"), controls=("rate", "noise_scale"))


def faults(manifest: Manifest = VOICE, **asked: object) -> dict[str, str]:
    request = dataclasses.replace(SpeechRequest(VoiceRef("a"), "Halt!"), **asked)  # type: ignore[arg-type]
    try:
        check_offered(request, manifest)
    except InvalidInputError as error:
        return {fault.field: fault.description for fault in error.violations}
    return {}


def test_what_it_has_may_be_asked_for() -> None:
    assert faults(rate=2.0, controls={"noise_scale": 0.0}) == {}
    assert faults(dataclasses.replace(VOICE, speakers={"anna": 0}), speaker="anna") == {}


def test_what_it_lacks_is_refused_with_all_that_it_has() -> None:
    found = faults(speaker="anna", controls={"noise_scale": 1.0, "volume_db": 3.0})
    assert found == {
        "speaker": "a@1 has no speaker 'anna'; it has one speaker only; leave the field out",
        "controls.volume_db": (
            "is none that a@1 has; it has noise_scale, rate, so leave this one unset"
        ),
    }
    still = dataclasses.replace(VOICE, controls=(), speakers={f"s{n:02}": n for n in range(20)})
    assert faults(still, rate=1.0) == {}
    found = faults(still, rate=2.0, speaker="x" * 1_000)
    assert found["controls.rate"].startswith("is none that a@1 has; it has none")
    assert "s07 …" in found["speaker"]
    assert len(found["speaker"]) < 200


@pytest.mark.parametrize("engine", sorted(installed()))
def test_an_older_manifest_has_what_its_family_has(engine: str) -> None:
    old = dataclasses.replace(VOICE, engine=engine, controls=None)
    family = installed()[engine]
    assert set(native_controls_of(old)) == set(family.controls) <= CONTROLS.keys()
    assert faults(old, rate=2.0) == {}


@pytest.mark.parametrize("engine", sorted(installed()))
def test_any_voice_has_what_the_server_does_to_audio(engine: str) -> None:
    voice = dataclasses.replace(VOICE, engine=engine, controls=("rate",))
    assert [*controls_of(voice)].count("pitch_semitones") == 1
    assert set(controls_of(voice)) == {"rate", *ON_AUDIO}
    assert faults(voice, controls={name: CONTROLS[name].most for name in ON_AUDIO}) == {}
    assert "controls.noise_scale" in faults(voice, controls={"noise_scale": 0.5})


def test_of_a_family_that_is_not_here_nothing_is_known() -> None:
    assert controls_of(dataclasses.replace(VOICE, engine="other", controls=None)) == ()


def test_a_voice_tells_what_it_reads() -> None:
    many = dataclasses.replace(VOICE, language="zh-CN", languages=("zh-CN", "de", "en-US"))
    assert nothing_to_speak(many).violations[0].description == (
        "has nothing that this voice can speak; it reads English (en-US), Mandarin (zh-CN), de: "
        "send words in that"
    )
