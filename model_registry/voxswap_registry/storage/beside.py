"""Work that runs beside the hashing of a file."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Protocol

from voxswap_registry.storage.verified import VerifiedFile


class Meanwhile(Protocol):
    """What may be done with a file whose bytes are still being verified."""

    def run(self, file: VerifiedFile) -> None:
        """On a thread of its own. Must raise nothing."""
        ...

    def void(self) -> None:
        """The bytes were the wrong ones, and others take their place: what `run` did is void."""
        ...


@contextlib.contextmanager
def beside(work: Meanwhile | None, file: VerifiedFile) -> Iterator[None]:
    """Run ``work.run(file)`` while the block runs; wait for it in the end."""
    if work is None:
        yield
        return
    thread = threading.Thread(target=work.run, args=(file,), name="voxswap-beside", daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join()
