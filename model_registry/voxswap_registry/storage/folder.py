"""Objects as the files of a local folder: written whole and synced, read without following links.

Nothing here is obstore's: its local store syncs nothing to the disk, so a loss of power could leave
a version number taken by a torn file, and its listing follows links and fails as a whole for one
name that it cannot read.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path

from typing_extensions import override

from voxswap_registry.errors import ObjectMissingError, RegistryError
from voxswap_registry.os_errors import as_registry_errors
from voxswap_registry.storage.objects import ObjectInfo, Objects
from voxswap_registry.workdirs import PREFIX, sweep, workdir

_BLOCK_BYTES = 1 << 20
_SYNC_BYTES = 64 << 20
TEMPORARY = "tmp"


class FolderObjects(Objects):
    """`Objects` below one folder, which need not be there before the first write.

    Thread-safe and safe between processes: it keeps no state and holds no lock; files appear whole
    or not at all. Files on their way lie in ``tmp/``. Symbolic links below the root are not
    followed; the root itself may be one.
    """

    readers = 1

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.realpath(root))
        self.name = str(self.root)

    def __repr__(self) -> str:
        return f"FolderObjects({self.name!r})"

    # Reading

    @override
    def list(self, folder: str, *, after: str = "") -> Iterator[ObjectInfo]:
        """A link is listed as itself, whatever it leads to: it is there, and reading it is refused.
        Pipes, devices and names that no key can have are passed over.
        """
        with as_registry_errors("list", self.root / folder, name=folder):
            for key, entry in self._walk(folder, after):
                if (found := _status(entry)) and _is_listed(found):
                    yield _info(key, found)

    @override
    def keys(self, folder: str, *, after: str = "") -> Iterator[str]:
        """Of files and links, as the folder itself tells what they are."""
        with as_registry_errors("list", self.root / folder, name=folder):
            for key, entry in self._walk(folder, after):
                if entry.is_file(follow_symlinks=False) or entry.is_symlink():
                    yield key

    def _walk(self, folder: str, after: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """What lies below ``folder`` and is no folder, with a key above ``after``."""
        waiting = [folder] if self._file(folder).is_dir() else []
        while waiting:
            folder = waiting.pop()
            for entry in _entries(self.root / folder):
                key = f"{folder}/{entry.name}"
                if not (entry.name.isascii() and entry.name.isprintable()):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(key)
                elif key > after:
                    yield key, entry

    @override
    def head(self, key: str) -> ObjectInfo | None:
        path = self._file(key)
        with as_registry_errors("read", path, name=key):
            found = _status(path)
        return _info(key, found) if found and stat.S_ISREG(found.st_mode) else None

    @override
    def read(self, key: str, *, limit_bytes: int) -> bytes | None:
        path = self._file(key)
        with as_registry_errors("read", path, name=key):
            try:
                descriptor = open_no_follow(path)
            except (FileNotFoundError, NotADirectoryError):
                return None
            with os.fdopen(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise RegistryError(f"{key} is no regular file; remove it", detail=str(path))
                return file.read(limit_bytes + 1)

    @override
    def stream(self, key: str, *, start: int = 0) -> Iterator[bytes]:
        path = self.path(key)
        with (
            as_registry_errors("read", path, name=key),
            os.fdopen(open_no_follow(path), "rb") as file,
        ):
            file.seek(start)
            while block := file.read(_BLOCK_BYTES):
                yield block

    @override
    def path(self, key: str) -> Path:
        path = self._file(key)
        with as_registry_errors("find", path, name=key):
            try:
                mode = path.lstat().st_mode
            except (FileNotFoundError, NotADirectoryError):
                raise ObjectMissingError(f"{key} is not there", detail=str(path)) from None
        if not stat.S_ISREG(mode):
            raise RegistryError(
                f"{key} is no regular file; remove it and import the voice again", detail=str(path)
            )
        return path

    # Writing

    @override
    @override
    def create(self, key: str, data: bytes) -> bool:
        with self._written(key, iter([memoryview(data)])) as temporary, self._place(key) as path:
            try:
                os.link(temporary, path)
            except FileExistsError:
                return False
            _sync_folder(path.parent)
            return True

    @override
    def replace(self, key: str, data: bytes) -> None:
        self.upload(key, iter([memoryview(data)]))

    def upload(
        self, key: str, blocks: Iterator[memoryview], *, source: FileIO | None = None
    ) -> None:
        """A ``source`` in a folder of `workdir` is linked, not copied."""
        if source is not None and self._may_adopt(source):
            made = self._adopted(key, blocks, source)
        else:
            made = self._written(key, blocks)
        with made as temporary, self._place(key) as path:
            os.replace(temporary, path)  # noqa: PTH105 - tests break it here
            _sync_folder(path.parent)

    @override
    def delete(self, key: str) -> None:
        path = self._file(key)
        with as_registry_errors("remove", path, name=key):
            path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def workdir(self) -> Iterator[Path]:
        """A private folder on this disk, whose files `upload` need not copy. Blocks."""
        with as_registry_errors("write into", self.root, name="the registry's folder"):
            parent = self._folder(TEMPORARY)
        with workdir(parent) as path:
            yield path

    def sweep(self, *, before_s: float, dry_run: bool) -> int:
        """Remove what is in ``tmp/`` and nobody works on, see `workdirs.sweep`; how many."""
        return sweep(self._file(TEMPORARY), before_s=before_s, dry_run=dry_run)

    @contextlib.contextmanager
    def _written(self, key: str, blocks: Iterator[memoryview]) -> Iterator[Path]:
        """A synced, read-only file with an unpredictable name; gone afterwards if still there."""
        with as_registry_errors("write into", self.root, name="the registry's folder"):
            descriptor, name = tempfile.mkstemp(dir=self._folder(TEMPORARY))
        path = Path(name)
        try:
            try:
                n = 0
                for block in blocks:
                    write_all(descriptor, block, path, name=key)
                    n += len(block)
                    if n >= _SYNC_BYTES:
                        # No single call waits for the disk so long that a marker grows old.
                        n = 0
                        with as_registry_errors("write", path, name=key):
                            os.fdatasync(descriptor)
                with as_registry_errors("write", path, name=key):
                    os.fchmod(descriptor, 0o444)
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)
            yield path
        finally:
            path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _adopted(self, key: str, blocks: Iterator[memoryview], source: FileIO) -> Iterator[Path]:
        """A second name of the file ``source``, synced and read-only; gone afterwards.

        Its first name stays: that is for its maker to remove. What gets the name is the open file
        that ``blocks`` read, whatever lies at its path by then.
        """
        descriptor, path = source.fileno(), self.root / TEMPORARY / f"link-{secrets.token_hex(16)}"
        with as_registry_errors("write", path, name=key):
            os.fchmod(descriptor, 0o444)
            os.fsync(descriptor)
            before = _identity(os.fstat(descriptor))
            for _ in blocks:
                pass
            unchanged = _identity(os.fstat(descriptor)) == before
            os.utime(descriptor)  # A collector goes by its age, which counts from here.
            try:
                os.link(str(source.name), path)
                if not (unchanged and os.path.samestat(path.lstat(), os.fstat(descriptor))):
                    raise RegistryError(
                        f"the file of {key} changed while it was published; publish it again",
                        detail=str(source.name),
                    )
                yield path
            finally:
                # Also once it was renamed: of two names of one file, rename(2) may keep both.
                path.unlink(missing_ok=True)

    def _may_adopt(self, source: FileIO) -> bool:
        """Whether ``source`` lies in a private folder of `workdir`, under that name alone."""
        path, ours = Path(str(source.name)), self.root / TEMPORARY
        if not path.is_relative_to(ours) or os.path.realpath(path) != str(path):
            return False
        folder = ours / path.relative_to(ours).parts[0]
        found, private = os.fstat(source.fileno()), folder.lstat()
        return (
            folder.name.startswith(PREFIX)
            and stat.S_ISDIR(private.st_mode)
            and not private.st_mode & 0o077
            and private.st_uid == found.st_uid == os.geteuid()
            and stat.S_ISREG(found.st_mode)
            and found.st_nlink == 1
        )

    @contextlib.contextmanager
    def _place(self, key: str) -> Iterator[Path]:
        path = self._file(key)
        with as_registry_errors("write", path, name=key):
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
                f"{key} is or lies behind a symbolic link, and the registry follows none below its "
                "root; move the files there in its place, or link the root as a whole",
                detail=str(path),
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


def _identity(found: os.stat_result) -> tuple[int, int, int, int]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


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


def write_all(descriptor: int, data: memoryview, path: Path, *, name: str = "") -> None:
    """Write all of ``data``; ``path`` and ``name`` are for errors. Blocks."""
    with as_registry_errors("write", path, name=name):
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
