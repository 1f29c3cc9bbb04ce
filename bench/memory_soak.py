"""``scripts/soak --memory``: a million random events on the heart of memory, and traces of waiting.

The heart (`voxswap_server.memory`) has no clock and no thread, so a million events take minutes.
After each of them a judge (`tests/server/memory_simulation.py`) proves that the books balance, that
nobody lost what he has, and that nobody waits for what he need not.
"""

from __future__ import annotations

import functools
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from bench.report import Report
from tests.server.memory_simulation import BUDGETS, LIMITS, MemorySimulation
from voxswap_server.memory.actions import Cancelled, Load, Loaded, Outcome, Why
from voxswap_server.memory.memory import Memory
from voxswap_server.memory.plans import Asker, Lane, PartPlan, Plan

STEPS, TRACES = 1_000_000, 100
_REST_EVERY, _END_EVERY = 400, 2_000
_SAY_EVERY_S = 10.0
_FORECAST_IDLE, _FORECAST_CAST = (300, 3_000), 256


def soak(report: Report, scale: float, seed: int, seconds: float | None) -> None:
    """Everything, ``scale`` times as much as usual, or for so many seconds at the most."""
    ends_s = None if seconds is None else time.monotonic() + seconds
    trace_all(report, max(1, round(TRACES * scale)), seed)
    forecast(report)
    step_all(report, max(1, round(STEPS * scale)), seed, ends_s)


def step_all(report: Report, steps: int, seed: int, ends_s: float | None) -> None:
    """Random events; an `AssertionError` of the judge ends it."""
    rng = random.Random(seed)
    simulation, done, walks = MemorySimulation(), 0, 0
    events: Counter[str] = Counter()
    began = said = time.monotonic()
    while done < steps and (ends_s is None or time.monotonic() < ends_s):
        simulation.random_step(rng)
        done += 1
        if done % _REST_EVERY == 0:
            simulation.come_to_rest()
        if done % _END_EVERY == 0:
            simulation.end()
            events.update(news.news.value for news in simulation.news)
            events.update(f"refused: {refused.why.value}" for refused in simulation.refused)
            walks += simulation.memory.walks
            simulation = MemorySimulation(rng.choice(BUDGETS))
        if time.monotonic() - said > _SAY_EVERY_S:
            said = time.monotonic()
            print(f"  {done:,} of {steps:,} events, {done / (said - began):,.0f}/s", flush=True)
    simulation.end()
    report.add("events judged, all sound", done, "events")
    report.add("an event with its judgement", (time.monotonic() - began) / max(1, done) * 1e6, "us")
    for what, n in sorted(events.items()):
        report.add(what, n, "times")
    report.add("walks of the line", walks / max(1, done), "per event")


def trace_all(report: Report, traces: int, seed: int) -> None:
    """Players come and go at random, with small voices, and with some that seldom fit.

    A request that fits into what is free and idle, and waits while one waits that does not, counts;
    so does a request that waits longer than the server lets wait.
    """
    waits: list[float] = []
    behind = granted = busy = 0
    said = time.monotonic()
    for trace in range(traces):
        if time.monotonic() - said > _SAY_EVERY_S:
            said = time.monotonic()
            print(f"  trace {trace} of {traces}", flush=True)
        one = Trace(random.Random(seed * 1_000_003 + trace))
        one.run()
        behind += one.behind
        waits += one.waits
        granted += len(one.waits)
        busy += sum(refused.why is Why.BUSY for refused in one.simulation.refused)
    waits.sort()
    add = report.add
    add("traces: requests granted", granted, "requests")
    add("traces: fits into free and idle, waits for one that does not", behind, "requests", 0)
    add("traces: refused, MEMORY_BUSY", busy, "requests")
    add("traces: wait for memory and load, median", waits[len(waits) // 2], "s")
    add("traces: wait for memory and load, 99 %", waits[len(waits) * 99 // 100], "s")


class Trace:
    """One of them: voices of a few sizes, exponential times, a budget for a few."""

    def __init__(self, rng: random.Random, *, events: int = 400) -> None:
        self.rng = rng
        self.events = events
        # No turn of its own for anybody: then nothing that fits may wait at any instant.
        limits = replace(LIMITS, load_slots=4, exclusive_s=0.0)
        self.simulation = MemorySimulation(100, limits, {})
        self.asked: dict[int, float] = {}
        self.waits: list[float] = []
        self.behind = 0
        self.plans = [self._voice(i) for i in range(14)]

    def _voice(self, i: int) -> Plan:
        size = self.rng.choice((5, 10, 10, 20, 60))
        return Plan(f"v{i}", (PartPlan(f"v{i}", size),), (Lane("vits", 6),))

    def run(self) -> None:
        """All of its events."""
        simulation, rng = self.simulation, self.rng
        ends: dict[int, float] = {}
        for _ in range(self.events):
            simulation.pass_time(rng.expovariate(4.0))
            draw = rng.random()
            if draw < 0.45:
                token = simulation.ask(rng.choice(self.plans))
                self.asked[token] = simulation.now
            elif draw < 0.7 and simulation.threads:
                number = rng.choice(tuple(simulation.threads))
                simulation.finish(number, self._loaded(number))
            elif simulation.freeing:
                simulation.free(rng.choice(tuple(simulation.freeing)))
            for token in [t for t in self.asked if t in simulation.leases and t not in ends]:
                self.waits.append(simulation.now - self.asked[token])
                ends[token] = simulation.now + rng.expovariate(0.5)
            for token in [t for t, end in ends.items() if end <= simulation.now]:
                del ends[token]
                del self.asked[token]
                simulation.release(token)
            self._look()

    def _loaded(self, number: int) -> Outcome:
        thread = self.simulation.threads[number]
        sizes = {part.key: part.size_bytes for plan in self.plans for part in plan.parts}
        return Cancelled() if thread.cancelled else Loaded(sizes[thread.key])

    def _look(self) -> None:
        """Who waits in line though he fits: the judge would have raised, and this counts."""
        simulation = self.simulation
        parts = tuple(simulation.memory.holdings)
        line = [c for c in simulation.memory.claims.values() if not c.parts and not c.unfetched]
        fits = [claim for claim in line if simulation.fits(claim, parts, 0)]
        self.behind += len(fits) if len(fits) < len(line) else 0


def forecast(report: Report) -> None:
    """A cast over what is idle, and over a tenth of that: a ratio, since machines differ."""
    took = []
    for idle in _FORECAST_IDLE:
        memory = idle_memory(idle)
        cast = [Plan(f"n{i}", (PartPlan(f"n{i}", 1),)) for i in range(_FORECAST_CAST)]
        took.append(min(_timed(functools.partial(memory.forecast, cast, 1e6)) for _ in range(5)))
    report.add("forecast: a cast of 256 over 3,000 idle parts", took[1] * 1e3, "ms")
    report.add("forecast: of the time over 300", took[1] / took[0], "times", 2.0)


def idle_memory(parts: int) -> Memory:
    """A full memory, all of it idle."""
    memory = Memory(parts)
    for i in range(parts):
        plan = Plan(f"p{i}", (PartPlan(f"p{i}", 1),))
        for action in memory.ask(plan, Asker(i, "p@1"), float(i)):
            if isinstance(action, Load):
                memory.loaded(action.number, Loaded(1), float(i))
        memory.release(i, float(i))
    return memory


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
