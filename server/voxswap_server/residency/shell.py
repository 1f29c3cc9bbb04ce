"""What `Memory` orders, carried out: its actions, its timer, and who hears of what."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from voxswap_families.contract import LoadedVoice
from voxswap_registry.errors import VoxswapError
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
from voxswap_server.memory.memory import Memory
from voxswap_server.memory.part import State as PartState
from voxswap_server.memory.plans import Limits, Plan
from voxswap_server.residency.bars import Bar, Bars
from voxswap_server.residency.device import Device, HostDevice
from voxswap_server.residency.events import EventKind, Observer, ResidencyEvent
from voxswap_server.residency.failures import Failures
from voxswap_server.residency.inspection import Inspection
from voxswap_server.residency.lease import Lease
from voxswap_server.residency.loader import Loader
from voxswap_server.residency.loads import Loads
from voxswap_server.residency.plans import Source, VoicePlan, source_of
from voxswap_server.residency.refusing import Refusing, as_told, changed, reason_of

_LOGGER = logging.getLogger(__name__)

# Work that a thread is at, and that nobody waits for.
_UNWANTED = (PartState.ABANDONED, PartState.STUCK)


@dataclass(eq=False, slots=True)
class Ask:
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


class Shell:
    """The side of the `ModelManager` that `Memory` drives. Confined to one event loop.

    Events are told to `Memory` below, and the actions that it answers with are carried out at once,
    in order.
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
        observer: Observer = lambda event: None,
    ) -> None:
        """``carved`` as for `Memory`, which raises ValueError for a budget that has no room."""
        self.loader = loader
        self.device: Device = device or HostDevice()
        self.looking = looking or executor
        self.clock = clock  # the one that snapshots speak of
        self._observer = observer
        limits = limits or Limits()
        self.memory = Memory(budget_bytes, limits=limits, carved=carved)
        self._holdings = self.memory.holdings
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
        self._inspection = Inspection(self._loads.loaded, executor, self._take_out)
        self._assembled: dict[str, LoadedVoice] = {}
        self._misfits: dict[str, VoxswapError] = {}  # there, and could not be put together
        self._refused: dict[str, tuple[str, VoxswapError]] = {}  # by the device, in this instant
        self.failures = Failures(clock)
        self.bars = Bars(clock, self._tell_barred)
        self._pending: deque[Action] = deque()
        self._carrying = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s: float | None = None
        self._waiting_for_freed: dict[int, asyncio.Event] = {}
        self._drained: asyncio.Event | None = None  # once it is being closed
        self.overhead_bytes = 0  # what the process has that is in no books: see `ready`

    def ready(self) -> None:
        """Nothing was loaded yet, and all else that the process has is there now."""
        self.overhead_bytes = self.device.kept_bytes()

    def _granted(self, action: Grant) -> None:
        ask = action.token
        assert isinstance(ask, Ask)  # noqa: S101
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
            verify=functools.partial(self._verify, action.parts),
        )
        ask.decide(lease=lease)

    def _put_together(self, ask: Ask, action: Grant) -> LoadedVoice | None:
        """The voice of its parts; None if it cannot be, and then that is told to all."""
        loaded = self._assembled.get(action.voice)
        if loaded is not None or action.voice in self._misfits:
            return loaded
        parts = zip(ask.plan.parts, action.parts, strict=True)
        try:
            loaded = self.loader.assemble(
                ask.plan, {part.role: self._loads.loaded[number] for part, number in parts}
            )
        except Exception as error:  # noqa: BLE001 - told to every waiter
            misfit = as_told(ask.ref, "put together", error)
            self._misfits[action.voice] = misfit
            self.failures.record(action.voice, ask.ref, misfit)
            return None
        self._assembled[action.voice] = loaded
        self.failures.forget(ask.plan.keys)
        return loaded

    def _release(self, ask: Ask) -> None:
        self._carry(self.memory.release(ask, self.clock()))
        key = ask.plan.key
        voice = self.memory.voices.get(key) if key in self._misfits else None
        if voice is not None and not voice.leases and not voice.pinned:
            # What cannot speak is not there, once everybody was told so.
            self._carry(self.memory.unload(key, self.clock()))

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
        self._set_timer()
        if self._drained is not None and not self._staying():
            self._drained.set()

    def _carry_out(self, action: Action) -> None:
        match action:
            case Grant():
                self._granted(action)
            case Refuse():
                ask = action.token
                assert isinstance(ask, Ask)  # noqa: S101
                error = self._refusing.error(action.why, ask.ref, ask.needs, action.error)
                if action.why is Why.DEVICE:
                    self._refused[action.voice] = (ask.ref, error)
                ask.decide(error=error)
            case Load():
                part = self.memory.work.get(action.number)
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
        part = self.memory.work.get(number)
        match outcome:
            case Failed(error=VoxswapError() as error) if part and part.state not in _UNWANTED:
                source = source_of(part.plan)
                self.failures.record(source.part.key, source.voice.manifest.ref, error)
        self._carry(self.memory.loaded(number, outcome, self.clock()))

    def _freed(self, number: int) -> None:
        self._carry(self.memory.freed(number, self.clock()))
        if (waiting := self._waiting_for_freed.pop(number, None)) is not None:
            waiting.set()
        if self.memory.is_empty and self._drained is None:
            self._loads.measure()

    def _measured(self, kept_bytes: int) -> None:
        """What the process keeps, now that everything has left."""
        kept_bytes = max(0, kept_bytes - self.overhead_bytes)
        self._carry(self.memory.settle_lanes(kept_bytes, self.clock()))

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
            delay_s = max(0.0, due_s - self.clock())
            self._timer = asyncio.get_running_loop().call_later(delay_s, self.tick)

    def tick(self) -> None:
        """Time has passed; the manager calls this itself when it is due."""
        self._timer = self._timer_s = None
        self._carry(self.memory.tick(self.clock()))

    def _staying(self) -> bool:
        """Whether anything is there but loads that were abandoned: they may hang for ever."""
        return any(part.state not in _UNWANTED for part in self.memory.work.values())

    # Files that change under their parts

    async def _verify(self, numbers: Sequence[int]) -> None:
        """See `Lease.verify`."""
        for number in numbers:
            part = self.memory.work.get(number)
            if part is not None and not await self._inspection.is_sound(number):
                raise changed(source_of(part.plan))

    def _take_out(self, number: int) -> None:
        """Nobody gets that part any more; who has it fails before the next step with it."""
        part = self.memory.work.get(number)
        if part is None or part.state is not PartState.RESIDENT:
            return
        error = changed(source_of(part.plan))
        _LOGGER.error("%s", error)
        for voice in part.voices:
            if voice.pinned:
                _LOGGER.warning("%s is no longer pinned", min(voice.refs))
        self._carry(self.memory.withdraw(number, self.clock(), error))

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
                if (known := self._refused.pop(told.key, None)) is not None:
                    self.failures.record(told.key, *known)
                reason = reason_of(told.why or Why.GIVEN_UP, told.error)
                self._observe(EventKind.LOAD_FAILED, told, reason)
            case News.WITHDRAWN:
                self._assembled.pop(told.key, None)
                self._misfits.pop(told.key, None)
            case News.EVICTED:
                self._observe(EventKind.EVICTED, told, told.reason)

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
