"""A vocoder's tensors, from a checkpoint to a component: both upsamplings of a stage become one."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from voxswap_families.layers.stored import as_stored, in_canonical_shape
from voxswap_families.sambert.vocoder_architecture import GeneratorArchitecture, stored_shapes


def stored_tensors(
    checkpoint: Mapping[str, Tensor], architecture: GeneratorArchitecture
) -> dict[str, Tensor]:
    """What a component holds of ``checkpoint``, whose tensors are `checkpoint_shapes`: float32."""
    a, stored = architecture, {}
    for stage in range(len(a.rates)):
        stored[f"ups.{stage}.weight"], stored[f"ups.{stage}.bias"] = _upsampling(
            checkpoint, a, stage
        )
    for name in stored_shapes(a):
        if name not in stored:
            stored[name] = checkpoint[checkpoint_name(name)]
    return as_stored({name: tensor.float() for name, tensor in stored.items()})


def checkpoint_name(stored: str) -> str:
    """What a checkpoint calls a stored tensor that is not of an upsampling."""
    layer, _, kind = stored.rpartition(".")
    if layer == "source":
        return f"source_module.ffn.0.{kind}"
    first, _, rest = layer.partition(".")
    layer = {"blocks": f"conv_blocks.{rest}", "downs": f"source_downs.{rest}"}.get(first, layer)
    return f"{layer}.conv1d.{kind}"


def _upsampling(
    checkpoint: Mapping[str, Tensor], a: GeneratorArchitecture, stage: int
) -> tuple[Tensor, Tensor]:
    """See `GeneratorArchitecture.upsampling`: ``(in, out, kernel)``, and the sum of both biases.

    Output ``o`` of the convolution after a nearest upsampling by ``u`` sees through its tap ``j``
    the repeated sample ``o + j - before``, which is input ``i`` where that is ``u * i + m`` for an
    ``m`` from 0 to ``u - 1``. So tap ``j`` adds to ``m - j + before`` of the kernel around ``i``.
    """
    deconv, conv = f"transpose_upsamples.{stage}.1.deconv", f"repeat_upsamples.{stage}.2.conv1d"
    transposed = checkpoint[f"{deconv}.weight"].double()
    repeated = checkpoint[f"{conv}.weight"].double().transpose(0, 1)
    kernel, cut = a.upsampling(stage)
    before = a.kernel - 1 if a.causal else (a.kernel - 1) // 2
    weight = transposed.new_zeros(*transposed.shape[:2], kernel)
    first = cut - a.cut(stage)
    weight[:, :, first : first + a.kernels[stage]] = transposed
    for j in range(a.kernel):
        first = cut + before - j
        weight[:, :, first : first + a.rates[stage]] += repeated[:, :, j : j + 1]
    bias = checkpoint[f"{deconv}.bias"].double() + checkpoint[f"{conv}.bias"].double()
    return weight.float(), bias.float()


def silent(architecture: GeneratorArchitecture) -> dict[str, Tensor]:
    """Weights of a `Generator` that are all 0, and lie as those of a component do."""
    zeros = {name: torch.zeros(shape) for name, shape in stored_shapes(architecture).items()}
    return in_canonical_shape(as_stored(zeros))
