"""The books of what streams will compute, and who is let in by them. Pure: no clock, no threads.

Events and time come in (a stream is let in, asks for compute, had some, stands still, leaves), and
decisions go out. Nothing is promised: what is summed is what streams need from this moment on, at
what their kinds are known to cost at this moment, against what the threads were able to do of late.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from voxswap_server.speech.chunking import Chunking
from voxswap_server.speech.costs import Machine, Resource
from voxswap_server.speech.demand import QUEUE_S, THREADS, makes_late, starts_in_s, width_of
from voxswap_server.speech.need import Need, Stream, need
from voxswap_server.speech.playback import Pacing

# Tenants with less than their share find this much of the room kept for them.
_KEPT_SHARE = 0.2
# Of a resource; what streams without pacing are sure to get of it together, while others speak.
_UNPACED_SHARE = 0.1
# Of what the threads can do within moments; the rest is for what nobody can tell beforehand. After
# gaps that was more, for some time.
_SURE_SHARE, _LEAST_SURE_SHARE = 0.75, 0.5
_CAUTION_A_GAP, _CAUTION_S = 0.1, 15.0
_NAMES = {
    Resource.STEPS: "the compute threads",
    Resource.LONG_STEPS: "the thread for long steps",
    Resource.LOOP: "the event loop",
    Resource.CORES: "the cores",
}
# So long after a refusal somebody who asks again finds what was kept.
_WANTED_S = 3.0
_NOBODY = (0.0, -math.inf)
_LEAST_RETRY_S, _MOST_RETRY_S = 0.1, 30.0
_SUMMED_S = 0.1


@dataclass(frozen=True, slots=True)
class Limits:
    """``most_load`` is the share of the machine that streams may need together. Above 1 moments are
    not looked at either: an operator would rather have gaps than refusals.

    ``most_backlog_s`` is how much compute may wait for streams without pacing.
    """

    most_load: float = 0.8
    most_backlog_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Refused:
    """The machine has as much to do as it can do in time; ``retry_s`` from now it has less."""

    reason: str
    retry_s: float


@dataclass(frozen=True, slots=True)
class TooLate:
    """The line would not start before ``estimate_s`` from now."""

    estimate_s: float


@dataclass(slots=True)
class _Waiting:
    """Of one at the door. ``start_by_s`` is on the clock."""

    start_by_s: float | None
    swap_s: float
    refused: Refused | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The books at one moment, without those who wait at the door.

    ``load`` is the largest share of a resource that paced streams need; ``backlog_s`` how long
    streams without pacing would take if they were alone.
    """

    streams: int = 0
    counting: int = 0
    load: float = 0.0
    backlog_s: float = 0.0


