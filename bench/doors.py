"""The doors side by side: what each adds to the first sound, and to a start."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import http.client
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import grpc
from websockets.sync.client import connect

from bench.lines import LINE, TEN
from bench.playback import Playback
from bench.report import Report
from bench.requests import CHANNEL_OPTIONS, speech_request
from bench.servers import BenchServer, serving
from bench.turns import in_turns
from voxswap.v1 import speech_pb2_grpc
from voxswap_families.embedded import import_embedded
from voxswap_families.vits.embedded import JOE
from voxswap_registry.store import Registry

FIGURES = ("first-sound", "paced", "start")
_READERS = 30
# 5 ms beside a first sound of 38, and 0.2 s beside a start of 3.5.
_FIRST, _START = 1.13, 1.06
_ANY_PORT = "127.0.0.1:0"


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Repetitions."""

    lines: int = 40
    starts: int = 9
    paced_s: float = 30.0


_QUICK = _Sizes(lines=8, starts=2, paced_s=6.0)


def run(report: Report, *, device: str, quick: bool = False, only: str | None = None) -> None:
    """Measure everything, or one of `FIGURES`; about two minutes."""
    sizes = _QUICK if quick else _Sizes()
    with tempfile.TemporaryDirectory(prefix="voxswap-bench-") as name:
        folder = Path(name)
        registry = Registry(folder / "registry")
        import_embedded(registry, voices=(JOE,), dtype="auto")

        def start(*, http_listen: str = "off") -> contextlib.AbstractContextManager[BenchServer]:
            cache = folder / "cache"
            path = folder / "registry"
            return serving(path, cache_dir=cache, device=device, http_listen=http_listen)

        if only in {None, "first-sound", "paced"}:
            with start(http_listen=_ANY_PORT) as server:
                if only in {None, "first-sound"}:
                    _first_sound(report, server, sizes)
                if only in {None, "paced"}:
                    _paced(report, server, sizes)
        if only in {None, "start"}:
            _starts(report, start, sizes)


def _first_sound(report: Report, server: BenchServer, sizes: _Sizes) -> None:
    """The same line over each door in turn, over connections that are open."""
    seeds = itertools.count(1)
    with (
        grpc.insecure_channel(server.address, options=CHANNEL_OPTIONS) as channel,
        contextlib.closing(http.client.HTTPConnection(server.http_address)) as connection,
        connect(f"ws://{server.http_address}/v1/converse") as socket,
    ):
        stub = speech_pb2_grpc.SpeechServiceStub(channel)

        def by_grpc() -> float:
            request = speech_request("joe", LINE, seed=next(seeds), paced=False)
            began = time.perf_counter()
            call = stub.Synthesize(request)
            first = next(part for part in call if part.HasField("chunk"))
            took = time.perf_counter() - began
            assert first.chunk.audio
            list(call)
            return took

        def by_http() -> float:
            body = json.dumps(_line(next(seeds)) | {"format": "pcm_s16le"})
            began = time.perf_counter()
            connection.request("POST", "/v1/speech", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            assert answer.read1()
            took = time.perf_counter() - began
            answer.read()
            return took

        def by_websocket() -> float:
            start = _line(next(seeds)) | {"type": "start", "conversation": "a"}
            began = time.perf_counter()
            socket.send(json.dumps(start))
            socket.send(json.dumps({"type": "end", "conversation": "a"}))
            while not isinstance(socket.recv(), bytes):
                pass
            took = time.perf_counter() - began
            while True:
                told = socket.recv()
                if isinstance(told, str) and json.loads(told)["type"] == "trailer":
                    return took

        for measure in (by_grpc, by_http, by_websocket):
            for _ in range(3):
                measure()
        found = in_turns(sizes.lines, by_grpc, by_http, by_websocket)
    own, *others = (statistics.median(times) * 1e3 for times in found)
    report.add("first audio over gRPC, median", own, "ms")
    for name, median in zip(("HTTP", "WebSocket"), others, strict=True):
        report.add(f"first audio over {name}, median", median, "ms", peer=own)
        report.add(f"first audio over {name} / gRPC", median / own, "times", _FIRST)


def _line(seed: int) -> dict[str, object]:
    return {"voice": "joe", "text": LINE, "seed": seed, "pacing": "none", "cache_policy": "off"}


def _paced(report: Report, server: BenchServer, sizes: _Sizes) -> None:
    """Readers that listen, each line after the one before, over connections of their own."""
    lines = asyncio.run(_listen(server, sizes.paced_s))
    heard = [playback for playback in lines if playback is not None]
    report.add("paced HTTP readers", _READERS, "")
    report.add("lines heard by them", len(heard), "")
    report.add("lines refused", len(lines) - len(heard), "")
    gaps = sum(playback.underruns for playback in heard)
    report.add("underruns of paced HTTP readers", gaps, "", 0)


async def _listen(server: BenchServer, duration_s: float) -> list[Playback | None]:
    """Each line as it was heard; None for one that was refused."""
    host, _, port = server.http_address.rpartition(":")
    texts = itertools.cycle(TEN)
    until_s = time.perf_counter() + duration_s

    async def reader(number: int) -> list[Playback | None]:
        heard: list[Playback | None] = []
        await asyncio.sleep(number * min(6.0, duration_s / 3) / _READERS)
        while time.perf_counter() < until_s:
            playback = Playback(time.perf_counter)
            was_heard = await _hear(host, int(port), next(texts), playback)
            heard.append(playback if was_heard else None)
            await asyncio.sleep(playback.left_s if was_heard else 1.0)
        return heard

    of_each = await asyncio.gather(*map(reader, range(_READERS)))
    return [playback for heard in of_each for playback in heard]


async def _hear(host: str, port: int, text: str, playback: Playback) -> bool:
    """Whether the line was let in; then it is heard to its end."""
    body = json.dumps({"voice": "joe", "text": text, "format": "pcm_s16le"}).encode()
    head = (
        f"POST /v1/speech HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    stream, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(head.encode() + body)
        status = await stream.readline()
        if b" 429 " in status:
            return False
        assert b" 200 " in status, status
        while (await stream.readline()).strip():
            pass
        while size := int((await stream.readline()).strip() or b"0", 16):
            await stream.readexactly(size)
            playback.heard(size / 2 / 22050)
            await stream.readline()
        return True
    finally:
        writer.close()


def _starts(
    report: Report,
    start: Callable[..., contextlib.AbstractContextManager[BenchServer]],
    sizes: _Sizes,
) -> None:
    """From the beginning of the process until it says that it serves."""

    def took(http_listen: str) -> float:
        began = time.perf_counter()
        with start(http_listen=http_listen):
            return time.perf_counter() - began

    measures = [functools.partial(took, listen) for listen in ("off", _ANY_PORT)]
    for measure in measures:
        measure()
    alone, all_doors = map(statistics.median, in_turns(sizes.starts, *measures))
    report.add("start with gRPC alone, median", alone, "s")
    report.add("start with every door, median", all_doors, "s", peer=alone)
    report.add("start with every door / gRPC alone", all_doors / alone, "times", _START)
