"""The books of what streams will compute, and who is let in by them. Pure: no clock, no threads.

Events and time come in (a stream is let in, asks for compute, had some, stands still, leaves), and
decisions go out. Nothing is promised: what is summed is what streams will need from this moment on,
at what their kinds are known to cost at this moment: see `need`, and `demand` for the criterion.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from voxswap_server.speech.costs import BusyMeter, CostBook, KindCosts, Resource, Usage
from voxswap_server.speech.demand import Claim, first_late_s, wait_s
from voxswap_server.speech.need import Need, Stream, Windows
from voxswap_server.speech.request import SpeechRequest

# Tenants with less than their share find this much of the room kept for them.
_KEPT_SHARE = 0.2
# Of a conversation that has not said anything yet: a minute of speech.
_UNKNOWN_CHARACTERS = 900
# Of sentences, until the first one was read.
_SEGMENT_CHARACTERS = 80
# Who comes together with others may begin a little later than it should, or by a long step.
_PATIENCE_S, _PATIENCE_OF_LONG_S = 0.3, 1.0
_THREADS = (Resource.STEPS, Resource.LONG_STEPS)
_NAMES = {
    Resource.STEPS: "the compute threads",
    Resource.LONG_STEPS: "the thread for long steps",
    Resource.LOOP: "the event loop",
    Resource.CORES: "the cores",
}
# Of a resource; what streams without pacing are sure to get of it together, while others speak.
_UNPACED_SHARE = 0.1
_LEAST_RETRY_S, _MOST_RETRY_S = 0.1, 30.0


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is to compute with: threads for steps, and cores that all have in common."""

    threads: int
    cores: float

    def of(self, resource: Resource) -> float:
        """Seconds of it for each second."""
        match resource:
            case Resource.STEPS:
                return self.threads
            case Resource.CORES:
                return self.cores
            case _:
                return 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    """``most_load`` is the share of the machine that streams may need together.

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


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The books at one moment.

    ``load`` is the largest share of a resource that paced streams need; ``backlog_s`` how long
    streams without pacing would take if they were alone.
    """

    streams: int = 0
    counting: int = 0
    load: float = 0.0
    backlog_s: float = 0.0


