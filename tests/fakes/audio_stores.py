"""A store of audio that is as far away as a test wants."""

from __future__ import annotations

import asyncio

from voxswap_server.speech.cache.store import MemoryStore


class FarStore(MemoryStore):
    """Memory that answers while ``reads``, or ``writes``, are set; at first both are."""

    def __init__(self, budget_bytes: int = 1 << 20) -> None:
        super().__init__(budget_bytes)
        self.reads, self.writes = asyncio.Event(), asyncio.Event()
        self.reads.set()
        self.writes.set()
        self.is_asked = asyncio.Event()
        self.asked = 0

    async def get(self, key: str) -> bytes | None:
        self.asked += 1
        self.is_asked.set()
        await self.reads.wait()
        return await super().get(key)

    async def put(self, key: str, value: bytes) -> None:
        await self.writes.wait()
        await super().put(key, value)
