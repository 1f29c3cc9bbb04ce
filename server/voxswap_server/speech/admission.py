"""Who may speak now: by how much there is to compute, as far as that can be told beforehand.

A queue that only grows makes everybody late. So a stream that the device could not serve in time is
refused at once, with a hint when to come again. What a line costs is learnt from the lines before.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from types import TracebackType

from voxswap_server.speech.errors import OverloadedError
from voxswap_server.speech.listening import too_late
from voxswap_server.speech.playback import Pacing
from voxswap_server.speech.request import SpeechRequest

# Tenants with less than their share find this much of the room kept for them.
_KEPT_SHARE = 0.2
# Of a line of unknown length: a minute of speech.
_UNKNOWN_CHARACTERS = 900
# About what a first segment has, for what begins with it.
_FIRST_CHARACTERS = 120
_LEAST_RETRY_S, _MOST_RETRY_S = 0.1, 30.0
_NEW_WEIGHT = 0.1


@dataclass(slots=True)
class _Costs:
    """What lines of one kind of voice cost, per character; running means."""

    compute_s: float = math.nan
    audio_s: float = math.nan
    first_s: float = math.nan  # until the first chunk, per character of the first segment

    def learn(self, name: str, value: float) -> None:
        known: float = getattr(self, name)
        mixed = value if math.isnan(known) else known + _NEW_WEIGHT * (value - known)
        setattr(self, name, mixed)

    @property
    def load(self) -> float:
        """Share of the device that a paced stream takes while it speaks; 0 if unknown."""
        return _known(self.compute_s / self.audio_s if self.audio_s else math.nan)


def _known(value: float) -> float:
    return 0.0 if math.isnan(value) else value


@dataclass(frozen=True, slots=True)
class Limits:
    """``most_load`` is the share of the device that paced streams may take together.

    ``most_backlog_s`` is how much compute may be promised to streams without pacing.
    """

    most_load: float = 0.8
    most_backlog_s: float = 30.0


class Ticket:
    """A stream's place. A context manager: leave it, however the stream ended."""

    def __init__(
        self,
        admission: Admission,
        request: SpeechRequest,
        costs: _Costs,
        begins_by_s: float,
    ) -> None:
        self._admission = admission
        self._costs = costs
        self._since_s = admission.clock()
        # Of the device's time: others compute beside it.
        self._share = 1 / admission.side_by_side
        self.tenant = request.tenant
        self.paced = request.paced
        self.begins_by_s = begins_by_s
        self.has_begun = False
        self.first_s = _known(costs.first_s) * min(len(request.text), _FIRST_CHARACTERS)
        characters = len(request.text) or _UNKNOWN_CHARACTERS
        self.compute_s = _known(costs.compute_s) * characters * self._share
        self.audio_s = _known(costs.audio_s) * characters
        self.load = costs.load * self._share if self.paced else 0.0
        self.done: Callable[[], float] = lambda: 0.0

    def __enter__(self) -> Ticket:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._admission.leave(self)

    @property
    def left_s(self) -> float:
        """Of the device's time, what is still to come."""
        return max(0.0, self.compute_s - self.done() * self._share)

    @property
    def ends_in_s(self) -> float:
        """When a paced stream will have been spoken."""
        return max(0.0, self._since_s + self.audio_s - self._admission.clock())

    def weight(self) -> float:
        """How many streams without pacing its tenant has: each of them waits so much longer."""
        return max(1, self._admission.unpaced_of(self.tenant))

    def begun(self, compute_s: float, characters: int) -> None:
        """The first chunk is out, ``characters`` of text into it."""
        self.has_begun = True
        self._costs.learn("first_s", compute_s / max(1, min(characters, _FIRST_CHARACTERS)))

    def finished(self, compute_s: float, audio_s: float, characters: int) -> None:
        """All of it is out."""
        if characters > 0 and audio_s > 0:
            self._costs.learn("compute_s", compute_s / characters)
            self._costs.learn("audio_s", audio_s / characters)


