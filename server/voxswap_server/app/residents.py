"""The residency of one server, put together: manager, events, what is loaded ahead, upkeep."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from voxswap_families.contract import Engine
from voxswap_registry.catalog.catalog import Catalog
from voxswap_registry.catalog.watcher import Look
from voxswap_registry.errors import DigestMismatchError, VoxswapError
from voxswap_registry.graphs import GraphTrust
from voxswap_registry.manifest import Component, Manifest
from voxswap_registry.names import VoiceRef
from voxswap_server.app.background import in_background
from voxswap_server.app.config import RELOADABLE, Settings
from voxswap_server.app.metrics import Metrics
from voxswap_server.app.way_down import WayDown
from voxswap_server.memory.ledger import STREAMS
from voxswap_server.memory.plans import Limits
from voxswap_server.residency import popularity
from voxswap_server.residency.ahead import Ahead
from voxswap_server.residency.device import make_device
from voxswap_server.residency.estimates import Tier
from voxswap_server.residency.events import EventKind, EventLog, ResidencyEvent
from voxswap_server.residency.host_tier import HostTier
from voxswap_server.residency.loader import VoiceLoader
from voxswap_server.residency.manager import ModelManager
from voxswap_server.residency.popularity import Popularity
from voxswap_server.residency.snapshot import State
from voxswap_server.residency.upkeep import (
    evict_idle,
    inspect_files,
    retire_deleted,
    retire_those_deleted,
)

_LOGGER = logging.getLogger(__name__)

LOADING_THREADS = "voxswap-load"

_SAVED_EVERY_S = 60.0
# Loads that hang keep their threads; so many may, until loads wait for a thread.
_SPARE_THREADS = 16
# A line of four seconds keeps half a megabyte, whoever speaks it.
_MOST_STREAM_BYTES, _STREAM_SHARE = 128 << 20, 16
# They ask disks; whoever asks waits for a moment, and then does without.
_LOOKING_THREADS = 2


@dataclass(eq=False, slots=True)
class Residents:
    """What a server has in memory. Confined to one event loop but where it says otherwise."""

    settings: Settings  # as reloaded
    catalog: Catalog
    loader: VoiceLoader
    manager: ModelManager
    events: EventLog
    ahead: Ahead
    metrics: Metrics
    host_tier: HostTier | None
    uses: Popularity
    generation: int = -1  # of the catalog, when it was last looked through for what is deleted
    remembered: tuple[str, ...] | None = None  # still to be loaded; None before the warm start
    preloaded: asyncio.Event = field(default_factory=asyncio.Event)

    def observe_look(self, look: Look) -> None:
        """Somebody looked at the store: what was deleted goes, whoever deleted it."""
        if look.error is None and (generation := self.catalog.generation()) != self.generation:
            self.generation = generation
            retire_deleted(self.manager, self.catalog)

    def observe(self, event: ResidencyEvent) -> None:
        """Count an event, and tell whoever watches."""
        self.metrics.observe_residency(event)
        self.events.tell(event)
        if event.kind is EventKind.LOADED:
            # Whoever asked may have had its manifest since before it was deleted.
            retire_those_deleted(self.manager, self.catalog, event.voices)

    def resolve(self, voice: str) -> Manifest:
        """The manifest that a reference stands for. Raises as the catalog does."""
        return self.catalog.resolve(VoiceRef.parse(voice))

    def reload(self, settings: Settings) -> None:
        """Take up the settings that may change while the server runs, and no others."""
        if settings.memory_budget != self.settings.memory_budget:
            self.manager.set_budget(settings.memory_budget)
        taken = {name: getattr(settings, name) for name in RELOADABLE}
        self.settings = self.settings.model_copy(update=taken)

    async def preload(self) -> None:
        """Load the voices of the setting."""
        if self.settings.preload:
            loaded = await self.ahead.preload(self.settings.preload, self.resolve)
            _LOGGER.info("preloaded %d of %d voices", loaded, len(self.settings.preload))
        self.preloaded.set()

    def state_file(self) -> Path:
        """Where it is remembered what was resident."""
        return self.settings.cache_dir / "residents.json"

    async def save(self) -> None:
        """Remember what is resident, and how often voices were used.

        Until the warm start is through, what was remembered counts as resident. Before it has
        begun there is nothing to be remembered.
        """
        if self.remembered is None:
            return
        resident = [
            ref
            for voice in self.manager.residents()
            if voice.state is State.RESIDENT
            for ref in voice.refs
        ]
        data = self.uses.to_json(list(dict.fromkeys((*resident, *self.remembered))))
        await asyncio.to_thread(popularity.save, data, self.state_file())

    async def warm_start(self) -> None:
        """Load what was resident when the server stopped, as far as memory is free.

        Once all that is to be there in any case is there: neither pushes out the other.
        """
        await self.preloaded.wait()
        path = self.state_file()
        data = await asyncio.to_thread(popularity.read, path)
        self.remembered = ()
        if data is not None:
            try:
                self.remembered = self.uses.restore(data, where=str(path))
            except VoxswapError as error:
                _LOGGER.warning("no warm start: %s", error)
        if self.remembered:
            loaded = await self.ahead.warm_start(self.remembered, self.resolve)
            _LOGGER.info("warm start: %d of %d voices", loaded, len(self.remembered))
        self.remembered = ()


def stream_bytes(budget_bytes: int) -> int:
    """Of a budget, what streams may keep of the segments that they speak, all together."""
    return min(_MOST_STREAM_BYTES, budget_bytes // _STREAM_SHARE)


async def keep_residents(
    settings: Settings,
    catalog: Catalog,
    engines: Mapping[str, Engine],
    metrics: Metrics,
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
    )
    events = EventLog()
    uses = Popularity()

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
            fetch_timeout_s=settings.load_timeout_s,
            wait_s=settings.memory_wait_s,
            settle_s=settings.settle_s,
        ),
        observer=observe,
    )
    residents = Residents(
        settings, catalog, loader, manager, events, Ahead(manager), metrics, host_tier, uses
    )
    stack.callback(events.close)
    way_down.closing(stack, "residency", manager.close)
    way_down.closing(stack, "loads ahead", residents.ahead.close)
    metrics.watch_ledger(Tier.DEVICE, manager.statistics)
    metrics.watch_beside("program", lambda: manager.overhead_bytes)
    metrics.watch_beside("plans", lambda: loader.kept_bytes)
    if host_tier is not None:
        metrics.watch_ledger(Tier.HOST, host_tier.statistics)
    metrics.watch_residency(manager.held_leases, manager.lru_age_s, manager.in_line)
    catalog.registry.components.listener = _from_any_thread(
        functools.partial(_tell_of_quarantine, residents)
    )
    return residents


def look_after(residents: Residents, stack: contextlib.AsyncExitStack, way_down: WayDown) -> None:
    """Upkeep in the background for as long as ``stack`` is open; begins with the warm start."""
    settings = residents.settings

    async def evicting() -> None:
        await evict_idle(residents.manager, lambda: residents.settings.idle_ttl_s)

    async def remembering() -> None:
        await residents.warm_start()
        while True:
            await asyncio.sleep(_SAVED_EVERY_S)
            await residents.save()

    in_background(stack, way_down, evicting(), "evict what is idle")
    in_background(stack, way_down, inspect_files(residents.manager), "look at mapped files")
    if settings.warm_start:
        way_down.closing(stack, "remembering residents", residents.save)
        in_background(stack, way_down, remembering(), "remember what is resident")


def _from_any_thread(
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


def _tell_of_quarantine(
    residents: Residents, component: Component, error: DigestMismatchError
) -> None:
    _LOGGER.error("quarantine: %s", error)
    residents.observe(
        ResidencyEvent(
            EventKind.QUARANTINED,
            role=component.role,
            digest=component.digest,
            size_bytes=component.size_bytes,
            reason="DIGEST_MISMATCH",
        )
    )
