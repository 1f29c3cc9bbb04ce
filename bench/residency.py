"""Residency: how long a swap takes, what a voice costs, who notices, and what an hour leaves.

A swap is what a request meets whose voice is not in memory, its file in the system's page cache:
from the request to the first chunk of audio, another voice's eviction included.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from bench import residency_churn
from bench.lines import LINE
from bench.peers import ask_peer
from bench.report import Report
from bench.residency_stage import QUICK, USUAL, Stage, add_twins, make_room
from bench.turns import Tree, in_turns, tree_of
from voxswap_client import Client
from voxswap_families.embedded import import_embedded
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry

FIGURES = ("swap", "memory", "beside", "styles", "churn", "books")
_LINES_BEFORE = 60
_KUMO, _GONGITSUNE = "kokoro/jm_kumo", "kokoro/jf_gongitsune"


def run(
    report: Report,
    *,
    device: str,
    quick: bool = False,
    only: str | None = None,
    against: str | None = None,
) -> None:
    """Measure everything, or one of `FIGURES`; about a quarter of an hour.

    With ``against``, swaps are measured in turns with those of a server of that commit, and nothing
    else is, unless ``only`` names it. Both then have weights as checkpoints store them, which
    all commits know; otherwise they are as imports write them.
    """
    with tempfile.TemporaryDirectory(prefix="voxswap-bench-") as name:
        folder = Path(name)
        registry = Registry(folder / "registry")
        import_embedded(registry, dtype="auto" if against is None else "float32")
        joe = registry.resolve(VoiceRef("joe"))
        sizes = QUICK if quick else USUAL
        add_twins(registry, joe, sizes.residents + 2)
        stage = Stage(report, sizes, folder, registry, joe, device)
        if against is not None:
            with tree_of(against) as tree:
                _swap_against(stage, tree)
        if against is not None and only is None:
            return
        # Asked at most once, and not where nothing is compared with it.
        peer: Callable[[], dict[str, Any]] = cache(partial(_piper, 20))
        measures: dict[str, Callable[[], None]] = {
            "swap": lambda: _swap(stage, peer()),
            "memory": lambda: _memory(stage, peer()),
            "beside": lambda: _warm_beside_swaps(stage),
            "styles": lambda: _styles(stage),
            "churn": lambda: residency_churn.churn(stage),
            "books": lambda: residency_churn.books(stage),
        }
        for figure in FIGURES if only is None else (only,):
            measures[figure]()


def _piper(runs: int) -> dict[str, Any]:
    answer: dict[str, Any] = ask_peer(
        "piper", "piper_http.py", {"line": LINE, "voices": 6, "runs": runs}
    )
    return answer


def _check_ms(stage: Stage) -> float:
    """What a load hashes by BLAKE3, in ms; beside SHA-256, which checks manifests without it."""
    model = stage.joe.component("model")

    def check(by: Any) -> float:
        began = time.perf_counter()
        with stage.registry.components.hold(by):
            return (time.perf_counter() - began) * 1e3

    rounds = stage.sizes.checks
    found = in_turns(rounds, partial(check, model), partial(check, model.by_name()))
    blake3_ms, sha256_ms = map(statistics.median, found)
    add = stage.report.add
    size = f"{model.size_bytes / 1e6:.0f} MB"
    add(f"checking {size}, median; peer: SHA-256", blake3_ms, "ms", peer=sha256_ms)
    # A second digest of each file has to be worth its place in manifests.
    add("checking by BLAKE3 / by SHA-256", blake3_ms / sha256_ms, "times", 0.6)
    return blake3_ms


def _swap(stage: Stage, peer: dict[str, list[float]]) -> None:
    """Two voices take turns in memory for one: every request evicts the other and loads its own."""
    add, sizes = stage.report.add, stage.sizes
    check_ms = _check_ms(stage)
    with stage.talking() as (_, client):
        make_room(client, 1, like="twin-0", size_bytes=stage.size_bytes)
        for _ in range(5):
            client.say("twin-0", LINE)
        warm_ms = [client.say("twin-0", LINE).ttfa_ms for _ in range(sizes.warm)]
        results = [client.say(f"twin-{i % 2}", LINE) for i in range(1, sizes.swaps + 1)][4:]
    assert all(result.header.cold for result in results), "they were to take turns"
    swap_ms = [result.ttfa_ms for result in results]
    warm, swap = statistics.median(warm_ms), statistics.median(swap_ms)
    piper_ms = statistics.median(peer["first_ms"])
    add("warm TTFA, median", warm, "ms")
    add("swap to first audio, median", swap, "ms", peer=piper_ms)
    add("swap to first audio, p95", float(np.quantile(swap_ms, 0.95)), "ms")
    held_ms = statistics.median(result.header.swap_ms for result in results)
    add("  of it until there is a lease, median", held_ms, "ms")
    # Evicting, mapping and making tensors may take a quarter of what cannot be saved: the check of
    # the bytes, and the first sound of a voice that is there.
    add("swap / a check and a warm first sound", swap / (check_ms + warm), "times", 1.25)
    add("piper HTTP's first use of a voice / a swap", piper_ms / swap, "times", 8, sense="at_least")


def _swap_against(stage: Stage, tree: Tree) -> None:
    """The same swaps at a server of another commit, in turns: same voices, same page cache."""
    with stage.talking() as (_, ours), stage.talking(tree=tree) as (_, theirs):
        for client in (ours, theirs):
            make_room(client, 1, like="twin-0", size_bytes=stage.size_bytes)
        warm = [partial(_warm_ms, client) for client in (ours, theirs)]
        in_turns(5, *warm)
        warm_ms, their_warm_ms = in_turns(stage.sizes.warm, *warm)
        swap = [partial(_cold_ms, client, count(1)) for client in (ours, theirs)]
        in_turns(4, *swap)
        now_ms, then_ms = in_turns(stage.sizes.against, *swap)
    now, then = statistics.median(now_ms), statistics.median(then_ms)
    add = stage.report.add
    add(f"warm TTFA, median; peer: {tree.name}", statistics.median(warm_ms), "ms",
        peer=statistics.median(their_warm_ms))  # fmt: skip
    add(f"swap to first audio, median; peer: {tree.name}", now, "ms", peer=then)
    p95, peer = (float(np.quantile(ms, 0.95)) for ms in (now_ms, then_ms))
    add(f"swap to first audio, p95; peer: {tree.name}", p95, "ms", peer=peer)
    # As issue 12 has it: SHA-256 is half of what can be saved, and more than a quarter of a swap.
    add(f"swap to first audio / that of {tree.name}", now / then, "times", 0.75)


def _warm_ms(client: Client) -> float:
    return float(client.say("twin-0", LINE).ttfa_ms)


def _cold_ms(client: Client, turns: Iterator[int]) -> float:
    """The next swap of this server."""
    result = client.say(f"twin-{next(turns) % 2}", LINE)
    assert result.header.cold, "they were to take turns"
    return float(result.ttfa_ms)


def _memory(stage: Stage, peer: dict[str, float]) -> None:
    """Voices that have spoken, one after the other, in a budget that holds them all."""
    n = stage.sizes.residents
    with stage.talking() as (server, client):
        for i in range(_LINES_BEFORE):  # until the heap has what computing takes
            client.say(f"twin-{i % 2}", LINE)
        before = server.memory_bytes()
        for i in range(2, 2 + n):
            client.say(f"twin-{i}", LINE)
        grown = (server.memory_bytes() - before) / n
        for i in range(2 + n):
            client.unload(f"twin-{i}")
        left = server.memory_bytes() - before + 2 * grown
    add = stage.report.add
    add("memory per further voice", grown / 1e6, "MB", peer=peer["bytes_per_voice"] / 1e6)
    add("memory per further voice / its checkpoint", grown / stage.size_bytes, "times", 1.15)
    add("not given back after all were unloaded", left / 1e6, "MB")


def _warm_beside_swaps(stage: Stage) -> None:
    """One client asks a pinned voice for first sounds; another has five voices a second loaded."""
    sizes, add = stage.sizes, stage.report.add
    with stage.talking() as (server, client):
        client.pin("joe")
        make_room(client, 3, like="joe", size_bytes=stage.size_bytes)
        for _ in range(20):
            _first_sound_ms(client, "joe")
        alone: list[float] = []
        beside: list[float] = []
        swaps = seconds = 0.0
        # In turns, so that a noisy minute meets both.
        for _ in range(sizes.turns):
            alone += [_first_sound_ms(client, "joe") for _ in range(sizes.turn_requests)]
            with _Swapper(server.address, sizes.swaps_per_s, sizes.residents + 2) as swapper:
                beside += [_first_sound_ms(client, "joe") for _ in range(sizes.turn_requests)]
            swaps, seconds = swaps + swapper.swaps, seconds + swapper.lasted_s
    add("swaps beside warm voices", swaps / seconds, "per s")
    # Fewer would be another experiment.
    share = swaps / seconds / sizes.swaps_per_s
    add("swaps beside warm voices / those meant", share, "times", 0.9, sense="at_least")
    p99_alone, p99_beside = (float(np.quantile(ms, 0.99)) for ms in (alone, beside))
    median_ms = statistics.median(alone)
    add(f"warm TTFA beside swaps, median of {len(beside)}; peer: alone", statistics.median(beside),
        "ms", peer=median_ms)  # fmt: skip
    add("warm TTFA beside swaps, p99; peer: alone", p99_beside, "ms", peer=p99_alone)
    # As issue 12 has it.
    add("p99 beside swaps / p99 alone", p99_beside / p99_alone, "times", 1.2)


def _first_sound_ms(client: Client, voice: str) -> float:
    """Ask, hear the first chunk, hang up."""
    began = time.perf_counter()
    with client.synthesize(voice, LINE) as stream:
        next(iter(stream))
        return (time.perf_counter() - began) * 1e3


class _Swapper:
    """Has another of ``n`` voices loaded, so many times a second, for as long as the block lasts.

    ``swaps`` and ``lasted_s`` are known when it is over.
    """

    def __init__(self, address: str, per_s: float, n: int) -> None:
        self._address, self._per_s, self._n = address, per_s, n
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._began = time.perf_counter()
        self.swaps = 0
        self.lasted_s = 0.0

    def __enter__(self) -> _Swapper:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.lasted_s = time.perf_counter() - self._began

    def _run(self) -> None:
        with Client(self._address, timeout_s=60) as client:
            while not self._stop.wait(
                max(0.0, self._began + self.swaps / self._per_s - time.perf_counter())
            ):
                client.load(f"twin-{self.swaps % self._n}")
                self.swaps += 1


def _styles(stage: Stage) -> None:
    """A further Kokoro voice while its base is resident: all that is loaded is its style."""
    with stage.talking() as (_, client):
        began = time.perf_counter()
        client.load(_KUMO)
        base_ms = (time.perf_counter() - began) * 1e3
        load_ms = []
        for _ in range(stage.sizes.styles):
            load_ms.append(client.load(_GONGITSUNE).load_ms)
            client.unload(_GONGITSUNE)  # the base stays: the first voice uses it
    add, style_ms = stage.report.add, statistics.median(load_ms)
    add("a Kokoro base, loaded", base_ms, "ms")
    add("a further style on it, median", style_ms, "ms")
    add("a further style on it, p95", float(np.quantile(load_ms, 0.95)), "ms")
    # A base is 180 times as large, and its graph is prepared besides.
    add("a further style / the base", style_ms / base_ms, "times", 1 / 180)
