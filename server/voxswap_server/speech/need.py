"""One stream in the books of admission: what happens to it, and what it will need. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voxswap_server.speech.chunking import Chunking
from voxswap_server.speech.costs import (
    NOTHING,
    KindCosts,
    Mean,
    Resource,
    Usage,
    plus,
    times,
)

# Loading takes less; who does not ask by then waits for something else.
_LOADING_S = 5.0
# Between two windows every reader stands for a moment, or as long as it has something to play.
_READER_S = 0.2
# Few sentences have more.
_SEGMENT_CHARACTERS = 120
# As long as windows grow; from then on it is the rate that counts.
_SOON_S = 2.0
_NO_AUDIO_S = 1e-3  # what rounding leaves of a segment


@dataclass(eq=False, slots=True)
class Stream:
    """One stream as the books know it. Its methods are what happens to it.

    It counts from when it is let in::

        awaited -> asking <-> standing -> gone
           |-> forgotten -> asking     it did not ask in time: it waits for memory, not for compute

    ``left`` spoken characters are still to be prepared; ``undecoded_s`` of audio are prepared.
    """

    kind: KindCosts
    encoding: Mean
    tenant: str
    paced: bool
    rate: float
    admitted_s: float
    begin_by_s: float
    left: float
    segment: float = 0.0  # the last one, in spoken characters
    undecoded_s: float = 0.0
    window_s: float = 0.0
    dry_at_s: float | None = None  # when all that was delivered will have been played
    has_asked: bool = False
    stands_since_s: float | None = None
    waits_for_words: bool = False

    def asks(self, characters_left: int, dry_at_s: float | None) -> None:
        """It goes on, with so much text before it.

        What it was given will have been played at ``dry_at_s``; None: nothing was given yet.
        """
        self.has_asked, self.waits_for_words = True, False
        self.stands_since_s = None
        self.left = characters_left / self.rate
        self.dry_at_s = dry_at_s

    def was_late(self, now_s: float) -> bool:
        """Whether a listener had nothing to play before what it was given now, and read on."""
        if self.dry_at_s is None or now_s <= self.dry_at_s:
            return False
        return self.stands_since_s is None or self.stands_since_s > self.dry_at_s

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

    def ahead_s(self, now_s: float) -> float:
        """Audio that its listener has, or may take."""
        ahead_s = 0.0 if self.dry_at_s is None else max(0.0, self.dry_at_s - now_s)
        is_there = self.stands_since_s is not None and not self.waits_for_words
        return ahead_s + self.window_s if is_there else ahead_s

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


@dataclass(frozen=True, slots=True)
class Need:
    """What a stream needs from one moment on.

    ``left`` in all; ``segment`` for the next one of its text; ``rate`` for each second from now
    until it has been heard. A long step before its first sound may take the time that it takes, and
    is not in that. ``due`` is what must be there soon, and when: in seconds from now, or
    from when it begins if it is not heard yet. The first of that is then what it needs to begin.
    """

    stream: Stream
    is_heard: bool
    ends_s: float
    left: Usage
    segment: Usage
    rate: Usage
    due: Sequence[tuple[float, Usage]]

    @property
    def first(self) -> Usage:
        """What is due first."""
        return self.due[0][1] if self.due else NOTHING


def need(stream: Stream, chunking: Chunking, now_s: float) -> Need:
    """What ``stream`` needs, at what is known now."""
    costs, encode = stream.kind.costs, stream.encoding.value
    rest_s = stream.undecoded_s + stream.left * costs.audio_s
    left = plus(times(costs.prepare, stream.left), times(plus(costs.decode, encode), rest_s))
    ahead_s = stream.ahead_s(now_s)
    ends_s = ahead_s + rest_s
    segment = times(costs.prepare, _segment(stream, stream.left))
    is_opening = stream.dry_at_s is None and stream.undecoded_s <= _NO_AUDIO_S
    opening = segment if is_opening and segment[Resource.LONG_STEPS] else NOTHING
    return Need(
        stream,
        stream.dry_at_s is not None,
        ends_s,
        left,
        segment,
        times(plus(left, times(opening, -1.0)), 1 / ends_s) if rest_s > _NO_AUDIO_S else NOTHING,
        _due(stream, chunking, ahead_s),
    )


def _segment(stream: Stream, left: float) -> float:
    """Spoken characters of the next one, of so many that are left."""
    return min(left, max(stream.segment, _SEGMENT_CHARACTERS / stream.rate))


def _due(stream: Stream, chunking: Chunking, ahead_s: float) -> list[tuple[float, Usage]]:
    """Its windows of the next seconds: each is needed when those before it have been played."""
    costs, encode = stream.kind.costs, stream.encoding.value
    undecoded_s, left, window_s = stream.undecoded_s, stream.left, stream.window_s
    due = []
    while ahead_s < _SOON_S and (undecoded_s > _NO_AUDIO_S or left > 0):
        usage = NOTHING
        if undecoded_s <= _NO_AUDIO_S:
            segment = _segment(stream, left)
            usage, left = times(costs.prepare, segment), left - segment
            undecoded_s = segment * costs.audio_s
        window_s = chunking.after_s(window_s)
        taken_s = undecoded_s if undecoded_s < 1.5 * window_s else window_s
        usage = plus(plus(usage, stream.kind.window(taken_s)), times(encode, taken_s))
        due.append((ahead_s, usage))
        undecoded_s -= taken_s
        ahead_s += taken_s
    return due
