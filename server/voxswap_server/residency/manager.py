"""The ModelManager: voices come and go under a byte budget that is never exceeded.

States of a load key, and every legal transition::

    ABSENT -> LOADING      acquire of something that is not there
    LOADING -> RESIDENT    the load succeeded: leases are granted in the same instant
    LOADING -> ABSENT      the load failed: its waiters all learn why, its reservation is gone
    LOADING -> ABANDONED   the last waiter gave up
    ABANDONED -> ABSENT    the loading thread has come to its end, and its reservation is gone
    RESIDENT -> EVICTING   planned, idle: withdrawn before it is taken apart
    EVICTING -> ABSENT     its bytes are free

ABSENT is not stored: it is the absence of an entry.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field

from voxswap_registry.manifest import Manifest
from voxswap_server.residency.errors import (
    ClosedError,
    FootprintError,
    LoadTimeoutError,
    MemoryBusyError,
    VoiceTooLargeError,
)
from voxswap_server.residency.events import EventKind, Observer, ResidencyEvent, ignore
from voxswap_server.residency.eviction import Candidate, plan_eviction
from voxswap_server.residency.lease import Lease
from voxswap_server.residency.ledger import Ledger, LedgerStatistics
from voxswap_server.residency.loader import LoadedVoice, Loader

_LOGGER = logging.getLogger(__name__)


class State(enum.Enum):
    """Where a load key stands; see the module's docstring for the transitions."""

    LOADING = "loading"
    ABANDONED = "abandoned"
    RESIDENT = "resident"
    EVICTING = "evicting"


