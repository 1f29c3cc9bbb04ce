"""Files that processes share, and locks on them: flock's, which die with their process."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

from voxswap_registry.errors import RegistryError

_LOOK_S = 0.002


def open_file(path: Path, flags: int) -> FileIO:
    """Open a regular file, and nothing else. Raises `OSError`, and `RegistryError` for others."""
    descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise RegistryError(f"{path.name} is no regular file; remove it", detail=str(path))
    return FileIO(descriptor, "r+" if flags & os.O_RDWR else "r")


def try_lock(path: Path) -> FileIO | None:
    """Open with an exclusive lock; None if somebody else has one, or has removed the file.

    A lock file is created; a finished file is not, and need not be writable.
    """
    is_lock_file = path.parent.name == "locks"
    file = open_file(path, os.O_RDWR | os.O_CREAT if is_lock_file else os.O_RDONLY)
    if try_flock(file, fcntl.LOCK_EX) and os.fstat(file.fileno()).st_nlink:
        return file
    file.close()
    return None


def try_flock(file: FileIO, kind: int) -> bool:
    """Lock ``file`` if nobody stands in the way; whether that was so."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def replace_file(path: Path, data: bytes) -> None:
    """Whoever reads it finds the old or the new; after a loss of power perhaps neither."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def locked(path: Path, patience_s: float) -> Iterator[None]:
    """An exclusive lock on ``path``, which is created and stays. Blocks while others have it.

    Raises `TimeoutError` after ``patience_s``, and as `open_file` does.
    """
    with open_file(path, os.O_RDWR | os.O_CREAT) as file:
        until = time.monotonic() + patience_s
        while not try_flock(file, fcntl.LOCK_EX):
            if time.monotonic() > until:
                raise TimeoutError(f"another process has had {path.name} for {patience_s:g} s")
            time.sleep(_LOOK_S)
        yield
