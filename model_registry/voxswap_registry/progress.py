"""What an import tells its caller about how far it is. The terminal bar itself is the client's."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Hears of one stretch of work after the other; called from the importing thread alone."""

    def start(self, label: str, total_bytes: int) -> None:
        """A stretch of ``total_bytes`` begins; the one before it is over."""
        ...

    def advance(self, n_bytes: int) -> None:
        """``n_bytes`` more are done."""
        ...

    def finish(self) -> None:
        """The stretch is over, whether it came to its end or failed."""
        ...


class NullProgress:
    """A `Progress` that nobody watches. Thread-safe: it has no state."""

    def start(self, label: str, total_bytes: int) -> None:
        """Do nothing."""

    def advance(self, n_bytes: int) -> None:
        """Do nothing."""

    def finish(self) -> None:
        """Do nothing."""
