"""Churn: many voices through memory for few; what it leaves, and whether the books were true."""

from __future__ import annotations

import dataclasses
import math
import random
import statistics
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from bench.lines import shouts, speeches
from bench.load import Clients, Outcome, Target, offer
from bench.residency_stage import MIB, Stage, add_twins, ledger_of, make_room, taken_bytes
from bench.servers import BenchServer
from voxswap_client import Client, VoxswapClientError
from voxswap_families.importing.weights import write_safetensors
from voxswap_families.vits.architecture import VitsArchitecture
from voxswap_families.vits.checkpoint import as_stored
from voxswap_families.vits.shapes import expected_shapes
from voxswap_registry.draft import DraftComponent, VoiceDraft
from voxswap_registry.manifest import Audio, Manifest
from voxswap_registry.progress import NullProgress
from voxswap_registry.store import Registry

_ZIPF = 1.0  # exponent of the popularity of voices
_LATER_SHARE = 0.2  # memory is compared between here and the end
# So many lines before it is looked at: freed activations and compiled kernels stay, up to a bound.
# That is memory of computing, not of swaps.
_WARM_LINES = 640
_LOOK_EVERY_S = 0.1
_CHURNERS = 3  # so that loads wait for one another
# What is looked at is memory, so admission is to let in whoever comes, however busy the machine is.
_ALL_COME: dict[str, Any] = {
    "metrics_listen": "127.0.0.1:0",
    "http_listen": "off",
    "most_load": "10",
    "most_backlog_s": "1000",
}
# Memory and books may be so far apart when all was unloaded: a share, or so much, whatever is more.
_APART, _APART_BYTES = 0.1, 32 << 20
_REFUSALS = frozenset({"RESOURCE_EXHAUSTED", "UNAVAILABLE"})


def churn(stage: Stage) -> None:
    """Small voices, a tenth of which fit, asked for as Zipf says."""
    report, sizes = stage.report, stage.sizes
    size = _add_small(stage.registry, stage.joe, sizes.voices)
    popularity = 1 / np.arange(1, sizes.voices + 1) ** _ZIPF
    popularity /= popularity.sum()
    random_ = np.random.default_rng(4)
    order = random_.permutation(sizes.voices)
    # As float32 they take the bytes that are stored, by which room is made and misses are foretold.
    settings: dict[str, Any] = {"settle_s": "0.05", "compute_threads": "1", "arithmetic": "float32"}
    with stage.talking(**settings) as (server, client):
        make_room(client, sizes.fitting, like="small-0", size_bytes=size)
        for i in range(_WARM_LINES):
            client.say("small-0", "Hi.", seed=i)
        client.unload("small-0")
        hits, trace, samples = 0, list[Any](), list[Any]()
        began = shown = time.perf_counter()
        while len(trace) - hits < sizes.churn_swaps:
            for voice in random_.choice(order, 250, p=popularity):
                result = client.say(f"small-{voice}", "Hi.", seed=_WARM_LINES + len(trace))
                hits += not result.header.cold
                trace.append(int(voice))
            samples.append((len(trace), _process(server)))
            if time.perf_counter() - shown > 20:
                shown = time.perf_counter()
                print(f"    {len(trace) - hits} of {sizes.churn_swaps} swaps …", flush=True)
        took = time.perf_counter() - began
    swaps = len(trace) - hits
    offline = _lru_hits(trace, sizes.fitting) / len(trace)
    rate = hits / len(trace)
    report.add(f"churn: swaps in {len(trace)} requests", swaps, "")
    report.add("churn: swaps a second", swaps / took, "per s")
    report.add("churn: hit rate", 100 * rate, "%", peer=100 * offline)
    report.add("churn: hit rate / offline LRU's", rate / offline, "times", 0.95, sense="at_least")
    early = samples[int(_LATER_SHARE * len(samples)) :][:5]
    for i, (name, unit, scale) in enumerate(
        (("memory", "MB", 1e6), ("file descriptors", "", 1), ("threads", "", 1), ("maps", "", 1))
    ):
        before = statistics.median(sample[i] for _, sample in early)
        after = statistics.median(sample[i] for _, sample in samples[-5:])
        report.add(f"churn: {name} in the end", after / scale, unit, peer=before / scale)
        report.add(f"churn: {name}, in the end / early on", after / before, "times", 1.05)


def _process(server: BenchServer) -> tuple[int, int, int, int]:
    return server.memory_bytes(), server.descriptors(), server.threads(), server.maps()


