"""Importing Hugging Face VITS folders that transformers itself wrote, and pickles with code."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.families.vits_fakes import make_hf_vits, read_component
from voxswap_families.importing.detect import import_voice
from voxswap_families.vits.architecture import VitsArchitecture
from voxswap_families.vits.huggingface import original_names
from voxswap_registry.draft import VoiceDraft
from voxswap_registry.errors import ImportSourceError

transformers = pytest.importorskip("transformers")


def _take(source: Path, tmp_path: Path, **options: Any) -> VoiceDraft:
    return import_voice(source, "fake", workdir=tmp_path / "work", **options)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_hf_vits(tmp_path / "mms-tts-xyz")


def _change(path: Path, **changes: Any) -> None:
    raw = json.loads(path.read_text())
    for key, value in changes.items():
        raw.pop(key, None) if value is ... else raw.update({key: value})
    path.write_text(json.dumps(raw))


@pytest.mark.parametrize("n_speakers", [1, 4])
def test_every_tensor_is_taken(n_speakers: int, tmp_path: Path) -> None:
    folder = make_hf_vits(tmp_path / "hf", num_speakers=n_speakers, sampling_rate=24_000)
    draft = _take(folder, tmp_path)
    architecture = VitsArchitecture.from_config(draft.engine_config, where="x")
    assert (architecture.n_speakers, architecture.gin) == ((0, 0) if n_speakers == 1 else (4, 8))
    assert (architecture.resblock, architecture.upsample_rates) == (1, (4, 2, 2))
    assert (architecture.n_heads, architecture.dp_flows) == (2, 4)
    assert (draft.audio.sample_rate_hertz, draft.audio.hop_length_samples) == (24_000, 16)
    assert draft.speakers == ({} if n_speakers == 1 else {str(i): i for i in range(4)})
    assert (draft.language, draft.licence, draft.provenance.source) == ("en", "unknown", "hf")

    model = transformers.VitsModel.from_pretrained(folder)
    path = draft.components[0].path
    assert path is not None
    found = read_component(path)
    spot = {
        "enc_p.emb.weight": model.text_encoder.embed_tokens.weight,
        "enc_p.encoder.attn_layers.1.conv_o.weight":
            model.text_encoder.encoder.layers[1].attention.out_proj.weight.unsqueeze(-1),
        "enc_p.encoder.norm_layers_2.1.beta":
            model.text_encoder.encoder.layers[1].final_layer_norm.bias,
        "flow.flows.6.enc.in_layers.3.weight": model.flow.flows[3].wavenet.in_layers[3].weight,
        "flow.flows.2.post.bias": model.flow.flows[1].conv_post.bias,
        "dp.flows.0.logs": model.duration_predictor.flows[0].log_scale,
        "dp.flows.0.m": model.duration_predictor.flows[0].translate,
        "dp.flows.7.convs.convs_1x1.2.weight":
            model.duration_predictor.flows[4].conv_dds.convs_pointwise[2].weight,
        "dp.flows.3.proj.weight": model.duration_predictor.flows[2].conv_proj.weight,
        "dp.convs.norms_2.0.gamma": model.duration_predictor.conv_dds.norms_2[0].weight,
        "dec.ups.2.weight": model.decoder.upsampler[2].weight,
        "dec.conv_post.weight": model.decoder.conv_post.weight,
    }  # fmt: skip
    if n_speakers > 1:
        spot["emb_g.weight"] = model.embed_speaker.weight
        spot["flow.flows.4.enc.cond_layer.weight"] = model.flow.flows[2].wavenet.cond_layer.weight
    for name, tensor in spot.items():
        torch.testing.assert_close(found[name], tensor.detach(), msg=name)
    # Nothing was taken twice or left: each tensor that inference needs arrives under one name.
    used = [n for n in model.state_dict() if not n.startswith("posterior_encoder.")]
    assert len(original_names(model.state_dict())) == len(model.state_dict())
    halves = sum(name.endswith("original1") for name in used)
    training = sum("duration_predictor.post_" in n or "predictor.flows.1." in n for n in used)
    assert len(found) == len(used) - halves - training


def test_pickle_with_old_names_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    old = make_hf_vits(tmp_path / "old", weights="bin")
    assert not (old / "model.safetensors").exists()
    new_model, old_model = (_take(f, tmp_path).components[0].path for f in (folder, old))
    assert new_model.read_bytes() == old_model.read_bytes()


def test_tokenizer_becomes_a_table_with_blanks(folder: Path, tmp_path: Path) -> None:
    draft = _take(folder, tmp_path)
    table = json.loads(draft.components[1].path.read_bytes())
    assert table["layout"] == "blanks"
    assert table["symbols"]["k"] == [0]
    assert "<unk>" not in table["symbols"]
    assert len(table["symbols"]) == 28
    assert (draft.front_end.kind, draft.front_end.options) == ("characters", {"lowercase": True})


def test_phonemized_voice_reads_espeak(tmp_path: Path) -> None:
    folder = make_hf_vits(tmp_path / "hf", tokenizer={"phonemize": True, "language": None})
    draft = _take(folder, tmp_path)
    assert (draft.front_end.kind, draft.front_end.options) == ("espeak", {"voice": "en-us"})
    assert draft.language == "en-US"


def test_scales_come_from_the_configuration(tmp_path: Path) -> None:
    folder = make_hf_vits(
        tmp_path / "hf", speaking_rate=0.8, noise_scale=0.5, noise_scale_duration=0.3
    )
    expected = {"noise_scale": 0.5, "length_scale": 1.25, "noise_w": 0.3}
    assert _take(folder, tmp_path).defaults == expected


def test_licence_of_the_model_card(folder: Path, tmp_path: Path) -> None:
    (folder / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n# MMS\n")
    assert _take(folder, tmp_path).licence == "cc-by-nc-4.0"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"model_type": "bert"}, "'bert'; voxswap reads 'vits'"),
        ({"use_stochastic_duration_prediction": False}, "stochastic duration predictor"),
        ({"upsample_rates": [2, 2, 4]}, "upsample_rates"),
        ({"resblock_dilation_sizes": [[1, 3, 9]] * 3}, "resblock_dilation_sizes"),
        ({"num_attention_heads": 4}, "num_attention_heads"),
        ({"wavenet_dilation_rate": 2}, "wavenet_dilation_rate"),
        ({"hidden_act": "gelu"}, "hidden_act"),
        ({"vocab_size": 99}, "vocab_size"),
        ({"upsample_rates": ...}, "upsample_rates.*is missing"),
        ({"sampling_rate": "fast"}, "sampling_rate"),
        ({"speaking_rate": 0}, "speaking_rate"),
    ],
)
def test_configuration_is_checked(
    change: dict[str, Any], expected: str, folder: Path, tmp_path: Path
) -> None:
    _change(folder / "config.json", **change)
    with pytest.raises(ImportSourceError, match=expected) as caught:
        _take(folder, tmp_path)
    assert str(folder / "config.json") in str(caught.value)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"is_uroman": True}, "uroman, which voxswap does not have"),
        ({"add_blank": False}, "add_blank"),
        ({"phonemize": "yes"}, "must be true or false"),
    ],
)
def test_tokenizer_is_checked(
    change: dict[str, Any], expected: str, folder: Path, tmp_path: Path
) -> None:
    _change(folder / "tokenizer_config.json", **change)
    with pytest.raises(ImportSourceError, match=expected):
        _take(folder, tmp_path)


def test_language_must_come_from_somewhere(folder: Path, tmp_path: Path) -> None:
    _change(folder / "tokenizer_config.json", language=...)
    with pytest.raises(ImportSourceError, match="--language"):
        _take(folder, tmp_path)
    assert _take(folder, tmp_path, language="yor").language == "yor"


def test_id_outside_the_table_is_refused(folder: Path, tmp_path: Path) -> None:
    _change(folder / "vocab.json", Z=30)
    with pytest.raises(ImportSourceError, match="ids from 0 to 29"):
        _take(folder, tmp_path)


@pytest.mark.parametrize("name", ["tokenizer_config.json", "vocab.json"])
def test_missing_tokenizer_is_named(name: str, folder: Path, tmp_path: Path) -> None:
    (folder / name).unlink()
    with pytest.raises(ImportSourceError, match=f"{name}: there is no such file"):
        _take(folder, tmp_path)


def test_missing_weights_are_named(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(ImportSourceError, match="neither model"):
        _take(folder, tmp_path)


@pytest.mark.parametrize("keep", [0, 5, 200, 20_000, -1])
def test_truncated_safetensors(keep: int, folder: Path, tmp_path: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ImportSourceError, match="cut short") as caught:
        _take(folder, tmp_path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("keep", [0, 5, 200, 20_000, -1])
def test_truncated_pickle(keep: int, tmp_path: Path) -> None:
    folder = make_hf_vits(tmp_path / "hf", weights="bin")
    path = folder / "pytorch_model.bin"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ImportSourceError, match="is damaged"):
        _take(folder, tmp_path)


class _Exploit:
    """Unpickling this creates a file: proof that code ran."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("style", ["torch zip", "torch old", "plain pickle"])
