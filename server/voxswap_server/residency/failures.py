"""Loads that failed: the error is kept, and the next try waits longer each time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from voxswap_registry.errors import ComponentMissingError, DigestMismatchError, VoxswapError

_FIRST_S, _LONGEST_S, _FACTOR = 0.5, 60.0, 2.0
_KEPT = 1024
# The registry itself fails these without reading a byte, and knows when they are mended.
_TOLD_AT_ONCE = (DigestMismatchError, ComponentMissingError)


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong with ``key``, how often in a row, and when it may be tried again.

    ``error`` was never raised: it keeps no frames, and so no bytes.
    """

    key: str
    ref: str
    error: VoxswapError
    times: int
    failed_s: float
    retry_s: float


class Failures:
    """Failures by key, the latest `_KEPT` of them. Confined to one thread; never blocks.

    A key that failed is barred for half a second, then for twice as long each time, up to a
    minute; one that costs nothing to try is not barred. A success forgets it.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: OrderedDict[str, Failure] = OrderedDict()

    def record(self, key: str, ref: str, error: VoxswapError) -> None:
        """``key`` failed just now, while ``ref`` was loaded."""
        known, now = self._known.pop(key, None), self._clock()
        times = known.times + 1 if known else 1
        # Enough doublings reach the cap; more would overflow.
        wait_s = min(_LONGEST_S, _FIRST_S * _FACTOR ** min(times - 1, 16))
        if isinstance(error, _TOLD_AT_ONCE):
            wait_s = 0.0
        self._known[key] = Failure(key, ref, error.copy(), times, now, now + wait_s)
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)

    def forget(self, keys: Iterable[str]) -> None:
        """They are sound again, or somebody insists on a try."""
        for key in keys:
            self._known.pop(key, None)

    def check(self, keys: Iterable[str]) -> None:
        """Raise the error that one of ``keys`` failed with, if it may not be tried again yet."""
        for key in keys:
            failure = self._known.get(key)
            if failure is not None and (left_s := failure.retry_s - self._clock()) > 0:
                times = "" if failure.times == 1 else f" {failure.times} times in a row"
                tried = f"it failed{times}, and is tried again in {left_s:.1f} s"
                raise failure.error.again(f"{failure.error.message} ({tried})", retry_s=left_s)

    def __iter__(self) -> Iterator[Failure]:
        """The latest last."""
        return iter(tuple(self._known.values()))

    def __len__(self) -> int:
        return len(self._known)
