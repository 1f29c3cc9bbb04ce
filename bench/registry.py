"""The registry at ten thousand voices: how soon a server is ready, how fast it lists, its costs.

The voices are real manifests of joe under names of their own; all share joe's components. They are
written as `Registry.publish` writes them, without its syncs, which would take minutes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.report import Report
from bench.servers import serving
from bench.turns import Tree, in_turns, tree_of
from voxswap_client import Client
from voxswap_families.embedded import import_embedded
from voxswap_families.vits.embedded import JOE
from voxswap_registry.digests import Digests
from voxswap_registry.draft import DraftComponent, VoiceDraft
from voxswap_registry.layout import blob_key, manifest_key, state_key, voice_object
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_registry.state import Change, VoiceState
from voxswap_registry.store import Registry

_LANGUAGES = ("en-US", "en-GB", "de-DE", "fr-FR", "es-ES", "it-IT", "pl-PL", "zh-CN")
_REGIONS = ("village", "harbour", "castle", "forest", "mine")
_BLOCK_BYTES = 1 << 17

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


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Voices and repetitions."""

    voices: int = 10_000
    starts: int = 9
    pages: int = 200
    publications: int = 15


_USUAL = _Sizes()
_QUICK = _Sizes(starts=2, pages=20, publications=3)
FIGURES = ("publishing", "start", "listing", "memory")


@dataclass(frozen=True, slots=True)
class _Stage:
    """What every figure needs: a registry with many voices, and one with joe alone."""

    report: Report
    sizes: _Sizes
    folder: Path
    small: Registry
    large: Registry
    joe: Manifest
    device: str


