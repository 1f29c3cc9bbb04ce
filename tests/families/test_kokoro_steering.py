"""Pitch inside Kokoro's own graph: as much as was asked for, and nothing where nothing was."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.families.files import assembled, read
from tests.families.kokoro_fakes import fake_model
from tests.families.kokoro_voices import load, write_fake
from tests.registry.drafts import blob_paths
from voxswap_families.contract import Delivery
from voxswap_families.kokoro import format as kokoro
from voxswap_families.kokoro.embedded import GRAPH
from voxswap_families.kokoro.engine import KokoroEngine, KokoroVoice
from voxswap_families.kokoro.family import FAMILY
from voxswap_families.kokoro.steering import STEERED, steer
from voxswap_families.prosody_measures import RATE_HERTZ, frames_of
from voxswap_families.work import Work, finished
from voxswap_registry.errors import EngineError
from voxswap_registry.families import controls_of, native_controls_of
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry

LINE = [0, *(kokoro.SYMBOLS[symbol] for symbol in "ðə bɹˈɪʤ ɪz klˈOzd ˈæftəɹ dˈɑɹk."), 0]


@pytest.fixture(scope="module")
def manifest(kokoro_registry: Registry) -> Manifest:
    return kokoro_registry.resolve(VoiceRef("kokoro/jf_gongitsune"))


@pytest.fixture(scope="module")
def voice(kokoro_registry: Registry, manifest: Manifest) -> KokoroVoice:
    engine, paths = KokoroEngine(threads=2), blob_paths(kokoro_registry, manifest)
    parts = {r: read(engine, manifest, r, paths[r]).place() for r in ("base", "style")}
    found = assembled(engine, manifest, **parts)
    assert isinstance(found, KokoroVoice)
    return found


def said(voice: KokoroVoice, **controls: float) -> np.ndarray:  # type: ignore[type-arg]
    utterance = finished(voice.prepare(LINE, Delivery(1.0, 7, controls)))
    return finished(utterance.decode(0, utterance.frames))


def pitch_of(audio: np.ndarray) -> tuple[float, float]:  # type: ignore[type-arg]
    """Mean and standard deviation, in hertz."""
    clip = np.interp(np.arange(0, len(audio), 24_000 / RATE_HERTZ), np.arange(len(audio)), audio)
    hertz = finished(Work(frames_of(clip.astype(np.float32)))).pitch_hertz
    voiced = hertz[hertz > 0]
    voiced = voiced[np.abs(np.log2(voiced / np.median(voiced))) < 0.6]
    return float(voiced.mean()), float(voiced.std())


def test_pitch_and_range_are_what_was_asked_for(voice: KokoroVoice) -> None:
    """That neutral is the published graph to the bit is seen in `test_kokoro`: parity."""
    plain = said(voice)
    assert np.array_equal(said(voice, pitch_semitones=0.0, pitch_range=1.0), plain)
    mean, deviation = pitch_of(plain)
    higher, _ = pitch_of(said(voice, pitch_semitones=4.0))
    flat, flat_deviation = pitch_of(said(voice, pitch_range=0.0))
    assert abs(1200 * np.log2(higher / mean) - 400) < 50
    assert flat_deviation < 0.3 * deviation
    # A mean of what is predicted, consonants with it, not of what is heard.
    assert abs(1200 * np.log2(flat / mean)) < 120


def test_a_known_graph_says_what_its_voices_do_themselves(manifest: Manifest) -> None:
    assert manifest.controls == ("rate",)  # as it was published, before there was pitch
    assert manifest.component("base").digest == GRAPH
    assert set(native_controls_of(manifest)) == {"rate", *STEERED}


def test_a_graph_that_is_not_known_is_left_as_it_was_checked(tmp_path: Path) -> None:
    fake = write_fake(tmp_path)
    paths = {role: tmp_path / role for role in ("base", "style")}
    voice = load(KokoroEngine(), fake, paths)
    assert np.array_equal(said(voice, pitch_semitones=4.0), said(voice))
    assert FAMILY.carried(fake) == ()
    assert native_controls_of(dataclasses.replace(fake, controls=None)) == ("rate",)
    assert "pitch_semitones" in controls_of(fake)
    with pytest.raises(EngineError, match="shows no F0"):
        steer(fake_model())
