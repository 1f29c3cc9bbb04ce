"""The residency of one server, put together: manager, what is loaded ahead, upkeep."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from voxswap_families.contract import Engine
from voxswap_registry.catalog.catalog import Catalog
from voxswap_registry.errors import DigestMismatchError
from voxswap_registry.graphs import GraphTrust
from voxswap_registry.manifest import Component
from voxswap_server.app.background import in_background
from voxswap_server.app.config import Settings
from voxswap_server.app.remembering import WarmStart
from voxswap_server.app.residents import EventReporter, Residents
from voxswap_server.app.way_down import WayDown
from voxswap_server.memory.ledger import STREAMS
from voxswap_server.memory.plans import Limits
from voxswap_server.residency.ahead import Ahead
from voxswap_server.residency.device import make_device
from voxswap_server.residency.estimates import Tier
from voxswap_server.residency.events import ResidencyEvent
from voxswap_server.residency.host_tier import HostTier
from voxswap_server.residency.loader import VoiceLoader
from voxswap_server.residency.manager import ModelManager
from voxswap_server.residency.upkeep import evict_idle, inspect_files

LOADING_THREADS = "voxswap-load"

# Loads that hang keep their threads; so many may, until loads wait for a thread.
_SPARE_THREADS = 16
# A line of four seconds keeps half a megabyte, whoever speaks it.
_MOST_STREAM_BYTES, _STREAM_SHARE = 128 << 20, 16
# They ask disks; whoever asks waits for a moment, and then does without.
_LOOKING_THREADS = 2


def stream_bytes(budget_bytes: int) -> int:
    """Of a budget, what streams may keep of the segments that they speak, all together."""
    return min(_MOST_STREAM_BYTES, budget_bytes // _STREAM_SHARE)


def keep_residents(
    settings: Settings,
    catalog: Catalog,
    engines: Mapping[str, Engine],
    reporter: EventReporter,
    stack: contextlib.AsyncExitStack,
    way_down: WayDown,
) -> Residents:
    """Residency for as long as ``stack`` is open; on its way down, everything is evicted."""
    # What was told to stop for a player's sake gives up its slot before it has its thread.
    slots = settings.load_threads + settings.fetch_threads
    loading = ThreadPoolExecutor(2 * slots + _SPARE_THREADS, LOADING_THREADS)
    stack.callback(loading.shutdown, wait=False)
    looking = ThreadPoolExecutor(_LOOKING_THREADS, "voxswap-look")
    stack.callback(looking.shutdown, wait=False, cancel_futures=True)
    freeing = ThreadPoolExecutor(1, "voxswap-free")
    way_down.closing_on_thread(stack, "freeing memory", freeing.shutdown)
    host_tier = HostTier(settings.host_budget) if settings.device != "cpu" else None
    loader = VoiceLoader(
        catalog.registry.components,
        engines,
        graphs=GraphTrust(
            catalog.registry.objects,
            named=settings.trusted_graphs,
            all_signed=settings.require_signature,
        ),
        largest_chunk_s=settings.largest_step_s,
        host_tier=host_tier,
        allow_fabricated=settings.allow_fabricated,
    )

    def observe(event: ResidencyEvent) -> None:
        residents.observe(event)

    manager = ModelManager(
        loader,
        loading,
        freeing=freeing,
        looking=looking,
        budget_bytes=settings.memory_budget,
        device=make_device(settings.device),
        carved={STREAMS: stream_bytes(settings.memory_budget)},
        limits=Limits(
            load_slots=settings.load_threads,
            fetch_slots=settings.fetch_threads,
            load_timeout_s=settings.load_timeout_s,
            wait_s=settings.memory_wait_s,
            settle_s=settings.settle_s,
        ),
        observer=observe,
    )
    residents = Residents(settings, catalog, loader, manager, reporter, Ahead(manager), host_tier)
    way_down.closing(stack, "residency", manager.close)
    way_down.closing(stack, "loads ahead", residents.ahead.close)
    metrics = reporter.metrics
    metrics.watch_ledger(Tier.DEVICE, manager.statistics)
    metrics.watch_beside("program", lambda: manager.overhead_bytes)
    metrics.watch_beside("plans", lambda: loader.kept_bytes)
    if host_tier is not None:
        metrics.watch_ledger(Tier.HOST, host_tier.statistics)
    metrics.show("leases", "Leases held.", manager.held_leases)
    text = "Time since the use of what has been idle longest."
    metrics.show("lru_age_seconds", text, manager.lru_age_s)
    text = "Loads that wait for memory."
    metrics.show("load_queue_depth", text, manager.in_line)
    return residents


def look_after(
    residents: Residents, warm_start: WarmStart, stack: contextlib.AsyncExitStack, way_down: WayDown
) -> None:
    """Upkeep in the background for as long as ``stack`` is open."""
    evicting = evict_idle(residents.manager, lambda: residents.settings.idle_ttl_s)
    in_background(stack, way_down, evicting, "evict what is idle")
    in_background(stack, way_down, inspect_files(residents.manager), "look at mapped files")
    if residents.settings.warm_start:
        way_down.closing(stack, "remembering residents", warm_start.save)
        in_background(stack, way_down, warm_start.run(), "remember what is resident")


def from_any_thread(
    tell: Callable[[Component, DigestMismatchError], None],
) -> Callable[[Component, DigestMismatchError], None]:
    """``tell`` on this thread's event loop, whichever thread calls."""
    loop, home = asyncio.get_running_loop(), threading.get_ident()

    def call(component: Component, error: DigestMismatchError) -> None:
        if threading.get_ident() == home:
            tell(component, error)
        elif not loop.is_closed():
            loop.call_soon_threadsafe(tell, component, error)

    return call
