"""The store when the disk fails or the process dies: the old state or the new, never a mixture."""

from __future__ import annotations

import errno
import itertools
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest

from tests.registry.drafts import CRASHED, listings, make_draft, publish_and_die, root_of
from voxswap_registry.errors import RegistryError
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry


@pytest.mark.slow
def test_process_killed_at_each_step_leaves_the_old_state_or_the_new(tmp_path: Path) -> None:
    # A fresh interpreter for each would read the same files again for half a second.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.registry.drafts"])
    seen = set()
    for step in itertools.count(1):
        root = tmp_path / f"registry-{step}"
        registry = Registry(root)
        old = registry.publish(make_draft(tmp_path / "old", data=b"old weights"))
        worker = context.Process(
            target=publish_and_die, args=(str(root), str(tmp_path / "new"), step)
        )
        worker.start()
        worker.join()
        assert worker.exitcode in {0, CRASHED}

        versions = registry.versions("npc/smith")
        seen.add(versions)
        assert versions in {(1,), (1, 2)}
        for version in versions:
            manifest = registry.resolve(VoiceRef("npc/smith", version))
            for component in manifest.components:
                registry.verify(component)
        assert registry.resolve(VoiceRef("npc/smith", 1)) == old
        assert [listing.error for listing in listings(registry)] == [None]
        # And the leftovers stand in nobody's way.
        again = registry.publish(make_draft(tmp_path / "new", data=b"new weights"))
        assert again.version == versions[-1] + 1
        registry.verify(again.component("model"))
        if worker.exitcode == 0:
            break
    assert step > 12
    assert seen == {(1,), (1, 2)}


@pytest.mark.parametrize("call", ["write", "fsync", "replace", "link", "mkdir", "fchmod"])
@pytest.mark.parametrize(
    ("code", "remedy"),
    [(errno.ENOSPC, "free space"), (errno.EACCES, "give this user"), (errno.EROFS, "read-only"),
     (errno.EIO, "disk reports a fault")],
)  # fmt: skip
def test_disk_fault_is_a_registry_error_and_leaves_the_old_state(
    *,
    call: str,
    code: int,
    remedy: str,
    registry: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = registry.publish(make_draft(tmp_path / "old", data=b"old"))
    draft = make_draft(tmp_path / "new", "npc/farm/hand", data=b"new")

    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        patched.setattr(os, call, fail)
        with pytest.raises(RegistryError, match=remedy) as caught:
            registry.publish(draft)
    assert str(root_of(registry)) in str(caught.value)
    assert caught.value.metadata == {"errno": errno.errorcode[code]}
    assert [listing.newest for listing in listings(registry)] == [old]
    assert not list((root_of(registry) / "tmp").iterdir())
    assert registry.publish(draft).version == 1


def test_lost_race_for_a_number_takes_the_next(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_link, lost = os.link, list[Any]()

    def link(source: Any, target: Path) -> None:
        if not lost:
            lost.append(target)
            rival = make_draft(tmp_path / "rival", data=b"rival")
            registry.publish(rival)
        real_link(source, target)

    monkeypatch.setattr(os, "link", link)
    assert registry.publish(make_draft(tmp_path / "ours", data=b"ours")).version == 2
    assert registry.versions("npc/smith") == (1, 2)


def test_folder_without_sync_is_accepted(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):  # noqa: PTH112
            raise OSError(errno.EINVAL, "Invalid argument")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    assert registry.publish(make_draft(tmp_path)).version == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_folder(tmp_path: Path) -> None:
    root = tmp_path / "registry"
    root.mkdir(mode=0o555)
    with pytest.raises(RegistryError, match="give this user the right"):
        Registry(root).publish(make_draft(tmp_path))


def test_file_in_place_of_the_root(tmp_path: Path) -> None:
    root = tmp_path / "file"
    root.write_bytes(b"")
    with pytest.raises(RegistryError, match="cannot write into"):
        Registry(root).publish(make_draft(tmp_path))
    assert listings(Registry(root)) == []


def test_draft_file_that_went_away(registry: Registry, tmp_path: Path) -> None:
    draft = make_draft(tmp_path)
    draft.components[0].path.unlink()
    with pytest.raises(RegistryError, match="cannot read"):
        registry.publish(draft)
    assert listings(registry) == []
    assert not list((root_of(registry) / "tmp").iterdir())
