"""First sounds under load: throughput, paced readers, and a game's arrivals."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from bench import plots
from bench.first_sound_stage import Stage
from bench.lines import speeches
from bench.load import Clients, Open, Outcome, Row, Target, offer
from bench.schedule import game_mix, quantile

_WARM_S = 2.0  # of a closed loop, not counted: every client is in its first line
_REFUSALS = ("RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED")


def throughput(stage: Stage) -> None:
    """Eight clients who do not listen, each with texts that nobody had before. In turns."""
    ours, piper = _throughputs(stage)
    add = stage.report.add
    add(f"throughput, {stage.sizes.clients} clients", ours, "audio s/s", peer=piper)
    add("throughput / piper HTTP's", ours / piper, "times", 2, sense="at_least")


def _throughputs(stage: Stage) -> tuple[float, float]:
    """Seconds of audio a second, of ours and of Piper's. Measured once."""
    if "throughput" not in stage.raw:
        sizes = stage.sizes
        per_s: dict[str, list[float]] = {"grpc": [], "piper": []}
        shares: dict[str, list[float]] = {"grpc": [], "piper": []}
        for turn in range(sizes.throughput_turns):
            texts = speeches(100 + turn)
            for target in (stage.ours, stage.theirs):
                load = Clients(sizes.clients, sizes.throughput_s, texts, paced=False)
                outcome = offer(target, load)
                _must_speak(outcome)
                per_s[target.kind].append(audio_per_s(outcome))
                shares[target.kind].append(outcome.generator_cores)
        stage.raw["throughput"] = {"audio_s_per_s": per_s, "generator_cores": shares}
    found = stage.raw["throughput"]["audio_s_per_s"]
    ours, piper = statistics.median(found["grpc"]), statistics.median(found["piper"])
    assert min(ours, piper) > 0, (
        f"no line ended within {stage.sizes.throughput_s} s: a busy machine"
    )
    return ours, piper


def audio_per_s(outcome: Outcome) -> float:
    """Audio of the lines that ended while it was measured: a line counts when its end comes."""
    done = (row.audio_s for row in outcome.rows if row.ended_s and row.ended_s > _WARM_S)
    return sum(done) / (outcome.duration_s - _WARM_S)


@dataclass(frozen=True, slots=True)
class Level:
    """What so many paced readers met."""

    readers: int
    lines: int
    p50_ms: float
    p95_ms: float
    underruns: int
    worst_gap_ms: float
    failed: int
    generator_cores: float
    late_ms: float

    @property
    def holds(self) -> bool:
        """Nobody waited for long and nobody heard a gap."""
        return not self.underruns and not self.failed and self.p95_ms < self.late_ms


def paced(stage: Stage) -> None:
    """More and more readers who listen in real time, line after line, until it no longer holds."""
    per_s, piper_per_s = _throughputs(stage)
    level_s, late_ms = stage.sizes.level_s, stage.late_ms
    ours = paced_levels(
        stage.ours, [share * per_s for share in stage.sizes.levels], level_s, late_ms
    )
    piper = paced_levels(
        stage.theirs, [share * piper_per_s for share in stage.sizes.piper_levels], level_s, late_ms
    )
    stage.raw["paced"] = {
        "ours": [asdict(level) for level in ours],
        "piper": [asdict(level) for level in piper],
    }
    held = [level for level in ours if level.holds]
    best = max((level.readers for level in held), default=0)
    piper_best = max((level.readers for level in piper if level.holds), default=0)
    add = stage.report.add
    peer = piper_best or None
    late = f"p95 < {stage.late_ms:.0f} ms"
    add(f"paced readers, no underrun, {late}; peer: piper", best, "", peer=peer)
    # A reader hears a second of audio a second, so this is the share of the machine that is of use.
    add("paced readers / audio s/s without pacing", best / per_s, "times", 0.5, sense="at_least")
    if held:
        add("  their TTFA, p95", held[-1].p95_ms, "ms")
        add("  the load generator's own share", held[-1].generator_cores, "cores")
    for level in ours:
        add(f"  underruns of {level.readers}", level.underruns, f"in {level.lines} lines")
    plots.capacity(ours, piper, stage.late_ms, stage.pictures / "first-sound-readers.svg")


