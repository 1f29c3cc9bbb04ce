"""Residency: how long a swap takes, what a voice costs, who notices, and what an hour leaves."""

from __future__ import annotations

import contextlib
import dataclasses
import statistics
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from bench.lines import LINE
from bench.peers import ask_peer
from bench.report import Report
from bench.servers import BenchServer, serving
from voxswap_client import Client
from voxswap_registry.draft import DraftComponent, VoiceDraft
from voxswap_registry.embedded import import_embedded
from voxswap_registry.importers.vits_tensors import as_stored, write_safetensors
from voxswap_registry.layout import blob_key
from voxswap_registry.manifest import Audio, Manifest
from voxswap_registry.names import VoiceRef
from voxswap_registry.progress import NullProgress
from voxswap_registry.store import Registry
from voxswap_registry.vits import VitsArchitecture
from voxswap_registry.vits_shapes import expected_shapes

_MIB = 1 << 20
_SWAPS, _STYLES, _CHECKS = 60, 60, 15
_RESIDENTS, _LINES_BEFORE = 8, 60
_WARM_REQUESTS, _SWAPS_PER_S = 500, 5.0
# Churn: as many voices, as many of them in memory, and Zipf's exponent of their popularity.
_VOICES, _FITTING, _ZIPF = 200, 20, 1.0
_CHURN_SWAPS = 10_000
_LATER_SHARE = 0.2  # memory is compared between here and the end
# So many lines before it is looked at: freed activations and compiled kernels stay, up to a bound.
# That is memory of computing, not of swaps.
_WARM_LINES = 640


def run(report: Report, *, device: str) -> None:
    """Measure everything; about ten minutes, most of them churn."""
    with tempfile.TemporaryDirectory(prefix="voxswap-bench-") as name:
        folder = Path(name)
        registry = Registry(folder / "registry")
        import_embedded(registry)
        joe = registry.resolve(VoiceRef("joe"))
        _add_twins(registry, joe, _RESIDENTS + 2)
        _checks(report, registry, joe)
        peer = ask_peer("piper", "piper_http.py", {"line": LINE, "voices": 6, "runs": 20})
        _swap(report, folder, registry, device, peer)
        _memory(report, folder, registry, joe, device, peer)
        _warm_beside_swaps(report, folder, registry, device)
        _styles(report, folder, registry, device)
        _churn(report, folder, joe, registry, device)


def _add_twins(registry: Registry, joe: Manifest, n: int) -> None:
    """``twin-0`` to ``twin-<n-1>``: joe with another last weight each, so 63 MB of their own."""
    path = registry.objects.path(blob_key(joe.component("model").digest))
    assert path is not None
    data = bytearray(path.read_bytes())
    table = joe.component("symbols")
    with registry.workdir() as workdir:
        for i in range(n):
            data[-4:] = np.float32(1e-3 * (i + 1)).tobytes()
            twin = workdir / f"{i}.safetensors"
            twin.write_bytes(data)
            components = (
                DraftComponent("model", twin, joe.component("model").media_type),
                DraftComponent("symbols", None, table.media_type, table.digest),
            )
            draft = dataclasses.replace(VoiceDraft.of(joe, components), voice_id=f"twin-{i}")
            registry.publish(draft)


def _checks(report: Report, registry: Registry, joe: Manifest) -> None:
    """What a load hashes: by BLAKE3, and by SHA-256 as of manifests without it, in turns."""
    model = joe.component("model")
    took_ms: dict[str, list[float]] = {
        component.checked_by: [] for component in (model, model.by_name())
    }
    for _ in range(_CHECKS):
        for component in (model, model.by_name()):
            began = time.perf_counter()
            with registry.components.hold(component):
                took_ms[component.checked_by].append((time.perf_counter() - began) * 1e3)
    blake3_ms, sha256_ms = map(statistics.median, took_ms.values())
    report.add("checking 63 MB, median; peer: SHA-256", blake3_ms, "ms", peer=sha256_ms)
    report.add("checking by BLAKE3 / by SHA-256", blake3_ms / sha256_ms, "times", 0.6)


