"""JSON that others wrote: bounded and unambiguous before anybody looks at what it says."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any, NoReturn

from voxswap_registry.errors import ManifestError

_MAX_LEVELS = 32  # far below where Python's own recursion ends


def read_json(
    data: bytes,
    *,
    where: str,
    limit_bytes: int,
    most_entries: int | None = None,
    remedy: str = "publish the version anew",
) -> dict[str, Any]:
    """A JSON object of bounded size from whoever wrote it. Raises `ManifestError`.

    It is UTF-8 without a mark at its beginning, and no object has a key twice: what one reader
    takes and another does not, or reads otherwise, is not taken. No list has more than
    ``most_entries``: to name the fault of each would take long. ``remedy`` ends each message.
    """
    if len(data) > limit_bytes:
        raise ManifestError(
            f"{where}: more than {limit_bytes} bytes, the most that it may have; {remedy}"
        )
    try:
        # `json.loads` of bytes would take UTF-16 and UTF-32 as well, and guess which.
        text = data.decode()
        raw = json.loads(
            text,
            parse_float=_finite,
            parse_constant=_refuse_constant,
            object_pairs_hook=_without_twins,
        )
        if "\\u" in text:
            # Half a surrogate pair can be spelt, and not be written again.
            json.dumps(raw, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"{where}: not JSON ({error}); {remedy}") from error
    # A bracket may stand in a text as well: this only tells when there is no need to look.
    if text.count("[") + text.count("{") > _MAX_LEVELS and _is_deeper(raw, _MAX_LEVELS):
        raise ManifestError(
            f"{where}: nested deeper than {_MAX_LEVELS} levels, the most that are read; {remedy}"
        )
    if most_entries is not None and text.count(",") >= most_entries:
        longest = max(map(len, _lists_in(raw)), default=0)
        if longest > most_entries:
            raise ManifestError(
                f"{where}: a list of {longest} entries, and {most_entries} at most are read; "
                f"{remedy}"
            )
    if not isinstance(raw, dict):
        raise ManifestError(f"{where}: not a JSON object; {remedy}")
    return raw


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {text:.20} is out of range")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, if each of its keys is there once."""
    found = dict(pairs)
    if len(found) < len(pairs):
        key = next(key for key, n in Counter(key for key, _ in pairs).items() if n > 1)
        raise ValueError(f"the key {key!r:.60} is there twice")
    return found


def _lists_in(raw: object) -> Iterator[list[Any]]:
    """All of them. REQUIRES: it is not deep."""
    if isinstance(raw, list):
        yield raw
    for inner in raw if isinstance(raw, list) else raw.values() if isinstance(raw, dict) else ():
        yield from _lists_in(inner)


def _is_deeper(raw: object, limit: int) -> bool:
    """Whether objects and lists are nested deeper than ``limit``; found without recursion."""
    level: list[Any] = [raw]
    for _ in range(limit + 1):
        level = [outer for outer in level if isinstance(outer, dict | list)]
        if not level:
            return False
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return True
