"""Hostile Kokoro bases: the right ports around operators that are given what they should not be.

Each graph has the inputs and outputs of a base and speaks a short hum, so that nothing but what is
odd about it keeps it from running. Some are made by hand, the others are drawn from a seed: an
operator, attributes and inputs for it that would do, and then some of them exchanged for what would
not: other ranks, nothing at all, extremes, and values and shapes that are only known while it runs.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper, numpy_helper

N_SYMBOLS, HOP = 178, 600

_MS = "com.microsoft"
_ONNX_TYPES = {
    "f": TensorProto.FLOAT,
    "l": TensorProto.INT64,
    "i": TensorProto.INT32,
    "B": TensorProto.UINT8,
    "b": TensorProto.INT8,
    "?": TensorProto.BOOL,
}
_EXTREMES: Mapping[str, Sequence[float]] = {
    "f": (0.0, -0.0, 1.0, -1.0, 0.5, 1e-40, 1e30, -1e30, float("inf"), float("-inf"), float("nan")),
    "l": (0, 1, -1, 2, 3, 5, 1 << 16, -(1 << 16), 1 << 31, 1 << 40, (1 << 63) - 1, -(1 << 63)),
    "i": (0, 1, -1, 2, 3, 5, 1 << 16, -(1 << 16), (1 << 31) - 1, -(1 << 31)),
    "B": (0, 1, 2, 127, 255),
    "b": (0, 1, -1, 127, -128),
    "?": (0, 1),
}
_NUMBERS, _WHOLE = "flib", "li"
_ODD_INTEGERS = (-2, -1, 0, 1, 2, 3, 7, 600, 1 << 16, -(1 << 16))

Array = npt.NDArray[Any]
Attributes = dict[str, Any]


@dataclass(frozen=True, slots=True)
class HostileGraph:
    """A ``ModelProto`` in bytes, and what is odd about it, for people."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class _Input:
    """What an operator usually gets: letters of types of which one is drawn, shape and values.

    Without letters it has the type of the first input.
    """

    types: str
    shape: tuple[int, ...] = (1, 3, 4)
    values: tuple[float, ...] | None = None
    is_constant: bool = False


@dataclass(frozen=True, slots=True)
class _Recipe:
    """How an operator is usually called."""

    inputs: tuple[_Input, ...]
    attributes: Attributes
    n_outputs: int = 1
    domain: str = ""


def _recipe(*inputs: _Input, n_outputs: int = 1, domain: str = "", **attributes: object) -> _Recipe:
    return _Recipe(inputs, dict(attributes), n_outputs, domain)


def _fixed(types: str, shape: tuple[int, ...] = (), values: Sequence[float] = (1,)) -> _Input:
    return _Input(types, shape, tuple(values), is_constant=True)


_X, _SAME, _NUMBER = _Input("f"), _Input(""), _Input(_NUMBERS)
_AXES, _SHAPE = _fixed("l", (1,)), _Input("l", (3,), (1, 3, 4))
_VECTOR = _fixed("f", (4,), (1, -1, 0.5))
_OVER_TIME: Attributes = {
    "kernel_shape": [3], "strides": [1], "dilations": [1], "pads": [1, 1], "group": 1,
}  # fmt: skip
_OF_ONE = ("Atan", "Cos", "Exp", "Floor", "Round", "Sigmoid", "Sin", "Sqrt", "Tanh")
_OF_TWO = ("Add", "Sub", "Mul", "Div", "Max", "Min")
_COMPARED = ("Equal", "Greater", "GreaterOrEqual", "Less")

