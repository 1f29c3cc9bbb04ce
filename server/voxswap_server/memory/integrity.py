"""Proof that parts, claims, voices, slots and books of `Memory` agree."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from voxswap_server.memory.actions import Stage
from voxswap_server.memory.claims import Claim
from voxswap_server.memory.part import Part, State

if TYPE_CHECKING:
    from voxswap_server.memory.allotment import Allotment


def check_integrity(memory: Allotment) -> None:
    """See `Memory.check_integrity`. Between two events alone."""
    memory.holdings.check_integrity()
    _check_holds(memory)
    _check_claims(memory)
    _check_voices(memory)
    _check_work(memory)


def _check_holds(memory: Allotment) -> None:
    holds: Counter[Part] = Counter()
    pins: Counter[Part] = Counter()
    waiting: dict[Part, set[object]] = {}
    for voice in memory.leases.values():
        holds.update(voice.parts)
    for voice in memory.voices.values():
        if voice.pinned:
            holds.update(voice.parts)
            pins.update(voice.parts)
    for claim in memory._promised_claims:
        holds.update(claim.parts)
        for part in claim.parts:
            if part.state is not State.RESIDENT:
                waiting.setdefault(part, set()).add(claim)
    for part in memory.holdings:
        if (part.holds, part.pins) != (holds[part], pins[part]):
            raise AssertionError(f"{part} is held {holds[part]} times, {pins[part]} of them pins")
        if set(part.claims) != waiting.get(part, set()):
            raise AssertionError(f"{part} is waited for by {waiting.get(part)}, not {part.claims}")
    if set(holds) - set(memory.holdings):
        raise AssertionError("a part is held that is gone")


def _check_claims(memory: Allotment) -> None:
    tokens: dict[object, Claim] = {}
    for key, claim in memory.claims.items():
        where = (
            bool(claim.unfetched),
            claim in memory.line,
            claim in memory._promised_claims,
        )
        if sum(where) != 1 or not claim.waiters or key != claim.plan.key:
            raise AssertionError(f"{claim} is nowhere, or twice, or nobody's: {where}")
        if bool(claim.parts) != where[2] or key in memory.voices:
            raise AssertionError(f"{claim} holds {claim.parts}")
        if claim.missing != sum(part.state is not State.RESIDENT for part in claim.parts):
            raise AssertionError(f"{claim} misses {claim.missing} parts of {claim.parts}")
        if where[2] and not claim.missing and memory.holdings.lanes.has(claim.plan):
            raise AssertionError(f"{claim} is ready, and waits")
        if any(claim not in fetch.claims for fetch in claim.unfetched.values()):
            raise AssertionError(f"{claim} waits for a fetch that is not for it")
        tokens |= dict.fromkeys(claim.waiters, claim)
    if tokens != memory._claim_of:
        raise AssertionError("somebody waits for nothing, or nobody for something")
    if set(memory._promised_claims) - set(memory.claims.values()):
        raise AssertionError("memory is promised to nobody")
    exclusive = memory.line.exclusive
    if (exclusive is not None and exclusive not in memory.line) or (
        memory.line.floor_bytes and exclusive is None
    ):
        raise AssertionError(f"{memory.line.floor_bytes} bytes are kept for {exclusive}")
    spare = memory.holdings.spare_bytes
    if spare < 0 and memory.holdings.promised_bytes:
        raise AssertionError(f"{-spare} bytes too many are promised")


def _check_voices(memory: Allotment) -> None:
    leases = Counter(memory.leases.values())
    for key, voice in memory.voices.items():
        if key != voice.plan.key or voice.leases != leases[voice]:
            raise AssertionError(f"{voice} has {leases[voice]} leases")
        for part in voice.parts:
            if part.state is not State.RESIDENT or voice not in part.voices:
                raise AssertionError(f"{voice} has {part}")
    for part in memory.holdings:
        for voice in part.voices:
            if memory.voices.get(voice.plan.key) is not voice:
                raise AssertionError(f"{part} is of {voice}, which is withdrawn")


def _check_work(memory: Allotment) -> None:
    if set(memory.work.values()) != {*memory.holdings, *memory._fetches.values()}:
        raise AssertionError("there is work on what is gone, or something is not known by number")
    if any(number != part.number for number, part in memory.work.items()):
        raise AssertionError("a part has another one's number")
    for stage in Stage:
        slots = memory._slots[stage]
        work = [part for part in memory.work.values() if part.stage is stage]
        waiting = {part for part in work if part.state is State.WAITING}
        under_way = {p for p in work if p.state in (State.RUNNING, State.ABANDONED)}
        if set(slots.waiting) != waiting:
            raise AssertionError(f"{slots.waiting} wait for slots, and {waiting} should")
        if {*slots.running, *slots.beside} != under_way:
            raise AssertionError(f"{slots.running} have slots, and {under_way} should")
        if waiting and not slots.is_full:
            raise AssertionError(f"{waiting} wait, and there is a slot")
    for fetch in memory._fetches.values():
        if fetch.state not in (State.STUCK, State.ABANDONED) and not fetch.claims:
            raise AssertionError(f"{fetch} is for nobody")
    on_the_way = (State.PROMISED, State.WAITING, State.RUNNING, State.REFUSED)
    for part in memory.holdings:
        if part.state in on_the_way and not part.claims:
            raise AssertionError(f"{part} is for nobody")
