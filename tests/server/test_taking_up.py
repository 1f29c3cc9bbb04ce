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


class Shelf:
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
    shelf = Shelf(tmp_path, remote=True)
    shelf.load()
    shelf.replace(SOUND, DAMAGED)
    assert shelf.load().data == SOUND
    assert shelf.engine.placed == [SOUND]
    assert len(shelf.mismatches) == 1
    assert not shelf.components.quarantined()


def test_damaged_bytes_in_the_store_are_never_placed(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.replace(SOUND, DAMAGED)
    for _ in range(2):
        with pytest.raises(DigestMismatchError):
            shelf.load()
        assert shelf.engine.placed == []
    shelf.replace(DAMAGED, SOUND)
    assert shelf.load().data == SOUND


def test_what_takes_a_files_place_while_it_is_read_changes_nothing(tmp_path: Path) -> None:
    """Be it the very same bytes, sent again, or others."""
    shelf = Shelf(tmp_path)
    path = shelf.path
    for other in (SOUND, DAMAGED):

        def swap(other: bytes = other) -> None:
            path.with_name("other").write_bytes(other)
            path.with_name("other").replace(path)
            shelf.engine.before_reading = lambda: None

        shelf.engine.before_reading = swap
        assert shelf.load().data == SOUND
    with pytest.raises(DigestMismatchError):
        shelf.load()


def test_what_was_copied_while_the_file_was_written_to_is_copied_again(tmp_path: Path) -> None:
    """Wrong bytes for a moment, while it is read, and the right ones whenever it is hashed."""
    shelf = Shelf(tmp_path)
    path = shelf.path
    path.chmod(0o644)
    times = path.stat()

    def mend() -> None:
        path.write_bytes(SOUND)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        shelf.engine.before_reading = shelf.engine.after_reading = lambda: None

    shelf.engine.before_reading = lambda: path.write_bytes(DAMAGED)
    shelf.engine.after_reading = mend
    assert shelf.load().data == SOUND
    assert shelf.engine.placed == [DAMAGED, SOUND]


def test_what_was_copied_of_a_file_that_stays_wrong_is_dropped(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    path = shelf.path
    path.chmod(0o644)
    shelf.engine.before_reading = lambda: path.write_bytes(DAMAGED)
    with pytest.raises(DigestMismatchError, match="was changed while it was read"):
        shelf.load()
    assert shelf.engine.placed == [DAMAGED]


def test_a_file_that_is_written_to_whenever_it_is_read_is_told_as_such(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    path = shelf.path
    shelf.engine.after_reading = lambda: path.chmod(0o644)
    with pytest.raises(RegistryError, match="is being written to; try again"):
        shelf.load()
    shelf.engine.after_reading = lambda: None
    assert shelf.load().data == SOUND


def test_what_is_copied_again_is_not_held_twice(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    path = shelf.path
    made: list[weakref.ref[ReadPart]] = []
    read = shelf.engine.read

    def watched(*arguments: Any) -> Any:
        assert [ref() for ref in made] == [None] * len(made)
        part = read(*arguments)
        made.append(weakref.ref(part))
        if len(made) == 1:
            path.chmod(0o644)
        return part

    shelf.engine.read = watched  # type: ignore[method-assign]
    gc.disable()
    try:
        loaded = shelf.load()
    finally:
        gc.enable()
    assert [ref() for ref in made] == [None, loaded]


def test_a_reading_that_fails_is_told_if_the_bytes_are_right(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)

    def fail() -> None:
        raise EngineError("no safetensors file")

    shelf.engine.after_reading = fail
    with pytest.raises(EngineError, match="no safetensors file"):
        shelf.load()
    shelf.replace(SOUND, DAMAGED)
    with pytest.raises(DigestMismatchError):
        shelf.load()


@pytest.mark.parametrize("remote", [False, True])
def test_a_load_that_is_given_up_before_it_reads_reads_nothing(
    tmp_path: Path, *, remote: bool
) -> None:
    shelf = Shelf(tmp_path, remote=remote)
    shelf.load()
    looks: list[int] = []
    shelf.load(lambda: bool(looks.append(1)))  # type: ignore[func-returns-value]
    for n in range(1, len(looks)):
        asked = iter(range(n))
        with pytest.raises(concurrent.futures.CancelledError):
            shelf.load(lambda asked=asked: next(asked, None) is None)  # type: ignore[misc]
        assert shelf.engine.placed == ([SOUND] if n == len(looks) - 1 else [])
