"""The packed form of a VITS voice: every tensor where the native kernels read it.

It has the tensors of the canonical form (`shapes`), laid out anew and nothing else: products in
panels of bfloat16 (`layers.native.packing`), all the rest float32. So it can be undone.

===========================  =======================================================================
``X.panels``, ``X.bias``     a convolution or product; column ``tap * in + channel``; the bias is
                             padded with zeros to whole panels
``….conv_qkv.*``             the queries', keys' and values' projections of a layer, one below
                             another
``….emb_rel_k.panels``       an offset a row; of ``emb_rel_v`` an offset a column, sixteen of them
``….in_layers.*``            gates: panels of the tanh half and of the sigmoid half in turn
``dec.ups.*``                by a rate: row ``s * out + channel`` makes sample ``s`` of these, from
                             ``ceil(kernel / rate)`` frames, earliest first; the bias is repeated
``….taps``                   a convolution of each channel by itself, or to one: ``(kernel, in)``
===========================  =======================================================================

In the form `PACKED_INT8` the encoder's feed-forward layers have ``X.panels8`` of int8 and
``X.scale`` in place of ``X.panels``; the first of each two also ``X.balance``, for each channel of
its input, which a norm gives: how large that may be, the norm's weights tell.

``cond`` layers are ``(out, in)``, and ``dp.flows.i.pre.weight`` is ``(out,)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import TypeAlias

import torch
from torch import Tensor

from voxswap_families.layers.native.packing import (
    PANEL_ROWS,
    byte_panels_shape,
    is_finite,
    pack_byte_panels,
    pack_panels,
    padded,
    panels_shape,
    unpack_byte_panels,
    unpack_panels,
    widen_byte_panels,
)
from voxswap_families.layers.shapes import some_names
from voxswap_families.layers.tensors import anonymous
from voxswap_families.vits import feed_forward
from voxswap_families.vits.architecture import VitsArchitecture, stored_channels_last
from voxswap_families.vits.model import check_shapes, in_canonical_shape
from voxswap_families.vits.packable import PACKED, PACKED_INT8, handled
from voxswap_families.vits.shapes import expected_shapes
from voxswap_registry.errors import EngineError

__all__ = ["check_packed", "handled", "pack", "packed_shapes", "unpack", "widened"]


_View: TypeAlias = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class _Piece:
    """A region of a packed tensor, and the region of a canonical one that lies there."""

    name: str
    canonical: _View
    packed: _View


@dataclass(frozen=True, slots=True)
class _Entry:
    """A packed tensor. Of bfloat16 or int8 are panels, and no others.

    Scale and balance have no pieces: panels of int8 have the canonical tensor, and write them.
    """

    shape: tuple[int, ...]
    pieces: tuple[_Piece, ...]
    dtype: torch.dtype = torch.float32


def packed_shapes(
    architecture: VitsArchitecture, form: str = PACKED
) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    """Every tensor of a voice in ``form``. Raises `EngineError` for what is not `handled`."""
    entries = _entries(architecture, form)
    return {name: (entry.dtype, entry.shape) for name, entry in entries.items()}


def pack(
    architecture: VitsArchitecture,
    tensors: Mapping[str, Tensor],
    pack_panels: Callable[[Tensor, Tensor], bool] = pack_panels,
    *,
    form: str = PACKED,
) -> dict[str, Tensor]:
    """Canonical ``tensors`` in ``form``, in one anonymous map that goes with the last of them.

    ``pack_panels`` does what `packing.pack_panels` does. Fastest if they have the strides of
    `model.in_canonical_shape`. Raises `EngineError` if they are not those of ``architecture``, if
    that is not `handled`, or if a weight is no number, and `DeviceMemoryError`.
    """
    check_shapes(architecture, {name: tuple(tensor.shape) for name, tensor in tensors.items()})
    packed, _ = anonymous(packed_shapes(architecture, form))
    sound, plain = True, list[Tensor]()
    for name, entry in _entries(architecture, form).items():
        into = packed[name]
        for piece in entry.pieces:
            source, place = piece.canonical(tensors[piece.name]), piece.packed(into)
            if entry.dtype == torch.bfloat16:
                sound = pack_panels(source, place) and sound
            elif entry.dtype == torch.int8:
                feed_forward.place_balance(tensors, packed, name)
                pack_byte_panels(source, place, *feed_forward.scales(packed, name))
            else:
                place.copy_(source)
        if entry.dtype == torch.float32:
            plain.append(into.flatten())
    if not (sound and is_finite(torch.cat(plain))):
        damaged = [name for name, tensor in packed.items() if not is_finite(tensor)]
        raise EngineError(
            f"{some_names(damaged)} holds what is no number: the weights are damaged; import the "
            "voice again"
        )
    return packed


def unpack(
    architecture: VitsArchitecture,
    packed: Mapping[str, Tensor],
    dtype_of: Callable[[str], torch.dtype] | None = None,
    *,
    form: str = PACKED,
) -> dict[str, Tensor]:
    """The canonical tensors of ``packed``, in the strides of `model.in_canonical_shape`.

    They are ``dtype_of`` their names, or else what they are packed as (float32 for int8), and lie
    in one anonymous map that goes with the last of them. Raises `EngineError` as `check_packed`
    does, and `DeviceMemoryError`.
    """
    check_packed(architecture, packed, form)
    entries = _entries(architecture, form)
    kinds = {
        piece.name: torch.float32 if entry.dtype == torch.int8 else entry.dtype
        for entry in entries.values()
        for piece in entry.pieces
    }
    layout = {
        name: (
            dtype_of(name) if dtype_of else kinds[name],
            (shape[0], shape[2], shape[1]) if stored_channels_last(name, len(shape)) else shape,
        )
        for name, shape in expected_shapes(architecture).items()
    }
    tensors = in_canonical_shape(anonymous(layout)[0])
    for name, entry in entries.items():
        for piece in entry.pieces:
            place, into = piece.packed(packed[name]), piece.canonical(tensors[piece.name])
            if entry.dtype == torch.bfloat16:
                unpack_panels(place, into)
            elif entry.dtype == torch.int8:
                scale, balance = feed_forward.scales(packed, name)
                unpack_byte_panels(place, scale, into, balance)
            else:
                into.copy_(place)
    return tensors


def widened(
    architecture: VitsArchitecture, packed: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], int]:
    """``packed``, of the form `PACKED_INT8`, as `PACKED`, and how many bytes of it are new.

    Those lie in one anonymous map; all others stay where they are. Raises `DeviceMemoryError`.
    """
    layout = packed_shapes(architecture)
    made, size_bytes = anonymous({n: kind for n, kind in layout.items() if n not in packed})
    for name, panels in made.items():
        narrow = f"{name}8"
        scale, balance = feed_forward.scales(packed, narrow)
        widen_byte_panels(packed[narrow], scale, panels, balance)
    return {name: made[name] if name in made else packed[name] for name in layout}, size_bytes


def check_packed(
    architecture: VitsArchitecture, found: Mapping[str, Tensor], form: str = PACKED
) -> None:
    """Raise `EngineError` unless ``found`` are just the tensors of ``architecture`` in ``form``.

    By name, type, shape and strides, so whatever passes may be read by pointers. Not by value.
    """
    expected = packed_shapes(architecture, form)
    kinds = {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in found.items()}
    faults = [
        f"{len(names)} tensors {what} ({some_names(names)})"
        for what, names in (
            ("are missing", expected.keys() - kinds.keys()),
            ("are unknown", kinds.keys() - expected.keys()),
            (
                "have another type or shape",
                {n for n, kind in expected.items() if kinds.get(n, kind) != kind},
            ),
            ("lie in pieces", {n for n, tensor in found.items() if not tensor.is_contiguous()}),
        )
        if names
    ]
    if faults:
        raise EngineError(
            "the packed weights do not fit their manifest's architecture: "
            f"{'; '.join(faults)}; import the voice again"
        )


@lru_cache(maxsize=16)
def _entries(architecture: VitsArchitecture, form: str) -> Mapping[str, _Entry]:
    if why_not := handled(architecture):
        raise EngineError(
            f"weights of this voice cannot be packed: {why_not}; import it in the plain form"
        )
    shapes = expected_shapes(architecture)
    entries: dict[str, _Entry] = {}
    for name, shape in shapes.items():
        is_byte = form == PACKED_INT8 and feed_forward.has(name)
        entries.update(_bytes(name, shape) if is_byte else _entry(architecture, name, shape))
    return MappingProxyType(entries)


_Named: TypeAlias = Iterator[tuple[str, _Entry]]


def _entry(a: VitsArchitecture, name: str, shape: tuple[int, ...]) -> _Named:
    """The packed tensor that begins with the canonical tensor ``name``; none if another has it."""
    layer, _, kind = name.rpartition(".")
    place = layer.rpartition(".")[2]
    if kind in {"emb_rel_k", "emb_rel_v"}:
        yield f"{name}.panels", _relative(name, shape, transposed=kind == "emb_rel_v")
    elif place in {"conv_q", "conv_k", "conv_v"}:
        if place == "conv_q":
            yield from _projections(layer.removesuffix("_q"), kind, shape)
    elif place in {"cond", "cond_layer"}:
        yield name, _flat(name, shape[:2])
    elif place == "pre" and layer.startswith("dp.flows."):
        yield name, _flat(name, shape[:1])
    elif ".convs_sep." in name or layer == "dec.conv_post":
        yield _taps(layer, shape) if kind == "weight" else (name, _flat(name, shape))
    elif layer.startswith("dec.ups."):
        yield _upsampling(layer, kind, shape, a.upsample_rates[int(place)])
    elif ".in_layers." in layer:
        yield _gates(layer, kind, shape)
    elif kind == "weight" and len(shape) == 3:
        yield f"{layer}.panels", _panels(shape[0], math.prod(shape[1:]), _Piece(name, _rows, _same))
    elif kind == "bias":
        yield name, _bias(shape[0], _Piece(name, _same, lambda bias: bias[: shape[0]]))
    else:
        yield name, _flat(name, shape)


def _flat(name: str, shape: tuple[int, ...]) -> _Entry:
    """Float32 numbers in their own order."""
    return _Entry(shape, (_Piece(name, lambda tensor: tensor.reshape(shape), _same),))


def _bytes(name: str, shape: tuple[int, ...]) -> _Named:
    layer, panels = name.removesuffix(".weight"), byte_panels_shape(shape[0], math.prod(shape[1:]))
    yield f"{layer}.panels8", _Entry(panels, (_Piece(name, _rows, _same),), torch.int8)
    yield f"{layer}.scale", _Entry((padded(shape[0]),), ())
    if feed_forward.is_balanced(layer):
        yield f"{layer}.balance", _Entry((shape[1],), ())


def _panels(rows: int, columns: int, *pieces: _Piece) -> _Entry:
    return _Entry(panels_shape(rows, columns), pieces, torch.bfloat16)


def _bias(rows: int, *pieces: _Piece) -> _Entry:
    """What no piece covers is zero, as the map is that it lies in."""
    return _Entry((padded(rows),), pieces)


def _same(tensor: Tensor) -> Tensor:
    return tensor


def _rows(weight: Tensor) -> Tensor:
    """``(out, in, kernel)`` as ``(out, kernel * in)``: a view, of a weight as it is stored."""
    return weight.transpose(1, 2).reshape(weight.shape[0], -1)


def _relative(name: str, shape: tuple[int, ...], *, transposed: bool) -> _Entry:
    _, offsets, size = shape
    if not transposed:
        return _panels(offsets, size, _Piece(name, lambda table: table[0], _same))
    return _panels(size, PANEL_ROWS, _Piece(name, lambda table: table[0].t(), _same))


def _projections(layer: str, kind: str, shape: tuple[int, ...]) -> _Named:
    """Queries', keys' and values', one below another."""
    out = shape[0]
    sources = [f"{layer}_{which}.{kind}" for which in "qkv"]
    if kind == "bias":
        pieces = [_Piece(s, _same, _part(i * out, out)) for i, s in enumerate(sources)]
        yield f"{layer}_qkv.bias", _bias(3 * out, *pieces)
    else:
        panels = out // PANEL_ROWS
        pieces = [_Piece(s, _rows, _part(i * panels, panels)) for i, s in enumerate(sources)]
        yield f"{layer}_qkv.panels", _panels(3 * out, shape[1], *pieces)


