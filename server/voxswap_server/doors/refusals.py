"""Who was refused, and why: counted by reason, and told to the log without filling it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

_LOGGER = logging.getLogger(__name__)

_APART_S = 1.0


class Refusals:
    """Counts each refusal, and logs one line a second for each reason. Confined to one event loop.

    The first of a kind is logged at once; those of the second after it in one line, with their
    number. Reasons are those of error classes, so there are few.
    """

    def __init__(self, count: Callable[[str], object], *, apart_s: float = _APART_S) -> None:
        """``count`` hears of each refusal's reason."""
        self._count = count
        self._apart_s = apart_s
        self._since: dict[str, tuple[int, str]] = {}  # the last line: how many, and the latest

    def note(self, reason: str, message: str) -> None:
        """Somebody was refused."""
        self._count(reason)
        if reason in self._since:
            self._since[reason] = self._since[reason][0] + 1, message
            return
        _LOGGER.warning("refused, %s: %s", reason, message)
        self._wait(reason)

    def _wait(self, reason: str) -> None:
        self._since[reason] = 0, ""
        asyncio.get_running_loop().call_later(self._apart_s, self._tell, reason)

    def _tell(self, reason: str) -> None:
        n, latest = self._since.pop(reason)
        if n:
            _LOGGER.warning("refused %d more, %s; the latest: %s", n, reason, latest)
            self._wait(reason)
