"""What is loaded before anybody asks: the voices of a setting, and those of the last time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from voxswap_registry.errors import VoxswapError
from voxswap_registry.manifest import Manifest
from voxswap_server.residency import popularity
from voxswap_server.residency.ahead import Ahead
from voxswap_server.residency.manager import ModelManager
from voxswap_server.residency.popularity import Popularity
from voxswap_server.residency.snapshot import State

_LOGGER = logging.getLogger(__name__)
_SAVED_EVERY_S = 60.0


class WarmStart:
    """Keeps what is resident in a file, and loads it again. Confined to one event loop.

    ``resolve`` gives the manifest that a reference stands for; ``uses`` counts who spoke.
    """

    def __init__(
        self,
        manager: ModelManager,
        ahead: Ahead,
        uses: Popularity,
        *,
        resolve: Callable[[str], Manifest],
        path: Path,
    ) -> None:
        self._manager = manager
        self._ahead = ahead
        self._uses = uses
        self._resolve = resolve
        self._path = path
        self._remembered: tuple[str, ...] | None = None  # to be loaded; None before it has begun
        self._preloaded = asyncio.Event()

    async def preload(self, voices: Sequence[str]) -> None:
        """Load ``voices``, which are to be there in any case."""
        if voices:
            loaded = await self._ahead.preload(voices, self._resolve)
            _LOGGER.info("preloaded %d of %d voices", loaded, len(voices))
        self._preloaded.set()

    async def run(self) -> None:
        """Load what was resident when the server stopped, as far as memory is free; then remember.

        Once all that is to be there in any case is there: neither pushes out the other.
        """
        await self._preloaded.wait()
        data = await asyncio.to_thread(popularity.read, self._path)
        self._remembered = ()
        if data is not None:
            try:
                self._remembered = self._uses.restore(data, where=str(self._path))
            except VoxswapError as error:
                _LOGGER.warning("no warm start: %s", error)
        if self._remembered:
            loaded = await self._ahead.warm_start(self._remembered, self._resolve)
            _LOGGER.info("warm start: %d of %d voices", loaded, len(self._remembered))
        self._remembered = ()
        while True:
            await asyncio.sleep(_SAVED_EVERY_S)
            await self.save()

    async def save(self) -> None:
        """Remember what is resident, and how often voices were used.

        Until the warm start is through, what was remembered counts as resident. Before it has
        begun there is nothing to be remembered.
        """
        if self._remembered is None:
            return
        resident = [
            ref
            for voice in self._manager.residents()
            if voice.state is State.RESIDENT
            for ref in voice.refs
        ]
        data = self._uses.to_json(list(dict.fromkeys((*resident, *self._remembered))))
        await asyncio.to_thread(popularity.save, data, self._path)
