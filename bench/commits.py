"""A server of this tree beside one of another commit, in turns: nothing may have become slower."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Literal

from bench.first_sound_load import audio_per_s, paced_levels
from bench.lines import LINE, speeches
from bench.load import Clients, Target, offer
from bench.report import Report
from bench.servers import BenchServer, serving
from bench.turns import Tree, in_turns, tree_of
from voxswap_client import Client
from voxswap_families.embedded import import_embedded
from voxswap_families.kokoro.embedded import VOICES
from voxswap_families.vits.embedded import JOE
from voxswap_registry.draft import DraftComponent, VoiceDraft
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry

_MOST = 1.05
_CLIENTS, _LOAD_S = 8, 12.0
# Of the seconds of audio that the other commit makes in a second; and of its first sound.
_READERS, _LEVEL_S, _LATE = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 1.8, 2.2, 2.6), 12.0, 5.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def run(report: Report, *, device: str, against: str | None = None, quick: bool = False) -> None:
    """First sounds, whole lines, clients, readers, swaps, starts, memory; about twelve minutes.

    Each server has a registry of its own, and in it what its imports would write: packed weights
    are newer than some commits that are worth comparing with.
    """
    if against is None:
        raise SystemExit("commits needs --against COMMIT")
    rounds = 3 if quick else 30
    with (
        tree_of(against) as tree,
        tempfile.TemporaryDirectory(prefix="voxswap-bench-") as folder,
        contextlib.ExitStack() as stack,
    ):
        _add_voices(Registry(_registry(Path(folder), None)), "auto")
        _add_voices(Registry(_registry(Path(folder), tree)), "float32")
        begin = partial(_server, Path(folder), device)
        _add(report, "start", "s", *in_turns(2 if quick else 6, *_starts(begin, tree)))
        servers = [stack.enter_context(begin(None)), stack.enter_context(begin(tree))]
        clients = [stack.enter_context(Client(s.address, timeout_s=120)) for s in servers]

        def both(measure: Callable[[Client], float]) -> list[Callable[[], float]]:
            return [partial(measure, client) for client in clients]

        late_ms = 0.0
        for name, voice, n in (
            ("joe", "bench/joe", rounds),
            ("Kokoro", "bench/kokoro", rounds // 3),
        ):
            in_turns(3, *both(partial(_first_ms, voice)))
            first = in_turns(n, *both(partial(_first_ms, voice)))
            _add(report, f"{name}, warm TTFA", "ms", *first)
            late_ms = late_ms or _LATE * statistics.median(first[1])
            _add(report, f"{name}, whole line", "ms", *in_turns(n, *both(partial(_line_ms, voice))))
        _add(report, "swap to first audio", "ms", *in_turns(rounds, *both(_swap_ms)))
        loads = [partial(_load, server) for server in servers]
        found = [[load(turn) for load in loads] for turn in range(1 if quick else 4)]
        ours, theirs = zip(*found, strict=True)
        _add(report, f"{_CLIENTS} clients, time for a second of audio", "s",
             [1 / per_s for per_s, _ in ours], [1 / per_s for per_s, _ in theirs])  # fmt: skip
        _add(report, f"{_CLIENTS} clients, CPU for a second of audio", "s",
             [cpu for _, cpu in ours], [cpu for _, cpu in theirs])  # fmt: skip
        if not quick:
            per_s = statistics.median(per_s for per_s, _ in theirs)
            ours_held, theirs_held = (_readers(server, per_s, late_ms) for server in servers)
            report.add("paced readers, no underrun", ours_held, "", peer=theirs_held)
            report.add(
                "paced readers of the other commit / these", theirs_held / ours_held, "times", _MOST
            )
        memory = [server.memory_bytes("Anonymous") / (1 << 20) for server in servers]
        _add(report, "anonymous memory in the end", "MiB", *([figure] for figure in memory))


def _add(report: Report, figure: str, unit: str, ours: list[float], theirs: list[float]) -> None:
    now, then = statistics.median(ours), statistics.median(theirs)
    report.add(figure, now, unit, peer=then)
    report.add(f"{figure} / that of the other commit", now / then, "times", _MOST)


def _registry(folder: Path, tree: Tree | None) -> Path:
    return folder / ("registry" if tree is None else f"registry-{tree.name}")


def _add_voices(registry: Registry, dtype: Literal["auto", "float32"]) -> None:
    """Copies of joe and of a Kokoro voice, as an older tree's importers would describe them."""
    import_embedded(registry, voices=(JOE, VOICES[0]), dtype=dtype)
    for name, ref in (("joe", "joe"), ("twin", "joe"), ("kokoro", VOICES[0].id)):
        known = registry.resolve(VoiceRef(ref))
        draft = dataclasses.replace(VoiceDraft.of(known, _components(known)), controls=None)
        registry.publish(dataclasses.replace(draft, voice_id=f"bench/{name}"))


def _components(manifest: Manifest) -> tuple[DraftComponent, ...]:
    return tuple(map(DraftComponent.stored, manifest.components))


@contextlib.contextmanager
def _server(folder: Path, device: str, tree: Tree | None) -> Iterator[BenchServer]:
    cache = folder / ("cache" if tree is None else f"cache-{tree.name}")
    registry = str(_registry(folder, tree))
    with serving(registry, cache_dir=cache, tree=tree, device=device) as server:
        yield server


def _starts(
    begin: Callable[[Tree | None], contextlib.AbstractContextManager[BenchServer]], tree: Tree
) -> Iterator[Callable[[], float]]:
    def start(which: Tree | None) -> float:
        began = time.perf_counter()
        with begin(which):
            return time.perf_counter() - began

    yield partial(start, None)
    yield partial(start, tree)


def _first_ms(voice: str, client: Client) -> float:
    return float(client.say(voice, LINE).ttfa_ms)


def _line_ms(voice: str, client: Client) -> float:
    began = time.perf_counter()
    client.say(voice, LINE, pacing="none")
    return (time.perf_counter() - began) * 1e3


def _swap_ms(client: Client) -> float:
    """From unloaded to the first sound; its file is in the page cache."""
    client.unload("bench/joe")
    result = client.say("bench/joe", LINE)
    assert result.header.cold
    return float(result.ttfa_ms)


def _load(server: BenchServer, turn: int) -> tuple[float, float]:
    """Seconds of audio a second, and of a processor for each."""
    load = Clients(_CLIENTS, _LOAD_S, speeches(turn), paced=False, voice="bench/joe")
    before = _cpu_s(server.pid)
    outcome = offer(Target("grpc", server.address), load)
    per_s = audio_per_s(outcome)
    return per_s, (_cpu_s(server.pid) - before) / (per_s * outcome.duration_s)


def _readers(server: BenchServer, per_s: float, late_ms: float) -> int:
    """As many as none hears a gap, and 95 % hear something before it is late."""
    levels = paced_levels(
        Target("grpc", server.address),
        [share * per_s for share in _READERS], _LEVEL_S, late_ms, voice="bench/joe",
    )  # fmt: skip
    return max((level.readers for level in levels if level.holds), default=0)


def _cpu_s(pid: int) -> float:
    """Of the process and all of its threads."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / _TICKS_PER_S
