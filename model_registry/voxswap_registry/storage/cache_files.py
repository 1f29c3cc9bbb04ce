"""The files and locks of a cache of components.

Below the folder::

    sha256/<first 2 digits>/<64 digits>   finished files, mode 0444
    partial/<64 digits>                   downloads under way, and what broken ones left behind
    uses/<64 digits>                      empty; its mtime is when the component was last held
    locks/<64 digits>                     who downloads it holds it; says how many bytes to expect
    locks/cache                           held for a moment by who books bytes or changes names

A finished file is in use while somebody holds a shared lock on the file itself; evicting one takes
an exclusive lock, which waits for nobody. All locks are flock's: they die with their process.
Nothing touches a finished file, its times neither: whoever maps it looks at them for changes.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import stat
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path

from voxswap_registry.errors import RegistryError
from voxswap_registry.os_errors import as_registry_errors
from voxswap_registry.storage.download import Check
from voxswap_registry.storage.locks import open_file, try_flock, try_lock

BOOKS = "cache"
_HEXADECIMAL = re.compile(r"[0-9a-f]{64}")
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
_LOGGER = logging.getLogger(__name__)


class CacheFiles:
    """What lies where in a cache's folder, and who holds it. Keeps nothing of it in memory.

    Thread-safe. All methods block; where the disk fails they raise `RegistryError`, and so for a
    symbolic link below the folder.
    """

    def __init__(
        self, folder: Path, *, clock_ns: Callable[[], int], pause: Callable[[], None]
    ) -> None:
        """``pause`` is called between two looks at a lock that somebody else has."""
        self.folder = Path(os.path.realpath(folder))
        self._clock_ns = clock_ns
        self._pause = pause
        self._is_private = False

    def make_private(self) -> None:
        """See that nobody but this user can write here, now and from now on; make the folder.

        Files that are another's, or that others may write, are fetched anew from then on. Raises
        `RegistryError` if a folder on the way here is another user's or open to others.
        """
        with as_registry_errors("write into", self.folder):
            for path in (*reversed(self.folder.parents), self.folder):
                path.mkdir(mode=0o700, exist_ok=True)
            for path in self.folder.parents:
                _refuse_open_folder(path, self.folder)
            found = self.folder.lstat()
            if found.st_uid != os.geteuid():
                raise _not_private(self.folder, self.folder, "belongs to another user")
            if stat.S_IMODE(found.st_mode) & 0o077:
                self.folder.chmod(0o700)
        self._is_private = True

    def is_ours(self, file: FileIO, path: Path) -> bool:
        """Whether nobody else can write to an open file; if that does not matter, it is."""
        if not self._is_private:
            return True
        found = os.fstat(file.fileno())
        ours = found.st_uid == os.geteuid() and not found.st_mode & _OTHERS_MAY_WRITE
        if not ours:
            _LOGGER.warning("%s: others can write to it, so it is fetched anew", path)
        return ours

    def note_use(self, hexadecimal: str) -> None:
        """What eviction goes by. A disk that takes no times only makes the order worse."""
        path, now_ns = self.path_of(f"uses/{hexadecimal}"), self._clock_ns()
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with open_file(path, os.O_RDWR | os.O_CREAT) as file:
                os.utime(file.fileno(), ns=(now_ns, now_ns))

    def used_ns(self, path: Path, status: os.stat_result) -> int:
        """When a component was last held. Caches of older versions have it in the file's times."""
        try:
            return self.path_of(f"uses/{path.name}").lstat().st_mtime_ns
        except OSError:
            return status.st_mtime_ns

    @contextlib.contextmanager
    def locked(self, name: str, check: Check) -> Iterator[FileIO]:
        """Hold a lock file, once it is free. That of a digest goes away afterwards."""
        path = self.path_of(f"locks/{name}")
        with as_registry_errors("lock", path):
            path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            with as_registry_errors("lock", path):
                file = try_lock(path)
            if file is not None:
                break
            check()
            self._pause()
        with file:
            try:
                yield file
            finally:
                if name != BOOKS:
                    with contextlib.suppress(OSError):
                        path.unlink()

    def share(self, file: FileIO, path: Path, check: Check) -> None:
        """Lock a file against eviction, which has its own lock on it for a moment only."""
        while True:
            with as_registry_errors("lock", path):
                if try_flock(file, fcntl.LOCK_SH):
                    return
            check()
            self._pause()

    def lock_of(self, path: Path) -> Path:
        """Whose lock says that a file is in use: its own if it is finished."""
        return self.folder / "locks" / path.name if is_partial(path) else path

    def all(self) -> Iterator[tuple[Path, os.stat_result]]:
        """Partial files first, for what moves meanwhile to be met once or twice, but not never."""
        yield from self._files_in("partial")
        for folder in self._names("sha256"):
            yield from self._files_in(f"sha256/{folder}")

    def _files_in(self, key: str) -> Iterator[tuple[Path, os.stat_result]]:
        for name in filter(_HEXADECIMAL.fullmatch, self._names(key)):
            path = self.folder / key / name
            with as_registry_errors("find", path):
                try:
                    status = path.lstat()
                except FileNotFoundError:
                    continue
            yield path, status

    def _names(self, key: str) -> list[str]:
        path = self.path_of(key)
        with as_registry_errors("list", path):
            try:
                return os.listdir(path)  # noqa: PTH208 - names are wanted, not paths
            except (FileNotFoundError, NotADirectoryError):
                return []

    def finished(self, hexadecimal: str) -> Path:
        """Where a component lies, once it is all there."""
        return self.path_of(f"sha256/{hexadecimal[:2]}/{hexadecimal}")

    def path_of(self, key: str) -> Path:
        """A place below the folder. Raises `RegistryError` if a link leads elsewhere."""
        path = self.folder / key
        if os.path.realpath(path) != str(path):
            raise RegistryError(
                f"{key} of the cache is or lies behind a symbolic link, and the cache follows none "
                "below its folder; remove it, or link that folder as a whole",
                detail=str(path),
            )
        return path


def is_partial(path: Path) -> bool:
    """Whether a file is one that is still downloaded."""
    return path.parent.name == "partial"


def _refuse_open_folder(path: Path, folder: Path) -> None:
    """Who may write to a folder above ours may put another in its place.

    But in a sticky folder such as ``/tmp`` only its own entries.
    """
    found = path.stat()
    if found.st_uid not in (0, os.geteuid()):
        raise _not_private(path, folder, "belongs to another user")
    if found.st_mode & _OTHERS_MAY_WRITE and not found.st_mode & stat.S_ISVTX:
        raise _not_private(path, folder, "may be written by others")


def _not_private(path: Path, folder: Path, fault: str) -> RegistryError:
    return RegistryError(
        f"{path} {fault}, and what is verified must be copied to where only this user can write: "
        f"{folder}; choose another cache_dir, or take those rights away: chmod go-w {path}"
    )