class Books:
    """Who is let in. Not thread-safe.

    Invariant: a stream waits, or counts until it leaves, or neither; never both.
    """

    def __init__(
        self,
        machine: Machine,
        limits: Limits,
        chunking: Chunking,
        pacing: Pacing,
        speeds: Callable[[], tuple[float, float]] = lambda: (1.0, 1.0),
    ) -> None:
        """``speeds`` are those of the threads for steps, and of that for long ones (`Meter`)."""
        self._machine = machine
        self._limits = limits
        self._chunking = chunking
        self._pacing = pacing
        self._speeds = speeds
        self._streams: dict[Stream, None] = {}  # in the order in which they came
        self._waiting: dict[Stream, _Waiting] = {}  # so, too
        self._unpaced: Counter[str] = Counter()
        self._unpaced_first = dict.fromkeys(THREADS, 0.0)
        self._unpaced_until_s = -math.inf  # the sums are good for a moment
        self._cautious = (0.0, -math.inf)
        # The width of the last long steps that were refused, and when.
        self._wanted = _NOBODY

    def wait(self, stream: Stream, *, start_by_s: float | None = None, swap_s: float = 0.0) -> None:
        """It is at the door. It must begin by ``start_by_s``; its voice is ``swap_s`` away."""
        self._waiting[stream] = _Waiting(start_by_s, swap_s)

    def give_up(self, stream: Stream) -> Refused | None:
        """It waits no more. Why it was not let in, if it waited and was looked at."""
        waited = self._waiting.pop(stream, None)
        return None if waited is None else waited.refused

    def look(self, now_s: float) -> list[tuple[Stream, TooLate | None]]:
        """Let in who waits and may enter, in the order in which they came; who wait no more.

        To be called whenever something has changed. Who is like one before it that has to wait has
        to wait as well; others go past.
        """
        done: list[tuple[Stream, TooLate | None]] = []
        refused: dict[object, Refused] = {}
        for stream, waiting in self._waiting.items():
            alike = (stream.kind, stream.tenant, stream.paced)
            if alike in refused:
                waiting.refused = refused[alike]
                continue
            match decision := self._decide(stream, waiting, now_s):
                case Refused():
                    waiting.refused = refused[alike] = decision
                case TooLate():
                    done.append((stream, decision))
                case None:
                    self._enter(stream, now_s)
                    done.append((stream, None))
        for stream, _ in done:
            del self._waiting[stream]
        return done

    def _enter(self, stream: Stream, now_s: float) -> None:
        stream.admitted_s = now_s
        self._streams[stream] = None
        if not stream.paced:
            self._unpaced_until_s = now_s

    def asks(
        self, stream: Stream, characters_left: int, dry_at_s: float | None, now_s: float
    ) -> None:
        """See `Stream.asks`."""
        if stream.paced and stream.was_late(now_s):
            caution = min(self._caution(now_s) + _CAUTION_A_GAP, _SURE_SHARE - _LEAST_SURE_SHARE)
            self._cautious = (caution, now_s)
        stream.asks(characters_left, dry_at_s)

    def _caution(self, now_s: float) -> float:
        caution, since_s = self._cautious
        return caution * math.exp((since_s - now_s) / _CAUTION_S)

    def leave(self, stream: Stream) -> None:
        """Forget a stream; again does nothing."""
        self._streams.pop(stream, None)
        if not stream.paced:
            self._unpaced_until_s = -math.inf

    # What there is

    def weight(self, stream: Stream, now_s: float) -> float:
        """How many times ``patience_s`` the steps of a stream without pacing may have to wait.

        As often as its tenant has such streams, and so long that all of them together take no more
        than a small share from those who are listened to.
        """
        own = need(stream, self._chunking, now_s)
        if now_s >= self._unpaced_until_s:
            # Asked for each step of each of them, and the sums are over all.
            self._unpaced = Counter(s.tenant for s in self._streams if not s.paced)
            needs = [n for n in self._needs(now_s) if not n.stream.paced]
            self._unpaced_first = {r: sum(n.first[r] for n in needs) for r in THREADS}
            self._unpaced_until_s = now_s + _SUMMED_S
        surely = max(
            self._unpaced_first[r] / (self._machine.of(r) * _UNPACED_SHARE) if own.first[r] else 0.0
            for r in THREADS
        )
        return max(1.0, self._unpaced[stream.tenant], surely / self._pacing.patience_s)

    def snapshot(self, now_s: float) -> Snapshot:
        """What there is."""
        needs = self._needs(now_s)
        paced = [n for n in needs if n.stream.paced]
        files = [n for n in needs if not n.stream.paced]
        of = self._machine.of
        return Snapshot(
            streams=len(self._streams),
            counting=len(needs),
            load=max(sum(n.rate[r] for n in paced) / of(r) for r in Resource),
            backlog_s=max(sum(n.left[r] for n in files) / of(r) for r in THREADS),
        )

    def check_integrity(self) -> None:
        """Raise AssertionError if the books do not balance."""
        assert not self._streams.keys() & self._waiting.keys()  # noqa: S101
        for stream in self._streams:
            assert stream.left >= 0 and stream.undecoded_s >= 0, stream  # noqa: S101, PT018

    # Decisions

    def _decide(self, stream: Stream, waiting: _Waiting, now_s: float) -> Refused | TooLate | None:
        """None: it may enter."""
        own, others = need(stream, self._chunking, now_s), self._needs(now_s)
        short, long = self._speeds()
        speeds = {Resource.STEPS: short, Resource.LONG_STEPS: long}
        capacity = {r: self._machine.of(r) * speeds.get(r, 1.0) for r in Resource}
        if stream.paced:
            refused = self._fits(own, [n for n in others if n.stream.paced], capacity, now_s)
            if own.segment[Resource.LONG_STEPS]:
                half = self._limits.most_load * self._machine.cores / 2
                is_kept = refused is not None and own.left[Resource.CORES] / own.ends_s <= half
                self._wanted = (width_of([own]), now_s) if is_kept else _NOBODY
        else:
            refused = self._is_short(own, others, capacity)
        if refused is None and waiting.start_by_s is not None:
            budget_s = max(0.0, stream.begin_by_s - now_s)
            estimate_s = starts_in_s(own, others, capacity, speeds, budget_s, waiting.swap_s)
            if now_s + estimate_s > waiting.start_by_s:
                return TooLate(estimate_s)
        return refused

    def _fits(
        self, own: Need, paced: Sequence[Need], capacity: dict[Resource, float], now_s: float
    ) -> Refused | None:
        """Whether a paced stream and all others could be computed in time."""
        sure = _SURE_SHARE - self._caution(now_s)
        width = self._width_beside(own, paced, now_s)
        is_careful = self._limits.most_load <= 1.0
        refused = self._fits_long(own, paced, capacity, sure, width) if is_careful else None
        if refused is not None:
            return refused
        speed = self._speed_beside(own, paced, capacity)
        for r in Resource:
            rate = sum(n.rate[r] for n in paced)
            if not (own.left[r] and rate):
                continue  # Who finds it idle is served, however slow it is.
            most = self._limits.most_load * self._room(own, paced, r) * capacity[r]
            if rate + own.rate[r] > most:
                return _refused(
                    f"{len(paced)} streams need {rate / capacity[r]:.0%} of {_NAMES[r]}, and "
                    f"another one would make it {(rate + own.rate[r]) / capacity[r]:.0%} of at "
                    f"most {most / capacity[r]:.0%}",
                    min(n.ends_s for n in paced),
                )
            threads = self._machine.of(r)
            # Long steps have their own rule, and the system parts the cores as it likes.
            is_in_order = is_careful and r in {Resource.STEPS, Resource.LOOP}
            if is_in_order and makes_late(own, paced, r, threads, speed, sure):
                return _refused(
                    f"streams that have just begun keep {_NAMES[r]} busy, and have too little "
                    "audio ahead of their listeners",
                    _LEAST_RETRY_S,
                )
        return None

    def _fits_long(
        self,
        own: Need,
        paced: Sequence[Need],
        capacity: dict[Resource, float],
        sure: float,
        width: float,
    ) -> Refused | None:
        """Whether the thread for long steps, which shares the cores with others, does them in time,
        and leaves them as much as they need.

        A segment is asked for when its stream is no further ahead than it may be. At worst all ask
        at the same moment, and a step that has begun is not interrupted: so all of them must be
        done before the last of them has nothing to play any more.
        """
        r, streams = Resource.LONG_STEPS, (*paced, own)
        long = [n for n in streams if n.segment[r]]
        if not width or not paced:
            return None
        threads = self._machine.of(Resource.STEPS)
        cores = self._machine.cores
        others = sum(n.rate[Resource.STEPS] for n in streams)
        # Of the system, each thread has as much as any.
        share = sure * cores * min(1.0, threads / (threads + width))
        if others > share and others > own.rate[Resource.STEPS]:
            return _refused(
                f"{_NAMES[Resource.STEPS]} would need {others / cores:.0%} of the cores, and are "
                f"sure of {share / cores:.0%} beside long steps",
                min(n.ends_s for n in paced),
            )
        capacity[r] = min(capacity[r], max(0.01, (cores - others) / width))
        if not own.segment[r]:
            return None
        takes_s = sum(n.segment[r] for n in long) / capacity[r]
        most_s = sure * self._pacing.most_ahead_s
        is_first = long == [own] or not any(n.is_heard or n.rate[r] for n in long)
        waits_s = sum(n.segment[r] for n in long if n is not own and not n.is_heard) / capacity[r]
        if (takes_s <= most_s or is_first) and waits_s <= QUEUE_S:
            return None
        return _refused(
            f"{len(long)} streams would need {_NAMES[r]} for {takes_s:.1f} s at a time, and are at "
            f"most {self._pacing.most_ahead_s:.1f} s ahead of their listeners",
            min(n.ends_s for n in paced),
        )

    def _speed_beside(
        self, own: Need, paced: Sequence[Need], capacity: dict[Resource, float]
    ) -> float:
        """Of a thread for steps, for moments: what it had of late, or has beside a long step."""
        threads = self._machine.of(Resource.STEPS)
        speed = capacity[Resource.STEPS] / threads
        long = [n for n in (*paced, own) if n.segment[Resource.LONG_STEPS]]
        if not long:
            return speed
        busy = min(threads, 1.0 + sum(n.rate[Resource.STEPS] for n in (*paced, own)))
        return min(speed, self._machine.cores / (busy + width_of(long)))

    def _is_short(
        self, own: Need, others: Sequence[Need], capacity: dict[Resource, float]
    ) -> Refused | None:
        """Whether a stream without pacing would not wait for too long."""
        files = [n for n in others if not n.stream.paced]
        for r in THREADS:
            before_s = sum(n.left[r] for n in files) / capacity[r]
            mine_s = own.left[r] / capacity[r]
            most_s = self._limits.most_backlog_s * self._room(own, files, r)
            # Who finds it idle is served, however long it takes.
            if before_s > 0 and mine_s > 0 and before_s + mine_s > most_s:
                paced = sum(n.rate[r] for n in others if n.stream.paced)
                return _refused(
                    f"streams without pacing have {before_s:.1f} s to compute, and this one "
                    f"{mine_s:.1f} s more; at most {most_s:.1f} s may wait",
                    (before_s + mine_s - most_s) / max(0.1, 1.0 - paced / capacity[r]),
                )
        return None

    def _width_beside(self, own: Need, paced: Sequence[Need], now_s: float) -> float:
        """How many cores long steps take that there are, or that somebody was refused; or 0.

        Small needs would otherwise keep out a large one for ever. One that is too slow for half of
        the cores is not waited for.
        """
        long = [n for n in (*paced, own) if n.segment[Resource.LONG_STEPS]]
        if long:
            return width_of(long)
        width, when_s = self._wanted
        return width if now_s < when_s + _WANTED_S else 0.0

    def _room(self, own: Need, alike: Sequence[Need], r: Resource) -> float:
        """How much of a resource is open to the tenant of ``own``; ``alike`` are paced as it is."""
        tenants = {n.stream.tenant for n in alike} | {own.stream.tenant}
        if len(tenants) == 1:
            return 1.0
        mine = [own, *(n for n in alike if n.stream.tenant == own.stream.tenant)]
        if own.stream.paced:
            taken, most = sum(n.rate[r] for n in mine), self._limits.most_load
        else:
            taken, most = sum(n.left[r] for n in mine), self._limits.most_backlog_s
        is_small = taken <= most * self._machine.of(r) / len(tenants)
        return 1.0 if is_small else 1.0 - _KEPT_SHARE

    def _needs(self, now_s: float) -> list[Need]:
        return [
            need(stream, self._chunking, now_s) for stream in self._streams if stream.counts(now_s)
        ]


def _refused(reason: str, retry_s: float) -> Refused:
    retry_s = min(max(retry_s, _LEAST_RETRY_S), _MOST_RETRY_S)
    return Refused(f"{reason}; try again in {retry_s:.1f} s", retry_s)
