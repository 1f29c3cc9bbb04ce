"""What ended a worker is not tried again for a while: `Barred`."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Barred:
    """Digests of inputs, each barred for ``for_s`` seconds; of more than ``most`` the oldest goes.

    Thread-safe; nothing blocks.
    """

    def __init__(self, clock: Callable[[], float], *, for_s: float, most: int) -> None:
        self._clock = clock
        self._for_s = for_s
        self._most = most
        self._lock = threading.Lock()
        self._until: dict[bytes, float] = {}  # oldest first

    def __len__(self) -> int:
        return len(self._until)

    def add(self, digest: bytes) -> None:
        """Bar it from now on."""
        with self._lock:
            self._until.pop(digest, None)
            self._until[digest] = self._clock() + self._for_s
            if len(self._until) > self._most:
                del self._until[next(iter(self._until))]

    def __contains__(self, digest: bytes) -> bool:
        with self._lock:
            until = self._until.get(digest)
            if until is not None and self._clock() >= until:
                del self._until[digest]
                until = None
        return until is not None
