"""Looks an ONNX graph over before anybody runs it: known operators, weights inside, nothing else.

A graph is a program. It can name files to read its weights from, call operators that open files or
run code, hide either in subgraphs, functions and fields that only a newer reader knows, and ask for
any amount of memory by a constant. What is not listed here or by the caller is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from voxswap_families.onnx_graphs.operators import OPERATORS
from voxswap_families.onnx_graphs.tensors import (
    BOOL,
    FLOAT,
    INT8,
    INT32,
    INT64,
    UINT8,
    OperatorError,
    Tensor,
)
from voxswap_registry.families import GraphError

# The versions of operators that `onnx_operators` knows; Kokoro's export has these.
_VERSIONS = {"": 20, "com.microsoft": 1}
_MOST_NODES = 20_000
# Shapes, strides, axes and the like. Kokoro's largest is 2180.
_LARGEST_INTEGER = 1 << 16
# "To the end": a slice allocates no more than there is.
_ENDS = frozenset({(1 << 63) - 1, -(1 << 63), (1 << 31) - 1, -(1 << 31)})

_FIELDS = {
    "model": {"ir_version", "opset_import", "producer_name", "graph"},
    "graph": {"name", "node", "initializer", "input", "output"},
    "node": {"name", "op_type", "domain", "input", "output", "attribute"},
    "attribute": {"name", "type", "f", "i", "s", "t", "floats", "ints"},
    "tensor": {"name", "dims", "data_type", "raw_data", "float_data", "int32_data", "int64_data"},
}
_MODEL_NOTES = {"producer_version", "domain", "model_version", "doc_string", "metadata_props"}
_NOTES = {"doc_string", "metadata_props", "value_info"}
# The bytes of an element, and where a tensor keeps them if not in ``raw_data``.
_ELEMENTS = {
    FLOAT: (4, "float_data"),
    UINT8: (1, "int32_data"),
    INT8: (1, "int32_data"),
    INT32: (4, "int32_data"),
    INT64: (8, "int64_data"),
    BOOL: (1, "int32_data"),
}


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output: name, element type and shape, where None is a dimension of any size."""

    name: str
    element_type: int
    shape: tuple[int | None, ...]


def parse_graph(data: bytes) -> Any:
    """The ``ModelProto`` in ``data``. Blocks for about 0.1 s per 100 MB. Raises `GraphError`."""
    import onnx

    try:
        # From bytes in memory: external data is neither looked for nor loaded.
        model = onnx.load_model_from_string(data)
    except MemoryError:
        raise
    except Exception as error:
        raise GraphError(f"is no ONNX file, or it is cut short ({str(error)[:200]})") from error
    if not model.graph.node or not model.graph.initializer:
        raise GraphError("holds no ONNX graph with weights")
    return model


def strip_notes(model: Any) -> None:
    """Take out of ``model`` what changes nothing that it computes, such as who made it and when."""
    graph = model.graph
    for name in _MODEL_NOTES:
        model.ClearField(name)
    for message in (graph, *graph.node, *graph.initializer):
        for field, _ in message.ListFields():
            if field.name in _NOTES:
                message.ClearField(field.name)


def check_graph(model: Any, *, inputs: Sequence[Port], outputs: Sequence[Port]) -> None:
    """Raise `GraphError` unless ``model`` has these ports and calls `OPERATORS` as is listed there.

    Blocks for about 0.1 s per 100 MB.
    """
    graph = model.graph
    _check_fields(model, "model")
    _check_fields(graph, "graph")
    if unknown := {opset.domain for opset in model.opset_import} - OPERATORS.keys():
        raise GraphError(f"needs operators of {_some(unknown)}, which are not taken")
    for opset in model.opset_import:
        if opset.version != _VERSIONS[opset.domain]:
            raise GraphError(
                f"needs version {opset.version} of the operators of {opset.domain or 'onnx'}, and "
                f"{_VERSIONS[opset.domain]} is taken"
            )
    if max(len(graph.node), len(graph.initializer)) > _MOST_NODES:
        raise GraphError(f"has more than {_MOST_NODES} nodes or weights")
    uses: dict[str, set[str]] = {}
    for node in graph.node:
        _check_fields(node, "node")
        if node.op_type not in OPERATORS.get(node.domain, {}):
            name = f"{node.domain or 'onnx'}.{node.op_type}"
            raise GraphError(f"has the operator {_some([name])}, which is not taken")
        for attribute in node.attribute:
            _check_fields(attribute, "attribute")
            _check_integers([attribute.i, *attribute.ints], node.op_type)
            if attribute.HasField("t"):
                _check_tensor(attribute.t, frozenset())
        for name in node.input:
            uses.setdefault(name, set()).add(node.op_type)
    for tensor in graph.initializer:
        only_sliced = uses.get(tensor.name) == {"Slice"}
        _check_tensor(tensor, _ENDS if only_sliced else frozenset())
    _check_ports(graph.input, inputs)
    _check_ports(graph.output, outputs)
    _check_nothing_unknown(model)
    _check_calls(graph, inputs)


