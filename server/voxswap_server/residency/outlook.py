"""What loading would do, without doing it: for one voice, and for the cast of a scene."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from voxswap_registry.errors import VoxswapError
from voxswap_registry.manifest import Manifest
from voxswap_server.residency.estimates import Tier
from voxswap_server.residency.manager import ModelManager
from voxswap_server.residency.plans import PartPlan, VoicePlan
from voxswap_server.residency.records import Part
from voxswap_server.residency.snapshot import Explanation, PartOutlook
from voxswap_server.residency.units import human_bytes, several


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


async def explain(manager: ModelManager, manifest: Manifest) -> Explanation:
    """What loading ``manifest`` would do now. Raises `EngineError` for what cannot be loaded."""
    plan = manager.loader.plan(manifest)
    ahead = await _outlooks(manager, plan.parts)
    # From here on there is no await: the picture is of one instant.
    parts = manager.parts
    resident = manager.find(manifest) is not None
    missing = {part.key for part in parts.missing(plan.parts)}
    outlooks = tuple(
        PartOutlook(
            part.role,
            part.component.digest,
            ahead[part.key][0] if part.key in missing else Tier.DEVICE,
            part.footprint_bytes,
        )
        for part in plan.parts
    )
    need = parts.need_bytes(plan)
    victims = parts.room(plan.parts)
    queue = parts.queued
    fault = _fault(manager, plan)
    estimated_s = sum(ahead[key][1] for key in missing)
    return Explanation(
        ref=manifest.ref,
        resident=resident,
        fits=resident or (fault is None and victims is not None),
        parts=outlooks,
        need_bytes=need,
        would_evict=tuple(map(manager.describe, victims or ())),
        speaking=() if victims is not None else manager.speaking(),
        ahead=len(queue),
        estimated_s=0.0 if resident else estimated_s,
        reason="it is resident" if resident else _reason(manager, fault, need, victims),
    )


async def forecast(manager: ModelManager, cast: Sequence[CastMember]) -> Forecast:
    """What loading ``cast``, in this order, would do now.

    The first voice that does not fit leaves the later ones out as well: they are needed later.
    """
    plans = [manager.loader.plan(member.manifest) for member in cast]
    distinct = {part.key: part for plan in plans for part in plan.parts}
    ahead = await _outlooks(manager, tuple(distinct.values()))
    parts = manager.parts
    wanted: dict[str, PartPlan] = {}
    elapsed_s, fits = 0.0, True
    victims: tuple[Part, ...] = ()
    members = []
    for member, plan in zip(cast, plans, strict=True):
        new = [part for part in parts.missing(plan.parts) if part.key not in wanted]
        elapsed_s += sum(ahead[part.key][1] for part in new)
        wanted |= {part.key: part for part in plan.parts}
        found = parts.room(tuple(wanted.values()), soon=distinct.values())
        fits = fits and found is not None and _fault(manager, plan) is None
        victims = found if fits and found is not None else victims
        ready_s = 0.0 if manager.find(member.manifest) is not None else elapsed_s
        in_time = member.due_s is None or ready_s <= member.due_s
        members.append(MemberOutlook(member.manifest.ref, ready_s, fits and in_time, fits))
    refs = {ref for part in victims for ref in manager.describe(part).voices}
    return Forecast(tuple(members), tuple(sorted(refs)))


async def _outlooks(
    manager: ModelManager, parts: Sequence[PartPlan]
) -> dict[str, tuple[Tier, float]]:
    """Tier and seconds of each part; asked on a thread, since that looks at disks."""
    loader = manager.loader
    return await asyncio.to_thread(lambda: {part.key: loader.outlook(part) for part in parts})


def _fault(manager: ModelManager, plan: VoicePlan) -> VoxswapError | None:
    """Why it cannot be loaded at all, or not yet."""
    try:
        manager.parts.check_fits(plan)
        manager.check_failures(plan.manifest)
    except VoxswapError as error:
        return error
    return None


def _reason(
    manager: ModelManager, fault: VoxswapError | None, need: int, victims: tuple[Part, ...] | None
) -> str:
    if fault is not None:
        return fault.message
    free, queued = manager.statistics().free_bytes, len(manager.parts.queued)
    line = f", after {several(queued, 'load')} that waited before" if queued else ""
    if victims is None:
        return (
            f"it needs {human_bytes(need)}, {human_bytes(free)} are free, and what could be "
            f"evicted is too little: it would wait for a stream to end{line}"
        )
    if victims:
        gained = sum(part.charged for part in victims)
        return (
            f"it needs {human_bytes(need)} and {human_bytes(free)} are free: evicting "
            f"{several(len(victims), 'part')} gives {human_bytes(gained)} more{line}"
        )
    return f"it needs {human_bytes(need)} and {human_bytes(free)} are free{line}"
