"""The store: publishing, resolving, listing, and bytes that are not what they should be."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import threading
from pathlib import Path

import pytest

from tests.registry.drafts import BAD_IDS, blob_path, listings, make_draft, publish_many, root_of
from voxswap_registry.errors import (
    ComponentMissingError,
    DigestMismatchError,
    InvalidInputError,
    ManifestError,
    RegistryError,
    VersionExistsError,
    VoiceNotFoundError,
)
from voxswap_registry.manifest import Component
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry


def _files(root: Path, pattern: str) -> list[Path]:
    return [path for path in root.rglob(pattern) if path.is_file()]


def test_published_voice_resolves_with_its_bytes(registry: Registry, tmp_path: Path) -> None:
    published = registry.publish(make_draft(tmp_path, data=b"abc"))
    assert published.ref == "npc/smith@1"
    assert registry.resolve(VoiceRef("npc/smith")) == published
    model = published.component("model")
    assert model.size_bytes == 3
    registry.verify(model)
    path = blob_path(registry, model)
    assert path.read_bytes() == b"abc"
    assert path.stat().st_mode & 0o777 == 0o444
    assert not list((root_of(registry) / "tmp").iterdir())


def test_versions_count_up_and_stay(registry: Registry, tmp_path: Path) -> None:
    first = registry.publish(make_draft(tmp_path, data=b"1"))
    second = registry.publish(make_draft(tmp_path, data=b"2"))
    assert registry.versions("npc/smith") == (1, 2)
    assert registry.resolve(VoiceRef("npc/smith")) == second
    assert registry.resolve(VoiceRef("npc/smith", 1)) == first
    with pytest.raises(VersionExistsError, match="npc/smith@2"):
        registry.publish(make_draft(tmp_path), version=2)
    assert registry.publish(make_draft(tmp_path), version=7).version == 7
    assert registry.publish(make_draft(tmp_path)).version == 8


def test_ten_comes_after_nine(registry: Registry, tmp_path: Path) -> None:
    draft = make_draft(tmp_path)
    for _ in range(11):
        registry.publish(draft)
    assert registry.resolve(VoiceRef("npc/smith")).version == 11


def test_ids_nest(registry: Registry, tmp_path: Path) -> None:
    ids = ["npc", "npc/smith", "npc/smith/old", "npc.json", "npcs"]
    for voice_id in ids:
        registry.publish(make_draft(tmp_path, voice_id))
    assert [listing.voice_id for listing in listings(registry)] == sorted(ids)
    assert all(registry.versions(voice_id) == (1,) for voice_id in ids)


def test_shared_bytes_are_stored_once(registry: Registry, tmp_path: Path) -> None:
    registry.publish(make_draft(tmp_path, "a"))
    registry.publish(make_draft(tmp_path, "b"))
    assert len(_files(root_of(registry) / "blobs", "*")) == 2


def test_unknown_voice_and_version_are_helpful(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(VoiceNotFoundError, match="voxswap voices list"):
        registry.resolve(VoiceRef("npc/smith"))
    registry.publish(make_draft(tmp_path))
    with pytest.raises(VoiceNotFoundError, match="has no version 3; it has 1") as caught:
        registry.resolve(VoiceRef("npc/smith", 3))
    assert caught.value.metadata == {"voice": "npc/smith", "version": "3"}


def test_broken_manifest_hides_no_other_voice(registry: Registry, tmp_path: Path) -> None:
    for voice_id in ("a", "b", "c"):
        registry.publish(make_draft(tmp_path, voice_id))
    broken = root_of(registry) / "voices/b@/v2.json"
    broken.write_bytes(b'{"torn')
    a, b, c = listings(registry)
    assert (a.newest, c.newest) == (
        registry.resolve(VoiceRef("a")), registry.resolve(VoiceRef("c"))
    )  # fmt: skip
    assert (b.versions, b.newest) == ((1, 2), None)
    assert isinstance(b.error, ManifestError)
    with pytest.raises(ManifestError, match=r"b@2"):
        registry.resolve(VoiceRef("b"))
    assert registry.resolve(VoiceRef("b", 1)).version == 1


def test_stray_files_are_no_voices(registry: Registry, tmp_path: Path) -> None:
    registry.publish(make_draft(tmp_path))
    voices = root_of(registry) / "voices"
    for name in (
        "x.json",
        "x@/v0.json",
        "x@/v01.json",
        "x@/v1.json~",
        "x@/deeper/v1.json",
        "x@/s0.json",
        "x@/v1.zz.sig",
        "X@/v1.json",
        ".x@/v1.json",
        "@/v1.json",
        "y@1.json",
    ):
        (voices / name).parent.mkdir(exist_ok=True)
        (voices / name).write_bytes(b"{}")
    assert [listing.voice_id for listing in listings(registry)] == ["npc/smith"]


def test_manifest_in_the_wrong_place_is_refused(registry: Registry, tmp_path: Path) -> None:
    registry.publish(make_draft(tmp_path, "a"))
    (root_of(registry) / "voices/a@").rename(root_of(registry) / "voices/b@")
    with pytest.raises(ManifestError, match="says that it is a@1"):
        registry.resolve(VoiceRef("b"))


def test_altered_truncated_and_missing_bytes_are_told(registry: Registry, tmp_path: Path) -> None:
    model = registry.publish(make_draft(tmp_path, data=b"weights")).component("model")
    path = blob_path(registry, model)
    path.chmod(0o644)
    path.write_bytes(b"weighty")
    with pytest.raises(DigestMismatchError, match=f"{model.digest} reads as sha256:"):
        registry.verify(model)
    path.write_bytes(b"weight")
    with pytest.raises(DigestMismatchError, match="has 6 bytes, not 7"):
        registry.verify(model)
    path.unlink()
    with pytest.raises(ComponentMissingError, match="import the voice again"):
        registry.verify(model)


def test_publishing_again_repairs_a_damaged_blob(registry: Registry, tmp_path: Path) -> None:
    draft = make_draft(tmp_path)
    model = registry.publish(draft).component("model")
    path = blob_path(registry, model)
    path.unlink()
    path.write_bytes(b"garbage")
    registry.publish(draft)
    registry.verify(model)
    assert path.read_bytes() == b"weights"


def test_verify_stops_between_blocks(registry: Registry, tmp_path: Path) -> None:
    draft = make_draft(tmp_path, data=bytes(5 << 20))
    model = registry.publish(draft).component("model")
    asked = []

    def cancelled() -> bool:
        asked.append(True)
        return len(asked) == 3

    with pytest.raises(concurrent.futures.CancelledError):
        registry.verify(model, cancelled=cancelled)
    assert len(asked) == 3


@pytest.mark.parametrize("voice_id", BAD_IDS)
def test_bad_id_never_reaches_the_disk(voice_id: str, registry: Registry, tmp_path: Path) -> None:
    draft = make_draft(tmp_path / "draft", voice_id)
    for call in (
        lambda: registry.publish(draft),
        lambda: registry.versions(voice_id),
        lambda: registry.resolve(VoiceRef(voice_id)),
    ):
        with pytest.raises(InvalidInputError):
            call()
    assert not root_of(registry).exists()


@pytest.mark.parametrize("version", [0, -1, 10**9])
def test_bad_version_is_refused(version: int, registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError):
        registry.publish(make_draft(tmp_path), version=version)
    assert not root_of(registry).exists()


def test_bad_digest_never_reaches_the_disk(registry: Registry) -> None:
    with pytest.raises(InvalidInputError):
        registry.verify(Component("model", "sha256:../../../etc/passwd", 1, "x"))


def test_draft_that_cannot_be_read_back_leaves_nothing(registry: Registry, tmp_path: Path) -> None:
    draft = make_draft(tmp_path, defaults={"noise_scale": float("nan")})
    with pytest.raises(ManifestError):
        registry.publish(draft)
    with pytest.raises(ManifestError):
        registry.publish(make_draft(tmp_path, display_name="\ud800"))
    assert not root_of(registry).exists()


@pytest.mark.parametrize("where", ["blob", "folder of the blob", "blobs"])
def test_linked_component_does_not_escape(where: str, registry: Registry, tmp_path: Path) -> None:
    model = registry.publish(make_draft(tmp_path, data=b"weights")).component("model")
    path = blob_path(registry, model)
    victim = {"blob": path, "folder of the blob": path.parent, "blobs": path.parents[2]}[where]
    moved = tmp_path / "outside"
    victim.rename(moved)
    victim.symlink_to(moved)
    for call in (registry.components.check_present, registry.verify):
        with pytest.raises(RegistryError, match="symbolic link"):
            call(model)


def test_linked_manifest_does_not_escape(registry: Registry, tmp_path: Path) -> None:
    registry.publish(make_draft(tmp_path, "a"))
    manifest = root_of(registry) / "voices/a@/v1.json"
    manifest.rename(tmp_path / "outside.json")
    manifest.symlink_to(tmp_path / "outside.json")
    with pytest.raises(RegistryError, match="symbolic link"):
        registry.resolve(VoiceRef("a"))
    (listing,) = listings(registry)
    assert isinstance(listing.error, RegistryError)


def test_odd_names_and_links_hide_no_voice(registry: Registry, tmp_path: Path) -> None:
    registry.publish(make_draft(tmp_path))
    folder = root_of(registry) / "voices/npc/smith@"
    for name in (b"not \xff UTF-8", b"line\nbreak", b"\x07", "ünïcode".encode()):
        (Path(os.fsdecode(os.fsencode(folder) + b"/" + name))).write_bytes(b"x")
    (folder / "itself").symlink_to("itself")
    (folder / "up@").symlink_to(root_of(registry))
    assert [(v.voice_id, v.versions, v.error) for v in listings(registry)] == [
        ("npc/smith", (1,), None)
    ]
    assert registry.versions("npc/smith") == (1,)


def test_publish_does_not_write_through_a_link(registry: Registry, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (root_of(registry) / "voices").mkdir(parents=True)
    (root_of(registry) / "voices/npc").symlink_to(outside)
    with pytest.raises(RegistryError, match="symbolic link"):
        registry.publish(make_draft(tmp_path))
    assert not list(outside.iterdir())


def test_root_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    registry = Registry(tmp_path / "link")
    manifest = registry.publish(make_draft(tmp_path))
    registry.verify(manifest.component("model"))


def test_pipe_in_place_of_a_blob_does_not_hang(registry: Registry, tmp_path: Path) -> None:
    model = registry.publish(make_draft(tmp_path)).component("model")
    path = blob_path(registry, model)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(RegistryError, match="no regular file"):
        registry.verify(model)


@pytest.mark.slow
def test_publishers_in_two_processes_get_different_numbers(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    root, n = tmp_path / "registry", 20
    workers = [
        context.Process(target=publish_many, args=(str(root), str(tmp_path / f"{i}"), n, barrier))
        for i in range(2)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    registry = Registry(root)
    assert registry.versions("npc/smith") == tuple(range(1, 2 * n + 1))
    digests = {
        registry.resolve(VoiceRef("npc/smith", v)).component("model").digest
        for v in range(1, 2 * n + 1)
    }
    assert len(digests) == 2
    assert not list((root / "tmp").iterdir())


def test_publishers_in_threads_get_different_numbers(registry: Registry, tmp_path: Path) -> None:
    drafts = [make_draft(tmp_path / f"{i}", data=bytes([i])) for i in range(8)]
    gate = threading.Barrier(8)

    def publish(i: int) -> int:
        gate.wait()
        return registry.publish(drafts[i]).version

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(publish, range(8))) == list(range(1, 9))


def test_workdir_is_inside_and_goes_away(registry: Registry) -> None:
    with registry.workdir() as workdir:
        (workdir / "file").write_bytes(b"x")
        assert workdir.is_relative_to(root_of(registry))
    assert not workdir.exists()
