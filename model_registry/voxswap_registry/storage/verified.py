"""A component's file from its hash to its use, through one open descriptor.

What is hashed is what is used: nothing finds the file by its path again, so it does not matter what
takes that path meanwhile. Against writes into the file itself there are its times. A write moves
mtime and ctime, and ctime cannot be set back; but so does much that changes no byte (a link made or
removed, a mode, `touch`). So times that moved prove nothing, and what they moved for is hashed
again. What they do not show: writes through a shared map made before we looked, and anything on a
file system whose clock is coarser than `_TICK_NS`.
"""

from __future__ import annotations

import os
import stat
import threading
import time
import weakref
from dataclasses import dataclass

from voxswap_registry.digests import DigestLike
from voxswap_registry.errors import RegistryError
from voxswap_registry.manifest import Component
from voxswap_registry.storage.download import Check, contradicted, mismatch

_BLOCK_BYTES = 128 << 10  # stays in the core's own cache: 3 % faster than a MiB
# Two writes within one tick of the kernel's clock leave the same times. A tick is 10 ms at most.
_TICK_NS = 12_000_000
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What moves when a file is written to. Of a descriptor: no other file can have it."""

    size_bytes: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, descriptor: int) -> Fingerprint:
        """As it is now; takes 2 us."""
        found = os.fstat(descriptor)
        return cls(found.st_size, found.st_mtime_ns, found.st_ctime_ns)


class VerifiedFile:
    """An open file and the component that it was found to be.

    Good as long as whoever gave it keeps it open. All reads name their place, so that any thread
    may read.
    """

    def __init__(self, descriptor: int, component: Component, *, settled: bool = False) -> None:
        """Take the fingerprint of an open file; nothing is hashed yet.

        Waits some milliseconds if it was changed just now, so that the next change will show;
        ``settled`` says that there is nobody who could make one. Raises `OSError`, and
        `RegistryError` if it is no regular file.
        """
        self.fd = descriptor
        self.component = component
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise RegistryError(f"{self.name} is no regular file; remove it, and import it again")
        self.fingerprint = Fingerprint.of(descriptor) if settled else _settled(descriptor)

    @property
    def name(self) -> str:
        """What it is, for messages: no path."""
        return f"the {self.component.role} component {self.component.digest}"

    @property
    def size_bytes(self) -> int:
        """Its size, by its fingerprint."""
        return self.fingerprint.size_bytes

    def is_unchanged(self) -> bool:
        """Whether nothing was written since the fingerprint was taken."""
        return _is(self.fd, self.fingerprint)

    def difference(self, check: Check) -> str | None:
        """How its bytes differ from those of its component; None if they are the same.

        Blocks; ``check`` is called before each block, and raises if it is to end. Raises `OSError`,
        `ManifestError` if they are those of its name, and the BLAKE3 is another's, and
        `RegistryError` if they change again and again.
        """
        component = self.component
        for _ in range(_TRIES):
            found = self._hashed(component.checked_by, check)
            if found == component.checked_by:
                return None
            seen = self.fingerprint
            by_name = found if component.blake3 is None else self._hashed(component.digest, check)
            if by_name != component.digest:
                return f"reads as {by_name}"
            if self.fingerprint == seen:  # Both are of the same bytes.
                raise contradicted(component, found)
        raise self.never_at_rest()

    def verify(self, check: Check) -> None:
        """Hash it again, for it was changed. Raises `DigestMismatchError`, else as `difference`."""
        if self._hashed(self.component.checked_by, check) != self.component.checked_by:
            raise mismatch(self.component, "was changed while it was read; import the voice again")

    def _hashed(self, like: str, check: Check) -> str:
        """The digest of its bytes, of one instant: if they change meanwhile, it is done again."""
        for _ in range(_TRIES):
            digest = _digest(self.fd, like, check)
            if self.is_unchanged():
                return digest
            self.fingerprint = _settled(self.fd)
        raise self.never_at_rest()

    def never_at_rest(self) -> RegistryError:
        """The error for a file that is written to whenever it is read."""
        return RegistryError(f"{self.name} is being written to; try again when that has ended")

    def read_bytes(self) -> bytes:
        """All of it: bytes that were hashed after they were read, and no others.

        Raises `DigestMismatchError`, and `RegistryError` where the disk fails.
        """
        blocks, n = [], 0
        try:
            while block := os.pread(self.fd, self.size_bytes - n, n):
                blocks.append(block)
                n += len(block)
        except OSError as error:
            raise RegistryError(
                f"{self.name} cannot be read: {error.strerror or error}; check the disk"
            ) from error
        data = blocks[0] if len(blocks) == 1 else b"".join(blocks)
        made = DigestLike(self.component.checked_by)
        made.update(data)
        if made.digest != self.component.checked_by:
            raise mismatch(self.component, "was changed while it was read; import the voice again")
        return data

    def watch(self) -> WatchedFile:
        """To be looked at for as long as it is mapped. Raises `OSError` if too many are open."""
        return WatchedFile(self)


class WatchedFile:
    """A file that is mapped, kept open to be looked at. Thread-safe.

    It has a descriptor of its own, closed with the last reference. Once it was found to be wrong it
    stays so: sound bytes are another load's.
    """

    def __init__(self, file: VerifiedFile) -> None:
        self.component = file.component
        self._fingerprint = file.fingerprint
        self._descriptor = os.dup(file.fd)
        self._is_wrong = False
        self._lock = threading.Lock()  # one hash at a time
        weakref.finalize(self, os.close, self._descriptor)

    def is_unchanged(self) -> bool:
        """Whether it is as it was when it was last hashed. 2 us; reads nothing."""
        return not self._is_wrong and _is(self._descriptor, self._fingerprint)

    def verify(self) -> bool:
        """Hash it again if it was changed; whether it is what it should be. Blocks.

        What cannot be read, or never comes to rest, is wrong.
        """
        with self._lock:
            for _ in range(_TRIES):
                if self._is_wrong or self.is_unchanged():
                    return not self._is_wrong
                self._is_wrong = not self._reads_as_it_should()
            self._is_wrong = self._is_wrong or not self.is_unchanged()
            return not self._is_wrong

    def _reads_as_it_should(self) -> bool:
        try:
            found = _settled(self._descriptor)
            if found.size_bytes != self.component.size_bytes:
                return False
            digest = _digest(self._descriptor, self.component.checked_by, _go_on)
        except OSError:
            return False
        self._fingerprint = found
        return digest == self.component.checked_by


def inspect(file: VerifiedFile, check: Check) -> str | None:
    """What is wrong with the bytes of a file of the cache, or None.

    If this raises, the file is what its name says, and stays for manifests that say the truth.
    """
    component = file.component
    try:
        difference = file.difference(check)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if difference is None and file.size_bytes != component.size_bytes:
        size = f"has {file.size_bytes} bytes, not {component.size_bytes}"
        raise mismatch(component, f"{size} as the manifest says; import the voice again")
    return difference


def _is(descriptor: int, fingerprint: Fingerprint) -> bool:
    try:
        return Fingerprint.of(descriptor) == fingerprint
    except OSError:  # A network file system may have lost it.
        return False


def _settled(descriptor: int) -> Fingerprint:
    """Its fingerprint, once any later change is sure to have another."""
    for _ in range(_TRIES):
        found = Fingerprint.of(descriptor)
        age_ns = time.time_ns() - found.ctime_ns
        if not 0 <= age_ns < _TICK_NS:
            break
        time.sleep((_TICK_NS - age_ns) / 1e9)
    return found


def _digest(descriptor: int, like: str, check: Check) -> str:
    """The digest of all bytes, of the kind of ``like``."""
    made = DigestLike(like)
    block = memoryview(bytearray(_BLOCK_BYTES))
    n = 0
    while True:
        check()
        n_read = os.preadv(descriptor, [block], n)
        if not n_read:
            return made.digest
        made.update(block[:n_read])
        n += n_read


def _go_on() -> None:
    """The check of who cannot be stopped."""
