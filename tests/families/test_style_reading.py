"""A delivery that was heard becomes a mixture of styles that is expected to sound like it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.fakes.manifests import make_manifest
from tests.families.styled_packs import DIGESTS, SUMMARIES, VOICES, pack
from voxswap_families.contract import Delivery
from voxswap_families.kokoro import format as kokoro
from voxswap_families.kokoro import style_reading
from voxswap_families.kokoro.engine import KokoroVoice
from voxswap_families.kokoro.pack_prosody import LINE_TO_LINE, PACK_PROSODY
from voxswap_families.kokoro.packs import PACKS
from voxswap_families.kokoro.style_reading import (
    MOST_MOVED,
    KokoroStyles,
    measured,
    moved,
    prosody_half,
)
from voxswap_families.prosody_measures import Prosody
from voxswap_families.styles import style_reader_of
from voxswap_registry.errors import EngineError

STYLES = KokoroStyles()


def said(digest: str) -> Prosody:
    pitch, spread, pace, stress, pauses = PACK_PROSODY[digest]
    return Prosody(100 * 2 ** (pitch / 12), spread, pace, stress, pauses)


def test_every_pack_was_heard() -> None:
    assert len(PACK_PROSODY) == len(PACKS) == 54
    assert all(len(figures) == len(LINE_TO_LINE) == 5 for figures in PACK_PROSODY.values())
    assert style_reader_of("kokoro") is not None
    assert style_reader_of("vits") is None
    assert style_reader_of("none that there is") is None


def test_sources_are_the_styles_of_one_base_that_were_measured() -> None:
    others = [
        *VOICES[:5],
        pack("again", DIGESTS[1]),
        pack("elsewhere", DIGESTS[6], base="another"),
        pack("unknown", "sha256:" + "0" * 64),
        make_manifest("of/another/family"),
        pack("foreign", DIGESTS[7], language="zh"),
    ]
    found = STYLES.sources(VOICES[0], others)
    assert [m.voice_id for m in found] == [f"kokoro/{n}" for n in range(5)]
    # Too few of its own language: then all.
    few = STYLES.sources(pack("zh", DIGESTS[9], language="zh-CN"), others)
    assert [m.voice_id for m in few] == ["zh", *(f"kokoro/{n}" for n in range(5)), "foreign"]


@pytest.mark.parametrize("digest", DIGESTS[::6])
def test_how_a_pack_speaks_is_found_again(digest: str) -> None:
    voice = min(
        (m for m in VOICES if m.component("style").digest != digest),
        key=lambda m: abs(PACK_PROSODY[m.component("style").digest][0] - PACK_PROSODY[digest][0]),
    )
    sources = STYLES.sources(voice, VOICES)
    found = STYLES.read(sources, SUMMARIES, said(digest))
    assert len(found.values) == kokoro.STYLE_SIZE
    assert sum(share.weight for share in found.mixture) == pytest.approx(1)
    assert list(found.mixture) == sorted(found.mixture, key=lambda share: -share.weight)
    assert found.similarity >= found.similarity_without
    assert found.similarity > 0.8
    mixed = np.sum(
        [
            share.weight * np.array(SUMMARIES[m.component("style").digest])
            for share in found.mixture
            for m in sources
            if m.ref == share.ref
        ],
        axis=0,
    )
    assert np.array(found.values) == pytest.approx(mixed, abs=1e-6)


def test_a_voice_that_speaks_like_the_clip_stays_as_it_is() -> None:
    found = STYLES.read(STYLES.sources(VOICES[3], VOICES), SUMMARIES, said(DIGESTS[3]))
    assert found.mixture[0].ref == VOICES[3].ref
    assert found.mixture[0].weight > 0.95
    assert found.similarity_without == 1.0


def test_nobody_is_taken_further_than_the_voice_bears() -> None:
    low = min(DIGESTS, key=lambda digest: PACK_PROSODY[digest][0])
    voice = VOICES[DIGESTS.index(low)]
    shriek = Prosody(500.0, 12.0, 12.0, 20.0, 0.9)
    found = STYLES.read(STYLES.sources(voice, VOICES), SUMMARIES, shriek)
    assert found.similarity < 0.01
    apart = measured(found.expected) - np.array(PACK_PROSODY[low])
    assert (np.abs(apart) <= MOST_MOVED + 1).all()


def test_of_a_mixed_voice_the_own_delivery_is_the_mixture_of_theirs() -> None:
    mixture = "sha256:" + "1" * 64
    a, b = DIGESTS[0], DIGESTS[5]
    halves = 0.5 * np.array(SUMMARIES[a]) + 0.5 * np.array(SUMMARIES[b])
    voice = pack("mix", mixture)
    heard = 0.5 * np.array(PACK_PROSODY[a]) + 0.5 * np.array(PACK_PROSODY[b])
    pitch, *others = heard
    found = STYLES.read(
        STYLES.sources(voice, VOICES),
        {**SUMMARIES, mixture: tuple(halves)},
        Prosody(100 * 2 ** (pitch / 12), *others),
    )
    assert found.similarity_without > 0.9


@given(st.lists(st.lists(st.floats(-50, 50), min_size=3, max_size=3), min_size=1, max_size=40))
@examples(100)
def test_shares_are_shares_and_none_is_better_alone(rows: list[list[float]]) -> None:
    columns = np.array(rows).T
    target = np.array([1.0, 2.0, 3.0])
    found = style_reading._mixture(columns, target)
    assert found.sum() == pytest.approx(1)
    assert (found >= 0).all()
    apart = np.square(columns @ found - target).sum()
    assert apart <= np.square(columns - target[:, None]).sum(axis=0).min() + 1e-6


def test_the_second_half_alone_is_moved() -> None:
    style = np.random.default_rng(1).normal(size=kokoro.STYLE_SHAPE).astype(np.float32)
    own = prosody_half(style)
    same = moved(style, 40, tuple(own))
    assert np.array_equal(same, style[40:41])
    other = moved(style, 40, tuple(own + 0.5))
    assert np.array_equal(other[0, : kokoro.TIMBRE_SIZE], style[40, : kokoro.TIMBRE_SIZE])
    assert other[0, kokoro.TIMBRE_SIZE :] == pytest.approx(style[40, kokoro.TIMBRE_SIZE :] + 0.5)


def test_a_style_of_another_length_is_refused_before_anything_is_computed() -> None:
    session: Any = None
    voice = KokoroVoice(session, np.zeros(kokoro.STYLE_SHAPE, np.float32))
    with pytest.raises(EngineError, match="read the recording again"):
        voice.prepare([1, 2], Delivery(rate=1.0, seed=0, style=(0.0,) * 127))
