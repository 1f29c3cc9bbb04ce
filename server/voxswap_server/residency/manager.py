"""The ModelManager: voices come and go under a byte budget that is never exceeded.

`Memory` decides; this has the clock, the threads and whoever waits. Each event is told to it, and
the actions that it answers with are carried out at once, in order.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from voxswap_registry.errors import ComponentChangedError, VoxswapError
from voxswap_registry.manifest import Manifest
from voxswap_server.memory.actions import (
    Action,
    Cancel,
    Failed,
    Free,
    Grant,
    Load,
    News,
    Outcome,
    Refuse,
    Resume,
    Tell,
    Why,
)
from voxswap_server.memory.ledger import LedgerStatistics
from voxswap_server.memory.memory import Memory
from voxswap_server.memory.part import State as PartState
from voxswap_server.memory.plans import Asker, Limits, Plan, Rank
from voxswap_server.residency import view
from voxswap_server.residency.bars import Bar, Bars
from voxswap_server.residency.device import Device, HostDevice
from voxswap_server.residency.errors import ClosedError, LoadFailedError, VoiceInUseError
from voxswap_server.residency.events import EventKind, Observer, ResidencyEvent, ignore
from voxswap_server.residency.failures import Failures
from voxswap_server.residency.inspection import Inspection
from voxswap_server.residency.lease import Lease
from voxswap_server.residency.loader import LoadedVoice, Loader
from voxswap_server.residency.loads import Loads
from voxswap_server.residency.plans import Source, VoicePlan, source_of
from voxswap_server.residency.refusing import CLOSED, Refusing, changed, reason_of
from voxswap_server.residency.snapshot import Resident, ResidentPart
from voxswap_server.residency.units import several

_LOGGER = logging.getLogger(__name__)

# Work that a thread is at, and that nobody waits for.
_UNWANTED = (PartState.ABANDONED, PartState.STUCK)


@dataclass(frozen=True, slots=True)
class Figures:
    """What other threads may see: replaced after each event, never changed.

    ``idle_since_s`` is when what has been idle longest was used last; None if nothing is idle.
    """

    books: LedgerStatistics
    leases: int = 0
    in_line: int = 0
    idle_since_s: float | None = None


@dataclass(eq=False, slots=True)
class _Ask:
    """One who asked: the token of `Memory` for the wait, and then for the lease."""

    plan: VoicePlan
    needs: Plan
    ref: str
    decided: asyncio.Future[None] | None = None  # made if there is something to wait for
    lease: Lease | None = None
    error: VoxswapError | None = None

    def decide(self, *, lease: Lease | None = None, error: VoxswapError | None = None) -> None:
        """It has what it asked for, or never will."""
        self.lease, self.error = lease, error
        if self.decided is not None and not self.decided.done():
            self.decided.set_result(None)

    @property
    def waits(self) -> bool:
        """Whether nothing was decided yet."""
        return self.lease is None and self.error is None

    def result(self) -> Lease:
        """The lease. Raises the error."""
        lease, error, self.lease, self.error = self.lease, self.error, None, None
        try:
            if error is not None:
                raise error
            assert lease is not None  # noqa: S101
            return lease
        finally:
            del error  # it has this frame


class ModelManager:
    """Hands out leases on voices; loads what is missing, evicts what is idle.

    Confined to one event loop: methods that do not say otherwise are called there. What blocks
    (loading, freeing, looking at files) runs on the executors; ``freeing`` is for giving memory
    back, so that no load that hangs holds it up, and ``looking`` for asking disks.
    """

    def __init__(
        self,
        loader: Loader,
        executor: Executor,
        *,
        budget_bytes: int,
        freeing: Executor | None = None,
        looking: Executor | None = None,
        device: Device | None = None,
        limits: Limits | None = None,
        carved: Mapping[str, int] | None = None,
        clock: Callable[[], float] = time.monotonic,
        observer: Observer = ignore,
    ) -> None:
        """``carved`` as for `Memory`, which raises ValueError for a budget that has no room."""
        self.loader = loader
        self.device: Device = device or HostDevice()
        self.looking = looking or executor
        self._clock = clock
        self._observer = observer
        limits = limits or Limits()
        self.memory = Memory(budget_bytes, limits=limits, carved=carved)
        self._refusing = Refusing(self.memory, limits, self.device)
        self._loads = Loads(
            loader,
            executor,
            freeing or executor,
            self.device,
            on_ended=self._ended,
            on_freed=self._freed,
            on_measured=self._measured,
        )
        self._inspection = Inspection(self._loads.all, executor, self._take_out)
        self._assembled: dict[str, LoadedVoice] = {}
        self._misfits: dict[str, VoxswapError] = {}  # there, and could not be put together
        self._refused: dict[str, tuple[str, VoxswapError]] = {}  # by the device, in this instant
        self._failures = Failures(clock)
        self.bars = Bars(clock, self._tell_barred)
        self._pending: deque[Action] = deque()
        self._carrying = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s: float | None = None
        self._waiting_for_freed: dict[int, asyncio.Event] = {}
        self._drained: asyncio.Event | None = None  # once it is being closed
        self.figures = Figures(self.memory.books)
        self.overhead_bytes = 0  # what the process has that is in no books: see `ready`

    def ready(self) -> None:
        """Nothing was loaded yet, and all else that the process has is there now."""
        self.overhead_bytes = self.device.kept_bytes()

    # Leases

    async def acquire(
        self,
        manifest: Manifest,
        *,
        timeout_s: float | None = None,
        insist: bool = False,
        ahead: bool = False,
    ) -> Lease:
        """A lease on the voice of ``manifest``, loading it if need be.

        Callers of one voice share one load. Cancelling gives up the caller's share: the last one
        to give up stops the load, and nothing stays reserved. ``insist`` tries again what failed
        just now, instead of failing with the same error, and lifts a bar. ``ahead``: nobody listens
        yet, so it holds up nobody.

        Raises `VoiceTooLargeError`, `MemoryBusyError` or `LoadTimeoutError` after ``timeout_s``,
        `MemoryBusyError` after the server's own limit on waiting for memory, `VoiceBarredError`,
        `ClosedError`, or whatever the load raised.
        """
        if self._drained is not None:
            raise ClosedError(CLOSED)
        if insist:
            self.bars.lift(manifest.ref)
        self.bars.check(manifest.ref)
        plan = self.loader.plan(manifest)
        if not insist and self.memory.voice(plan.key) is None:
            self._failures.check(plan.keys)
        ask = _Ask(plan, self.needs(plan), manifest.ref)
        rank = Rank.AHEAD if ahead else Rank.PLAYER
        who = Asker(ask, manifest.ref, rank, insist)
        self._carry(self.memory.ask(ask.needs, who, self._clock()))
        if ask.waits:
            await self._decision(ask, timeout_s)
        return ask.result()

    def needs(self, plan: VoicePlan) -> Plan:
        """For `Memory`."""
        return plan.needs(self.loader.is_here)

    async def _decision(self, ask: _Ask, timeout_s: float | None) -> None:
        ask.decided = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout_s) as limit:
                await ask.decided
        except BaseException as error:
            late = isinstance(error, TimeoutError) and limit.expired()
            if ask.waits:
                told = self._refusing.too_late(ask.ref, ask.needs, timeout_s or 0.0)
                self._carry(self.memory.give_up(ask, self._clock()))
                if late:
                    ask.decide(error=told)
            elif ask.lease is not None and not late:
                ask.lease.release()  # granted in the instant in which the caller was cancelled
            if not late:
                raise
        finally:
            del limit  # it has the task, which has the error, which has this frame

    def _granted(self, action: Grant) -> None:
        ask = action.token
        assert isinstance(ask, _Ask)  # noqa: S101
        loaded = self._put_together(ask, action)
        if loaded is None:
            ask.decide(error=self._misfits[action.voice].copy())
            self._release(ask)
            return
        lease = Lease(
            loaded,
            functools.partial(self._release, ask),
            cold=action.cold,
            wait_s=action.wait_s,
            queue_s=action.queue_s,
            verify=functools.partial(self._verify, action.parts),
        )
        ask.decide(lease=lease)

    def _put_together(self, ask: _Ask, action: Grant) -> LoadedVoice | None:
        """The voice of its parts; None if it cannot be, and then that is told to all."""
        loaded = self._assembled.get(action.voice)
        if loaded is not None or action.voice in self._misfits:
            return loaded
        parts = zip(ask.plan.parts, action.parts, strict=True)
        try:
            loaded = self.loader.assemble(
                ask.plan, {part.role: self._loads.loaded(number) for part, number in parts}
            )
        except Exception as error:  # noqa: BLE001 - told to every waiter
            told = _unassembled(ask.ref, error)
            self._misfits[action.voice] = told
            self._failures.record(action.voice, ask.ref, told)
            return None
        self._assembled[action.voice] = loaded
        self._failures.forget(ask.plan.keys)
        return loaded

    def _release(self, ask: _Ask) -> None:
        self._carry(self.memory.release(ask, self._clock()))
        if ask.plan.key in self._misfits:
            self._unload_misfit(ask.plan.key)

    def _unload_misfit(self, key: str) -> None:
        """What cannot speak is not there, once everybody was told so."""
        voice = self.memory.voice(key)
        if voice is not None and not voice.leases and not voice.pinned:
            self._carry(self.memory.unload(key, self._clock()))

    # Carrying out

    def _carry(self, actions: Sequence[Action]) -> None:
        """Carry ``actions`` out, and what they bring about, in order."""
        self._pending.extend(actions)
        if self._carrying:
            return  # Called from below: the loop goes on when it returns.
        self._carrying = True
        try:
            while self._pending:
                self._carry_out(self._pending.popleft())
        finally:
            self._carrying = False
        self._show()
        self._set_timer()
        if self._drained is not None and not self._staying():
            self._drained.set()

    def _show(self) -> None:
        memory = self.memory
        self.figures = Figures(memory.books, memory.leases, memory.in_line, memory.idle_since_s)

    def _carry_out(self, action: Action) -> None:
        match action:
            case Grant():
                self._granted(action)
            case Refuse():
                ask = action.token
                assert isinstance(ask, _Ask)  # noqa: S101
                error = self._refusing.error(action.why, ask.ref, ask.needs, action.error)
                if action.why is Why.DEVICE:
                    self._refused[action.voice] = (ask.ref, error)
                ask.decide(error=error)
            case Load():
                part = self.memory.part(action.number)
                assert part is not None  # noqa: S101
                self._loads.begin(action.number, action.stage, source_of(part.plan))
            case Cancel():
                self._loads.cancel(action.number)
            case Resume():
                self._loads.resume(action.number)
            case Free():
                self._loads.free(action.number)
            case Tell():
                self._tell(action)

    def _ended(self, number: int, outcome: Outcome) -> None:
        part = self.memory.part(number)
        if isinstance(outcome, Failed) and part is not None and part.state not in _UNWANTED:
            self._record(source_of(part.plan), outcome.error)
        self._carry(self.memory.loaded(number, outcome, self._clock()))

    def _freed(self, number: int) -> None:
        self._carry(self.memory.freed(number, self._clock()))
        if (waiting := self._waiting_for_freed.pop(number, None)) is not None:
            waiting.set()
        if self.memory.is_empty and self._drained is None:
            self._loads.measure()

    def _measured(self, kept_bytes: int) -> None:
        """What the process keeps, now that everything has left."""
        kept_bytes = max(0, kept_bytes - self.overhead_bytes)
        self._carry(self.memory.settle_lanes(kept_bytes, self._clock()))

    def _record(self, source: Source, error: object) -> None:
        if isinstance(error, VoxswapError):
            self._failures.record(source.part.key, source.voice.manifest.ref, error)

    def _set_timer(self) -> None:
        due_s = self.memory.next_tick_s()
        if self._drained is not None:
            due_s = None  # whatever is still under way, nobody waits for it
        if due_s == self._timer_s:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_s = None, due_s
        if due_s is not None:
            delay_s = max(0.0, due_s - self._clock())
            self._timer = asyncio.get_running_loop().call_later(delay_s, self.tick)

    def tick(self) -> None:
        """Time has passed; the manager calls this itself when it is due."""
        self._timer = self._timer_s = None
        self._carry(self.memory.tick(self._clock()))

    # Steering

    async def pin(self, manifest: Manifest, *, timeout_s: float | None = None) -> Resident:
        """Load the voice and keep it resident until `unpin`. Raises as `acquire` does."""
        with await self.acquire(manifest, timeout_s=timeout_s, insist=True):
            key = self.loader.plan(manifest).key
            if self._drained is not None:
                raise ClosedError(CLOSED)
            voice = self.memory.voice(key)
            if voice is None:
                raise ComponentChangedError(
                    f"{manifest.ref} was taken out of service in this very instant, because a file "
                    "of it was changed; ask again"
                )
            self._carry(self.memory.pin(key, self._clock()))
            return view.resident(voice)

    def unpin(self, manifest: Manifest) -> Resident | None:
        """Let it be evicted again; None if it is not resident. Calling it again does nothing."""
        self._carry(self.memory.unpin(self.loader.plan(manifest).key, self._clock()))
        return self.find(manifest)

    async def unload(self, manifest: Manifest) -> int:
        """Evict the voice and return the bytes that came free when they are free.

        Parts that other resident voices use stay. 0 if it is not resident. Raises
        `VoiceInUseError` if it speaks, is being loaded, or is pinned.
        """
        key, ref = self.loader.plan(manifest).key, manifest.ref
        if self.memory.claim(key) is not None:
            raise VoiceInUseError(f"{ref} is being loaded; unload it when it is idle")
        voice = self.memory.voice(key)
        if voice is not None and voice.pinned:
            raise VoiceInUseError(f"{ref} is pinned; unpin it first")
        if voice is not None and voice.leases:
            raise VoiceInUseError(
                f"{ref} speaks in {several(voice.leases, 'stream')}; unload it when it is silent"
            )
        actions = self.memory.unload(key, self._clock())
        leaving = {a.number: asyncio.Event() for a in actions if isinstance(a, Free)}
        freed = [part.size_bytes for number in leaving if (part := self.memory.part(number))]
        self._waiting_for_freed |= leaving
        self._carry(actions)
        for gone in leaving.values():
            await gone.wait()
        return sum(freed)

    def retire(self, ref: str) -> None:
        """The version is gone from the registry: evict it as soon as nobody speaks with it."""
        self._carry(self.memory.retire(ref, self._clock()))

    def restore(self, ref: str) -> None:
        """It is there, or there again."""
        self._carry(self.memory.restore(ref, self._clock()))

    def evict_idle(self, for_s: float) -> None:
        """Evict every part that was last used ``for_s`` seconds ago, or longer."""
        now = self._clock()
        self._carry(self.memory.evict_idle(now - for_s, now))

    def protect(self, manifest: Manifest, for_s: float) -> None:
        """Evict the voice, if it is resident, as if it were used until so many seconds from now."""
        now, keys = self._clock(), (part.key for part in self.loader.plan(manifest).parts)
        self._carry(self.memory.protect(keys, now + for_s, now))

    def used(self, manifest: Manifest) -> None:
        """A line of the voice was spoken without it, from the audio cache."""
        keys = (part.key for part in self.loader.plan(manifest).parts)
        self._carry(self.memory.used(keys, self._clock()))

    def take_for_stream(self, size_bytes: int) -> bool:
        """Whether a stream may keep so much more, of the carve-out for streams; it is booked."""
        taken = self.memory.take_for_stream(size_bytes)
        self._show()
        return taken

    def give_for_stream(self, size_bytes: int) -> None:
        """It keeps so much less."""
        self.memory.give_for_stream(size_bytes)
        self._show()

    def set_budget(self, budget_bytes: int) -> LedgerStatistics:
        """Change the budget while running. What is idle goes at once if it must.

        A smaller budget is reached as leases end, and nothing new is loaded before. Raises
        ValueError if it is not above 0.
        """
        self._carry(self.memory.resize(budget_bytes, self._clock()))
        self._observer(
            ResidencyEvent(EventKind.BUDGET_CHANGED, size_bytes=budget_bytes, reason="asked")
        )
        return self.statistics()

    async def close(self) -> None:
        """Refuse what comes, give up every load, evict what is idle; return when all is gone.

        Waits for leases that are still held: whoever holds them must have been told to end.
        """
        self._drained = self._drained or asyncio.Event()
        self._carry(self.memory.close(self._clock()))
        await self._drained.wait()
        for part in self.memory.work():
            _LOGGER.warning("%s is still being loaded; nobody waits for it", part.key)

    def _staying(self) -> bool:
        """Whether anything is there but loads that were abandoned: they may hang for ever."""
        return any(part.state not in _UNWANTED for part in self.memory.work())

    # What there is

    def residents(self) -> tuple[Resident, ...]:
        """Voices that are resident, the most recently used first; then loads, then failures."""
        return view.residents(self.memory, self._failures, self._clock())

    def resident_parts(self) -> tuple[ResidentPart, ...]:
        """Every part that is charged, the most recently used first."""
        return view.parts(self.memory)

    def find(self, manifest: Manifest) -> Resident | None:
        """The voice, if it is resident."""
        voice = self.memory.voice(self.loader.plan(manifest).key)
        return None if voice is None else view.resident(voice)

    def check_failures(self, plan: VoicePlan) -> None:
        """Raise the error that `acquire` would raise because of an earlier failure."""
        self._failures.check(plan.keys)

    def refusal(self, plan: VoicePlan, why: Why) -> VoxswapError:
        """What `acquire` would raise."""
        return self._refusing.error(why, plan.manifest.ref, self.needs(plan))

    def statistics(self) -> LedgerStatistics:
        """The books. May be called from any thread."""
        return self.figures.books

    def held_leases(self) -> int:
        """Leases held now, without pins. May be called from any thread."""
        return self.figures.leases

    def lru_age_s(self) -> float:
        """How long the part has been idle that has been so for the longest; 0 without one.

        May be called from any thread.
        """
        since_s = self.figures.idle_since_s
        return 0.0 if since_s is None else max(0.0, self._clock() - since_s)

    def now(self) -> float:
        """The clock that snapshots speak of."""
        return self._clock()

    def check_integrity(self) -> None:
        """Prove that what `Memory` has and what is there agree; AssertionError says what does not.

        Not while actions are carried out.
        """
        self.memory.check_integrity()
        there = (PartState.RESIDENT, PartState.WITHDRAWN)
        numbers = {part.number for part in self.memory.parts() if part.state in there}
        if numbers != set(self._loads.all()):
            raise AssertionError(f"{numbers} are resident, and {set(self._loads.all())} loaded")
        voices = {voice.plan.key for voice in self.memory.voices()}
        if not set(self._assembled) <= voices:
            raise AssertionError("a voice is kept that is not resident")
        if self.figures.books != self.memory.books:
            raise AssertionError("others see books that are out of date")

    # Files that change under their parts

    async def inspect_files(self) -> None:
        """Look at every file that is mapped; what was changed is hashed, what is wrong goes."""
        await self._inspection.look()

    async def _verify(self, numbers: Sequence[int]) -> None:
        """See `Lease.verify`."""
        for number in numbers:
            part = self.memory.part(number)
            if part is not None and not await self._inspection.is_sound(number):
                raise changed(source_of(part.plan))

    def _take_out(self, number: int) -> None:
        """Nobody gets that part any more; who has it fails before the next step with it."""
        part = self.memory.part(number)
        if part is None or part.state is not PartState.RESIDENT:
            return
        error = changed(source_of(part.plan))
        _LOGGER.error("%s", error)
        for voice in part.voices:
            if voice.pinned:
                _LOGGER.warning("%s is no longer pinned", min(voice.refs))
        self._carry(self.memory.withdraw(number, self._clock(), error))

    # Telling

    def _tell(self, told: Tell) -> None:
        match told.news:
            case News.STARTED:
                self._observe(EventKind.LOAD_STARTED, told)
            case News.LOADED if (misfit := self._misfits.get(told.key)) is not None:
                self._observe(EventKind.LOAD_FAILED, told, misfit.reason)
            case News.LOADED:
                self._observe(EventKind.LOADED, told)
            case News.NOT_LOADED:
                self._not_loaded(told)
            case News.WITHDRAWN:
                self._assembled.pop(told.key, None)
                self._misfits.pop(told.key, None)
            case News.EVICTED:
                self._observe(EventKind.EVICTED, told, told.reason)

    def _not_loaded(self, told: Tell) -> None:
        why = told.why or Why.GIVEN_UP
        if (known := self._refused.pop(told.key, None)) is not None:
            self._failures.record(told.key, *known)
        self._observe(EventKind.LOAD_FAILED, told, reason_of(why, told.error))

    def _observe(self, kind: EventKind, told: Tell, reason: str = "") -> None:
        part = told.source.part if isinstance(told.source, Source) else None
        self._observer(
            ResidencyEvent(
                kind,
                told.refs,
                role="" if part is None else part.role,
                digest="" if part is None else part.component.digest,
                size_bytes=told.size_bytes,
                reason=reason,
                duration_s=told.duration_s,
                queue_s=told.queue_s,
                age_s=told.age_s,
            )
        )

    def _tell_barred(self, bar: Bar) -> None:
        self._observer(
            ResidencyEvent(
                EventKind.BARRED, (bar.ref,), reason="STEP_TOO_LONG", duration_s=bar.for_s
            )
        )


def _unassembled(ref: str, error: Exception) -> VoxswapError:
    if isinstance(error, VoxswapError):
        return error.copy()
    _LOGGER.error("%s: unforeseen", ref, exc_info=error)
    return LoadFailedError(
        f"{ref} could not be put together, for a reason that nobody foresaw "
        f"({type(error).__name__}); the server's log has it"
    )
