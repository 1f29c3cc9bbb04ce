"""Where recordings are kept: the contract, memory, and memory before something slower."""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from voxswap_registry.kept import Kept


class StoreFault(enum.Enum):
    """Why a store did not do what it was asked."""

    TIMEOUT = "timeout"  # it did not answer in time
    CONNECTION = "connection"  # it cannot be reached
    REFUSED = "refused"  # it answered with an error
    BUSY = "busy"  # too much is asked of it already
    DAMAGED = "damaged"  # what it had was no recording


class AudioStore(Protocol):
    """Keeps bytes by key, or does not. For one event loop.

    Nothing that happens to a store is a request's error: what cannot be read is not there, and what
    cannot be kept is not kept. No method raises anything but `asyncio.CancelledError`; a cancelled
    `put` has kept everything or nothing.
    """

    async def get(self, key: str) -> bytes | None:
        """The bytes, or None."""
        ...

    async def put(self, key: str, value: bytes) -> None:
        """Keep ``value``, in the place of whatever has its key."""
        ...

    async def close(self) -> None:
        """Let go of connections. Nothing may be called after it."""
        ...


@dataclass(frozen=True, slots=True)
class MemoryStatistics:
    """What a `MemoryStore` holds."""

    bytes: int
    entries: int


# A node of the dictionary's list, and its place in the table, which has room to grow.
_ENTRY_BYTES = 256
_LARGEST_SHARE = 4


class MemoryStore:
    """The least recently used go when ``most_bytes`` are reached. Confined to one event loop.

    Keys and Python's own bookkeeping are counted along. One entry may take a quarter of the bound;
    what is larger would push out too much else, and is not kept. Nothing here awaits anything.
    """

    def __init__(
        self, most_bytes: int, *, on_eviction: Callable[[], object] = lambda: None
    ) -> None:
        self.most_bytes = most_bytes
        self._on_eviction = on_eviction
        self._entries: Kept[bytes] = Kept(most_bytes)

    async def get(self, key: str) -> bytes | None:
        """The bytes, which are the most recently used from now on."""
        return self._entries.get(key)

    async def put(self, key: str, value: bytes) -> None:
        """Keep it; what had its key is gone, also if ``value`` is too large to be kept."""
        size = sys.getsizeof(key) + sys.getsizeof(value) + _ENTRY_BYTES
        if size > self.most_bytes // _LARGEST_SHARE:
            self._entries.drop(key)
            return
        for _ in range(self._entries.put(key, value, size)):
            self._on_eviction()

    async def close(self) -> None:
        """Forget everything."""
        self._entries = Kept(self.most_bytes)

    def statistics(self) -> MemoryStatistics:
        """As it is now. May be called from any thread."""
        return MemoryStatistics(self._entries.size_bytes, len(self._entries))

    def check_integrity(self) -> None:
        """Raises AssertionError if what is counted is not what is there, or above the bound."""
        self._entries.check_integrity()


class TieredStore:
    """A near store before a far one. What is found far away is kept nearby."""

    def __init__(self, near: AudioStore, far: AudioStore) -> None:
        self._near, self._far = near, far

    async def get(self, key: str) -> bytes | None:
        """From the near store, or else from the far one."""
        value = await self._near.get(key)
        if value is None:
            value = await self._far.get(key)
            if value is not None:
                await self._near.put(key, value)
        return value

    async def put(self, key: str, value: bytes) -> None:
        """Into both. If cancelled, the near one has it."""
        await self._near.put(key, value)
        await self._far.put(key, value)

    async def close(self) -> None:
        """Close both."""
        try:
            await self._far.close()
        finally:
            await self._near.close()
