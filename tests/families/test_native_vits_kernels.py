"""Each native kernel of VITS: as torch's layer has it, and nothing beside what it was given."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.families.files import assembled, read
from tests.families.native_kernels import NANS, Floats, Native, cuts, native, random
from tests.families.packable_voices import SMALL, SMALL_HIGH, packed_component, packed_manifest
from tests.families.vits_fakes import canonical
from tests.families.vits_voices import LIVELY, line, pieces, whole
from voxswap_families.layers.blocks import modules_of
from voxswap_families.vits.architecture import VitsArchitecture
from voxswap_families.vits.duration import ConvFlow
from voxswap_families.vits.encoder import Encoder
from voxswap_families.vits.engine import VitsEngine
from voxswap_families.vits.model import VitsModel, load_model
from voxswap_families.vits.native_model import NativeModel, Spoken
from voxswap_families.vits.packed import pack, unpack
from voxswap_families.work import Work, finished

__all__ = ["native"]


@functools.cache
def packed(architecture: VitsArchitecture) -> dict[str, Tensor]:
    return pack(architecture, canonical(architecture))


class Models:
    """Random weights, as torch's model has them and as the native one does."""

    def __init__(self, native: Native, architecture: VitsArchitecture = SMALL) -> None:
        self.native, self.architecture = native, architecture
        self.packed = {
            name: native.arena.tensor(tensor) for name, tensor in packed(architecture).items()
        }
        self.torch: VitsModel = load_model(
            architecture, unpack(architecture, self.packed, lambda _: torch.float32)
        )
        self.model = NativeModel(architecture, self.packed)

    @property
    def spoken(self) -> Spoken:
        return self.model.spoken_by(0)

    def separable(self, x: Tensor) -> Floats:
        native, convs = self.native, self.model.dp_convs
        y = native.arena.copied(x.numpy())
        room = native.arena.take(native.call.vxk_separable_bytes(convs, len(y)))
        assert native.call.vxk_separable(convs, len(y), y.ctypes.data, room) == 0
        return y

    def spline(self, condition: Tensor, kept: Tensor, changed: Tensor) -> Floats:
        native, spline = self.native, self.model.splines[0]
        y = native.arena.copied(changed.numpy())
        addresses = [
            *(native.arena.copied(given.numpy()).ctypes.data for given in (condition, kept)),
            y.ctypes.data,
            native.arena.take(native.call.vxk_spline_bytes(spline, len(y))),
        ]
        assert native.call.vxk_spline(spline, len(y), *addresses) == 0
        return y

    def encoder_layer(self, x: Tensor, *sizes: int) -> Floats:
        """The first one, so many of its parts a call."""
        native, layer = self.native, self.model.encoder[0]
        y = native.arena.copied(x.numpy())
        room = native.arena.take(native.call.vxk_encoder_bytes(layer, len(y)))
        for first, last in cuts(layer.heads + 4, sizes):
            done = native.call.vxk_encode(layer, len(y), y.ctypes.data, room, first, last)
            assert done == 0
        return y


@pytest.fixture
def models(native: Native) -> Models:
    return Models(native)


def signal(rows: Tensor) -> Tensor:
    """``(rows, channels)`` as torch's layers take it."""
    return rows.T[None, :, None]


def rows_of(signal: Tensor) -> Floats:
    return signal[0, :, 0].T.numpy()


def check_near(native: Native, found: Floats, expected: Floats, *, rounded: float) -> None:
    """Within what adding floats in another order does, or what rounding each input to bfloat16."""
    tolerance = rounded if native.rounds else 2e-5
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("rows", [1, 2, 5, 26, 60])
def test_separable_convolutions(native: Native, models: Models, rows: int) -> None:
    x = random(rows, SMALL.dp_hidden)
    expected = rows_of(models.torch.dp.convs(signal(x)))
    check_near(native, models.separable(x), expected, rounded=5e-2)


@pytest.mark.parametrize("rows", [1, 2, 5, 26, 60])
def test_spline(native: Native, models: Models, rows: int) -> None:
    condition = random(rows, SMALL.dp_hidden)
    kept, changed = random(rows, seed=1), 3 * random(rows, seed=2)
    changed[0] = 9  # of the tails
    flow = modules_of(models.torch.dp.flows, ConvFlow)[2 * SMALL.dp_flows - 1]
    z = torch.stack([kept, changed])[None, :, None]
    expected = flow(z, signal(condition))[0, 1, 0].numpy()
    check_near(native, models.spline(condition, kept, changed), expected, rounded=5e-2)


