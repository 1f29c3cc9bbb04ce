"""Which requests share audio: those that sound the same, and no others."""

from __future__ import annotations

import dataclasses
import enum
import os
import subprocess
import sys
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.manifests import make_manifest
from voxswap_registry.emotions import AFFECT
from voxswap_registry.manifest import FrontEndSpec, Manifest
from voxswap_registry.names import VoiceRef
from voxswap_server.audio.encoding import AudioEncoding
from voxswap_server.speech.cache.key import INDIFFERENT, _plain, audio_key
from voxswap_server.speech.expression import settled
from voxswap_server.speech.prosody_table import PROSODY
from voxswap_server.speech.request import (
    CachePolicy,
    EmotionFallback,
    Expression,
    LineClass,
    MarkKind,
    SpeechRequest,
)

VOICE = dataclasses.replace(make_manifest("a"), speakers={"anna": 0, "ben": 1, "benjamin": 1})
REQUEST = SpeechRequest(VoiceRef("a"), "Halt! Who goes there?", seed=1)


def key(request: SpeechRequest, manifest: Manifest = VOICE, maker: str = "here") -> str:
    return audio_key(request, manifest, maker=maker)


def but(**changes: Any) -> str:
    return key(dataclasses.replace(REQUEST, **changes))


MATTERS: dict[str, list[Any]] = {
    "text": ["Halt! Who goes here?", "Halt. Who goes there?", "halt! Who goes there?", "Halt!"],
    "speaker": ["ben", "nobody"],
    "encoding": [AudioEncoding.WAV, AudioEncoding.PCM_F32LE],
    "sample_rate_hertz": [8_000, 24_000],
    "rate": [0.5, 1.0000001],
    "controls": [{"noise_scale": 0.0}, {"noise_scale": 0.8}, {"duration_noise_scale": 0.8}],
    "emotions": [{"sad": 1.0}, {"sad": 0.5}, {"angry": 1.0}, {"angry": 0.5, "sad": 0.5}],
    "affect": [(0.5, 0.5), (0.5, -0.5)],
    "from_text": [True],
    "intensity": [0.5],
    "if_it_can": [True],
    "fallback": [EmotionFallback.PROSODY],
    "expression": [Expression.NATIVE, Expression.PROSODY],
    "spoken": [{"sad": 1.0}, {"sad": 0.5}],
    "style_prompt": ["whispering", "afraid"],
    "style": [b"a style", b"another"],
    "seed": [None, 0, 2, (1 << 64) - 1],
    "marks": [frozenset([kind]) for kind in MarkKind] + [frozenset(MarkKind)],
}
DOES_NOT: dict[str, list[Any]] = {
    "voice": [VoiceRef("a", 1), VoiceRef("a", label="stable")],
    "session_id": ["scene 1"],
    "line_class": list(LineClass),
    "paced": [False],
    "eager": [True],
    "cache_policy": list(CachePolicy),
    "start_by_s": [0.3],
    "tenant": ["a game"],
}


def test_of_every_field_it_is_known_whether_it_matters() -> None:
    """A new field must be thought about: does it change what is sent?"""
    fields = {field.name for field in dataclasses.fields(SpeechRequest)}
    assert fields == set(MATTERS) | set(DOES_NOT)
    assert set(DOES_NOT) == INDIFFERENT


def test_what_matters_changes_the_key_each_to_its_own() -> None:
    values = [(name, value) for name, values in MATTERS.items() for value in values]
    keys = {key(REQUEST)} | {but(**{name: value}) for name, value in values}
    assert len(keys) == len(values) + 1


@pytest.mark.parametrize("name", sorted(DOES_NOT))
def test_what_does_not_matter_does_not(name: str) -> None:
    assert {but(**{name: value}) for value in DOES_NOT[name]} == {key(REQUEST)}


def test_the_version_matters_and_the_maker() -> None:
    others = [
        key(REQUEST, dataclasses.replace(VOICE, version=2)),
        key(REQUEST, dataclasses.replace(VOICE, defaults={"noise_w": 0.5})),
        key(REQUEST, dataclasses.replace(VOICE, components=make_manifest("b").components)),
        key(REQUEST, maker="there"),
    ]
    assert len({key(REQUEST), *others}) == len(others) + 1


