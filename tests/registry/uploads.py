"""Whoever uploads a voice to a registry, and what must be left when nothing came of it."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.registry.drafts import make_draft
from tests.registry.stores import stored_blobs
from voxswap_registry.errors import InvalidInputError
from voxswap_registry.manifest import Component, Manifest
from voxswap_registry.storage.folder import FolderObjects
from voxswap_registry.store import Registry
from voxswap_registry.upload import MAX_PIECE_BYTES, Upload

MODEL = bytes(range(256)) * (5 << 10)  # 1.25 MiB: two pieces.
SYMBOLS = b'{"layout": "piper"}'
MAX_BYTES = 4 << 20


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Sender:
    """Whoever uploads: a voice with its parts, and ways to send them."""

    def __init__(self, folder: Path, voice_id: str = "npc/new", **changes: Any) -> None:
        self.parts = {"model": MODEL, "symbols": SYMBOLS}
        components = tuple(
            Component(role, digest_of(data), len(data), "x/y") for role, data in self.parts.items()
        )
        draft = make_draft(folder / "drafts", **changes)
        self.raw = json.loads(draft.manifest(1, components).to_json())
        del self.raw["version"]
        self.raw["voice_id"] = voice_id

    @property
    def manifest(self) -> bytes:
        return json.dumps(self.raw).encode()

    def send(self, upload: Upload, *roles: str, size: int = MAX_PIECE_BYTES) -> None:
        for role in roles:
            data = self.parts[role]
            for start in range(0, len(data), size):
                upload.write(digest_of(data), start, data[start : start + size])

    def publish(self, registry: Registry, **options: Any) -> tuple[Manifest, bool]:
        """The whole of an upload."""
        with beginning(registry, self.manifest) as upload:
            sent = [role for role in self.parts if digest_of(self.parts[role]) in upload.missing]
            self.send(upload, *sent)
            return upload.publish(**options)


@contextlib.contextmanager
def beginning(
    registry: Registry, manifest_json: bytes, *, max_bytes: int = MAX_BYTES
) -> Iterator[Upload]:
    """An upload in a folder of its own, as the server makes them."""
    with registry.workdir() as workdir:
        upload = Upload(registry, manifest_json, workdir, max_bytes=max_bytes)
        with contextlib.closing(upload):
            yield upload


def fault(registry: Registry, sender: Sender, send: Callable[[Upload], object]) -> tuple[str, str]:
    """The field and the description of the only fault; nothing of the upload is left."""

    def attempt() -> None:
        with beginning(registry, sender.manifest) as upload:
            send(upload)
            upload.publish()

    with pytest.raises(InvalidInputError) as raised:
        attempt()
    assert_untouched(registry)
    (violation,) = raised.value.violations
    return violation.field, violation.description


def assert_untouched(registry: Registry) -> None:
    assert [info.key for info in registry.objects.list("voices")] == []
    assert stored_blobs(registry.objects) == set()
    assert [info.key for info in registry.objects.list("publishing")] == []
    assert workdirs(registry) == []


def workdirs(registry: Registry) -> list[Path]:
    objects = registry.objects
    folder = objects.root / "tmp" if isinstance(objects, FolderObjects) else registry._workdir
    assert folder is not None
    return list(folder.iterdir()) if folder.is_dir() else []
