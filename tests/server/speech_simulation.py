"""A machine that is not there: lanes, cores that all share, streams with listeners. No threads.

The line, the playback clock, the windows and the books of admission are the real ones; time is the
simulation's. What a step takes is known to the machine, and to the books only once it is over.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from voxswap_server.compute.meter import Meter
from voxswap_server.compute.step_queue import Entry, StepQueue
from voxswap_server.speech.books import Books, Limits, Refused, TooLate
from voxswap_server.speech.chunking import Chunking
from voxswap_server.speech.costs import CostBook, Costs, Machine, Resource, Usage
from voxswap_server.speech.need import Stream
from voxswap_server.speech.playback import Pacing, PlaybackClock
from voxswap_server.speech.request import LineClass

STEP_S = 0.006
FRAME_MS = 11.6
# Of the event loop, for each chunk: it is written, and nobody tells the books.
WRITE_S = 0.001
PATIENCE_S = 1.0


@dataclass(frozen=True)
class Kind:
    """What a voice really takes of a core (or of the machine, if its steps are long)."""

    name: str
    prepare_s: float  # for each spoken character
    decode_s: float  # for each second of audio
    audio_s: float = 0.065
    is_long: bool = False

    @property
    def rtf(self) -> float:
        return self.prepare_s / self.audio_s + self.decode_s


@dataclass(frozen=True)
class Offer:
    """A line that somebody asks for."""

    at_s: float
    kind: Kind
    sentences: tuple[int, ...]  # characters
    rate: float = 1.0
    paced: bool = True
    tenant: str = ""
    start_by_s: float | None = None
    line_class: LineClass = LineClass.DIALOGUE
    reads_for_s: float | None = None  # then it reads no more, and hangs up much later
    encode_s: float = 0.0

    @property
    def audio_s(self) -> float:
        return sum(self.sentences) * self.kind.audio_s / self.rate


@dataclass(eq=False)
class Heard:
    """What became of an offer."""

    offer: Offer
    decision: Stream | Refused | TooLate | None = None
    audio_s: float = 0.0
    underruns: int = 0
    first_s: float | None = None
    is_done: bool = False

    @property
    def is_in(self) -> bool:
        return isinstance(self.decision, Stream)


class _Steps:
    """A work: the seconds that each of its steps takes alone."""

    key = None

    def __init__(self, steps: Sequence[float]) -> None:
        self.steps = list(steps)

    @property
    def is_done(self) -> bool:
        return not self.steps


@dataclass(eq=False)
class _Running:
    entry: Entry
    resource: Resource
    width: float
    alone_s: float
    began_s: float


@dataclass(frozen=True)
class _Compute:
    resource: Resource
    steps: Sequence[float]
    due_s: Callable[[], float]


_Process = Generator["_Compute | float", Usage, None]


@dataclass
class Simulation:
    """Runs offers against books, or against ``gate`` in their place.

    No further once more than ``most_gaps`` streams have had a gap.
    """

    threads: int = 2
    cores: float = 2.0
    long_width: float = 2.0
    limits: Limits = field(default_factory=Limits)
    prior: Callable[[Kind], Costs] | None = None
    gate: Callable[[Simulation, Offer], bool] | None = None
    seed: int = 0
    noise: float = 0.2
    most_gaps: float = math.inf
    pacing: Pacing = field(default_factory=Pacing)

    def __post_init__(self) -> None:
        self.now = 0.0
        self.chance = random.Random(self.seed)
        self.chunking = Chunking()
        self.meters = {resource: Meter() for resource in (Resource.STEPS, Resource.LONG_STEPS)}
        machine = Machine(self.threads, self.cores)
        self.books = Books(machine, self.limits, self.chunking, self.pacing, self._speeds)
        self.costs = CostBook()
        self.at_the_door: dict[Stream, Heard] = {}
        self.free = {Resource.STEPS: self.threads, Resource.LONG_STEPS: 1, Resource.LOOP: 1}
        self.lines = {resource: StepQueue(1) for resource in self.free}
        # Of a step that always ran, so much is done; each is in order of how much that will be.
        self.done_s = 0.0
        self.running: list[tuple[float, int, _Running]] = []
        self.width = 0.0  # of all that run
        self.timers: list[tuple[float, int, Callable[[], None]]] = []
        self.numbers = itertools.count()
        self.heard: list[Heard] = []
        self.active: list[Heard] = []
        self.gaps = 0

    # Time

    def at(self, t_s: float, call: Callable[[], None]) -> None:
        heapq.heappush(self.timers, (t_s, next(self.numbers), call))

    def run(self, offers: Sequence[Offer], until_s: float) -> list[Heard]:
        for offer in offers:
            self.at(offer.at_s, lambda offer=offer: self._come(offer))  # type: ignore[misc]
        while self.gaps <= self.most_gaps:
            # The system shares the cores fairly: all steps go equally fast.
            speed = min(1.0, self.cores / self.width) if self.width else 1.0
            ends_s = (self.running[0][0] - self.done_s) / speed if self.running else math.inf
            timer_s = self.timers[0][0] if self.timers else math.inf
            now = min(self.now + max(0.0, ends_s), timer_s)
            if now > until_s:
                break
            self.done_s += (now - self.now) * speed
            self.now = now
            if timer_s <= now:
                heapq.heappop(self.timers)[2]()
            while self.running and self.running[0][0] <= self.done_s + 1e-12:
                self._step_ended(heapq.heappop(self.running)[2])
            self._call()
        return self.heard

    # Lanes

    def _call(self) -> None:
        for resource, line in self.lines.items():
            while self.free[resource] and (turn := line.next()):
                (entry,) = turn
                work: Any = entry.work
                noise = self.chance.uniform(1 - self.noise, 1 + self.noise)
                alone_s = work.steps.pop() * noise
                width = self.long_width if resource is Resource.LONG_STEPS else 1.0
                step = _Running(entry, resource, width, alone_s, self.now)
                heapq.heappush(self.running, (self.done_s + alone_s, next(self.numbers), step))
                self.width += width
                self.free[resource] -= 1

    def _step_ended(self, step: _Running) -> None:
        resource, alone_s = step.resource, step.alone_s
        self.width -= step.width
        self.free[resource] += 1
        took_s = self.now - step.began_s
        if (meter := self.meters.get(resource)) is not None:
            meter.add(took_s, alone_s, self.now)
        future: Any = step.entry.future
        future.usage[resource] += alone_s
        future.usage[Resource.CORES] += alone_s * step.width
        for entry in self.lines[resource].put_back([step.entry], took_s):
            entry.future.set_result(None)

    def _go_on(self, process: _Process, usage: Usage | None) -> None:
        try:
            asked = next(process) if usage is None else process.send(usage)
        except StopIteration:
            return
        if isinstance(asked, float):
            self.at(self.now + asked, lambda: self._go_on(process, (0.0, 0.0, 0.0, 0.0)))
            return
        future: Any = Future()  # that knows, beside what it came to, what it took
        future.usage = [0.0] * len(Resource)

        def ended(_: object) -> None:
            self.at(self.now, lambda: self._go_on(process, tuple(future.usage)))

        future.add_done_callback(ended)
        works: Any = _Steps(asked.steps)
        line = self.lines[asked.resource]
        line.add(works, future, due_s=asked.due_s(), asked_s=self.now)

    # Streams

    def _come(self, offer: Offer) -> None:
        heard = Heard(offer)
        self.heard.append(heard)
        characters = sum(offer.sentences)
        stream = Stream(
            kind=self.costs.of(offer.kind.name, lambda: self.expected(offer.kind)),
            encoding=self.costs.encoding(offer.encode_s),
            tenant=offer.tenant,
            paced=offer.paced,
            rate=offer.rate,
            admitted_s=self.now,
            begin_by_s=self.now + self.pacing.start_budget_s[offer.line_class],
            left=characters / offer.rate,
        )
        if self.gate is not None:
            if self.gate(self, offer):
                self._enter(heard, stream)
            else:
                heard.decision = Refused("", 1.0)
            return
        start_by_s = None if offer.start_by_s is None else self.now + offer.start_by_s
        self.at_the_door[stream] = heard
        self.books.wait(stream, start_by_s=start_by_s)
        self._look()
        if stream in self.at_the_door:
            self.at(self.now + PATIENCE_S, lambda: self._give_up(stream))

    def _look(self) -> None:
        for stream, late in self.books.look(self.now):
            heard = self.at_the_door.pop(stream)
            if late is None:
                self._enter(heard, stream)
            else:
                heard.decision = late

    def _give_up(self, stream: Stream) -> None:
        self._look()
        if (heard := self.at_the_door.pop(stream, None)) is not None:
            heard.decision = self.books.give_up(stream)

    def _enter(self, heard: Heard, stream: Stream) -> None:
        heard.decision = stream
        self._go_on(self._speak(heard, stream), None)

    def _speeds(self) -> tuple[float, float]:
        short, long = self.meters.values()
        return short.speed(self.now), long.speed(self.now)

    def expected(self, kind: Kind) -> Costs:
        """What the books believe of a kind before they have heard it."""
        if self.prior is not None:
            return self.prior(kind)
        return true_costs(kind, self.long_width)

    def _speak(self, heard: Heard, stream: Stream) -> _Process:
        offer, kind = heard.offer, heard.offer.kind
        playback = PlaybackClock(
            self.pacing,
            offer.line_class,
            paced=offer.paced,
            arrived_s=heard.offer.at_s,
            clock=lambda: self.now,
            weight=lambda: self.books.weight(stream, self.now),
        )
        self.active.append(heard)
        came_s, left, size = offer.at_s, sum(offer.sentences), 0
        self.books.asks(stream, left, None, self.now)
        lane = Resource.LONG_STEPS if kind.is_long else Resource.STEPS
        for characters in offer.sentences:
            if (wait_s := playback.wait_s()) > 0:
                yield wait_s
            spoken = characters / offer.rate
            takes_s = spoken * kind.prepare_s
            steps = [takes_s] if kind.is_long else _steps(takes_s)
            usage = yield _Compute(lane, steps, playback.due_s)
            audio_s, left = spoken * kind.audio_s, left - characters
            stream.prepared(characters, audio_s, usage)
            frames = max(1, round(audio_s * 1e3 / FRAME_MS))
            for first, last in self.chunking.windows(frames, FRAME_MS, size):
                size = last - first
                if first and (wait_s := playback.wait_s()) > 0:
                    yield wait_s
                window_s = audio_s * size / frames
                usage = yield _Compute(
                    Resource.STEPS, _steps(window_s * kind.decode_s), playback.due_s
                )
                stream.decoded(window_s, usage)
                if offer.encode_s:
                    usage = yield _Compute(
                        Resource.LOOP, [window_s * offer.encode_s], playback.due_s
                    )
                    stream.encoding.learn(usage, window_s)
                yield _Compute(Resource.LOOP, [WRITE_S], playback.due_s)
                if offer.reads_for_s is not None and heard.audio_s > offer.reads_for_s:
                    stream.stands(self.now)
                    self._look()
                    yield 1_000.0
                heard.audio_s += window_s
                if heard.first_s is None:
                    heard.first_s = self.now - came_s
                playback.delivered(window_s)
                if playback.underruns and not heard.underruns:
                    self.gaps += 1
                heard.underruns = playback.underruns
                self.books.asks(stream, left, playback.dry_at_s, self.now)
                self._look()
        heard.is_done = True
        self.active.remove(heard)
        self.books.leave(stream)
        self._look()


def _steps(takes_s: float) -> list[float]:
    n = max(1, round(takes_s / STEP_S))
    return [takes_s / n] * n


def true_costs(kind: Kind, long_width: float) -> Costs:
    """What the books would know of it after a while."""
    prepare: Usage = (kind.prepare_s, 0.0, 0.0, kind.prepare_s)
    if kind.is_long:
        prepare = (0.0, kind.prepare_s, 0.0, long_width * kind.prepare_s)
    return Costs(prepare, (kind.decode_s, 0.0, 0.0, kind.decode_s), kind.audio_s)
