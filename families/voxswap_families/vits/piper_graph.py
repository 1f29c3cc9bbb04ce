"""Finds the tensors and convolutions of a VITS in an exported ONNX graph.

An exporter keeps most parameters under their torch names. The others are recognised by the node
that uses them: see ``_claim_convolutions``, ``_claim_embeddings``, ``_claim_norms`` and
``_claim_log_scale``. Nothing of the graph is ever run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from voxswap_families.importing.source import SourceFile
from voxswap_families.vits.architecture import VitsArchitecture
from voxswap_families.vits.shapes import expected_shapes
from voxswap_registry.errors import ImportSourceError

if TYPE_CHECKING:
    import torch

_CANONICAL = re.compile(r"(?:enc_p|enc_q|dp|flow|dec|emb_g)\.")
_LOG_SCALE = "dp.flows.0.logs"
_QUANTISED = {"DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "ConvInteger"}


@dataclass(frozen=True, slots=True)
class Convolution:
    """The geometry of one Conv or ConvTranspose node, along its one dimension."""

    stride: int
    dilation: int
    group: int
    pads: tuple[int, ...]


class VitsGraph:
    """A Piper ONNX file, parsed. Not thread-safe; holds the whole file in memory."""

    def __init__(self, file: SourceFile) -> None:
        """Parse ``file`` (blocks for about 0.1 s per 60 MB). Raises `ImportSourceError`."""
        self.where = str(file.path)
        graph = _parse(file).graph
        self._nodes = list(graph.node)
        if quantised := {node.op_type for node in self._nodes} & _QUANTISED:
            raise ImportSourceError(
                f"{self.where} is quantised ({', '.join(sorted(quantised))}); import the float "
                "model that it was made from"
            )
        self._producers = {output: node for node in self._nodes for output in node.output}
        self._initializers = {tensor.name: tensor for tensor in graph.initializer}
        for node in self._nodes:
            for attribute in node.attribute:
                if node.op_type == "Constant" and attribute.name == "value":
                    self._initializers.setdefault(node.output[0], attribute.t)
        self.convolutions: dict[str, Convolution] = {}

    def tensors(self) -> dict[str, torch.Tensor]:
        """Every parameter that was recognised, by its torch name."""
        found = {
            name.removeprefix("module."): proto
            for name, proto in self._initializers.items()
            if _CANONICAL.match(name.removeprefix("module."))
        }
        self._claim_convolutions(found)
        self._claim_norms(found)
        self._claim_embeddings(found)
        tensors = {name: self._tensor(name, proto) for name, proto in found.items()}
        self._claim_log_scale(tensors)
        return tensors

    def _claim_convolutions(self, found: dict[str, Any]) -> None:
        """Name weights by their node's path, or (dynamo exports) by their neighbour, the bias."""
        for node in self._nodes:
            if node.op_type not in {"Conv", "ConvTranspose"}:
                continue
            layer = self._layer(node)
            if layer is None:
                continue
            for suffix, value in zip(("weight", "bias"), node.input[1:], strict=False):
                proto = self._constant(value)
                if proto is not None:
                    found[f"{layer}.{suffix}"] = proto
            self.convolutions[layer] = self._geometry(node)

    def _layer(self, node: Any) -> str | None:
        path = node.name.removesuffix(f"/{node.op_type}").strip("/").replace("/", ".")
        if path != node.name and _CANONICAL.match(path):
            return str(path)
        weight, bias = node.input[1], node.input[2] if len(node.input) > 2 else ""
        for name, suffix in ((bias, ".bias"), (weight, ".weight")):
            if _CANONICAL.match(name) and name.endswith(suffix):
                return str(name.removesuffix(suffix))
        return None

    def _claim_norms(self, found: dict[str, Any]) -> None:
        """Exporters store equal tensors once; the norms that share one are told by their nodes."""
        roles = {"Mul": ("gamma",), "Add": ("beta",), "LayerNormalization": ("gamma", "beta")}
        for node in self._nodes:
            match = re.fullmatch(r"/(.+norm[^/]*)/([A-Za-z]+)(?:_\d+)?", node.name)
            if not match or node.op_type not in roles:
                continue
            layer = match.group(1).replace("/", ".")
            constants = [c for c in map(self._constant, node.input) if c is not None and c.dims]
            for role, proto in zip(roles[node.op_type], constants, strict=False):
                if len(proto.dims) == 1 and _CANONICAL.match(layer):
                    found.setdefault(f"{layer}.{role}", proto)

    def _claim_embeddings(self, found: dict[str, Any]) -> None:
        """The tables of symbols and speakers: single-speaker exports call the first one ``sid``."""
        unnamed = []
        for node in self._nodes:
            table = self._constant(node.input[0]) if node.op_type == "Gather" else None
            if table is None or len(table.dims) != 2:
                continue
            layer = node.name.removesuffix("/Gather").strip("/").replace("/", ".")
            if layer in {"enc_p.emb", "emb_g"}:
                found[f"{layer}.weight"] = table
            elif all(table is not claimed for claimed in found.values()):
                unnamed.append(table)
        hidden = found.get("enc_p.encoder.norm_layers_1.0.gamma")
        if "enc_p.emb.weight" not in found and hidden is not None:
            tables = [table for table in unnamed if table.dims[1] == hidden.dims[0]]
            if len(tables) == 1:
                found["enc_p.emb.weight"] = tables[0]

    def _claim_log_scale(self, tensors: dict[str, torch.Tensor]) -> None:
        """``dp.flows.0.logs``, where the exporter folded ``exp(-logs)`` into a constant."""
        if _LOG_SCALE in tensors:
            return
        for node in self._nodes:
            in_flow = node.name.startswith("/dp/flows.0/")
            if node.op_type != "Mul" or not (in_flow or not node.name.startswith("/")):
                continue
            for value in node.input:
                scale = self._constant(value)
                if scale is not None and list(scale.dims) == [2, 1]:
                    tensors[_LOG_SCALE] = -self._tensor(value, scale).log()
                    return
                exponent = self._input_of("Exp", value)
                if exponent is None:
                    continue
                logs = self._constant(self._input_of("Neg", exponent) or exponent)
                if logs is not None and list(logs.dims) == [2, 1]:
                    negated = self._input_of("Neg", exponent) is not None
                    tensor = self._tensor(exponent, logs)
                    tensors[_LOG_SCALE] = tensor if negated else -tensor
                    return

    def _input_of(self, op_type: str, value: str) -> str | None:
        node = self._producers.get(value)
        return str(node.input[0]) if node is not None and node.op_type == op_type else None

    def _constant(self, value: str) -> Any | None:
        """The stored tensor behind ``value``, seen through Identity nodes."""
        for _ in range(8):
            if value in self._initializers:
                return self._initializers[value]
            behind = self._input_of("Identity", value)
            if behind is None:
                return None
            value = behind
        return None

    def _tensor(self, name: str, proto: Any) -> torch.Tensor:
        import torch
        from onnx import TensorProto, numpy_helper

        if proto.data_location == TensorProto.EXTERNAL or proto.external_data:
            raise ImportSourceError(
                f"{self.where} keeps {name} in another file, which is not followed; save the model "
                "with its weights inside (onnx.save with save_as_external_data=False)"
            )
        try:
            # A copy: the array may be a read-only view of the file.
            return torch.from_numpy(numpy_helper.to_array(proto).copy())
        except (ValueError, TypeError, KeyError) as error:
            raise ImportSourceError(
                f"{self.where}: the tensor {name} is damaged ({error}); fetch the file again"
            ) from error

    def _geometry(self, node: Any) -> Convolution:
        values = {attribute.name: attribute for attribute in node.attribute}

        def ints(name: str, default: tuple[int, ...]) -> tuple[int, ...]:
            return tuple(values[name].ints) if name in values else default

        strides, dilations = ints("strides", (1,)), ints("dilations", (1,))
        if len(strides) != 1 or len(dilations) != 1:
            raise ImportSourceError(
                f"{self.where}: {node.name} is no convolution over time alone; this is no VITS"
            )
        return Convolution(
            stride=strides[0],
            dilation=dilations[0],
            group=values["group"].i if "group" in values else 1,
            pads=ints("pads", (0, 0)),
        )


