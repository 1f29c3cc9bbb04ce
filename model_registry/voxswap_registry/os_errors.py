"""The one place where errors of the operating system become `RegistryError`s."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from voxswap_registry.errors import RegistryError, StorageFullError

_REMEDIES = {
    errno.ENOSPC: "free space there, or point the registry at a larger disk",
    errno.EDQUOT: "raise the quota, or point the registry at another disk",
    errno.EACCES: "give this user the right to it, or choose another folder",
    errno.EPERM: "the file system forbids it (voxswap needs hard links); choose a local folder",
    errno.EOPNOTSUPP: "the file system cannot do it (voxswap needs hard links); use a local folder",
    errno.EROFS: "the file system is read-only; mount it for writing to publish",
    errno.ELOOP: "a symbolic link is in the way, and the registry follows none; remove it",
    errno.EMFILE: "too many files are open; raise `ulimit -n`",
    errno.EIO: "the disk reports a fault; check it, then run `voxswap voices verify`",
}


@contextmanager
def as_registry_errors(action: str, path: Path, *, name: str = "") -> Iterator[None]:
    """Turn an `OSError` inside the block into a `RegistryError`: what, where, and the remedy.

    The message names the file by ``name``, or else by the last part of ``path``; the whole path is
    the error's detail.
    """
    try:
        yield
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "check the folder and the disk under it")
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        raise (StorageFullError if full else RegistryError)(
            f"cannot {action} {name or path.name}: {_why(error)}; {remedy}",
            metadata={"errno": errno.errorcode.get(error.errno or 0, "UNKNOWN")},
            detail=str(path),
        ) from error


def _why(error: OSError) -> str:
    """The system's own words; what else an `OSError` says may hold a path."""
    return error.strerror or type(error).__name__
