"""The registry at ten thousand voices: how soon a server is ready, how fast it lists, its costs.

The voices are real manifests of joe under names of their own; all share joe's components. They are
written as `Registry.publish` writes them, without its syncs, which would take minutes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.report import Report
from voxswap_client import Client
from voxswap_registry.draft import DraftComponent, VoiceDraft
from voxswap_registry.embedded import EMBEDDED, import_embedded
from voxswap_registry.layout import blob_key, manifest_key, state_key
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_registry.state import Change, VoiceState
from voxswap_registry.store import Registry

N_VOICES = 10_000
_LANGUAGES = ("en-US", "en-GB", "de-DE", "fr-FR", "es-ES", "it-IT", "pl-PL", "zh-CN")
_REGIONS = ("village", "harbour", "castle", "forest", "mine")
_STARTS, _PAGES, _PUBLICATIONS = 7, 60, 15

# Prints resident bytes without file pages, which the system may drop, at their highest.
_READ_ALL = """
import re, sys
from pathlib import Path
from voxswap_registry.catalog.catalog import Catalog
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry

def resident():
    return int(re.search(r"RssAnon:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024

with Catalog(Registry(Path(sys.argv[1])), folder=Path(sys.argv[2])) as catalog:
    most = resident()
    catalog.refresh()
    most = max(most, resident())
    for n, listing in enumerate(catalog.listings()):
        if n % 10 == 0:
            catalog.resolve(VoiceRef(listing.voice_id))
    print(max(most, resident()))
"""


def run(report: Report, *, device: str) -> None:
    """Add every figure to ``report``."""
    with tempfile.TemporaryDirectory(prefix="voxswap-bench-") as name:
        folder = Path(name)
        small = Registry(folder / "small")
        import_embedded(small, voices=[voice for voice in EMBEDDED if voice.id == "joe"])
        joe = small.resolve(VoiceRef("joe"))
        print(f"making a registry of {N_VOICES} voices …", flush=True)
        large = _large(folder / "large", small, joe)
        _publishing(report, folder, small, joe)
        _serving(report, folder, small, large, device)


def _large(root: Path, small: Registry, joe: Manifest) -> Registry:
    shutil.copytree(small.objects.name, root)
    for i in range(N_VOICES - 1):
        manifest = dataclasses.replace(
            joe,
            voice_id=f"npc/{_REGIONS[i % len(_REGIONS)]}/folk-{i:05d}",
            language=_LANGUAGES[i % len(_LANGUAGES)],
            tags=(_REGIONS[i % len(_REGIONS)], "adult" if i % 3 else "child"),
            gender=("female", "male")[i % 2],
        )
        _put(root, manifest_key(manifest.voice_id, 1), manifest.to_json())
        if i % 4 == 0:
            state = VoiceState(1, {"stable": 1}, change=Change("promote stable 1", "bench"))
            _put(root, state_key(manifest.voice_id, 1), state.to_json())
    return Registry(root)


def _put(root: Path, key: str, data: bytes) -> None:
    path = root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _publishing(report: Report, folder: Path, small: Registry, joe: Manifest) -> None:
    """A voice of 63 MB into a fresh folder, beside copying and hashing its files."""
    draft = _draft(small, joe)
    ours, plain, synced = [], [], []
    for i in range(_PUBLICATIONS + 1):
        root = folder / "published"
        began = time.perf_counter()
        Registry(root).publish(draft)
        took = [time.perf_counter() - began]
        shutil.rmtree(root)
        for sync in (False, True):
            began = time.perf_counter()
            _copy_and_hash(draft, folder / "copied", sync=sync)
            took.append(time.perf_counter() - began)
            shutil.rmtree(folder / "copied")
        if i:  # The first one warms the page cache.
            for times, seconds in zip((ours, plain, synced), took, strict=True):
                times.append(seconds)
    mib = joe.size_bytes / 1e6
    report.add(f"publishing {mib:.0f} MB", _ms(ours), "ms", peer=_ms(plain))
    ratios = [a / b for a, b in zip(ours, plain, strict=True)]
    report.add("publishing / copying and hashing", statistics.median(ratios), "times", 2.0)
    ratios = [a / b for a, b in zip(ours, synced, strict=True)]
    report.add("publishing / copying, hashing and syncing", statistics.median(ratios), "times")


def _draft(registry: Registry, manifest: Manifest) -> VoiceDraft:
    """A voice with the components of ``manifest``, to be published elsewhere."""
    components = []
    for component in manifest.components:
        path = registry.objects.path(blob_key(component.digest))
        components.append(DraftComponent(component.role, path, component.media_type))
    draft = VoiceDraft.of(manifest, tuple(components))
    return dataclasses.replace(draft, voice_id="npc/bench")


def _copy_and_hash(draft: VoiceDraft, folder: Path, *, sync: bool) -> None:
    folder.mkdir()
    for component in draft.components:
        assert component.path is not None
        target = folder / component.role
        shutil.copyfile(component.path, target)
        with target.open("rb") as file:
            hashlib.file_digest(file, "sha256")
            if sync:
                os.fsync(file.fileno())


def _serving(report: Report, folder: Path, small: Registry, large: Registry, device: str) -> None:
    began = time.perf_counter()
    with _server(large, folder / "cache-large", device):
        report.add("first start, 10,000 voices", time.perf_counter() - began, "s")
    starts, alone = [], []
    with _server(small, folder / "cache-small", device):
        pass
    for _ in range(_STARTS):
        for registry, cache, times in (
            (large, "cache-large", starts),
            (small, "cache-small", alone),
        ):
            began = time.perf_counter()
            with _server(registry, folder / cache, device):
                times.append(time.perf_counter() - began)
    report.add("ready after a start, 10,000 voices", statistics.median(starts), "s", 2.0)
    report.add("ready after a start, 1 voice", statistics.median(alone), "s")

    with _server(large, folder / "cache-large", device) as client:
        pages = []
        for _ in range(_PAGES):
            began = time.perf_counter()
            next(client.list_voices(page_size=100))
            pages.append(time.perf_counter() - began)
        report.add("first page of ListVoices, 100 voices", _ms(pages[5:]), "ms", 20.0)
        report.add("the same, p95", 1e3 * statistics.quantiles(pages[5:], n=20)[-1], "ms")
        assert sum(1 for _ in client.list_voices(page_size=1000)) == N_VOICES
        assert sum(1 for _ in client.list_voices(language="de", tags=["mine"])) > 0

    # In processes that do nothing else: a server's own memory differs by more from run to run.
    one = _catalog_mb(small, folder / "memory-small")
    report.add(
        "catalog's memory, first read", _catalog_mb(large, folder / "memory") - one, "MB", 60
    )
    report.add(
        "catalog's memory, next start", _catalog_mb(large, folder / "memory") - one, "MB", 60
    )


def _catalog_mb(registry: Registry, cache: Path) -> float:
    """Memory of a process that reads the catalog, pages through it and resolves voices."""
    command = [sys.executable, "-c", _READ_ALL, registry.objects.name, str(cache)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout) / 1e6


@contextlib.contextmanager
def _server(registry: Registry, cache: Path, device: str) -> Iterator[Client]:
    """A server in a process of its own, from its start to the moment that it says it serves."""
    command = [
        sys.executable, "-m", "voxswap_server", "--registry", registry.objects.name,
        "--cache-dir", str(cache), "--listen", "127.0.0.1:0", "--metrics-listen", "off",
        "--device", device, "--log-level", "error",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().rpartition(" ")[2].strip()
            with Client(address, timeout_s=60) as client:
                client.wait_ready()
                yield client
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate()


def _ms(seconds: list[float]) -> float:
    return 1e3 * statistics.median(seconds)
