"""Hostile texts: what reading them costs the server, beside what people write."""

from __future__ import annotations

import contextlib
import functools
import gc
import statistics
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from bench.hostile import texts
from bench.lines import speeches
from tests.text.by_hand import PIPER
from voxswap_client import Client, VoxswapClientError
from voxswap_families.text import LongReadingError
from voxswap_registry.errors import VoxswapError
from voxswap_registry.manifest import FrontEndSpec
from voxswap_server.speech.reader import parted, read_segment
from voxswap_server.text.espeak.front_end import EspeakFrontEnd
from voxswap_server.text.espeak.library import Espeak
from voxswap_server.text.frontends import make_front_end
from voxswap_server.text.segmentation.segments import segment

if TYPE_CHECKING:
    from bench.soak import House

_SEGMENT_CHARACTERS, _HONEST_LINES = 400, 20
_SPOKEN_SHARE = 100  # of so many texts one is spoken to its end


def attack(house: House, count: int, seed: int) -> None:
    """Hostile texts through every front-end, and some of them to the end."""
    espeak = Espeak()
    espeak.start()
    outcomes: Counter[str] = Counter()
    slowest_s = longest_s = 0.0
    # As the server does: a full collection takes 100 ms where torch is among the objects.
    gc.collect()
    gc.freeze()
    with contextlib.closing(espeak):
        front_ends = {
            "espeak": EspeakFrontEnd(PIPER, espeak),
            "english": make_front_end(FrontEndSpec("espeak", {}), PIPER, "en-us", prefer="english"),
            "misaki": make_front_end(FrontEndSpec("misaki", {}), PIPER, "en"),
            "characters": make_front_end(FrontEndSpec("characters", {}), PIPER, "en"),
        }
        honest_s = max(
            statistics.median(
                _reading_s(espeak, functools.partial(read_segment, text, "en", front_end))
                for text in _honest(seed)
            )
            for front_end in front_ends.values()
        )
        for n, text in enumerate(texts.texts(count, seed)):
            if n and not n % 2_000:
                print(f"    {n} of {count} read", flush=True)
            for name, front_end in front_ends.items():
                left = [*segment(text)]
                while left:
                    part = left.pop()
                    began, cpu = time.perf_counter(), _cpu_s(espeak.pids())
                    try:
                        read_segment(part.text, "en", front_end)
                        outcomes["read"] += 1
                    except LongReadingError as error:
                        left += parted(part, error.excess)
                        outcomes["parted"] += 1
                    except VoxswapError as error:
                        outcomes[error.reason] += 1
                    took_s = _cpu_s(espeak.pids()) - cpu
                    longest_s = max(longest_s, time.perf_counter() - began)
                    if took_s > slowest_s:
                        slowest_s = took_s
                        shown = f"    {name}: {took_s * 1e3:.1f} ms of CPU for {part.text[:40]!a}"
                        print(shown, flush=True)
        pool = espeak.statistics()
        restarts = sum(pool.restarts.values()) if pool else 0
    spoken: Counter[str] = Counter()
    with Client(house.server.address, timeout_s=120) as client:
        for text in (
            *texts.KILLERS,
            *texts.texts(max(1, count // _SPOKEN_SHARE), seed + 1, longest=120),
        ):
            try:
                client.say("joe@1", text, pacing="none", seed=1)
                spoken["OK"] += 1
            except VoxswapClientError as error:
                spoken[error.code] += 1
    add = house.report.add
    add("texts: lines read", outcomes["read"], "lines")
    add("texts: lines parted, as too much to say", outcomes["parted"], "lines")
    refused = outcomes.total() - outcomes["read"] - outcomes["parted"]
    add("texts: lines refused", refused, "lines")
    add("texts: slowest line, CPU; peer: honest ones", slowest_s * 1e3, "ms", peer=honest_s * 1e3)
    # Of as many characters; what they may say is bounded, too.
    add("texts: slowest line / honest ones", slowest_s / honest_s, "times", 10)
    add("texts: slowest line, beside other work", longest_s * 1e3, "ms")
    add("texts: workers that ended", restarts, "workers")
    add(
        "texts: spoken or refused over gRPC",
        spoken.total(),
        "texts",
    )
    add("texts: UNKNOWN or INTERNAL", spoken["UNKNOWN"] + spoken["INTERNAL"], "texts", 0)


def _honest(seed: int) -> list[str]:
    """Lines such as people write, each as long as a segment may be, and one sentence."""
    words = " ".join(speech.rstrip(".") for speech in speeches(seed)).split(" ")
    lines = textwrap.wrap(" ".join(words), _SEGMENT_CHARACTERS)
    return lines[:_HONEST_LINES]


def _reading_s(espeak: Espeak, read: Callable[[], object]) -> float:
    """CPU time of a reading."""
    began = _cpu_s(espeak.pids())
    read()
    return _cpu_s(espeak.pids()) - began


def _cpu_s(workers: Iterable[int]) -> float:
    """CPU seconds of this process and of ``workers``: what a neighbour does is not a line's cost.

    A worker that is replaced meanwhile is one less.
    """
    total_s = time.process_time()
    for pid in workers:
        with contextlib.suppress(OSError):
            total_s += time.clock_gettime(~pid << 3 | 2)  # as clock_getcpuclockid makes them
    return total_s