def _parse(file: SourceFile) -> Any:
    import onnx

    try:
        # From bytes in memory: external data is neither looked for nor loaded.
        model = onnx.load_model_from_string(bytes(file.data))
    except Exception as error:
        raise ImportSourceError(
            f"{file.path} is not an ONNX file, or it is cut short ({error}); fetch it again"
        ) from error
    if not model.graph.node or not model.graph.initializer:
        raise ImportSourceError(
            f"{file.path} holds no ONNX graph with weights; fetch the voice's .onnx file again"
        )
    return model


def check_geometry(
    architecture: VitsArchitecture, found: Mapping[str, Convolution], *, where: str
) -> None:
    """Compare strides, dilations, groups and paddings with what the shapes alone suggested.

    Raises `ImportSourceError` for the first layer that differs, or that the graph does not show.
    """
    for layer, expected in _expected_geometry(architecture).items():
        actual = found.get(layer)
        if actual is None:
            raise ImportSourceError(
                f"{where}: the graph has no convolution that is recognisable as {layer}; export "
                "the voice anew with Piper's own export script"
            )
        # The text encoder's convolutions are padded by nodes of their own.
        same_pads = layer.startswith("enc_p.") or actual.pads == expected.pads
        if (actual.stride, actual.dilation, actual.group) != (
            expected.stride,
            expected.dilation,
            expected.group,
        ) or not same_pads:
            raise ImportSourceError(
                f"{where}: {layer} is {actual}, and voxswap's VITS would compute {expected}; this "
                "architecture is not supported"
            )


def _expected_geometry(a: VitsArchitecture) -> dict[str, Convolution]:
    geometry = {}
    for name, shape in expected_shapes(a).items():
        if len(shape) != 3 or not name.endswith(".weight"):
            continue
        layer, kernel = name.removesuffix(".weight"), shape[2]
        stride, dilation, group, padding = 1, 1, 1, None
        numbers = [int(number) for number in re.findall(r"\.(\d+)", layer)]
        if layer.startswith("dec.ups."):
            stride = a.upsample_rates[numbers[0]]
            padding = (kernel - stride) // 2
        elif ".convs_sep." in layer:
            dilation, group = a.dp_kernel_size ** numbers[-1], a.dp_hidden
        elif ".convs1." in layer or (".convs." in layer and layer.startswith("dec.")):
            dilation = a.resblock_dilations[numbers[0] % len(a.resblock_kernels)][numbers[1]]
        if padding is None:
            padding = dilation * (kernel - 1) // 2
        geometry[layer] = Convolution(stride, dilation, group, (padding, padding))
    return geometry
