"""What a setting may be: how its text is read, and the bounds that need more than a number."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo

from voxswap_families.layers.native.library import Kernels
from voxswap_registry.errors import InvalidInputError
from voxswap_registry.names import VoiceRef, check_digest

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
# A petabyte: sums of some of these still fit into the wire's int64.
MAX_SIZE_BYTES = 1 << 50


def _size(value: object) -> object:
    """Bytes, or a number with K, M, G or T (optionally followed by iB)."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", value.strip(), re.IGNORECASE)
    if match is None:
        raise ValueError("write a number of bytes, or one with a unit, such as 512MiB or 2GiB")
    size = float(match.group(1)) * _UNITS[match.group(2).upper()]
    return int(min(size, 2.0 * MAX_SIZE_BYTES))  # too many digits are no number for int()


def _address(value: object) -> object:
    if isinstance(value, str):
        host, colon, port = value.rpartition(":")
        if not (colon and host and port.isdecimal() and int(port) < 1 << 16):
            raise ValueError("write host:port, such as 127.0.0.1:50051 or [::1]:50051")
    return value


def _list(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(filter(None, (item.strip() for item in value.split(","))))


def _voice(value: str) -> str:
    try:
        VoiceRef.parse(value)
    except InvalidInputError as error:
        raise ValueError(error.violations[0].description) from error
    return value


def _digest(value: str) -> str:
    try:
        return check_digest(value)
    except InvalidInputError as error:
        raise ValueError(error.violations[0].description) from error


def _redis_url(value: SecretStr) -> SecretStr:
    url = value.get_secret_value()
    if url and not url.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError(
            "write redis://host:6379/0, rediss:// for TLS or unix:///path, or leave it out"
        )
    return value


def _kernels(value: str, others: ValidationInfo) -> str:
    if value in ("auto", "torch"):
        return value
    if others.data.get("device", "cpu") != "cpu":
        raise ValueError('these are a CPU\'s: write auto or torch, or device = "cpu"')
    if others.data.get("arithmetic") == "float32":
        raise ValueError("these round to bfloat16: write auto or torch, or leave out arithmetic")
    return value


Paths = Annotated[tuple[Path, ...], BeforeValidator(_list)]
Voices = Annotated[tuple[Annotated[str, AfterValidator(_voice)], ...], BeforeValidator(_list)]
Size = Annotated[int, BeforeValidator(_size), Field(le=MAX_SIZE_BYTES)]
Digests = Annotated[tuple[Annotated[str, AfterValidator(_digest)], ...], BeforeValidator(_list)]
Names = Annotated[tuple[str, ...], BeforeValidator(_list)]
Address = Annotated[str, BeforeValidator(_address)]
RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url)]
KernelsChoice = Annotated[Literal["auto", Kernels], AfterValidator(_kernels)]
