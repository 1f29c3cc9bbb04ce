"""What loading would do, without doing it: for one voice, and for the cast of a scene."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from voxswap_registry.errors import VoxswapError
from voxswap_registry.manifest import Manifest
from voxswap_server.memory.plans import Rank
from voxswap_server.memory.prospect import Prospect
from voxswap_server.residency import snapshot
from voxswap_server.residency.estimates import Tier
from voxswap_server.residency.manager import ModelManager
from voxswap_server.residency.plans import PartPlan, VoicePlan
from voxswap_server.residency.snapshot import Explanation, PartOutlook
from voxswap_server.residency.units import human_bytes, several

# A disk that does not answer by then is believed to have what it had.
_LOOK_S = 0.25


@dataclass(frozen=True, slots=True)
class CastMember:
    """One voice of a scene. ``due_s``: seconds from now until its first line; None: any time."""

    manifest: Manifest
    due_s: float | None = None


@dataclass(frozen=True, slots=True)
class MemberOutlook:
    """What becomes of one voice: ``ready_s`` from now, if it ``fits`` with those before it."""

    ref: str
    ready_s: float
    in_time: bool
    fits: bool


@dataclass(frozen=True, slots=True)
class Forecast:
    """What preparing a cast would do, in order of need. ``would_evict`` is of those that fit."""

    cast: tuple[MemberOutlook, ...]
    would_evict: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether all of them do."""
        return all(member.fits for member in self.cast)


async def estimated_s(manager: ModelManager, manifest: Manifest) -> float:
    """How long a player who asks for ``manifest`` now would wait for its loads."""
    plan = manager.loader.plan(manifest)
    tiers = await _tiers(manager, plan.parts)
    return _away_s(manager, _missing(manager, plan.parts), tiers)


async def explain(manager: ModelManager, manifest: Manifest) -> Explanation:
    """What loading ``manifest`` would do now. Raises `EngineError` for what cannot be loaded."""
    plan = manager.loader.plan(manifest)
    tiers = await _tiers(manager, plan.parts)
    # From here on there is no await: the picture is of one instant.
    memory = manager.memory
    resident = plan.key in memory.voices
    missing = _missing(manager, plan.parts)
    outlooks = tuple(
        PartOutlook(
            part.role,
            part.component.digest,
            tiers.get(part.key, Tier.DEVICE) if part in missing else Tier.DEVICE,
            part.footprint_bytes,
        )
        for part in plan.parts
    )
    prospect = memory.prospect(manager.needs(plan))
    victims = prospect.victims
    fault = _fault(manager, plan, prospect)
    return Explanation(
        ref=manifest.ref,
        resident=resident,
        fits=resident or (fault is None and victims is not None),
        parts=outlooks,
        need_bytes=prospect.need_bytes,
        would_evict=tuple(map(snapshot.describe, victims or ())),
        speaking=() if victims is not None else snapshot.speaking(memory),
        ahead=len(memory.line),
        estimated_s=0.0 if resident else _away_s(manager, missing, tiers),
        reason="it is resident" if resident else _reason(manager, fault, prospect),
    )


async def forecast(manager: ModelManager, cast: Sequence[CastMember]) -> Forecast:
    """What loading ``cast`` ahead of need, in this order, would do now.

    The first voice that does not fit leaves the later ones out as well: they are needed later.
    """
    plans = [manager.loader.plan(member.manifest) for member in cast]
    distinct = {part.key: part for plan in plans for part in plan.parts}
    tiers = await _tiers(manager, tuple(distinct.values()))
    memory, needs = manager.memory, [manager.needs(plan) for plan in plans]
    found = memory.forecast(needs, manager.clock(), rank=Rank.AHEAD)
    wanted: set[str] = set()
    elapsed_s, leaving = 0.0, 0
    members = []
    for member, plan, leave in zip(cast, plans, found.leave, strict=True):
        new = [part for part in _missing(manager, plan.parts) if part.key not in wanted]
        wanted.update(part.key for part in new)
        elapsed_s += _away_s(manager, new, tiers)
        fits = leave is not None and _fault(manager, plan) is None
        leaving = leave if fits and leave is not None else leaving
        ready_s = 0.0 if plan.key in memory.voices else elapsed_s
        in_time = member.due_s is None or ready_s <= member.due_s
        members.append(MemberOutlook(member.manifest.ref, ready_s, fits and in_time, fits))
    victims = (part for n in found.victims[:leaving] if (part := memory.work.get(n)) is not None)
    refs = {ref for part in victims for ref in snapshot.describe(part).voices}
    return Forecast(tuple(members), tuple(sorted(refs)))


def _missing(manager: ModelManager, parts: Sequence[PartPlan]) -> list[PartPlan]:
    return [part for part in parts if manager.memory.holdings.find(part.key) is None]


async def _tiers(manager: ModelManager, parts: Sequence[PartPlan]) -> dict[str, Tier]:
    """Where those of ``parts`` are that are not on the device or on their way there.

    Disks are asked on threads that nothing else waits for, and not for long.
    """
    missing, loader = _missing(manager, parts), manager.loader
    if not missing:
        return {}
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_LOOK_S):
            return await loop.run_in_executor(
                manager.looking, lambda: {part.key: loader.tier(part) for part in missing}
            )
    except TimeoutError:
        return {p.key: Tier.DISK if loader.is_here(p) else Tier.REMOTE for p in missing}


def _away_s(manager: ModelManager, missing: Sequence[PartPlan], tiers: dict[str, Tier]) -> float:
    """Of parts that have left since the disk was asked nothing is known but where they were."""
    return sum(manager.loader.load_s(part, tiers.get(part.key, Tier.DISK)) for part in missing)


def _fault(
    manager: ModelManager, plan: VoicePlan, prospect: Prospect | None = None
) -> VoxswapError | None:
    """Why it cannot be loaded at all, or not yet."""
    if prospect is not None and prospect.why is not None:
        return manager.refusal(plan, prospect.why)
    try:
        manager.failures.check(plan.keys)
    except VoxswapError as error:
        return error
    return None


def _reason(manager: ModelManager, fault: VoxswapError | None, prospect: Prospect) -> str:
    if fault is not None:
        return fault.message
    memory, need, victims = manager.memory, prospect.need_bytes, prospect.victims
    free = memory.books.free_bytes
    waiting = len(memory.line)
    wait = "waits" if waiting == 1 else "wait"
    line = f"; {several(waiting, 'load')} {wait} for memory already" * bool(waiting)
    if victims is None:
        return (
            f"it needs {human_bytes(need)}, {human_bytes(free)} are free, and what could be "
            f"evicted is too little: it would wait for a stream to end{line}"
        )
    if victims:
        gained = sum(part.size_bytes for part in victims)
        return (
            f"it needs {human_bytes(need)} and {human_bytes(free)} are free: evicting "
            f"{several(len(victims), 'part')} gives {human_bytes(gained)} more{line}"
        )
    return f"it needs {human_bytes(need)} and {human_bytes(free)} are free{line}"
