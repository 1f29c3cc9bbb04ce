"""Keeps a catalog fresh while a server runs: within a second or two of whatever changes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field

import watchfiles

from voxswap_registry.catalog.catalog import Catalog
from voxswap_registry.catalog.refresh import Refreshed
from voxswap_registry.errors import VoxswapError
from voxswap_registry.layout import JOURNAL
from voxswap_registry.storage.folder import FolderObjects

_LOGGER = logging.getLogger(__name__)
_MAX_DELAY_S = 30.0
_FILE_STEP_MS = 50


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the store: what it found, or why it came to nothing."""

    refreshed: Refreshed = field(default_factory=Refreshed)
    error: Exception | None = None


class CatalogWatcher:
    """Polls the journal, and looks at everything now and then, for writers that died.

    Where the catalog has seen the store before, the first look is at what the journal has had
    since, so that ten thousand voices hold up no start; the next one is at everything.

    Confined to one event loop; the store is read on a worker thread. In a folder, file-system
    events wake it at once. While the store fails, the catalog stays as it was, and the next look
    waits longer each time. ``executor`` is where looks are made.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        poll_s: float = 1.0,
        full_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        executor: Executor | None = None,
    ) -> None:
        self._catalog = catalog
        self._poll_s = poll_s
        self._full_s = full_s
        self._clock = clock
        self._executor = executor
        self._number = 0  # of the journal's last entry that was dealt with
        self._next_full_s: float | None = None  # None before the first look
        self._again: frozenset[str] = frozenset()
        self._failures = 0
        self._woken = asyncio.Event()

    @property
    def delay_s(self) -> float:
        """How long to wait for the next look, unless something wakes it."""
        return float(min(self._poll_s * 2**self._failures, max(_MAX_DELAY_S, self._poll_s)))

    async def look(self) -> Look:
        """Look once. Raises nothing: where it fails, the catalog stays as it was."""
        try:
            loop = asyncio.get_running_loop()
            refreshed = await loop.run_in_executor(self._executor, self._refresh)
        except Exception as error:  # A watch that ended would not be noticed.
            if not self._failures:
                unforeseen = None if isinstance(error, VoxswapError) else error
                text = "the registry cannot be read, voices stay as known: %s"
                _LOGGER.warning(text, error, exc_info=unforeseen)
            self._failures = min(self._failures + 1, 16)
            return Look(error=error)
        if self._failures:
            _LOGGER.info("the registry can be read again")
        self._failures = 0
        return Look(refreshed)

    async def run(self, observer: Callable[[Look], None]) -> None:
        """Look again and again until cancelled; ``observer`` hears of each look."""
        waker = None
        if isinstance(self._catalog.registry.objects, FolderObjects):
            waker = asyncio.create_task(self._wake_on_files(self._catalog.registry.objects))
        try:
            while True:
                self._woken.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self.delay_s):
                        await self._woken.wait()
                observer(await self.look())
        finally:
            if waker is not None:
                waker.cancel()
                await asyncio.gather(waker, return_exceptions=True)

    async def _wake_on_files(self, objects: FolderObjects) -> None:
        """Set `_woken` whenever the journal grows. It is not needed: it only saves a second."""
        journal = objects.root / JOURNAL
        while True:
            try:
                if journal.is_dir():
                    async for _ in watchfiles.awatch(
                        journal,
                        watch_filter=None,
                        recursive=False,
                        step=_FILE_STEP_MS,
                        debounce=_FILE_STEP_MS,
                    ):
                        self._woken.set()
            except FileNotFoundError:
                pass  # It went away in this moment.
            except Exception as error:  # noqa: BLE001 - of several kinds, even groups
                _LOGGER.info("no file events (%s); the journal is polled instead", error)
                return
            await asyncio.sleep(self._full_s)

    def _refresh(self) -> Refreshed:
        """On a worker thread; one at a time, for `look` waits for it."""
        journal, now = self._catalog.registry.journal, self._clock()
        number, full_s = self._number, self._next_full_s
        if full_s is None and self._catalog.is_complete:
            known = self._catalog.journal_number
            if journal.reaches_back_to(known):
                number, full_s = known, math.inf
        if full_s is None or now >= full_s:
            # First the number, then the look: what changes in between is looked at twice.
            number = journal.head()
            refreshed = self._catalog.refresh()
            self._next_full_s = now + self._full_s
        else:
            number, voices = journal.since(number)
            refreshed = Refreshed()
            if voices := voices | self._again:
                refreshed = self._catalog.refresh(voices)
            if self._next_full_s is None:
                self._next_full_s = now
        self._number, self._again = number, refreshed.failed
        self._catalog.note_journal(number)  # last: a disk that refuses loses nothing of the look
        return refreshed
