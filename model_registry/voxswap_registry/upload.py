"""A voice that arrives from afar, piece by piece, checked as it comes, published whole or never."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

from voxswap_registry.digests import Digests
from voxswap_registry.draft import DraftComponent, VoiceDraft
from voxswap_registry.errors import (
    ComponentMissingError,
    DigestMismatchError,
    FieldViolation,
    InvalidInputError,
    ManifestError,
    UploadTooLargeError,
)
from voxswap_registry.json_reader import read_json
from voxswap_registry.manifest import MAX_LIST_ENTRIES, MAX_MANIFEST_BYTES, Component, Manifest
from voxswap_registry.os_errors import as_registry_errors
from voxswap_registry.store import Registry

MAX_PIECE_BYTES = 1 << 20


class Upload:
    """One upload into ``workdir``, which is the caller's to make and to remove.

    Not thread-safe. Methods block on the disk. All raise `InvalidInputError` naming the field for
    what does not fit, and `RegistryError` where disk or store fail; either is the upload's end.
    """

    def __init__(
        self, registry: Registry, manifest_json: bytes, workdir: Path, *, max_bytes: int
    ) -> None:
        """Begin with the manifest. Raises `UploadTooLargeError` if its parts are too large."""
        self._registry = registry
        self._workdir = workdir
        self.manifest = _manifest(manifest_json)
        self._wanted = _by_digest(self.manifest)
        self._files: dict[str, DraftComponent] = {}
        self._current: _Incoming | None = None
        self.missing = frozenset(missing(registry, self._wanted))
        total = sum(self._wanted[digest].size_bytes for digest in self.missing)
        if total > max_bytes:
            raise UploadTooLargeError(
                f"the components to be sent have {total} bytes, and this server takes "
                f"{max_bytes}; raise its max_upload_bytes, or import the voice on its machine"
            )
        self._left = max_bytes

    def write(self, digest: str, offset_bytes: int, data: bytes) -> None:
        """Take the next piece. A component that is complete is checked at once.

        Raises `UploadTooLargeError`, and `InvalidInputError` for a piece that does not fit.
        """
        component = self._wanted.get(digest)
        if component is None:
            raise InvalidInputError.one(
                "component.digest", f"{digest[:80]!r} is not in the manifest; send its parts alone"
            )
        if digest in self._files:
            raise InvalidInputError.one("component.digest", f"{digest} was sent already")
        if len(data) > MAX_PIECE_BYTES:
            raise InvalidInputError.one(
                "component.data", f"has {len(data)} bytes; send {MAX_PIECE_BYTES} at a time at most"
            )
        current = self._current
        if current is None or current.component.digest != digest:
            if current is not None:
                raise InvalidInputError.one(
                    "component.digest",
                    f"changes to {digest} with {current.component.digest} incomplete at "
                    f"{current.size_bytes} of {current.component.size_bytes} bytes; send one after "
                    "the other",
                )
            path = self._workdir / digest.rpartition(":")[2]
            self._current = current = _Incoming(component, path)
        if offset_bytes != current.size_bytes:
            raise InvalidInputError.one(
                "component.offset_bytes",
                f"is {offset_bytes}, and {current.size_bytes} bytes of {digest} are here; send "
                "pieces in order, without gaps",
            )
        self._left -= len(data)
        if self._left < 0:
            raise UploadTooLargeError("more bytes were sent than this server's max_upload_bytes")
        current.write(data)
        if current.is_complete:
            self._files[digest] = current.finished()
            self._current = None

    def publish(
        self,
        *,
        version: int | None = None,
        label: str | None = None,
        actor: str = "",
        cancelled: Callable[[], bool] | None = None,
    ) -> tuple[Manifest, bool]:
        """Publish what came, see `Registry.publish_if_new`."""
        if self._current is not None:
            raise InvalidInputError.one(
                "component.data",
                f"of {self._current.component.digest} ends after {self._current.size_bytes} of "
                f"{self._current.component.size_bytes} bytes; send it again, whole",
            )
        lacking = sorted(self.missing - self._files.keys())
        if lacking:
            raise InvalidInputError.one(
                "component",
                f"bytes of {', '.join(lacking[:3])} were not sent, and this registry does not have "
                "them; send every component that FindMissingComponents names",
            )
        self._check_present(cancelled)
        # Of what was missing, a bucket may have damaged bytes, and nobody looks there.
        return self._registry.publish_if_new(
            self._draft(),
            version=version,
            label=label,
            actor=actor,
            rewrite=self.missing,
            cancelled=cancelled,
        )

    def close(self) -> None:
        """Close the file under way, if there is one. Idempotent."""
        if self._current is not None:
            self._current.close()
            self._current = None

    def _check_present(self, cancelled: Callable[[], bool] | None) -> None:
        """Hash what was not sent, where the manifest names a BLAKE3: no load may fail for that."""
        for component in self._wanted.values():
            if component.blake3 is None or component.digest in self._files:
                continue
            try:
                self._registry.verify(component, cancelled=cancelled)
            except ManifestError as error:
                raise InvalidInputError.one("manifest_json", error.message) from error

    def _draft(self) -> VoiceDraft:
        """What came has the BLAKE3 that was computed; of what was there, the one that was checked.

        So the manifest may get one that the client's has not. No signature covers that yet: the
        registry writes a manifest's bytes, with its version, and those are signed.
        """
        parts = (
            dataclasses.replace(
                self._files.get(c.digest) or DraftComponent("", None, "", c.digest, c.blake3),
                role=c.role,
                media_type=c.media_type,
                form=c.form,
            )
            for c in self.manifest.components
        )
        return VoiceDraft.of(self.manifest, tuple(parts))


class _Incoming:
    """A component under way: its file, how far it is, and the digest so far."""

    def __init__(self, component: Component, path: Path) -> None:
        self.component = component
        self.size_bytes = 0
        self._path, self._name = path, f"the component {component.digest}"
        self._digests = Digests()
        with as_registry_errors("write", path, name=self._name):
            self._file: BinaryIO = path.open("xb", buffering=0)

    @property
    def is_complete(self) -> bool:
        return self.size_bytes == self.component.size_bytes

    def write(self, data: bytes) -> None:
        if self.size_bytes + len(data) > self.component.size_bytes:
            raise InvalidInputError.one(
                "component.data",
                f"makes {self.component.digest} longer than the {self.component.size_bytes} bytes "
                "that the manifest says",
            )
        left = memoryview(data)
        with as_registry_errors("write", self._path, name=self._name):
            while left:
                left = left[self._file.write(left) :]
        self._digests.update(data)
        self.size_bytes += len(data)

    def finished(self) -> DraftComponent:
        self.close()
        component, found = self.component, self._digests
        if found.digest != component.digest:
            raise InvalidInputError.one(
                "component.data",
                f"of {component.digest} has the digest {found.digest}; the file changed or was "
                "damaged on its way: send it again",
            )
        if component.blake3 not in (None, found.blake3):
            raise InvalidInputError.one(
                "manifest_json",
                f"gives {component.digest} the BLAKE3 {component.blake3}, and its bytes have "
                f"{found.blake3}; write that, or leave it out",
            )
        return DraftComponent(
            component.role, self._path, component.media_type, component.digest, found.blake3
        )

    def close(self) -> None:
        self._file.close()


def missing(registry: Registry, components: Mapping[str, Component]) -> list[str]:
    """The digests of ``components`` that ``registry`` does not have, in their order. Blocks."""
    found = []
    for digest, component in components.items():
        try:
            registry.components.check_present(component)
        except (ComponentMissingError, DigestMismatchError):
            found.append(digest)
    return found


def _by_digest(manifest: Manifest) -> dict[str, Component]:
    """The components, each digest once, however many roles name it. Raises `InvalidInputError`."""
    found: dict[str, Component] = {}
    for component in manifest.components:
        first = found.setdefault(component.digest, component)
        if first.size_bytes != component.size_bytes:
            raise InvalidInputError.one(
                "manifest_json",
                f"gives {component.digest} {first.size_bytes} bytes and "
                f"{component.size_bytes} bytes; it has one size",
            )
        if first.blake3 != component.blake3:
            raise InvalidInputError.one(
                "manifest_json",
                f"gives {component.digest} two things as its BLAKE3; it has one, in every role",
            )
    return found


def _manifest(data: bytes) -> Manifest:
    """The manifest of an upload, as version 1. Raises `InvalidInputError`."""
    try:
        raw = read_json(
            data,
            where="manifest_json",
            limit_bytes=MAX_MANIFEST_BYTES,
            most_entries=MAX_LIST_ENTRIES,
        )
        filled = json.dumps({**raw, "version": 1}, ensure_ascii=False).encode()
        manifest = Manifest.from_json(filled, where="manifest_json")
        # As the registry will write it, with a line for each entry, it may be larger.
        return Manifest.from_json(manifest.to_json(), where="manifest_json")
    except ManifestError as error:
        faults = [
            FieldViolation(f"manifest_json.{fault.field}", fault.description)
            for fault in error.violations
        ]
        message = error.message.removeprefix("manifest_json: ")
        raise InvalidInputError(faults or [FieldViolation("manifest_json", message)]) from error
