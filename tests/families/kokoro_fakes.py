"""A Kokoro in a few kilobytes: the ports and the durations of the real one, and a hum for audio."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from voxswap_families.kokoro import format as kokoro

Edit = Callable[[onnx.ModelProto], None]


def style(value: float, rows: int = kokoro.STYLE_SHAPE[0]) -> npt.NDArray[np.float32]:
    """A style pack as Kokoro's files have it, whose numbers are all ``value``."""
    return np.full((rows, 1, kokoro.STYLE_SHAPE[1]), value, np.float32)


def fake_model(edit: Edit | None = None) -> onnx.ModelProto:
    """Symbol ``i`` lasts ``1 + i % 7`` frames at speed 1; the audio is the mean of the style."""
    constants = {
        "table": (1 + np.arange(kokoro.N_SYMBOLS) % 7).astype(np.float32),
        "least": np.float32(1),
        "hop": np.array(kokoro.HOP_LENGTH_SAMPLES, np.int64),
        "flat": np.array([-1], np.int64),
    }
    nodes = [
        ("Gather", ["table", "tokens"], "lengths"),
        ("Div", ["lengths", "speed"], "slower"),
        ("Round", ["slower"], "whole"),
        ("Clip", ["whole", "least"], "frames"),
        ("Cast", ["frames"], "counted"),
        ("ReduceSum", ["counted"], "sum"),
        ("Mul", ["sum", "hop"], "samples"),
        ("Reshape", ["samples", "flat"], "shape"),
        ("ReduceMean", ["style"], "mean"),
        ("Reshape", ["mean", "flat"], "hum"),
        ("Expand", ["hum", "shape"], "audio"),
    ]
    options: dict[str, dict[str, Any]] = {
        "Cast": {"to": TensorProto.INT64},
        "ReduceSum": {"keepdims": 0},
        "ReduceMean": {"keepdims": 0},
    }
    graph = helper.make_graph(
        [
            helper.make_node(op_type, inputs, [output], name=output, **options.get(op_type, {}))
            for op_type, inputs, output in nodes
        ],
        "fake",
        [
            helper.make_tensor_value_info("tokens", TensorProto.INT64, [1, "n"]),
            helper.make_tensor_value_info("style", TensorProto.FLOAT, [1, 256]),
            helper.make_tensor_value_info("speed", TensorProto.FLOAT, [1]),
        ],
        [helper.make_tensor_value_info("audio", TensorProto.FLOAT, ["samples"])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    model.opset_import.append(helper.make_opsetid("org.pytorch.aten", 1))
    model.doc_string = "made by nobody"
    if edit is not None:
        edit(model)
    return model


def write_kokoro(
    folder: Path, *, edit: Edit | None = None, styles: dict[str, Any] | None = None
) -> Path:
    """The folder of a Kokoro voice that `import_voice` takes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kokoro.onnx").write_bytes(fake_model(edit).SerializeToString())
    packs = {"af_hum": style(0.1), "bm_deep": style(0.2)} if styles is None else styles
    np.savez(folder / "voices.npz", **packs)
    return folder
