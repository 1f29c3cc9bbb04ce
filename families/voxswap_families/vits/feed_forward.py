"""The encoder's feed-forward layers where they are packed as int8: what lies beside their panels.

The first of each two reads what a norm gives, some channels of which are far larger than others.
Its balance makes them alike, so that bytes have as many steps for each. It follows from the norm's
weights, and is powers of two, so that nothing is rounded by it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

_WEIGHT = re.compile(r"enc_p\.encoder\.ffn_layers\.\d+\.conv_[12]\.weight")


def has(name: str) -> bool:
    """Whether a canonical tensor is a weight of such a layer."""
    return _WEIGHT.fullmatch(name) is not None


def is_balanced(layer: str) -> bool:
    """Whether ``layer`` has a balance."""
    return layer.endswith(".conv_1")


def scales(packed: Mapping[str, Tensor], panels: str) -> tuple[Tensor, Tensor | None]:
    """Scale and balance of what is called ``panels``, the latter for each of its columns."""
    layer = panels.removesuffix(".panels8")
    balance = packed.get(f"{layer}.balance")
    if balance is not None:
        _, quads, _, quad = packed[panels].shape
        balance = balance.repeat(quads * quad // len(balance))
    return packed[f"{layer}.scale"], balance


def place_balance(tensors: Mapping[str, Tensor], packed: Mapping[str, Tensor], panels: str) -> None:
    """Write the balance of ``panels``, if it has one, from the norm's canonical ``tensors``."""
    layer = panels.removesuffix(".panels8")
    if not is_balanced(layer):
        return
    norm = layer.removesuffix(".conv_1").replace("ffn_layers", "norm_layers_1")
    gain, offset = (tensors[f"{norm}.{kind}"].float().abs() for kind in ("gamma", "beta"))
    # Three deviations: whether it is two or four makes no difference.
    large = torch.log2(3 * gain + offset).round().clamp(-60, 60)
    packed[f"{layer}.balance"].copy_(torch.exp2(-large))
