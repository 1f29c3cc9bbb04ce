"""What families share that make up voices: random weights, and the mark that such voices bear."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from voxswap_families.importing.request import FABRICATED

if TYPE_CHECKING:
    from torch import Tensor


def mark(folder: Path, seed: int, size: str) -> None:
    """Leave the file by which whatever is imported of ``folder`` is marked as made up."""
    write_json(folder / FABRICATED, {"seed": seed, "size": size})


def write_json(path: Path, value: object) -> None:
    """Into a file, whose folder is made if it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1), "utf-8")


def random_tensors(shapes: Mapping[str, tuple[int, ...]], seed: str) -> dict[str, Tensor]:
    """Random tensors that neither grow nor fade from layer to layer; the same for the same seed."""
    import torch

    found = {}
    for name, shape in shapes.items():
        generator = torch.Generator().manual_seed(zlib.crc32(f"{seed} {name}".encode()))
        drawn = torch.randn(shape, generator=generator)
        if len(shape) > 1:
            drawn /= math.sqrt(math.prod(shape[1:]))
        elif name.endswith("weight"):
            drawn = 1 + 0.1 * drawn  # of a norm
        else:
            drawn *= 0.02
        found[name] = drawn
    return found


def with_weight_norm(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each weight as its length and its direction, as vocoders are saved."""
    found = {}
    for name, tensor in tensors.items():
        if name.endswith(".weight"):
            found[f"{name}_g"] = tensor.norm(dim=(1, 2), keepdim=True)
            found[f"{name}_v"] = tensor
        else:
            found[name] = tensor
    return found
