"""What each operator of a graph may be given: inputs, attributes, and what must be constant.

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

from voxswap_families.onnx_graphs import results
from voxswap_families.onnx_graphs.results import Attributes
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
    Tensor,
    require,
)

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
    **{name: _operator(1, 1, results.like_first(_FLOATS)) for name in _OF_ONE},
    **{name: _operator(2, 2, results.like_first(NUMBERS)) for name in _OF_TWO},
    **{name: _operator(2, 2, results.comparison(NUMBERS)) for name in _COMPARED},
    "And": _operator(2, 2, results.comparison(frozenset({BOOL}))),
    "Cast": _operator(
        1,
        1,
        results.cast,
        {"to": _among(FLOAT, UINT8, INT8, INT32, INT64, BOOL), "saturate": _FLAG},
    ),
    "Clip": _operator(1, 3, results.clip, left_out=(1, 2)),
    "Concat": _operator(1, 16, results.concat, _ON_AXIS),
    "ConstantOfShape": _operator(1, 1, results.constant_of_shape, {"value": _filling}),
    "Conv": _operator(2, 3, results.convolution(_FLOATS, _FLOATS), _OVER_TIME),
    "ConvInteger": _operator(4, 4, results.convolution(BYTES, BYTES), _OVER_TIME),
    "ConvTranspose": _operator(
        2, 3, results.convolution(_FLOATS, _FLOATS, is_transposed=True), _BACK_OVER_TIME
    ),
    "CumSum": _operator(2, 2, results.cum_sum, {"exclusive": _FLAG, "reverse": _FLAG}),
    "DequantizeLinear": _operator(3, 3, results.dequantize),
    "Div": _operator(2, 2, results.div),
    "DynamicQuantizeLinear": _operator(1, 1, results.quantize),
    "Expand": _operator(2, 2, results.expand),
    "Gather": _operator(2, 2, results.gather, _ON_AXIS),
    "LayerNormalization": _operator(
        3,
        3,
        results.normalization(1),
        {"axis": _among(-1), "epsilon": _finite, "stash_type": _among(1)},
    ),
    "LeakyRelu": _operator(1, 1, results.like_first(_FLOATS), {"alpha": _finite}),
    "MatMul": _operator(2, 2, results.mat_mul),
    "MatMulInteger": _operator(4, 4, results.mat_mul_integer),
    "NonZero": _operator(1, 1, results.non_zero),
    "Pad": _operator(2, 2, results.pad, {"mode": _among(b"reflect")}),
    "Pow": _operator(2, 2, results.like_first(_FLOATS)),
    "Range": _operator(3, 3, results.counted),
    "ReduceMean": _operator(1, 2, results.reduction(_FLOATS), _KEEPING),
    "ReduceSum": _operator(1, 2, results.reduction(NUMBERS), _KEEPING),
    "Reshape": _operator(2, 2, results.reshape, {"allowzero": _among(0)}),
    "Resize": _operator(3, 3, results.resize, _RESIZING, left_out=(1,)),
    "STFT": _operator(4, 4, results.stft, {"onesided": _among(1)}),
    "ScatterND": _operator(3, 3, results.scatter, {"reduction": _among(b"none")}),
    "Shape": _operator(1, 1, results.shape_of, {"start": _among(0)}),
    "Slice": _operator(3, 5, results.sliced),
    "Softmax": _operator(1, 1, results.softmax, _ON_AXIS),
    "Split": _operator(2, 2, results.split, _ON_AXIS),
    "Squeeze": _operator(2, 2, results.squeeze),
    "Transpose": _operator(1, 1, results.transpose, {"perm": _wholes(0, MOST_RANK - 1)}),
    "Unsqueeze": _operator(2, 2, results.unsqueeze),
    "Where": _operator(3, 3, results.where),
}
_MICROSOFT: Final[Mapping[str, Operator]] = {
    "DynamicQuantizeLSTM": _operator(
        12,
        12,
        results.lstm,
        {
            "direction": _among(b"bidirectional", b"forward"),
            "hidden_size": _whole(1, 4096),
            "input_forget": _among(0),
        },
        left_out=(4, 7),
    ),
    "FastGelu": _operator(2, 2, results.fast_gelu),
    "FusedMatMul": _operator(
        2,
        2,
        results.mat_mul,
        {
            "alpha": _finite,
            "transA": _FLAG,
            "transB": _FLAG,
            "transBatchA": _among(0),
            "transBatchB": _among(0),
        },
    ),
    "SkipLayerNormalization": _operator(4, 4, results.normalization(2), {"epsilon": _finite}),
}

# By domain, of which "" is ONNX's own, and name.
OPERATORS: Final = MappingProxyType(
    {"": MappingProxyType(_ONNX), "com.microsoft": MappingProxyType(_MICROSOFT)}
)