def paced_levels(
    target: Target,
    readers: Sequence[float],
    level_s: float,
    late_ms: float,
    *,
    voice: str = "joe",
) -> list[Level]:
    """Of so many ``readers``, ``level_s`` each: one more than hold, so that the end can be seen."""
    levels = list[Level]()
    for n in sorted({max(1, round(share)) for share in readers}):
        stagger_s = min(5, level_s / 2)
        load = Clients(n, level_s, speeches(200 + n), paced=True, stagger_s=stagger_s, voice=voice)
        outcome = offer(target, load)
        rows = outcome.rows
        ttfa_ms = _waits_ms(rows, late_ms)
        level = Level(
            n,
            len(rows),
            quantile(ttfa_ms, 0.5),
            quantile(ttfa_ms, 0.95),
            sum(row.underruns for row in rows),
            max((row.worst_gap_ms for row in rows), default=0.0),
            sum(row.status not in {"OK", "CUT"} for row in rows),
            outcome.generator_cores,
            late_ms,
        )
        print(
            f"    {target.kind}, {n} readers: p95 {level.p95_ms:.0f} ms, {level.underruns} "
            f"underruns in {level.lines} lines, generator {level.generator_cores:.2f} cores",
            flush=True,
        )
        levels.append(level)
        if sum(not level.holds for level in levels) > 1:
            break
    return levels


@dataclass(frozen=True, slots=True)
class Offered:
    """What a game's lines met at one rate. Times are of lines that were spoken."""

    lines_per_s: float
    audio_s_per_s: float
    lines: int
    dialogues: int
    ttfa_ms: dict[str, dict[str, float]]  # of each class, and of all: p50, p95, p99
    refused: int
    failed: int
    underrun_lines: int
    underruns: int
    statuses: dict[str, int]
    generator_cores: float
    worst_lag_ms: float


def open_loop(stage: Stage) -> None:
    """Poisson arrivals of barks and dialogue at rising rates, voices as Zipf says."""
    sizes = stage.sizes
    offered = []
    for step, rate in enumerate(sizes.rates):
        lines = game_mix(rate, sizes.rate_s, stage.voices, seed=300 + step)
        outcome = offer(stage.ours, Open(lines))
        offered.append(_offered(rate, sizes.rate_s, outcome, stage.late_ms))
        print(f"    {rate} lines/s: {offered[-1].statuses}, {_shown(offered[-1])}", flush=True)
    stage.raw["open-loop"] = [asdict(one) for one in offered]
    add = stage.report.add
    calm = [
        one
        for one in offered
        if not (one.refused or one.failed or one.underruns)
        and one.ttfa_ms["all"]["p95"] < stage.late_ms
    ]
    if calm:
        best = calm[-1]
        add("open loop: lines a second, nothing refused, no underrun", best.lines_per_s, "per s")
        add("  audio offered", best.audio_s_per_s, "audio s/s")
        for name in ("bark", "dialogue"):
            add(f"  TTFA of a {name}, p95", best.ttfa_ms[name]["p95"], "ms")
    most = offered[-1]
    add(f"open loop at {most.lines_per_s:g} lines a second: refused", most.refused, "")
    add("  dialogues with an underrun", most.underrun_lines, f"of {most.dialogues}")
    plots.load(offered, stage.late_ms, stage.pictures / "first-sound-load.svg")


def _offered(rate: float, duration_s: float, outcome: Outcome, late_ms: float) -> Offered:
    rows = outcome.rows
    statuses = Counter(row.status for row in rows)
    refused = sum(statuses[status] for status in _REFUSALS)
    return Offered(
        rate,
        sum(_lasts_s(rows, row.line_class) for row in rows) / duration_s,
        len(rows),
        sum(row.line_class == "dialogue" for row in rows),
        {
            name: _percentiles([row for row in rows if name in ("all", row.line_class)], late_ms)
            for name in ("all", "bark", "dialogue")
        },
        refused,
        len(rows) - refused - statuses["OK"] - statuses["CUT"],
        sum(row.underruns > 0 for row in rows if row.line_class == "dialogue"),
        sum(row.underruns for row in rows),
        dict(statuses),
        outcome.generator_cores,
        outcome.worst_lag_ms,
    )


def _lasts_s(rows: Sequence[Row], line_class: str) -> float:
    """A line of that class, on average."""
    spoken = [r.audio_s for r in rows if r.status == "OK" and r.line_class == line_class]
    return statistics.mean(spoken) if spoken else 0.0


def _waits_ms(rows: Sequence[Row], late_ms: float) -> list[float]:
    """Times to first audio. Lines that were cut off before it count with their wait if it was long:
    without those, the slowest would be missing.
    """
    heard = [row.ttfa_ms for row in rows if row.ttfa_ms is not None]
    return heard + [row.waited_ms for row in rows if row.waited_ms > late_ms]


def _percentiles(rows: Sequence[Row], late_ms: float) -> dict[str, float]:
    ttfa_ms = _waits_ms(rows, late_ms)
    return {f"p{share}": quantile(ttfa_ms, share / 100) for share in (50, 95, 99)}


def _shown(offered: Offered) -> str:
    of_all = offered.ttfa_ms["all"]
    return ", ".join(f"{name} {of_all[name]:.0f} ms" for name in of_all)


def _must_speak(outcome: Outcome) -> None:
    """A throughput of failures is none."""
    bad = {row.status for row in outcome.rows} - {"OK", "CUT"}
    assert not bad, f"lines ended with {bad}"
