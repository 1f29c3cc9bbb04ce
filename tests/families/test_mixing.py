"""Mixing styles: the sum itself, what it is written as, and what cannot be mixed."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import NOON, examples
from tests.families.kokoro_fakes import style, write_kokoro
from tests.registry.drafts import blob_path, make_draft, root_of
from voxswap_families.importing.detect import import_voice
from voxswap_families.kokoro import format as kokoro
from voxswap_families.kokoro.mixing import Share, mix
from voxswap_registry.draft import VoiceDraft
from voxswap_registry.errors import (
    ComponentMissingError,
    EngineError,
    InvalidInputError,
    VoiceNotFoundError,
)
from voxswap_registry.layout import blob_key
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry

PACKS = {name: np.random.default_rng(i).normal(size=(510, 1, 256)).astype(np.float32)
         for i, name in enumerate(("af_a", "af_b", "bm_c"))}  # fmt: skip


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """Three voices of one small model. Whoever adds voices uses ids of his own."""
    folder = write_kokoro(tmp_path_factory.mktemp("kokoro"), styles=PACKS)
    registry = Registry(tmp_path_factory.mktemp("registry"))
    for name in PACKS:
        registry.publish(_taken(folder, name, name))
    return registry


def _taken(folder: Path, name: str, voice_id: str) -> VoiceDraft:
    return import_voice(folder, voice_id, style=name, licence="MIT", workdir=folder / "work")


def shares(**weights: float) -> list[Share]:
    return [Share(VoiceRef.parse(voice), weight) for voice, weight in weights.items()]


def mixed(registry: Registry, parts: list[Share], folder: Path, voice_id: str = "mix") -> Manifest:
    folder.mkdir(parents=True, exist_ok=True)
    draft = mix(registry, voice_id, parts, workdir=folder, clock=lambda: NOON)
    return registry.publish(draft)


def vectors(registry: Registry, manifest: Manifest) -> kokoro.Style:
    return kokoro.style_from_bytes(blob_path(registry, manifest.component("style")).read_bytes())


def test_a_mix_is_the_sum_and_shares_the_rest(voices: Registry, tmp_path: Path) -> None:
    manifest = mixed(voices, shares(af_b=0.3, af_a=0.7), tmp_path)
    expected = 0.7 * PACKS["af_a"][:, 0] + 0.3 * PACKS["af_b"][:, 0]
    np.testing.assert_allclose(vectors(voices, manifest), expected, rtol=0, atol=1e-6)
    first = voices.resolve(VoiceRef("af_a"))
    for role in ("base", "symbols"):
        assert manifest.component(role) == first.component(role)
    assert manifest.component("style").digest != first.component("style").digest
    assert [path.name for path in tmp_path.iterdir()] == ["style.safetensors"]


def test_a_mix_says_what_it_is(voices: Registry, tmp_path: Path) -> None:
    manifest = mixed(voices, shares(af_a=0.4, bm_c=0.6), tmp_path)
    provenance = manifest.provenance
    assert provenance.source == "style vectors added up: 0.6 bm_c@1, 0.4 af_a@1"
    assert provenance.source_digests == {
        f"{name}@1": voices.resolve(VoiceRef(name)).component("style").digest
        for name in ("bm_c", "af_a")
    }
    assert provenance.created == "2026-01-02T12:00:00Z"
    assert (manifest.licence, manifest.gender, manifest.display_name) == ("MIT", "", "")
    # The greatest part has the say.
    assert (manifest.language, manifest.front_end.options) == ("en-GB", {"british": True})
    same = mixed(voices, shares(af_a=0.4, af_b=0.6), tmp_path / "same")
    assert same.gender == "female"


def test_the_order_makes_no_difference(voices: Registry, tmp_path: Path) -> None:
    parts = shares(af_a=0.2, af_b=0.5, bm_c=0.3)
    digests = {
        mixed(voices, order, tmp_path / f"{i}").component("style").digest
        for i, order in enumerate((parts, parts[::-1], [parts[1], parts[2], parts[0]]))
    }
    assert len(digests) == 1


def test_a_mix_can_be_mixed(voices: Registry, tmp_path: Path) -> None:
    mixed(voices, shares(af_a=0.5, af_b=0.5), tmp_path / "1", "half")
    manifest = mixed(voices, shares(half=0.5, bm_c=0.5), tmp_path / "2")
    expected = 0.25 * PACKS["af_a"] + 0.25 * PACKS["af_b"] + 0.5 * PACKS["bm_c"]
    np.testing.assert_allclose(vectors(voices, manifest), expected[:, 0], rtol=0, atol=1e-6)


@examples(30)
@given(weights=st.lists(st.floats(0.01, 1), min_size=2, max_size=3))
def test_any_weights(
    voices: Registry, tmp_path_factory: pytest.TempPathFactory, weights: list[float]
) -> None:
    """Weights are scaled to a sum of 1, so a mix of equal styles is that style."""
    total = math.fsum(weights)
    named = dict(zip(PACKS, (weight / total for weight in weights), strict=False))
    draft = mix(voices, "any", shares(**named), workdir=tmp_path_factory.mktemp("any"))
    (path,) = (part.path for part in draft.components if part.path)
    found = kokoro.style_from_bytes(path.read_bytes())
    packs = np.stack([PACKS[name][:, 0] for name in named])
    expected = np.tensordot(np.array(list(named.values())), packs, axes=1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert (found <= packs.max(axis=0) + 1e-5).all()
    assert (found >= packs.min(axis=0) - 1e-5).all()


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([], ["of: names 0 voices; a mix has 2 to 8"]),
        (shares(af_a=1.0), ["of: names 1 voices; a mix has 2 to 8"]),
        (
            shares(**{f"v{i}": 1 / 9 for i in range(9)}),
            ["of: names 9 voices; a mix has 2 to 8"],
        ),
        (shares(af_a=0.5, af_b=0.6), ["of: has weights with the sum 1.1; make it 1"]),
        (shares(af_a=0.5, af_b=0.498), ["of: has weights with the sum 0.998"]),
        (
            shares(af_a=-0.5, af_b=1.5, bm_c=math.nan),
            ["of[0].weight: is -0.5", "of[1].weight: is 1.5", "of[2].weight: is nan"],
        ),
        (shares(af_a=math.inf, af_b=0.0), ["of[0].weight: is inf; a weight is from 0 to 1"]),
        (
            [*shares(af_a=0.5), Share(VoiceRef("af_a", 1), 0.5)],
            ["of[1]: names af_a a second time; give it one weight"],
        ),
    ],
)
def test_a_recipe_that_is_none(
    parts: list[Share], expected: list[str], voices: Registry, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        mix(voices, "mix", parts, workdir=tmp_path)
    told = [f"{fault.field}: {fault.description}" for fault in caught.value.violations]
    assert len(told) == len(expected)
    assert all(t.startswith(e) for t, e in zip(told, expected, strict=True))
    assert not list(tmp_path.iterdir())


def test_thirds_may_be_rounded(voices: Registry, tmp_path: Path) -> None:
    manifest = mixed(voices, shares(af_a=0.333, af_b=0.333, bm_c=0.333), tmp_path)
    expected = np.mean([pack[:, 0] for pack in PACKS.values()], axis=0)
    np.testing.assert_allclose(vectors(voices, manifest), expected, rtol=0, atol=1e-6)


def test_voices_that_do_not_go_together(voices: Registry, tmp_path: Path) -> None:
    other = write_kokoro(tmp_path / "other", styles={"af_d": style(0)})
    (other / "vocab.json").write_text('{"vocab": {"a": 43}}')
    voices.publish(_taken(other, "af_d", "other"))
    voices.publish(make_draft(tmp_path / "vits", "vits"))
    for name, expected in (
        ("other", r"of\[1\]: other@1 does not share its symbols with af_a@1"),
        ("vits", r"of\[1\]: vits@1 is a vits voice; only Kokoro voices can be mixed"),
    ):
        with pytest.raises(InvalidInputError, match=expected):
            mix(voices, "mix", shares(af_a=0.5, **{name: 0.5}), workdir=tmp_path)
    with pytest.raises(VoiceNotFoundError, match="nobody"):
        mix(voices, "mix", shares(af_a=0.5, nobody=0.5), workdir=tmp_path)
    with pytest.raises(InvalidInputError, match="id"):
        mix(voices, "No Id", shares(af_a=0.5, af_b=0.5), workdir=tmp_path)


def test_a_style_that_is_damaged(registry: Registry, tmp_path: Path) -> None:
    folder = write_kokoro(tmp_path / "kokoro", styles={"af_a": style(0), "af_b": style(1)})
    registry.publish(_taken(folder, "af_a", "af_a"))
    draft = _taken(folder, "af_b", "af_b")
    for part in draft.components:
        if part.role == "style" and part.path:
            part.path.write_bytes(b"no style")
    manifest = registry.publish(draft)
    with pytest.raises(EngineError, match=r"af_b@1: its style is no safetensors file"):
        mix(registry, "mix", shares(af_a=0.5, af_b=0.5), workdir=tmp_path)
    (root_of(registry) / blob_key(manifest.component("style").digest)).unlink()
    with pytest.raises(ComponentMissingError):
        mix(registry, "mix", shares(af_a=0.5, af_b=0.5), workdir=tmp_path)


def test_a_base_that_is_gone_is_told(registry: Registry, tmp_path: Path) -> None:
    folder = write_kokoro(tmp_path / "kokoro")
    for name in ("af_hum", "bm_deep"):
        manifest = registry.publish(_taken(folder, name, name))
    draft = mix(registry, "mix", shares(af_hum=0.5, bm_deep=0.5), workdir=tmp_path)
    (root_of(registry) / blob_key(manifest.component("base").digest)).unlink()
    with pytest.raises(ComponentMissingError, match="base component"):
        registry.publish(draft)


def test_real_styles_mix(kokoro_registry: Registry, tmp_path: Path) -> None:
    names = ("kokoro/jf_gongitsune", "kokoro/jm_kumo")
    parts = [Share(VoiceRef(name), weight) for name, weight in zip(names, (0.7, 0.3), strict=True)]
    draft = mix(kokoro_registry, "npc/half", parts, workdir=tmp_path)
    (path,) = (part.path for part in draft.components if part.path)
    first, second = (
        vectors(kokoro_registry, kokoro_registry.resolve(VoiceRef(name))) for name in names
    )
    found = kokoro.style_from_bytes(path.read_bytes())
    np.testing.assert_allclose(found, 0.7 * first + 0.3 * second, rtol=0, atol=1e-6)
    assert [part.digest for part in draft.components if part.path is None] == [
        kokoro_registry.resolve(VoiceRef(names[0])).component(role).digest
        for role in ("base", "symbols")
    ]
