"""Graphs of Kokoro that want more than to speak, and what is said of each."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.families.kokoro_fakes import Edit
from voxswap_families.kokoro import format as kokoro


def _initializer(model: onnx.ModelProto, name: str) -> Any:
    return next(tensor for tensor in model.graph.initializer if tensor.name == name)


def _node(model: onnx.ModelProto, name: str) -> Any:
    return next(node for node in model.graph.node if node.name == name)


def _external(model: onnx.ModelProto) -> None:
    tensor = _initializer(model, "table")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def _external_in_a_node(model: onnx.ModelProto) -> None:
    tensor = helper.make_tensor("shadow", TensorProto.INT64, [1], [1])
    tensor.external_data.add(key="location", value="../../etc/shadow")
    fill = helper.make_node("ConstantOfShape", ["shape"], ["zeros"], name="fill", value=tensor)
    model.graph.node.append(fill)


def _subgraph(model: onnx.ModelProto) -> None:
    body = helper.make_graph([], "body", [], [])
    model.graph.node.append(
        helper.make_node("If", ["least"], ["x"], then_branch=body, else_branch=body)
    )


def _hidden_subgraph(model: onnx.ModelProto) -> None:
    body = helper.make_graph([], "body", [], [])
    _node(model, "sum").attribute.append(helper.make_attribute("body", body))


def _custom(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("PyOp", ["hum"], ["x"], domain="ai.onnx.contrib"))


def _file_reader(model: onnx.ModelProto) -> None:
    model.graph.node.append(
        helper.make_node(
            "EPContext", ["hum"], ["x"], domain="com.microsoft", ep_cache_context="/etc/passwd"
        )
    )


def _function(model: onnx.ModelProto) -> None:
    node = helper.make_node("Add", ["a", "a"], ["b"])
    model.functions.append(
        helper.make_function("mine", "Sum", ["a"], ["b"], [node], [helper.make_opsetid("", 20)])
    )


def _sparse(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.add().dims[:] = [1 << 40]


def _huge_claim(model: onnx.ModelProto) -> None:
    _initializer(model, "table").dims[:] = [1 << 40]


def _negative_claim(model: onnx.ModelProto) -> None:
    _initializer(model, "table").dims[:] = [-1, -kokoro.N_SYMBOLS]


def _huge_constant(model: onnx.ModelProto) -> None:
    _initializer(model, "hop").CopyFrom(numpy_helper.from_array(np.array(1 << 40), "hop"))


def _huge_attribute(model: onnx.ModelProto) -> None:
    _node(model, "sum").attribute.append(helper.make_attribute("axes", [1 << 40]))


def _strange_type(model: onnx.ModelProto) -> None:
    _initializer(model, "table").data_type = TensorProto.STRING


def _unknown_field(model: onnx.ModelProto) -> None:
    # Field 99, with 3 bytes: what a newer ONNX might have.
    _node(model, "sum").MergeFromString(b"\x9a\x06\x03new")


def _no_durations(model: onnx.ModelProto) -> None:
    _node(model, "whole").op_type = "Floor"


def _no_audio(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = "waveform"


def _wrong_style(model: onnx.ModelProto) -> None:
    model.graph.input[1].type.tensor_type.shape.dim[1].dim_value = 128


def _wrong_tokens(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT32


def _many_nodes(model: onnx.ModelProto) -> None:
    model.graph.node.extend([_node(model, "hum")] * 20_001)


HOSTILE: dict[Edit, str] = {
    _external: r"keeps 'table' in another file, which is not followed",
    _external_in_a_node: r"keeps 'shadow' in another file",
    _subgraph: r"has the operator 'onnx\.If', which is not taken",
    _hidden_subgraph: r"uses 'g' \(attribute\), which is not taken",
    _custom: r"has the operator 'ai\.onnx\.contrib\.PyOp', which is not taken",
    _file_reader: r"has the operator 'com\.microsoft\.EPContext', which is not taken",
    _function: r"uses 'functions' \(model\), which is not taken",
    _sparse: r"uses 'sparse_initializer' \(graph\), which is not taken",
    _huge_claim: r"claims the shape \[1099511627776\] for 'table' and has other data",
    _negative_claim: r"claims the shape \[-1, -178\] for 'table'",
    _huge_constant: r"has a number beyond 65536 in 'hop'",
    _huge_attribute: r"has a number beyond 65536 in 'ReduceSum'",
    _strange_type: r"has 'table' of a type that is not taken",
    _unknown_field: r"has fields that the installed onnx does not know",
    _no_audio: r"has the ports 'durations', 'waveform', and audio, durations of other types",
    _wrong_style: r"has the ports .* and tokens, style, speed, most_frames of other types",
    _wrong_tokens: r"has the ports .* of other types or shapes were expected",
    _many_nodes: r"has more than 20000 nodes or weights",
}