class Admission:
    """Lets streams in, or refuses them. Confined to one event loop; nothing blocks.

    Invariant: a ticket is counted from `admit` until it is left, once.
    """

    def __init__(
        self,
        limits: Limits,
        pacing: Pacing,
        *,
        clock: Callable[[], float],
        side_by_side: int = 1,
    ) -> None:
        """The device computes for ``side_by_side`` streams at the same time."""
        self.side_by_side = side_by_side
        self._limits = limits
        self._pacing = pacing
        self.clock = clock
        self._tickets: set[Ticket] = set()
        self._unpaced: Counter[str] = Counter()
        self._costs: dict[Hashable, _Costs] = {}

    def admit(self, request: SpeechRequest, kind: Hashable, *, swap_s: float = 0.0) -> Ticket:
        """A place for a stream of a voice of this ``kind``, which is ``swap_s`` away.

        Raises `OverloadedError`, or `TooLateError` for a line that could not start by its time.
        """
        costs = self._costs.setdefault(kind, _Costs())
        begins_by_s = self.clock() + self._pacing.start_budget_s[request.line_class]
        ticket = Ticket(self, request, costs, begins_by_s)
        if request.paced:
            self._check_load(ticket)
        else:
            self._check_backlog(ticket)
        if request.start_by_s is not None:
            estimate_s = self.start_s(ticket) + swap_s
            if estimate_s > request.start_by_s:
                raise too_late(request.start_by_s, estimate_s)
        self._tickets.add(ticket)
        if not ticket.paced:
            self._unpaced[ticket.tenant] += 1
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Give a place back; again does nothing."""
        if ticket in self._tickets:
            self._tickets.remove(ticket)
            if not ticket.paced:
                self._unpaced[ticket.tenant] -= 1
                self._unpaced += Counter()  # drops those without any

    def unpaced_of(self, tenant: str) -> int:
        """Streams without pacing that a tenant has."""
        return self._unpaced[tenant]

    @property
    def load(self) -> float:
        """Share of the device that the paced streams take."""
        return sum(ticket.load for ticket in self._tickets)

    @property
    def backlog_s(self) -> float:
        """Of the device's time, what streams without pacing wait for."""
        return sum(ticket.left_s for ticket in self._tickets if not ticket.paced)

    def start_s(self, ticket: Ticket) -> float:
        """Estimated time until a stream that came now would begin to sound."""
        before = sum(
            other.first_s
            for other in self._tickets
            if other.paced and not other.has_begun and other.begins_by_s <= ticket.begins_by_s
        )
        # What streams that speak already take goes off the device's speed.
        return (before / self.side_by_side + ticket.first_s) / max(0.1, 1.0 - self.load)

    def check_integrity(self) -> None:
        """Raise AssertionError if the books do not balance."""
        unpaced = Counter(ticket.tenant for ticket in self._tickets if not ticket.paced)
        assert unpaced == self._unpaced, (unpaced, self._unpaced)  # noqa: S101

    def _check_load(self, ticket: Ticket) -> None:
        mine = sum(t.load for t in self._tickets if t.tenant == ticket.tenant) + ticket.load
        most = self._room(ticket, mine, self._limits.most_load)
        if self.load and self.load + ticket.load > most:
            ends_s = [t.ends_in_s for t in self._tickets if t.paced]
            raise _overloaded(
                f"{len(ends_s)} streams take {self.load:.0%} of the device, and another one would "
                f"make it {self.load + ticket.load:.0%} of at most {most:.0%}",
                min(ends_s, default=_LEAST_RETRY_S),
            )

    def _check_backlog(self, ticket: Ticket) -> None:
        unpaced = [t for t in self._tickets if not t.paced]
        mine = sum(t.left_s for t in unpaced if t.tenant == ticket.tenant) + ticket.left_s
        most = self._room(ticket, mine, self._limits.most_backlog_s)
        waiting_s = self.backlog_s + ticket.left_s
        # Who finds the device idle is served, however long it takes.
        if unpaced and waiting_s > most:
            raise _overloaded(
                f"streams without pacing have {self.backlog_s:.1f} s to compute, and this one "
                f"{ticket.left_s:.1f} s more; at most {most:.1f} s are promised",
                (waiting_s - most) / max(0.1, 1.0 - self.load),
            )

    def _room(self, ticket: Ticket, mine: float, most: float) -> float:
        """How much of ``most`` is open to a tenant that would have ``mine`` of it."""
        tenants = {t.tenant for t in self._tickets} | {ticket.tenant}
        if len(tenants) == 1 or mine <= most / len(tenants):
            return most
        return (1 - _KEPT_SHARE) * most


def _overloaded(message: str, retry_s: float) -> OverloadedError:
    retry_s = min(max(retry_s, _LEAST_RETRY_S), _MOST_RETRY_S)
    error = OverloadedError(f"{message}; try again in {retry_s:.1f} s")
    error.retry_s = retry_s
    return error
