"""Reads JSON that others wrote: bounded, typed, and with faults that say where they are."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, TypeVar

from voxswap_registry.errors import ManifestError

_MAX_INTEGER = 1 << 53  # what every JSON reader holds exactly
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")

_T = TypeVar("_T")


def read_json(data: bytes, *, where: str, limit_bytes: int) -> dict[str, Any]:
    """A JSON object of bounded size from whoever wrote it. Raises `ManifestError`."""
    if len(data) > limit_bytes:
        raise ManifestError(f"{where}: more than {limit_bytes} bytes, the most that it may have")
    try:
        raw = json.loads(data)
        # What cannot be written again is not taken: infinities, half surrogate pairs.
        json.dumps(raw, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"{where}: not JSON ({error}); publish the version anew") from error
    if not isinstance(raw, dict):
        raise ManifestError(f"{where}: not a JSON object; publish the version anew")
    return raw


class Reader:
    """Typed access to foreign JSON; each fault is a `ManifestError` with document and key."""

    def __init__(self, where: str) -> None:
        self.where = where

    def fault(self, message: str) -> ManifestError:
        """The error for this document."""
        return ManifestError(f"{self.where}: {message}")

    def take(self, raw: Mapping[str, Any], key: str, kind: type[_T]) -> _T:
        """A value of this kind."""
        value = raw.get(key)
        # bool is an int to Python, not to a manifest.
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.fault(f"{key!r} must be {kind.__name__}, found {type(value).__name__}")
        return value

    def optional(self, raw: Mapping[str, Any], key: str) -> str | None:
        """A text, or None if there is none."""
        return None if raw.get(key) is None else self.take(raw, key, str)

    def positive(self, raw: Mapping[str, Any], key: str, *, limit: int = _MAX_INTEGER) -> int:
        """A whole number above 0."""
        value = self.take(raw, key, int)
        if value <= 0:
            raise self.fault(f"{key!r} must be above 0, found {value}")
        if value > limit:
            raise self.fault(f"{key!r} must be {limit} at most, found more")
        return value

    def instant(self, raw: Mapping[str, Any], key: str) -> str:
        """A time in ISO 8601, with its offset from UTC."""
        value = self.take(raw, key, str)
        try:
            has_offset = datetime.fromisoformat(value).tzinfo is not None
        except ValueError:
            has_offset = False
        if not has_offset:
            raise self.fault(f"{key!r} must be a time such as 2026-01-02T12:00:00Z")
        return value

    def frozen(self, raw: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        """An object, whatever is in it."""
        return MappingProxyType(dict(self.take(raw, key, dict)))

    def items(self, raw: Mapping[str, Any], key: str, kind: type[_T]) -> Mapping[str, _T]:
        """An object whose values are all of this kind."""
        found = self.take(raw, key, dict)
        return MappingProxyType({str(name): self.take(found, name, kind) for name in found})

    def numbers(self, raw: Mapping[str, Any], key: str) -> Mapping[str, float]:
        """An object whose values are all finite numbers."""
        found = self.take(raw, key, dict)
        for name, value in found.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise self.fault(f"{key}.{name} must be a number, found {value!r}")
            # Compared, not converted: float() of a huge integer raises OverflowError.
            if not -_MAX_INTEGER <= value <= _MAX_INTEGER:
                raise self.fault(f"{key}.{name} must be within +-{_MAX_INTEGER}")
        return MappingProxyType({str(name): float(value) for name, value in found.items()})

    def integers(self, raw: object, key: str) -> tuple[int, ...]:
        """A list of whole numbers."""
        if not isinstance(raw, list) or not all(type(item) is int for item in raw):
            raise self.fault(f"{key!r} must hold lists of int")
        return tuple(raw)

    def strings(self, raw: Mapping[str, Any], key: str) -> tuple[str, ...]:
        """A list of texts."""
        found = self.take(raw, key, list)
        if not all(isinstance(item, str) for item in found):
            raise self.fault(f"{key!r} must hold str")
        return tuple(found)

    def traffic(self, raw: Mapping[str, Any]) -> Mapping[int, int]:
        """Weights by version."""
        found = self.items(raw, "traffic", int)
        if not all(_NUMBER.fullmatch(v) and 0 < n <= _MAX_INTEGER for v, n in found.items()):
            raise self.fault("'traffic' must map versions to weights above 0, not too large")
        return MappingProxyType({int(version): weight for version, weight in found.items()})
