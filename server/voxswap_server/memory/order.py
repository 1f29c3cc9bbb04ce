"""Idle parts in the order in which they leave, kept as they come and go, with their sum."""

from __future__ import annotations

import bisect
import math
from collections.abc import Container, Iterator

from voxswap_server.memory.part import Part


class IdleOrder:
    """The least recently used part first; one that is protected counts as used until then.

    Adding and removing look at a logarithm of its length, choosing victims at as many parts as are
    chosen or spared. ``looked_at`` counts these, so that tests need no clock. Not thread-safe.
    """

    def __init__(self) -> None:
        self._order: list[tuple[float, int, Part]] = []
        self._entries: dict[Part, tuple[float, int, Part]] = {}
        self.sum_bytes = 0
        self.looked_at = 0

    @property
    def oldest_s(self) -> float | None:
        """By when the first one was used last. May be called from any thread."""
        return next((stamp_s for stamp_s, _, _ in self._order), None)

    def add(self, part: Part) -> None:
        """It is idle now. REQUIRES: it is not in here."""
        entry = (part.stamp_s, part.number, part)
        bisect.insort(self._order, entry)
        self._entries[part] = entry
        self.sum_bytes += part.size_bytes

    def discard(self, part: Part) -> None:
        """It is idle no more, or its stamp is about to change."""
        entry = self._entries.pop(part, None)
        if entry is not None:
            del self._order[bisect.bisect_left(self._order, entry)]
            self.sum_bytes -= part.size_bytes

    def victims(
        self, need_bytes: int, spared: Container[str] = (), *, until_s: float = math.inf
    ) -> list[Part] | None:
        """Parts that give ``need_bytes`` when they leave, or None if all of them are too little.

        Those with keys in ``spared`` stay, and those that were used after ``until_s``. Just enough
        leave: a victim that later ones make needless stays, the most recently used one first.
        """
        chosen: list[Part] = []
        gained = 0
        for stamp_s, _, part in self._order if need_bytes > 0 else ():
            self.looked_at += 1
            if stamp_s > until_s:
                break
            if part.key not in spared:
                chosen.append(part)
                gained += part.size_bytes
                if gained >= need_bytes:
                    break
        if gained < need_bytes:
            return None
        leave = chosen[-1:]
        for part in reversed(chosen[:-1]):
            if gained - part.size_bytes >= need_bytes:
                gained -= part.size_bytes
            else:
                leave.append(part)
        leave.reverse()
        return leave

    def used_until(self, since_s: float) -> list[Part]:
        """Those that were last used then, or before."""
        end = bisect.bisect_right(self._order, since_s, key=lambda entry: entry[0])
        return [part for _, _, part in self._order[:end]]

    def first_after(self, since_s: float) -> float | None:
        """When the first one was used that was used after that."""
        first = bisect.bisect_right(self._order, since_s, key=lambda entry: entry[0])
        return self._order[first][0] if first < len(self._order) else None

    def __contains__(self, part: Part) -> bool:
        return part in self._entries

    def __iter__(self) -> Iterator[Part]:
        """The first to leave first."""
        for _, _, part in self._order:
            self.looked_at += 1
            yield part

    def __len__(self) -> int:
        return len(self._order)

    def check_integrity(self) -> None:
        """Prove order and sum."""
        if self._order != sorted(self._entries.values()):
            raise AssertionError("idle parts are out of order")
        if any(stamp_s != part.stamp_s for stamp_s, _, part in self._order):
            raise AssertionError("a part was used, and kept its place")
        if self.sum_bytes != sum(part.size_bytes for part in self._entries):
            raise AssertionError(f"{self.sum_bytes} bytes are idle, says the sum")
