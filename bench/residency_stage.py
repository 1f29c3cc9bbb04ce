"""What the figures of residency share: voices, servers with room for them, how much to measure."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.report import Report
from bench.servers import BenchServer, serving
from bench.turns import Tree
from voxswap_client import Client, Ledger, Tier
from voxswap_registry.draft import DraftComponent, VoiceDraft
from voxswap_registry.layout import blob_key
from voxswap_registry.manifest import Manifest
from voxswap_registry.store import Registry

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Sizes:
    """Repetitions, seconds and numbers of voices."""

    checks: int = 15
    warm: int = 30
    swaps: int = 60
    against: int = 60  # swaps of each commit
    residents: int = 8
    styles: int = 60
    # Warm requests beside swaps: turns, requests of each turn, alone and beside; swaps a second.
    turns: int = 10
    turn_requests: int = 60
    swaps_per_s: float = 5.0
    # Churn of small voices: as many, as many of them in memory, and misses.
    voices: int = 200
    fitting: int = 20
    churn_swaps: int = 10_000
    # Memory and books: voices, as many of them in memory, streams beside them, seconds.
    book_voices: int = 60
    book_fitting: int = 6
    streams: int = 8
    books_s: float = 90.0


USUAL = Sizes()
QUICK = Sizes(
    checks=5,
    warm=10,
    swaps=14,
    against=8,
    residents=4,
    styles=10,
    turns=2,
    turn_requests=30,
    voices=40,
    churn_swaps=300,
    book_voices=12,
    books_s=12.0,
)


@dataclass(frozen=True, slots=True)
class Stage:
    """What every figure needs. ``joe`` and its twins are in ``registry``."""

    report: Report
    sizes: Sizes
    folder: Path
    registry: Registry
    joe: Manifest
    device: str

    @property
    def size_bytes(self) -> int:
        """Of joe's checkpoint, and of each twin's."""
        return self.joe.component("model").size_bytes

    @contextlib.contextmanager
    def talking(
        self, *, tree: Tree | None = None, **settings: str
    ) -> Iterator[tuple[BenchServer, Client]]:
        """A server, of this tree or another, and a client of it.

        With as many threads on every machine, so that steps are the same ones.
        """
        chosen: dict[str, Any] = {
            "compute_threads": "2",
            "memory_budget": "8GiB",
            "device": self.device,
        }
        cache = self.folder / ("cache" if tree is None else f"cache-{tree.name}")
        name = self.registry.objects.name
        with (
            serving(name, cache_dir=cache, tree=tree, **(chosen | settings)) as server,
            Client(server.address, timeout_s=60) as client,
        ):
            yield server, client


# 0.001 as bfloat16, and as the upper half of a float.
_NEAR_ZERO = 0x3A83


def add_twins(registry: Registry, joe: Manifest, n: int, *, first: int = 0) -> None:
    """``twin-<first>`` and so on: joe with another last weight each, so 63 MB of their own."""
    path = registry.objects.path(blob_key(joe.component("model").digest))
    assert path is not None
    data = bytearray(path.read_bytes())
    with registry.workdir() as workdir:
        for i in range(first, first + n):
            data[-2:] = np.uint16(_NEAR_ZERO + i).tobytes()
            twin = workdir / f"{i}.safetensors"
            twin.write_bytes(data)
            components = (
                DraftComponent.instead(joe.component("model"), twin),
                DraftComponent.stored(joe.component("symbols")),
            )
            draft = dataclasses.replace(VoiceDraft.of(joe, components), voice_id=f"twin-{i}")
            registry.publish(draft)
            twin.unlink()


def ledger_of(client: Client) -> Ledger:
    """The books of the device."""
    return next(x for x in client.residents().ledgers if x.tier is Tier.DEVICE)


def charged_bytes(client: Client) -> int:
    """All that these books have: parts, loads under way, what is being freed, workspace."""
    ledger = ledger_of(client)
    return ledger.budget_bytes - ledger.free_bytes


def taken_bytes(client: Client) -> int:
    """All of that but what streams may take and have not."""
    ledger = ledger_of(client)
    unused = ledger.for_streams_bytes - ledger.streams_bytes
    return ledger.budget_bytes - ledger.free_bytes - unused


def make_room(client: Client, voices: int, *, like: str, size_bytes: int) -> None:
    """A budget for so many voices as ``like``, of ``size_bytes`` each, and half of one more.

    What else a budget has to hold, a server of any commit says itself: it is charged for that once
    it has loaded such a voice.
    """
    client.load(like)
    other = charged_bytes(client) - size_bytes
    client.set_budget(max(MIB, other + int((voices + 0.5) * size_bytes)))
