"""The catalog of a registry, looked at as the server starts, and watched from then on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from voxswap_registry.catalog.catalog import Catalog
from voxswap_registry.catalog.watcher import CatalogWatcher, Look
from voxswap_registry.components import MismatchListener
from voxswap_registry.signing import TrustedKeys
from voxswap_registry.store import Registry
from voxswap_server.app.background import stop
from voxswap_server.app.config import Settings, SettingsError
from voxswap_server.app.metrics import Metrics
from voxswap_server.app.way_down import WayDown

_FIRST_LOOK_S, _FIRST_LOOK_EVER_S = 1.0, 15.0


async def watched_catalog(
    settings: Settings,
    metrics: Metrics,
    observe_mismatch: MismatchListener,
    stack: contextlib.AsyncExitStack,
    way_down: WayDown,
) -> tuple[Catalog, Callable[[Callable[[Look], None]], Coroutine[Any, Any, None]]]:
    """The catalog of the registry, looked at once; and what watches it from then on.

    Whoever is given to the latter hears of each look. ``observe_mismatch`` hears of damaged bytes,
    on any thread. Raises `SettingsError` if nobody is trusted and signatures are required.
    """
    trusted = None
    if settings.require_signature:
        if not settings.trusted_keys:
            raise SettingsError(
                "trusted_keys: is empty, and require_signature is set; name the .pub files of "
                "those whose voices may speak"
            )
        trusted = TrustedKeys.load(settings.trusted_keys)
    registry = await asyncio.to_thread(
        Registry.open,
        settings.registry,
        cache_dir=settings.cache_dir,
        cache_bytes=settings.cache_bytes,
        # Who may write to the store, and has no key, must not reach what was verified.
        private_copies=settings.require_signature,
        listener=observe_mismatch,
    )
    catalog = await asyncio.to_thread(Catalog, registry, folder=settings.cache_dir, trusted=trusted)
    way_down.closing_on_thread(stack, "the catalog", catalog.close)  # waits for a look under way

    watcher = CatalogWatcher(
        catalog, poll_s=settings.registry_poll_s, executor=store_threads(stack, 1, "watch")
    )
    metrics.show("registry_voices", "Voices that exist.", catalog.count)
    text = "Bytes of components in the cache on disk."
    metrics.show("disk_cache_bytes", text, registry.components.cached_bytes)
    metrics.watch_beside("catalog", lambda: catalog.kept_bytes)
    # A store that hangs must not keep a server from speaking with the voices that it knows.
    first = asyncio.create_task(watcher.look(), name="first look at the registry")
    patience_s = _FIRST_LOOK_S if catalog.is_complete else _FIRST_LOOK_EVER_S
    await asyncio.wait([first], timeout=patience_s)

    way_down.closing(stack, "the first look at the registry", lambda: stop(first))

    async def watch(observe: Callable[[Look], None]) -> None:
        observe(await first)
        await watcher.run(observe)

    return catalog, watch


def store_threads(stack: contextlib.AsyncExitStack, n: int, name: str) -> ThreadPoolExecutor:
    """Threads for work that waits for the store; nobody waits for them in the end."""
    executor = ThreadPoolExecutor(n, thread_name_prefix=f"voxswap-{name}")
    stack.callback(executor.shutdown, wait=False, cancel_futures=True)
    return executor
