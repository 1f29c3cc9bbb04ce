"""What the figures of first sounds share: servers, how much to measure, where results go."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.load import Target
from bench.peers.piper_server import PiperServer
from bench.report import Report
from bench.servers import BenchServer
from voxswap.v1 import speech_pb2_grpc


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
    # Paced readers, as shares of the seconds of audio a second that each server makes unpaced.
    # Tried in turn, until one after the first that fails.
    levels: tuple[float, ...] = (0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 2.0)
    level_s: float = 20.0
    piper_levels: tuple[float, ...] = (0.1, 0.2, 0.4, 0.8)
    # The open loop: lines a second.
    voices: int = 50
    rates: tuple[float, ...] = (1, 2, 4, 6, 8, 10, 12, 15, 18)
    rate_s: float = 20.0
    # Overload: shares of what the machine can do, of which the best is the peer.
    overload_s: float = 120.0  # two hundred lines let in: fewer say nothing of one in a hundred
    overload_levels: tuple[float, ...] = (0.6, 0.8, 1.0)


USUAL = Sizes()
QUICK = Sizes(
    rounds=5,
    warm_lines=5,
    calibrate=False,
    cancels=5,
    piper_cancels=1,
    throughput_turns=1,
    throughput_s=5,
    levels=(0.2, 0.4),
    level_s=8,
    piper_levels=(0.1,),
    voices=10,
    rates=(1, 3),
    rate_s=6,
    overload_s=20,
    overload_levels=(0.8,),
)


# First sounds that come later than so many of an idle server count as late: those are what a player
# waits for anyway, and a few of them he does not notice.
_LATE = 5.0


@dataclass(frozen=True, slots=True)
class Stage:
    """What every figure needs: both servers, what to ask ours for, and where figures go.

    ``alone_ms`` is the time to first audio of an idle server, which others are measured by.
    """

    report: Report
    sizes: Sizes
    server: BenchServer
    stub: speech_pb2_grpc.SpeechServiceStub
    piper: PiperServer
    leave_out: list[str]
    voices: list[str]
    pictures: Path
    alone_ms: float
    raw: dict[str, Any] = field(default_factory=dict)

    @property
    def late_ms(self) -> float:
        """Times to first audio of as much or more are late."""
        return _LATE * self.alone_ms

    @property
    def ours(self) -> Target:
        """Our server, for the load generator."""
        return Target("grpc", self.server.address, self.leave_out)

    @property
    def theirs(self) -> Target:
        """Piper's."""
        return Target("piper", self.piper.address)
