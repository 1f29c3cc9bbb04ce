"""SIGTERM at random moments, with random things that hang: does the process end in time?"""

from __future__ import annotations

import argparse
import contextlib
import enum
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bench.hostile.hanging_server import Hang
from voxswap.v1 import residency_pb2, residency_pb2_grpc, speech_pb2, speech_pb2_grpc

BEYOND_GRACE_S = 5.0
_LINE = "The road goes ever on and on, down from the door where it began. "


class Guest(enum.StrEnum):
    """Who is connected when the signal comes."""

    READER = "reader"  # of a long line
    UNREAD = "unread"  # a line that nobody reads
    GIVEN_UP = "given up"  # a line whose deadline passes
    WATCHER = "watcher"  # of health, and of residency
    WINDOW = "window"  # as watcher, on a connection whose HTTP/2 window is used up
    SILENT = "silent"  # TCP connections that say nothing
    SCRAPER = "scraper"  # half a request at the metrics port


@dataclass(frozen=True, slots=True)
class Try:
    """One server, what hangs in it, who is there, and when it is told to stop."""

    number: int
    hang: Hang
    guests: tuple[Guest, ...]
    grace_s: float
    after_s: float  # from serving on; before that from the start on, if it ``interrupts_start``
    interrupts_start: bool
    again_after_s: float | None  # a second signal


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended. ``most_s`` is what it may have taken."""

    took_s: float
    most_s: float
    status: int
    errors: str


def tries(seed: int, n: int) -> Iterator[Try]:
    """``n`` of them; each hang comes up before any comes up again."""
    draw = random.Random(seed)
    bag: list[Hang] = []
    for number in range(n):
        if not bag:
            bag = draw.sample(list(Hang), len(Hang))
        interrupts_start = draw.random() < 0.15
        yield Try(
            number,
            bag.pop(),
            tuple(draw.sample(list(Guest), draw.randint(1, len(Guest)))),
            grace_s=draw.choice([0.0, 0.5, 1.0, 2.0]),
            after_s=draw.uniform(0.6, 3.0) if interrupts_start else draw.uniform(0.0, 3.0),
            interrupts_start=interrupts_start,
            again_after_s=draw.uniform(0.0, 2.0) if draw.random() < 0.2 else None,
        )


def attempt(one: Try, registry: Path, *, step_limit_s: float = 2.0) -> Outcome:
    """Start a server, let the guests in, send SIGTERM, and look at the end."""
    with tempfile.TemporaryDirectory() as cache_dir:
        flags = {
            "registry": str(registry),
            "cache-dir": cache_dir,
            "listen": "127.0.0.1:0",
            "metrics-listen": "127.0.0.1:0",
            "http-listen": "off",
            "shutdown-grace-s": str(one.grace_s),
            "step-limit-s": str(step_limit_s),
        }
        command = [sys.executable, "-m", "bench.hostile.hanging_server", one.hang]
        command += [f"--{name}={value}" for name, value in flags.items()]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("VOXSWAP_")}
        with (
            tempfile.TemporaryFile("w+") as errors,
            subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
            ) as process,
            contextlib.ExitStack() as guests,
        ):
            try:
                if not one.interrupts_start:
                    _let_in(one.guests, process, guests)
                time.sleep(one.after_s)
                outcome = _stop(process, one)
            finally:
                process.kill()
            errors.seek(0)
            return Outcome(*outcome, errors=errors.read())


def _stop(process: subprocess.Popen[str], one: Try) -> tuple[float, float, int]:
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    if one.again_after_s is not None:
        time.sleep(one.again_after_s)
        process.send_signal(signal.SIGTERM)
    most_s = one.grace_s + BEYOND_GRACE_S
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(most_s + 30.0)
    took_s = time.monotonic() - began
    return took_s, most_s, -1_000 if process.returncode is None else process.returncode


def _let_in(
    who: tuple[Guest, ...], process: subprocess.Popen[str], stack: contextlib.ExitStack
) -> None:
    assert process.stdout is not None
    address, metrics = "", ""
    for line in process.stdout:
        if found := re.search(r"serving on (\S+)", line):
            address = found.group(1)
        if found := re.search(r"http://(\S+)/metrics", line):
            metrics = found.group(1)
            break
    if not address:
        raise RuntimeError("the server did not start")
    for guest in who:
        # A server that hangs may let nobody in any more.
        with contextlib.suppress(OSError):
            _visit(guest, address, metrics, stack)


def _visit(guest: Guest, address: str, metrics: str, stack: contextlib.ExitStack) -> None:
    if guest in (Guest.SILENT, Guest.SCRAPER):
        host, _, port = (address if guest is Guest.SILENT else metrics).rpartition(":")
        for _ in range(20):
            connection = socket.create_connection((host, int(port)), timeout=5)
            stack.callback(connection.close)
            if guest is Guest.SCRAPER:
                connection.sendall(b"GET /metrics HT")
        return
    channel = stack.enter_context(
        grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)])
    )
    speech = speech_pb2_grpc.SpeechServiceStub(channel)
    health = health_pb2_grpc.HealthStub(channel)

    def line(n: int) -> speech_pb2.SynthesizeRequest:
        request = speech_pb2.SynthesizeRequest(voice="joe", text=_LINE * n)
        request.pacing = speech_pb2.PACING_NONE
        return request

    match guest:
        case Guest.READER:
            _read(speech.Synthesize(line(20)), stack)
        case Guest.UNREAD:
            stack.callback(speech.Synthesize(line(60)).cancel)
        case Guest.GIVEN_UP:
            _read(speech.Synthesize(line(20), timeout=2.0), stack)
        case Guest.WATCHER | Guest.WINDOW:
            if guest is Guest.WINDOW:
                stack.callback(speech.Synthesize(line(60)).cancel)
                time.sleep(0.5)
            for service in ("", "voices/joe"):
                request = health_pb2.HealthCheckRequest(service=service)
                _read(health.Watch(request), stack)
            residency = residency_pb2_grpc.ResidencyServiceStub(channel)
            _read(residency.Watch(residency_pb2.WatchRequest()), stack)


def _read(call: grpc.Call, stack: contextlib.ExitStack) -> None:
    def read() -> None:
        with contextlib.suppress(grpc.RpcError):
            for _ in call:  # type: ignore[attr-defined]
                pass

    threading.Thread(target=read, daemon=True).start()
    stack.callback(call.cancel)


def main() -> int:
    """Try so many; 0 if each ended in time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tries", type=int, default=40)
    parser.add_argument("--only", type=Hang, choices=list(Hang))
    parser.add_argument("--registry", type=Path, required=True, help="a folder with joe in it")
    arguments = parser.parse_args()
    late = 0
    for one in tries(arguments.seed, arguments.tries):
        if arguments.only and one.hang is not arguments.only:
            continue
        outcome = attempt(one, arguments.registry)
        is_late = outcome.took_s > outcome.most_s
        late += is_late
        figures = asdict(one) | {
            "took_s": round(outcome.took_s, 2),
            "most_s": outcome.most_s,
            "status": outcome.status,
        }
        print(json.dumps(figures), flush=True)
        if is_late:
            print(outcome.errors[-3000:], file=sys.stderr)
    print(f"{late} of {arguments.tries} did not end in time")
    return bool(late)


if __name__ == "__main__":
    sys.exit(main())