def _swap(
    report: Report, folder: Path, registry: Registry, device: str, peer: dict[str, list[float]]
) -> None:
    """Two voices take turns in memory for one: every request evicts the other and loads its own."""
    with _talking(folder, registry, device, memory_budget="466MiB") as (_, client):
        for _ in range(5):
            client.say("twin-0", LINE)
        warm_ms = [client.say("twin-0", LINE).ttfa_ms for _ in range(30)]
        results = [client.say(f"twin-{i % 2}", LINE) for i in range(1, _SWAPS + 1)][4:]
    assert all(result.header.cold for result in results), "they were to take turns"
    swap_ms = [result.ttfa_ms for result in results]
    piper_ms = statistics.median(peer["first_ms"])
    report.add("warm TTFA, median", statistics.median(warm_ms), "ms")
    report.add("swap to first audio, median", statistics.median(swap_ms), "ms", 80, peer=piper_ms)
    report.add("swap to first audio, p95", float(np.quantile(swap_ms, 0.95)), "ms", 120)
    held_ms = statistics.median(result.header.swap_ms for result in results)
    report.add("  of it until there is a lease, median", held_ms, "ms")
    times = piper_ms / statistics.median(swap_ms)
    report.add("piper HTTP's first use of a voice / a swap", times, "times", 15, sense="at_least")


def _memory(
    report: Report,
    folder: Path,
    registry: Registry,
    joe: Manifest,
    device: str,
    peer: dict[str, float],
) -> None:
    """Voices that have spoken, one after the other, in a budget that holds them all."""
    with _talking(folder, registry, device, memory_budget="4GiB") as (server, client):
        for i in range(_LINES_BEFORE):  # until the heap has what computing takes
            client.say(f"twin-{i % 2}", LINE)
        before = server.memory_bytes()
        for i in range(2, 2 + _RESIDENTS):
            client.say(f"twin-{i}", LINE)
        grown = (server.memory_bytes() - before) / _RESIDENTS
        for i in range(2 + _RESIDENTS):
            client.unload(f"twin-{i}")
        left = server.memory_bytes() - before + 2 * grown
    size = joe.component("model").size_bytes
    theirs = peer["bytes_per_voice"]
    report.add("memory per further voice", grown / 1e6, "MB", peer=theirs / 1e6)
    report.add("memory per further voice / its checkpoint", grown / size, "times", 1.15)
    report.add("not given back after all were unloaded", left / 1e6, "MB")


