"""The load generator, a process of its own: its interpreter lock is not the server's.

``python -m bench.load`` reads a plan and writes what each line met, as JSON; `offer` runs it. It
shares the machine with what it measures, so it decodes no audio: a chunk says how many samples it
has. What it takes of the processor is part of the answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import itertools
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import grpc
import grpc.aio

from bench.playback import Playback
from bench.requests import CHANNEL_OPTIONS, speech_request
from bench.schedule import OfferedLine
from voxswap.v1 import speech_pb2_grpc

_ROOT = Path(__file__).parents[1]
_CONNECTIONS = 8  # of the open loop: as many game servers
_DRAIN_S = 15.0


@dataclass(frozen=True, slots=True)
class Target:
    """Who is asked: our server over gRPC, or Piper's over HTTP. ``address`` is ``host:port``."""

    kind: Literal["grpc", "piper"]
    address: str
    leave_out: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Clients:
    """A closed loop: each client speaks a line, waits until it is over, and speaks the next.

    Paced clients listen: a line is over when it has been played. They begin one after another
    within ``stagger_s``.
    """

    n: int
    duration_s: float
    texts: Sequence[str]
    paced: bool
    stagger_s: float = 0.0
    voice: str = "joe"


@dataclass(frozen=True, slots=True)
class Open:
    """An open loop: lines come when they come. Times to first audio are from then.

    Of a voice that has a limit so many are spoken at once; further ones are left out.
    """

    lines: Sequence[OfferedLine]
    limits: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Row:
    """What one line met. Times are from the beginning of the load."""

    line_class: str
    at_s: float
    ttfa_ms: float | None = None
    waited_ms: float = 0.0  # for a first sound that had not come when the line was cut off
    ended_s: float | None = None  # when its last byte was there, if it came
    audio_s: float = 0.0
    underruns: int = 0
    worst_gap_ms: float = 0.0
    status: str = "CUT"  # off at the end of the load, unless it ends before


@dataclass(frozen=True, slots=True)
class Outcome:
    """All lines, in order of their ends, and what the generator took: cores on average.

    ``worst_lag_ms`` is how late it began a line of the open loop at worst; that counts as waiting.
    """

    rows: list[Row]
    duration_s: float
    generator_cores: float
    worst_lag_ms: float


def offer(target: Target, load: Clients | Open) -> Outcome:
    """Offer it from another process and wait until it is over."""
    plan = {"target": asdict(target), "load": asdict(load)}
    command = [sys.executable, "-m", "bench.load"]
    answer = subprocess.run(
        command,
        input=json.dumps(plan),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=_ROOT,
    )
    raw = json.loads(answer.stdout)
    return Outcome(**(raw | {"rows": [Row(**row) for row in raw["rows"]]}))


# Speaks one line from the client of that number, to a listener; raises what the call does.
Speak = Callable[[int, OfferedLine, Playback], Awaitable[None]]


class _Generator:
    """One load. Confined to one event loop."""

    def __init__(self, speak: Speak) -> None:
        self._speak = speak
        self._began = time.perf_counter()
        self._worst_lag_s = 0.0
        self._under_way: Counter[str] = Counter()
        self.rows: list[Row] = []

    def _now(self) -> float:
        return time.perf_counter() - self._began

    async def run(self, tasks: Sequence[asyncio.Task[None]], until_s: float) -> Outcome:
        """Let them go on until then, and cut off what is left."""
        cpu_s = time.process_time()
        done, pending = await asyncio.wait(tasks, timeout=max(0.0, until_s - self._now()))
        took_s = self._now()
        cpu_s = time.process_time() - cpu_s
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        for task in done:
            task.result()
        return Outcome(self.rows, took_s, cpu_s / took_s, self._worst_lag_s * 1e3)

    async def line(self, client: int, line: OfferedLine, playback: Playback) -> None:
        """Speak it, and write down what it met."""
        row = Row(line.line_class, line.at_s)
        try:
            await self._speak(client, line, playback)
            row.status, row.ended_s = "OK", self._now()
        except grpc.RpcError as error:
            row.status = error.code().name
        except (OSError, http.client.HTTPException) as error:
            row.status = type(error).__name__
        finally:
            if playback.first_at_s is not None:
                row.ttfa_ms = (playback.first_at_s - self._began - line.at_s) * 1e3
            elif row.status == "CUT":
                row.waited_ms = (self._now() - line.at_s) * 1e3
            row.audio_s, row.underruns = playback.audio_s, playback.underruns
            row.worst_gap_ms = playback.worst_gap_s * 1e3
            self.rows.append(row)

    async def arrival(self, number: int, line: OfferedLine, limits: Mapping[str, int]) -> None:
        """A line of the open loop."""
        await asyncio.sleep(line.at_s - self._now())
        self._worst_lag_s = max(self._worst_lag_s, self._now() - line.at_s)
        limit = limits.get(line.voice)
        if limit is not None and self._under_way[line.voice] >= limit:
            self.rows.append(Row(line.line_class, line.at_s, status="LEFT_OUT"))
            return
        self._under_way[line.voice] += 1
        try:
            await self.line(number % _CONNECTIONS, line, Playback(time.perf_counter))
        finally:
            self._under_way[line.voice] -= 1

    async def client(self, number: int, load: Clients, texts: itertools.cycle[str]) -> None:
        """A client of the closed loop, until it is cancelled."""
        await asyncio.sleep(load.stagger_s * number / load.n)
        while True:
            playback = Playback(time.perf_counter)
            line = OfferedLine(self._now(), load.voice, next(texts), "dialogue")
            await self.line(number, line, playback)
            if load.paced:
                await asyncio.sleep(playback.left_s)


