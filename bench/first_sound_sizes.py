"""How much the bench of first sounds measures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """Repetitions, seconds and levels."""

    rounds: int = 40
    warm_lines: int = 40
    calibrate: bool = True
    cancels: int = 40
    piper_cancels: int = 3
    # Throughput: turns of ours and the peer's, and the seconds of each.
    throughput_turns: int = 3
    throughput_s: float = 12.0
    clients: int = 8
    # Paced readers: levels are tried in turn, until one after the first that fails.
    levels: tuple[int, ...] = (10, 20, 30, 40, 50, 60, 80, 100)
    level_s: float = 20.0
    piper_levels: tuple[int, ...] = (2, 5, 10, 20)
    # The open loop: lines a second.
    voices: int = 50
    rates: tuple[float, ...] = (1, 2, 4, 6, 8, 10, 12, 15, 18)
    rate_s: float = 20.0


USUAL = Sizes()
QUICK = Sizes(
    rounds=5,
    warm_lines=5,
    calibrate=False,
    cancels=5,
    piper_cancels=1,
    throughput_turns=1,
    throughput_s=5,
    levels=(3, 6),
    level_s=8,
    piper_levels=(2,),
    voices=10,
    rates=(1, 3),
    rate_s=6,
)
