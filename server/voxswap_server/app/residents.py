"""The voices in memory: what becomes of them as voices are deleted and settings change."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from voxswap_registry.catalog.catalog import Catalog
from voxswap_registry.catalog.watcher import Look
from voxswap_registry.errors import DigestMismatchError
from voxswap_registry.manifest import Component
from voxswap_server.app.config import RELOADABLE, Settings
from voxswap_server.app.metrics import Metrics
from voxswap_server.residency.ahead import Ahead
from voxswap_server.residency.events import EventKind, EventLog, ResidencyEvent
from voxswap_server.residency.host_tier import HostTier
from voxswap_server.residency.loader import VoiceLoader
from voxswap_server.residency.manager import ModelManager
from voxswap_server.residency.upkeep import retire_deleted, retire_those_deleted

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EventReporter:
    """Events are counted, and told to whoever watches. Confined to one event loop."""

    metrics: Metrics
    log: EventLog

    def report(self, event: ResidencyEvent) -> None:
        """Something came about."""
        self.metrics.observe_residency(event)
        self.log.tell(event)

    def report_quarantine(self, component: Component, error: DigestMismatchError) -> None:
        """The registry has bytes that are not what their digest says."""
        _LOGGER.error("quarantine: %s", error)
        self.report(
            ResidencyEvent(
                EventKind.QUARANTINED,
                role=component.role,
                digest=component.digest,
                size_bytes=component.size_bytes,
                reason="DIGEST_MISMATCH",
            )
        )


@dataclass(eq=False, slots=True)
class Residents:
    """What a server has in memory. Confined to one event loop."""

    settings: Settings  # as reloaded
    catalog: Catalog
    loader: VoiceLoader
    manager: ModelManager
    reporter: EventReporter
    ahead: Ahead
    host_tier: HostTier | None
    generation: int = -1  # of the catalog, when it was last looked through for what is deleted

    def observe_look(self, look: Look) -> None:
        """Somebody looked at the store: what was deleted goes, whoever deleted it."""
        if look.error is None and (generation := self.catalog.generation()) != self.generation:
            self.generation = generation
            retire_deleted(self.manager, self.catalog)

    def observe(self, event: ResidencyEvent) -> None:
        """Report an event of the manager's."""
        self.reporter.report(event)
        if event.kind is EventKind.LOADED:
            # Whoever asked may have had its manifest since before it was deleted.
            retire_those_deleted(self.manager, self.catalog, event.voices)

    def reload(self, settings: Settings) -> None:
        """Take up the settings that may change while the server runs, and no others."""
        if settings.memory_budget != self.settings.memory_budget:
            self.manager.set_budget(settings.memory_budget)
        taken = {name: getattr(settings, name) for name in RELOADABLE}
        self.settings = self.settings.model_copy(update=taken)
