"""One stream in the books of admission: what happens to it, and what it will need. Pure.

A stream counts from when it is let in::

    awaited -> asking <-> standing -> gone
       |-> forgotten -> asking     it did not ask in time: it waits for memory, not for compute

While it stands, for words or for a reader who does not read on, it needs nothing. Nor does it while
it is ahead of its listener, for as long as that lasts.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from voxswap_server.speech.costs import KindCosts, Resource, Usage
from voxswap_server.speech.demand import Claim

# Loading takes less; who does not ask by then waits for something else.
_LOADING_S = 5.0
# Between two windows every reader stands for a moment.
_READER_S = 1.0


@dataclass(frozen=True, slots=True)
class Windows:
    """What a stream decodes at a time, in seconds of audio: little first, then twice as much."""

    first_s: float = 0.08
    largest_s: float = 1.5

    def after(self, last_s: float) -> float:
        """The next one."""
        return min(max(self.first_s, 2 * last_s), self.largest_s)


@dataclass(eq=False, slots=True)
class Stream:
    """One stream as the books know it. Its methods are what happens to it.

    ``left`` spoken characters are still to be prepared; ``undecoded_s`` of audio are prepared.
    """

    kind: KindCosts
    encoding: Hashable
    tenant: str
    paced: bool
    rate: float
    admitted_s: float
    begin_by_s: float
    left: float
    segment: float
    undecoded_s: float = 0.0
    window_s: float = 0.0
    dry_at_s: float | None = None  # when all that was delivered will have been played
    has_asked: bool = False
    stands_since_s: float | None = None
    waits_for_words: bool = False

    def asks(self, characters_left: int, due_s: float | None) -> None:
        """It goes on, with so much text before it.

        What it was given will have been played at ``due_s``; None: nothing was given yet.
        """
        self.has_asked, self.waits_for_words = True, False
        self.stands_since_s = None
        self.left = characters_left / self.rate
        self.dry_at_s = due_s

    def stands(self, now_s: float, *, for_words: bool = False) -> None:
        """It waits until somebody reads on, or ``for_words``."""
        self.stands_since_s, self.waits_for_words = now_s, for_words

    def cut(self) -> None:
        """What was prepared will not be spoken."""
        self.undecoded_s = 0.0

    def prepared(self, characters: int, audio_s: float, usage: Usage) -> None:
        """A segment was prepared."""
        spoken = characters / self.rate
        self.kind.prepared(spoken, audio_s, usage)
        self.segment = spoken
        self.left = max(0.0, self.left - spoken)
        self.undecoded_s = audio_s

    def decoded(self, audio_s: float, usage: Usage) -> None:
        """A window was decoded."""
        self.kind.decoded(audio_s, usage)
        self.window_s = audio_s
        self.undecoded_s = max(0.0, self.undecoded_s - audio_s)

    def counts(self, now_s: float) -> bool:
        """Whether it needs compute now, or will."""
        if not self.has_asked:
            return now_s < self.admitted_s + _LOADING_S
        if self.stands_since_s is None:
            return True
        if self.waits_for_words:
            return False
        # A reader who plays as it reads reads on before it has played everything.
        return now_s < max(self.stands_since_s + _READER_S, self.dry_at_s or 0.0)

    def need(self, encode: Usage, windows: Windows, now_s: float) -> Need:
        """What it needs from now on, at what is known now; ``encode`` is for a second of audio."""
        costs = self.kind.costs
        audio_s = self.undecoded_s + self.left * costs.audio_s
        due_s = self.begin_by_s if self.dry_at_s is None else self.dry_at_s
        slack_s, window_s = max(0.0, due_s - now_s), windows.after(self.window_s)
        need = Need(self, slack_s + audio_s)
        # A window waits for the segment that it is of; a segment, for the end of the one before.
        need.add(
            costs.prepare, slack_s + self.undecoded_s, self.segment, 1 / costs.audio_s, self.left
        )
        # As long as windows grow, it computes twice as fast as it plays.
        growth_s = min(windows.largest_s - window_s, max(0.0, audio_s - window_s))
        for usage in (costs.decode, encode):
            need.add(usage, slack_s, window_s, 1.0, audio_s - growth_s)
            need.add(usage, slack_s, 0.0, 1.0, growth_s)
        return need


@dataclass(slots=True)
class Need:
    """What a stream needs, by resource. It ``ends_s`` from now at the earliest, if it is paced."""

    stream: Stream
    ends_s: float
    claims: dict[Resource, list[Claim]] = field(default_factory=dict)

    def add(
        self, usage: Usage, slack_s: float, units: float, per_s: float, all_units: float
    ) -> None:
        """``units`` of ``usage`` are due after ``slack_s``, then ``per_s`` a second, up to all."""
        if all_units <= 0:
            return
        units = min(units, all_units)
        is_heard = self.stream.dry_at_s is not None
        if is_heard:
            # What would be late if it were alone is not made so by others.
            alone_s = usage[0] + usage[1] + usage[2]
            slack_s = max(slack_s, 2 * units * alone_s)
        for resource, each_s in zip(Resource, usage, strict=True):
            if each_s:
                claim = Claim(slack_s, each_s * units, each_s * per_s, each_s * all_units, is_heard)
                self.claims.setdefault(resource, []).append(claim)

    def left_s(self, resource: Resource) -> float:
        """Of a resource, in all."""
        return sum(claim.left_s for claim in self.claims.get(resource, ()))

    def rate(self, resource: Resource) -> float:
        """Of a resource, for each second that it speaks, once its windows have grown."""
        return sum(claim.rate for claim in self.claims.get(resource, ()) if claim.quantum_s)

    def first_s(self, resource: Resource) -> float:
        """Of a resource, for what is due next."""
        return sum(claim.first_s for claim in self.claims.get(resource, ()))
