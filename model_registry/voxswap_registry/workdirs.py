"""Private folders for files on their way, and the removal of those that dead processes left."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from voxswap_registry.os_errors import as_registry_errors
from voxswap_registry.owners import MAX_OWNER_BYTES, Owner

PREFIX = "import-"
_OWNER = ".owner.json"


@contextlib.contextmanager
def workdir(parent: Path) -> Iterator[Path]:
    """A folder in ``parent`` that only this user may enter; gone afterwards. Blocks."""
    with as_registry_errors("write into", parent, name="the folder for files on their way"):
        path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    try:
        with as_registry_errors("write", path / _OWNER):
            (path / _OWNER).write_bytes(Owner.this_process().to_json())
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def sweep(parent: Path, *, before_s: float, dry_run: bool, prefix: str = "") -> int:
    """Remove what nobody works on any more from ``parent``; how many entries.

    Of a folder whose owner is of this host, that decides: it stays as long as that process lives,
    and goes when it has died. All else goes if nothing in it was written since ``before_s``,
    seconds of the epoch. Only names that begin with ``prefix`` are looked at.
    """
    if not parent.is_dir():
        return 0
    n = 0
    for entry in parent.iterdir():
        if not entry.name.startswith(prefix):
            continue
        with (
            as_registry_errors("remove", entry, name=f"{parent.name}/{entry.name}"),
            contextlib.suppress(FileNotFoundError),
        ):
            if _is_abandoned(entry, before_s):
                n += 1
                if not dry_run:
                    _remove(entry)
    return n


def _is_abandoned(entry: Path, before_s: float) -> bool:
    found = entry.lstat()
    if not stat.S_ISDIR(found.st_mode):  # A link is judged itself, whatever it leads to.
        return found.st_mtime < before_s
    owner = _owner(entry)
    if owner is not None and owner.is_here:
        return owner.is_known_dead
    return _newest_s(entry) < before_s


def _owner(folder: Path) -> Owner | None:
    try:
        descriptor = os.open(folder / _OWNER, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None  # An older folder, or one that was made this moment: its age decides.
    with os.fdopen(descriptor, "rb") as file:
        return Owner.from_json(file.read(MAX_OWNER_BYTES))


def _newest_s(folder: Path) -> float:
    """When anything in ``folder`` was last written. Its own time stands still as a file grows."""
    newest = folder.lstat().st_mtime
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            with contextlib.suppress(FileNotFoundError):
                newest = max(newest, (Path(root) / name).lstat().st_mtime)
    return newest


def _remove(entry: Path) -> None:
    if stat.S_ISDIR(entry.lstat().st_mode):
        shutil.rmtree(entry)
    else:
        entry.unlink()
