"""The distances that benchmarks tell, of signals whose distance is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.audio_measures import log_spectral_distance, signal_to_noise_db

_NOISE = np.random.default_rng(1).normal(0, 0.1, 22_050).astype(np.float32)
_HALF_DB = 20 * math.log10(2)


def test_the_same_signal_has_no_distance_and_no_noise() -> None:
    assert log_spectral_distance(_NOISE, _NOISE) == 0
    assert signal_to_noise_db(_NOISE, _NOISE) == math.inf


def test_half_of_a_signal_is_six_decibels_away() -> None:
    assert log_spectral_distance(_NOISE, _NOISE * np.float32(0.5)) == pytest.approx(
        _HALF_DB, abs=1e-3
    )
    assert signal_to_noise_db(_NOISE, _NOISE * np.float32(0.5)) == pytest.approx(_HALF_DB, abs=1e-3)


def test_no_level_counts_below_the_floor() -> None:
    silence = np.zeros_like(_NOISE)
    assert log_spectral_distance(silence, _NOISE * np.float32(1e-8)) == 0
    # Full scale is as far from silence as a level is from the floor, in the bin that it is in.
    loud = np.ones_like(_NOISE)
    level_db = 20 * math.log10(np.hanning(1024).sum())
    found = log_spectral_distance(silence, loud)
    bins = 513
    assert (level_db + 100) / math.sqrt(bins) <= found <= level_db + 100
