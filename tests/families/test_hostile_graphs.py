"""Hostile graphs are refused or harmless: what the check takes does not end the process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from bench.hostile.graphs import hostile_graphs
from tests.families.kokoro_fakes import fake_model
from voxswap_families.kokoro import format as kokoro
from voxswap_families.kokoro.engine import _ARENA_BYTES
from voxswap_families.kokoro.importer import _tell_durations
from voxswap_families.onnx_graphs.check import parse_graph
from voxswap_registry.families import GraphError

SEED, COUNT, BY_HAND = 11, 160, 32


def test_hostile_graphs_are_refused_or_harmless() -> None:
    command = [sys.executable, "-m", "tests.families.hostile_graphs", str(SEED), str(COUNT)]
    run = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    *names, last = run.stdout.splitlines() or [""]
    assert run.returncode == 0, f"ended by {last}: {run.stderr[-2000:]}"
    found: dict[str, int] = json.loads(last)
    assert len(names) == COUNT
    assert found.pop("peak_bytes") < _ARENA_BYTES + (512 << 20)
    assert sum(found.values()) == COUNT
    assert found["ended"] >= 1, "the one that is merely slow"
    # Graphs of each kind: the check is not passed by accident, nor by nobody.
    assert min(found["refused"], found["spoke"], found["failed"]) > 3


def test_the_same_seed_draws_the_same_graphs() -> None:
    first, again, other = (list(hostile_graphs(seed, BY_HAND + 20)) for seed in (1, 1, 2))
    assert first == again
    assert first[:BY_HAND] == other[:BY_HAND]
    assert first[BY_HAND:] != other[BY_HAND:]


# What ended a process (onnxruntime 1.31.1), and why it is refused.
KILLERS = {
    "the least int64 divided by -1": "must be a constant and is computed",
    "the least int32 divided by -1": "must be a constant and is computed",
    "an STFT of frames without a length": "called without input 2",
    "an STFT of a number": "a shape of unknown length",
    "a ConvTranspose of 0 groups": "another 'group' than is taken",
    "a ConvInteger of a number": "a shape of unknown length",
    "a Concat of other ranks": "a shape of unknown length",
    "a Max of something left out": "called without input 1",
}


@pytest.mark.parametrize("name", KILLERS)
def test_what_ended_a_process_is_refused(name: str) -> None:
    (graph,) = (graph for graph in hostile_graphs(0, BY_HAND) if graph.name == name)
    with pytest.raises(GraphError, match=KILLERS[name]):
        kokoro.check_base(parse_graph(graph.data))


def base() -> onnx.ModelProto:
    """A base as the importer makes it, of the small model."""
    model = fake_model()
    del model.opset_import[1:]
    model.ClearField("doc_string")
    _tell_durations(model.graph)
    return model


def with_node(op_type: str, inputs: list[Any], **attributes: Any) -> onnx.ModelProto:
    """A base with one more node: inputs are names of tensors that are there, or constants."""
    model, names = base(), []
    for i, value in enumerate(inputs):
        if isinstance(value, str):
            names.append(value)
        else:
            names.append(f"constant{i}")
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), names[-1]))
    model.graph.node.append(helper.make_node(op_type, names, ["x"], name="odd", **attributes))
    return model


STYLE, FILTER = "style", np.zeros((2, 1, 3), np.float32)  # of (1, 256), and over time


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (lambda: with_node("Div", ["samples", np.array(2)]), None),
        (lambda: with_node("Div", ["samples", np.array([2, 0])]), "out of bounds"),
        (lambda: with_node("Div", ["samples", np.array(-1)]), "out of bounds"),
        (lambda: with_node("Div", ["samples", np.empty(0, np.int64)]), "an empty input"),
        (lambda: with_node("Div", ["samples", "samples"]), "must be a constant"),
        (lambda: with_node("Div", [STYLE, STYLE]), None),
        (lambda: with_node("Range", [np.array(0), "samples", np.array(1)]), None),
        (lambda: with_node("Range", [np.array(0), "samples", np.array(0)]), "out of bounds"),
        (lambda: with_node("Unsqueeze", [STYLE, np.array([0])]), None),
        (lambda: with_node("Unsqueeze", [STYLE, np.array([3])]), "out of bounds"),
        (lambda: with_node("Unsqueeze", [STYLE, np.array([0, 0])]), "axes that are none"),
        (lambda: with_node("Unsqueeze", [STYLE, "shape"]), "must be a constant"),
        (lambda: with_node("Split", [STYLE, np.array([256])], axis=1), None),
        (lambda: with_node("Split", [STYLE, np.array([128, 128])], axis=1), "with 1 outputs"),
        (lambda: with_node("Gather", [STYLE, "tokens"], axis=2), "the axis 2 of 2"),
        (lambda: with_node("Gather", [STYLE, STYLE], axis=1), "of a type"),
        (lambda: with_node("Conv", [STYLE, FILTER]), "an input of rank 2"),
        (lambda: with_node("Transpose", [STYLE], perm=[0, 0]), "an order that is none"),
        (lambda: with_node("Softmax", [STYLE], axis=5), "the axis 5 of 2"),
        (lambda: with_node("Cast", [STYLE], to=8), "another 'to'"),
        (lambda: with_node("Cast", [STYLE]), "does not say to what"),
        (lambda: with_node("Sin", [STYLE], axis=1), "the attribute 'axis'"),
        (lambda: with_node("Sin", ["nowhere"]), "before its input 'nowhere'"),
        (lambda: with_node("Expand", [STYLE, "tokens"]), "of rank 2"),
    ],
)
def test_what_operators_may_be_given(
    model: Callable[[], onnx.ModelProto], told: str | None
) -> None:
    if told is None:
        kokoro.check_base(model())
        return
    with pytest.raises(GraphError, match=told):
        kokoro.check_base(model())


def _again(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Sin", ["hum"], ["frames"]))


def _shadow(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.array(1, np.float32), "speed"))


def _older(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 11


def _two_axes(model: onnx.ModelProto) -> None:
    node = helper.make_node("Softmax", ["style"], ["x"], axis=1)
    node.attribute.append(helper.make_attribute("axis", 0))
    model.graph.node.append(node)


def _of_another_type(model: onnx.ModelProto) -> None:
    node = helper.make_node("Softmax", ["style"], ["x"], axis=1)
    node.attribute[0].type = onnx.AttributeProto.FLOAT
    model.graph.node.append(node)


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (_again, "defines 'frames' twice"),
        (_shadow, "defines 'speed' twice"),
        (_older, "needs version 11 of the operators of onnx, and 20 is taken"),
        (_two_axes, "an attribute twice"),
        (_of_another_type, "another 'axis'"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_graphs_that_say_one_thing_and_mean_another(
    edit: Callable[[onnx.ModelProto], None], told: str
) -> None:
    model = base()
    edit(model)
    with pytest.raises(GraphError, match=told):
        kokoro.check_base(model)
