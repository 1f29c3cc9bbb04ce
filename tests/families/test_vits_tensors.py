"""Canonical tensors: weight norm, what training leaves behind, and bytes that never vary."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.nn.utils.parametrizations import weight_norm

from tests.families.vits_fakes import PRESETS, canonical, preset
from voxswap_families.importing.weights import fold_weight_norm, write_safetensors
from voxswap_families.vits.checkpoint import canonical_tensors, round_tensors
from voxswap_registry.errors import ImportSourceError, RegistryError
from voxswap_registry.progress import NullProgress


@pytest.mark.parametrize("kind", [torch.nn.Conv1d, torch.nn.ConvTranspose1d])
@pytest.mark.parametrize("style", ["parametrized", "old"])
def test_weight_norm_folds_to_the_weight_that_torch_computes(
    kind: type[torch.nn.Conv1d] | type[torch.nn.ConvTranspose1d], style: str
) -> None:
    layer = weight_norm(kind(6, 4, 5), dim=0)
    layer.parametrizations.weight.original0.data *= 1.5
    names = {"original0": "weight_g", "original1": "weight_v"} if style == "old" else {}
    state = {}
    for name, tensor in layer.state_dict().items():
        key = names.get(name.rpartition(".")[2], name)
        state[f"dec.ups.0.{key}"] = tensor
    folded = fold_weight_norm(state, where="test")
    assert set(folded) == {"dec.ups.0.weight", "dec.ups.0.bias"}
    torch.testing.assert_close(folded["dec.ups.0.weight"], layer.weight.detach())


def test_half_a_weight_norm_is_refused() -> None:
    with pytest.raises(ImportSourceError, match=r"weight norm of dec\.x is torn"):
        fold_weight_norm({"dec.x.weight_g": torch.ones(4, 1, 1)}, where="test")


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("n_speakers", [0, 3])
def test_every_preset_is_complete(name: str, n_speakers: int) -> None:
    architecture = preset(name, n_speakers=n_speakers)
    tensors = canonical(architecture)
    found, inferred = canonical_tensors(tensors, where="test")
    assert inferred == architecture
    assert found.keys() == tensors.keys()


@pytest.mark.parametrize(
    ("name", "size_mb"), [("x_low", 20.1), ("medium", 62.6), ("high", 113.3)]
)  # fmt: skip
def test_full_size_presets_have_the_published_sizes(name: str, size_mb: float) -> None:
    """The reference's table of presets, measured on real voices."""
    tensors = canonical(preset(name, shrink=1))
    assert sum(t.nbytes for t in tensors.values()) / 1e6 == pytest.approx(size_mb, rel=0.01)


def test_training_tensors_are_dropped() -> None:
    tensors = canonical(preset("low"))
    extra = {
        "enc_q.pre.weight": torch.ones(2), "dp.post_pre.weight": torch.ones(2),
        "dp.post_flows.0.m": torch.ones(2), "dp.flows.1.pre.weight": torch.ones(2),
    }  # fmt: skip
    found, _ = canonical_tensors(tensors | extra, where="test")
    assert found.keys() == tensors.keys()


def test_missing_unknown_and_misshapen_tensors_are_named() -> None:
    tensors = canonical(preset("low"))
    del tensors["dp.proj.bias"]
    tensors["dec.mystery"] = torch.ones(1)
    tensors["dec.conv_post.weight"] = torch.ones(2, 8, 7)
    with pytest.raises(ImportSourceError) as caught:
        canonical_tensors(tensors, where="file.onnx")
    message = str(caught.value)
    assert message.startswith("file.onnx: ")
    for name in ("dp.proj.bias", "dec.mystery", "dec.conv_post.weight is [2, 8, 7]"):
        assert name in message


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused(value: float) -> None:
    tensors = canonical(preset("low"))
    tensors["flow.flows.4.post.bias"][0] = value
    with pytest.raises(ImportSourceError, match=r"flow\.flows\.4\.post\.bias holds NaN"):
        canonical_tensors(tensors, where="test")


def test_whole_numbers_are_refused_and_halves_widened() -> None:
    tensors = canonical(preset("low"))
    half = {name: tensor.half() for name, tensor in tensors.items()}
    found, _ = canonical_tensors(half, where="test")
    assert {tensor.dtype for tensor in found.values()} == {torch.float32}
    tensors["dec.conv_pre.bias"] = torch.ones(32, dtype=torch.int8)
    with pytest.raises(ImportSourceError, match="quantised"):
        canonical_tensors(tensors, where="test")


def test_claims_are_not_believed() -> None:
    """A view with zero strides, and an index to count to: neither may take memory or time."""
    tensors = canonical(preset("low"))
    huge = tensors | {"enc_p.emb.weight": torch.zeros(1).expand(1 << 20, 1 << 20)}
    with pytest.raises(ImportSourceError, match="parameters"):
        canonical_tensors(huge, where="test")
    far = tensors | {"enc_p.encoder.attn_layers.999999999.emb_rel_k": torch.zeros(1)}
    with pytest.raises(ImportSourceError, match="counts to 1000000000"):
        canonical_tensors(far, where="test")


def test_what_no_server_would_load_is_not_imported() -> None:
    tensors = canonical(preset("low"))
    tensors["enc_p.emb.weight"] = torch.zeros(20_001, 16)
    with pytest.raises(ImportSourceError, match=r"n_symbols has 20001 .* from 1 to 20000"):
        canonical_tensors(tensors, where="test")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_same_tensors_give_the_same_aligned_bytes(dtype: str, tmp_path: Path) -> None:
    tensors = round_tensors(canonical(preset("high", n_speakers=3)), dtype)  # type: ignore[arg-type]
    backwards = dict(reversed(tensors.items()))
    for i, order in enumerate((tensors, backwards)):
        write_safetensors(order, tmp_path / f"{i}", progress=NullProgress())
    assert _digest(tmp_path / "0") == _digest(tmp_path / "1")

    loaded = load_file(tmp_path / "0")
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], tensor)

    data = (tmp_path / "0").read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    assert start % 64 == 0
    for entry in json.loads(data[8:start]).values():
        first, last = entry["data_offsets"]
        width = 4 if entry["dtype"] == "F32" else 2
        assert (start + first) % (64 if (last - first) % 64 == 0 else width) == 0


def test_rounding_spares_what_costs_little() -> None:
    rounded = round_tensors(canonical(preset("low", n_speakers=2)), "bfloat16")
    for name, tensor in rounded.items():
        is_large = name.startswith(("flow.", "dec.")) or ".ffn_layers." in name
        assert tensor.dtype == (torch.bfloat16 if is_large else torch.float32), name


def test_written_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"mine")
    with pytest.raises(RegistryError, match="cannot write"):
        write_safetensors({}, path, progress=NullProgress())
    assert path.read_bytes() == b"mine"
