"""How many of something there may be at a time: places that are refused, and rows that move up."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from voxswap_registry.errors import VoxswapError

_T = TypeVar("_T")


class Places:
    """So many places; who finds none is refused. Confined to one event loop; nothing blocks."""

    def __init__(self, most: int, full: Callable[[int], VoxswapError]) -> None:
        """``full`` makes the error for who finds ``most`` places taken."""
        self.most = most
        self._full = full
        self._taken = 0

    @property
    def taken(self) -> int:
        """How many are taken now."""
        return self._taken

    @contextlib.contextmanager
    def one(self) -> Iterator[None]:
        """A place for as long as the block lasts. Raises the error of those who find none."""
        if self._taken >= self.most:
            raise self._full(self.most)
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1


class Row(Generic[_T]):
    """Those who wait for their peers, the longest first. Confined to one event loop.

    Nobody is refused: where the row is full, who has waited longest has to go. A flood of those who
    never move on pushes out its own, and who moves on at once is never the one that waited longest.
    """

    def __init__(self, most: int, push_out: Callable[[_T], object]) -> None:
        """``push_out`` is told of each that has to go."""
        self.most = most
        self._push_out = push_out
        self._waiting: dict[_T, None] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def join(self, who: _T) -> None:
        """Wait behind all others."""
        if len(self._waiting) >= self.most:
            longest = next(iter(self._waiting))
            del self._waiting[longest]
            self._push_out(longest)
        self._waiting[who] = None

    def leave(self, who: _T) -> None:
        """Wait no longer; again does nothing."""
        self._waiting.pop(who, None)
