"""What goes in and out of `Memory` beside plans: outcomes of work, and actions to carry out."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TypeAlias

from voxswap_server.memory.plans import Token


class Stage(enum.Enum):
    """FETCH: from the network to this machine. LOAD: from this machine into memory."""

    FETCH = "fetch"
    LOAD = "load"


class Why(enum.Enum):
    """Why somebody is refused.

    TOO_LARGE: more than the budget, less what is pinned and carved out. BUSY: no memory within
    `Limits.wait_s`. STUCK: a load or fetch takes longer than any may. FAILED: it failed, with the
    ``error``. DEVICE: the device has no memory, though the ledger had. CHANGED: its file was
    written to. CLOSED: the server stops. GIVEN_UP: nobody waits any more; nobody is told so.
    """

    TOO_LARGE = "too_large"
    BUSY = "busy"
    STUCK = "stuck"
    FAILED = "failed"
    DEVICE = "device"
    CHANGED = "changed"
    CLOSED = "closed"
    GIVEN_UP = "given_up"


# How work ended that `Load` began: exactly one of these for each, once no thread is at it.


@dataclass(frozen=True, slots=True)
class Loaded:
    """It is in memory, or on this machine if it was fetched. It takes so many bytes, no more than
    its plan says.
    """

    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Failed:
    """It cannot be had. ``error`` is passed on to whoever wants it, unread."""

    error: object = None


@dataclass(frozen=True, slots=True)
class Cancelled:
    """It was told to stop, and did."""


@dataclass(frozen=True, slots=True)
class DeviceRefused:
    """The device would not give the memory. ``error`` is passed on, unread."""

    error: object = None


@dataclass(frozen=True, slots=True)
class NotLocal:
    """Its bytes are not on this machine, whatever the plan said."""


Outcome: TypeAlias = Loaded | Failed | Cancelled | DeviceRefused | NotLocal


# Actions. Numbers name one part in memory, or one fetch; a key may have several after each other.


@dataclass(frozen=True, slots=True)
class Load:
    """Begin to load or fetch it, and tell `Memory.loaded` what came of it."""

    number: int
    key: str
    stage: Stage


@dataclass(frozen=True, slots=True)
class Cancel:
    """Have the work on it stop as soon as it looks up; what comes of it is still to be told."""

    number: int
    key: str


@dataclass(frozen=True, slots=True)
class Resume:
    """Take `Cancel` back: somebody wants it again. If it has stopped already, it begins anew."""

    number: int
    key: str


@dataclass(frozen=True, slots=True)
class Free:
    """Drop it, and tell `Memory.freed` when its memory is free."""

    number: int
    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class Grant:
    """``token`` has a lease on the voice, until `Memory.release`. Its parts, as in the plan.

    ``cold``: something was loaded for it, which took ``wait_s``.
    """

    token: Token
    voice: str
    parts: tuple[int, ...]
    cold: bool = False
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Refuse:
    """``token`` gets nothing, and waits no more."""

    token: Token
    voice: str
    why: Why
    error: object = None


class News(enum.Enum):
    """STARTED: memory is promised to a voice that is not there. LOADED and NOT_LOADED: what came
    of it. WITHDRAWN: a voice speaks no more, but for leases that are held; those are to end if the
    reason is ``changed``. EVICTED: a part's memory is free.
    """

    STARTED = "started"
    LOADED = "loaded"
    NOT_LOADED = "not_loaded"
    WITHDRAWN = "withdrawn"
    EVICTED = "evicted"


@dataclass(frozen=True, slots=True)
class Tell:
    """For whoever watches. ``key`` is the voice's, or the part's that was evicted.

    ``refs`` are versions: those that it was wanted as, spoke as, or that can no longer speak
    without what was evicted. ``size_bytes`` are those that a load takes at most, took, or gave
    back. ``why`` and ``error`` are of what was NOT_LOADED. What left has a ``reason``, the
    ``source`` of its plan, and ``age_s`` since its last use.
    """

    news: News
    key: str
    refs: tuple[str, ...] = ()
    size_bytes: int = 0
    reason: str = ""
    why: Why | None = None
    error: object = None
    source: object = None
    duration_s: float = 0.0
    queue_s: float = 0.0
    age_s: float = 0.0


Action: TypeAlias = Load | Cancel | Resume | Free | Grant | Refuse | Tell
