"""``scripts/soak --hostile``: what strangers may send, in numbers, at servers that must not mind.

``scripts/soak --memory`` is `bench.memory_soak`.

Every attack is drawn from ``--seed``. Those on a live server share one, which is looked at before
and after: the same voice, no lease, no more memory, threads or descriptors than before.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt

from bench import memory_soak
from bench.hostile import manifests, messages, reading, shutdown, uploads
from bench.hostile.uploads import Request
from bench.report import Report
from bench.servers import BenchServer, serving
from voxswap.v1 import residency_pb2, residency_pb2_grpc, voices_pb2, voices_pb2_grpc
from voxswap_client import Client, VoxswapClientError
from voxswap_families.embedded import import_embedded
from voxswap_families.vits.embedded import JOE
from voxswap_registry.layout import blob_key, manifest_key
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry

LINE = "Nobody is to change what I say, and nobody has to wait for it."
# A rounding of float32 that moves with the lengths of steps: 0.1 % of full scale.
_SAME = 33 / 32_768
_WARM_LINES = 40
_EARLY_SHARE, _LEAST_EARLY = 0.2, 100
_CRASHES = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL})

Attack = Callable[["House", int, int], None]


# Caches of objects; see `Metrics.watch_beside`.
_KEPT = ("catalog", "plans", "messages")


@dataclass(frozen=True, slots=True)
class Books:
    """What a server holds at one moment."""

    leases: int
    memory_bytes: int  # without kept ones
    kept_bytes: int  # within limits of their own, as the server counts them
    threads: int
    descriptors: int


@dataclass(slots=True)
class House:
    """A live server with its registry, and where figures go."""

    report: Report
    server: BenchServer
    registry: Registry
    log: Path

    def say(self) -> npt.NDArray[np.int32]:
        """joe's line, always with one seed."""
        with Client(self.server.address, timeout_s=120) as client:
            audio = client.say("joe@1", LINE, seed=7).audio
        return np.frombuffer(audio, "<i2").astype(np.int32)

    def books(self) -> Books:
        """After a moment's rest."""
        with grpc.insecure_channel(self.server.address) as channel:
            stub = residency_pb2_grpc.ResidencyServiceStub(channel)
            request = residency_pb2.ListResidentsRequest()
            for _ in range(100):
                leases = sum(r.leases for r in stub.ListResidents(request, timeout=60).residents)
                if not leases:
                    break
                time.sleep(0.1)
        server = self.server
        of = (f'voxswap_beside_bytes{{what="{what}"}}' for what in _KEPT)
        kept = round(sum(map(server.metric, of)))
        memory = server.memory_bytes("Anonymous") - kept
        return Books(leases, memory, kept, server.threads(), server.descriptors())

    def tracebacks(self) -> int:
        """How many stand in the server's log; says what the first of them were."""
        found = re.findall(
            r"^Traceback.*?\n(?=\S)(.*?)$", self.log.read_text(errors="replace"), re.M | re.S
        )
        for what, n in Counter(line[:120] for line in found).most_common(5):
            print(f"    {n} times: {what}", flush=True)
        return len(found)


def attack_messages(house: House, count: int, seed: int) -> None:
    """Mutated messages over all methods, health and reflection too."""
    tally = asyncio.run(
        messages.send(house.server.address, islice(messages.calls(seed), count), at_once=32)
    )
    for call, code, details in tally.faults[:5]:
        print(f"    {code} {call.path!r} {details[:120]}", flush=True)
    add = house.report.add
    add("messages: sent", sum(tally.codes.values()), "calls", count, sense="at_least")
    add("messages: UNKNOWN or INTERNAL", tally.of("UNKNOWN", "INTERNAL"), "calls", 0)


def attack_uploads(house: House, count: int, seed: int) -> None:
    """Uploads that end in every way but by commit."""
    joe = house.registry.resolve(VoiceRef("joe"))
    path = house.registry.objects.path(blob_key(joe.component("symbols").digest))
    assert path is not None
    symbols, before = path.read_bytes(), _stored(house.registry)
    sent = [
        uploads.upload_of(
            joe.to_json(), f"soak/s{seed}v{n}", "symbols", symbols + b" " * (150_000 + n)
        )
        for n in range(count)
    ]
    ended = asyncio.run(uploads.end(house.server.address, sent, seed))
    for _ in range(100):
        if (after := _stored(house.registry)) == before:
            break
        time.sleep(0.1)
    house.report.add(
        "uploads: ended without commit", ended.total(), "uploads", count, sense="at_least"
    )
    house.report.add("uploads: objects left", len(after ^ before), "objects", 0)


