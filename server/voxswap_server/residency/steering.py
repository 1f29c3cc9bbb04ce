"""What operators see of memory and do to it, behind every door."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass

from voxswap_registry.catalog.catalog import Catalog
from voxswap_registry.errors import InvalidInputError
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_server.memory.ledger import LedgerStatistics
from voxswap_server.residency.estimates import Tier
from voxswap_server.residency.events import EventLog, Numbered
from voxswap_server.residency.host_tier import HostTier
from voxswap_server.residency.manager import ModelManager
from voxswap_server.residency.outlook import explain
from voxswap_server.residency.snapshot import Explanation, Resident, ResidentPart

MIN_BUDGET_BYTES, MAX_BUDGET_BYTES = 1 << 20, 1 << 50


@dataclass(frozen=True, slots=True)
class Instant:
    """One instant on the manager's clock and on the wall's."""

    now_s: float
    wall_s: float

    def unix_s(self, at_s: float) -> float | None:
        """A time of the manager's clock in seconds since the epoch; None if it never was."""
        return self.wall_s - (self.now_s - at_s) if at_s else None


@dataclass(frozen=True, slots=True)
class Books:
    """The ledger of one device and tier. ``held_bytes`` is its allocator's own figure, or 0."""

    device: str
    tier: Tier
    ledger: LedgerStatistics
    held_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Overview:
    """What is in memory, of one instant.

    Whoever watches from ``last_sequence`` of ``epoch`` on misses nothing. ``beside`` are bytes that
    are in no ledger, by what they are.
    """

    residents: Sequence[Resident]
    parts: Sequence[ResidentPart]
    books: Sequence[Books]
    last_sequence: int
    epoch: int
    beside: Mapping[str, int]


class Steering:
    """Shows the manager's books, and passes on what operators want. Confined to one event loop.

    Voices are named as in a request to speak. Every method that takes one raises
    `InvalidInputError` for what names none and `VoiceNotFoundError`.
    """

    def __init__(
        self,
        catalog: Catalog,
        manager: ModelManager,
        events: EventLog,
        *,
        host_tier: HostTier | None = None,
        beside: Callable[[], Mapping[str, int]] = dict,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._catalog = catalog
        self._manager = manager
        self._events = events
        self._host_tier = host_tier
        self._beside = beside
        self._wall_clock = wall_clock

    def overview(self) -> Overview:
        """Everything that is in memory now."""
        books = [self.books()]
        if self._host_tier is not None:
            books.append(Books("host", Tier.HOST, self._host_tier.statistics()))
        return Overview(
            self._manager.residents(),
            self._manager.resident_parts(),
            books,
            self._events.last_sequence,
            self._events.epoch,
            self._beside(),
        )

    def books(self) -> Books:
        """Those of the device that computes."""
        device = self._manager.device
        return Books(
            device.name, Tier.DEVICE, self._manager.statistics(), held_bytes=device.held_bytes()
        )

    def instant(self) -> Instant:
        """Now, for times that the manager's clock has told."""
        return Instant(self._manager.clock(), self._wall_clock())

    async def load(self, voice: str, *, timeout_s: float | None) -> Resident | None:
        """Load, and let go again: it stays as long as nobody needs its memory.

        Raises what `ModelManager.acquire` does.
        """
        manifest = self._resolve(voice)
        (await self._manager.acquire(manifest, timeout_s=timeout_s, insist=True)).release()
        return self._manager.find(manifest)

    async def unload(self, voice: str) -> int:
        """Evict, and answer when that is done: bytes that came free. Raises `VoiceInUseError`."""
        return await self._manager.unload(self._resolve(voice))

    async def pin(self, voice: str, *, timeout_s: float | None) -> Resident:
        """Load, and keep. Raises what `ModelManager.acquire` does."""
        return await self._manager.pin(self._resolve(voice), timeout_s=timeout_s)

    def unpin(self, voice: str) -> Resident | None:
        """Keep no longer."""
        return self._manager.unpin(self._resolve(voice))

    async def explain(self, voice: str) -> Explanation:
        """Say what `load` would do."""
        return await explain(self._manager, self._resolve(voice))

    def set_budget(self, budget_bytes: int) -> Books:
        """Change the budget. Raises `InvalidInputError`."""
        if not MIN_BUDGET_BYTES <= budget_bytes <= MAX_BUDGET_BYTES:
            raise InvalidInputError.one(
                "budget_bytes",
                f"is {budget_bytes}; use {MIN_BUDGET_BYTES} (1 MiB) or more, and "
                f"{MAX_BUDGET_BYTES} (1 PiB) at most",
            )
        self._manager.set_budget(budget_bytes)
        return self.books()

    @property
    def epoch(self) -> int:
        """The run of the server that counts the events."""
        return self._events.epoch

    def watch(self, after: int | None, epoch: int = 0) -> AsyncGenerator[Numbered, None]:
        """Events as they come, after the one numbered ``after``; None: from now on.

        Ends when the server stops. Raises `InvalidInputError`, and what `EventLog.watch` does.
        """
        if after is not None and after < 0:
            raise InvalidInputError.one("after_sequence", f"is {after}; use 0 or above")
        return self._events.watch(after, epoch)

    def _resolve(self, voice: str) -> Manifest:
        return self._catalog.resolve(VoiceRef.parse(voice))