_RECIPES: Mapping[str, _Recipe] = {
    **{name: _recipe(_X) for name in _OF_ONE},
    **{name: _recipe(_NUMBER, _SAME) for name in (*_OF_TWO, *_COMPARED)},
    "And": _recipe(_Input("?"), _Input("?")),
    "Cast": _recipe(_Input("flibB?"), to=1, saturate=1),
    "Clip": _recipe(_NUMBER, _Input("", (), (0,)), _Input("", (), (1,))),
    "Concat": _recipe(_Input("flibB?"), _SAME, axis=1),
    "ConstantOfShape": _recipe(_SHAPE, value="f"),
    "Conv": _recipe(
        _Input("f", (1, 4, 9)), _fixed("f", (2, 4, 3)), _fixed("f", (2,)), **_OVER_TIME
    ),
    "ConvInteger": _recipe(
        _Input("B", (1, 4, 9)), _fixed("B", (2, 4, 3)), _Input("B", ()), _fixed("B"), **_OVER_TIME
    ),
    "ConvTranspose": _recipe(
        _Input("f", (1, 4, 9)), _fixed("f", (4, 2, 3)), output_padding=[0], **_OVER_TIME
    ),
    "CumSum": _recipe(_NUMBER, _fixed("l"), exclusive=0, reverse=0),
    "DequantizeLinear": _recipe(_Input("Bb"), _fixed("f", (), (0.5,)), _fixed("")),
    "DynamicQuantizeLinear": _recipe(_X, n_outputs=3),
    "Expand": _recipe(_NUMBER, _SHAPE),
    "Gather": _recipe(_NUMBER, _Input("li", (2,), (0, 1)), axis=1),
    "LayerNormalization": _recipe(_X, _VECTOR, _VECTOR, axis=-1, epsilon=1e-5, stash_type=1),
    "LeakyRelu": _recipe(_X, alpha=0.1),
    "MatMul": _recipe(_Input("f", (2, 3)), _Input("f", (3, 2))),
    "MatMulInteger": _recipe(
        _Input("B", (2, 3)), _fixed("b", (3, 2)), _Input("B", ()), _fixed("b", (2,))
    ),
    "NonZero": _recipe(_NUMBER),
    "Pad": _recipe(_X, _fixed("l", (6,), (0, 0, 2, 0, 0, 2)), mode=b"reflect"),
    "Pow": _recipe(_X, _X),
    "Range": _recipe(_fixed("li", (), (0,)), _Input("", (), (5,)), _fixed("")),
    "ReduceMean": _recipe(_X, _AXES, keepdims=1, noop_with_empty_axes=0),
    "ReduceSum": _recipe(_NUMBER, _AXES, keepdims=1, noop_with_empty_axes=0),
    "Reshape": _recipe(_NUMBER, _SHAPE, allowzero=0),
    "Resize": _recipe(
        _X, _Input("f", (0,)), _fixed("f", (3,), (1, 1, 2)), mode=b"nearest",
        coordinate_transformation_mode=b"asymmetric", nearest_mode=b"floor", cubic_coeff_a=-0.75,
        extrapolation_value=0.0, exclude_outside=0, antialias=0,
    ),
    "STFT": _recipe(
        _Input("f", (1, 60)), _fixed("l", (), (5,)), _fixed("f", (20,)), _fixed("l", (), (20,)),
        onesided=1,
    ),
    "ScatterND": _recipe(
        _Input(_NUMBERS, (4, 3)), _Input("l", (2, 1), (0, 1)), _Input("", (2, 3)), reduction=b"none"
    ),
    "Shape": _recipe(_NUMBER, start=0),
    "Slice": _recipe(
        _NUMBER, _fixed("l", (1,)), _Input("l", (1,), (3,)), _fixed("l", (1,)), _fixed("l", (1,))
    ),
    "Softmax": _recipe(_X, axis=-1),
    "Split": _recipe(_NUMBER, _fixed("l", (2,), (1, 2)), axis=1, n_outputs=2),
    "Squeeze": _recipe(_NUMBER, _fixed("l", (1,), (0,))),
    "Transpose": _recipe(_NUMBER, perm=[0, 2, 1]),
    "Unsqueeze": _recipe(_NUMBER, _AXES),
    "Where": _recipe(_Input("?"), _X, _X),
    "DynamicQuantizeLSTM": _recipe(
        _Input("f", (5, 1, 8)), _fixed("b", (2, 8, 16)), _fixed("b", (2, 4, 16)),
        _fixed("f", (2, 32)), _Input("i", (1,), (5,)), _Input("f", (2, 1, 4)),
        _Input("f", (2, 1, 4)), _Input("f", (2, 12)), _fixed("f", (2,)), _fixed("b", (2,)),
        _fixed("f", (2,)), _fixed("b", (2,)),
        direction=b"bidirectional", hidden_size=4, input_forget=0, n_outputs=3, domain=_MS,
    ),
    "FastGelu": _recipe(_X, _VECTOR, domain=_MS),
    "FusedMatMul": _recipe(
        _Input("f", (1, 3, 2)), _Input("f", (1, 3, 2)), transA=1, transB=0, alpha=1.0,
        transBatchA=0, transBatchB=0, domain=_MS,
    ),
    "SkipLayerNormalization": _recipe(_X, _X, _VECTOR, _VECTOR, epsilon=1e-5, domain=_MS),
}  # fmt: skip
# Usually left out, by operator.
_LEFT_OUT = {"Resize": {1}, "DynamicQuantizeLSTM": {4, 7}}