class Books:
    """Who is let in. Not thread-safe. Invariant: a stream is in the books until it leaves, once."""

    def __init__(self, machine: Machine, limits: Limits, windows: Windows) -> None:
        self._machine = machine
        self._limits = limits
        self._windows = windows
        self._streams: dict[Stream, None] = {}  # in the order in which they came
        self._unpaced: Counter[str] = Counter()
        self.costs = CostBook()
        self._accounted = {r: BusyMeter() for r in _THREADS}
        self._others: dict[Resource, float] = {}  # seconds a second, of no stream
        self._since_s: float | None = None

    # What happens

    def busy(self, resource: Resource, share: float, now_s: float) -> None:
        """Of late, ``resource`` was busy for ``share`` seconds a second, for streams and others."""
        if self._since_s is None:
            self._since_s = now_s
        # What was before there were any books is nobody's.
        if now_s >= self._since_s + BusyMeter.WINDOW_S:
            self._others[resource] = max(0.0, share - self._accounted[resource].share(now_s))

    def computed(self, usage: Usage, now_s: float) -> None:
        """This was for a stream."""
        for resource, meter in self._accounted.items():
            if usage[resource]:
                meter.add(usage[resource], now_s)

    def leave(self, stream: Stream) -> None:
        """Forget a stream; again does nothing."""
        if stream in self._streams:
            del self._streams[stream]
            if not stream.paced:
                self._unpaced[stream.tenant] -= 1
                self._unpaced += Counter()  # drops those without any

    # What there is

    def weight(self, stream: Stream, patience_s: float, now_s: float) -> float:
        """How many times ``patience_s`` the steps of a stream without pacing may have to wait.

        As often as its tenant has such streams, and so long that all of them together take no more
        than a small share from those who are listened to.
        """
        needs = [self._need(s, now_s) for s in self._streams if not s.paced and s.counts(now_s)]
        own = self._need(stream, now_s)
        surely = (
            max(
                sum(need.first_s(r) for need in needs) / (self._machine.of(r) * _UNPACED_SHARE)
                for r in _THREADS
                if r in own.claims
            )
            if own.claims
            else 0.0
        )
        return max(1.0, self._unpaced[stream.tenant], surely / patience_s)

    def unpaced_of(self, tenant: str) -> int:
        """Streams without pacing that a tenant has."""
        return self._unpaced[tenant]

    def snapshot(self, now_s: float) -> Snapshot:
        """What there is."""
        needs = self._needs(now_s)
        paced = [need for need in needs if need.stream.paced]
        files = [need for need in needs if not need.stream.paced]
        of = self._machine.of
        return Snapshot(
            streams=len(self._streams),
            counting=len(needs),
            load=max(sum(n.rate(r) for n in paced) / of(r) for r in Resource),
            backlog_s=max(sum(n.left_s(r) for n in files) / of(r) for r in _THREADS),
        )

    def check_integrity(self) -> None:
        """Raise AssertionError if the books do not balance."""
        unpaced = Counter(stream.tenant for stream in self._streams if not stream.paced)
        assert unpaced == self._unpaced, (unpaced, self._unpaced)  # noqa: S101
        assert all(share >= 0 for share in self._others.values())  # noqa: S101
        for stream in self._streams:
            assert stream.left >= 0 and stream.undecoded_s >= 0, stream  # noqa: S101, PT018

    # Decisions

    def admit(
        self,
        request: SpeechRequest,
        kind: KindCosts,
        now_s: float,
        *,
        budget_s: float,
        swap_s: float = 0.0,
    ) -> Stream | Refused | TooLate:
        """Let a stream in that should begin in ``budget_s``, and whose voice is ``swap_s`` away."""
        characters = len(request.text) or _UNKNOWN_CHARACTERS
        stream = Stream(
            kind=kind,
            encoding=request.encoding,
            tenant=request.tenant,
            paced=request.paced,
            rate=request.rate,
            admitted_s=now_s,
            begin_by_s=now_s + budget_s,
            left=characters / request.rate,
            segment=min(characters, _SEGMENT_CHARACTERS) / request.rate,
        )
        own = self._need(stream, now_s)
        others = self._needs(now_s)
        refused = self._fits(own, others) if request.paced else self._is_short(own, others)
        if refused is not None:
            return refused
        if request.start_by_s is not None:
            estimate_s = self._start_s(own, others, budget_s, swap_s)
            if estimate_s > request.start_by_s:
                return TooLate(estimate_s)
        self._streams[stream] = None
        if not stream.paced:
            self._unpaced[stream.tenant] += 1
        return stream

    def _fits(self, own: Need, others: Sequence[Need]) -> Refused | None:
        """Whether a paced stream and all others could be computed in time."""
        for resource in Resource:
            mine = own.claims.get(resource, [])
            theirs = self._claims(others, resource)
            if not (mine and theirs):
                continue  # Who finds it idle is served, however slow it is.
            room = self._room(own, others, resource)
            blocks = resource is Resource.LONG_STEPS
            late_s = first_late_s(
                [*theirs, *mine],
                self._capacity(resource, room),
                patience_s=_PATIENCE_OF_LONG_S if blocks else _PATIENCE_S,
                blocks=blocks,
                blocking_s=self._blocking_s(others, math.inf) if blocks else 0.0,
            )
            if late_s is not None:
                return self._refused(own, others, resource, room, late_s)
        return None

    def _is_short(self, own: Need, others: Sequence[Need]) -> Refused | None:
        """Whether a stream without pacing would not wait for too long."""
        files = [need for need in others if not need.stream.paced]
        for resource in _THREADS:
            capacity = self._machine.of(resource)
            before_s = sum(need.left_s(resource) for need in files) / capacity
            mine_s = own.left_s(resource) / capacity
            most_s = self._limits.most_backlog_s * self._room(own, files, resource)
            # Who finds it idle is served, however long it takes.
            if before_s > 0 and mine_s > 0 and before_s + mine_s > most_s:
                paced = sum(need.rate(resource) for need in others if need.stream.paced)
                speed = max(0.1, 1.0 - paced / capacity)
                return _refused(
                    f"streams without pacing have {before_s:.1f} s to compute, and this one "
                    f"{mine_s:.1f} s more; at most {most_s:.1f} s may wait",
                    (before_s + mine_s - most_s) / speed,
                )
        return None

    def _start_s(self, own: Need, others: Sequence[Need], budget_s: float, swap_s: float) -> float:
        """When it would begin to sound. While its voice is loaded, others are computed for."""
        waits_s = first_s = 0.0
        for resource in _THREADS:
            if own_s := own.first_s(resource):
                first_s += own_s
                blocks = resource is Resource.LONG_STEPS
                waits_s += wait_s(
                    self._claims(others, resource),
                    self._capacity(resource, 1.0 / self._limits.most_load),
                    budget_s=budget_s,
                    blocking_s=self._blocking_s(others, budget_s) if blocks else 0.0,
                )
        return max(waits_s, swap_s) + first_s

    # Sums

    def _needs(self, now_s: float) -> list[Need]:
        return [self._need(stream, now_s) for stream in self._streams if stream.counts(now_s)]

    def _need(self, stream: Stream, now_s: float) -> Need:
        return stream.need(self.costs.encode(stream.encoding), self._windows, now_s)

    def _claims(self, needs: Sequence[Need], resource: Resource) -> list[Claim]:
        """Of paced streams."""
        paced = (need for need in needs if need.stream.paced)
        return [claim for need in paced for claim in need.claims.get(resource, ())]

    def _blocking_s(self, needs: Sequence[Need], due_s: float) -> float:
        """The longest step that may be under way though it is due after that."""
        long = Resource.LONG_STEPS
        return max(
            (
                claim.first_s
                for need in needs
                for claim in need.claims.get(long, ())
                if not need.stream.paced or claim.slack_s > due_s
            ),
            default=0.0,
        )

    def _capacity(self, resource: Resource, share: float) -> float:
        """What streams may have of it in each second."""
        of_all = self._machine.of(resource)
        return max(
            0.1 * of_all, of_all * self._limits.most_load * share - self._others.get(resource, 0.0)
        )

    def _room(self, own: Need, others: Sequence[Need], resource: Resource) -> float:
        """How much of a resource is open to the tenant of ``own``."""
        tenants = {need.stream.tenant for need in others} | {own.stream.tenant}
        if len(tenants) == 1:
            return 1.0
        if own.stream.paced:
            paced = [need for need in others if need.stream.paced]
            mine = sum(n.rate(resource) for n in paced if n.stream.tenant == own.stream.tenant)
            mine += own.rate(resource)
            most = self._machine.of(resource) * self._limits.most_load
        else:
            mine = sum(n.left_s(resource) for n in others if n.stream.tenant == own.stream.tenant)
            mine += own.left_s(resource)
            most = self._machine.of(resource) * self._limits.most_backlog_s
        return 1.0 if mine <= most / len(tenants) else 1.0 - _KEPT_SHARE

    def _refused(
        self, own: Need, others: Sequence[Need], resource: Resource, room: float, late_s: float
    ) -> Refused:
        paced = [need for need in others if need.stream.paced and need.claims.get(resource)]
        of_all = self._machine.of(resource)
        now = sum(need.rate(resource) for need in paced) / of_all
        then = now + own.rate(resource) / of_all
        most = self._capacity(resource, room) / of_all
        if then > most:
            retry_s = min(need.ends_s for need in paced)
            reason = (
                f"{len(paced)} streams take {now:.0%} of {_NAMES[resource]}, and another one would "
                f"make it {then:.0%} of at most {most:.0%}"
            )
        else:
            retry_s = late_s
            reason = (
                f"{len(paced)} streams that use {_NAMES[resource]} have too little audio ahead of "
                "their listeners for another one to begin now"
            )
        return _refused(reason, retry_s)


def _refused(reason: str, retry_s: float) -> Refused:
    retry_s = min(max(retry_s, _LEAST_RETRY_S), _MOST_RETRY_S)
    return Refused(f"{reason}; try again in {retry_s:.1f} s", retry_s)
