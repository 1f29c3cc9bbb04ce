"""Whether the server can speak: facts come in from everywhere, and one place makes the answer."""

from __future__ import annotations

import asyncio
import contextlib

from voxswap_server.residency.bars import Bars


class Serving:
    """The server serves if it is ready, its threads are well, and it is not about to end.

    Facts are set in any order; the end is for good. Confined to one event loop; nobody who waits
    for news can hold up whoever brings them.
    """

    def __init__(self, bars: Bars, *, long_engines: frozenset[str] = frozenset()) -> None:
        """``long_engines`` are those whose voices need the thread for long steps."""
        self._bars = bars
        self._long_engines = long_engines
        self._is_ready = False
        self.is_draining = False  # whether the server is about to end
        self._has_threads = {False: True, True: True}  # by whether their steps may be long
        self._changed = asyncio.Event()
        self.changes = 0  # so far

    def become_ready(self) -> None:
        """What is loaded before the server serves is there."""
        self._is_ready = True
        self._tell()

    def drain(self) -> None:
        """The server is about to end."""
        self.is_draining = True
        self._tell()

    def set_threads(self, may_be_long: bool, are_there: bool) -> None:  # noqa: FBT001 - told so
        """Whether there is a thread for steps that are short, or for those that may be long."""
        if self._has_threads[may_be_long] != are_there:
            self._has_threads[may_be_long] = are_there
            self._tell()

    @property
    def serves(self) -> bool:
        """Whether this server should be sent streams."""
        return self._is_ready and not self.is_draining and self._has_threads[False]

    def serves_voice(self, ref: str, engine: str) -> bool:
        """Whether a sound version ``ref`` (``voice@version``) of ``engine`` can speak."""
        threads = engine not in self._long_engines or self._has_threads[True]
        return self.serves and threads and not self._bars.left_s(ref)

    async def news(self, after: int, timeout_s: float | None = None) -> None:
        """Wait until more than ``after`` `changes` have happened, or for ``timeout_s``."""
        if self.changes <= after:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._changed.wait()

    def _tell(self) -> None:
        self.changes += 1
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
