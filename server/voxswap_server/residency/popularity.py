"""Which voices were used how often, kept over restarts."""

from __future__ import annotations

import heapq
import json
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from voxswap_registry.errors import InvalidInputError
from voxswap_registry.fields import Between, Holds
from voxswap_registry.names import VoiceRef
from voxswap_registry.records import Record, record
from voxswap_registry.storage.locks import replace_file

_LOGGER = logging.getLogger(__name__)

_HALF_LIFE_S = 24 * 3600.0
_MOST_HALVINGS = 64.0
_MOST_COUNT = 1e15  # of uses, and of seconds; what is above was not written by voxswap
_KEPT = 10_000
_MAX_FILE_BYTES = 8 << 20


def _names_a_version(text: str) -> bool:
    try:
        return VoiceRef.parse(text).version is not None
    except InvalidInputError:
        return False


_Ref = Annotated[str, Holds(_names_a_version, "write a voice and its version, such as smith@3")]
_Count = Annotated[float, Between(0, _MOST_COUNT)]


@record()
@dataclass(frozen=True, slots=True)
class _File:
    """What is on the disk."""

    schema: Annotated[int, Between(1, 1)]
    saved_s: _Count
    uses: Mapping[_Ref, _Count]
    resident: tuple[_Ref, ...]


_FILE: Final = Record(
    _File, limit_bytes=_MAX_FILE_BYTES, remedy="It is not what voxswap wrote, and left out"
)


class Popularity:
    """Uses by version, halved every day. Confined to one thread.

    A count is kept as if all uses had been at one instant in the future, so that counting one more
    touches no other.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Count by ``clock``; ``wall_clock`` only tells how long a server was down."""
        self._clock = clock
        self._wall_clock = wall_clock
        self._zero_s = clock()
        self._weights: dict[str, float] = {}

    def count(self, ref: str) -> None:
        """``ref`` was used now."""
        one = self._one()
        self._weights[ref] = self._weights.get(ref, 0.0) + one
        if len(self._weights) > 2 * _KEPT:
            self._weights = dict(heapq.nlargest(_KEPT, self._weights.items(), lambda kv: kv[1]))

    def uses(self, ref: str) -> float:
        """Uses of ``ref``, old ones for less."""
        one = self._one()
        return self._weights.get(ref, 0.0) / one

    def to_json(self, resident: Sequence[str]) -> bytes:
        """What is to be remembered: counts, and versions that are ``resident`` now."""
        one = self._one()
        top = heapq.nlargest(_KEPT, self._weights.items(), lambda kv: kv[1])
        uses = {ref: round(weight / one, 3) for ref, weight in top}
        data = {"schema": 1, "saved_s": self._wall_clock(), "uses": uses}
        return json.dumps({**data, "resident": list(resident)}).encode()

    def restore(self, data: bytes, *, where: str) -> tuple[str, ...]:
        """Take up what `to_json` wrote: versions that were resident, the most used first.

        Raises `ManifestError`, and takes nothing, if it is not.
        """
        found = _FILE.read(data, where=where)
        age_s = max(0.0, self._wall_clock() - found.saved_s)
        fresh = self._one() * 0.5 ** min(_MOST_HALVINGS, age_s / _HALF_LIFE_S)
        for ref, count in found.uses.items():
            self._weights[ref] = self._weights.get(ref, 0.0) + count * fresh
        return tuple(sorted(dict.fromkeys(found.resident), key=self.uses, reverse=True))

    def _one(self) -> float:
        """What one use weighs now. Rebased before it grows beyond what a float can tell apart."""
        halvings = max(0.0, (self._clock() - self._zero_s) / _HALF_LIFE_S)
        if halvings > _MOST_HALVINGS:
            self._weights = {k: v * 0.5**halvings for k, v in self._weights.items()}
            self._zero_s, halvings = self._clock(), 0.0
        return math.pow(2.0, halvings)


def read(path: Path) -> bytes | None:
    """What `save` wrote; None if there is nothing that can be read. Blocks."""
    try:
        with path.open("rb") as file:
            return file.read(_MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        _LOGGER.warning("no warm start: %s", error)
        return None


def save(data: bytes, path: Path) -> None:
    """Replace ``path``: whoever reads it finds the old or the new. Blocks.

    A disk that refuses is logged: nothing but the next warm start depends on it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, data)
    except OSError as error:
        _LOGGER.warning("cannot save what is resident to %s: %s", path, error)
