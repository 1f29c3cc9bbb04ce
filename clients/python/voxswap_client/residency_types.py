"""What the clients tell of residency: frozen, typed, free of protobuf and grpc."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ResidentState(StrEnum):
    """The state of a voice or component that is or was in memory.

    ``evicting`` and ``abandoned`` bytes are charged until they are free; components alone are
    abandoned, when nobody waits for their load any more.
    """

    LOADING = "loading"
    RESIDENT = "resident"
    EVICTING = "evicting"
    FAILED = "failed"
    ABANDONED = "abandoned"


class Tier(StrEnum):
    """Where bytes are, the nearest first: where they compute, in the host, on disk, in the store.

    ``host`` is for devices with memory of their own; ``disk`` may be the system's cache of it.
    """

    DEVICE = "device"
    HOST = "host"
    DISK = "disk"
    REMOTE = "remote"


class ResidencyEventKind(StrEnum):
    """What happened in a server's memory. Evictions and quarantines are of components."""

    LOAD_STARTED = "load_started"
    LOADED = "loaded"
    LOAD_FAILED = "load_failed"
    EVICTED = "evicted"
    QUARANTINED = "quarantined"
    BUDGET_CHANGED = "budget_changed"
    BARRED = "barred"


@dataclass(frozen=True, slots=True)
class Resident:
    """One voice in memory, or one whose last load failed.

    ``voices`` are the ``id@version`` that share it. ``shared_bytes``, of ``size_bytes``, are used
    by other resident voices as well. ``leases`` are streams that speak with it, ``waiting`` those
    that wait for it; ``uses`` counts since it was loaded. ``load_ms`` includes waiting for memory.
    ``error`` and ``retry_ms``, the time until a load is tried again, are for FAILED alone.
    """

    voices: tuple[str, ...]
    state: ResidentState
    size_bytes: int
    leases: int
    uses: int
    load_time: datetime | None
    last_use_time: datetime | None
    load_ms: float
    pinned: bool
    shared_bytes: int = 0
    waiting: int = 0
    error: str = ""
    retry_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class ResidentComponent:
    """One component in memory. ``voices`` are the ``id@version`` that speak with it now."""

    role: str
    digest: str
    state: ResidentState
    size_bytes: int
    voices: tuple[str, ...]
    leases: int
    load_time: datetime | None
    last_use_time: datetime | None


@dataclass(frozen=True, slots=True)
class Ledger:
    """Byte accounting of one device: free + reserved + resident + evicting == budget, always.

    ``reserved_bytes`` are those of loads under way and ``workspace_bytes``, which are kept for the
    largest step of computation. ``target_bytes`` is below ``budget_bytes`` while a smaller budget
    takes effect. ``held_bytes`` is what the allocator or the process says; 0 if it is not known.
    """

    device: str
    budget_bytes: int
    free_bytes: int
    reserved_bytes: int
    resident_bytes: int
    evicting_bytes: int
    workspace_bytes: int = 0
    target_bytes: int = 0
    held_bytes: int = 0
    tier: Tier = Tier.DEVICE


@dataclass(frozen=True, slots=True)
class ResidencySnapshot:
    """What is in memory at one instant: voices and components, the most recently used first.

    ``ledgers`` are one for each device and tier that is accounted for. ``last_sequence`` is the
    latest event that it takes in, of the run of the server that ``epoch`` names: events after that
    one begin where it ends. Older servers leave both 0.
    """

    residents: tuple[Resident, ...]
    components: tuple[ResidentComponent, ...]
    ledgers: tuple[Ledger, ...]
    last_sequence: int = 0
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class ComponentOutlook:
    """One component of a voice that is asked about. ``size_bytes`` is what it takes at most."""

    role: str
    digest: str
    tier: Tier
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """What loading ``voice`` (``id@version``) would do; nothing was done.

    ``fits`` is whether it could be loaded now, evictions included; ``would_evict`` are those.
    ``estimated_ms`` does not count waiting for memory. ``need_bytes`` have to be free for it. If it
    does not fit, ``speaking`` are the voices that hold the memory; ``ahead`` counts the loads that
    wait for memory before it. ``reason`` is a sentence.
    """

    voice: str
    resident: bool
    fits: bool
    estimated_ms: float
    reason: str
    need_bytes: int
    components: tuple[ComponentOutlook, ...] = ()
    would_evict: tuple[ResidentComponent, ...] = ()
    speaking: tuple[str, ...] = ()
    ahead: int = 0


@dataclass(frozen=True, slots=True)
class CastMember:
    """A voice of a scene. Its first line is due ``first_line_ms`` from now; None: as the scene."""

    voice: str
    first_line_ms: int | None = None


# What `prepare` takes: a bare voice is a member without a time of its own.
Cast = Iterable[str | CastMember]


@dataclass(frozen=True, slots=True)
class CastOutlook:
    """What becomes of one voice (``id@version``) of a scene.

    It is resident ``estimated_ms`` from now, 0 if it is already. ``in_time`` is True as well for
    one that has no due time. ``fits`` is False if it is not loaded, for lack of memory.
    """

    voice: str
    estimated_ms: float
    in_time: bool
    fits: bool


@dataclass(frozen=True, slots=True)
class SceneOutlook:
    """What becomes of a scene: ``cast`` is in order of first lines.

    ``fits`` is whether all fit the memory together, ``estimated_ms`` when the last of them is
    resident. ``would_evict`` are ``id@version``.
    """

    fits: bool
    estimated_ms: float
    would_evict: tuple[str, ...]
    cast: tuple[CastOutlook, ...]


@dataclass(frozen=True, slots=True)
class ResidencyEvent:
    """One event. ``sequence`` counts from 1 in the run of the server that ``epoch`` names.

    ``voices`` are the ``id@version`` that it concerns. ``reason`` is why something was evicted, or
    names the error. ``size_bytes`` are those that a load adds (at most, until it is LOADED), that
    an eviction gave back, or of the new budget. ``duration_ms`` is how long it took; ``queue_ms``
    of it went by before there was memory. ``role``, ``digest`` and ``age_ms``, the time since its
    last use, are of the component.
    """

    sequence: int
    epoch: int
    time: datetime | None
    kind: ResidencyEventKind
    voices: tuple[str, ...] = ()
    reason: str = ""
    duration_ms: float = 0.0
    queue_ms: float = 0.0
    size_bytes: int = 0
    role: str = ""
    digest: str = ""
    age_ms: float = 0.0