def attack_manifests(house: House, count: int, seed: int) -> None:
    """Manifests over the wire and straight in the store; whatever is taken has to speak or fail."""
    joe = house.registry.resolve(VoiceRef("joe"))
    valid: dict[str, Any] = json.loads(joe.to_json()) | {"voice_id": f"hostile/s{seed}"}
    ended: Counter[str] = Counter()
    with grpc.insecure_channel(house.server.address) as channel:
        stub = voices_pb2_grpc.VoiceServiceStub(channel)
        drawn = (
            *manifests.manifests(valid, seed, count),
            *manifests.architectures(valid, seed, count // 4),
        )
        for data in drawn:
            whole = (Request(manifest_json=data), Request(commit=voices_pb2.UploadCommit()))
            try:
                stub.RegisterVoice(iter(whole), timeout=60)
                ended["OK"] += 1
            except grpc.RpcError as error:
                ended[error.code().name] += 1
    spoken: Counter[str] = Counter()
    planted = manifests.manifests(valid, seed + 1, count)
    for n, data in enumerate(planted):
        voice = f"planted/s{seed}v{n}"
        house.registry.objects.create(manifest_key(voice, 1), _of_voice(data, voice))
        house.registry.journal.note(voice)
    with Client(house.server.address, timeout_s=60) as client:
        for _ in range(600):
            listed = [v.id for v in client.list_voices(prefix=f"planted/s{seed}v")]
            if len(listed) >= count:
                break
            time.sleep(0.1)
        versions = client.get_voice_details(f"hostile/s{seed}").versions if ended["OK"] else ()
        for voice in (*listed, *(f"hostile/s{seed}@{version}" for version in versions)):
            try:
                client.say(voice, "Hello.", seed=1)
                spoken["OK"] += 1
            except VoxswapClientError as error:
                spoken[error.code] += 1
    add = house.report.add
    add("manifests: sent", ended.total(), "uploads", count, sense="at_least")
    add("manifests: UNKNOWN or INTERNAL", ended["UNKNOWN"] + ended["INTERNAL"], "uploads", 0)
    add("manifests: taken", ended["OK"], "voices")
    add("manifests: voices spoken or refused", spoken.total(), "voices")
    add("manifests: UNKNOWN when spoken", spoken["UNKNOWN"], "voices", 0)


def _of_voice(data: bytes, voice: str) -> bytes:
    """A manifest as ``voice``'s first, so that it is not refused for its name alone."""
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError):
        return data
    if not isinstance(raw, dict):
        return data
    return json.dumps(raw | {"voice_id": voice, "version": 1}).encode(errors="replace")


LIVE: dict[str, tuple[int, Attack]] = {
    "messages": (50_000, attack_messages),
    "texts": (20_000, reading.attack),
    "manifests": (500, attack_manifests),
    "uploads": (400, attack_uploads),
}


def run_live(report: Report, names: list[str], scale: float, seed: int) -> None:
    """Attacks on one live server."""
    with _house(report) as house:
        for _ in range(_WARM_LINES):
            before_audio = house.say()
        # Threads are made and caches filled when they are first needed: by attacks of every kind.
        early = House(Report("warming up"), house.server, house.registry, house.log)
        for name in names:
            count, attack = LIVE[name]
            attack(early, max(_LEAST_EARLY, round(count * scale * _EARLY_SHARE)), seed + 1000)
        before = house.books()
        for name in names:
            count, attack = LIVE[name]
            print(f"  {name} …", flush=True)
            began = time.monotonic()
            attack(house, max(1, round(count * scale)), seed)
            report.add(f"{name}: took", time.monotonic() - began, "s")
        after_audio, after = house.say(), house.books()
        house.say()
        same = before_audio.shape == after_audio.shape
        apart = float(np.abs(after_audio - before_audio).max()) / 32_768 if same else 2.0
        report.add("server: same samples, largest difference", apart, "of 1", _SAME)
        report.add("server: leases left", after.leases, "leases", 0)
        report.add("server: tracebacks in the log", house.tracebacks(), "tracebacks", 0)
        grown = after.memory_bytes / before.memory_bytes
        report.add("server: anonymous memory, less what is kept", grown, "of before", 1.05)
        for when, books in (("before", before), ("after", after)):
            report.add(f"server: that memory, {when}", books.memory_bytes / 2**20, "MiB")
            report.add(f"server: kept {when}, within limits", books.kept_bytes / 2**20, "MiB")
        report.add("server: threads", after.threads - before.threads, "more", 2)
        report.add("server: descriptors", after.descriptors - before.descriptors, "more", 4)


@contextlib.contextmanager
def _house(report: Report) -> Iterator[House]:
    with tempfile.TemporaryDirectory(prefix="voxswap-soak-") as name:
        folder = Path(name)
        registry = Registry(folder / "registry")
        import_embedded(registry, voices=(JOE,))
        log = folder / "log"
        settings: dict[str, Any] = {
            "memory_budget": "1536MiB",
            "max_uploads": "32",
            "log_level": "warning",
            "metrics_listen": "127.0.0.1:0",
            "http_listen": "off",
        }
        with serving(
            folder / "registry", cache_dir=folder / "cache", log=log, **settings
        ) as server:
            yield House(report, server, registry, log)


