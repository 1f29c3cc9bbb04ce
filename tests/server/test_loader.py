"""The voice loader: what it refuses before it reads anything, and where it can be stopped."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest

from tests.registry.drafts import make_draft
from tests.server.fakes import FakeVoice
from voxswap_registry.errors import ManifestError
from voxswap_registry.manifest import FrontEndSpec, Manifest
from voxswap_registry.store import Registry
from voxswap_server.residency import loader as loading
from voxswap_server.residency.loader import VoiceLoader
from voxswap_server.text.types import FrontEnd

SYMBOLS = b'{"layout": "blanks", "symbols": {"a": [1]}}'
LIMIT = 4 << 20


class FakeEngine:
    name = "fake"

    def __init__(self) -> None:
        self.loads = 0

    def check(self, manifest: Manifest) -> None:
        pass

    def footprint_bytes(self, manifest: Manifest) -> int:
        return manifest.size_bytes

    def warm_up(self) -> None:
        pass

    def load(self, manifest: Manifest, components: Mapping[str, Path]) -> FakeVoice:
        self.loads += 1
        return FakeVoice(manifest.size_bytes)


class House:
    """A registry with one voice, and a loader with a fake engine."""

    def __init__(self, folder: Path, symbols: bytes = SYMBOLS) -> None:
        registry = Registry(folder / "registry")
        draft = make_draft(folder, engine="fake", front_end=FrontEndSpec("characters"))
        (folder / "symbols.json").write_bytes(symbols)
        self.manifest = registry.publish(draft)
        self.engine = FakeEngine()
        self.loader = VoiceLoader(registry.components, {"fake": self.engine}, front_end="auto")


def with_symbols_of(manifest: Manifest, size_bytes: int) -> Manifest:
    components = tuple(
        dataclasses.replace(c, size_bytes=size_bytes) if c.role == "symbols" else c
        for c in manifest.components
    )
    return dataclasses.replace(manifest, components=components)


def test_a_voice_is_checked_and_loaded(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.loader.check(house.manifest)
    voice = house.loader.load(house.manifest, lambda: False)
    assert voice.ref == house.manifest.ref
    assert voice.resident_bytes == house.manifest.size_bytes
    assert house.engine.loads == 1


def test_too_large_a_symbol_table_is_refused_unread(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.loader.check(with_symbols_of(house.manifest, LIMIT))
    large = with_symbols_of(house.manifest, LIMIT + 1)

    def asked() -> bool:
        raise AssertionError("a component was read")

    for call in (lambda: house.loader.check(large), lambda: house.loader.load(large, asked)):
        with pytest.raises(ManifestError, match="has 4194305 bytes, more than the 4194304"):
            call()


@pytest.mark.parametrize(
    "symbols",
    [b"[" * 100_000, b'{"layout": ' + b"[" * 500 + b"]" * 500 + b"}", b'{"a": ' + b"9" * 5000],
)
def test_a_symbol_table_that_is_none_is_the_manifests_fault(tmp_path: Path, symbols: bytes) -> None:
    house = House(tmp_path, symbols)
    with pytest.raises(ManifestError, match="symbol table"):
        house.loader.load(house.manifest, lambda: False)
    assert house.engine.loads == 0


def test_a_load_that_is_cancelled_before_its_weights_takes_none_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given up while lexicons load."""
    house, reached, real = House(tmp_path), [], loading.make_front_end

    def reach(*args: Any, **kwargs: Any) -> FrontEnd:
        reached.append(True)
        return real(*args, **kwargs)

    monkeypatch.setattr(loading, "make_front_end", reach)
    with pytest.raises(CancelledError, match=house.manifest.ref):
        house.loader.load(house.manifest, lambda: bool(reached))
    assert reached
    assert house.engine.loads == 0


def test_a_load_that_is_cancelled_once_all_is_verified_reads_no_symbols(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house, asked = House(tmp_path), []

    def count() -> bool:
        asked.append(True)
        return False

    house.loader.load(house.manifest, count)
    stages = 2
    verified = len(asked) - stages
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("the symbols were read"))
    asked.clear()
    with pytest.raises(CancelledError, match=house.manifest.ref):
        house.loader.load(house.manifest, lambda: count() or len(asked) > verified)
    assert house.engine.loads == 1
