"""Directories of ModelScope: what voices are made of them."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.families.files import mapped
from tests.families.kantts_fixtures import vocoder_fixture
from tests.families.sambert_directories import (
    VOC,
    VOICE,
    asked,
    edit_weights,
    files,
    imported,
    refused,
    zipped,
)
from voxswap_families.importing.weights import fold_weight_norm
from voxswap_families.sambert.config import SambertConfig
from voxswap_families.sambert.dictionaries import KNOWN
from voxswap_families.sambert.importer import find_sambert, import_sambert, sambert_members
from voxswap_families.sambert.variants import VARIANTS
from voxswap_families.sambert.vocoder_weights import stored_tensors
from voxswap_families.symbols import SymbolTable
from voxswap_registry.errors import ImportSourceError, InvalidInputError
from voxswap_registry.manifest import FrontEndSpec
from voxswap_registry.store import Registry


@pytest.mark.parametrize("kind", sorted(VARIANTS))
def test_every_sort_of_voice_is_taken(
    models: Callable[[str], Path], kind: str, tmp_path: Path
) -> None:
    variant = VARIANTS[kind]
    assert tuple(sambert_members(models(kind))) == variant.voices
    draft = import_sambert(models(kind), asked(tmp_path, style=variant.voices[0]))
    config = SambertConfig.read(draft.engine_config)
    assert draft.audio.sample_rate_hertz == variant.rate_hertz
    assert draft.audio.hop_length_samples == config.vocoder.hop_samples
    assert config.vocoder.causal is variant.is_causal
    assert config.vocoder.has_source is config.acoustic.has_source is (variant.source is not None)
    assert ("speaker" in files(draft)) is variant.has_vector
    assert draft.speakers == (
        {name: row for row, name in enumerate(variant.speakers)}
        if len(variant.speakers) > 1
        else {}
    )
    assert draft.front_end == FrontEndSpec("mandarin", {"alphabet": "kantts"})
    assert draft.language == "zh-CN"
    assert draft.fabricated is True
    # What trained it was in the file, and is not in the component.
    assert not any(
        "optimizer" in name or "disc" in name for name in mapped(files(draft)["vocoder"])
    )


def test_numbers_of_a_voice_with_a_source(models: Callable[[str], Path], tmp_path: Path) -> None:
    mean = SambertConfig.read(
        import_sambert(models("sambert-nsf"), asked(tmp_path)).engine_config
    ).acoustic
    assert (mean.f0_offset_hertz, mean.f0_scale_hertz) == (210.0, 45.0)
    draft = import_sambert(models("sambert-se"), asked(tmp_path))
    bounds = SambertConfig.read(draft.engine_config).acoustic
    assert (bounds.f0_offset_hertz, bounds.f0_scale_hertz) == (30.0, 700.0)
    (vector,) = mapped(files(draft)["speaker"]).values()
    stored = np.load(models("sambert-se") / VOICE / "am/se.npy")
    assert np.array_equal(vector.numpy(), stored.reshape(-1))


def test_symbols_emotions_and_pauses_are_the_dictionaries_rows(
    models: Callable[[str], Path], tmp_path: Path
) -> None:
    draft = import_sambert(models("sambert"), asked(tmp_path))
    table = SymbolTable.from_json(files(draft)["symbols"].read_bytes())
    config = SambertConfig.read(draft.engine_config)
    assert config.acoustic.n_sy == 147
    assert table.symbols["a_c$tone1$s_begin$word_begin"] == (0,)
    assert config.pauses == (140, 141, 142, 143)
    assert config.emotions == {"none": 0, "neutral": 1} | {
        name.removeprefix("emotion_"): row
        for row, name in enumerate(KNOWN["emotion"])
        if "placeholder" not in name
    }
    assert draft.emotions is not None
    assert "happy" in draft.emotions
    assert "neutral" not in draft.emotions


def test_emotions_are_offered_of_voices_whose_name_says_so(
    models: Callable[[str], Path], tmp_path: Path
) -> None:
    emotional = import_sambert(models("sambert-shared"), asked(tmp_path, style="first_emo"))
    plain = import_sambert(models("sambert-shared"), asked(tmp_path, style="third"))
    assert emotional.emotions
    assert plain.emotions is None


def test_a_shared_vocoder_is_stored_once(models: Callable[[str], Path], tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    manifests = [
        registry.publish(
            import_sambert(
                models("sambert-shared"), asked(tmp_path, style=name, voice_id=f"zh/{name}")
            )
        )
        for name in sambert_members(models("sambert-shared"))
    ]
    assert len({manifest.component("vocoder").digest for manifest in manifests}) == 1
    assert len({manifest.component("acoustic").digest for manifest in manifests}) == 4


def test_the_same_directory_gives_the_same_bytes(model: Callable[..., Path]) -> None:
    folder = model()
    first, second = (
        {role: path.read_bytes() for role, path in files(imported(folder)).items()}
        for _ in range(2)
    )
    assert first == second


@pytest.mark.parametrize("prefix", ["", "speech_sambert-hifigan_tts_zh-cn_16k/"])
def test_a_zip_is_as_good_as_its_folder(model: Callable[..., Path], prefix: str) -> None:
    folder = model("sambert-se")
    path = zipped(folder, prefix)
    unpacked, packed = imported(folder), imported(path)
    assert packed.engine_config == unpacked.engine_config
    assert packed.fabricated is True
    for role, file in files(packed).items():
        assert file.read_bytes() == files(unpacked)[role].read_bytes()


def test_a_base_model_is_a_voice_as_well(model: Callable[..., Path]) -> None:
    folder = model("sambert-se")
    expected = imported(folder)
    base = folder / "basemodel_16k"
    shutil.move(folder / VOICE, base)
    (base / "am").rename(base / "sambert")
    (base / "voc").rename(base / "hifigan")
    shutil.rmtree(folder / "voices")
    assert tuple(sambert_members(folder)) == ("basemodel_16k",)
    assert imported(folder).engine_config == expected.engine_config
    (base / "sambert/se.npy").unlink()
    assert "speaks as whom it is given the vector of" in refused(folder)


def test_without_dictionaries_there_are_those_of_the_language(model: Callable[..., Path]) -> None:
    folder = model("sambert-speakers")
    with_them = imported(folder)
    shutil.rmtree(folder / VOICE / "dict")
    without = imported(folder)
    assert files(without)["symbols"].read_bytes() == files(with_them)["symbols"].read_bytes()
    assert without.speakers == with_them.speakers


def test_the_highest_checkpoint_speaks(model: Callable[..., Path]) -> None:
    folder = model("sambert", edit_weights(VOC, "conv_post.conv1d.bias", lambda t: t + 1))
    highest = folder / VOC
    highest.rename(highest.with_name("checkpoint_1000000.pth"))
    other = model("sambert-causal") / VOC
    shutil.copy(other, highest.with_name("checkpoint_990000.pth"))
    bias = mapped(files(imported(folder))["vocoder"])["conv_post.bias"]
    assert float(bias) == pytest.approx(1.0)


def test_weights_of_the_reference_come_through(model: Callable[..., Path]) -> None:
    fixture = vocoder_fixture("hifigan_noncausal_tiny")
    folder = model()
    torch.save({"model": {"generator": dict(fixture.tensors)}}, folder / VOC)
    found = mapped(files(imported(folder))["vocoder"])
    folded = fold_weight_norm(fixture.tensors, where="fixture")
    for name, tensor in stored_tensors(folded, fixture.architecture).items():
        torch.testing.assert_close(found[name], tensor)


@pytest.mark.parametrize("norm", ["none", "parametrizations", "module"])
def test_weight_norm_may_be_written_in_any_way(model: Callable[..., Path], norm: str) -> None:
    folder = model()
    before = mapped(files(imported(folder))["vocoder"])
    checkpoint = torch.load(folder / VOC, weights_only=True)
    generator = checkpoint["model"]["generator"]
    if norm == "none":
        generator = fold_weight_norm(generator, where="test")
    elif norm == "module":
        generator = {f"module.{name}": tensor for name, tensor in generator.items()}
    else:
        names = {"weight_g": "original0", "weight_v": "original1"}
        generator = {
            ".".join([*name.split(".")[:-1], "parametrizations.weight", names[last]])
            if (last := name.rpartition(".")[2]) in names
            else name: tensor
            for name, tensor in generator.items()
        }
    checkpoint["model"]["generator"] = generator
    torch.save(checkpoint, folder / VOC)
    after = mapped(files(imported(folder))["vocoder"])
    for name, tensor in before.items():
        torch.testing.assert_close(after[name], tensor)


def test_of_several_voices_one_is_named(models: Callable[[str], Path], tmp_path: Path) -> None:
    path = models("sambert-shared")
    with pytest.raises(ImportSourceError, match="has 4 voices; choose one with --style: first_emo"):
        import_sambert(path, asked(tmp_path))
    with pytest.raises(ImportSourceError, match="has no voice 'fifth'"):
        import_sambert(path, asked(tmp_path, style="fifth"))


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"dtype": "bfloat16"}, "dtype"), ({"form": "packed"}, "form")],
)
def test_what_does_not_apply_is_refused(
    models: Callable[[str], Path], tmp_path: Path, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInputError) as raised:
        import_sambert(models("sambert"), asked(tmp_path, **changes))
    assert raised.value.violations[0].field == field


def test_other_folders_and_zips_are_somebody_elses(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "configuration.json").write_text('{"task": "asr"}')
    assert find_sambert(tmp_path) is None
    assert find_sambert(tmp_path / "config.json") is None
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("hello.txt", "hello")
    assert find_sambert(tmp_path / "x.zip") is None
