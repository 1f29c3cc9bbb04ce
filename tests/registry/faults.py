"""Objects that die, fail, wait, or tell another time: each wraps any real ones.

All of them pass the contract of `Objects` themselves while nothing is asked of them.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from io import FileIO
from pathlib import Path

from voxswap_registry.storage.objects import ObjectInfo, Objects

WRITES = frozenset({"create", "replace", "upload", "delete"})
Action = Callable[[], object]


class Crash(BaseException):
    """The process has died."""


class WrappedObjects:
    """Any `Objects`, with something done before and after each call."""

    def __init__(self, inner: Objects) -> None:
        self.inner = inner
        self.name = inner.name
        self.readers = inner.readers

    def before(self, call: str, key: str) -> None:
        """Called before ``call`` has any effect."""

    def after(self, call: str, key: str) -> None:
        """Called when it has had its effect."""

    def seen(self, info: ObjectInfo) -> ObjectInfo:
        """What is told of an object."""
        return info

    def list(self, folder: str, *, after: str = "") -> Iterator[ObjectInfo]:
        self.before("list", folder)
        yield from map(self.seen, self.inner.list(folder, after=after))
        self.after("list", folder)

    def keys(self, folder: str, *, after: str = "") -> Iterator[str]:
        self.before("list", folder)
        for key in self.inner.keys(folder, after=after):
            self.met(key)
            yield key
        self.after("list", folder)

    def met(self, key: str) -> None:
        """Called for each key that is listed alone."""

    def head(self, key: str) -> ObjectInfo | None:
        self.before("head", key)
        info = self.inner.head(key)
        self.after("head", key)
        return self.seen(info) if info else None

    def read(self, key: str, *, limit_bytes: int) -> bytes | None:
        self.before("read", key)
        data = self.inner.read(key, limit_bytes=limit_bytes)
        self.after("read", key)
        return data

    def stream(self, key: str, *, start: int = 0) -> Iterator[bytes]:
        self.before("stream", key)
        yield from self.inner.stream(key, start=start)
        self.after("stream", key)

    def create(self, key: str, data: bytes) -> bool:
        self.before("create", key)
        created = self.inner.create(key, data)
        self.after("create", key)
        return created

    def replace(self, key: str, data: bytes) -> None:
        self.before("replace", key)
        self.inner.replace(key, data)
        self.after("replace", key)

    def upload(
        self, key: str, blocks: Iterator[memoryview], *, source: FileIO | None = None
    ) -> None:
        self.before("upload", key)
        self.inner.upload(key, blocks, source=source)
        self.after("upload", key)

    def delete(self, key: str) -> None:
        self.before("delete", key)
        self.inner.delete(key)
        self.after("delete", key)

    def path(self, key: str) -> Path | None:
        self.before("path", key)
        return self.inner.path(key)


class FaultyObjects(WrappedObjects):
    """`Objects` of a process that dies at its ``at``-th write, and then does nothing more.

    It dies before the write takes effect or, with ``late``, after: when nobody heard of it yet.
    With ``at`` 0 it lives, and counts. For one thread.
    """

    def __init__(self, inner: Objects, at: int = 0, *, late: bool = False) -> None:
        super().__init__(inner)
        self._at = at
        self._late = late
        self.writes = 0
        self.is_dead = False

    def before(self, call: str, key: str) -> None:
        if call in WRITES:
            self.writes += 1
        self._die(self.is_dead or (call in WRITES and not self._late and self.writes == self._at))

    def after(self, call: str, key: str) -> None:
        self._die(call in WRITES and self._late and self.writes == self._at)

    def _die(self, now: object) -> None:
        if now:
            self.is_dead = True
            raise Crash


class HookedObjects(WrappedObjects):
    """`Objects` before whose chosen calls something else happens: an error, a wait, a rival."""

    def __init__(self, inner: Objects) -> None:
        super().__init__(inner)
        self._hooks: list[tuple[str, str, Action, bool]] = []
        self.calls: list[tuple[str, str]] = []

    def on(self, call: str, key: str, action: Action, *, once: bool = False) -> None:
        """Do ``action`` before each ``call``, or the first one, whose key begins with ``key``."""
        self._hooks.append((call, key, action, once))

    def fail(self, call: str, key: str, error: Exception) -> None:
        """Raise ``error`` in place of each ``call`` whose key begins with ``key``."""

        def action() -> None:
            raise error

        self.on(call, key, action)

    def heal(self) -> None:
        """Forget all that was asked for."""
        self._hooks.clear()

    def before(self, call: str, key: str) -> None:
        self.calls.append((call, key))
        for hook in [h for h in self._hooks if h[0] == call and key.startswith(h[1])]:
            if hook[3]:
                self._hooks.remove(hook)  # First, for the action may come by here itself.
            hook[2]()


class ClockedObjects(WrappedObjects):
    """`Objects` whose clock, the store's own, stands still unless a test moves it.

    What was not written through these keeps its real time.
    """

    def __init__(self, inner: Objects, now: datetime = datetime(2026, 1, 2, tzinfo=UTC)) -> None:
        super().__init__(inner)
        self.now = now
        self._written: dict[str, datetime] = {}

    def pass_time(self, time: timedelta) -> None:
        """Let everything that is there become older."""
        self.now += time

    def create(self, key: str, data: bytes) -> bool:
        created = super().create(key, data)
        if created:
            self._written[key] = self.now
        return created

    def replace(self, key: str, data: bytes) -> None:
        super().replace(key, data)
        self._written[key] = self.now

    def upload(
        self, key: str, blocks: Iterator[memoryview], *, source: FileIO | None = None
    ) -> None:
        super().upload(key, blocks, source=source)
        self._written[key] = self.now

    def delete(self, key: str) -> None:
        super().delete(key)
        self._written.pop(key, None)

    def seen(self, info: ObjectInfo) -> ObjectInfo:
        return dataclasses.replace(info, modified=self._written.get(info.key, info.modified))


def alter(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
