"""The loader over files that others write to: what it returns is what was hashed, or an error."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import gc
import os
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.family import SYMBOLS, FakeEngine
from tests.registry.drafts import blob_path, make_draft
from tests.registry.stores import memory_objects
from voxswap_registry.components import Components
from voxswap_registry.errors import DigestMismatchError, EngineError, RegistryError
from voxswap_registry.manifest import FrontEndSpec, Manifest
from voxswap_registry.storage.cache import ComponentCache
from voxswap_registry.storage.folder import FolderObjects
from voxswap_registry.storage.verified import VerifiedFile
from voxswap_registry.store import Registry
from voxswap_server.residency.loader import VoiceLoader

SOUND, DAMAGED = b"the right weights", b"the wrong weights"


class ReadingEngine(FakeEngine):
    """Copies bytes without another look at them; what it placed is what they were."""

    def __init__(self) -> None:
        super().__init__()
        self.placed: list[bytes] = []
        self.before_reading: Callable[[], object] = lambda: None
        self.after_reading: Callable[[], object] = lambda: None

    def taken_up(self, manifest: Manifest, file: VerifiedFile) -> Any:
        # Not `read_bytes`, which hashes what it read.
        self.before_reading()
        data = os.pread(file.fd, file.size_bytes, 0)
        self.after_reading()
        return ReadPart(data, self)


@dataclasses.dataclass(eq=False)
class ReadPart:
    data: bytes
    engine: ReadingEngine
    host_bytes: int = 0
    allocated_bytes: int = 0

    @property
    def resident_bytes(self) -> int:
        return len(self.data)

    def place(self) -> ReadPart:
        self.engine.placed.append(self.data)
        return self


class LoaderFixture:
    """A voice in a registry, and a loader over it."""

    def __init__(self, folder: Path, *, remote: bool = False) -> None:
        objects = memory_objects() if remote else FolderObjects(folder / "registry")
        draft = make_draft(folder, data=SOUND, engine="fake", front_end=FrontEndSpec("characters"))
        (folder / "symbols.json").write_bytes(SYMBOLS)
        self.registry = Registry(objects)
        self.manifest = self.registry.publish(draft)
        self.mismatches: list[DigestMismatchError] = []
        self.folder = folder / ("cache" if remote else "registry")
        self.components = Components(
            objects,
            ComponentCache(folder / "cache", 1 << 20) if remote else None,
            listener=lambda _, error: self.mismatches.append(error),
        )
        self.engine = ReadingEngine()
        self.loader = VoiceLoader(self.components, {"fake": self.engine})

    @property
    def path(self) -> Path:
        return blob_path(self.registry, self.manifest.component("model"))

    def load(self, cancelled: Callable[[], bool] = lambda: False) -> Any:
        self.engine.placed.clear()
        plan = self.loader.plan(self.manifest)
        if not self.loader.is_here(plan.parts[0]):
            self.loader.fetch(plan, plan.parts[0], cancelled)
        return self.loader.load(plan, plan.parts[0], cancelled)

    def replace(self, old: bytes, new: bytes) -> None:
        for path in self.folder.rglob("*"):
            if path.is_file() and path.read_bytes() == old:
                path.chmod(0o644)
                path.write_bytes(new)


def test_a_damaged_copy_in_the_cache_is_never_placed(tmp_path: Path) -> None:
    fixture = LoaderFixture(tmp_path, remote=True)
    fixture.load()
    fixture.replace(SOUND, DAMAGED)
    assert fixture.load().data == SOUND
    assert fixture.engine.placed == [SOUND]
    assert len(fixture.mismatches) == 1
    assert not fixture.components.quarantined()


def test_damaged_bytes_in_the_store_are_never_placed(tmp_path: Path) -> None:
    fixture = LoaderFixture(tmp_path)
    fixture.replace(SOUND, DAMAGED)
    for _ in range(2):
        with pytest.raises(DigestMismatchError):
            fixture.load()
        assert fixture.engine.placed == []
    fixture.replace(DAMAGED, SOUND)
    assert fixture.load().data == SOUND


def test_what_takes_a_files_place_while_it_is_read_changes_nothing(tmp_path: Path) -> None:
    """Be it the very same bytes, sent again, or others."""
    fixture = LoaderFixture(tmp_path)
    path = fixture.path
    for other in (SOUND, DAMAGED):

        def swap(other: bytes = other) -> None:
            path.with_name("other").write_bytes(other)
            path.with_name("other").replace(path)
            fixture.engine.before_reading = lambda: None

        fixture.engine.before_reading = swap
        assert fixture.load().data == SOUND
    with pytest.raises(DigestMismatchError):
        fixture.load()


def test_what_was_copied_while_the_file_was_written_to_is_copied_again(tmp_path: Path) -> None:
    """Wrong bytes for a moment, while it is read, and the right ones whenever it is hashed."""
    fixture = LoaderFixture(tmp_path)
    path = fixture.path
    path.chmod(0o644)
    times = path.stat()

    def mend() -> None:
        path.write_bytes(SOUND)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        fixture.engine.before_reading = fixture.engine.after_reading = lambda: None

    fixture.engine.before_reading = lambda: path.write_bytes(DAMAGED)
    fixture.engine.after_reading = mend
    assert fixture.load().data == SOUND
    assert fixture.engine.placed == [DAMAGED, SOUND]


def test_what_was_copied_of_a_file_that_stays_wrong_is_dropped(tmp_path: Path) -> None:
    fixture = LoaderFixture(tmp_path)
    path = fixture.path
    path.chmod(0o644)
    fixture.engine.before_reading = lambda: path.write_bytes(DAMAGED)
    with pytest.raises(DigestMismatchError, match="was changed while it was read"):
        fixture.load()
    assert fixture.engine.placed == [DAMAGED]


def test_a_file_that_is_written_to_whenever_it_is_read_is_told_as_such(tmp_path: Path) -> None:
    fixture = LoaderFixture(tmp_path)
    path = fixture.path
    fixture.engine.after_reading = lambda: path.chmod(0o644)
    with pytest.raises(RegistryError, match="is being written to; try again"):
        fixture.load()
    fixture.engine.after_reading = lambda: None
    assert fixture.load().data == SOUND


def test_what_is_copied_again_is_not_held_twice(tmp_path: Path) -> None:
    fixture = LoaderFixture(tmp_path)
    path = fixture.path
    made: list[weakref.ref[ReadPart]] = []
    read = fixture.engine.read

    def watched(*arguments: Any) -> Any:
        assert [ref() for ref in made] == [None] * len(made)
        part: Any = read(*arguments)
        made.append(weakref.ref(part))
        if len(made) == 1:
            path.chmod(0o644)
        return part

    fixture.engine.read = watched  # type: ignore[assignment, method-assign]
    gc.disable()
    try:
        loaded = fixture.load()
    finally:
        gc.enable()
    assert [ref() for ref in made] == [None, loaded]


def test_a_reading_that_fails_is_told_if_the_bytes_are_right(tmp_path: Path) -> None:
    fixture = LoaderFixture(tmp_path)

    def fail() -> None:
        raise EngineError("no safetensors file")

    fixture.engine.after_reading = fail
    with pytest.raises(EngineError, match="no safetensors file"):
        fixture.load()
    fixture.replace(SOUND, DAMAGED)
    with pytest.raises(DigestMismatchError):
        fixture.load()


@pytest.mark.parametrize("remote", [False, True])
def test_a_load_that_is_given_up_before_it_reads_reads_nothing(
    tmp_path: Path, *, remote: bool
) -> None:
    fixture = LoaderFixture(tmp_path, remote=remote)
    fixture.load()
    looks: list[int] = []
    fixture.load(lambda: bool(looks.append(1)))
    for n in range(1, len(looks)):
        asked = iter(range(n))
        with pytest.raises(concurrent.futures.CancelledError):
            fixture.load(lambda asked=asked: next(asked, None) is None)  # type: ignore[misc]
        assert fixture.engine.placed == ([SOUND] if n == len(looks) - 1 else [])
