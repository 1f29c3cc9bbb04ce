"""Which graphs of Kokoro are given pitch; that they have it is seen in `test_kokoro`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.families.kokoro_fakes import fake_model
from tests.families.kokoro_voices import load, write_fake
from voxswap_families.contract import Delivery
from voxswap_families.kokoro.embedded import GRAPH
from voxswap_families.kokoro.engine import KokoroEngine
from voxswap_families.kokoro.family import FAMILY
from voxswap_families.kokoro.steering import STEERED, steer
from voxswap_families.work import finished
from voxswap_registry.errors import EngineError
from voxswap_registry.families import controls_of, native_controls_of
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry


def test_a_known_graph_says_what_its_voices_do_themselves(kokoro_registry: Registry) -> None:
    manifest = kokoro_registry.resolve(VoiceRef("kokoro/jf_gongitsune"))
    assert manifest.controls == ("rate",)  # as it was published, before there was pitch
    assert manifest.component("base").digest == GRAPH
    assert set(native_controls_of(manifest)) == {"rate", *STEERED}


def test_a_graph_that_is_not_known_is_left_as_it_was_checked(tmp_path: Path) -> None:
    fake = write_fake(tmp_path)
    paths = {role: tmp_path / role for role in ("base", "style")}
    voice = load(KokoroEngine(), fake, paths)
    utterances = [
        finished(voice.prepare([0, 43, 50, 0], Delivery(1.0, 7, controls)))
        for controls in ({}, {"pitch_semitones": 4.0})
    ]
    plain, asked = (finished(u.decode(0, u.frames)) for u in utterances)
    assert np.array_equal(plain, asked)
    assert FAMILY.carried(fake) == ()
    assert native_controls_of(dataclasses.replace(fake, controls=None)) == ("rate",)
    assert "pitch_semitones" in controls_of(fake)
    with pytest.raises(EngineError, match="shows no F0"):
        steer(fake_model())
