"""Safetensors files as tensors that are views of the mapped file.

Our own reader beside the safetensors package: that one makes a tensor in 15 us, and a voice has
350; this takes 1 ms for all of them, in a swap that has 80. It believes nothing: every offset is
checked before a view is made, and torch checks it against the map once more.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from voxswap_registry.errors import EngineError, RegistryError
from voxswap_registry.storage.verified import VerifiedFile

# The names of a published voice take 60 KB.
_MAX_HEADER_BYTES = 16 << 20
_MAX_CAUSE = 300  # characters of a foreign error that are passed on
_LENGTH_BYTES = 8
# Where an open descriptor has a name: opening it is opening the very file, whatever its path is.
_DESCRIPTORS = "/proc/self/fd" if sys.platform.startswith("linux") else "/dev/fd"
_DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
_WITH_INT8 = {**_DTYPES, "I8": torch.int8}


def map_tensors(file: VerifiedFile, *, takes_int8: bool = False) -> dict[str, Tensor]:
    """The tensors of a safetensors file, by name; pages are read when they are touched.

    Of floats, and of int8 for who ``takes_int8``. The map is private and lives as long as one of
    the tensors; it keeps no descriptor. Raises `EngineError` if the file is no safetensors file, or
    holds what no engine here takes, and `RegistryError` if it cannot be read.
    """
    try:
        return _mapped(file, _WITH_INT8 if takes_int8 else _DTYPES)
    except OSError as error:
        raise RegistryError(f"cannot read {file.name}: {error.strerror or error}") from error
    except (LookupError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        raise EngineError(
            f"{file.name}: not a readable safetensors file ({str(error)[:_MAX_CAUSE]}); import the "
            "voice again"
        ) from error


def _mapped(file: VerifiedFile, dtypes: Mapping[str, torch.dtype]) -> dict[str, Tensor]:
    file_bytes = file.size_bytes
    header_bytes = int.from_bytes(os.pread(file.fd, _LENGTH_BYTES, 0), "little")
    if header_bytes > _MAX_HEADER_BYTES:
        raise EngineError(
            f"{file.name}: a header of {header_bytes} bytes, more than the {_MAX_HEADER_BYTES} "
            "that are read; import the voice again"
        )
    header = json.loads(os.pread(file.fd, header_bytes, _LENGTH_BYTES))
    if not isinstance(header, dict):
        raise TypeError("its header is no object")
    header.pop("__metadata__", None)
    start = _LENGTH_BYTES + header_bytes
    _check_layout(header, file_bytes - start)
    name = f"{_DESCRIPTORS}/{file.fd}"
    block = torch.from_file(name, shared=False, size=file_bytes, dtype=torch.uint8)
    typed: dict[torch.dtype, Tensor] = {}
    return {
        name: _view(block, typed, start, file_bytes, entry, dtypes)
        for name, entry in header.items()
    }


def _check_layout(header: dict[str, Any], data_bytes: int) -> None:
    """Tensors lie one after the other, without holes and without sharing a byte."""
    end = 0
    for begin, after in sorted(tuple(entry["data_offsets"]) for entry in header.values()):
        if begin != end or after < begin:
            raise ValueError("its tensors do not lie one after the other")
        end = after
    if end != data_bytes:
        raise ValueError(f"its tensors end at {end} of {data_bytes} bytes")


def _view(
    block: Tensor,
    typed: dict[torch.dtype, Tensor],
    start: int,
    file_bytes: int,
    entry: Any,
    dtypes: Mapping[str, torch.dtype],
) -> Tensor:
    """One tensor. ``typed`` keeps the block as each dtype: making that view takes longest."""
    dtype = dtypes.get(str(entry["dtype"]))
    if dtype is None:
        raise ValueError(f"a tensor that is none of {', '.join(dtypes)}")
    shape, (begin, end) = entry["shape"], entry["data_offsets"]
    if not all(type(n) is int and 0 <= n <= file_bytes for n in (*shape, begin, end)):
        raise ValueError("a shape or an offset that is no whole number within the file")
    size = dtype.itemsize
    begin, end = start + begin, start + end
    if end - begin != math.prod(shape) * size or end > file_bytes:
        raise ValueError("a tensor that does not fit its place in the file")
    if begin % size:
        raise ValueError("a tensor that is not aligned; voxswap's own files are")
    if dtype not in typed:
        typed[dtype] = block[: file_bytes - file_bytes % size].view(dtype)
    strides, stride = [], 1
    for n in reversed(shape):
        strides.append(stride)
        stride *= n
    return typed[dtype].as_strided(shape, strides[::-1], begin // size)
