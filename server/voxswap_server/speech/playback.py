"""When a stream's next audio is due: the clock of whoever listens to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from voxswap_server.speech.request import LineClass

# Within this a packet may be late without being heard: players have a little audio in hand.
_TOLERANCE_S = 0.005
# Whose audio ends sooner than that goes before a start that is late.
_LATE_START_S = 0.08


@dataclass(frozen=True, slots=True)
class Pacing:
    """Settings of pacing, in seconds.

    ``start_budget_s`` is how soon a line of each class should begin. A stream waits while more than
    ``most_ahead_s`` of its audio have been delivered and not played. A step of a stream without
    pacing is due ``patience_s`` after it was asked for: it takes what is left, and is not starved.
    """

    start_budget_s: Mapping[LineClass, float] = field(
        default_factory=lambda: MappingProxyType(
            {LineClass.BARK: 0.08, LineClass.DIALOGUE: 0.2, LineClass.CINEMATIC: 1.0}
        )
    )
    most_ahead_s: float = 4.0
    patience_s: float = 2.0


class PlaybackClock:
    """Audio that was delivered, less the time since its first chunk. Confined to one thread.

    ``clock`` is the one that steps are scheduled by. A listener whose audio ran dry goes on when
    more comes: the clock starts anew then, and the gap counts as one underrun.
    """

    def __init__(
        self,
        pacing: Pacing,
        line_class: LineClass,
        *,
        paced: bool,
        eager: bool = False,
        arrived_s: float,
        clock: Callable[[], float],
        weight: Callable[[], float] = lambda: 1.0,
    ) -> None:
        """An ``eager`` stream does not wait, however far it is ahead; its steps are due later then.

        ``weight`` is by how much longer a stream without pacing waits for its steps."""
        self._pacing = pacing
        self._paced = paced
        self._eager = eager
        self._clock = clock
        self._weight = weight
        self._budget_s = pacing.start_budget_s[line_class]
        self._begin_by_s = arrived_s + self._budget_s
        self._dry_at_s: float | None = None  # when what was delivered will have been played
        self.underruns = 0

    @property
    def dry_at_s(self) -> float | None:
        """When all that was delivered will have been played; None if nothing was, or is unpaced."""
        return self._dry_at_s if self._paced else None

    @property
    def is_silent(self) -> bool:
        """Whether nothing was delivered yet, or not since it began anew."""
        return self._dry_at_s is None

    def due_s(self) -> float:
        """When the next step's audio is needed."""
        if not self._paced:
            return self._clock() + self._pacing.patience_s * self._weight()
        if self._dry_at_s is not None:
            return self._dry_at_s
        now = self._clock()
        # Who is late anyway begins a little later, before somebody else hears a gap.
        return now + _LATE_START_S if now > self._begin_by_s else self._begin_by_s

    def wait_s(self) -> float:
        """How long the stream is so far ahead that it should wait; 0 if it is not."""
        if self._dry_at_s is None or not self._paced or self._eager:
            return 0.0
        return max(0.0, self._dry_at_s - self._clock() - self._pacing.most_ahead_s)

    def begin_anew(self) -> None:
        """There was nothing to say; now there is. If the listener has heard all, it begins anew."""
        now = self._clock()
        if self._dry_at_s is None or self._dry_at_s < now:
            self._begin_by_s, self._dry_at_s = now + self._budget_s, None

    def delivered(self, audio_s: float) -> None:
        """So much audio goes out now."""
        now = self._clock()
        if self._dry_at_s is None:
            self._dry_at_s = now
        elif now > self._dry_at_s:
            self.underruns += self._paced and now > self._dry_at_s + _TOLERANCE_S
            self._dry_at_s = now
        self._dry_at_s += audio_s