def _warm_beside_swaps(report: Report, folder: Path, registry: Registry, device: str) -> None:
    """One client asks a pinned voice for first sounds; another has five voices a second loaded."""
    with _talking(folder, registry, device, memory_budget="596MiB") as (server, client):
        client.pin("joe")
        for _ in range(20):
            _first_sound_ms(client, "joe")
        alone, beside = [], []
        # In turns, so that a noisy minute meets both.
        for _ in range(5):
            alone += [_first_sound_ms(client, "joe") for _ in range(_WARM_REQUESTS // 5)]
            with _Swapper(server.address) as swapper:
                beside += [_first_sound_ms(client, "joe") for _ in range(_WARM_REQUESTS // 5)]
            report_rate = swapper.per_s
    report.add(
        "swaps beside warm voices", report_rate, "per s", _SWAPS_PER_S * 0.9, sense="at_least"
    )
    p99_alone, p99_beside = (float(np.quantile(ms, 0.99)) for ms in (alone, beside))
    report.add("warm TTFA alone, median", statistics.median(alone), "ms")
    report.add("warm TTFA beside swaps, median", statistics.median(beside), "ms")
    report.add("warm TTFA alone, p99", p99_alone, "ms")
    report.add("warm TTFA beside swaps, p99", p99_beside, "ms", peer=p99_alone)
    report.add("p99 beside swaps / p99 alone", p99_beside / p99_alone, "times", 1.5)


def _first_sound_ms(client: Client, voice: str) -> float:
    """Ask, hear the first chunk, hang up."""
    began = time.perf_counter()
    with client.synthesize(voice, LINE) as stream:
        next(iter(stream))
        return (time.perf_counter() - began) * 1e3


class _Swapper:
    """Has another voice loaded, five times a second, for as long as the block lasts."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._swaps = 0
        self._began = time.perf_counter()

    @property
    def per_s(self) -> float:
        """Swaps a second, until the block ended."""
        return self._swaps / (self._ended - self._began)

    def __enter__(self) -> _Swapper:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._ended = time.perf_counter()

    def _run(self) -> None:
        with Client(self._address, timeout_s=60) as client:
            while not self._stop.wait(
                max(0.0, self._began + self._swaps / _SWAPS_PER_S - time.perf_counter())
            ):
                client.load(f"twin-{self._swaps % (_RESIDENTS + 2)}")
                self._swaps += 1


def _styles(report: Report, folder: Path, registry: Registry, device: str) -> None:
    """A further Kokoro voice while its base is resident: all that is loaded is its style."""
    voices = ("kokoro/jm_kumo", "kokoro/jf_gongitsune")
    with _talking(folder, registry, device, memory_budget="2GiB") as (_, client):
        began = time.perf_counter()
        client.load(voices[0])
        report.add("a Kokoro base, loaded", (time.perf_counter() - began) * 1e3, "ms")
        load_ms = []
        for _ in range(_STYLES):
            load_ms.append(client.load(voices[1]).load_ms)
            client.unload(voices[1])  # the base stays: the first voice uses it
    report.add("a further style on it, median", statistics.median(load_ms), "ms", 2.0)
    report.add("a further style on it, p95", float(np.quantile(load_ms, 0.95)), "ms")


def _churn(report: Report, folder: Path, joe: Manifest, registry: Registry, device: str) -> None:
    """Two hundred small voices, twenty of which fit, asked for as Zipf says."""
    size = _add_small(registry, joe)
    popularity = 1 / np.arange(1, _VOICES + 1) ** _ZIPF
    popularity /= popularity.sum()
    random_ = np.random.default_rng(4)
    order = random_.permutation(_VOICES)
    # The workspace and the table come on top of twenty voices; a little is left over.
    settings = {"settle_s": "0.05", "compute_threads": "1"}
    with _talking(folder, registry, device, memory_budget="1GiB", **settings) as (server, client):
        client.load("small-0")
        (ledger,) = client.residents().ledgers
        other = ledger.budget_bytes - ledger.free_bytes - size
        client.set_budget(max(_MIB, other + int((_FITTING + 0.5) * size)))
        for i in range(_WARM_LINES):
            client.say("small-0", "Hi.", seed=i)
        client.unload("small-0")
        hits, trace, samples = 0, [], []
        began = shown = time.perf_counter()
        while len(trace) - hits < _CHURN_SWAPS:
            for voice in random_.choice(order, 250, p=popularity):
                result = client.say(f"small-{voice}", "Hi.", seed=_WARM_LINES + len(trace))
                hits += not result.header.cold
                trace.append(int(voice))
            samples.append((len(trace), _process(server)))
            if time.perf_counter() - shown > 20:
                shown = time.perf_counter()
                print(f"    {len(trace) - hits} of {_CHURN_SWAPS} swaps …", flush=True)
        took = time.perf_counter() - began
    swaps = len(trace) - hits
    offline = _lru_hits(trace, _FITTING) / len(trace)
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


def _add_small(registry: Registry, joe: Manifest) -> int:
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
    table = joe.component("symbols")
    size = 0
    with registry.workdir() as workdir:
        for i in range(_VOICES):
            generator = torch.Generator().manual_seed(i)
            tensors = {
                name: torch.randn(shape, generator=generator) * max(1, np.prod(shape[1:])) ** -0.5
                for name, shape in expected_shapes(architecture).items()
            }
            for name, tensor in tensors.items():
                if name.startswith("dp."):
                    tensor.zero_()  # a frame or two for each symbol: little to compute
            path = workdir / f"{i}.safetensors"
            write_safetensors(as_stored(tensors), path, progress=NullProgress())
            components = (
                DraftComponent("model", path, joe.component("model").media_type),
                DraftComponent("symbols", None, table.media_type, table.digest),
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


@contextlib.contextmanager
def _talking(
    folder: Path, registry: Registry, device: str, **settings: str
) -> Iterator[tuple[BenchServer, Client]]:
    name = registry.objects.name
    # In the type in which these voices are stored: what is mapped then is the whole checkpoint. And
    # with as many threads on every machine: budgets have room for what they compute in.
    chosen = {"arithmetic": "float32", "compute_threads": "2"} | settings
    with (
        serving(name, cache_dir=folder / "cache", device=device, **chosen) as server,
        Client(server.address, timeout_s=60) as client,
    ):
        yield server, client