@contextlib.asynccontextmanager
async def _grpc_speaker(target: Target, connections: int, *, paced: bool) -> AsyncIterator[Speak]:
    seeds = itertools.count(1)
    async with contextlib.AsyncExitStack() as stack:
        stubs = []
        for _ in range(connections):
            channel = grpc.aio.insecure_channel(target.address, options=CHANNEL_OPTIONS)
            await stack.enter_async_context(channel)
            await channel.channel_ready()
            stubs.append(speech_pb2_grpc.SpeechServiceStub(channel))

        async def speak(client: int, line: OfferedLine, playback: Playback) -> None:
            request = speech_request(
                line.voice,
                line.text,
                seed=next(seeds),
                paced=paced,
                line_class=line.line_class,
                start_by_ms=line.start_by_ms,
                leave_out=target.leave_out,
            )
            rate = 0
            async for message in stubs[client].Synthesize(request, timeout=120):
                match message.WhichOneof("part"):
                    case "chunk":
                        playback.heard(message.chunk.sample_count / rate)
                    case "header":
                        rate = message.header.sample_rate_hertz

        yield speak


@contextlib.asynccontextmanager
async def _piper_speaker(target: Target, connections: int) -> AsyncIterator[Speak]:
    """Piper's reply is heard when the whole of it is there."""
    from bench.peers.piper_server import say

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(connections) as threads:

        async def speak(client: int, line: OfferedLine, playback: Playback) -> None:
            del client
            playback.heard(await loop.run_in_executor(threads, say, target.address, line.text))

        yield speak


async def _run(target: Target, load: Clients | Open) -> Outcome:
    paced = isinstance(load, Open) or load.paced
    connections = _CONNECTIONS if isinstance(load, Open) else load.n
    speaker = (
        _grpc_speaker(target, connections, paced=paced)
        if target.kind == "grpc"
        else _piper_speaker(target, connections)
    )
    async with speaker as speak:
        generator = _Generator(speak)
        if isinstance(load, Open):
            works = [generator.arrival(i, line, load.limits) for i, line in enumerate(load.lines)]
            until_s = max((line.at_s for line in load.lines), default=0.0) + _DRAIN_S
        else:
            texts = itertools.cycle(load.texts)
            works = [generator.client(i, load, texts) for i in range(load.n)]
            until_s = load.duration_s
        return await generator.run([asyncio.create_task(work) for work in works], until_s)


def _plan(raw: dict[str, Any]) -> tuple[Target, Clients | Open]:
    load = raw["load"]
    if "lines" in load:
        return Target(**raw["target"]), Open(
            [OfferedLine(**line) for line in load["lines"]], load["limits"]
        )
    return Target(**raw["target"]), Clients(**load)


def main() -> None:
    """Carry out one plan."""
    target, load = _plan(json.load(sys.stdin))
    json.dump(asdict(asyncio.run(_run(target, load))), sys.stdout)


if __name__ == "__main__":
    main()
