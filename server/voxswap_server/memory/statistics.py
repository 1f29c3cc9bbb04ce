"""All figures of `Memory` at one instant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from voxswap_server.memory.actions import Stage
from voxswap_server.memory.ledger import LedgerStatistics
from voxswap_server.memory.part import State

if TYPE_CHECKING:
    from voxswap_server.memory.allotment import Allotment


@dataclass(frozen=True, slots=True)
class MemoryStatistics:
    """Bytes and numbers; ``spare_bytes`` and ``available_bytes`` as `Holdings` has them.

    ``floor_bytes`` are kept for the claim that is exclusive now. ``beside`` counts threads that
    were told to stop, and whose slots others have.
    """

    books: LedgerStatistics
    spare_bytes: int
    available_bytes: int
    idle_bytes: int
    promised_bytes: int
    leaving_bytes: int
    floor_bytes: int
    parts: int
    idle_parts: int
    voices: int
    leases: int
    players_in_line: int
    ahead_in_line: int
    promised_claims: int
    loading: int
    fetching: int
    waiting_for_slots: int
    beside: int
    stuck: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """What would leave for a row of plans: the numbers of parts, in order.

    ``leave`` says for each plan how many of them, counted from the first, have left by then; None
    if it does not fit. The later ones are needed later, so then they do not either.
    """

    victims: tuple[int, ...]
    leave: tuple[int | None, ...]


def statistics_of(memory: Allotment) -> MemoryStatistics:
    """See `Memory.statistics`."""
    holdings, line = memory._holdings, memory._line
    players, ahead = line.in_order()
    slots = memory._slots
    return MemoryStatistics(
        books=holdings.ledger.statistics(),
        spare_bytes=holdings.spare_bytes,
        available_bytes=holdings.available_bytes,
        idle_bytes=holdings.idle.sum_bytes,
        promised_bytes=holdings.promised_bytes,
        leaving_bytes=holdings.leaving_bytes,
        floor_bytes=line.floor_bytes,
        parts=sum(1 for _ in holdings),
        idle_parts=len(holdings.idle),
        voices=len(memory._voices),
        leases=len(memory._leases),
        players_in_line=len(players),
        ahead_in_line=len(ahead),
        promised_claims=len(memory._promised_claims),
        loading=len(slots[Stage.LOAD].running),
        fetching=len(slots[Stage.FETCH].running),
        waiting_for_slots=sum(len(s.waiting) for s in slots.values()),
        beside=sum(len(s.beside) for s in slots.values()),
        stuck=sum(part.state is State.STUCK for part in memory._work.values()),
    )