def run(
    report: Report,
    *,
    device: str,
    quick: bool = False,
    only: str | None = None,
    against: str | None = None,
) -> None:
    """Measure everything, or one of `FIGURES`; about two minutes.

    With ``against``, listing is measured in turns with a server of that commit.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="voxswap-bench-")))
        tree = None if against is None else stack.enter_context(tree_of(against))
        sizes = _QUICK if quick else _USUAL
        small = Registry(folder / "small")
        import_embedded(small, voices=(JOE,))
        joe = small.resolve(VoiceRef("joe"))
        print(f"making a registry of {sizes.voices} voices …", flush=True)
        large = _large(folder / "large", small, joe, sizes.voices)
        stage = _Stage(report, sizes, folder, small, large, joe, device)
        measures: dict[str, Callable[[], None]] = {
            "publishing": lambda: _publishing(stage),
            "start": lambda: _starts(stage),
            "listing": lambda: _listing(stage, tree),
            "memory": lambda: _memory(stage),
        }
        for figure in FIGURES if only is None else (only,):
            measures[figure]()


def _large(root: Path, small: Registry, joe: Manifest, n: int) -> Registry:
    shutil.copytree(small.objects.name, root)
    for i in range(n - 1):
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


def _publishing(stage: _Stage) -> None:
    """A voice of 63 MB into a fresh folder, beside copying it and hashing it by both digests."""
    report, folder, joe = stage.report, stage.folder, stage.joe
    draft = _draft(stage.small, joe)
    ours, plain, synced = list[float](), list[float](), list[float]()
    for i in range(stage.sizes.publications + 1):
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
    # It also syncs, and reads nothing twice.
    report.add("publishing / copying and hashing", statistics.median(ratios), "times", 2.0)
    ratios = [a / b for a, b in zip(ours, synced, strict=True)]
    report.add("publishing / copying, hashing and syncing", statistics.median(ratios), "times")


def _draft(registry: Registry, manifest: Manifest) -> VoiceDraft:
    """A voice with the components of ``manifest``, to be published elsewhere."""
    components = []
    for component in manifest.components:
        path = registry.objects.path(blob_key(component.digest))
        assert path is not None
        components.append(DraftComponent.instead(component, path))
    draft = VoiceDraft.of(manifest, tuple(components))
    return dataclasses.replace(draft, voice_id="npc/bench")


def _copy_and_hash(draft: VoiceDraft, folder: Path, *, sync: bool) -> None:
    folder.mkdir()
    for component in draft.components:
        assert component.path is not None
        target = folder / component.role
        shutil.copyfile(component.path, target)
        with target.open("rb") as file:
            digests = Digests()
            while block := file.read(_BLOCK_BYTES):
                digests.update(block)
            if sync:
                os.fsync(file.fileno())


def _starts(stage: _Stage) -> None:
    """From spawning a server until its health says SERVING, in turns: many voices, and one."""
    add, sizes = stage.report.add, stage.sizes
    n = f"{sizes.voices:,} voices"
    starts = [
        partial(_start_s, stage.large, stage.folder / "cache-large", stage.device),
        partial(_start_s, stage.small, stage.folder / "cache-small", stage.device),
    ]
    first_s, _ = (start() for start in starts)
    add(f"first start, {n}", first_s, "s")
    many_s, one_s = map(statistics.median, in_turns(sizes.starts, *starts))
    add(f"ready after a start, {n}; peer: 1 voice", many_s, "s", peer=one_s)
    # Whoever adds voices is not to pay at each start: a seventh is what nobody notices.
    add(f"ready after a start, {n} / 1 voice", many_s / one_s, "times", 1.15)


def _start_s(registry: Registry, cache: Path, device: str) -> float:
    began = time.perf_counter()
    with (
        serving(registry.objects.name, cache_dir=cache, device=device) as server,
        Client(server.address, timeout_s=60) as client,
    ):
        client.wait_ready()
        return time.perf_counter() - began


def _listing(stage: _Stage, tree: Tree | None) -> None:
    """The first page of ListVoices; with ``tree``, in turns with a server of that commit."""
    add, sizes = stage.report.add, stage.sizes
    with contextlib.ExitStack() as stack:
        clients = []
        for one in (None,) if tree is None else (None, tree):
            cache = stage.folder / ("cache-large" if one is None else f"cache-{one.name}")
            name = stage.large.objects.name
            server = stack.enter_context(
                serving(name, cache_dir=cache, device=stage.device, tree=one)
            )
            client = stack.enter_context(Client(server.address, timeout_s=60))
            client.wait_ready()
            clients.append(client)
        pages = [partial(_page_ms, client) for client in clients]
        in_turns(5, *pages)
        ours, *theirs = in_turns(sizes.pages, *pages)
        assert sum(1 for _ in clients[0].list_voices(page_size=1000)) == sizes.voices
        assert sum(1 for _ in clients[0].list_voices(language="de", tags=["mine"])) > 0
    median_ms = statistics.median(ours)
    name = f"first page of ListVoices, 100 of {sizes.voices:,}"
    if tree is None:
        add(name, median_ms, "ms")
    else:
        peer = statistics.median(theirs[0])
        add(f"{name}; peer: {tree.name}", median_ms, "ms", peer=peer)
        # As long at most; medians of one commit and itself differ by a twentieth.
        add(f"the same / that of {tree.name}", median_ms / peer, "times", 1.05)
    add("the same, p95", statistics.quantiles(ours, n=20)[-1], "ms")


def _page_ms(client: Client) -> float:
    began = time.perf_counter()
    next(client.list_voices(page_size=100))
    return (time.perf_counter() - began) * 1e3


def _memory(stage: _Stage) -> None:
    """Of the catalog, in processes that do nothing else: a server's own differs by more."""
    add, folder = stage.report.add, stage.folder
    manifests = sum(
        info.size_bytes
        for info in stage.large.objects.list("voices")
        if (found := voice_object(info.key)) is not None and found.kind == "manifest"
    )
    one = _catalog_bytes(stage.small, folder / "memory-small")
    for when in ("first read", "next start"):
        grown = _catalog_bytes(stage.large, folder / "memory") - one
        add(f"catalog's memory, {when}; peer: manifests", grown / 1e6, "MB", peer=manifests / 1e6)
        # An index of all, and some of them parsed: 60 MB for the 24 of ten thousand voices.
        add(f"catalog's memory, {when} / manifests", grown / manifests, "times", 2.5)


def _catalog_bytes(registry: Registry, cache: Path) -> int:
    """Memory of a process that reads the catalog, pages through it and resolves voices."""
    command = [sys.executable, "-c", _READ_ALL, registry.objects.name, str(cache)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout)


def _ms(seconds: list[float]) -> float:
    return 1e3 * statistics.median(seconds)
