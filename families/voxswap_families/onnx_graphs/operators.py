"""What each operator of a graph may be given, and what comes out of it: types and shapes.

A library that runs graphs checks some of what an operator is given when the graph is loaded, some
while it runs, and some not at all: it divided the least integer by -1, took a window of no length,
looked at inputs that were left out, and ended with the process where a rank was not what it had
expected (`bench.hostile.graphs` finds such things). So all that an operator may be given stands
here, and nothing else is taken: how many inputs, which types, ranks and attributes, and what must
be a constant within bounds. What an input is, is found by following types and shapes through the
graph; where they cannot be followed, the graph is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from voxswap_families.onnx_graphs.tensors import (
    ANY,
    BOOL,
    BYTES,
    FLOAT,
    INT8,
    INT32,
    INT64,
    LARGEST,
    MOST_RANK,
    NUMBERS,
    UINT8,
    WHOLE,
    Dims,
    Tensor,
    axes_in,
    broadcast,
    constant,
    fixed,
    replaced,
    require,
    shape_in,
    typed,
)

_MOST_SCALE = 1024.0

Attributes = Mapping[str, Any]
_Allowed = Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Operator:
    """How an operator may be called.

    ``result`` gets the inputs (None for one that is left out) and the attributes, and gives the
    outputs, as many as the node must have. It raises `OperatorError`.
    """

    inputs: range
    result: Callable[[Sequence[Any], Attributes], Sequence[Tensor]]
    attributes: Mapping[str, _Allowed]
    left_out: frozenset[int]

    def outputs(self, inputs: Sequence[Tensor | None], attributes: Attributes) -> Sequence[Tensor]:
        """What comes out. Raises `OperatorError`."""
        require(len(inputs) in self.inputs, f"has {len(inputs)} inputs")
        for place, tensor in enumerate(inputs):
            require(
                tensor is not None or place in self.left_out, f"is called without input {place}"
            )
        for name, value in attributes.items():
            allowed = self.attributes.get(name)
            require(allowed is not None, f"has the attribute {name[:80]!r}")
            assert allowed is not None  # noqa: S101 - required just now
            require(allowed(value), f"has another {name!r} than is taken")
        found = self.result([*inputs, *[None] * (self.inputs[-1] - len(inputs))], attributes)
        for tensor in found:
            require(tensor.rank <= MOST_RANK, f"gives a tensor of rank {tensor.rank}")
        return found


# Attributes


def _among(*allowed: Any) -> _Allowed:
    return lambda value: type(value) is type(allowed[0]) and value in allowed


def _whole(least: int, most: int) -> _Allowed:
    return lambda value: type(value) is int and least <= value <= most


def _wholes(least: int, most: int) -> _Allowed:
    return lambda value: (
        isinstance(value, list)
        and all(type(number) is int and least <= number <= most for number in value)
    )


def _finite(value: Any) -> bool:
    return type(value) is float and math.isfinite(value)


def _filling(value: Any) -> bool:
    """A tensor of one number, as ConstantOfShape has it."""
    return list(getattr(value, "dims", [])) == [1] and value.data_type in ANY


_AXIS = _whole(-MOST_RANK, MOST_RANK - 1)
_FLAG = _among(0, 1)


def _axis(attributes: Attributes, rank: int, default: int = 0) -> int:
    axis = int(attributes.get("axis", default))
    require(-rank <= axis < rank, f"has the axis {axis} of {rank}")
    return axis % rank


# Operators


def _like_first(types: frozenset[int]) -> Callable[..., Sequence[Tensor]]:
    def result(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
        x, *others = (tensor for tensor in inputs if tensor is not None)
        typed(x, types)
        for other in others:
            typed(other, (x.type,))
        return (Tensor(x.type, broadcast(x.dims, *(other.dims for other in others))),)

    return result


def _softmax(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    x = typed(inputs[0], (FLOAT,))
    _axis(attributes, x.rank, -1)
    return (Tensor(FLOAT, x.dims),)


def _div(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    if inputs[1].type != FLOAT:
        # 0 ends a process, and so does -1 under the least number.
        constant(inputs[1], WHOLE, least=1, most=LARGEST)
    return _like_first(NUMBERS)(inputs, attributes)


def _comparison(types: frozenset[int]) -> Callable[..., Sequence[Tensor]]:
    def result(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
        return (Tensor(BOOL, _like_first(types)(inputs, attributes)[0].dims),)

    return result


def _cast(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    require("to" in attributes, "does not say to what")
    return (Tensor(attributes["to"], typed(inputs[0], ANY).dims),)


def _clip(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    x = typed(inputs[0], NUMBERS)
    for bound in inputs[1:]:
        if bound is not None:
            typed(bound, (x.type,), rank=0)
    return (Tensor(x.type, x.dims),)


def _concat(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    first, *others = (tensor for tensor in inputs if tensor is not None)
    typed(first, ANY)
    axis = _axis(attributes, first.rank, MOST_RANK)  # without one it is refused
    for other in others:
        typed(other, (first.type,), rank=first.rank)
    sizes = [tensor.dims[axis] for tensor in (first, *others)]
    size = None if None in sizes else sum(size for size in sizes if size is not None)
    return (Tensor(first.type, replaced(first.dims, axis, size)),)


def _constant_of_shape(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    value = attributes.get("value")
    return (Tensor(FLOAT if value is None else value.data_type, shape_in(inputs[0])),)


def _expand(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    x, shape = typed(inputs[0], ANY), shape_in(inputs[1])
    # A 0 that is asked for looks like one that is not known: neither is 1.
    return (Tensor(x.type, broadcast(x.dims, shape)),)


def _reshape(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    x, dims = typed(inputs[0], ANY), shape_in(inputs[1])
    numbers = inputs[1].constant
    if len(dims) == 1 and numbers is not None and int(numbers()[0]) == -1:
        dims = (x.size,)
    return (Tensor(x.type, dims),)


def _convolution(
    types: frozenset[int], weight_types: frozenset[int], *, is_transposed: bool = False
) -> Callable[..., Sequence[Tensor]]:
    def result(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
        x, weight = typed(inputs[0], types, rank=3), inputs[1]
        fixed(weight, weight_types, rank=3)
        # (out, in / group, kernel); transposed: (in, out / group, kernel)
        first, second, kernel = (int(size) for size in weight.dims)
        group = attributes.get("group", 1)
        span = attributes.get("dilations", [1])
        stride = attributes.get("strides", [1])
        pads = attributes.get("pads", [0, 0])
        more = attributes.get("output_padding", [0])
        lengths = (len(span), len(stride), len(pads), len(more))
        require(lengths == (1, 1, 2, 1), "is not one over time")
        require(attributes.get("kernel_shape", [kernel]) == [kernel], "has another kernel")
        require(first % group == 0, f"has {group} groups of {first} channels")
        require(max(pads) <= (kernel - 1) * span[0], "is padded by more than its kernel")
        require(more[0] < max(stride[0], span[0]), "has an output padding of a stride or more")
        n_out = second * group if is_transposed else first
        if types == {FLOAT}:
            if inputs[2] is not None:
                fixed(inputs[2], (FLOAT,), rank=1)
                require(inputs[2].dims == (n_out,), "has a bias of another length")
            return (Tensor(FLOAT, (x.dims[0], n_out, None)),)
        typed(inputs[2], (x.type,), rank=0)
        fixed(inputs[3], (weight.type,), rank=0)
        return (Tensor(INT32, (x.dims[0], n_out, None)),)

    return result


def _cum_sum(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    x = typed(inputs[0], NUMBERS)
    constant(inputs[1], WHOLE, rank=0, least=-x.rank, most=x.rank - 1)
    return (Tensor(x.type, x.dims),)


def _dequantize(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    x = typed(inputs[0], BYTES)
    fixed(inputs[1], (FLOAT,), rank=0)
    fixed(inputs[2], (x.type,), rank=0)
    return (Tensor(FLOAT, x.dims),)


def _quantize(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    x = typed(inputs[0], (FLOAT,))
    return (Tensor(UINT8, x.dims), Tensor(FLOAT, ()), Tensor(UINT8, ()))


def _gather(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    x, where = typed(inputs[0], ANY), typed(inputs[1], WHOLE)
    axis = _axis(attributes, x.rank)
    return (Tensor(x.type, (*x.dims[:axis], *where.dims, *x.dims[axis + 1 :])),)


def _normalization(n_inputs: int) -> Callable[..., Sequence[Tensor]]:
    """Of the sum of ``n_inputs`` over the last axis, scaled and moved."""

    def result(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
        x, *others = inputs[:n_inputs]
        typed(x, (FLOAT,))
        require(x.rank > 0, "has an input of rank 0")
        for other in others:
            typed(other, (FLOAT,), rank=x.rank)
        for vector in inputs[n_inputs:]:
            fixed(vector, (FLOAT,), rank=1)
        return (Tensor(FLOAT, x.dims),)

    return result


def _fast_gelu(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    x = typed(inputs[0], (FLOAT,))
    require(x.rank > 0, "has an input of rank 0")
    fixed(inputs[1], (FLOAT,), rank=1)
    return (Tensor(FLOAT, x.dims),)


def _product(left: Tensor, right: Tensor, type_: int) -> Tensor:
    require(min(left.rank, right.rank) >= 2, "has an input of rank 0 or 1")
    batch = broadcast(left.dims[:-2], right.dims[:-2])
    return Tensor(type_, (*batch, left.dims[-2], right.dims[-1]))


def _mat_mul(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    left, right = (typed(tensor, (FLOAT,)) for tensor in inputs)
    for tensor, flag in ((left, "transA"), (right, "transB")):
        require(tensor.rank > 1 or not attributes.get(flag), "transposes a vector")
    found = _product(left, right, FLOAT)
    if attributes:  # which of the dimensions are turned, does not matter further on
        found = Tensor(FLOAT, (None,) * found.rank)
    return (found,)


def _mat_mul_integer(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    left, right = typed(inputs[0], BYTES), inputs[1]
    fixed(right, BYTES, rank=2)
    typed(inputs[2], (left.type,), rank=0)
    fixed(inputs[3], (right.type,))
    require(inputs[3].dims in ((), (1,), right.dims[1:]), "has other zero points than columns")
    return (_product(left, right, INT32),)


def _non_zero(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    x = typed(inputs[0], NUMBERS | {BOOL})
    require(x.rank > 0, "has an input of rank 0")
    return (Tensor(INT64, (x.rank, None)),)


def _pad(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    x = typed(inputs[0], (FLOAT,), rank=3)
    pads = constant(inputs[1], (INT64,), rank=1, least=0, most=LARGEST)
    require(pads.size == 2 * x.rank, "has other padding than dimensions")
    return (Tensor(FLOAT, tuple(
        size if pads[i] == pads[i + x.rank] == 0 else None for i, size in enumerate(x.dims)
    )),)  # fmt: skip


def _range(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    start, limit, step = inputs
    fixed(start, WHOLE, rank=0)
    constant(step, (start.type,), rank=0, least=1, most=LARGEST)
    typed(limit, (start.type,), rank=0)
    return (Tensor(start.type, (None,)),)


def _reduction(types: frozenset[int]) -> Callable[..., Sequence[Tensor]]:
    def result(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
        x = typed(inputs[0], types)
        axes = range(x.rank) if inputs[1] is None else axes_in(inputs[1], x.rank)
        dims = enumerate(x.dims)
        if attributes.get("keepdims", 1):
            return (Tensor(x.type, tuple(1 if i in axes else size for i, size in dims)),)
        return (Tensor(x.type, tuple(size for i, size in dims if i not in axes)),)

    return result


def _resize(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    x = typed(inputs[0], (FLOAT,), rank=3)
    scales = constant(inputs[2], (FLOAT,), rank=1, least=1 / _MOST_SCALE, most=_MOST_SCALE)
    require(scales.size == 3 and scales[0] == scales[1] == 1, "is not one over time")
    return (Tensor(FLOAT, (*x.dims[:2], None)),)


def _stft(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    signal, step, window, length = inputs
    typed(signal, (FLOAT,), rank=2)
    constant(step, WHOLE, rank=0, least=1, most=LARGEST)
    fixed(window, (FLOAT,), rank=1)
    size = int(constant(length, WHOLE, rank=0, least=1, most=LARGEST))
    require(window.dims == (size,), "has a window of another length")
    return (Tensor(FLOAT, (signal.dims[0], None, size // 2 + 1, 2)),)


def _shape_of(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    return (Tensor(INT64, (inputs[0].rank,)),)


def _scatter(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    x, where, what = inputs
    typed(x, NUMBERS)
    typed(where, (INT64,))
    typed(what, (x.type,))
    require(min(x.rank, where.rank) > 0, "has an input of rank 0")
    return (Tensor(x.type, x.dims),)


def _slice(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    x, starts, ends, axes, steps = inputs
    typed(x, ANY)
    n = fixed(starts, (INT64,), rank=1).size or 0
    typed(ends, (INT64,), rank=1)
    require(ends.dims == (n,), "has other ends than starts")
    cut = list(range(n)) if axes is None else axes_in(axes, x.rank)
    require(len(cut) == n <= x.rank, "has other axes than starts")
    if steps is not None:
        require(
            constant(steps, (INT64,), rank=1, least=1, most=LARGEST).size == n, "has other steps"
        )
    dims: Dims = tuple(None if i in cut else size for i, size in enumerate(x.dims))
    whole = x.dims[0] if x.rank else None
    if x.rank == 1 and whole is not None and ends.constant is not None:
        # Shapes are cut so; what is left must be known.
        step = 1 if steps is None else int(steps.constant()[0])
        first, last = int(starts.constant()[0]), int(ends.constant()[0])
        dims = (len(range(*slice(first, last, step).indices(whole))),)
    return (Tensor(x.type, dims),)


def _split(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    x = typed(inputs[0], ANY)
    axis = _axis(attributes, x.rank)
    sizes = constant(inputs[1], (INT64,), rank=1, least=0, most=LARGEST)
    return tuple(Tensor(x.type, replaced(x.dims, axis, int(size))) for size in sizes)


def _squeeze(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    x = typed(inputs[0], ANY)
    axes = axes_in(inputs[1], x.rank)
    return (Tensor(x.type, tuple(size for i, size in enumerate(x.dims) if i not in axes)),)


def _unsqueeze(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    x = typed(inputs[0], ANY)
    n = x.rank + (inputs[1].size or 0)
    axes, left = axes_in(inputs[1], n), iter(x.dims)
    return (Tensor(x.type, tuple(1 if i in axes else next(left) for i in range(n))),)


def _transpose(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    x = typed(inputs[0], ANY)
    order = attributes.get("perm", list(range(x.rank))[::-1])
    require(sorted(order) == list(range(x.rank)), "has an order that is none of its axes")
    return (Tensor(x.type, tuple(x.dims[axis] for axis in order)),)


def _where(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    choice, x, y = inputs
    typed(choice, (BOOL,))
    typed(x, NUMBERS)
    typed(y, (x.type,))
    return (Tensor(x.type, broadcast(choice.dims, x.dims, y.dims)),)


def _lstm(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    x, weight, again, bias, _, hidden, cell, _, scale, zero, scale_again, zero_again = inputs
    n = 2 if attributes.get("direction") == b"bidirectional" else 1
    size = attributes.get("hidden_size", 0)
    typed(x, (FLOAT,), rank=3)
    for tensor, rows in ((weight, weight.dims[1:2]), (again, (size,))):
        fixed(tensor, (INT8,), rank=3)
        require(tensor.dims == (n, *rows, 4 * size), "has weights of another shape")
    fixed(bias, (FLOAT,), rank=2)
    require(bias.dims == (n, 8 * size), "has a bias of another shape")
    for tensor, types in ((scale, (FLOAT,)), (scale_again, (FLOAT,)), (zero, (INT8,)),
                          (zero_again, (INT8,))):  # fmt: skip
        fixed(tensor, types)
        require(tensor.dims == (n,), "has scales of another shape")
    for state in (hidden, cell):
        typed(state, (FLOAT,), rank=3)
    state_dims = (n, x.dims[1], size)
    return (
        Tensor(FLOAT, (x.dims[0], *state_dims[:1], *state_dims[1:])),
        Tensor(FLOAT, state_dims),
        Tensor(FLOAT, state_dims),
    )


def _operator(
    least: int,
    most: int,
    result: Callable[[Sequence[Any], Attributes], Sequence[Tensor]],
    attributes: Mapping[str, _Allowed] = MappingProxyType({}),
    *,
    left_out: Iterable[int] = (),
) -> Operator:
    return Operator(range(least, most + 1), result, attributes, frozenset(left_out))


_FLOATS = frozenset({FLOAT})
_OVER_TIME: Final[Mapping[str, _Allowed]] = MappingProxyType(
    {
        "auto_pad": _among(b"NOTSET"),
        "dilations": _wholes(1, 1024),
        "group": _whole(1, LARGEST),
        "kernel_shape": _wholes(1, 1024),
        "pads": _wholes(0, LARGEST),
        "strides": _wholes(1, 1024),
    }
)
_BACK_OVER_TIME = MappingProxyType({**_OVER_TIME, "output_padding": _wholes(0, 1024)})
_ON_AXIS = MappingProxyType({"axis": _AXIS})
_KEEPING = MappingProxyType({"keepdims": _FLAG, "noop_with_empty_axes": _among(0)})
_RESIZING = MappingProxyType(
    {
        "antialias": _among(0),
        "coordinate_transformation_mode": _among(b"asymmetric", b"half_pixel"),
        "cubic_coeff_a": _finite,
        "exclude_outside": _among(0),
        "extrapolation_value": _finite,
        "keep_aspect_ratio_policy": _among(b"stretch"),
        "mode": _among(b"nearest", b"linear"),
        "nearest_mode": _among(b"floor"),
    }
)
_OF_ONE = ("Atan", "Cos", "Exp", "Floor", "Round", "Sigmoid", "Sin", "Sqrt", "Tanh")
_OF_TWO = ("Add", "Max", "Min", "Mul", "Sub")
_COMPARED = ("Equal", "Greater", "GreaterOrEqual", "Less")

_ONNX: Final[Mapping[str, Operator]] = {
    **{name: _operator(1, 1, _like_first(_FLOATS)) for name in _OF_ONE},
    **{name: _operator(2, 2, _like_first(NUMBERS)) for name in _OF_TWO},
    **{name: _operator(2, 2, _comparison(NUMBERS)) for name in _COMPARED},
    "And": _operator(2, 2, _comparison(frozenset({BOOL}))),
    "Cast": _operator(
        1, 1, _cast, {"to": _among(FLOAT, UINT8, INT8, INT32, INT64, BOOL), "saturate": _FLAG}
    ),
    "Clip": _operator(1, 3, _clip, left_out=(1, 2)),
    "Concat": _operator(1, 16, _concat, _ON_AXIS),
    "ConstantOfShape": _operator(1, 1, _constant_of_shape, {"value": _filling}),
    "Conv": _operator(2, 3, _convolution(_FLOATS, _FLOATS), _OVER_TIME),
    "ConvInteger": _operator(4, 4, _convolution(BYTES, BYTES), _OVER_TIME),
    "ConvTranspose": _operator(
        2, 3, _convolution(_FLOATS, _FLOATS, is_transposed=True), _BACK_OVER_TIME
    ),
    "CumSum": _operator(2, 2, _cum_sum, {"exclusive": _FLAG, "reverse": _FLAG}),
    "DequantizeLinear": _operator(3, 3, _dequantize),
    "Div": _operator(2, 2, _div),
    "DynamicQuantizeLinear": _operator(1, 1, _quantize),
    "Expand": _operator(2, 2, _expand),
    "Gather": _operator(2, 2, _gather, _ON_AXIS),
    "LayerNormalization": _operator(
        3, 3, _normalization(1), {"axis": _among(-1), "epsilon": _finite, "stash_type": _among(1)}
    ),
    "LeakyRelu": _operator(1, 1, _like_first(_FLOATS), {"alpha": _finite}),
    "MatMul": _operator(2, 2, _mat_mul),
    "MatMulInteger": _operator(4, 4, _mat_mul_integer),
    "NonZero": _operator(1, 1, _non_zero),
    "Pad": _operator(2, 2, _pad, {"mode": _among(b"reflect")}),
    "Pow": _operator(2, 2, _like_first(_FLOATS)),
    "Range": _operator(3, 3, _range),
    "ReduceMean": _operator(1, 2, _reduction(_FLOATS), _KEEPING),
    "ReduceSum": _operator(1, 2, _reduction(NUMBERS), _KEEPING),
    "Reshape": _operator(2, 2, _reshape, {"allowzero": _among(0)}),
    "Resize": _operator(3, 3, _resize, _RESIZING, left_out=(1,)),
    "STFT": _operator(4, 4, _stft, {"onesided": _among(1)}),
    "ScatterND": _operator(3, 3, _scatter, {"reduction": _among(b"none")}),
    "Shape": _operator(1, 1, _shape_of, {"start": _among(0)}),
    "Slice": _operator(3, 5, _slice),
    "Softmax": _operator(1, 1, _softmax, _ON_AXIS),
    "Split": _operator(2, 2, _split, _ON_AXIS),
    "Squeeze": _operator(2, 2, _squeeze),
    "Transpose": _operator(1, 1, _transpose, {"perm": _wholes(0, MOST_RANK - 1)}),
    "Unsqueeze": _operator(2, 2, _unsqueeze),
    "Where": _operator(3, 3, _where),
}
_MICROSOFT: Final[Mapping[str, Operator]] = {
    "DynamicQuantizeLSTM": _operator(
        12,
        12,
        _lstm,
        {
            "direction": _among(b"bidirectional", b"forward"),
            "hidden_size": _whole(1, 4096),
            "input_forget": _among(0),
        },
        left_out=(4, 7),
    ),
    "FastGelu": _operator(2, 2, _fast_gelu),
    "FusedMatMul": _operator(
        2,
        2,
        _mat_mul,
        {
            "alpha": _finite,
            "transA": _FLAG,
            "transB": _FLAG,
            "transBatchA": _among(0),
            "transBatchB": _among(0),
        },
    ),
    "SkipLayerNormalization": _operator(4, 4, _normalization(2), {"epsilon": _finite}),
}

# By domain, of which "" is ONNX's own, and name.
OPERATORS: Final = MappingProxyType(
    {"": MappingProxyType(_ONNX), "com.microsoft": MappingProxyType(_MICROSOFT)}
)
