"""A bounded cache of components on this disk, between a remote store and loading."""

from __future__ import annotations

import concurrent.futures
import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from voxswap_registry.errors import DigestMismatchError, StorageFullError
from voxswap_registry.manifest import Component
from voxswap_registry.names import check_digest
from voxswap_registry.os_errors import as_registry_errors
from voxswap_registry.progress import NullProgress, Progress
from voxswap_registry.storage.cache_files import BOOKS, CacheFiles, is_partial
from voxswap_registry.storage.download import Check, Download, Fetch, mismatch, writing
from voxswap_registry.storage.locks import open_file, try_flock, try_lock
from voxswap_registry.storage.verified import VerifiedFile, inspect

_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """What lies in a cache: ``used_bytes`` of finished ``components`` and of partial files."""

    capacity_bytes: int
    used_bytes: int
    components: int


class ComponentCache:
    """Components on this disk, ``capacity_bytes`` at most, finished and partial files together.

    Thread-safe, and safe between the processes of one user on one machine: its files are all its
    state. All methods block. A bound lower than last time takes effect with the next download.
    Bytes that somebody keeps mapped or open after `hold` are not counted once they are evicted.
    """

    def __init__(
        self,
        folder: Path,
        capacity_bytes: int,
        *,
        clock_ns: Callable[[], int] = time.time_ns,
        pause: Callable[[], None] = lambda: time.sleep(_POLL_SECONDS),
    ) -> None:
        """Name the folder; it need not be there before the first `hold`.

        ``pause`` is called between two looks at a lock that somebody else has.
        """
        self.capacity_bytes = capacity_bytes
        self._files = CacheFiles(folder, clock_ns=clock_ns, pause=pause)

    @property
    def folder(self) -> Path:
        """Where it lies, links followed."""
        return self._files.folder

    def make_private(self) -> None:
        """See `CacheFiles.make_private`."""
        self._files.make_private()

    def __repr__(self) -> str:
        return f"ComponentCache({str(self.folder)!r}, {self.capacity_bytes})"

    @contextlib.contextmanager
    def hold(
        self,
        component: Component,
        fetch: Fetch,
        *,
        on_mismatch: Callable[[DigestMismatchError], None],
        cancelled: Callable[[], bool] | None = None,
        progress: Progress | None = None,
    ) -> Iterator[VerifiedFile]:
        """The open file of ``component``: hashed by this call, not evicted in the block.

        If they are not here, ``fetch(start)`` gives them from offset ``start`` on. One caller of
        all threads and processes downloads, the others wait for it. What a broken download left is
        continued. A cached file with wrong bytes is told to ``on_mismatch``, removed, though others
        may hold it, and fetched again. ``cancelled`` is asked before each block and while waiting;
        once it says True, `concurrent.futures.CancelledError` is raised.

        Raises `DigestMismatchError` if ``fetch`` gives wrong bytes, `ManifestError` if they are
        right and the BLAKE3 is that of others, `StorageFullError` if there is no room,
        `RegistryError` where the disk fails, and what ``fetch`` raises.
        """
        hexadecimal = check_digest(component.digest).removeprefix("sha256:")
        path = self._files.finished(hexadecimal)
        if component.size_bytes > self.capacity_bytes:
            raise StorageFullError(
                f"the {component.role} component {component.digest} has {component.size_bytes} "
                f"bytes and the cache {self.folder} only {self.capacity_bytes}; raise cache_bytes",
                metadata={"digest": component.digest},
            )

        def check() -> None:
            if cancelled is not None and cancelled():
                raise concurrent.futures.CancelledError(f"holding {component.digest}")

        found = self._cached(component, path, check, on_mismatch)
        while found is None:
            with self._files.locked(hexadecimal, check) as lock:
                if not os.path.lexists(path):
                    download = Download(component, fetch, check, progress or NullProgress())
                    found = self._download(download, path, lock)
            if found is None:  # Somebody else was faster.
                found = self._cached(component, path, check, on_mismatch)
        file, verified = found
        with file:
            self._files.note_use(hexadecimal)
            try:
                yield verified
            finally:
                # A copy of the descriptor, as of who maps the file, would keep the lock.
                fcntl.flock(file, fcntl.LOCK_UN)

    def has(self, component: Component) -> bool:
        """Whether a finished file is there; its bytes are not looked at."""
        hexadecimal = check_digest(component.digest).removeprefix("sha256:")
        return os.path.lexists(self._files.finished(hexadecimal))

    def statistics(self) -> CacheStatistics:
        """What there is. Takes no lock, so what comes or goes meanwhile may count or not."""
        # By name: a download that ends meanwhile is met twice, as partial and as finished.
        files = {path.name: (path, status.st_size) for path, status in self._files.all()}
        return CacheStatistics(
            capacity_bytes=self.capacity_bytes,
            used_bytes=sum(size_bytes for _, size_bytes in files.values()),
            components=sum(not is_partial(path) for path, _ in files.values()),
        )

    # One component

    def _cached(
        self,
        component: Component,
        path: Path,
        check: Check,
        on_mismatch: Callable[[DigestMismatchError], None],
    ) -> tuple[FileIO, VerifiedFile] | None:
        """The finished file, sound and with a shared lock; None if there is none."""
        with contextlib.ExitStack() as stack:
            with as_registry_errors("open", path):
                try:
                    file = stack.enter_context(open_file(path, os.O_RDONLY))
                except FileNotFoundError:
                    return None
            self._files.share(file, path, check)
            if not os.fstat(file.fileno()).st_nlink:  # Evicted before the lock was had.
                return None
            if not self._files.is_ours(file, path):
                self._discard(file, path, check)
                return None
            verified = VerifiedFile(file.fileno(), component, settled=True)
            finding = inspect(verified, check)
            if finding is None:
                stack.pop_all()
                return file, verified
            remedy = "it is fetched again. Check the disk if this happens often"
            on_mismatch(mismatch(component, f"{finding} in the cache; {remedy}", detail=str(path)))
            self._discard(file, path, check)
        return None

    def _discard(self, file: FileIO, path: Path, check: Check) -> None:
        """Remove a file that we have open, though others may hold it."""
        with (
            self._files.locked(BOOKS, check),
            as_registry_errors("remove", path),
            contextlib.suppress(FileNotFoundError),
        ):
            # Only if no sound one has taken its place. While this one is open, no other file can
            # have its number.
            if os.path.samestat(path.lstat(), os.fstat(file.fileno())):
                path.unlink()

    def _download(
        self, download: Download, path: Path, lock: FileIO
    ) -> tuple[FileIO, VerifiedFile]:
        """Fetch and publish: the finished file, with a shared lock.

        REQUIRES: the lock of the digest.
        """
        partial = self._files.path_of(f"partial/{path.name}")
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(self._reserve(download, partial, lock))
            try:
                download.run(file, partial)
                with writing(partial):
                    os.fsync(file.fileno())
                # Held before it has its name: there is no moment in which it could be evicted.
                self._files.share(file, partial, download.check)
                with self._files.locked(BOOKS, download.check), writing(partial):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    os.replace(partial, path)  # noqa: PTH105 - tests break it here
                    os.fchmod(file.fileno(), 0o444)
            except BaseException:
                # Its bytes stay for the next to continue, if there are any.
                with contextlib.suppress(OSError):
                    if not os.fstat(file.fileno()).st_size:
                        partial.unlink()
                raise
            verified = VerifiedFile(file.fileno(), download.component, settled=True)
            stack.pop_all()
        return file, verified

    def _reserve(self, download: Download, partial: Path, lock: FileIO) -> FileIO:
        """Book the whole of a component, evicting what must go, and open its partial file."""
        size_bytes = download.component.size_bytes
        with self._files.locked(BOOKS, download.check), as_registry_errors("write", partial):
            self._make_room(download.component, partial)
            lock.truncate(0)
            lock.write(str(size_bytes).encode())
            partial.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError), open_file(partial, os.O_RDONLY) as left:
                if not self._files.is_ours(left, partial):
                    partial.unlink()
            with contextlib.ExitStack() as stack:
                file = stack.enter_context(open_file(partial, os.O_RDWR | os.O_CREAT))
                if os.fstat(file.fileno()).st_size > size_bytes:
                    file.truncate(0)
                stack.pop_all()
            return file

    # Room

    def _make_room(self, component: Component, partial: Path) -> None:
        """Remove what was not used for longest until ``component`` fits; nothing if it cannot.

        REQUIRES: the lock of the books, so that nobody else books bytes meanwhile.
        """
        removed_all = False
        while not removed_all:
            missing_bytes = component.size_bytes - self.capacity_bytes
            files = []
            for path, status in self._files.all():
                if path != partial:
                    booked_bytes = self._booked_bytes(path, status)
                    missing_bytes += booked_bytes
                    files.append((self._files.used_ns(path, status), path, booked_bytes))
            victims = []
            for _, path, size_bytes in sorted(files):
                if missing_bytes <= 0:
                    break
                if self._remove(path, dry=True):
                    victims.append(path)
                    missing_bytes -= size_bytes
            if missing_bytes > 0:
                raise StorageFullError(
                    f"no room for the {component.role} component {component.digest} in the cache: "
                    f"{missing_bytes} of its {self.capacity_bytes} bytes too many are in use or "
                    "on their way; raise cache_bytes, or try again later",
                    metadata={"digest": component.digest},
                    detail=str(self.folder),
                )
            # One may have come into use since it was looked at: then all is planned again.
            removed_all = all(self._remove(path, dry=False) for path in victims)

    def _booked_bytes(self, path: Path, status: os.stat_result) -> int:
        """The size of a file, or the one that it will have if it is being downloaded."""
        if not is_partial(path):
            return status.st_size
        lock = self._files.lock_of(path)
        with (
            as_registry_errors("read", lock),
            contextlib.suppress(FileNotFoundError),
            open_file(lock, os.O_RDONLY) as file,
        ):
            if not try_flock(file, fcntl.LOCK_SH):
                booked = file.read(32) or b""
                return max(int(booked) if booked.isdigit() else 0, status.st_size)
        # Looked at again: the download may have broken off since, at a size unknown so far. Nobody
        # begins another without the books.
        with as_registry_errors("find", path), contextlib.suppress(FileNotFoundError):
            return path.lstat().st_size
        return 0

    def _remove(self, path: Path, *, dry: bool) -> bool:
        """Remove a file and say so, unless somebody uses it; ``dry`` only looks whether it could.

        REQUIRES: the lock of the books.
        """
        lock = self._files.lock_of(path)
        with as_registry_errors("remove", path):
            file = try_lock(lock)
            if file is None:
                return False
            with file:
                if not dry:
                    path.unlink(missing_ok=True)
                    self._files.path_of(f"uses/{path.name}").unlink(missing_ok=True)
                if lock != path:
                    lock.unlink(missing_ok=True)
        return True
