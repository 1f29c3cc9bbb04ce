"""The ModelManager: voices come and go under a byte budget that is never exceeded.

A voice is resident if all its parts are (`parts` has their states) and it has been assembled. It is
cached no further than that: assembling takes microseconds, so a voice whose base is there is as
good as loaded. What is loaded, held, accounted for and evicted are its parts.

A *claim* joins everybody who asks for one voice that is not there. It stands in line for memory,
waits for the parts, and then hands a lease to each of them in the same instant.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TypeVar

from voxswap_registry.errors import ComponentChangedError, VoxswapError
from voxswap_registry.manifest import Manifest
from voxswap_registry.storage.verified import WatchedFile
from voxswap_server.engines.base import MappedPart
from voxswap_server.residency.bars import Bar, Bars
from voxswap_server.residency.device import Device, HostDevice
from voxswap_server.residency.errors import (
    ClosedError,
    LoadFailedError,
    LoadTimeoutError,
    MemoryBusyError,
    VoiceInUseError,
)
from voxswap_server.residency.events import EventKind, Observer, ResidencyEvent, ignore
from voxswap_server.residency.failures import Failures
from voxswap_server.residency.lease import Lease
from voxswap_server.residency.ledger import LedgerStatistics
from voxswap_server.residency.loader import LoadedVoice, Loader
from voxswap_server.residency.parts import Parts, PartsOptions
from voxswap_server.residency.plans import VoicePlan
from voxswap_server.residency.records import Claim, Part, State
from voxswap_server.residency.snapshot import Resident, ResidentPart
from voxswap_server.residency.units import human_bytes, several

_LOGGER = logging.getLogger(__name__)

_T = TypeVar("_T")

_CLOSED = "the server is shutting down; ask another one"


@dataclass(eq=False, slots=True)
class _Voice:
    """A voice that can speak. ``parts`` are resident as long as this entry exists."""

    plan: VoicePlan
    loaded: LoadedVoice
    parts: tuple[Part, ...]
    loaded_s: float
    load_s: float
    last_use_s: float
    refs: set[str] = field(default_factory=set)
    leases: int = 0
    uses: int = 0
    pin: Lease | None = None


@dataclass(eq=False, slots=True)
class _Wanted:
    """A voice that is claimed for ``waiters``; the last one to give up ends the claim."""

    plan: VoicePlan
    asked_s: float
    insists: bool = False
    claim: Claim | None = None
    waiters: dict[asyncio.Future[Lease], str] = field(default_factory=dict)  # as which version
    refs: set[str] = field(default_factory=set)


class ModelManager:
    """Hands out leases on voices; loads what is missing, evicts what is idle.

    Confined to one event loop: methods that do not say otherwise are called there, and no state
    changes between two awaits unseen, so there is no lock. What blocks (loading, freeing) runs on
    the executors; ``freeing`` is for giving memory back, so that no load that hangs holds it up.
    Loads of different voices run side by side; none holds up an acquire that hits.
    """

    def __init__(
        self,
        loader: Loader,
        executor: Executor,
        *,
        budget_bytes: int,
        freeing: Executor | None = None,
        device: Device | None = None,
        options: PartsOptions | None = None,
        clock: Callable[[], float] = time.monotonic,
        observer: Observer = ignore,
    ) -> None:
        self._loader = loader
        self._executor = executor
        self._clock = clock
        self._observer = observer
        self._parts = Parts(
            loader,
            executor,
            freeing or executor,
            budget_bytes=budget_bytes,
            device=device or HostDevice(),
            clock=clock,
            on_withdraw=self._withdraw,
            on_evicted=self._evicted,
            on_failed=self._part_failed,
            check_failures=lambda plan: self._failures.check(plan.keys),
            options=options or PartsOptions(),
        )
        self._voices: dict[str, _Voice] = {}
        self._withdrawn: set[_Voice] = set()  # that still have leases, and nobody else gets
        self._wanted: dict[str, _Wanted] = {}
        self._users: dict[Part, dict[_Voice, None]] = {}
        self._failures = Failures(clock)
        self.bars = Bars(clock, self._tell_barred)
        self._inspections: dict[Part, asyncio.Task[bool]] = {}
        self._deleted: set[str] = set()  # versions that somebody may still have a manifest of
        self._leases = 0  # of all voices, pins left out; an int, so that any thread may read it
        self._closed = False

    # Leases

    async def acquire(
        self,
        manifest: Manifest,
        *,
        timeout_s: float | None = None,
        insist: bool = False,
    ) -> Lease:
        """A lease on the voice of ``manifest``, loading it if need be.

        Callers of one voice share one load. Cancelling gives up the caller's share: the last one
        to give up stops the load, and nothing stays reserved. ``insist`` tries again what failed
        just now, instead of failing with the same error, and lifts a bar.

        Raises `VoiceTooLargeError`, `MemoryBusyError` or `LoadTimeoutError` after ``timeout_s``,
        `VoiceBarredError`, `ClosedError`, or whatever the load raised.
        """
        if self._closed:
            raise ClosedError(_CLOSED)
        if insist:
            self.bars.lift(manifest.ref)
        self.bars.check(manifest.ref)
        plan = self._loader.plan(manifest)
        voice = self._voices.get(plan.key)
        if voice is not None:
            return self._grant(voice, manifest.ref)
        if not insist:
            self._failures.check(plan.keys)
        wanted = self._wanted.get(plan.key)
        if begins := wanted is None:
            wanted = self._wanted[plan.key] = _Wanted(plan, self._clock(), insists=insist)
        try:
            async with asyncio.timeout(timeout_s) as limit:
                return await self._join(wanted, manifest.ref, begins=begins)
        except TimeoutError:
            if not limit.expired():
                raise
            raise self._too_late(wanted, manifest.ref, timeout_s or 0.0) from None
        finally:
            del limit  # it has the task, which has the error, which has this frame

    async def _join(self, wanted: _Wanted, ref: str, *, begins: bool) -> Lease:
        waiter: asyncio.Future[Lease] = asyncio.get_running_loop().create_future()
        wanted.waiters[waiter] = ref
        wanted.refs.add(ref)
        asked = self._clock()
        if begins:
            self._begin(wanted)
        try:
            lease = await waiter
        except asyncio.CancelledError:
            # Cancelled in the instant after the lease was granted: nobody else will release it.
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                waiter.result().release()
            raise
        finally:
            self._leave(wanted, waiter)
            del waiter  # its error keeps this frame, and this frame must not keep its error
        lease.wait_s = self._clock() - asked
        return lease

    def _begin(self, wanted: _Wanted) -> None:
        try:
            claim = self._parts.claim(wanted.plan, _Claimant(self, wanted), insists=wanted.insists)
        except VoxswapError as error:
            self._fail(wanted, error)
            return
        if self._wanted.get(wanted.plan.key) is wanted:
            wanted.claim = claim

    def _leave(self, wanted: _Wanted, waiter: asyncio.Future[Lease]) -> None:
        """A waiter goes, with or without a lease."""
        wanted.waiters.pop(waiter, None)
        if wanted.waiters or self._wanted.get(wanted.plan.key) is not wanted:
            return
        del self._wanted[wanted.plan.key]
        self._tell_failed(wanted, "CANCELLED")
        if wanted.claim is not None:
            self._parts.end(wanted.claim)

    def _grant(self, voice: _Voice, ref: str, *, pin: bool = False, cold: bool = False) -> Lease:
        voice.refs.add(ref)
        voice.last_use_s = self._clock()
        if not pin:
            voice.leases += 1
            voice.uses += 1
            self._leases += 1
        self._parts.hold(voice.parts, pin=pin)
        return Lease(
            voice.loaded,
            functools.partial(self._give_back, voice, pin=pin),
            cold=cold,
            verify=functools.partial(self._verify, voice),
        )

    def _give_back(self, voice: _Voice, *, pin: bool) -> None:
        voice.last_use_s = self._clock()
        if not pin:
            voice.leases -= 1
            self._leases -= 1
        self._parts.release(voice.parts, pin=pin)
        if voice in self._withdrawn:
            self._forget_withdrawn(voice)
        elif self._closed:
            self._dismiss(voice, "shutdown")
        elif self._deleted.issuperset(voice.refs):
            self._dismiss(voice, "deleted")
        self._parts.pump()

    def _too_late(
        self, wanted: _Wanted, ref: str, timeout_s: float
    ) -> MemoryBusyError | LoadTimeoutError:
        in_line = wanted.claim is None or wanted.claim.waits_for_memory
        speaking = [v for v in self._voices.values() if v.leases]
        if speaking and in_line:
            holders = ", ".join(
                f"{min(v.refs)} ({human_bytes(sum(p.charged for p in v.parts))})"
                for v in speaking[:5]
            )
            return MemoryBusyError(
                f"{ref}: no memory came free within {timeout_s:.3f} s; speaking now: "
                f"{holders}; try again, or give the server a larger memory_budget"
            )
        return LoadTimeoutError(
            f"{ref}: not loaded within {timeout_s:.3f} s; ask with a longer deadline"
        )

    # What a claim comes to

    def _claim_granted(self, wanted: _Wanted, claim: Claim) -> None:
        if claim.missing:
            added = sum(part.charged for part in claim.added)
            self._tell(EventKind.LOAD_STARTED, wanted, size_bytes=added)

    def _claim_ready(self, wanted: _Wanted, claim: Claim) -> None:
        del self._wanted[wanted.plan.key]
        try:
            loaded = self._loader.assemble(wanted.plan, claim.loaded())
        except Exception as error:  # noqa: BLE001 - told to every waiter
            told = self._unassembled(wanted, error)
            self._failures.record(wanted.plan.key, wanted.plan.manifest.ref, told)
            self._parts.end(claim)
            self._fail(wanted, told)
            return
        now = self._clock()
        voice = _Voice(wanted.plan, loaded, claim.parts, now, now - wanted.asked_s, now)
        self._voices[wanted.plan.key] = voice
        for part in voice.parts:
            self._users.setdefault(part, {})[voice] = None
        self._failures.forget(wanted.plan.keys)
        queue_s = (claim.granted_s or now) - wanted.asked_s
        for waiter, ref in wanted.waiters.items():
            if not waiter.done():
                lease = self._grant(voice, ref, cold=True)
                lease.queue_s = queue_s
                waiter.set_result(lease)
        self._tell(
            EventKind.LOADED,
            wanted,
            size_bytes=sum(part.charged for part in claim.added),
            duration_s=voice.load_s,
            queue_s=queue_s,
        )
        self._parts.end(claim)

    def _unassembled(self, wanted: _Wanted, error: Exception) -> VoxswapError:
        if isinstance(error, VoxswapError):
            return error.copy()
        ref = wanted.plan.manifest.ref
        _LOGGER.error("%s: unforeseen", ref, exc_info=error)
        return LoadFailedError(
            f"{ref} could not be put together, for a reason that nobody foresaw "
            f"({type(error).__name__}); the server's log has it"
        )

    def _part_failed(self, part: Part, error: VoxswapError) -> None:
        self._failures.record(part.plan.key, part.voice.manifest.ref, error)

    def _fail(self, wanted: _Wanted, error: VoxswapError) -> None:
        if self._wanted.get(wanted.plan.key) is wanted:
            del self._wanted[wanted.plan.key]
        for waiter in wanted.waiters:
            if not waiter.done():
                # Each its own: an error gathers the frames that it passes through.
                waiter.set_exception(error.copy())
        self._tell_failed(wanted, error.reason)

    # Steering

    async def pin(self, manifest: Manifest, *, timeout_s: float | None = None) -> Resident:
        """Load the voice and keep it resident until `unpin`. Raises as `acquire` does."""
        with await self.acquire(manifest, timeout_s=timeout_s, insist=True):
            if self._closed:
                raise ClosedError(_CLOSED)
            voice = self._voices.get(self._loader.plan(manifest).key)
            if voice is None:
                raise ComponentChangedError(
                    f"{manifest.ref} was taken out of service in this very instant, because a file "
                    "of it was changed; ask again"
                )
            if voice.pin is None:
                voice.pin = self._grant(voice, manifest.ref, pin=True)
            return self._resident(voice)

    def unpin(self, manifest: Manifest) -> Resident | None:
        """Let it be evicted again; None if it is not resident. Calling it again does nothing."""
        voice = self._voices.get(self._loader.plan(manifest).key)
        if voice is None:
            return None
        if voice.pin is not None:
            pin, voice.pin = voice.pin, None
            pin.release()
        # Somebody may have waited for just this memory.
        return self._resident(voice) if self._voices.get(voice.plan.key) is voice else None

    async def unload(self, manifest: Manifest) -> int:
        """Evict the voice and return the bytes that came free when they are free.

        Parts that other resident voices use stay. 0 if it is not resident. Raises
        `VoiceInUseError` if it speaks, is being loaded, or is pinned.
        """
        leaving = self._begin_unload(manifest)
        freed = sum(part.charged for part in leaving)
        for part in leaving:
            await part.gone.wait()
        return freed

    def _begin_unload(self, manifest: Manifest) -> tuple[Part, ...]:
        """What leaves. Not part of `unload`, whose frame would keep the voice until it has left."""
        key = self._loader.plan(manifest).key
        voice = self._voices.get(key)
        if key in self._wanted:
            raise VoiceInUseError(f"{manifest.ref} is being loaded; unload it when it is idle")
        if voice is None:
            return ()
        if voice.pin is not None:
            raise VoiceInUseError(f"{manifest.ref} is pinned; unpin it first")
        if voice.leases:
            raise VoiceInUseError(
                f"{manifest.ref} speaks in {several(voice.leases, 'stream')}; unload it when it "
                "is silent"
            )
        return self._dismiss(voice, "unload")

    def retire(self, ref: str) -> None:
        """The version is gone from the registry: evict it as soon as nobody speaks with it."""
        self._deleted.add(ref)  # for good: a version's number is never used again
        for voice in list(self._voices.values()):
            if ref not in voice.refs or not self._deleted.issuperset(voice.refs):
                continue  # Another version may have the same parts.
            if voice.pin is not None:
                pin, voice.pin = voice.pin, None
                pin.release()
            else:
                self._dismiss(voice, "deleted")

    def evict_idle(self, for_s: float) -> None:
        """Evict every part that was last used ``for_s`` seconds ago, or longer."""
        before = self._clock() - for_s
        for candidate in self._parts.candidates():
            part = self._parts.find(candidate.key)
            if part is not None and candidate.last_use_s <= before and not candidate.protected:
                self._parts.evict(part, "idle")

    def protect(self, manifest: Manifest, for_s: float) -> None:
        """Evict the voice, if it is resident, last of all for so long."""
        self._parts.protect(self._loader.plan(manifest), self._clock() + for_s)

    def set_budget(self, budget_bytes: int) -> LedgerStatistics:
        """Change the budget while running. What is idle goes at once if it must.

        A smaller budget is reached as leases end, and nothing new is loaded before. Raises
        ValueError if it is not above 0.
        """
        self._parts.resize(budget_bytes)
        self._observer(
            ResidencyEvent(EventKind.BUDGET_CHANGED, size_bytes=budget_bytes, reason="asked")
        )
        return self.statistics()

    async def close(self) -> None:
        """Refuse what comes, give up every load, evict what is idle; return when all is gone.

        Waits for leases that are still held: whoever holds them must have been told to end.
        """
        self._begin_close()
        await self._parts.close()

    def _begin_close(self) -> None:
        """All of `close` that does not wait: its frame would keep voices until they have left."""
        self._closed = True
        self._parts.stop()
        for wanted in list(self._wanted.values()):
            claim = wanted.claim
            self._fail(wanted, ClosedError(_CLOSED))
            if claim is not None:
                self._parts.end(claim)
        for voice in list(self._voices.values()):
            if voice.pin is not None:
                pin, voice.pin = voice.pin, None
                pin.release()
            self._dismiss(voice, "shutdown")
        for candidate in self._parts.candidates():
            if (part := self._parts.find(candidate.key)) is not None:
                self._parts.evict(part, "shutdown")

    # What there is

    @property
    def parts(self) -> Parts:
        """The parts, to be looked at."""
        return self._parts

    @property
    def loader(self) -> Loader:
        """Who loads."""
        return self._loader

    def residents(self) -> tuple[Resident, ...]:
        """Voices that are resident, the most recently used first; then loads, then failures."""
        voices = sorted(self._voices.values(), key=lambda v: v.last_use_s, reverse=True)
        now = self._clock()
        return (
            *(self._resident(voice) for voice in voices),
            *(
                Resident(
                    refs=tuple(sorted(w.refs)),
                    state=State.LOADING,
                    size_bytes=sum(p.charged for p in w.claim.parts) if w.claim else 0,
                    waiting=len(w.waiters),
                    last_use_s=w.asked_s,
                )
                for w in self._wanted.values()
            ),
            *(
                Resident(
                    refs=(failure.ref,),
                    state=State.FAILED,
                    last_use_s=failure.failed_s,
                    error=str(failure.error) or type(failure.error).__name__,
                    retry_s=max(0.0, failure.retry_s - now),
                )
                for failure in self._failures
            ),
        )

    def resident_parts(self) -> tuple[ResidentPart, ...]:
        """Every part that is charged, the most recently used first."""
        parts = sorted(self._parts.all(), key=lambda p: p.last_use_s, reverse=True)
        return tuple(map(self.describe, parts))

    def describe(self, part: Part) -> ResidentPart:
        """One part, as others may see it."""
        users = self._users.get(part, ())
        return ResidentPart(
            role=part.plan.role,
            digest=part.plan.component.digest,
            state=part.state,
            size_bytes=part.charged,
            voices=tuple(sorted(ref for voice in users for ref in voice.refs)),
            leases=sum(voice.leases for voice in users),
            loaded_s=part.loaded_s,
            last_use_s=part.last_use_s,
        )

    def find(self, manifest: Manifest) -> Resident | None:
        """The voice, if it is resident."""
        voice = self._voices.get(self._loader.plan(manifest).key)
        return None if voice is None else self._resident(voice)

    def check_failures(self, manifest: Manifest) -> None:
        """Raise the error that `acquire` would raise because of an earlier failure."""
        self._failures.check(self._loader.plan(manifest).keys)

    def speaking(self) -> tuple[str, ...]:
        """Voices with leases, as ``voice@version``."""
        return tuple(min(v.refs) for v in self._voices.values() if v.leases)

    def statistics(self) -> LedgerStatistics:
        """The books. May be called from any thread."""
        return self._parts.statistics()

    def held_leases(self) -> int:
        """Leases held now, without pins. May be called from any thread."""
        return self._leases

    def queued(self) -> tuple[Claim, ...]:
        """Loads that wait for memory. May be called from any thread."""
        return self._parts.queued

    def lru_age_s(self) -> float:
        """How long the part has been idle that has been so for the longest; 0 without one.

        May be called from any thread.
        """
        oldest = min((c.last_use_s for c in self._parts.candidates()), default=None)
        return 0.0 if oldest is None else self._clock() - oldest

    def now(self) -> float:
        """The clock that snapshots speak of."""
        return self._clock()

    def check_integrity(self) -> None:
        """Prove that the books are those of parts and voices; `AssertionError` says what is not."""
        self._parts.check_integrity()
        holds: dict[Part, int] = {}
        pins: dict[Part, int] = {}
        for voice in self._withdrawn:
            for part in voice.parts:
                holds[part] = holds.get(part, 0) + voice.leases
        for voice in self._voices.values():
            for part in voice.parts:
                holds[part] = holds.get(part, 0) + voice.leases + (voice.pin is not None)
                pins[part] = pins.get(part, 0) + (voice.pin is not None)
                if part.state is not State.RESIDENT:
                    raise AssertionError(f"{min(voice.refs)} has a part that is {part.state}")
                if voice not in self._users.get(part, ()):
                    raise AssertionError(f"{min(voice.refs)} is not known to its part")
        for wanted in self._wanted.values():
            if not wanted.waiters:
                raise AssertionError(f"{wanted.refs} are wanted by nobody")
            for part in wanted.claim.parts if wanted.claim else ():
                holds[part] = holds.get(part, 0) + 1
        for part in self._parts.all():
            if (part.holds, part.pins) != (holds.get(part, 0), pins.get(part, 0)):
                raise AssertionError(f"{part.holds} holds of {part.plan.key}, not {holds}")
        speaking = (*self._voices.values(), *self._withdrawn)
        if self._leases != sum(voice.leases for voice in speaking):
            raise AssertionError(f"{self._leases} leases are counted, the voices have others")
        if not all(v.leases and v.pin is None for v in self._withdrawn):
            raise AssertionError("a withdrawn voice is kept by nobody")
        if set(self._users) != {p for v in self._voices.values() for p in v.parts}:
            raise AssertionError("a part has users that are not resident")

    # Withdrawing

    def _dismiss(self, voice: _Voice, reason: str) -> tuple[Part, ...]:
        """Withdraw an idle voice, and evict the parts that no other voice is using."""
        if voice.leases or voice.pin is not None or self._voices.get(voice.plan.key) is not voice:
            return ()
        own = [
            part
            for part in voice.parts
            if len(self._users[part]) == 1 and not part.holds and part.state is State.RESIDENT
        ]
        if not own:
            self._forget(voice)
        for part in own:
            self._parts.evict(part, reason)
        return tuple(own)

    def _withdraw(self, part: Part) -> tuple[str, ...]:
        """A part is about to be evicted: take every voice apart that speaks with it."""
        refs: list[str] = []
        for voice in tuple(self._users.get(part, ())):
            self._forget(voice)
            refs += voice.refs
        return tuple(sorted(refs))

    def _forget(self, voice: _Voice) -> None:
        del self._voices[voice.plan.key]
        if voice.leases:
            self._withdrawn.add(voice)
        for part in voice.parts:
            users = self._users[part]
            users.pop(voice, None)
            if not users:
                del self._users[part]

    # Files that change under their parts

    async def inspect_files(self) -> None:
        """Look at every file that is mapped; what was changed is hashed, what is wrong goes."""
        look = functools.partial(_moved, _mapped_files(self._parts.all()))
        for part in await self._on_thread(look):
            await self._is_sound(part)

    async def _verify(self, voice: _Voice) -> None:
        """See `Lease.verify`."""
        for part in voice.parts:
            if not await self._is_sound(part):
                raise _changed(part)

    async def _is_sound(self, part: Part) -> bool:
        """Whether the file of ``part`` is what it should be; if not, the part is out of service.

        Who asks while it is being hashed waits for the same. Blocks nothing.
        """
        inspection = self._inspections.get(part)
        if inspection is None:
            inspection = asyncio.get_running_loop().create_task(
                self._inspect(part), name=f"inspect {part.plan.key}"
            )
            self._inspections[part] = inspection
            inspection.add_done_callback(lambda _: self._inspections.pop(part))
        return await asyncio.shield(inspection)

    async def _inspect(self, part: Part) -> bool:
        for _, file in _mapped_files([part]):
            if not await self._on_thread(file.verify):
                if part.state is State.RESIDENT:
                    self._take_out(part)
                return False
        return True

    def _take_out(self, part: Part) -> None:
        """Nobody gets ``part`` any more; who has it fails before the next step with it."""
        error = _changed(part)
        _LOGGER.error("%s", error)
        pins = []
        for voice in self._users.get(part, ()):
            pin, voice.pin = voice.pin, None
            if pin is not None:
                _LOGGER.warning("%s is no longer pinned", min(voice.refs))
                pins.append(pin)
        # First of all: what else is given back here may make it idle, and let it be evicted.
        self._parts.withdraw(part, "changed")
        for wanted in list(self._wanted.values()):
            claim = wanted.claim
            if claim is not None and part in claim.parts:
                self._fail(wanted, error)
                self._parts.end(claim)
        for pin in pins:
            pin.release()
        self._parts.pump()

    def _forget_withdrawn(self, voice: _Voice) -> None:
        """If its last lease was given back; what others may use of it stays, but in the end."""
        if voice.leases:
            return
        self._withdrawn.discard(voice)
        for part in voice.parts if self._closed else ():
            if part.state is State.RESIDENT and not part.holds and part not in self._users:
                self._parts.evict(part, "shutdown")

    async def _on_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    # Telling

    def _resident(self, voice: _Voice) -> Resident:
        return Resident(
            refs=tuple(sorted(voice.refs)),
            state=State.RESIDENT,
            size_bytes=sum(part.charged for part in voice.parts),
            shared_bytes=sum(p.charged for p in voice.parts if len(self._users[p]) > 1),
            leases=voice.leases,
            uses=voice.uses,
            pinned=voice.pin is not None,
            load_s=voice.load_s,
            loaded_s=voice.loaded_s,
            last_use_s=voice.last_use_s,
        )

    def _tell(
        self,
        kind: EventKind,
        wanted: _Wanted,
        *,
        size_bytes: int = 0,
        reason: str = "",
        duration_s: float = 0.0,
        queue_s: float = 0.0,
    ) -> None:
        voices = tuple(sorted(wanted.refs))
        self._observer(
            ResidencyEvent(
                kind,
                voices,
                size_bytes=size_bytes,
                reason=reason,
                duration_s=duration_s,
                queue_s=queue_s,
            )
        )

    def _tell_failed(self, wanted: _Wanted, reason: str) -> None:
        waited = self._clock() - wanted.asked_s
        self._tell(EventKind.LOAD_FAILED, wanted, reason=reason, duration_s=waited)

    def _tell_barred(self, bar: Bar) -> None:
        self._observer(
            ResidencyEvent(
                EventKind.BARRED, (bar.ref,), reason="STEP_TOO_LONG", duration_s=bar.for_s
            )
        )

    def _evicted(
        self, part: Part, voices: tuple[str, ...], size_bytes: int, reason: str, took_s: float
    ) -> None:
        self._observer(
            ResidencyEvent(
                EventKind.EVICTED,
                voices,
                role=part.plan.role,
                digest=part.plan.component.digest,
                size_bytes=size_bytes,
                reason=reason,
                duration_s=took_s,
                age_s=self._clock() - took_s - part.last_use_s,
            )
        )


def _mapped_files(parts: Iterable[Part]) -> list[tuple[Part, WatchedFile]]:
    """Those of ``parts`` that are pages of a file, and their files."""
    files = ((part, _mapped_file(part.loaded)) for part in parts)
    return [(part, file) for part, file in files if file is not None]


def _mapped_file(loaded: object) -> WatchedFile | None:
    return loaded.file if isinstance(loaded, MappedPart) else None


def _moved(files: Iterable[tuple[Part, WatchedFile]]) -> list[Part]:
    """Whose file is not what it was when it was last hashed. Blocks, as disks do."""
    return [part for part, file in files if not file.is_unchanged()]


def _changed(part: Part) -> ComponentChangedError:
    plan, ref = part.plan, part.voice.manifest.ref
    return ComponentChangedError(
        f"the {plan.role} of {ref} ({plan.component.digest}) was changed on the server's disk "
        "while it was in use, and was taken out of service. Ask again: it is read and verified "
        "anew. Replace files of a registry by renaming, never by writing into them",
        metadata={"digest": plan.component.digest},
    )


@dataclass(frozen=True, slots=True)
class _Claimant:
    """What `Parts` calls for one wanted voice."""

    manager: ModelManager
    wanted: _Wanted

    def granted(self, claim: Claim) -> None:
        """See `Claimant`."""
        self.wanted.claim = claim
        self.manager._claim_granted(self.wanted, claim)

    def ready(self, claim: Claim) -> None:
        """See `Claimant`."""
        self.manager._claim_ready(self.wanted, claim)

    def failed(self, claim: Claim, error: VoxswapError) -> None:
        """See `Claimant`."""
        self.manager._fail(self.wanted, error)
