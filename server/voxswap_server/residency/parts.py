"""Parts in memory: who waits for them, who holds them, and which of them leave.

Their states stand in `records`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeAlias

from voxswap_registry.errors import VoxswapError
from voxswap_server.residency.device import Device
from voxswap_server.residency.errors import LoadStuckError, VoiceTooLargeError
from voxswap_server.residency.eviction import Candidate, Policy, plan_eviction
from voxswap_server.residency.ledger import Ledger, LedgerStatistics
from voxswap_server.residency.loader import Loader
from voxswap_server.residency.loads import Loads
from voxswap_server.residency.plans import PartPlan, VoicePlan
from voxswap_server.residency.records import Claim, Claimant, LoadedPart, Part, State
from voxswap_server.residency.units import human_bytes

_LOGGER = logging.getLogger(__name__)

# How long the head of the line waits for all of its memory to be idle at one instant.
_PATIENCE_S = 1.0


@dataclass(frozen=True, slots=True)
class PartsOptions:
    """How parts are kept. Times are in seconds.

    ``load_slots`` loads run at a time; one that takes longer than ``load_timeout_s`` fails and no
    longer counts among them. A part is not evicted for ``settle_s`` after its load, unless nothing
    else can be.
    """

    policy: Policy = Policy.LRU
    load_slots: int = 2
    load_timeout_s: float = 60.0
    settle_s: float = 0.0


# Takes the part and the reason; withdraws the voices that need it, and names them.
OnWithdraw: TypeAlias = Callable[[Part], tuple[str, ...]]
# Takes the part that could not be loaded, and why.
OnFailed: TypeAlias = Callable[[Part, VoxswapError], None]
# Raises what the voice or one of its parts failed with, if it must not be tried again yet.
CheckFailures: TypeAlias = Callable[[VoicePlan], None]
# Takes the part, the voices, the bytes it had, the reason, and how long freeing took.
OnEvicted: TypeAlias = Callable[[Part, tuple[str, ...], int, str, float], None]


class Parts:
    """Loads, holds and evicts parts under a budget. Confined to one event loop; never blocks.

    Nothing changes between two awaits, so there is no lock. Loads run on ``executor``, which should
    have a few threads more than ``load_slots`` to make up for those that hang; memory is given back
    on ``freeing``, which no load can hold up.

    Claims are granted memory first in, first out, and all of it at once: a claim that waits has
    nothing reserved, so claims cannot lock each other out, and large ones are not starved by small
    ones.
    """

    def __init__(
        self,
        loader: Loader,
        executor: Executor,
        freeing: Executor,
        *,
        budget_bytes: int,
        device: Device,
        clock: Callable[[], float],
        on_withdraw: OnWithdraw,
        on_evicted: OnEvicted,
        on_failed: OnFailed,
        check_failures: CheckFailures,
        options: PartsOptions,
    ) -> None:
        self._freeing = freeing
        self._device = device
        self._clock = clock
        self._on_withdraw = on_withdraw
        self._on_evicted = on_evicted
        self._on_failed = on_failed
        self._check_failures = check_failures
        self._options = options
        self._ledger = Ledger(budget_bytes)
        self._parts: dict[str, Part] = {}  # LOADING and RESIDENT
        self._leaving: dict[Part, None] = {}  # ABANDONED, EVICTING, and for a moment FAILED
        self._queue: deque[Claim] = deque()
        self._put_off: list[Claim] = []  # until an abandoned load of a part has ended
        self._loads = Loads(
            loader,
            executor,
            self,
            slots=options.load_slots,
            timeout_s=options.load_timeout_s,
            clock=clock,
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._inflation = 0.0
        self._pumping = False
        self._closed = False

    # What there is

    def statistics(self) -> LedgerStatistics:
        """The books. May be called from any thread."""
        return self._ledger.statistics()

    @property
    def device(self) -> Device:
        """Where they are."""
        return self._device

    @property
    def policy(self) -> Policy:
        """In which order they leave."""
        return self._options.policy

    @property
    def queued(self) -> tuple[Claim, ...]:
        """Claims that wait for memory, the first in line first."""
        return (*self._queue, *self._put_off)

    def find(self, key: str) -> Part | None:
        """The part with this key, if it is loading or resident."""
        return self._parts.get(key)

    def all(self) -> tuple[Part, ...]:
        """Every part that is charged, those that are leaving last."""
        return (*self._parts.values(), *self._leaving)

    def candidates(self, but: Iterable[str] = ()) -> list[Candidate]:
        """Parts that may be evicted, except those with the keys ``but``. From any thread."""
        spared = frozenset(but)
        return [
            self._candidate(part)
            for part in tuple(self._parts.values())
            if part.state is State.RESIDENT and not part.holds and part.plan.key not in spared
        ]

    def missing(self, parts: Iterable[PartPlan]) -> tuple[PartPlan, ...]:
        """Those that are neither loading nor resident."""
        return tuple(part for part in parts if part.key not in self._parts)

    def need_bytes(self, plan: VoicePlan) -> int:
        """Free bytes that `claim` would take now."""
        growth = plan.workspace_bytes - self._ledger.statistics().workspace_bytes
        return sum(p.footprint_bytes for p in self.missing(plan.parts)) + max(0, growth)

    def check_fits(self, plan: VoicePlan) -> None:
        """Raise `VoiceTooLargeError` if there is no room for ``plan`` beside what is pinned."""
        books = self._ledger.statistics()
        own = {part.key for part in plan.parts}
        staying = [p for k, p in self._parts.items() if p.pins and k not in own]
        pinned = sum(part.charged for part in staying)
        workspace = max([plan.workspace_bytes, *(p.workspace_bytes for p in staying)])
        if plan.footprint_bytes + workspace + pinned > books.target_bytes:
            computing = f", and {human_bytes(workspace)} to compute in" if workspace else ""
            beside = f", of which {human_bytes(pinned)} are pinned for others" if pinned else ""
            raise VoiceTooLargeError(
                f"{plan.manifest.ref} needs {human_bytes(plan.footprint_bytes)}{computing}; the "
                f"whole budget has {human_bytes(books.target_bytes)}{beside}; give the server a "
                f"larger memory_budget{', or unpin a voice' if pinned else ''}"
            )

    # Claims

    def claim(self, plan: VoicePlan, claimant: Claimant, *, insists: bool = False) -> Claim:
        """Ask for all parts of ``plan``. Raises, and then claims nothing, `VoiceTooLargeError`, or
        `LoadStuckError` if an earlier load of a part hangs.

        If everything is resident, ``claimant.ready`` is called at once.
        """
        self.check_fits(plan)
        claim = Claim(plan, claimant, self._clock(), insists)
        if (abandoned := self._abandoned_of(claim)) is not None:
            if abandoned.is_stuck:
                raise self._loads.stuck_error(abandoned)
            self._put_off.append(claim)
        elif self.need_bytes(plan):
            self._queue.append(claim)
            self.pump()
        else:
            self._grant(claim)  # It takes nothing from those who wait for memory.
        return claim

    def end(self, claim: Claim) -> None:
        """Give up a claim, or what it holds. Loads that nobody else wants are abandoned."""
        if claim in self._queue:
            self._queue.remove(claim)
        if claim in self._put_off:
            self._put_off.remove(claim)
        parts, claim.parts, claim.added = claim.parts, (), ()
        for part in parts:
            if claim in part.claims:
                part.claims.remove(claim)
        self.release(parts)
        for part in parts:
            if part.state is State.LOADING and not part.claims:
                self._abandon(part)
        self.pump()

    def hold(self, parts: Iterable[Part], *, pin: bool = False) -> None:
        """Keep resident ``parts`` from being evicted; counts as a use."""
        now = self._clock()
        for part in parts:
            part.holds += 1
            part.pins += pin
            part.uses += 1
            part.last_use_s = now
            part.inflation = self._inflation

    def release(self, parts: Iterable[Part], *, pin: bool = False) -> None:
        """Take one hold back. `pump` is for the caller, when its books are in order too."""
        now = self._clock()
        for part in parts:
            part.holds -= 1
            part.pins -= pin
            part.last_use_s = now
            if not part.holds and part.free is not None:
                free, part.free = part.free, None
                free()

    def protect(self, plan: VoicePlan, until_s: float) -> None:
        """Evict the parts of ``plan`` last until then."""
        for part_plan in plan.parts:
            if (part := self._parts.get(part_plan.key)) is not None:
                part.protected_until_s = max(part.protected_until_s, until_s)

    # Memory

    def pump(self) -> None:
        """Give memory to the head of the queue, or see to it that memory comes free for it.

        Only the head is looked at: a large voice is not starved by small ones behind it. Whatever
        may have freed memory or shortened the queue calls this; calling it once more does no harm.
        """
        if self._pumping or self._closed:
            return  # A claimant was called from here; the loop below goes on when it returns.
        self._pumping = True
        try:
            self._shrink()
            while self._queue:
                claim = self._queue[0]
                try:
                    # Budget, pins and workspace may have changed, and a part may have failed.
                    self.check_fits(claim.plan)
                    if not claim.insists:
                        self._check_failures(claim.plan)
                except VoxswapError as error:
                    self._fail_claim(claim, error)
                    continue
                if (abandoned := self._abandoned_of(claim)) is not None:
                    if abandoned.is_stuck:
                        self._fail_claim(claim, self._loads.stuck_error(abandoned))
                    else:
                        self._put_off.append(self._queue.popleft())
                    continue
                need = self.need_bytes(claim.plan)
                free = self._ledger.free_bytes
                if need <= free:
                    self._queue.popleft()
                    self._grant(claim)
                    continue
                victims = self.room(claim.plan.parts)
                if victims is None and self._clock() - claim.asked_s > _PATIENCE_S:
                    # Hits on this and that would keep it waiting for ever: what is idle goes.
                    victims = self._everything_idle(claim.keys)
                for part in victims or ():
                    self.evict(part, "memory")
                return
        finally:
            self._pumping = False

    def room(
        self, parts: Sequence[PartPlan], *, soon: Iterable[PartPlan] = ()
    ) -> tuple[Part, ...] | None:
        """What has to leave so that ``parts`` are granted; None if something must come idle first.

        Those of ``soon`` are wanted next: they are spared, as far as that goes. So are ``parts``
        that are there, but one may have the workspace of another voice, which speaks with it as
        well: it may have to go, with that voice, and be loaded anew.
        """
        own = {part.key for part in (*parts, *soon)}
        idle = [
            # What comes back when it has gone makes no room but by its workspace.
            dataclasses.replace(c, size_bytes=0, protected=True) if c.key in own else c
            for c in self.candidates()
        ]
        return self._plan(
            idle,
            sum(part.footprint_bytes for part in self.missing(parts)),
            max((part.workspace_bytes for part in parts), default=0),
        )

    def _plan(
        self, idle: Sequence[Candidate], further_bytes: int = 0, workspace_bytes: int = 0
    ) -> tuple[Part, ...] | None:
        """Which of ``idle`` leave so that the rest, and so much more, keeps within the budget."""
        keys = {candidate.key for candidate in idle}
        staying = (part for key, part in self._parts.items() if key not in keys)
        least = max([workspace_bytes, *(part.workspace_bytes for part in staying)])
        workspace = max([least, *(candidate.workspace_bytes for candidate in idle)])
        # What is being evicted is not counted: it is on its way out.
        charged = sum(part.charged for part in (*self._parts.values(), *self._abandoned()))
        over = charged + workspace + further_bytes - self._ledger.statistics().target_bytes
        victims = plan_eviction(idle, over, self._options.policy, workspace_bytes=least)
        return None if victims is None else tuple(self._parts[key] for key in victims)

    def _abandoned(self) -> Iterator[Part]:
        return (part for part in self._leaving if part.state is State.ABANDONED)

    def resize(self, budget_bytes: int) -> None:
        """Change the budget. What is idle goes at once if it must, the rest as leases end."""
        self._ledger.resize(budget_bytes)
        self.pump()

    def _shrink(self) -> None:
        """Evict what is idle until the budget is what it is meant to be, as far as that goes."""
        books = self._ledger.statistics()
        if books.budget_bytes <= books.target_bytes:
            return
        victims = self._plan(self.candidates())
        if victims is None:
            victims = self._everything_idle()
        for part in victims:
            self.evict(part, "budget")

    def evict(self, part: Part, reason: str) -> None:
        """Withdraw a resident part that nobody holds, and free it. ``part.gone`` tells when."""
        assert part.state is State.RESIDENT and not part.holds  # noqa: S101, PT018
        voices = self._on_withdraw(part)
        if reason == "memory":
            self._inflation = max(self._inflation, self._candidate(part).priority)
        self._leave(part, State.EVICTING)
        self._ledger.begin_eviction(part.charged)
        self._begin_to_free(part, voices, reason)

    def withdraw(self, part: Part, reason: str) -> None:
        """Let nobody else have a resident part; free it when the last hold on it is given back.

        Whoever holds it must have been told.
        """
        assert part.state is State.RESIDENT  # noqa: S101
        voices = self._on_withdraw(part)
        self._leave(part, State.EVICTING)
        self._ledger.begin_eviction(part.charged)
        if part.holds:
            part.free = functools.partial(self._begin_to_free, part, voices, reason)
        else:
            self._begin_to_free(part, voices, reason)

    def _begin_to_free(self, part: Part, voices: tuple[str, ...], reason: str) -> None:
        task = asyncio.get_running_loop().create_task(
            self._free(part, voices, reason), name=f"evict {part.plan.key}"
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop(self) -> None:
        """Grant nothing more: whoever stands in line is about to be told."""
        self._closed = True

    async def close(self) -> None:
        """Wait until everything is gone but loads that were abandoned: they may hang for ever."""
        while staying := [p for p in self.all() if p.state is not State.ABANDONED]:
            await staying[0].gone.wait()
        for part in self._leaving:
            _LOGGER.warning("%s is still being loaded; nobody waits for it", part.plan.key)

    def check_integrity(self) -> None:
        """Prove that the books are those of the parts; `AssertionError` says what is wrong."""
        books = self._ledger.statistics()
        charged = dict.fromkeys(State, 0)
        for part in self.all():
            charged[part.state] += part.charged
            _check_part(part, leaving=part in self._leaving)
        expected = LedgerStatistics(
            budget_bytes=books.budget_bytes,
            reserved_bytes=charged[State.LOADING]
            + charged[State.ABANDONED]
            + charged[State.FAILED]
            + books.workspace_bytes,
            resident_bytes=charged[State.RESIDENT],
            evicting_bytes=charged[State.EVICTING],
            workspace_bytes=books.workspace_bytes,
            target_bytes=books.target_bytes,
        )
        if books != expected or books.free_bytes < 0 or books.budget_bytes < books.target_bytes:
            raise AssertionError(f"the ledger says {books}, the parts {expected}")
        if books.budget_bytes > max(books.target_bytes, books.charged_bytes):
            raise AssertionError(f"a budget that should have shrunk: {books}")
        needed = max((p.workspace_bytes for p in self._parts.values()), default=0)
        if books.workspace_bytes < needed:
            raise AssertionError(f"a workspace of {books.workspace_bytes}, {needed} are needed")
        if any(claim.parts or claim.granted_s is not None for claim in self.queued):
            raise AssertionError("a claim in line has its memory already")
        if any(self._abandoned_of(claim) is None for claim in self._put_off):
            raise AssertionError("a claim is put off for nothing")

    def _everything_idle(self, but: Iterable[str] = ()) -> tuple[Part, ...]:
        return tuple(self._parts[candidate.key] for candidate in self.candidates(but))

    def _grant(self, claim: Claim) -> None:
        now = self._clock()
        claim.granted_s = now
        books = self._ledger.statistics()
        self._ledger.set_workspace(max(books.workspace_bytes, claim.plan.workspace_bytes))
        added = []
        for plan in self.missing(claim.plan.parts):
            self._ledger.reserve(plan.footprint_bytes)
            part = Part(plan, claim.plan, plan.footprint_bytes, started_s=now, last_use_s=now)
            self._parts[plan.key] = part
            self._loads.add(part)
            added.append(part)
        claim.added = tuple(added)
        claim.parts = tuple(self._parts[part.key] for part in claim.plan.parts)
        for part, plan in zip(claim.parts, claim.plan.parts, strict=True):
            part.holds += 1
            part.workspace_bytes = max(part.workspace_bytes, plan.workspace_bytes)
            if part.state is State.LOADING:
                part.claims.append(claim)
                claim.missing += 1
        claim.claimant.granted(claim)
        self._loads.start()
        if not claim.missing:
            claim.claimant.ready(claim)

    def _fail_claim(self, claim: Claim, error: VoxswapError) -> None:
        self.end(claim)
        claim.claimant.failed(claim, error)

    def _abandoned_of(self, claim: Claim) -> Part | None:
        """A part that ``claim`` wants to load, and whose abandoned load has not ended yet."""
        keys = {plan.key for plan in self.missing(claim.plan.parts)}
        return next((part for part in self._abandoned() if part.plan.key in keys), None)

    # What loads come to: see `LoadOwner`

    def load_ended(self, part: Part, outcome: LoadedPart | VoxswapError) -> None:
        """The part is RESIDENT after this, or out of the books."""
        if part.state is State.LOADING and not isinstance(outcome, VoxswapError):
            self._publish(part, outcome)
            return
        if part.state is State.LOADING and isinstance(outcome, VoxswapError):
            self._fail(part, outcome)
        self._gone_unloaded(part)

    def load_stuck(self, part: Part, error: LoadStuckError) -> None:
        """Its claims learn; its bytes stay charged until its thread has ended."""
        waiting = [c for c in self._put_off if part.plan.key in c.keys]
        if part.state is State.LOADING:
            waiting += part.claims
            self._on_failed(part, error)
            self._abandon(part)
        for claim in waiting:
            self._fail_claim(claim, error)

    async def make_room(self, part: Part) -> None:
        """Evict as much as ``part`` takes, or everything idle."""
        keys = plan_eviction(self.candidates(), part.plan.footprint_bytes, self._options.policy)
        victims = self._everything_idle() if keys is None else tuple(self._parts[k] for k in keys)
        for victim in victims:
            self.evict(victim, "refused")
        for victim in victims:
            await victim.gone.wait()

    def figures(self) -> str:
        """Free bytes of the ledger, and the device's own figures."""
        books = self._ledger.statistics()
        return (
            f"The ledger has {human_bytes(books.free_bytes)} of "
            f"{human_bytes(books.budget_bytes)} free, "
            f"{self._device.figures()}"
        )

    def _gone_unloaded(self, part: Part) -> None:
        """Its load came to nothing, and no thread works on it."""
        self._ledger.release(part.charged)
        part.charged = 0
        self._leaving.pop(part, None)
        part.gone.set()
        self._take_up_again(part)
        self._fit_workspace()
        self.pump()

    def _take_up_again(self, part: Part) -> None:
        """Claims that were put off because of it stand in line again, where they would be."""
        again = [c for c in self._put_off if part.plan.key in c.keys]
        for claim in again:
            self._put_off.remove(claim)
        self._queue.extendleft(reversed(again))

    def _fit_workspace(self) -> None:
        """Give back what only parts needed that have left.

        Memory of steps may go with the session they ran in: an eviction keeps it until it is over.
        """
        evicting = (part for part in self._leaving if part.state is State.EVICTING)
        staying = (*self._parts.values(), *evicting)
        needed = max((part.workspace_bytes for part in staying), default=0)
        if needed < self._ledger.statistics().workspace_bytes:
            self._ledger.set_workspace(needed)

    def _publish(self, part: Part, loaded: LoadedPart) -> None:
        self._ledger.commit(part.charged, loaded.resident_bytes)
        part.charged = loaded.resident_bytes
        part.loaded = loaded
        part.state = State.RESIDENT
        part.loaded_s = self._clock()
        part.load_s = part.loaded_s - part.started_s
        part.protected_until_s = part.loaded_s + self._options.settle_s
        part.inflation = self._inflation
        claims, part.claims = part.claims, []
        for claim in claims:
            claim.missing -= 1
            if not claim.missing:
                claim.claimant.ready(claim)
        # The measured bytes may be fewer than the reserved ones.
        self.pump()

    def _fail(self, part: Part, error: VoxswapError) -> None:
        self._leave(part, State.FAILED)
        self._on_failed(part, error)
        for claim in tuple(part.claims):
            self._fail_claim(claim, error)

    def _abandon(self, part: Part) -> None:
        """Nobody waits any more: stop the load as soon as its thread looks up."""
        self._leave(part, State.ABANDONED)
        self._fit_workspace()  # nothing computes with it, however long its thread hangs
        part.cancelled.set()
        if self._loads.take_back(part):
            self._gone_unloaded(part)

    # Evictions

    def _leave(self, part: Part, state: State) -> None:
        del self._parts[part.plan.key]
        part.state = state
        self._leaving[part] = None

    async def _free(self, part: Part, voices: tuple[str, ...], reason: str) -> None:
        began = self._clock()
        holder, part.loaded = [part.loaded], None
        try:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._freeing, _drop, holder, self._device)
        finally:
            size, part.charged = part.charged, 0
            self._ledger.end_eviction(size)
            self._leaving.pop(part, None)
            part.gone.set()
            self._fit_workspace()
            self._on_evicted(part, voices, size, reason, self._clock() - began)
            self.pump()

    def _candidate(self, part: Part) -> Candidate:
        return Candidate(
            key=part.plan.key,
            size_bytes=part.charged,
            last_use_s=part.last_use_s,
            load_s=part.load_s,
            uses=part.uses,
            inflation=part.inflation,
            protected=part.protected_until_s > self._clock(),
            workspace_bytes=part.workspace_bytes,
        )


def _drop(holder: list[LoadedPart | None], device: Device) -> None:
    """Drop the last reference, here: unmapping a voice takes milliseconds. Blocks."""
    part = holder.pop()
    allocated = part.allocated_bytes if part is not None else 0
    del part
    device.give_back(allocated)


def _check_part(part: Part, *, leaving: bool) -> None:
    state, key = part.state, part.plan.key
    if leaving == (state in (State.LOADING, State.RESIDENT)):
        raise AssertionError(f"{state} in the wrong table: {key}")
    if (state is State.RESIDENT) != (part.loaded is not None) and state is not State.EVICTING:
        raise AssertionError(f"{state}, loaded: {part.loaded}: {key}")
    if part.holds < 0 or (part.holds and leaving and part.free is None):
        raise AssertionError(f"{state} with {part.holds} holds: {key}")
    if part.claims and state is not State.LOADING:
        raise AssertionError(f"{state} with claims: {key}")
    if state is State.LOADING and part.holds != len(part.claims):
        raise AssertionError(f"{part.holds} holds of {len(part.claims)} claims: {key}")