def _gates(layer: str, kind: str, shape: tuple[int, ...]) -> tuple[str, _Entry]:
    """Of the first half of the rows tanh is taken, of the other the sigmoid: panels in turns."""
    name = f"{layer}.{kind}"
    if kind == "bias":
        pieces = [_Piece(name, _half(i, _by_panel), _in_turn(i, _by_panel)) for i in range(2)]
        return name, _bias(shape[0], *pieces)
    pieces = [_Piece(name, _half(i, _rows), _in_turn(i)) for i in range(2)]
    return f"{layer}.panels", _panels(shape[0], math.prod(shape[1:]), *pieces)


def _upsampling(layer: str, kind: str, shape: tuple[int, ...], rate: int) -> tuple[str, _Entry]:
    """A transposed convolution as a product: ``rate`` samples of a frame and of those before it."""
    name = f"{layer}.{kind}"
    if kind == "bias":
        repeated = [_Piece(name, _same, _part(s * shape[0], shape[0])) for s in range(rate)]
        return name, _bias(rate * shape[0], *repeated)
    inputs, out, kernel = shape
    taps, panels, pairs = -(-kernel // rate), out // PANEL_ROWS, inputs // 2
    pieces = [
        _Piece(name, _at(where), _block(sample * panels, panels, tap * pairs, pairs))
        for sample in range(rate)
        for tap in range(taps)
        if (where := sample + (taps - 1 - tap) * rate) < kernel
    ]
    return f"{layer}.panels", _panels(rate * out, taps * inputs, *pieces)


def _taps(layer: str, shape: tuple[int, ...]) -> tuple[str, _Entry]:
    """``(channels, 1, kernel)`` or ``(1, channels, kernel)`` as ``(kernel, channels)``."""
    piece = _Piece(f"{layer}.weight", lambda weight: weight.flatten(0, 1).t(), _same)
    return f"{layer}.taps", _Entry((shape[2], shape[0] * shape[1]), (piece,))


# Regions, as views.


def _part(begin: int, length: int) -> _View:
    return lambda tensor: tensor[begin : begin + length]


def _block(panel: int, panels: int, pair: int, pairs: int) -> _View:
    return lambda tensor: tensor[panel : panel + panels, pair : pair + pairs]


def _at(tap: int) -> _View:
    """``(out, in)`` of a transposed convolution's ``(in, out, kernel)``."""
    return lambda weight: weight[:, :, tap].t()


def _half(which: int, view: _View) -> _View:
    """The first or the second half of the rows that ``view`` gives."""
    return lambda tensor: view(tensor).chunk(2)[which]


def _in_turn(which: int, view: _View = _same) -> _View:
    """Of the panels that ``view`` gives, those at even or at odd places."""
    return lambda tensor: view(tensor)[which::2]


def _by_panel(bias: Tensor) -> Tensor:
    return bias.view(-1, PANEL_ROWS)
