"""A listener who plays each chunk in real time, and notices when there is none to play."""

from __future__ import annotations

from collections.abc import Callable


class Playback:
    """Starts with the first chunk. ``clock`` gives seconds; not thread-safe.

    A chunk that comes after all before it has been played is an underrun: the listener hears a gap
    of ``worst_gap_s`` at most, and goes on from there. There is no tolerance: a player that has a
    buffer of its own would forgive more.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._dry_at_s: float | None = None
        self.first_at_s: float | None = None
        self.audio_s = 0.0
        self.underruns = 0
        self.worst_gap_s = 0.0

    def heard(self, audio_s: float) -> None:
        """A chunk of so much audio is there."""
        now = self._clock()
        if self._dry_at_s is None:
            self.first_at_s = self._dry_at_s = now
        elif now > self._dry_at_s:
            self.underruns += 1
            self.worst_gap_s = max(self.worst_gap_s, now - self._dry_at_s)
            self._dry_at_s = now
        self._dry_at_s += audio_s
        self.audio_s += audio_s

    @property
    def left_s(self) -> float:
        """Audio that came and was not played yet."""
        return 0.0 if self._dry_at_s is None else max(0.0, self._dry_at_s - self._clock())
