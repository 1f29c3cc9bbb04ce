"""Publishing and collecting garbage keep out of each other's way, on any store and any machine.

Each writes a marker and then looks for the other's. A collector that sees a publisher gives up; a
publisher that sees a collector waits. Whatever the order, at least one of the two sees the other,
because a write is seen by every later listing. Ages are differences between times of the store's
own clock, so clocks of machines do not matter. A marker that its owner left behind dies of age.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from voxswap_registry.errors import RegistryBusyError, RegistryError
from voxswap_registry.layout import COLLECTING, PUBLISHING
from voxswap_registry.storage.objects import Objects

LIFETIME = timedelta(hours=1)
_REFRESH_S = LIFETIME.total_seconds() / 6
_WAIT_S = 60.0
_POLL_S = 0.25


def uptime_s() -> float:
    """Seconds that also pass while the machine sleeps, where the system counts those."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Marker:
    """A marker of ours. Not thread-safe."""

    def __init__(self, objects: Objects, folder: str, clock: Callable[[], float]) -> None:
        self._objects = objects
        self._clock = clock
        self.key = f"{folder}/{secrets.token_hex(16)}.json"
        self._written_s = 0.0
        try:
            self._write()
        except BaseException:
            self.remove()  # The write may have taken effect all the same.
            raise

    def _write(self) -> None:
        who = {"host": socket.gethostname(), "pid": os.getpid()}
        self._objects.replace(self.key, json.dumps(who).encode())
        self._written_s = self._clock()

    def refresh(self) -> None:
        """Write it again if it is no longer young. Call it now and then during long work.

        Raises `RegistryError` if it was so old that others may have taken its owner for dead.
        """
        if self._clock() - self._written_s > _REFRESH_S:
            before = self.store_time()
            self._write()
            if self.store_time() - before > LIFETIME:
                raise RegistryError(
                    f"{self.key} in {self._objects.name} was not renewed for more than an hour, "
                    "because this process stood still; start again"
                )

    def store_time(self) -> datetime:
        """When it was last written, by the store's clock."""
        info = self._objects.head(self.key)
        if info is None:
            raise RegistryError(
                f"{self.key} went away from {self._objects.name} while it was needed; do not "
                "remove markers of running processes; try again"
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
) -> Iterator[Marker]:
    """Nothing is collected inside the block. Raises `RegistryBusyError` after a minute's wait."""
    marker = Marker(objects, PUBLISHING, clock)
    try:
        began = clock()
        while others := _living(objects, COLLECTING, marker):
            if clock() - began > _WAIT_S:
                raise RegistryBusyError(
                    f"{objects.name}: garbage is being collected ({others[0]}); publish again "
                    "when that has ended"
                )
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
                f"{objects.name}: {len(others)} publishing now ({others[0]}); collect again when "
                f"that has ended, or an hour after its process died"
            )
        yield marker
    finally:
        marker.remove()


def remove_dead(objects: Objects, own: Marker) -> int:
    """Delete the markers that their owners left behind; returns how many."""
    oldest = own.store_time() - LIFETIME
    dead = [
        info.key
        for folder in (PUBLISHING, COLLECTING)
        for info in objects.list(folder)
        if info.modified < oldest
    ]
    for key in dead:
        objects.delete(key)
    return len(dead)


def _living(objects: Objects, folder: str, own: Marker) -> list[str]:
    oldest = own.store_time() - LIFETIME
    return sorted(info.key for info in objects.list(folder) if info.modified >= oldest)