def _stored(registry: Registry) -> set[str]:
    """Keys of all that an upload could leave."""
    folders = ("voices", "blobs", "publishing")
    found = {info.key for folder in folders for info in registry.objects.list(folder)}
    tmp = Path(str(registry.objects.name)) / "tmp"
    return found | {str(path) for path in (tmp.iterdir() if tmp.is_dir() else ())}


def run_graphs(report: Report, count: int, seed: int) -> None:
    """Graphs at import, and run where they are taken, in a process of their own."""
    command = [sys.executable, "-m", "tests.families.hostile_graphs", str(seed), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    last = done.stdout.strip().splitlines()[-1:]
    if done.returncode:
        print(f"    died ({done.returncode}) of {last}\n{done.stderr[-2000:]}", flush=True)
    report.add("graphs: processes that died", float(done.returncode != 0), "processes", 0)
    if not done.returncode:
        for outcome, n in json.loads(last[0]).items():
            report.add(f"graphs: {outcome}", n, "bytes" if outcome.endswith("bytes") else "graphs")


def run_kills(report: Report, count: int, seed: int) -> None:
    """kill -9 at random writes."""
    command = [sys.executable, "-m", "bench.hostile.kills", "--kills", str(count)]
    done = subprocess.run(
        [*command, "--seed", str(seed)], capture_output=True, text=True, check=False
    )
    print("    " + done.stdout.strip().replace("\n", "\n    "), flush=True)
    if done.returncode:
        print(done.stderr[-3000:], flush=True)
    report.add(
        "kills: registries found unsound", float(done.returncode != 0), f"of {count} kills", 0
    )


def run_shutdown(report: Report, count: int, seed: int) -> None:
    """SIGTERM at random moments, with random hangs."""
    with tempfile.TemporaryDirectory(prefix="voxswap-soak-") as name:
        registry = Registry(Path(name))
        import_embedded(registry, voices=(JOE,))
        late, longest, longest_s, statuses = 0, 0.0, 0.0, Counter[int]()
        for one in shutdown.tries(seed, count):
            outcome = shutdown.attempt(one, Path(name))
            late += outcome.took_s > outcome.most_s
            longest_s = max(longest_s, outcome.took_s - one.grace_s)
            longest = max(longest, outcome.took_s / outcome.most_s)
            statuses[outcome.status] += 1
            if -outcome.status in _CRASHES:
                print(f"    {one}: status {outcome.status}\n{outcome.errors[-4000:]}", flush=True)
            if outcome.took_s > outcome.most_s:
                print(f"    {one}: {outcome.took_s:.2f} s of {outcome.most_s:g}", flush=True)
        report.add("shutdown: tries", count, "servers")
        report.add("shutdown: later than grace + 5 s", late, "servers", 0)
        report.add("shutdown: longest beyond the grace", longest_s, "s")
        # The server's own clock gives it that long, on every machine.
        report.add("shutdown: longest / grace + 5 s", longest, "times", 1)
        for status, n in sorted(statuses.items()):
            report.add(f"shutdown: exit status {status}", n, "servers")


APART: dict[str, tuple[int, Callable[[Report, int, int], None]]] = {
    "graphs": (300, run_graphs),
    "kills": (500, run_kills),
    "shutdown": (200, run_shutdown),
}


def main() -> int:
    """Attack; 0 if every bound is kept."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--hostile", action="store_true", help="what strangers may send")
    parser.add_argument(
        "--memory", action="store_true", help="the heart of memory, a million events"
    )
    parser.add_argument("--seconds", type=float, help="with --memory: at most so long")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join((*LIVE, *APART))}")
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers (default: 1)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    arguments = parser.parse_args()
    if arguments.hostile == arguments.memory:
        parser.error("name what to soak with: --hostile or --memory")
    if arguments.memory:
        report = Report("memory soak")
        memory_soak.soak(report, arguments.scale, arguments.seed, arguments.seconds)
        return _told(report, arguments.json)
    names = arguments.names or [*LIVE, *APART]
    if unknown := set(names) - LIVE.keys() - APART.keys():
        parser.error(
            f"there is no {', '.join(sorted(unknown))}; there are {', '.join((*LIVE, *APART))}"
        )
    report = Report("soak")
    if live := [name for name in names if name in LIVE]:
        run_live(report, live, arguments.scale, arguments.seed)
    for name in names:
        if name in APART:
            count, attack = APART[name]
            print(f"  {name} …", flush=True)
            attack(report, max(1, round(count * arguments.scale)), arguments.seed)
    return _told(report, arguments.json)


def _told(report: Report, path: Path | None) -> int:
    print(report.table())
    if path:
        path.write_text(report.json())
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
