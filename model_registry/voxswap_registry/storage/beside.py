"""Work that runs beside the hashing of a file."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

# Given a path whose bytes are not verified yet; must raise nothing.
Meanwhile = Callable[[Path], None]


@contextlib.contextmanager
def beside(work: Meanwhile | None, path: Path) -> Iterator[None]:
    """Run ``work(path)`` on a thread of its own while the block runs; wait for it in the end."""
    if work is None:
        yield
        return
    thread = threading.Thread(target=work, args=(path,), name="voxswap-beside", daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join()
