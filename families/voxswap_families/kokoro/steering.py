"""Pitch and its range, put into the graph of Kokoro where it has predicted them.

The published graph is what is trusted, checked and kept; to it, in memory and always alike, come
nodes between the prediction of F0, in hertz, and the one that reads it:

    F0' = F0 * (range * gain) + mean * ((1 - range) * gain)

which is F0 to the bit where both are 1. So what follows makes a voice of that pitch, and there is
nothing of a pitch shifter in the sound. Where there is no voice F0 is a few hertz, and rises to a
voice's over some frames: the mean is the sum of squares by the sum, in which these hardly count.
"""

from __future__ import annotations

from typing import Any, Final

from voxswap_registry.controls import ON_AUDIO
from voxswap_registry.errors import EngineError

#: The controls that a steered graph carries out.
STEERED: Final = ("pitch_semitones", "pitch_range")
GAIN: Final = "voxswap/pitch_gain"
RANGE: Final = "voxswap/pitch_range"

_F0, _READER = "/encoder/Reshape_output_0", "/decoder/decoder/Unsqueeze"
_OURS = "voxswap/steer/"
_VOICED_HERTZ = 10.0
# A wide range takes no voice below this; what was predicted lower stays.
_LEAST_HERTZ = 50.0

assert set(STEERED) <= set(ON_AUDIO)  # noqa: S101 - both are constants


def steer(model: Any) -> None:
    """Give ``model``, a base, the scalar inputs `GAIN` and `RANGE`; 1 and 1 change nothing.

    Raises `EngineError` if it is not the graph that is known.
    """
    from onnx import TensorProto, helper

    graph = model.graph
    readers = [i for i, node in enumerate(graph.node) if _F0 in node.input]
    if [graph.node[i].name for i in readers] != [_READER]:
        raise EngineError("the graph shows no F0 where Kokoro has it; import the voice again")
    for name in (GAIN, RANGE):
        graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, []))
    for name, value in (("voiced_hertz", _VOICED_HERTZ), ("least", _LEAST_HERTZ), ("one", 1.0)):
        tensor = helper.make_tensor(f"{_OURS}{name}", TensorProto.FLOAT, [], [value])
        graph.initializer.append(tensor)
    steps: tuple[tuple[str, str, list[str], dict[str, int]], ...] = (
        ("is_voiced", "Greater", [_F0, "voiced_hertz"], {}),
        ("squares", "Mul", [_F0, _F0], {}),
        ("sum_of_squares", "ReduceSum", ["squares"], {"keepdims": 0}),
        ("sum", "ReduceSum", [_F0], {"keepdims": 0}),
        ("least_sum", "Max", ["sum", "one"], {}),
        ("mean", "Div", ["sum_of_squares", "least_sum"], {}),
        ("slope", "Mul", [RANGE, GAIN], {}),
        ("rest", "Sub", ["one", RANGE], {}),
        ("rest_gain", "Mul", ["rest", GAIN], {}),
        ("offset", "Mul", ["mean", "rest_gain"], {}),
        ("sloped", "Mul", [_F0, "slope"], {}),
        ("moved", "Add", ["sloped", "offset"], {}),
        ("floor", "Min", [_F0, "least"], {}),
        ("kept", "Max", ["moved", "floor"], {}),
        ("f0", "Where", ["is_voiced", "kept", _F0], {}),
    )
    own = {name for name, *_ in steps} | {"voiced_hertz", "least", "one"}
    for n, (name, kind, inputs, options) in enumerate(steps):
        named = [f"{_OURS}{i}" if i in own else i for i in inputs]
        node = helper.make_node(kind, named, [f"{_OURS}{name}"], name=f"{_OURS}{name}")
        node.attribute.extend(helper.make_attribute(*option) for option in options.items())
        graph.node.insert(readers[0] + n, node)
    reader = graph.node[readers[0] + len(steps)]
    reader.input[:] = [f"{_OURS}f0" if name == _F0 else name for name in reader.input]
