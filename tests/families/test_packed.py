"""The packed form of VITS weights: element for element as it is written down, and back."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.families.bits import bits_of, rounded
from tests.families.packable_voices import PUBLISHED, SMALL, packable
from tests.families.vits_fakes import PRESETS, canonical, preset
from voxswap_families.vits.architecture import VitsArchitecture
from voxswap_families.vits.checkpoint import as_stored
from voxswap_families.vits.model import in_canonical_shape, load_model
from voxswap_families.vits.packable import FORMS, PACKED_INT8
from voxswap_families.vits.packed import (
    check_packed,
    handled,
    pack,
    packed_shapes,
    unpack,
    widened,
)
from voxswap_families.vits.shapes import expected_shapes
from voxswap_registry.errors import EngineError

_Array = npt.NDArray[np.float32]


def stored(a: VitsArchitecture, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights as the map of a component gives them."""
    return in_canonical_shape(as_stored(canonical(a, seed=seed)))


# A second reading of the layout: slow, by numpy's indices, and by names as they stand in it.


def panels(matrix: _Array) -> npt.NDArray[np.uint16]:
    """``(rows, columns)`` as panels: each element is looked up by its own place."""
    rows, columns = matrix.shape
    p, j, c, z = np.indices((-(-rows // 16), -(-columns // 2), 16, 2))
    whole = np.zeros((16 * p.shape[0], 2 * p.shape[1]), np.float32)
    whole[:rows, :columns] = matrix
    return rounded(whole[16 * p + c, 2 * j + z])


def flat(weight: _Array) -> _Array:
    """``(out, in, kernel)`` with the column ``tap * in + channel``."""
    out, inputs, kernel = weight.shape
    column = np.arange(kernel * inputs)
    tap, channel = column // inputs, column % inputs
    return weight[:, channel, tap].reshape(out, -1)


def padded(bias: _Array) -> _Array:
    return np.append(bias, np.zeros(-len(bias) % 16, np.float32))


def gate_order(hidden: int) -> list[int]:
    """t0, s0, t1, s1 and so on, each of sixteen rows."""
    firsts = [half * hidden + 16 * i for i in range(hidden // 16) for half in (0, 1)]
    return [first + row for first in firsts for row in range(16)]


def upsampled(w: _Array, rate: int) -> _Array:
    inputs, out, kernel = w.shape
    taps = -(-kernel // rate)
    matrix = np.zeros((rate * out, taps * inputs), np.float32)
    for s, c, t in np.ndindex(rate, out, taps):
        if (where := s + (taps - 1 - t) * rate) < kernel:
            matrix[s * out + c, t * inputs : (t + 1) * inputs] = w[:, c, where]
    return matrix


def byte_panels(matrix: _Array) -> tuple[npt.NDArray[np.int8], _Array]:
    """The same of int8, and the scales of its rows."""
    rows, columns = matrix.shape
    p, j, c, z = np.indices((rows // 16, columns // 4, 16, 4))
    scale = np.abs(matrix).max(1) / np.float32(127)
    return np.rint(matrix / scale[:, None])[16 * p + c, 4 * j + z].astype(np.int8), scale


def feed_forward(layer: str, w: Mapping[str, _Array]) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    matrix = flat(w[f"{layer}.weight"])
    if layer.endswith("conv_1"):
        i = layer.split(".")[3]
        norm = f"enc_p.encoder.norm_layers_1.{i}"
        large = 3 * np.abs(w[f"{norm}.gamma"]) + np.abs(w[f"{norm}.beta"])
        balance = np.exp2(-np.round(np.log2(large)))
        yield f"{layer}.balance", balance
        matrix = matrix / np.tile(balance, matrix.shape[1] // len(balance))
    found, scale = byte_panels(matrix)
    yield f"{layer}.panels8", found
    yield f"{layer}.scale", scale


def expected(
    a: VitsArchitecture, w: Mapping[str, _Array], form: str
) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    for name, array in w.items():
        layer, _, kind = name.rpartition(".")
        if form == PACKED_INT8 and ".ffn_layers." in name and kind == "weight":
            yield from feed_forward(layer, w)
        elif re.search(r"conv_[qkv]\.", name):
            if "conv_q" in name:
                three = [w[name.replace("conv_q", f"conv_{which}")] for which in "qkv"]
                joined = np.concatenate(three)
                to = layer.replace("conv_q", "conv_qkv")
                if kind == "bias":
                    yield f"{to}.bias", joined
                else:
                    yield f"{to}.panels", panels(flat(joined))
        elif kind == "emb_rel_k":
            yield f"{name}.panels", panels(array[0])
        elif kind == "emb_rel_v":
            sixteen = np.zeros((a.hidden // a.n_heads, 16), np.float32)
            sixteen[:, : 2 * a.attention_window + 1] = array[0].T
            yield f"{name}.panels", panels(sixteen)
        elif re.fullmatch(r"flow\..*in_layers\.\d+\.\w+", name):
            order = gate_order(a.hidden)
            if kind == "bias":
                yield name, array[order]
            else:
                yield f"{layer}.panels", panels(flat(array)[order])
        elif match := re.fullmatch(r"dec\.ups\.(\d+)\.\w+", name):
            rate = a.upsample_rates[int(match[1])]
            if kind == "bias":
                yield name, np.tile(array, rate)
            else:
                yield f"{layer}.panels", panels(upsampled(array, rate))
        elif re.search(r"convs_sep\.\d+\.weight", name):
            yield f"{layer}.taps", array[:, 0].T
        elif name == "dec.conv_post.weight":
            yield "dec.conv_post.taps", array[0].T
        elif re.fullmatch(r"dp\.flows\.\d+\.pre\.weight", name):
            yield name, array[:, 0, 0]
        elif re.fullmatch(r".*\bcond(_layer)?\.weight", name):
            yield name, array[:, :, 0]
        elif kind == "weight" and array.ndim == 3:
            yield f"{layer}.panels", panels(flat(array))
        elif kind == "bias" and f"{layer}.weight" in w and "convs_sep" not in name:
            yield name, padded(array) if "cond" not in name else array
        else:
            yield name, array


@examples(40)
@given(packable(), st.sampled_from(FORMS))
def test_each_element_lies_where_the_layout_says(architecture: VitsArchitecture, form: str) -> None:
    assert handled(architecture) == ""
    tensors = stored(architecture)
    found = pack(architecture, tensors, form=form)
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    wanted = dict(expected(architecture, arrays, form))
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        tensor = found[name]
        if array.dtype == np.uint16:
            assert tensor.dtype == torch.bfloat16, name
            np.testing.assert_array_equal(bits_of(tensor), array, err_msg=name)
        else:
            kind = torch.int8 if name.endswith("8") else torch.float32
            assert tensor.dtype == kind, name
            np.testing.assert_array_equal(tensor.numpy(), array, err_msg=name)


@examples(40)
@given(packable())
def test_what_was_packed_comes_back_rounded_and_nothing_else(
    architecture: VitsArchitecture,
) -> None:
    tensors = stored(architecture)
    packed = pack(architecture, tensors)
    back = unpack(architecture, packed)
    assert {name: tuple(t.shape) for name, t in back.items()} == expected_shapes(architecture)
    for name, tensor in back.items():
        assert torch.equal(tensor, tensors[name].to(tensor.dtype)), name
        assert tensor.stride() == tensors[name].stride()
    again = pack(architecture, back)
    assert all(torch.equal(again[name], tensor) for name, tensor in packed.items())


@examples(20)
@given(packable())
def test_what_was_packed_as_int8_comes_back_to_half_a_step(architecture: VitsArchitecture) -> None:
    tensors = stored(architecture)
    packed = pack(architecture, tensors, form=PACKED_INT8)
    back = unpack(architecture, packed, form=PACKED_INT8)
    bfloat16 = unpack(architecture, pack(architecture, tensors))
    for name, tensor in back.items():
        assert tensor.stride() == tensors[name].stride()
        if ".ffn_layers." not in name or not name.endswith("weight"):
            assert torch.equal(tensor, bfloat16[name]), name
            continue
        layer = name.removesuffix(".weight")
        one = torch.ones(tensor.shape[1])
        steps = packed[f"{layer}.scale"][:, None] * packed.get(f"{layer}.balance", one)
        assert tensor.dtype == torch.float32
        assert ((tensor - tensors[name]).abs() <= 0.5001 * steps[:, :, None]).all(), name
    again = pack(architecture, back, form=PACKED_INT8)
    for name, tensor in packed.items():
        assert torch.equal(again[name], tensor) or name.endswith(".scale"), name
        torch.testing.assert_close(again[name], tensor, rtol=1e-6, atol=0)


@examples(10)
@given(packable())
def test_int8_widened_is_what_packing_what_comes_back_gives(architecture: VitsArchitecture) -> None:
    packed = pack(architecture, stored(architecture), form=PACKED_INT8)
    found, size_bytes = widened(architecture, packed)
    check_packed(architecture, found)
    wanted = pack(architecture, unpack(architecture, packed, form=PACKED_INT8))
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())
    kept = {name for name in found if found[name] is packed.get(name)}
    assert size_bytes >= sum(t.nbytes for name, t in found.items() if name not in kept)
    assert len(kept) == len(found) - 2 * architecture.n_layers


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_voices_can_be_packed_into_half_their_bytes(name: str) -> None:
    architecture = PUBLISHED[name]
    assert handled(architecture) == ""
    # Not what is read once for a speaker.
    spared = re.compile(r"emb_g\.|.*\bcond(_layer)?\.")
    packed_bytes = sum(
        math.prod(shape) * dtype.itemsize
        for name, (dtype, shape) in packed_shapes(architecture).items()
        if not spared.match(name)
    )
    canonical_bytes = sum(
        math.prod(shape) * 4
        for name, shape in expected_shapes(architecture).items()
        if not spared.match(name)
    )
    assert 0.5 * canonical_bytes < packed_bytes < 0.53 * canonical_bytes


def test_a_published_voice_comes_back() -> None:
    architecture = PUBLISHED["piper x_low"]
    tensors = stored(architecture)
    packed = pack(architecture, tensors)
    check_packed(architecture, packed)
    for key, tensor in unpack(architecture, packed).items():
        assert torch.equal(tensor, tensors[key].to(tensor.dtype)), key


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("contiguous", [True, False])
def test_weights_of_any_type_and_strides_are_packed(dtype: torch.dtype, contiguous: bool) -> None:
    tensors = {name: tensor.to(dtype) for name, tensor in stored(SMALL).items()}
    whole = pack(SMALL, {name: tensor.float() for name, tensor in tensors.items()})
    if contiguous:
        tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    found = pack(SMALL, tensors)
    assert found.keys() == whole.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in whole.items())


def test_unpacked_in_the_types_asked_for_it_is_a_model() -> None:
    packed = pack(SMALL, stored(SMALL))
    found = unpack(SMALL, packed, lambda _: torch.float32)
    assert {tensor.dtype for tensor in found.values()} == {torch.float32}
    load_model(SMALL, found)


def test_both_ways_give_one_map_that_goes_with_the_last_of_it() -> None:
    packed = pack(SMALL, stored(SMALL))
    for found in (packed, unpack(SMALL, packed)):
        assert len({tensor.untyped_storage().data_ptr() for tensor in found.values()}) == 1
        spans = sorted((t.data_ptr(), t.data_ptr() + t.nbytes) for t in found.values())
        assert all(begin % 64 == 0 for begin, _ in spans)
        assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(spans))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers_are_refused_as_int8(value: float) -> None:
    for name in (
        "ffn_layers.0.conv_1.weight",
        "ffn_layers.0.conv_2.weight",
        "norm_layers_1.0.beta",
    ):
        tensors = stored(SMALL)
        tensors[f"enc_p.encoder.{name}"][-1] = value
        with pytest.raises(EngineError, match=r"enc_p.encoder.*; import the voice again"):
            pack(SMALL, tensors, form=PACKED_INT8)


ROUNDED = ("dec.ups.1.weight", "flow.flows.0.enc.in_layers.0.weight", "dec.conv_pre.weight")
EXACT = ("enc_p.emb.weight", "flow.flows.0.enc.in_layers.0.bias", "dec.cond.weight")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 3.4e38])
@pytest.mark.parametrize("name", [*ROUNDED, *EXACT])
def test_weights_that_are_no_numbers_are_refused(name: str, value: float) -> None:
    tensors = stored(SMALL)
    tensors[name][-1] = value
    if name in EXACT and math.isfinite(value):
        pack(SMALL, tensors)  # It becomes infinite only where it is rounded.
        return
    with pytest.raises(EngineError, match=r"the weights are damaged; import the voice again"):
        pack(SMALL, tensors)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"hidden": 24}, "hidden is 24, which is no multiple of 16"),
        ({"inter": 48}, "half of inter is 24"),
        ({"filter_hidden": 40}, "filter_hidden is 40"),
        ({"dp_hidden": 8}, "dp_hidden is 8"),
        ({"hidden": 48}, "hidden for each of n_heads is 24"),
        ({"upsample_initial": 64}, "upsample_initial after 3 stages is 8"),
        ({"upsample_initial": 129}, "upsample_initial after 0 stages is 129"),
        ({"attention_window": 8}, "attention_window makes 17 offsets, more than 16"),
    ],
)
def test_what_is_not_handled_is_told_and_not_packed(changes: dict[str, int], reason: str) -> None:
    assert handled(SMALL) == ""
    architecture = dataclasses.replace(SMALL, **changes)  # type: ignore[arg-type]
    assert handled(architecture).startswith(reason)
    with pytest.raises(EngineError, match=f"cannot be packed: {reason}.*; import it in the plain"):
        packed_shapes(architecture)
    with pytest.raises(EngineError, match="cannot be packed"):
        pack(architecture, canonical(architecture))
    with pytest.raises(EngineError, match="cannot be packed"):
        unpack(architecture, {})


@pytest.mark.parametrize("name", PRESETS)
def test_narrow_voices_of_tests_are_not_handled(name: str) -> None:
    assert handled(preset(name))


def test_canonical_tensors_that_do_not_fit_are_refused() -> None:
    tensors = stored(SMALL)
    del tensors["dp.proj.bias"]
    with pytest.raises(EngineError, match=r"1 tensors are missing \('dp.proj.bias'\)"):
        pack(SMALL, tensors)


NAME = "enc_p.proj.panels"
SPOILT: dict[str, tuple[str, Callable[[torch.Tensor], dict[str, torch.Tensor]]]] = {
    "renamed": ("are unknown", lambda t: {"x" * 1000: t}),
    "of another type": ("have another type or shape", lambda t: {NAME: t.view(torch.float16)}),
    "too short": ("have another type or shape", lambda t: {NAME: t[:-1]}),
    "flat": ("have another type or shape", lambda t: {NAME: t.flatten()}),
    "transposed": ("lie in pieces", lambda t: {NAME: t.mT.contiguous().mT}),
    "left out": ("are missing", lambda t: {}),
}


@pytest.mark.parametrize("how", SPOILT)
@pytest.mark.parametrize("check", [check_packed, unpack])
def test_packed_tensors_that_do_not_fit_are_refused(how: str, check: Callable[..., object]) -> None:
    packed = pack(SMALL, stored(SMALL))
    check_packed(SMALL, packed)
    fault, spoil = SPOILT[how]
    packed |= spoil(packed.pop(NAME))
    with pytest.raises(EngineError, match=f"1 tensors {fault}.*; import the voice again$") as e:
        check(SMALL, packed)
    assert len(e.value.message) < 300


@pytest.mark.parametrize("kind", ["panels8", "scale", "balance"])
def test_int8_that_does_not_fit_is_refused(kind: str) -> None:
    name = f"enc_p.encoder.ffn_layers.0.conv_1.{kind}"
    packed = pack(SMALL, stored(SMALL), form=PACKED_INT8)
    check_packed(SMALL, packed, PACKED_INT8)
    with pytest.raises(EngineError, match="do not fit"):
        check_packed(SMALL, packed)
    for spoilt in (packed[name][:-1], packed[name].to(torch.float16)):
        with pytest.raises(EngineError, match="1 tensors have another type or shape"):
            unpack(SMALL, {**packed, name: spoilt}, form=PACKED_INT8)
    del packed[name]
    with pytest.raises(EngineError, match="1 tensors are missing"):
        check_packed(SMALL, packed, PACKED_INT8)


def test_a_packed_voice_of_another_architecture_is_refused() -> None:
    packed = pack(SMALL, stored(SMALL))
    for field in ("n_symbols", "n_layers", "flow_layers", "dp_flows", "gin"):
        other = dataclasses.replace(SMALL, **{field: getattr(SMALL, field) + 1})
        with pytest.raises(EngineError, match="do not fit their manifest's architecture"):
            check_packed(other, packed)