def _lru_hits(trace: Sequence[int], capacity: int) -> int:
    """Hits of a cache for ``capacity`` voices that drops the least recently used."""
    cache: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for voice in trace:
        if voice in cache:
            hits += 1
            cache.move_to_end(voice)
            continue
        cache[voice] = None
        if len(cache) > capacity:
            cache.popitem(last=False)
    return hits


def _add_small(registry: Registry, joe: Manifest, n: int) -> int:
    """``small-<i>``: real VITS voices with random weights, too small to be understood. Their size.

    What is measured is not what they say.
    """
    import torch

    architecture = dataclasses.replace(
        VitsArchitecture.from_config(joe.engine_config, where="joe"),
        hidden=48,
        inter=48,
        filter_hidden=96,
        n_layers=2,
        dp_hidden=48,
        upsample_initial=64,
    )
    size = 0
    with registry.workdir() as workdir:
        for i in range(n):
            generator = torch.Generator().manual_seed(i)
            tensors = {
                name: torch.randn(shape, generator=generator)
                / math.sqrt(max(1, math.prod(shape[1:])))
                for name, shape in expected_shapes(architecture).items()
            }
            for name, tensor in tensors.items():
                if name.startswith("dp."):
                    tensor.zero_()  # a frame or two for each symbol: little to compute
            path = workdir / f"{i}.safetensors"
            write_safetensors(as_stored(tensors), path, progress=NullProgress())
            components = (
                DraftComponent("model", path, joe.component("model").media_type),
                DraftComponent.stored(joe.component("symbols")),
            )
            draft = dataclasses.replace(
                VoiceDraft.of(joe, components),
                voice_id=f"small-{i}",
                engine_config=architecture.to_config(),
                audio=Audio(22050, architecture.hop_length_samples),
            )
            size = registry.publish(draft).component("model").size_bytes
            path.unlink()
    return size


@dataclass(frozen=True, slots=True)
class _Look:
    """What the process had at one moment, and what its books said then, in bytes."""

    held: int
    ledger: int
    overhead: int

    @property
    def share(self) -> float:
        """What it had, of what its books and its overhead come to."""
        return self.held / (self.ledger + self.overhead)


@dataclass(slots=True)
class _Churners:
    """Clients who each have one voice after another speak, hear the first chunk, and hang up.

    Their calls are counted by outcome.
    """

    address: str
    voices: Sequence[str]
    ends_s: float
    swaps: int = 0
    spoken: set[str] = field(default_factory=set)
    ended: Counter[str] = field(default_factory=Counter)
    _changing: threading.Lock = field(default_factory=threading.Lock)

    def run(self, number: int) -> None:
        """One of them, until it is time: all voices in random order, and again."""
        chance = random.Random(number)
        lines = cycle(shouts(number))
        with Client(self.address, timeout_s=60) as client:
            while True:
                for voice in chance.sample(self.voices, len(self.voices)):
                    if time.monotonic() > self.ends_s:
                        return
                    cold, outcome = False, "OK"
                    try:
                        with client.synthesize(voice, next(lines)) as stream:
                            next(iter(stream))
                            cold = stream.header.cold
                    except VoxswapClientError as error:
                        outcome = error.code
                    with self._changing:
                        self.ended[outcome] += 1
                        self.swaps += cold
                        if outcome == "OK":
                            self.spoken.add(voice)


def books(stage: Stage) -> None:
    """Many voices through memory for six, beside eight streams: are the ledger's books true?

    What the process has are its anonymous memory and the pages of weights that it maps
    (`BenchServer.own_bytes`). What it may have is the ledger's total, the higher of one look before
    and one after, and what the server says is beside it: what it held before it had loaded
    anything, and what it keeps within limits of their own.
    """
    sizes = stage.sizes
    there = sizes.residents + 2
    add_twins(stage.registry, stage.joe, sizes.book_voices - there, first=there)
    voices = [f"twin-{i}" for i in range(sizes.book_voices)]
    with (
        stage.talking(**_ALL_COME) as (server, client),
        ThreadPoolExecutor(_CHURNERS + 1) as threads,
    ):
        folders = (stage.folder,)
        make_room(client, sizes.book_fitting, like="joe", size_bytes=stage.size_bytes)
        began = time.monotonic()
        ends_s = began + sizes.books_s
        load = Clients(sizes.streams, sizes.books_s, speeches(5), paced=True, stagger_s=2.0)
        streams = threads.submit(offer, Target("grpc", server.address), load)
        churners = _Churners(server.address, voices, ends_s)
        churning = [threads.submit(churners.run, i) for i in range(_CHURNERS)]
        looks = _watch(server, client, folders, ends_s)
        lasted_s = time.monotonic() - began
        for one in churning:
            one.result()
        outcome = streams.result()
        workspace = ledger_of(client).workspace_bytes
        for voice in ("joe", *voices):
            _unload(client, voice)
        for _ in range(100):  # Once nothing is there, the server measures what it keeps.
            if ledger_of(client).workspace_bytes != workspace:
                break
            time.sleep(0.1)
        after = _look(server, client, folders)
    _tell_of_books(stage, looks, lasted_s, churners, outcome, after)