@pytest.mark.parametrize("rows", [1, 2, 16, 48, 49, 100])
def test_encoder_layer(native: Native, models: Models, rows: int) -> None:
    x = random(rows, SMALL.hidden)
    encoder: Encoder = models.torch.enc_p.encoder
    assert len(encoder.attn_layers) == 1
    expected = rows_of(finished(Work(encoder.steps(signal(x)))))
    found = models.encoder_layer(x)
    check_near(native, found, expected, rounded=5e-2)
    parts = SMALL.n_heads + 4
    np.testing.assert_array_equal(models.encoder_layer(x, *(1,) * parts), found)
    np.testing.assert_array_equal(models.encoder_layer(x, 2, 3), found)


@pytest.mark.parametrize("nan", NANS, ids=["quiet", "signalling"])
def test_nan_comes_out_as_nan(models: Models, nan: float) -> None:
    """Of an input where it is seen: everywhere, where attention sees it."""
    rows, at = 60, 30
    x = random(rows, SMALL.hidden)
    x.numpy()[at, 3] = nan
    assert np.isnan(models.encoder_layer(x)).all()
    x = random(rows, SMALL.dp_hidden)
    x.numpy()[at, 3] = nan
    found = models.separable(x)
    reach = sum(SMALL.dp_kernel_size**i for i in range(SMALL.dp_dds_layers))
    assert np.isnan(found[at - reach : at + reach + 1]).any(axis=1).all()
    assert np.isfinite(found[: at - reach]).all()
    assert np.isfinite(found[at + reach + 1 :]).all()
    changed = models.spline(x, random(rows, seed=1), random(rows, seed=2).clamp(-4, 4))
    assert np.isnan(changed[at - reach : at + reach + 1]).all()
    assert np.isfinite(changed[: at - reach]).all()
    assert np.isfinite(changed[at + reach + 1 :]).all()


_WEIGHTS = [
    *("enc_p.encoder.attn_layers.0.conv_qkv.panels", "enc_p.encoder.attn_layers.0.conv_o.panels"),
    *("enc_p.encoder.attn_layers.0.emb_rel_k.panels", "enc_p.encoder.norm_layers_1.0.gamma"),
    *("enc_p.encoder.ffn_layers.0.conv_1.panels", "enc_p.encoder.ffn_layers.0.conv_2.bias"),
]


@pytest.mark.parametrize("name", _WEIGHTS)
def test_nan_in_a_weight_of_the_encoder_is_never_hidden(models: Models, name: str) -> None:
    weight = models.packed[name]
    weight[(0,) * weight.dim()] = float("nan")
    # Of offsets it is the first, which the first rows do not have.
    found = models.encoder_layer(random(60, SMALL.hidden))[SMALL.attention_window :]
    assert np.isnan(found).any(axis=1).all()


@pytest.mark.parametrize("kind", ["convs_sep.1.taps", "convs_1x1.1.panels", "norms_2.2.beta"])
def test_nan_in_a_weight_of_the_durations_is_never_hidden(models: Models, kind: str) -> None:
    rows, last = 60, 2 * SMALL.dp_flows - 1
    for name in (f"dp.convs.{kind}", f"dp.flows.{last}.convs.{kind}"):
        weight = models.packed[name]
        weight[tuple(size // 2 if size < 16 else 0 for size in weight.shape)] = float("nan")
    x = random(rows, SMALL.dp_hidden)
    assert np.isnan(models.separable(x)).any(axis=1).all()
    assert np.isnan(models.spline(x, random(rows), random(rows).clamp(-4, 4))).all()


@pytest.mark.parametrize("architecture", [SMALL, SMALL_HIGH], ids=["several", "high"])
def test_an_utterance(native: Native, architecture: VitsArchitecture, tmp_path: Path) -> None:
    """All of a voice, in pieces: for AddressSanitizer more than for its sound."""
    path = packed_component(tmp_path, architecture)
    manifest = packed_manifest(architecture, path.stat().st_size)
    engine = VitsEngine(kernels=native.name)
    voice = assembled(engine, manifest, model=read(engine, manifest, "model", path).place())
    ids = line(6, 5, 60)
    audio = whole(voice, ids, LIVELY)
    assert np.isfinite(audio).all()
    assert np.abs(audio).max() > 0
    np.testing.assert_array_equal(pieces(voice, ids, LIVELY, [1, 2, 7, 30]), audio)
