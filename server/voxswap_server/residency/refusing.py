"""Why somebody gets no voice, in words: errors that name the remedy."""

from __future__ import annotations

import logging
from typing import assert_never

from voxswap_registry.errors import ClosedError, ComponentChangedError, VoxswapError
from voxswap_server.memory.actions import Stage, Why
from voxswap_server.memory.memory import Memory
from voxswap_server.memory.plans import Limits, Plan
from voxswap_server.residency.device import Device
from voxswap_server.residency.errors import (
    DeviceRefusedError,
    LoadFailedError,
    LoadStuckError,
    LoadTimeoutError,
    MemoryBusyError,
    VoiceTooLargeError,
)
from voxswap_server.residency.plans import Source, source_of
from voxswap_server.residency.units import human_bytes

_LOGGER = logging.getLogger(__name__)

CLOSED = "the server is shutting down; ask another one"
_REASONS = {
    Why.TOO_LARGE: VoiceTooLargeError.reason,
    Why.BUSY: MemoryBusyError.reason,
    Why.STUCK: LoadStuckError.reason,
    Why.FAILED: LoadFailedError.reason,
    Why.DEVICE: DeviceRefusedError.reason,
    Why.CHANGED: ComponentChangedError.reason,
    Why.CLOSED: ClosedError.reason,
}
_SHOWN = 5  # of those that speak


class Refusing:
    """Makes errors of what `Memory` says. Confined to its event loop; never blocks."""

    def __init__(self, memory: Memory, limits: Limits, device: Device) -> None:
        self._memory = memory
        self._limits = limits
        self._device = device

    def error(self, why: Why, ref: str, plan: Plan, error: object = None) -> VoxswapError:
        """What who wanted ``plan`` as ``ref`` is told; each its own, since errors gather frames."""
        match why:
            case Why.TOO_LARGE:
                return self._too_large(ref, plan)
            case Why.BUSY:
                limit_s = self._limits.wait_s
                return self._busy(ref, f"{limit_s:g} s, the most that memory_wait_s allows")
            case Why.STUCK:
                return self._stuck(ref, plan)
            case Why.DEVICE:
                return self._refused_by_device(ref, error)
            case Why.FAILED | Why.CHANGED:
                if isinstance(error, VoxswapError):
                    return error.copy()
                return LoadFailedError(f"{ref} could not be loaded; the server's log has it")
            case Why.CLOSED | Why.GIVEN_UP:
                return ClosedError(CLOSED)
        assert_never(why)

    def too_late(
        self, ref: str, plan: Plan, timeout_s: float
    ) -> MemoryBusyError | LoadTimeoutError:
        """The caller's own time is over."""
        claim = self._memory.claims.get(plan.key)
        if claim is not None and claim in self._memory.line:
            return self._busy(ref, f"{timeout_s:.3f} s")
        return LoadTimeoutError(
            f"{ref}: not loaded within {timeout_s:.3f} s; ask with a longer deadline"
        )

    def _busy(self, ref: str, within: str) -> MemoryBusyError:
        speaking = [voice for voice in self._memory.voices.values() if voice.leases]
        shown = ", ".join(
            f"{min(v.refs)} ({human_bytes(sum(part.size_bytes for part in v.parts))})"
            for v in speaking[:_SHOWN]
        )
        more = f" and {len(speaking) - _SHOWN} more" if len(speaking) > _SHOWN else ""
        return MemoryBusyError(
            f"{ref}: no memory came free within {within}; speaking now: {shown or 'nobody'}{more}; "
            "try again, or give the server a larger memory_budget"
        )

    def _too_large(self, ref: str, plan: Plan) -> VoiceTooLargeError:
        holdings = self._memory.holdings
        lanes_bytes, pinned_bytes = holdings.lanes.least_bytes(plan), holdings.pinned_beside(plan)
        computing = f", and {human_bytes(lanes_bytes)} to compute in"
        pinned = f"{human_bytes(pinned_bytes)} are pinned for others"
        fixed = f"{human_bytes(holdings.fixed_bytes)} are kept for other things"
        taken = [pinned] * bool(pinned_bytes) + [fixed] * bool(holdings.fixed_bytes)
        beside = f", of which {' and '.join(taken)}" if taken else ""
        return VoiceTooLargeError(
            f"{ref} needs {human_bytes(plan.size_bytes)}{computing if lanes_bytes else ''}; "
            f"the whole budget has {human_bytes(self._memory.books.target_bytes)}{beside}; give "
            "the server a larger memory_budget"
            f"{', or unpin a voice' if pinned_bytes else ''}"
        )

    def _stuck(self, ref: str, plan: Plan) -> LoadStuckError:
        part = self._memory.stuck_of(plan)
        name = ref if part is None else source_of(part.plan).name
        fetched = part is not None and part.stage is Stage.FETCH
        limit_s = self._limits.load_timeout_s
        return LoadStuckError(
            f"{name} was not {'fetched' if fetched else 'loaded'} within {limit_s:g} s, the most "
            "that load_timeout_s allows, and that has not ended yet; look at the disk or the store"
        )

    def _refused_by_device(self, ref: str, error: object) -> DeviceRefusedError:
        told = error.message if isinstance(error, VoxswapError) else f"{ref} was refused memory"
        books = self._memory.books
        return DeviceRefusedError(
            f"{told}. The ledger has {human_bytes(books.free_bytes)} of "
            f"{human_bytes(books.budget_bytes)} free, {self._device.figures()}; lower "
            "memory_budget, or end what else is there"
        )


def as_told(what: str, done: str, error: Exception) -> VoxswapError:
    """What whoever waits for ``what`` is told, since it was not ``done``; without its frames."""
    if isinstance(error, VoxswapError):
        return error.copy()
    _LOGGER.error("%s: unforeseen", what, exc_info=error)
    return LoadFailedError(
        f"{what} could not be {done}, for a reason that nobody foresaw "
        f"({type(error).__name__}); the server's log has it"
    )


def changed(source: Source) -> ComponentChangedError:
    """For who has, or waits for, a part whose file was written to."""
    digest = source.part.component.digest
    return ComponentChangedError(
        f"{source.name} ({digest}) was changed on the server's disk while it was in use, and was "
        "taken out of service. Ask again: it is read and verified anew. Replace files of a "
        "registry by renaming, never by writing into them",
        metadata={"digest": digest},
    )


def reason_of(why: Why, error: object) -> str:
    """For events and metrics."""
    if why is Why.GIVEN_UP:
        return "CANCELLED"
    return error.reason if isinstance(error, VoxswapError) else _REASONS[why]