def _check_calls(graph: Any, inputs: Sequence[Port]) -> None:
    """Follow types and shapes through the graph: every operator is given what it may be given."""
    known = {port.name: Tensor(port.element_type, port.shape) for port in inputs}
    for tensor in graph.initializer:
        _define(known, tensor.name, Tensor(tensor.data_type, tuple(tensor.dims), _numbers(tensor)))
    for node in graph.node:
        where = f"{node.op_type} {_some([node.name])}"
        if unknown := [name for name in node.input if name and name not in known]:
            raise GraphError(f"has {where} before its input {_some(unknown)}")
        attributes = {attribute.name: _value(attribute) for attribute in node.attribute}
        if len(attributes) < len(node.attribute):
            raise GraphError(f"has {where} with an attribute twice")
        operator = OPERATORS[node.domain][node.op_type]
        try:
            found = operator.outputs([known.get(name) for name in node.input], attributes)
        except OperatorError as error:
            raise GraphError(f"has {where}, which {error}; that is not taken") from error
        if len(found) != len(node.output):
            raise GraphError(f"has {where} with {len(node.output)} outputs, not {len(found)}")
        for name, tensor in zip(node.output, found, strict=True):
            _define(known, name, tensor)


def _define(known: dict[str, Tensor], name: str, tensor: Tensor) -> None:
    if not name or name in known:
        raise GraphError(f"defines {_some([name])} twice, or without a name")
    known[name] = tensor


def _numbers(tensor: Any) -> Callable[[], Any]:
    from onnx import numpy_helper

    return lambda: numpy_helper.to_array(tensor)


def _value(attribute: Any) -> Any:
    """What an attribute is, by the type that it says."""
    from onnx import helper

    try:
        value = helper.get_attribute_value(attribute)
    except ValueError as error:
        raise GraphError(f"has an attribute {_some([attribute.name])} of no type") from error
    return list(value) if hasattr(value, "__len__") and not isinstance(value, bytes) else value


def _check_fields(message: Any, kind: str) -> None:
    found = {field.name for field, _ in message.ListFields()}
    if unknown := found - _FIELDS[kind]:
        raise GraphError(f"uses {_some(unknown)} ({kind}), which is not taken")


def _check_tensor(tensor: Any, allowed: frozenset[int]) -> None:
    if tensor.external_data or tensor.data_location:
        raise GraphError(
            f"keeps {_some([tensor.name])} in another file, which is not followed; save the model "
            "with its weights inside (onnx.save with save_as_external_data=False)"
        )
    _check_fields(tensor, "tensor")
    if tensor.data_type not in _ELEMENTS:
        raise GraphError(f"has {_some([tensor.name])} of a type that is not taken")
    size_bytes, field = _ELEMENTS[tensor.data_type]
    elements = getattr(tensor, field)
    n = math.prod(tensor.dims)
    fits = n == len(elements) if elements else n * size_bytes == len(tensor.raw_data)
    if not fits or any(dim < 0 for dim in tensor.dims):
        raise GraphError(
            f"claims the shape {list(tensor.dims)[:8]} for {_some([tensor.name])} and has other "
            "data for it"
        )
    if tensor.data_type in {INT32, INT64}:
        from onnx import numpy_helper

        values = set(numpy_helper.to_array(tensor).ravel().tolist())
        _check_integers(values - allowed, tensor.name)


def _check_integers(values: Iterable[int], where: str) -> None:
    if not all(-_LARGEST_INTEGER <= value <= _LARGEST_INTEGER for value in values):
        raise GraphError(f"has a number beyond {_LARGEST_INTEGER} in {_some([where])}")


def _check_ports(found: Sequence[Any], expected: Sequence[Port]) -> None:
    told = [_port(value) for value in found]
    fits = [port.name for port in told] == [port.name for port in expected] and all(
        ours.element_type == theirs.element_type
        and len(ours.shape) == len(theirs.shape)
        and all(size in (None, asked) for asked, size in zip(ours.shape, theirs.shape, strict=True))
        for ours, theirs in zip(told, expected, strict=True)
    )
    if not fits:
        raise GraphError(
            f"has the ports {_some(port.name for port in told)}, and "
            f"{', '.join(port.name for port in expected)} of other types or shapes were expected"
        )


def _port(value: Any) -> Port:
    tensor = value.type.tensor_type
    shape = (dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim)
    return Port(value.name, tensor.elem_type, tuple(shape))


def _check_nothing_unknown(model: Any) -> None:
    """Fields that this onnx passes over are not what a newer reader passes over."""
    graph = model.graph
    for message in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        size_bytes = message.ByteSize()
        message.DiscardUnknownFields()
        if message.ByteSize() != size_bytes:
            raise GraphError("has fields that the installed onnx does not know; update it")


def _some(names: Iterable[str]) -> str:
    """The first few names, each cut short: they are a stranger's."""
    first, *more = sorted(names)[:4] or ["nothing"]
    return ", ".join(repr(name[:80]) for name in (first, *more))
