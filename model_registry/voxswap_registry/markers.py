"""Publishing and collecting garbage keep out of each other's way, on any store and any machine.

Each writes a marker and then looks for the other's. A collector that sees a publisher gives up; a
publisher that sees a collector waits. Whatever the order, at least one of the two sees the other,
because a write is seen by every later listing. A marker that its owner left behind is known as dead
at once by processes that could see the owner run (see `owners`), and dies of age for all others.
Ages are differences between times of the store's own clock, so clocks of machines do not matter.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from voxswap_registry.errors import RegistryBusyError, RegistryError
from voxswap_registry.layout import COLLECTING, PUBLISHING
from voxswap_registry.owners import MAX_OWNER_BYTES, Owner
from voxswap_registry.storage.objects import ObjectInfo, Objects

LIFETIME = timedelta(minutes=5)
# Of a marker that does not say so itself: earlier versions renew theirs every ten minutes.
LONGEST_LIFETIME = timedelta(hours=1)
_REFRESH_S = LIFETIME.total_seconds() / 5
_WAIT_S = 60.0
_POLL_S = 0.25


def uptime_s() -> float:
    """Seconds that also pass while the machine sleeps, where the system counts those."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Marker:
    """A marker of ours. Thread-safe: a lock makes renewals one at a time. Blocks on the store."""

    def __init__(self, objects: Objects, folder: str, clock: Callable[[], float]) -> None:
        self._objects = objects
        self._clock = clock
        self.key = f"{folder}/{secrets.token_hex(16)}.json"
        self._written_s = 0.0
        self._lock = threading.Lock()
        try:
            self._write()
        except BaseException:
            self.remove()  # The write may have taken effect all the same.
            raise

    def _write(self) -> None:
        lifetime = {"lifetime_s": int(LIFETIME.total_seconds())}
        who = json.loads(Owner.this_process().to_json())
        self._objects.replace(self.key, json.dumps({**who, **lifetime}).encode())
        self._written_s = self._clock()

    def refresh(self) -> None:
        """`renew` it if it is no longer young. Call it now and then during long work."""
        with self._lock:
            if self._clock() - self._written_s > _REFRESH_S:
                self._renew()

    def renew(self) -> None:
        """Write it again. When this returns, nobody can have taken its owner for dead so far.

        Raises `RegistryError` if it was so old that others may have, or if they took it away.
        """
        with self._lock:
            self._renew()

    def _renew(self) -> None:
        before = self.store_time()
        self._write()
        if self.store_time() - before > LIFETIME:
            raise RegistryError(
                f"{self.key} was not renewed for more than {_minutes(LIFETIME)} minutes, because "
                "this process stood still; start again",
                detail=self._objects.name,
            )

    def store_time(self) -> datetime:
        """When it was last written, by the store's clock. Raises `RegistryError` if it is gone."""
        info = self._objects.head(self.key)
        if info is None:
            raise RegistryError(
                f"{self.key} went away while it was needed; do not remove markers of running "
                "processes; try again",
                detail=self._objects.name,
            )
        return info.modified

    def remove(self) -> None:
        """Take it away; where the store fails, it dies of age."""
        with contextlib.suppress(RegistryError):
            self._objects.delete(self.key)


@contextlib.contextmanager
def publishing(
    objects: Objects,
    *,
    clock: Callable[[], float] = uptime_s,
    sleep: Callable[[float], None] = time.sleep,
    tick: Callable[[], object] = lambda: None,
) -> Iterator[Marker]:
    """Nothing is collected inside the block. Raises `RegistryBusyError` after a minute's wait.

    While it waits, ``tick`` is called now and then, and may raise to end that.
    """
    marker = Marker(objects, PUBLISHING, clock)
    try:
        began = clock()
        while others := _living(objects, COLLECTING, marker):
            if clock() - began > _WAIT_S:
                raise RegistryBusyError(
                    f"garbage is being collected ({others[0]}); publish again when that has ended"
                )
            tick()
            sleep(_POLL_S)
            marker.refresh()
        yield marker
    finally:
        marker.remove()


@contextlib.contextmanager
def collecting(objects: Objects, *, clock: Callable[[], float] = uptime_s) -> Iterator[Marker]:
    """Nobody publishes inside the block. Raises `RegistryBusyError` if somebody does already."""
    marker = Marker(objects, COLLECTING, clock)
    try:
        if others := _living(objects, PUBLISHING, marker):
            raise RegistryBusyError(
                f"{len(others)} publishing now ({others[0]}); collect again when that has ended, "
                f"or {_minutes(LIFETIME)} minutes after its process died on another machine"
            )
        yield marker
    finally:
        marker.remove()


def remove_dead(objects: Objects, own: Marker) -> int:
    """Delete the markers that their owners left behind; returns how many."""
    now = own.store_time()
    dead = [
        info.key
        for folder in (PUBLISHING, COLLECTING)
        for info in objects.list(folder)
        if info.key != own.key and _is_dead(objects, info, now)
    ]
    for key in dead:
        objects.delete(key)
    return len(dead)


def _living(objects: Objects, folder: str, own: Marker) -> list[str]:
    now = own.store_time()
    return sorted(info.key for info in objects.list(folder) if not _is_dead(objects, info, now))


def _is_dead(objects: Objects, info: ObjectInfo, now: datetime) -> bool:
    """Whether the owner of a marker is dead, or counts as such since it did not renew it."""
    age = now - info.modified
    if age > LONGEST_LIFETIME:
        return True
    data = objects.read(info.key, limit_bytes=MAX_OWNER_BYTES)
    if data is None:
        return True  # It is gone.
    if age > _lifetime(data):
        return True
    owner = Owner.from_json(data)
    return owner is not None and owner.is_known_dead


def _lifetime(data: bytes) -> timedelta:
    try:
        lifetime_s = json.loads(data)["lifetime_s"]
    except (ValueError, RecursionError, TypeError, KeyError):
        return LONGEST_LIFETIME
    is_ours = lifetime_s == int(LIFETIME.total_seconds())
    return LIFETIME if is_ours else LONGEST_LIFETIME


def _minutes(time: timedelta) -> int:
    return int(time.total_seconds() // 60)