class _Builder:
    """A graph on its way. What it says is a hum, plus nothing times what is odd."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._weights: dict[str, Array] = {}
        self._zero: dict[str, str] = {}

    def weight(self, array: object) -> str:
        """A constant."""
        name = f"w{len(self._weights)}"
        self._weights[name] = np.asarray(array)
        return name

    def node(
        self, op_type: str, inputs: Sequence[str], *, n_outputs: int = 1, domain: str = "",
        **attributes: Any,
    ) -> str:  # fmt: skip
        """The first output of a new node."""
        outputs = [f"n{len(self._nodes)}_{i}" for i in range(n_outputs)]
        attributes = {name: value for name, value in attributes.items() if value is not None}
        self._nodes.append(
            helper.make_node(
                op_type, inputs, outputs, name=outputs[0], domain=domain or None, **attributes
            )
        )
        return outputs[0]

    def computed(self, array: Array) -> str:
        """The same numbers, and nobody knows before it runs. Any are possible, for all bounds."""
        kind = array.dtype.char if array.dtype.char in _ONNX_TYPES else "l"
        if kind == "f":
            return self.node("Add", [self.weight(array), self._zero_of("f")])
        digits, left = [], [int(number) for number in array.ravel()]
        for _ in range(4):
            digits.append([number & 0xFFFF for number in left])
            left = [number >> 16 for number in left]
        digits[-1] = [n - (1 << 16) if n >> 15 else n for n in digits[-1]]
        name, base = self._zero_of("l"), self.weight(np.int64(1 << 16))
        for digit in reversed(digits):
            low = self.weight(np.array(digit, np.int64).reshape(array.shape))
            name = self.node("Add", [self.node("Mul", [name, base]), low])
        return name if kind == "l" else self.node("Cast", [name], to=_ONNX_TYPES[kind])

    def hidden(self, name: str, shape: Sequence[int]) -> str:
        """The tensor ``name`` with a shape, and even a rank, that nobody knows before it runs."""
        sizes = self.weight(np.array(shape, np.int64))
        end = self.computed(np.array([len(shape)], np.int64))
        start = self.weight(np.array([0]))
        return self.node("Reshape", [name, self.node("Slice", [sizes, start, end])])

    def veiled(self, name: str, shape: Sequence[int]) -> str:
        """The tensor ``name`` with a shape of which nothing but the rank is known."""
        return self.node("Reshape", [name, self.computed(np.array(shape, np.int64))])

    def _zero_of(self, kind: str) -> str:
        if kind not in self._zero:
            self._zero["f"] = self.node("Mul", ["most_frames", self.weight(np.float32(0))])
            self._zero["l"] = self.node("Cast", [self._zero["f"]], to=_ONNX_TYPES["l"])
        return self._zero[kind]

    def model(self, odd: str) -> bytes:
        """The base, to whose audio belongs nothing times ``odd``."""
        flat = self.weight(np.array([-1]))
        table = self.weight((1 + np.arange(N_SYMBOLS) % 7).astype(np.float32))
        self._nodes.append(helper.make_node("Gather", [table, "tokens"], ["durations"]))
        counted = self.node("Cast", ["durations"], to=_ONNX_TYPES["l"])
        frames = self.node("ReduceSum", [counted], keepdims=0)
        samples = self.node("Mul", [frames, self.weight(np.int64(HOP))])
        shape = self.node("Reshape", [samples, flat])
        hum = self.node("Reshape", [self.node("ReduceMean", ["style"], keepdims=0), flat])
        long_hum = self.node("Expand", [hum, shape])
        # Whatever it is: its size, as a number, times nothing.
        size = self.node("Shape", [odd])
        n = self.node("ReduceSum", [size], keepdims=0)
        nothing = self.node("Mul", [self.node("Cast", [n], to=_ONNX_TYPES["f"]),
                                    self.weight(np.float32(0))])  # fmt: skip
        self._nodes.append(helper.make_node("Add", [long_hum, nothing], ["audio"]))
        graph = helper.make_graph(
            self._nodes,
            "hostile",
            [
                helper.make_tensor_value_info("tokens", TensorProto.INT64, [1, "n"]),
                helper.make_tensor_value_info("style", TensorProto.FLOAT, [1, 256]),
                helper.make_tensor_value_info("speed", TensorProto.FLOAT, [1]),
                helper.make_tensor_value_info("most_frames", TensorProto.FLOAT, []),
            ],
            [
                helper.make_tensor_value_info("audio", TensorProto.FLOAT, ["samples"]),
                helper.make_tensor_value_info("durations", TensorProto.FLOAT, [1, "n"]),
            ],
            [numpy_helper.from_array(array, name) for name, array in self._weights.items()],
        )
        opsets = [helper.make_opsetid("", 20)]
        if any(node.domain for node in self._nodes):
            opsets.append(helper.make_opsetid(_MS, 1))
        model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
        return bytes(model.SerializeToString())


def hostile_graphs(seed: int, count: int) -> Iterator[HostileGraph]:
    """``count`` graphs: first those made by hand, then those that ``seed`` draws."""
    made = list(_BY_HAND.items())
    for name, make in made[:count]:
        builder = _Builder()
        yield HostileGraph(name, builder.model(make(builder)))
    for i in range(count - len(made)):
        yield _drawn(random.Random(f"{seed}/{i}"))


def _drawn(rng: random.Random) -> HostileGraph:
    op_type = rng.choice(sorted(_RECIPES))
    recipe = _RECIPES[op_type]
    builder, first = _Builder(), rng.choice(recipe.inputs[0].types)
    oddity = rng.choice((0.0, 0.05, 0.2, 0.5))
    told, names = [], []
    for place, wanted in enumerate(recipe.inputs):
        is_usual = place not in _LEFT_OUT.get(op_type, ())
        if (rng.random() < oddity / 4) is is_usual:
            names.append("")
            told.append("-")
            continue
        kind = rng.choice(wanted.types or first) if place else first
        shape, values = _shape(rng, wanted.shape, oddity), wanted.values
        if values is None or rng.random() < oddity:
            values = tuple(rng.choice(_EXTREMES[kind]) for _ in range(rng.randint(1, 4)))
        array = _array(kind, shape, values)
        is_computed = rng.random() < (oddity / 4 if wanted.is_constant else 0.7)
        if is_computed or _is_beyond(array):
            name, mark, veil = builder.computed(array), " computed", rng.random()
            if veil < 0.5:
                name, mark = builder.veiled(name, array.shape), " of a shape that is computed"
            elif veil < 0.55:
                name, mark = builder.hidden(name, array.shape), " of a rank that is computed"
        else:
            name, mark = builder.weight(array), ""
        names.append(name)
        told.append(f"{kind}{list(array.shape)} = {list(values)[:4]}{mark}")
    attributes = {name: _oddly(rng, name, v, oddity) for name, v in recipe.attributes.items()}
    if rng.random() < oddity / 4:
        attributes[rng.choice(("auto_pad", "axis", "mode"))] = rng.choice((b"VALID", b"x", 3, -9))
    odd = builder.node(
        op_type, names, n_outputs=recipe.n_outputs, domain=recipe.domain, **attributes
    )
    shown = {name: value for name, value in attributes.items() if not hasattr(value, "dims")}
    return HostileGraph(f"{op_type}({', '.join(told)}) {shown}", builder.model(odd))


def _shape(rng: random.Random, usual: tuple[int, ...], oddity: float) -> tuple[int, ...]:
    """The usual shape, one of its rank, or any."""
    if rng.random() >= oddity:
        return usual
    rank = len(usual) if rng.random() < 0.7 else rng.randrange(5)
    return tuple(rng.choice((0, 1, 1, 2, 3, 4, 9)) for _ in range(rank))


def _array(kind: str, shape: Sequence[int], values: Sequence[float]) -> Array:
    # By Python's own whole numbers: a float has no room for the largest ones.
    array = np.empty(shape, kind if kind != "?" else bool)
    for place in range(array.size):
        array.reshape(-1)[place] = values[place % len(values)]
    return array


def _is_beyond(array: Array) -> bool:
    """Whether it has whole numbers that no constant may have."""
    return array.dtype.char in _WHOLE and bool(
        array.size and (array.max() > 1 << 16 or array.min() < -(1 << 16))
    )


def _oddly(rng: random.Random, name: str, usual: Any, oddity: float) -> Any:
    """An attribute: the usual one, another, or (None) none."""
    if usual == "f" and name == "value":
        kind = rng.choice("flib?")
        return numpy_helper.from_array(_array(kind, (1,), (rng.choice((0, 1)),)), "value")
    if rng.random() >= oddity:
        return usual
    if rng.random() < 0.2:
        return None
    if isinstance(usual, list):
        n = rng.choice((0, 1, len(usual), len(usual) + 1))
        return [rng.choice(_ODD_INTEGERS) for _ in range(n)] or None
    if isinstance(usual, bytes):
        return rng.choice(
            (b"", b"linear", b"cubic", b"edge", b"wrap", b"constant", b"add", b"max", b"VALID",
             b"align_corners", b"half_pixel", b"tf_crop_and_resize", b"reverse", b"SAME_UPPER")
        )  # fmt: skip
    if isinstance(usual, float):
        return rng.choice(_EXTREMES["f"])
    return rng.choice((*_ODD_INTEGERS, 6, 7, 9, 10, 11, 16))


def _computed(
    builder: _Builder, kind: str, *numbers: float, shape: Sequence[int] | None = None
) -> str:
    return builder.computed(_array(kind, (len(numbers),) if shape is None else shape, numbers))


def _of_two(op_type: str, kind: str, left: int, right: int) -> Callable[[_Builder], str]:
    def make(builder: _Builder) -> str:
        return builder.node(
            op_type, [_computed(builder, kind, left), _computed(builder, kind, right)]
        )

    return make


def _usual(op_type: str, **changed: Any) -> Any:
    """An operator as usual, but for inputs (``at0``: type, shape, numbers; computed) and others."""

    def make(builder: _Builder) -> str:
        recipe, names = _RECIPES[op_type], []
        for place, wanted in enumerate(recipe.inputs):
            if place in _LEFT_OUT.get(op_type, ()):
                names.append("")
            elif (change := changed.get(f"at{place}")) is not None:
                kind, shape, numbers = change
                name = builder.computed(_array(kind, shape, numbers))
                hide = builder.veiled if len(shape) == len(wanted.shape) else builder.hidden
                names.append(hide(name, shape))
            else:
                kind = (wanted.types or recipe.inputs[0].types)[0]
                names.append(builder.weight(_array(kind, wanted.shape, wanted.values or (1,))))
        attributes = {
            name: changed.get(name, value)
            for name, value in recipe.attributes.items()
            if not isinstance(value, str)
        }
        return builder.node(
            op_type, names, n_outputs=recipe.n_outputs, domain=recipe.domain, **attributes
        )

    return make


def _left_out(builder: _Builder) -> str:
    return builder.node("Max", [_computed(builder, "f", 1), ""])


def _no_frames(builder: _Builder) -> str:
    signal, step = _computed(builder, "f", 1, shape=(1, 60)), builder.weight(np.int64(5))
    length = _computed(builder, "l", 0, shape=())
    return builder.node("STFT", [signal, step, "", length], onesided=1)


def _long(builder: _Builder) -> str:
    """Products of 1,024 by 1,024, some seconds of them: slow, and nothing else."""
    line = builder.node("Expand", [_computed(builder, "f", 1e-3),
                                   builder.weight(np.array([1024, 1024]))])  # fmt: skip
    x = line
    for _ in range(2_000):
        x = builder.node("MatMul", [x, line])
    return x


def _greedy(builder: _Builder) -> str:
    """Ten numbers of 0.5 GB each."""
    names = [
        builder.node("ConstantOfShape", [_computed(builder, "l", 1 << 14, 1 << 13)])
        for _ in range(10)
    ]
    while len(names) > 1:
        names = [builder.node("Add", names[:2]), *names[2:]]
    return names[0]


_LEAST = {"l": -(1 << 63), "i": -(1 << 31)}
_BY_HAND: Mapping[str, Callable[[_Builder], str]] = {
    "the least int64 divided by -1": _of_two("Div", "l", _LEAST["l"], -1),
    "the least int32 divided by -1": _of_two("Div", "i", _LEAST["i"], -1),
    "an int64 divided by 0": _of_two("Div", "l", 1, 0),
    "an int32 divided by 0": _of_two("Div", "i", 1, 0),
    "an int64 modulo 0": _of_two("Mod", "l", 1, 0),
    "an STFT of frames without a length": _no_frames,
    "an STFT that stays where it is": _usual("STFT", at1=("l", (), (0,))),
    "an STFT of a number": _usual("STFT", at0=("f", (), (1,))),
    "an STFT of less than a window": _usual("STFT", at0=("f", (1, 3), (1,))),
    "a ConvTranspose of 0 groups": _usual("ConvTranspose", group=0),
    "a Conv of 0 groups": _usual("Conv", group=0),
    "a ConvInteger without strides": _usual("ConvInteger", strides=[0]),
    "a ConvInteger of a number": _usual("ConvInteger", at0=("B", (), (1,))),
    "a Conv of nothing": _usual("Conv", at0=("f", (1, 4, 0), ())),
    "a ConvTranspose of nothing": _usual("ConvTranspose", at0=("f", (1, 4, 0), ())),
    "a Concat of other ranks": _usual("Concat", at1=("f", (0,), ())),
    "a Max of something left out": _left_out,
    "an LSTM with other weights": _usual("DynamicQuantizeLSTM", at2=("b", (1, 7, 7), (1,))),
    "an LSTM of nothing": _usual("DynamicQuantizeLSTM", at0=("f", (0, 1, 8), ())),
    "a reflection of too little": _usual("Pad", at0=("f", (1, 3, 1), (1,))),
    "a Range without an end": _usual("Range", at1=("l", (), ((1 << 63) - 1,))),
    "a Range without a step": _usual("Range", at2=("l", (), (0,))),
    "a shape of terabytes": _usual("ConstantOfShape", at0=("l", (3,), (1 << 20,))),
    "a shape whose size wraps around": _usual("ConstantOfShape", at0=("l", (4,), (1 << 16,))),
    "a negative shape": _usual("ConstantOfShape", at0=("l", (1,), (-1,))),
    "a wide Expand": _usual("Expand", at1=("l", (3,), (1 << 40, 1, 1))),
    "a far Gather": _usual("Gather", at1=("l", (1,), (1 << 40,))),
    "a far ScatterND": _usual("ScatterND", at1=("l", (1, 1), (_LEAST["l"],))),
    "a Split beyond the end": _usual("Split", at1=("l", (2,), (1 << 40, 3))),
    "a Reshape to less than nothing": _usual("Reshape", at1=("l", (2,), (_LEAST["l"], -1))),
    "more memory than there is": _greedy,
    "a graph that is merely slow": _long,
}
