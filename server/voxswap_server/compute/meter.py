"""How busy threads are, and how much of a processor they have."""

from __future__ import annotations

from collections import deque


class Meter:
    """What threads did over the last seconds. Pure: times come in. Not thread-safe."""

    WINDOW_S = 4.0
    # Counts as computed at full speed: a single short step tells little.
    _PRIOR_S = 0.1

    def __init__(self) -> None:
        self._steps: deque[tuple[float, float, float]] = deque()  # ended, took, of a processor
        self._took_s = self._cpu_s = 0.0

    def add(self, took_s: float, cpu_s: float, ended_s: float) -> None:
        """A step took so long by the clock, and ``cpu_s`` of a processor."""
        cpu_s = min(cpu_s, took_s)
        self._steps.append((ended_s, took_s, cpu_s))
        self._took_s += took_s
        self._cpu_s += cpu_s
        self._forget(ended_s)

    def busy(self, now_s: float) -> float:
        """How many threads took steps, on average."""
        self._forget(now_s)
        return self._took_s / self.WINDOW_S

    def speed(self, now_s: float) -> float:
        """The share of its steps for which a thread had a processor; 1 after a rest."""
        self._forget(now_s)
        return (self._cpu_s + self._PRIOR_S) / (self._took_s + self._PRIOR_S)

    def _forget(self, now_s: float) -> None:
        while self._steps and self._steps[0][0] <= now_s - self.WINDOW_S:
            _, took_s, cpu_s = self._steps.popleft()
            self._took_s -= took_s
            self._cpu_s -= cpu_s
        if not self._steps:
            self._took_s = self._cpu_s = 0.0  # what rounding left
