"""What the registry asks of a place that keeps objects by key, whatever it is made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from io import FileIO
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One object. ``etag`` differs whenever its bytes do; ``modified`` is by the store's clock."""

    key: str
    size_bytes: int
    etag: str
    modified: datetime


class Objects(Protocol):
    """Objects by key. Thread-safe and safe between processes; every method blocks.

    Keys are made by `voxswap_registry.layout` alone, from checked names. A write is whole or not at
    all, and whoever reads or lists after it has returned sees it. All methods raise `RegistryError`
    where the store fails, with the remedy, and `StorageFullError` where it has no room.

    ``name`` is the folder or URL, for messages, without secrets. ``readers`` is how many reads side
    by side pay: 1 on a disk, more where each waits for a network.
    """

    name: str
    readers: int

    def list(self, folder: str, *, after: str = "") -> Iterator[ObjectInfo]:
        """Everything below ``folder``, at any depth, with a key above ``after``; in no order."""
        ...

    def keys(self, folder: str, *, after: str = "") -> Iterator[str]:
        """The keys that `list` gives, without looking at each object where that costs."""
        ...

    def head(self, key: str) -> ObjectInfo | None:
        """What there is of an object; None if it is not there."""
        ...

    def read(self, key: str, *, limit_bytes: int) -> bytes | None:
        """A small object whole; None if it is not there.

        Of one that is larger than ``limit_bytes``, that many bytes and one more: no more is held.
        """
        ...

    def stream(self, key: str, *, start: int = 0) -> Iterator[bytes]:
        """The bytes of an object from ``start`` on, a block at a time.

        Raises `ObjectMissingError` at the first block if it is not there.
        """
        ...

    def create(self, key: str, data: bytes) -> bool:
        """Write a small object unless there is one; False if there is. Of two writers, one wins."""
        ...

    def replace(self, key: str, data: bytes) -> None:
        """Write a small object, whatever is there."""
        ...

    def upload(
        self, key: str, blocks: Iterator[memoryview], *, source: FileIO | None = None
    ) -> None:
        """Write a large object, whatever is there. An exception of ``blocks`` leaves the old.

        ``blocks`` may be asked on another thread, and may use these objects itself. ``source`` may
        be the open file that they read, whole and from its beginning, if nobody writes to it any
        more: where it lies on the store's own disk it may be taken as it is in place of being
        copied. ``blocks`` is read to its end all the same.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove an object; nothing happens if it is not there."""
        ...

    def path(self, key: str) -> Path | None:
        """Where an object lies on this machine's disk; None if it does not. Reads no bytes.

        Raises `ObjectMissingError` if it is not there, `RegistryError` if it is no regular file.
        """
        ...