def _watch(
    server: BenchServer, client: Client, folders: Sequence[Path], ends_s: float
) -> list[_Look]:
    """A look each 100 ms."""
    looks: list[_Look] = []
    next_s = time.monotonic()
    while next_s < ends_s:
        looks.append(_look(server, client, folders))
        next_s = max(next_s + _LOOK_EVERY_S, time.monotonic())
        time.sleep(max(0.0, next_s - time.monotonic()))
    return looks


def _look(server: BenchServer, client: Client, folders: Sequence[Path]) -> _Look:
    """The books move while the system is asked, so they are read before and after."""
    before = taken_bytes(client)
    held = server.own_bytes(*folders)
    # Its worker processes have memory of their own.
    beside = {k: v for k, v in client.residents().beside.items() if k != "espeak-ng"}
    return _Look(held, max(before, taken_bytes(client)), sum(beside.values()))


def _unload(client: Client, voice: str) -> None:
    """A stream that was cut off may hold its voice for a moment yet."""
    for _ in range(50):
        try:
            client.unload(voice)
            return
        except VoxswapClientError as error:
            if error.code != "FAILED_PRECONDITION":
                raise
        time.sleep(0.1)
    raise AssertionError(f"{voice} is held though nobody speaks")


def _tell_of_books(
    stage: Stage,
    looks: Sequence[_Look],
    lasted_s: float,
    churners: _Churners,
    outcome: Outcome,
    after: _Look,
) -> None:
    add, sizes = stage.report.add, stage.sizes
    fit, all_, ended = sizes.book_fitting, sizes.book_voices, churners.ended
    lines = Counter(row.status for row in outcome.rows)
    refused, turned_away = (sum(one[code] for code in _REFUSALS) for one in (ended, lines))
    failed = ended.total() - ended["OK"] - refused
    failed += lines.total() - lines["OK"] - lines["CUT"] - turned_away
    underruns = sum(row.underruns for row in outcome.rows)
    # Fewer of them would be another experiment.
    add(f"books: voices of {all_} through memory for {fit}", len(churners.spoken), "voices", all_,
        sense="at_least")  # fmt: skip
    add("books: swaps", churners.swaps, f"in {ended.total()} calls")
    add("books: calls refused", refused, "calls")
    add("books: lines of streams refused", turned_away, f"of {lines.total()}")
    add(f"books: underruns of {sizes.streams} streams beside", underruns,
        f"in {lines['OK'] + lines['CUT']} lines")  # fmt: skip
    add("books: calls and streams that failed", failed, "calls", 0)
    add("books: looks, of one each 100 ms", len(looks) * _LOOK_EVERY_S / lasted_s, "times", 0.8,
        sense="at_least")  # fmt: skip
    most = max(looks, key=lambda look: look.held)
    nearest = max(looks, key=lambda look: look.share)
    add("books: memory at its highest; peer: books", most.held / MIB, "MiB",
        peer=(most.ledger + most.overhead) / MIB)  # fmt: skip
    add("  the ledger's total then", most.ledger / MIB, "MiB")
    add("  what is beside the budget then", most.overhead / MIB, "MiB")
    add("books: memory / books, at the highest", nearest.share, "times", 1)
    add("books: looks with more memory than books", sum(look.share > 1 for look in looks),
        f"of {len(looks)}", 0)  # fmt: skip
    then = after.ledger + after.overhead
    add("books: after all was unloaded; peer: books", after.held / MIB, "MiB", peer=then / MIB)
    apart = abs(after.held - then) / max(_APART_BYTES, _APART * then)
    add("books: apart then / 10 % or 32 MiB", apart, "times", 1)
