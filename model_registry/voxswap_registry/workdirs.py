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
from voxswap_registry.owners import Owner

PREFIX = "import-"


@contextlib.contextmanager
def workdir(parent: Path) -> Iterator[Path]:
    """A folder in ``parent`` that only this user may enter; gone afterwards. Blocks."""
    prefix = f"{PREFIX}{Owner.this_process().to_name()}-"
    with as_registry_errors("write into", parent, name="the folder for files on their way"):
        path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
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
    owner = Owner.from_name(entry.name.removeprefix(PREFIX).rpartition("-")[0])
    return _newest_s(entry) < before_s if owner is None else owner.is_known_dead


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
