"""What is done to audio: as long as it was, the same for any cut, and as much as was asked for."""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st

from tests.audio.voices import Audio, cents_from, vowel
from tests.examples import examples
from voxswap_registry.controls import CONTROLS
from voxswap_server.audio.effects.chain import Effects
from voxswap_server.audio.effects.limiter import CEILING_DB

RATE = 22050


def done(
    audio: Audio,
    asked: Mapping[str, float],
    cuts: Sequence[int] = (),
    *,
    effects: Effects | None = None,
) -> Audio:
    """``audio`` as a segment of its own, in pieces that end at ``cuts``."""
    effects = effects or Effects(RATE)
    effects.begin(asked)
    *pieces, last = np.split(audio, sorted(cuts))
    made = [effects.run(piece, is_last=False) for piece in pieces]
    return np.concatenate([*made, effects.run(last, is_last=True)])


def noise(seed: int, levels: Sequence[float], samples: int) -> Audio:
    rng = np.random.default_rng(seed)
    loud = np.repeat(np.array(levels, np.float32), -(-samples // len(levels)))[:samples]
    return rng.standard_normal(samples, np.float32) * loud


def true_peak_db(audio: Audio) -> float:
    between = scipy.signal.resample_poly(audio.astype(np.float64), 4, 1)
    return 20 * float(np.log10(np.abs(between).max()))


SPEECH = np.concatenate(
    [vowel(120, seconds=0.25, vibrato=0.1), noise(1, [0.05], 2000), vowel(210, seconds=0.2)]
)
ALL = {"pitch_semitones": 3.0, "pitch_range": 1.5, "volume_db": 9.0}


@given(
    st.lists(st.integers(0, len(SPEECH)), max_size=12),
    st.sets(st.sampled_from(sorted(ALL)), min_size=1),
)
@examples(60)
def test_any_cut_gives_the_same_samples(cuts: list[int], names: set[str]) -> None:
    asked = {name: ALL[name] for name in names}
    whole = done(SPEECH, asked)
    assert len(whole) == len(SPEECH)
    assert whole.dtype == np.float32
    assert np.array_equal(done(SPEECH, asked, cuts), whole)


def test_where_nothing_is_asked_it_is_the_very_audio() -> None:
    effects = Effects(RATE)
    for names in ((), ALL):
        effects.begin({name: CONTROLS[name].neutral or 0.0 for name in names})
        assert effects.run(SPEECH, is_last=False) is SPEECH
        assert effects.rtf == 0.0


@pytest.mark.parametrize(("hertz", "rate"), [(62, RATE), (120, RATE), (240, 16_000), (500, 48_000)])
@pytest.mark.parametrize("semitones", [-12.0, -0.5, 4.0, 12.0])
def test_pitch_is_what_was_asked_for(hertz: float, rate: int, semitones: float) -> None:
    effects = Effects(rate)
    made = done(vowel(hertz, rate_hertz=rate), {"pitch_semitones": semitones}, effects=effects)
    middle = made[rate // 10 : -rate // 10]
    assert abs(cents_from(middle, hertz * 2 ** (semitones / 12), rate)) < 3


def test_formants_stay_where_they_are() -> None:
    """What tells vowels apart: the level near 600 Hz over that near 1000 Hz."""

    def told(audio: Audio) -> float:
        power = np.abs(np.fft.rfft(audio * np.hanning(len(audio)))) ** 2
        hertz = np.fft.rfftfreq(len(audio), 1 / RATE)
        near = [power[abs(hertz - at) < 150].sum() for at in (600, 1000)]
        return float(10 * np.log10(near[0] / near[1]))

    plain = vowel(110)
    for semitones in (-5.0, 5.0):
        assert abs(told(done(plain, {"pitch_semitones": semitones})) - told(plain)) < 3


@pytest.mark.parametrize("spread", [0.0, 0.5, 2.0])
def test_range_is_about_the_mean(spread: float) -> None:
    """In two segments: the mean is that of the stream so far."""
    effects, plain = Effects(RATE), vowel(150, seconds=1.0, vibrato=0.1)
    done(plain, {"pitch_range": spread}, effects=effects)
    made = done(plain, {"pitch_range": spread}, effects=effects)
    for n in range(6):  # at the tops and bottoms of the vibrato
        at = round((n / 2 + 0.25) / 3 * RATE)
        wanted = 150 * (1 + spread * 0.1 * (-1) ** n)
        assert abs(cents_from(made[at - 700 : at + 700], wanted)) < 40


def test_what_has_no_pitch_is_left_alone() -> None:
    hiss = noise(3, [0.1], 8000)
    made = done(hiss, {"pitch_semitones": 7.0})
    assert np.abs(made - hiss)[1000:-1000].max() < 1e-6


@given(st.integers(0, 99), st.lists(st.floats(0, 4), min_size=1, max_size=30), st.floats(-40, 12))
@examples(60)
def test_no_peak_is_above_the_ceiling(seed: int, levels: list[float], volume_db: float) -> None:
    made = done(noise(seed, levels, 6000), {"volume_db": volume_db or 1.0})
    assert len(made) == 6000
    assert true_peak_db(np.append(made, 1e-9)) <= CEILING_DB


def test_a_shifted_voice_stays_below_the_ceiling_too() -> None:
    loud = 1.9 * vowel(110)
    assert true_peak_db(done(loud, {"pitch_semitones": 5.0})) <= CEILING_DB


def test_a_gain_is_exact_where_there_is_room_and_moves_smoothly_where_not() -> None:
    soft = noise(2, [0.01], 5000)
    assert np.allclose(done(soft, {"volume_db": 6.0}), soft * 10 ** (6 / 20), rtol=1e-6)
    steady = np.full(9000, 0.01, np.float32)
    steady[4000:4040] = 0.9
    made = done(steady, {"volume_db": 12.0})
    gains = made / steady
    assert np.abs(np.diff(gains)).max() < 0.05
    assert gains[4020] < 1
    assert gains[3500] > 3.9


def test_nan_does_no_harm() -> None:
    broken = SPEECH.copy()
    broken[[0, 3000, 3001, -1]] = np.nan, np.inf, -np.inf, np.nan
    made = done(broken, ALL, range(0, len(broken), 500))
    assert np.isfinite(made).all()
    assert true_peak_db(made) <= CEILING_DB


def test_a_segment_that_was_cut_short_leaves_nothing_behind() -> None:
    effects = Effects(RATE)
    effects.begin({"pitch_semitones": 5.0, "volume_db": 12.0})
    effects.run(SPEECH[:7000], is_last=False)
    asked = {"pitch_semitones": 2.0, "volume_db": 3.0}
    assert np.array_equal(done(SPEECH, asked, effects=effects), done(SPEECH, asked))


@pytest.mark.parametrize(
    ("asked", "most_s"), [({"pitch_semitones": 4.0}, 0.05), ({"volume_db": 3.0}, 0.01)], ids=str
)
def test_little_is_held_back_and_little_is_kept(asked: Mapping[str, float], most_s: float) -> None:
    effects = Effects(RATE)
    effects.begin(asked)
    plain, given = vowel(120), 0
    effects.run(plain, is_last=False)
    tracemalloc.start()
    for n in range(1, 9):
        given += len(effects.run(plain, is_last=False))
        assert n * len(plain) - given < most_s * RATE
    assert tracemalloc.get_traced_memory()[0] < 300_000
    tracemalloc.stop()