@dataclass(eq=False, slots=True)
class _Entry:
    key: str
    manifest: Manifest
    footprint: int
    state: State = State.LOADING
    charged: int = 0  # bytes in the ledger: reserved while loading, resident or evicting later
    loaded: LoadedVoice | None = None
    waiters: list[asyncio.Future[Lease]] = field(default_factory=list)
    turn: asyncio.Future[None] | None = None  # pending while it waits for memory
    cancelled: threading.Event = field(default_factory=threading.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    refs: set[str] = field(default_factory=set)
    leases: int = 0
    uses: int = 0
    started_s: float = 0.0
    load_s: float = 0.0
    loaded_s: float = 0.0
    last_use_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Resident:
    """One entry, as others may see it. Times are on the manager's clock, in seconds."""

    refs: tuple[str, ...]
    state: State
    size_bytes: int
    leases: int
    uses: int
    load_s: float
    loaded_s: float
    last_use_s: float


class ModelManager:
    """Hands out leases on voices; loads what is missing, evicts what is idle.

    Confined to one event loop: methods that do not say otherwise are called there, and no state
    changes between two awaits unseen, so there is no lock. What blocks (``loader.load``, dropping
    weights) runs on ``executor``. Loads of different voices run side by side; none holds up an
    acquire that hits.
    """

    def __init__(
        self,
        loader: Loader,
        executor: Executor,
        *,
        budget_bytes: int,
        clock: Callable[[], float] = time.monotonic,
        observer: Observer = ignore,
    ) -> None:
        self._loader = loader
        self._executor = executor
        self._clock = clock
        self._observer = observer
        self._ledger = Ledger(budget_bytes)
        self._entries: dict[str, _Entry] = {}
        self._queue: deque[_Entry] = deque()  # waiting for memory, first come first served
        self._tasks: set[asyncio.Task[None]] = set()
        self._leases = 0  # of all entries; an int, so that other threads may read it
        self._closed = False

    async def acquire(self, manifest: Manifest, *, timeout_s: float | None = None) -> Lease:
        """A lease on the voice of ``manifest``, loading it if need be.

        Callers of one voice share one load. Cancelling gives up the caller's share: the last one
        to give up stops the load, and nothing stays reserved.

        Raises `VoiceTooLargeError`, `MemoryBusyError` or `LoadTimeoutError` after ``timeout_s``,
        `ClosedError`, or whatever the load raised.
        """
        asked = self._clock()
        key = self._loader.key(manifest)
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    if self._closed:
                        raise ClosedError("the server is shutting down; ask another one")
                    entry = self._entries.get(key)
                    if entry is None:
                        entry = self._begin_load(key, manifest)
                    if entry.state is State.RESIDENT:
                        return self._grant(entry, manifest, cold=False, wait_s=0.0)
                    if entry.state is State.LOADING:
                        return await self._join(entry, manifest, asked)
                    await entry.gone.wait()
        except TimeoutError:
            raise self._too_late(key, manifest, timeout_s) from None

    def residents(self) -> tuple[Resident, ...]:
        """What there is, the most recently used first."""
        entries = sorted(self._entries.values(), key=lambda e: e.last_use_s, reverse=True)
        return tuple(
            Resident(
                refs=tuple(sorted(e.refs)),
                state=e.state,
                size_bytes=e.charged,
                leases=e.leases,
                uses=e.uses,
                load_s=e.load_s,
                loaded_s=e.loaded_s,
                last_use_s=e.last_use_s,
            )
            for e in entries
        )

    def statistics(self) -> LedgerStatistics:
        """The books. May be called from any thread."""
        return self._ledger.statistics()

    def held_leases(self) -> int:
        """Leases held now. May be called from any thread."""
        return self._leases

    def now(self) -> float:
        """The clock that `residents` speaks of."""
        return self._clock()

    def check_integrity(self) -> None:
        """Prove that the books are those of the entries; `AssertionError` says what is wrong."""
        books = self._ledger.statistics()
        charged = dict.fromkeys(State, 0)
        for entry in self._entries.values():
            charged[entry.state] += entry.charged
            if entry.leases and entry.state is not State.RESIDENT:
                raise AssertionError(f"{entry.state} with {entry.leases} leases: {entry.refs}")
            if (entry.state is State.RESIDENT) != (entry.loaded is not None):
                raise AssertionError(f"{entry.state}, loaded: {entry.loaded}: {entry.refs}")
            if entry.waiters and entry.state is not State.LOADING:
                raise AssertionError(f"{entry.state} with waiters: {entry.refs}")
        expected = LedgerStatistics(
            budget_bytes=books.budget_bytes,
            reserved_bytes=charged[State.LOADING] + charged[State.ABANDONED],
            resident_bytes=charged[State.RESIDENT],
            evicting_bytes=charged[State.EVICTING],
        )
        if books != expected or books.free_bytes < 0:
            raise AssertionError(f"the ledger says {books}, the entries {expected}")
        if self._leases != sum(entry.leases for entry in self._entries.values()):
            raise AssertionError(f"{self._leases} leases are counted, the entries have others")
        if any(entry.turn is None or entry.charged for entry in self._queue):
            raise AssertionError("an entry in the queue has its memory already")

    async def close(self) -> None:
        """Refuse what comes, give up every load, evict what is idle; return when all is gone.

        Waits for leases that are still held: whoever holds them must have been told to end.
        """
        self._closed = True
        for entry in list(self._entries.values()):
            if entry.state is State.LOADING:
                self._fail(entry, ClosedError("the server is shutting down; ask another one"))
                self._abandon(entry)
            elif entry.state is State.RESIDENT and not entry.leases:
                self._begin_eviction(entry, "shutdown")
        while self._entries:
            await next(iter(self._entries.values())).gone.wait()
        while self._tasks:
            await asyncio.gather(*self._tasks)

    # Leases

    def _grant(self, entry: _Entry, manifest: Manifest, *, cold: bool, wait_s: float) -> Lease:
        assert entry.loaded is not None  # noqa: S101 - RESIDENT
        entry.leases += 1
        self._leases += 1
        entry.uses += 1
        entry.refs.add(manifest.ref)
        entry.last_use_s = self._clock()
        return Lease(entry.loaded, lambda: self._give_back(entry), cold=cold, wait_s=wait_s)

    def _give_back(self, entry: _Entry) -> None:
        entry.leases -= 1
        self._leases -= 1
        entry.last_use_s = self._clock()
        if self._closed and not entry.leases:
            self._begin_eviction(entry, "shutdown")
        self._pump()

    async def _join(self, entry: _Entry, manifest: Manifest, asked: float) -> Lease:
        waiter: asyncio.Future[Lease] = asyncio.get_running_loop().create_future()
        entry.waiters.append(waiter)
        entry.refs.add(manifest.ref)
        try:
            lease = await waiter
        except asyncio.CancelledError:
            # Cancelled in the instant after the lease was granted: nobody else will release it.
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                waiter.result().release()
            raise
        finally:
            if waiter in entry.waiters:
                entry.waiters.remove(waiter)
                if not entry.waiters and entry.state is State.LOADING:
                    self._abandon(entry)
        lease.wait_s = self._clock() - asked
        return lease

    def _too_late(
        self, key: str, manifest: Manifest, timeout_s: float | None
    ) -> MemoryBusyError | LoadTimeoutError:
        entry = self._entries.get(key)
        held = [e for e in self._entries.values() if e.leases]
        if held and (entry is None or entry.turn is not None):
            holders = ", ".join(f"{sorted(e.refs)[0]} ({e.charged} bytes)" for e in held[:5])
            return MemoryBusyError(
                f"{manifest.ref}: no memory came free within {timeout_s:.3f} s; speaking now: "
                f"{holders}; try again, or give the server a larger memory_budget"
            )
        return LoadTimeoutError(
            f"{manifest.ref}: not loaded within {timeout_s:.3f} s; ask with a longer deadline"
        )

    # Loads

    def _begin_load(self, key: str, manifest: Manifest) -> _Entry:
        footprint = self._loader.footprint_bytes(manifest)
        if footprint > self._ledger.budget_bytes:
            raise VoiceTooLargeError(
                f"{manifest.ref} needs {footprint} bytes, the whole budget has "
                f"{self._ledger.budget_bytes}; give the server a larger memory_budget"
            )
        entry = _Entry(key, manifest, footprint, refs={manifest.ref})
        entry.started_s = entry.last_use_s = self._clock()
        self._entries[key] = entry
        self._spawn(self._load(entry), f"load {manifest.ref}")
        return entry

    async def _load(self, entry: _Entry) -> None:
        """Reserve, load, reconcile, publish. Ends with the entry RESIDENT or ABSENT, always."""
        try:
            await self._reserve(entry)
            self._tell(EventKind.LOAD_STARTED, entry)
            loop = asyncio.get_running_loop()
            loaded = await loop.run_in_executor(
                self._executor, self._loader.load, entry.manifest, entry.cancelled.is_set
            )
            if loaded.resident_bytes > entry.footprint:
                raise FootprintError(
                    f"{entry.manifest.ref} measures {loaded.resident_bytes} bytes, and its engine "
                    f"announced {entry.footprint}; it was dropped again: report this engine"
                )
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - told to every waiter
            self._withdraw(entry, error)
            return
        if entry.state is State.ABANDONED:
            del loaded
            self._withdraw(entry, asyncio.CancelledError())
            return
        self._publish(entry, loaded)

    async def _reserve(self, entry: _Entry) -> None:
        """Wait in line until the footprint is charged. Leaves nothing charged if it raises."""
        entry.turn = asyncio.get_running_loop().create_future()
        self._queue.append(entry)
        self._pump()
        await entry.turn
        entry.turn = None

    def _publish(self, entry: _Entry, loaded: LoadedVoice) -> None:
        self._ledger.commit(entry.charged, loaded.resident_bytes)
        entry.charged = loaded.resident_bytes
        entry.loaded = loaded
        entry.state = State.RESIDENT
        entry.loaded_s = self._clock()
        entry.load_s = entry.loaded_s - entry.started_s
        waiters, entry.waiters = entry.waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(
                    self._grant(entry, entry.manifest, cold=True, wait_s=entry.load_s)
                )
        self._tell(EventKind.LOADED, entry, duration_s=entry.load_s)
        # The measured bytes may be fewer than the reserved ones.
        self._pump()

    def _abandon(self, entry: _Entry) -> None:
        """Nobody waits any more: stop the load as soon as its thread looks up."""
        entry.state = State.ABANDONED
        entry.cancelled.set()
        if entry.turn is not None and not entry.turn.done():
            entry.turn.cancel()

    def _withdraw(self, entry: _Entry, error: BaseException) -> None:
        if entry in self._queue:
            self._queue.remove(entry)
        entry.turn = None
        if entry.charged:
            self._ledger.release(entry.charged)
            entry.charged = 0
        abandoned = entry.state is State.ABANDONED
        if not abandoned:
            self._fail(entry, error)
        self._forget(entry)
        self._tell(
            EventKind.LOAD_FAILED,
            entry,
            reason="cancelled" if abandoned else type(error).__name__,
            duration_s=self._clock() - entry.started_s,
        )
        self._pump()

    def _fail(self, entry: _Entry, error: BaseException) -> None:
        waiters, entry.waiters = entry.waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(error)

    # Evictions

    def _pump(self) -> None:
        """Give memory to the head of the queue, or see to it that memory comes free for it.

        Only the head is looked at: a large voice is not starved by small ones behind it.
        """
        while self._queue:
            head = self._queue[0]
            if head.footprint <= self._ledger.free_bytes:
                self._queue.popleft()
                if head.turn is None or head.turn.done():
                    continue  # abandoned; its task withdraws it
                self._ledger.reserve(head.footprint)
                head.charged = head.footprint
                head.turn.set_result(None)
                continue
            missing = head.footprint - self._ledger.free_bytes - self._ledger.evicting_bytes
            victims = plan_eviction(self._idle(), missing)
            for key in victims or ():
                self._begin_eviction(self._entries[key], "memory")
            return

    def _idle(self) -> list[Candidate]:
        return [
            Candidate(e.key, e.charged, e.last_use_s, e.load_s * 1e3)
            for e in self._entries.values()
            if e.state is State.RESIDENT and not e.leases
        ]

    def _begin_eviction(self, entry: _Entry, reason: str) -> None:
        entry.state = State.EVICTING
        self._ledger.begin_eviction(entry.charged)
        self._spawn(self._evict(entry, reason), f"evict {entry.manifest.ref}")

    async def _evict(self, entry: _Entry, reason: str) -> None:
        began = self._clock()
        # The last reference is dropped on a loading thread: unmapping a voice takes milliseconds.
        holder = [entry.loaded]
        entry.loaded = None
        await asyncio.get_running_loop().run_in_executor(self._executor, holder.clear)
        size, entry.charged = entry.charged, 0
        self._ledger.end_eviction(size)
        self._forget(entry)
        self._tell(
            EventKind.EVICTED,
            entry,
            size_bytes=size,
            reason=reason,
            duration_s=self._clock() - began,
            age_s=began - entry.last_use_s,
        )
        self._pump()

    # Bookkeeping

    def _forget(self, entry: _Entry) -> None:
        del self._entries[entry.key]
        entry.gone.set()

    def _spawn(self, work: object, name: str) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work, name=name)  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _tell(
        self,
        kind: EventKind,
        entry: _Entry,
        *,
        size_bytes: int | None = None,
        reason: str = "",
        duration_s: float = 0.0,
        age_s: float = 0.0,
    ) -> None:
        event = ResidencyEvent(
            kind=kind,
            voice=entry.manifest.ref,
            size_bytes=entry.charged if size_bytes is None else size_bytes,
            reason=reason,
            duration_s=duration_s,
            age_s=age_s,
        )
        _LOGGER.info(
            "%s %s: %d bytes%s", event.voice, kind.value, event.size_bytes, reason and f", {reason}"
        )
        self._observer(event)
