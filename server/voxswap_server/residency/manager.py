"""The ModelManager: voices come and go under a byte budget that is never exceeded.

`Memory` decides. Here it is told what callers want, and `Shell` carries out what it answers with.
"""

from __future__ import annotations

import asyncio
import logging

from voxswap_registry.errors import ClosedError, ComponentChangedError, VoxswapError
from voxswap_registry.manifest import Manifest
from voxswap_server.memory.actions import (
    Free,
    Why,
)
from voxswap_server.memory.ledger import LedgerStatistics
from voxswap_server.memory.part import State as PartState
from voxswap_server.memory.plans import Asker, Plan, Rank
from voxswap_server.residency import snapshot
from voxswap_server.residency.errors import VoiceInUseError
from voxswap_server.residency.events import EventKind, ResidencyEvent
from voxswap_server.residency.lease import Lease
from voxswap_server.residency.plans import VoicePlan
from voxswap_server.residency.refusing import CLOSED
from voxswap_server.residency.shell import Ask, Shell
from voxswap_server.residency.snapshot import Resident, ResidentPart
from voxswap_server.residency.units import several

_LOGGER = logging.getLogger(__name__)


class ModelManager(Shell):
    """Hands out leases on voices; loads what is missing, evicts what is idle.

    Confined to one event loop: methods that do not say otherwise are called there. What blocks
    (loading, freeing, looking at files) runs on the executors; ``freeing`` is for giving memory
    back, so that no load that hangs holds it up, and ``looking`` for asking disks.
    """

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
        if not insist and plan.key not in self.memory.voices:
            self.failures.check(plan.keys)
        ask = Ask(plan, self.needs(plan), manifest.ref)
        rank = Rank.AHEAD if ahead else Rank.PLAYER
        who = Asker(ask, manifest.ref, rank, insist)
        self._carry(self.memory.ask(ask.needs, who, self.clock()))
        if ask.waits:
            await self._decision(ask, timeout_s)
        return ask.result()

    def needs(self, plan: VoicePlan) -> Plan:
        """For `Memory`."""
        return plan.needs(self.loader.is_here)

    async def _decision(self, ask: Ask, timeout_s: float | None) -> None:
        ask.decided = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout_s) as limit:
                await ask.decided
        except BaseException as error:
            late = isinstance(error, TimeoutError) and limit.expired()
            if ask.waits:
                told = self._refusing.too_late(ask.ref, ask.needs, timeout_s or 0.0)
                self._carry(self.memory.give_up(ask, self.clock()))
                if late:
                    ask.decide(error=told)
            elif ask.lease is not None and not late:
                ask.lease.release()  # granted in the instant in which the caller was cancelled
            if not late:
                raise
        finally:
            del limit  # it has the task, which has the error, which has this frame

    # Steering

    async def pin(self, manifest: Manifest, *, timeout_s: float | None = None) -> Resident:
        """Load the voice and keep it resident until `unpin`. Raises as `acquire` does."""
        with await self.acquire(manifest, timeout_s=timeout_s, insist=True):
            key = self.loader.plan(manifest).key
            if self._drained is not None:
                raise ClosedError(CLOSED)
            voice = self.memory.voices.get(key)
            if voice is None:
                raise ComponentChangedError(
                    f"{manifest.ref} was taken out of service in this very instant, because a file "
                    "of it was changed; ask again"
                )
            self._carry(self.memory.pin(key, self.clock()))
            return snapshot.resident(voice)

    def unpin(self, manifest: Manifest) -> Resident | None:
        """Let it be evicted again; None if it is not resident. Calling it again does nothing."""
        self._carry(self.memory.unpin(self.loader.plan(manifest).key, self.clock()))
        return self.find(manifest)

    async def unload(self, manifest: Manifest) -> int:
        """Evict the voice and return the bytes that came free when they are free.

        Parts that other resident voices use stay. 0 if it is not resident. Raises
        `VoiceInUseError` if it speaks, is being loaded, or is pinned.
        """
        key, ref = self.loader.plan(manifest).key, manifest.ref
        if key in self.memory.claims:
            raise VoiceInUseError(f"{ref} is being loaded; unload it when it is idle")
        voice = self.memory.voices.get(key)
        if voice is not None and voice.pinned:
            raise VoiceInUseError(f"{ref} is pinned; unpin it first")
        if voice is not None and voice.leases:
            raise VoiceInUseError(
                f"{ref} speaks in {several(voice.leases, 'stream')}; unload it when it is silent"
            )
        actions = self.memory.unload(key, self.clock())
        leaving = {a.number: asyncio.Event() for a in actions if isinstance(a, Free)}
        freed = [part.size_bytes for number in leaving if (part := self.memory.work.get(number))]
        self._waiting_for_freed |= leaving
        self._carry(actions)
        for gone in leaving.values():
            await gone.wait()
        return sum(freed)

    def retire(self, ref: str) -> None:
        """The version is gone from the registry: evict it as soon as nobody speaks with it."""
        self._carry(self.memory.retire(ref, self.clock()))

    def restore(self, ref: str) -> None:
        """It is there, or there again."""
        self._carry(self.memory.restore(ref, self.clock()))

    def evict_idle(self, for_s: float) -> None:
        """Evict every part that was last used ``for_s`` seconds ago, or longer."""
        now = self.clock()
        self._carry(self.memory.evict_idle(now - for_s, now))

    def protect(self, manifest: Manifest, for_s: float) -> None:
        """Evict the voice, if it is resident, as if it were used until so many seconds from now."""
        now, keys = self.clock(), (part.key for part in self.loader.plan(manifest).parts)
        self._carry(self.memory.used(keys, now, until_s=now + for_s))

    def used(self, manifest: Manifest) -> None:
        """A line of the voice was spoken without it, from the audio cache."""
        keys = (part.key for part in self.loader.plan(manifest).parts)
        self._carry(self.memory.used(keys, self.clock()))

    def take_for_stream(self, size_bytes: int) -> bool:
        """Whether a stream may keep so much more, of the carve-out for streams; it is booked."""
        return self._holdings.ledger.take_for_stream(size_bytes)

    def give_for_stream(self, size_bytes: int) -> None:
        """It keeps so much less."""
        self._holdings.ledger.give_for_stream(size_bytes)

    def set_budget(self, budget_bytes: int) -> LedgerStatistics:
        """Change the budget while running. What is idle goes at once if it must.

        A smaller budget is reached as leases end, and nothing new is loaded before. Raises
        ValueError if it is not above 0.
        """
        self._carry(self.memory.resize(budget_bytes, self.clock()))
        self._observer(
            ResidencyEvent(EventKind.BUDGET_CHANGED, size_bytes=budget_bytes, reason="asked")
        )
        return self.statistics()

    async def close(self) -> None:
        """Refuse what comes, give up every load, evict what is idle; return when all is gone.

        Waits for leases that are still held: whoever holds them must have been told to end.
        """
        self._drained = self._drained or asyncio.Event()
        self._carry(self.memory.close(self.clock()))
        await self._drained.wait()
        for part in self.memory.work.values():
            _LOGGER.warning("%s is still being loaded; nobody waits for it", part.key)

    # What there is

    def residents(self) -> tuple[Resident, ...]:
        """Voices that are resident, the most recently used first; then loads, then failures."""
        return snapshot.residents(self.memory, self.failures, self.clock())

    def resident_parts(self) -> tuple[ResidentPart, ...]:
        """Every part that is charged, the most recently used first."""
        return snapshot.parts(self.memory)

    def find(self, manifest: Manifest) -> Resident | None:
        """The voice, if it is resident."""
        voice = self.memory.voices.get(self.loader.plan(manifest).key)
        return None if voice is None else snapshot.resident(voice)

    def refusal(self, plan: VoicePlan, why: Why) -> VoxswapError:
        """What `acquire` would raise."""
        return self._refusing.error(why, plan.manifest.ref, self.needs(plan))

    def statistics(self) -> LedgerStatistics:
        """The books. May be called from any thread."""
        return self.memory.books

    def in_line(self) -> int:
        """Voices that wait for memory now. May be called from any thread."""
        return len(self.memory.line)

    def held_leases(self) -> int:
        """Leases held now, without pins. May be called from any thread."""
        return len(self.memory.leases)

    def lru_age_s(self) -> float:
        """How long the part has been idle that has been so for the longest; 0 without one.

        May be called from any thread.
        """
        since_s = self._holdings.idle.oldest_s
        return 0.0 if since_s is None else max(0.0, self.clock() - since_s)

    def check_integrity(self) -> None:
        """Prove that what `Memory` has and what is there agree; AssertionError says what does not.

        Not while actions are carried out.
        """
        self.memory.check_integrity()
        there = (PartState.RESIDENT, PartState.WITHDRAWN)
        numbers = {part.number for part in self._holdings if part.state in there}
        if numbers != set(self._loads.loaded):
            raise AssertionError(f"{numbers} are resident, and {set(self._loads.loaded)} loaded")
        if not self._assembled.keys() <= self.memory.voices.keys():
            raise AssertionError("a voice is kept that is not resident")

    # Files that change under their parts

    async def inspect_files(self) -> None:
        """Look at every file that is mapped; what was changed is hashed, what is wrong goes."""
        await self._inspection.look()