def test_what_is_said_and_what_goes_without_saying_are_the_same() -> None:
    assert but(speaker="anna") == key(REQUEST)
    assert but(speaker="ben") == but(speaker="benjamin")
    assert but(sample_rate_hertz=VOICE.audio.sample_rate_hertz) == key(REQUEST)


FEELS = dataclasses.replace(VOICE, emotions=("angry", "fear"), controls=("rate",))


def felt(manifest: Manifest = FEELS, **changes: Any) -> str:
    """The key of what a speaker makes of it for a voice."""
    return key(settled(dataclasses.replace(REQUEST, **changes), manifest), manifest)


def test_ways_to_say_one_emotion_share_audio_and_others_do_not() -> None:
    assert felt(emotions={"fear": 1.0}) == felt(emotions={"fearful": 1.0})
    assert felt(affect=AFFECT["angry"]) == felt(emotions={"angry": 1.0})
    # What may stand in does not matter where nothing must, nor how strong nothing is.
    for fallback in EmotionFallback:
        assert felt(emotions={"fear": 1.0}) == felt(emotions={"fear": 1.0}, fallback=fallback)
        assert felt() == felt(fallback=fallback, intensity=2.0) == felt(affect=(0.0, 0.0))
    prosody = felt(emotions={"sad": 1.0}, fallback=EmotionFallback.PROSODY)
    as_fast = PROSODY["sad"]["rate"]
    # It sounds as a slow line does, and its header says another thing.
    assert len({felt(), prosody, felt(rate=as_fast)}) == 3


def test_what_is_read_off_a_text_depends_on_how_it_is_written() -> None:
    quoted, other = (
        "\N{LEFT DOUBLE QUOTATION MARK}Wow\N{RIGHT DOUBLE QUOTATION MARK}, I say.",
        "Wow",
    )
    assert felt(text="Wow", from_text=True) != felt(text="Wow")
    assert felt(text=quoted, from_text=True) != felt(text=other, from_text=True)
    assert felt(text="a  b", from_text=True, seed=None) != felt(
        text="a b", from_text=True, seed=None
    )


SCRIPT = """
from tests.server.test_audio_key import REQUEST, MarkKind, dataclasses, key
print(key(dataclasses.replace(REQUEST, marks=frozenset(MarkKind), controls={"noise_scale": 0.1})))
"""