def test_code_in_a_pickle_is_refused_and_not_run(style: str, tmp_path: Path) -> None:
    folder, marker = make_hf_vits(tmp_path / "hf", weights="bin"), tmp_path / "code-ran"
    path = folder / "pytorch_model.bin"
    state = torch.load(path, weights_only=True) | {"dec.extra": _Exploit(marker)}
    if style == "plain pickle":
        path.write_bytes(pickle.dumps({"dec.extra": _Exploit(marker)}))
    else:
        torch.save(state, path, _use_new_zipfile_serialization=style == "torch zip")
    with pytest.raises(ImportSourceError, match="Nothing in it was run") as refused:
        _take(folder, tmp_path)
    if style != "plain pickle":  # of a later protocol than torch's unpickler knows
        assert "it asks for posix.mkdir" in str(refused.value)
    assert "weights_only" not in str(refused.value)  # torch's advice is to run it
    assert not marker.exists()
    # The trap was armed: an unpickler that calls what it is told to does run it.
    pickle.loads(pickle.dumps(_Exploit(marker)))  # noqa: S301
    assert marker.exists()


def test_pickle_of_something_else_is_refused(tmp_path: Path) -> None:
    folder = make_hf_vits(tmp_path / "hf", weights="bin")
    torch.save({"model": {"a": torch.ones(1)}}, folder / "pytorch_model.bin")
    with pytest.raises(ImportSourceError, match="other than named tensors"):
        _take(folder, tmp_path)


def test_archive_that_unpacks_to_gigabytes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_hf_vits(tmp_path / "hf", weights="bin")
    path = folder / "pytorch_model.bin"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(8 << 20))
    limit = 4 << 20
    assert path.stat().st_size < limit
    monkeypatch.setattr("voxswap_families.importing.weights.MAX_WEIGHTS_BYTES", limit)
    with pytest.raises(ImportSourceError, match="would unpack to 8388608 bytes"):
        _take(folder, tmp_path)


def test_links_of_the_hub_cache_are_followed(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "snapshot"
    cache.mkdir()
    for file in folder.iterdir():
        (cache / file.name).symlink_to(file)
    assert _take(cache, tmp_path).provenance.source == "snapshot"
