"""The vocabulary of emotions: one meaning for each name, and where they lie."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxswap_registry.emotions import (
    AFFECT,
    ALIASES,
    EMOTIONS,
    NEUTRAL,
    meaning,
    mixture_of,
    offered_as,
)


def test_other_words_mean_the_same() -> None:
    assert meaning("fear") == meaning("Fearful") == meaning(" fearful") == "fearful"
    assert meaning("none") == meaning("Neutral") == NEUTRAL
    # A voice's own further names are left as they are.
    assert meaning("Lyrical") == "Lyrical"
    assert set(ALIASES.values()) <= {NEUTRAL, *EMOTIONS}
    assert not ALIASES.keys() & {NEUTRAL, *EMOTIONS}


def test_a_voice_is_asked_by_its_own_name_for_it() -> None:
    kantts = ("angry", "disgust", "fear", "lyrical")
    assert offered_as("fearful", kantts) == offered_as("fear", kantts) == "fear"
    assert offered_as("disgusted", kantts) == "disgust"
    assert offered_as("lyrical", kantts) == "lyrical"
    assert offered_as("happy", kantts) is offered_as("Lyrical", kantts) is None
    assert offered_as("fearful", ("fear", "fearful")) == "fearful"


@pytest.mark.parametrize("name", EMOTIONS)
def test_the_point_of_an_emotion_is_that_emotion(name: str) -> None:
    assert mixture_of(*AFFECT[name], EMOTIONS) == pytest.approx({name: 1.0})
    valence, arousal = AFFECT[name]
    assert mixture_of(valence / 2, arousal / 2, EMOTIONS) == pytest.approx({name: 0.5})
    assert mixture_of(*AFFECT[name], [name]) == pytest.approx({name: 1.0})


def test_between_two_there_is_some_of_each() -> None:
    happy, surprised = AFFECT["happy"], AFFECT["surprised"]
    found = mixture_of((happy[0] + surprised[0]) / 2, (happy[1] + surprised[1]) / 2, EMOTIONS)
    assert found.keys() == {"happy", "surprised"}
    assert min(found.values()) > 0.3


def test_what_is_near_nothing_is_nothing() -> None:
    assert mixture_of(0.0, 0.0, EMOTIONS) == mixture_of(1.0, 0.0, []) == {}
    assert mixture_of(1.0, 0.0, ["sad"]) == {}
    assert mixture_of(1.0, 0.0, ["unheard"]) == {}
    # Calm: half way between what has little arousal, with a little of either.
    assert sum(mixture_of(0.5, -0.5, EMOTIONS).values()) < 0.2


points = st.floats(-1, 1)


@given(points, points, st.sets(st.sampled_from(EMOTIONS)))
def test_every_point_is_a_mixture(valence: float, arousal: float, among: set[str]) -> None:
    found = mixture_of(valence, arousal, among)
    assert found.keys() <= among
    assert len(found) <= 2
    assert all(0 < share <= 1 for share in found.values())
    assert math.fsum(found.values()) <= 1 + 1e-9


@given(st.floats(0, math.tau), st.floats(0.1, 0.8))
def test_a_step_changes_little(angle: float, radius: float) -> None:
    near = [
        mixture_of(radius * math.cos(a), radius * math.sin(a), EMOTIONS)
        for a in (angle, angle + 1e-3)
    ]
    for name in EMOTIONS:
        assert abs(near[0].get(name, 0.0) - near[1].get(name, 0.0)) < 0.05
