"""How far two ways of speaking are apart: none, as far as they were put, and whose durations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from voxswap_families.comparing import Spoken, compared, log_spectral_distance

Array = npt.NDArray[np.float32]
NOISE = np.random.default_rng(1).normal(size=4096).astype(np.float32)


class Speaker:
    """Two frames a symbol, or what it is told; ``gain`` louder, the first symbols ``slower``."""

    def __init__(self, gain: float = 1.0, slower: int = 0) -> None:
        self.gain = np.float32(gain)
        self.slower = slower
        self.told: list[Sequence[int] | None] = []

    def __call__(self, ids: Sequence[int], durations: Sequence[int] | None) -> Spoken:
        self.told.append(durations)
        own = tuple(2 + (i < self.slower) for i in range(len(ids)))
        audio = NOISE[: 256 * sum(durations or own)] * self.gain
        return Spoken(own, audio, {"prior": np.array(ids, np.float32) * self.gain})


def test_what_is_the_same_has_no_distance() -> None:
    found = compared(Speaker(), Speaker(), [(1, 2, 3), (4,)])
    assert found.snr_db == {"prior": 200.0, "audio": 200.0}
    assert found.log_spectral_distance_db == 0
    assert (found.moved, found.durations) == (0, 4)


@pytest.mark.parametrize("gain", [0.9, 1.1])
def test_a_tenth_of_difference_is_20_db(gain: float) -> None:
    found = compared(Speaker(), Speaker(gain), [(1, 2, 3), (4, 5)])
    assert list(found.snr_db) == ["prior", "audio"]
    assert found.snr_db["prior"] == pytest.approx(20, abs=1e-3)
    assert found.snr_db["audio"] == pytest.approx(20, abs=1e-3)
    assert found.log_spectral_distance_db == pytest.approx(abs(20 * np.log10(gain)), rel=1e-3)


def test_audio_is_compared_on_the_references_durations() -> None:
    other = Speaker(slower=2)
    found = compared(Speaker(), other, [(1, 2, 3)])
    assert (found.moved, found.durations) == (2, 3)
    assert other.told == [None, (2, 2, 2)]
    assert found.snr_db["audio"] == 200.0


def test_silence_against_sound_is_as_far_as_can_be() -> None:
    assert compared(Speaker(gain=0), Speaker(), [(1,)]).snr_db["audio"] == -200.0
    assert log_spectral_distance(NOISE, NOISE * 0) > 60


def test_less_than_a_window_is_one() -> None:
    assert log_spectral_distance(NOISE[:100], NOISE[:100] * 10) == pytest.approx(20, abs=0.5)
