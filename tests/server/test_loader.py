"""The voice loader: what it refuses before it reads anything, and where it can be stopped."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from tests.fakes.family import SYMBOLS, FakeEngine
from tests.fakes.manifests import digest_of
from tests.registry.drafts import blob_path, make_draft
from voxswap_families.contract import DevicePart
from voxswap_registry.errors import (
    DigestMismatchError,
    EngineError,
    GraphNotTrustedError,
    ManifestError,
)
from voxswap_registry.graphs import GraphTrust
from voxswap_registry.manifest import Audio, FrontEndSpec, Manifest
from voxswap_registry.store import Registry
from voxswap_server.memory.plans import Lane
from voxswap_server.residency import loader as loader_module
from voxswap_server.residency.errors import FabricatedVoiceError
from voxswap_server.residency.estimates import Tier
from voxswap_server.residency.host_tier import HostTier
from voxswap_server.residency.lease import Lease
from voxswap_server.residency.loader import VoiceLoader
from voxswap_server.residency.manager import ModelManager

LIMIT = 4 << 20


class LoaderFixture:
    """A registry with one voice, and a loader with a fake engine."""

    def __init__(self, folder: Path, symbols: bytes = SYMBOLS) -> None:
        self.registry = registry = Registry(folder / "registry")
        draft = make_draft(folder, engine="fake", front_end=FrontEndSpec("characters"))
        (folder / "symbols.json").write_bytes(symbols)
        self.manifest = registry.publish(draft)
        self.engine = FakeEngine()
        self.host_tier = HostTier(1 << 20)
        self.loader = VoiceLoader(
            registry.components,
            {"fake": self.engine},
            largest_chunk_s=2.0,
            host_tier=self.host_tier,
        )

    def load(self, role: str, cancelled: Callable[[], bool] = lambda: False) -> DevicePart:
        plan = self.loader.plan(self.manifest)
        (part,) = (part for part in plan.parts if part.role == role)
        return self.loader.load(plan, part, cancelled)


def with_symbols_of(manifest: Manifest, size_bytes: int) -> Manifest:
    components = tuple(
        dataclasses.replace(c, size_bytes=size_bytes) if c.role == "symbols" else c
        for c in manifest.components
    )
    return dataclasses.replace(manifest, components=components)


def test_a_voice_is_checked_and_loaded(tmp_path: Path) -> None:
    fixture = LoaderFixture(tmp_path)
    fixture.loader.check(fixture.manifest)
    plan = fixture.loader.plan(fixture.manifest)
    parts = {role: fixture.load(role) for role in ("model", "symbols")}
    assert {p.role: p.footprint_bytes for p in plan.parts} == {
        role: part.resident_bytes for role, part in parts.items()
    }
    assert plan.lanes == (Lane("fake", 2000),)
    voice = fixture.loader.assemble(plan, parts)
    assert voice.ref == fixture.manifest.ref
    assert fixture.engine.reads == ["model"]
    assert fixture.loader.plan(fixture.manifest) is plan


def test_a_voice_that_was_made_up_is_for_who_asks_for_such(tmp_path: Path) -> None:
    fixture = LoaderFixture(tmp_path)
    made_up = dataclasses.replace(fixture.manifest, fabricated=True)
    for ask in (fixture.loader.check, fixture.loader.plan):
        with pytest.raises(FabricatedVoiceError, match="npc/smith@1 was made up") as raised:
            ask(made_up)
        assert "--allow-fabricated" in str(raised.value)
    fixture.loader = VoiceLoader(
        fixture.registry.components, {"fake": fixture.engine}, allow_fabricated=True
    )
    assert fixture.loader.plan(made_up).manifest is made_up


@pytest.fixture
def models_are_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader_module, "graph_roles", lambda engine: {"model"})


@pytest.mark.usefixtures("models_are_graphs")
def test_a_graph_is_read_only_if_it_is_trusted(tmp_path: Path) -> None:
    fixture = LoaderFixture(tmp_path)
    with pytest.raises(GraphNotTrustedError):  # no trust was given at all
        fixture.load("model")
    digest = fixture.manifest.component("model").digest
    for named, signed in (((), False), ((digest,), False), ((), True)):
        trust = GraphTrust(fixture.registry.objects, named=named, all_signed=signed)
        components, engines = fixture.registry.components, {"fake": fixture.engine}
        fixture.loader = VoiceLoader(components, engines, graphs=trust)
        fixture.engine.reads.clear()
        if named or signed:
            fixture.load("model")
            assert fixture.engine.reads == ["model"]
        else:
            with pytest.raises(GraphNotTrustedError, match="the model of npc/smith"):
                fixture.load("model")
            assert fixture.engine.reads == []
        # What comes over the wire is signed by nobody yet.
        if named:
            fixture.loader.check_graphs(fixture.manifest)
        else:
            with pytest.raises(GraphNotTrustedError):
                fixture.loader.check_graphs(fixture.manifest)


def test_parts_are_shared_by_bytes_and_form_and_by_nothing_else(tmp_path: Path) -> None:
    fixture = LoaderFixture(tmp_path)
    keys = [part.key for part in fixture.loader.plan(fixture.manifest).parts]

    def with_changes(**changes: Any) -> list[str]:
        # The plan is remembered by reference; another manifest under it is another voice.
        changed = dataclasses.replace(fixture.manifest, **changes)
        return [part.key for part in fixture.loader.plan(changed).parts]

    assert with_changes(version=2, licence="other", defaults={"noise_scale": 0.5}) == keys
    model, table = with_changes(engine_config={"layers": 7})
    assert (model != keys[0], table) == (True, keys[1])
    for change in (
        {"language": "de"},
        {"front_end": FrontEndSpec("characters", {"lowercase": True})},
    ):
        model, table = with_changes(**change)
        assert (model, table != keys[1]) == (keys[0], True)
    other = tuple(
        dataclasses.replace(c, digest=digest_of(c.role)) for c in fixture.manifest.components
    )
    assert not set(with_changes(components=other)) & set(keys)


def with_blake3(manifest: Manifest, blake3: str | None) -> Manifest:
    components = tuple(dataclasses.replace(c, blake3=blake3) for c in manifest.components)
    return dataclasses.replace(manifest, voice_id="other", components=components)


async def test_a_manifest_that_lies_about_its_blake3_fails_alone(tmp_path: Path) -> None:
    fixture = LoaderFixture(tmp_path)
    liar = with_blake3(fixture.manifest, "0" * 64)
    with ThreadPoolExecutor(4) as executor:
        manager = ModelManager(fixture.loader, executor, budget_bytes=1 << 30)
        for _ in range(2):
            outcomes = await asyncio.gather(
                *map(manager.acquire, (liar, fixture.manifest, liar)), return_exceptions=True
            )
            assert [type(outcome) for outcome in outcomes] == [ManifestError, Lease, ManifestError]
            with outcomes[1]:
                assert outcomes[1].loaded.ref == fixture.manifest.ref
        assert fixture.registry.components.quarantined() == ()
        await manager.close()


@pytest.mark.usefixtures("models_are_graphs")
def test_a_graph_is_checked_by_the_name_that_operators_trust(tmp_path: Path) -> None:
    """So one base serves the manifests that have a BLAKE3 of it, and those that have none."""
    fixture = LoaderFixture(tmp_path)
    trust = GraphTrust(fixture.registry.objects, named=(), all_signed=True)
    fixture.loader = VoiceLoader(
        fixture.registry.components, {"fake": fixture.engine}, graphs=trust
    )
    plans = [
        fixture.loader.plan(manifest)
        for manifest in (fixture.manifest, with_blake3(fixture.manifest, None))
    ]
    assert {plan.parts[0].key for plan in plans} == {plans[0].parts[0].key}
    assert plans[0].parts[1].key != plans[1].parts[1].key

    # Planted bytes, under a trusted name, and a manifest with their BLAKE3.
    planted = b"a graph"
    path = blob_path(fixture.registry, fixture.manifest.component("model"))
    path.chmod(0o644)
    path.write_bytes(planted)
    plan = fixture.loader.plan(with_blake3(fixture.manifest, blake3(planted).hexdigest()))
    with pytest.raises(DigestMismatchError):
        fixture.loader.load(plan, plan.parts[0], lambda: False)


def test_what_the_host_tier_keeps_is_read_once(tmp_path: Path) -> None:
    fixture = LoaderFixture(tmp_path)
    fixture.engine.host_bytes = 100
    plan = fixture.loader.plan(fixture.manifest)
    assert [fixture.loader.tier(part) for part in plan.parts] == [Tier.DISK, Tier.DISK]
    fixture.load("model")
    fixture.load("model")
    assert fixture.engine.reads == ["model"]
    assert [fixture.loader.tier(part) for part in plan.parts] == [Tier.HOST, Tier.DISK]
    assert fixture.host_tier.statistics().resident_bytes == 100
    fixture.host_tier.check_integrity()
    fixture.host_tier.clear()
    fixture.load("model")
    assert fixture.engine.reads == ["model", "model"]


def test_an_unknown_engine_is_named(tmp_path: Path) -> None:
    fixture = LoaderFixture(tmp_path)
    with pytest.raises(EngineError, match="needs the engine 'kazoo', and this server has fake"):
        fixture.loader.plan(dataclasses.replace(fixture.manifest, engine="kazoo"))


def test_too_large_a_symbol_table_is_refused_unread(tmp_path: Path) -> None:
    fixture = LoaderFixture(tmp_path)
    fixture.loader.plan(with_symbols_of(fixture.manifest, LIMIT))
    large = with_symbols_of(fixture.manifest, LIMIT + 1)
    with pytest.raises(ManifestError, match="has 4194305 bytes, more than the 4194304"):
        fixture.loader.plan(large)


@pytest.mark.parametrize(
    "symbols",
    [b"[" * 100_000, b'{"layout": ' + b"[" * 500 + b"]" * 500 + b"}", b'{"a": ' + b"9" * 5000],
)
def test_a_symbol_table_that_is_none_is_the_manifests_fault(tmp_path: Path, symbols: bytes) -> None:
    fixture = LoaderFixture(tmp_path, symbols)
    with pytest.raises(ManifestError, match="symbol table"):
        fixture.load("symbols")


@pytest.mark.parametrize("role", ["model", "symbols"])
def test_a_load_can_be_stopped_wherever_it_looks(tmp_path: Path, role: str) -> None:
    """It looks at least before each block, once all is verified, and once it was read."""
    fixture = LoaderFixture(tmp_path)
    asked: list[bool] = []

    def count() -> bool:
        asked.append(True)
        return False

    fixture.load(role, count)
    looks = len(asked)
    assert looks >= 2
    for stop_at in range(1, looks + 1):
        asked.clear()
        fixture.host_tier.clear()
        with pytest.raises(CancelledError):
            fixture.load(role, lambda at=stop_at: count() or len(asked) >= at)  # type: ignore[misc]
        assert len(asked) == stop_at


def test_a_component_that_was_altered_between_two_loads_is_not_taken_up(tmp_path: Path) -> None:
    fixture = LoaderFixture(tmp_path)
    fixture.load("model")
    path = blob_path(fixture.registry, fixture.manifest.component("model"))
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(DigestMismatchError):
        fixture.load("model")
    assert fixture.engine.reads == ["model"]


def test_plans_are_kept_by_bytes_and_not_by_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan holds its manifest, which may be fifty times another's."""
    monkeypatch.setattr(loader_module, "_PLANS_BYTES", 1 << 20)
    fixture = LoaderFixture(tmp_path)
    speakers = {f"speaker {n}": n for n in range(2_000)}
    small, large = (
        [dataclasses.replace(fixture.manifest, version=n, speakers=s) for n in range(1, 21)]
        for s in ({}, speakers)
    )
    for manifests, kept in ((large, 4), (small, 20)):
        plans = [fixture.loader.plan(manifest) for manifest in manifests]
        again = [fixture.loader.plan(manifest) for manifest in reversed(manifests)][::-1]
        assert sum(a is b for a, b in zip(plans, again, strict=True)) in range(kept - 2, kept + 1)


@pytest.mark.parametrize(
    "change",
    [
        {"defaults": {"length_scale": 0.0}},
        {"front_end": FrontEndSpec("espeak", {"voice": "../phontab"})},
        {"audio": Audio(1, 1)},
    ],
)
def test_nothing_is_planned_with_a_manifest_that_does_not_pass(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    """Also not with one that some program made, and nobody read."""
    fixture = LoaderFixture(tmp_path)
    bad = dataclasses.replace(fixture.manifest, **change)
    for call in (fixture.loader.check, fixture.loader.plan):
        with pytest.raises(ManifestError, match="publish a version in which that is right"):
            call(bad)
