"""Objects as the files of a local folder: written whole and synced, read without following links.

Nothing here is obstore's: its local store syncs nothing to the disk, so a loss of power could leave
a version number taken by a torn file, and its listing follows links and fails as a whole for one
name that it cannot read.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from voxswap_registry.errors import ObjectMissingError, RegistryError
from voxswap_registry.os_errors import as_registry_errors
from voxswap_registry.storage.objects import ObjectInfo

_BLOCK_BYTES = 1 << 20
TEMPORARY = "tmp"


class FolderObjects:
    """`Objects` below one folder, which need not be there before the first write.

    Thread-safe and safe between processes: it keeps no state and holds no lock; files appear whole
    or not at all. Files on their way lie in ``tmp/``. Symbolic links below the root are not
    followed; the root itself may be one.
    """

    readers = 1

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.realpath(root))

    def __repr__(self) -> str:
        return f"FolderObjects({self.name!r})"

    @property
    def name(self) -> str:
        """The folder."""
        return str(self.root)

    # Reading

    def list(self, folder: str, *, after: str = "") -> Iterator[ObjectInfo]:
        """See `Objects.list`.

        A link is listed as itself, whatever it leads to: it is there, and reading it is refused.
        Pipes, devices and names that no key can have are passed over.
        """
        path = self._file(folder)
        waiting = [folder] if path.is_dir() else []
        with as_registry_errors("list", path):
            while waiting:
                folder = waiting.pop()
                for entry in _entries(self.root / folder):
                    key = f"{folder}/{entry.name}"
                    if not (entry.name.isascii() and entry.name.isprintable()):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(key)
                    elif key > after and (found := _status(entry)) and _is_listed(found):
                        yield _info(key, found)

    def head(self, key: str) -> ObjectInfo | None:
        """See `Objects.head`."""
        path = self._file(key)
        with as_registry_errors("read", path):
            found = _status(path)
        return _info(key, found) if found and stat.S_ISREG(found.st_mode) else None

    def read(self, key: str, *, limit_bytes: int) -> bytes | None:
        """See `Objects.read`."""
        path = self._file(key)
        with as_registry_errors("read", path):
            try:
                descriptor = open_no_follow(path)
            except (FileNotFoundError, NotADirectoryError):
                return None
            with os.fdopen(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise RegistryError(f"{path} is no regular file; remove it")
                return file.read(limit_bytes + 1)

    def stream(self, key: str, *, start: int = 0) -> Iterator[bytes]:
        """See `Objects.stream`."""
        path = self.path(key)
        with as_registry_errors("read", path), os.fdopen(open_no_follow(path), "rb") as file:
            file.seek(start)
            while block := file.read(_BLOCK_BYTES):
                yield block

    def path(self, key: str) -> Path:
        """See `Objects.path`."""
        path = self._file(key)
        with as_registry_errors("find", path):
            try:
                mode = path.lstat().st_mode
            except (FileNotFoundError, NotADirectoryError):
                raise ObjectMissingError(f"{path} is not there") from None
        if not stat.S_ISREG(mode):
            raise RegistryError(f"{path} is no regular file; remove it and import the voice again")
        return path

    # Writing

    def create(self, key: str, data: bytes) -> bool:
        """See `Objects.create`."""
        with self._written(iter([memoryview(data)])) as temporary, self._place(key) as path:
            try:
                os.link(temporary, path)
            except FileExistsError:
                return False
            _sync_folder(path.parent)
            return True

    def replace(self, key: str, data: bytes) -> None:
        """See `Objects.replace`."""
        self.upload(key, iter([memoryview(data)]))

    def upload(self, key: str, blocks: Iterator[memoryview]) -> None:
        """See `Objects.upload`."""
        with self._written(blocks) as temporary, self._place(key) as path:
            os.replace(temporary, path)  # noqa: PTH105 - tests break it here
            _sync_folder(path.parent)

    def delete(self, key: str) -> None:
        """See `Objects.delete`."""
        path = self._file(key)
        with as_registry_errors("remove", path):
            path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def workdir(self) -> Iterator[Path]:
        """A private folder on this disk; gone afterwards. Blocks."""
        with as_registry_errors("write into", self.root):
            path = Path(tempfile.mkdtemp(prefix="import-", dir=self._folder(TEMPORARY)))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def sweep(self, *, before_s: float, dry_run: bool) -> int:
        """Remove what is in ``tmp/`` since before ``before_s``, seconds of the epoch; how many."""
        folder, n = self._file(TEMPORARY), 0
        if not folder.is_dir():
            return 0
        for entry in folder.iterdir():
            with (
                as_registry_errors("remove", entry),
                contextlib.suppress(FileNotFoundError),
            ):
                found = entry.lstat()
                if found.st_mtime < before_s:
                    n += 1
                    if not dry_run:
                        # A link is removed, whatever it leads to.
                        shutil.rmtree(entry) if stat.S_ISDIR(found.st_mode) else entry.unlink()
        return n

    @contextlib.contextmanager
    def _written(self, blocks: Iterator[memoryview]) -> Iterator[Path]:
        """A synced, read-only file with an unpredictable name; gone afterwards if still there."""
        with as_registry_errors("write into", self.root):
            descriptor, name = tempfile.mkstemp(dir=self._folder(TEMPORARY))
        path = Path(name)
        try:
            try:
                for block in blocks:
                    write_all(descriptor, block, path)
                with as_registry_errors("write", path):
                    os.fchmod(descriptor, 0o444)
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)
            yield path
        finally:
            path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _place(self, key: str) -> Iterator[Path]:
        path = self._file(key)
        with as_registry_errors("write", path):
            self._folder(key.rpartition("/")[0])
            yield path

    def _folder(self, key: str) -> Path:
        """The folder ``key``, made if need be, with each new name synced into its parent."""
        missing = []
        folder = self._file(key)
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for folder in reversed(missing):
            folder.mkdir(exist_ok=True)
            _sync_folder(folder.parent)
        return self._file(key)

    def _file(self, key: str) -> Path:
        """The path of a key; refused if a link leads elsewhere."""
        path = self.root / key
        if os.path.realpath(path) != str(path):
            raise RegistryError(
                f"{path} is or lies behind a symbolic link, and the registry follows none below "
                f"its root; move the files there in its place, or link {self.root} as a whole"
            )
        return path


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder; nothing if it has vanished. Its descriptor is closed again."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _status(file: Path | os.DirEntry[str]) -> os.stat_result | None:
    """Of the file itself, never of what a link leads to; None if it is not there."""
    try:
        return file.stat(follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _is_listed(found: os.stat_result) -> bool:
    return stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode)


def _info(key: str, found: os.stat_result) -> ObjectInfo:
    modified = datetime.fromtimestamp(found.st_mtime, UTC)
    return ObjectInfo(key, found.st_size, etag_of(found), modified)


def etag_of(found: os.stat_result) -> str:
    """The ETag of a file that was looked at, by its path or by its descriptor."""
    return f"{found.st_ino:x}-{found.st_mtime_ns:x}-{found.st_size:x}"


def open_no_follow(path: Path) -> int:
    """A descriptor for reading that is neither behind a link nor waits for a pipe's writer."""
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)


def write_all(descriptor: int, data: memoryview, path: Path) -> None:
    """Write all of ``data``; ``path`` names the file in errors. Blocks."""
    with as_registry_errors("write", path):
        while data:
            data = data[os.write(descriptor, data) :]


def _sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` survive a loss of power, where the file system can."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # Some network file systems sync no folders.
            raise
    finally:
        os.close(descriptor)
