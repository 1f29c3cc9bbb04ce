"""What a server does for its residents as time goes by."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

from voxswap_registry.catalog.catalog import Catalog
from voxswap_registry.errors import VoiceNotFoundError, VoxswapError
from voxswap_registry.names import VoiceRef
from voxswap_server.residency.manager import ModelManager

_LOGGER = logging.getLogger(__name__)

Sleep = Callable[[float], Awaitable[None]]


async def evict_idle(
    manager: ModelManager,
    idle_ttl_s: Callable[[], float],
    *,
    every_s: float = 1.0,
    sleep: Sleep = asyncio.sleep,
) -> None:
    """Evict what was idle for ``idle_ttl_s()`` (0: never), again and again, until cancelled."""
    while True:
        await sleep(every_s)
        if (ttl_s := idle_ttl_s()) > 0:
            manager.evict_idle(ttl_s)


async def inspect_files(
    manager: ModelManager, *, every_s: float = 60.0, sleep: Sleep = asyncio.sleep
) -> None:
    """Look at the files that are mapped, again and again, until cancelled.

    What speaks is looked at before each step; this is for what is idle.
    """
    while True:
        await sleep(every_s)
        await manager.inspect_files()


def retire_deleted(manager: ModelManager, catalog: Catalog) -> None:
    """Let go of versions that the catalog no longer has, and keep those that are back."""
    for resident in manager.residents():  # those that are being loaded among them
        retire_those_deleted(manager, catalog, resident.refs)


def retire_those_deleted(manager: ModelManager, catalog: Catalog, refs: Iterable[str]) -> None:
    """Of ``refs``. A version that cannot be read now is none that was deleted: it stays."""
    for text in refs:
        if _is_deleted(catalog, VoiceRef.parse(text)):
            _LOGGER.info("%s was deleted; it goes when nobody speaks with it", text)
            manager.retire(text)
        else:
            manager.restore(text)


def _is_deleted(catalog: Catalog, ref: VoiceRef) -> bool:
    try:
        return ref.version not in catalog.record(ref.voice_id).versions
    except VoiceNotFoundError:
        return True
    except VoxswapError:
        return False
