"""Idle threads share the products of native kernels with those that compute."""

from __future__ import annotations

import time

from voxswap_families.layers.native.library import Library


class KernelLending:
    """How a server's threads help each other, once it is known which kernels compute.

    Until then, and where torch computes, whoever lends himself comes back at once. Thread-safe.
    """

    def __init__(self) -> None:
        self._library: Library | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is anything to help with."""
        return self._library is not None

    def open(self, library: Library) -> None:
        """From now on ``library`` computes."""
        self._library = library

    def ticket(self) -> int:
        """See the compute room's `Lending`."""
        return int(self._library.functions.vxk_ticket()) if self._library is not None else 0

    def lend(self, ticket: int) -> None:
        """See there."""
        if self._library is not None:
            self._library.functions.vxk_lend(ticket)

    def recall(self) -> None:
        """See there."""
        if self._library is not None:
            self._library.functions.vxk_recall()

    def cpu_clock(self) -> float:
        """Seconds that this thread computed, and others for it."""
        if self._library is None:
            return time.thread_time()
        return time.thread_time() + int(self._library.functions.vxk_helped_ns()) / 1e9

    @property
    def shared(self) -> tuple[int, int, int]:
        """Products that were shared, those whose lender was late, and closings because of it."""
        if self._library is None:
            return 0, 0, 0
        call = self._library.functions
        return call.vxk_shared(), call.vxk_late(), call.vxk_closings()