def test_a_key_is_the_same_in_every_process() -> None:
    """Servers share a Redis: nothing of a key may depend on the order of a set's members."""
    keys = [
        subprocess.run(  # noqa: S603
            [sys.executable, "-c", SCRIPT],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2", "3")
    ]
    assert set(keys) == {but(marks=frozenset(MarkKind), controls={"noise_scale": 0.1}).encode()}


ALIKE = [
    ("Who goes  there?", "Who goes there?"),
    ("Who goes\tthere?  \n", "Who goes there?"),
    ("It\N{RIGHT SINGLE QUOTATION MARK}s late.", "It's late."),
    ("cafe\N{COMBINING ACUTE ACCENT} noir", "caf\N{LATIN SMALL LETTER E WITH ACUTE} noir"),
]


@pytest.mark.parametrize("seed", [None, 1])
@pytest.mark.parametrize(("text", "other"), ALIKE)
def test_ways_of_writing_a_sentence_are_the_same(text: str, other: str, seed: int | None) -> None:
    assert but(text=text, seed=seed) == but(text=other, seed=seed)


@pytest.mark.parametrize(("text", "other"), ALIKE)
def test_word_marks_tell_how_it_was_written(text: str, other: str) -> None:
    marks = frozenset({MarkKind.WORD})
    assert but(text=text, marks=marks) != but(text=other, marks=marks)


def test_a_seed_is_spread_by_the_places_of_sentences_and_then_they_matter() -> None:
    text, other = "Halt! Who goes there?", "Halt!   Who goes there?"
    assert but(text=text, seed=None) == but(text=other, seed=None)
    assert but(text=text, seed=1) != but(text=other, seed=1)


def test_where_a_voice_may_part_a_sentence_its_writing_matters_to_a_seed() -> None:
    long, short = "the road goes on and on, " * 5, "the road goes on and on"
    for text, rate, same in ((long, 1.0, False), (short, 1.0, True), (short, 0.25, False)):
        other = text.replace(" goes", "  goes")
        assert but(text=text, seed=None, rate=rate) == but(text=other, seed=None, rate=rate)
        assert (but(text=text, rate=rate) == but(text=other, rate=rate)) is same


COMMA = "The bridge is closed after dark, so turn back now or pay the toll to the guards."


def parting(**changes: Any) -> str:
    """Where a first segment may be parted."""
    request = dataclasses.replace(REQUEST, **{"text": COMMA, **changes})
    return audio_key(request, VOICE, maker="here", parts_at_clause=True)


@pytest.mark.parametrize("marks", [frozenset(), frozenset({MarkKind.WORD})])
@pytest.mark.parametrize("seed", [None, 1])
def test_where_a_first_segment_may_be_parted_it_matters_who_waits(
    seed: int | None, marks: frozenset[MarkKind]
) -> None:
    def found(**changes: Any) -> str:
        return parting(seed=seed, marks=marks, **changes)

    whole = but(text=COMMA, seed=seed, marks=marks)
    assert found() == found(line_class=LineClass.BARK) == found(eager=True) != whole
    assert found(line_class=LineClass.CINEMATIC) == found(paced=False) == whole


@pytest.mark.parametrize("seed", [None, 1])
def test_what_is_never_parted_is_shared_by_all(seed: int | None) -> None:
    for text in (REQUEST.text, COMMA.replace(",", "")[:70]):
        assert parting(text=text, seed=seed) == but(text=text, seed=seed)


def test_where_a_segment_may_be_parted_its_writing_matters_to_a_seed() -> None:
    other = COMMA.replace(" closed", "  closed")
    assert parting() != parting(text=other)
    assert parting(seed=None) == parting(text=other, seed=None)


def test_pauses_and_what_was_left_out_are_heard_and_told() -> None:
    keys = {
        but(text=text, seed=None)
        for text in ("One.\nTwo.", "One.\n\nTwo.", "One. \N{PARTY POPPER} Two.")
    }
    assert len(keys) == 3


@pytest.mark.parametrize("kind", ["mandarin", "emotivoice"])
def test_mandarin_is_taken_as_written(kind: Literal["mandarin", "emotivoice"]) -> None:
    read_by = FrontEndSpec(kind, {})
    mandarin = dataclasses.replace(VOICE, language="zh-CN", languages=(), front_end=read_by)
    one, other = (dataclasses.replace(REQUEST, text=text) for text in ("你好", "你好 "))
    assert key(one, mandarin) != key(other, mandarin)
    assert key(one) == key(other)


def test_a_long_text_is_taken_as_written() -> None:
    text = "The road is long. " * 60
    assert but(text=text, seed=None) != but(text=text + " ", seed=None)
    assert but(text=text, seed=None) == but(text=text, seed=None)


@given(st.text(min_size=1, max_size=200), st.booleans())
def test_any_text_has_a_key_and_keeps_it(text: str, seeded: bool) -> None:
    request = dataclasses.replace(REQUEST, text=text, seed=1 if seeded else None)
    found = key(request)
    assert len(found) == 64
    assert found == key(dataclasses.replace(request, session_id="other"))


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass(frozen=True)
class Share:
    name: str
    weight: float


def test_fields_of_later_kinds_have_a_form_or_are_refused() -> None:
    assert _plain(Colour.RED) == "red"
    assert _plain((Share("b", 0.5), None, 1)) == [["b", 0.5], None, 1]
    assert _plain({"b": 1, "a": (2,)}) == [["a", [2]], ["b", 1]]
    assert _plain(frozenset({3, 1, 2})) == [1, 2, 3]
    with pytest.raises(TypeError, match="bytearray cannot be part"):
        _plain(bytearray(b"x"))


def test_a_version_is_written_out_once_however_often_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    manifest, asked = make_manifest("a"), 0
    written = Manifest.to_json

    def counted(self: Manifest) -> bytes:
        nonlocal asked
        asked += 1
        return written(self)

    monkeypatch.setattr(Manifest, "to_json", counted)
    assert len({key(dataclasses.replace(REQUEST, seed=n), manifest) for n in range(20)}) == 20
    assert asked == 1
    changed = dataclasses.replace(manifest, version=manifest.version + 1)
    assert key(REQUEST, changed) != key(REQUEST, manifest)
    assert changed.digest != manifest.digest
