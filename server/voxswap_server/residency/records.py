"""Parts and claims: what `Parts` has entries of.

States of a part, and every legal transition::

    ABSENT -> LOADING      a claim was granted memory for it
    LOADING -> RESIDENT    the load succeeded
    LOADING -> FAILED      the load failed: every claim on it learns why, its reservation is gone
    LOADING -> ABANDONED   the last claim on it gave up, or it took longer than a load may
    ABANDONED -> ABSENT    its thread has come to its end, and its reservation is gone
    RESIDENT -> EVICTING   planned, and held by nobody: withdrawn before it is taken apart. Or its
                           file was changed: then who holds it has still to let go of it
    EVICTING -> ABSENT     its bytes are free
    FAILED -> LOADING      its back-off is over, or somebody insists
    FAILED -> ABSENT       so many others failed since that it was forgotten

ABSENT and FAILED parts take no memory and have no entry here; `Failures` remembers the latter.
ABANDONED and EVICTING parts are charged and belong to nobody. Under the key of an EVICTING part a
new load may begin at once, in memory of its own. Under that of an ABANDONED one it begins when the
thread has ended; if that hangs for longer than a load may take, it fails instead: nobody waits for
a thread that hangs, and no key has more than one of them.
"""

from __future__ import annotations

import asyncio
import enum
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from voxswap_registry.errors import VoxswapError
from voxswap_server.engines.base import DevicePart
from voxswap_server.residency.loader import FrontEndPart
from voxswap_server.residency.plans import PartPlan, VoicePlan

LoadedPart: TypeAlias = DevicePart | FrontEndPart


class State(enum.Enum):
    """Where a part stands; see the module's docstring for the transitions."""

    LOADING = "loading"
    ABANDONED = "abandoned"
    RESIDENT = "resident"
    EVICTING = "evicting"
    FAILED = "failed"


@dataclass(eq=False, slots=True)
class Part:
    """An entry. ``charged`` is what the ledger has of it: reserved, resident or evicting."""

    plan: PartPlan
    voice: VoicePlan  # the one that it was first loaded for
    charged: int
    started_s: float
    last_use_s: float
    state: State = State.LOADING
    loaded: LoadedPart | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    claims: list[Claim] = field(default_factory=list)  # that wait for it to be loaded
    holds: int = 0  # of claims, leases and pins: what is held is never evicted
    pins: int = 0  # holds that nobody will give back by himself
    workspace_bytes: int = 0  # the most that a plan granted on it needs
    has_slot: bool = False
    is_stuck: bool = False  # its load takes longer than any may
    uses: int = 0
    load_s: float = 0.0
    loaded_s: float = 0.0
    protected_until_s: float = 0.0
    inflation: float = 0.0
    free: Callable[[], None] | None = None  # to be called when nobody holds it any more


class Claimant(Protocol):
    """Who claims the parts of a voice; exactly one of the two is called, once, unless it ends."""

    def granted(self, claim: Claim) -> None:
        """Memory is there, and loads begin. Called before either of the others."""
        ...

    def ready(self, claim: Claim) -> None:
        """All parts are resident and held by the claim, until `Parts.end`."""
        ...

    def failed(self, claim: Claim, error: VoxswapError) -> None:
        """The claim has ended: a part could not be had."""
        ...


@dataclass(eq=False, slots=True)
class Claim:
    """The wish to have all parts of a voice in memory at a time."""

    plan: VoicePlan
    claimant: Claimant
    asked_s: float
    insists: bool = False  # whatever failed a moment ago is tried again for it
    granted_s: float | None = None
    parts: tuple[Part, ...] = ()  # held, once it is granted
    missing: int = 0
    added: tuple[Part, ...] = ()  # those of its parts that are loaded for it

    @property
    def keys(self) -> frozenset[str]:
        """Of its parts."""
        return frozenset(part.key for part in self.plan.parts)

    @property
    def waits_for_memory(self) -> bool:
        """Whether it stands in line."""
        return self.granted_s is None

    def loaded(self) -> dict[str, LoadedPart]:
        """The parts by role; every one is resident."""
        return {p.plan.role: p.loaded for p in self.parts if p.loaded is not None}
