"""Brings the bytes of a component into a file of the cache, continuing what broke off."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from voxswap_registry.digests import Digests
from voxswap_registry.errors import DigestMismatchError, ManifestError
from voxswap_registry.manifest import Component
from voxswap_registry.os_errors import as_registry_errors
from voxswap_registry.progress import Progress

_BLOCK_BYTES = 128 << 10

Fetch = Callable[[int], Iterator[bytes]]
Check = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Download:
    """How the bytes of a component come into a partial file.

    ``check`` is called before each block, and raises if the download is to end.
    """

    component: Component
    fetch: Fetch
    check: Check
    progress: Progress

    def run(self, file: FileIO, partial: Path) -> None:
        """Complete ``file``; leave it empty and raise if the remote's bytes are wrong.

        Both digests are checked, so that the file is what its name says, whatever a manifest does.
        """
        digests = Digests()
        with writing(partial):
            start = _hash(file, digests, self.check)
        while finding := self._complete(file, partial, start, digests):
            with writing(partial):
                file.seek(0)
                file.truncate()
            if not start:
                raise mismatch(
                    self.component,
                    f"{finding} as the registry gave it; it was damaged or replaced there. Import "
                    "the voice again to repair it; `voxswap voices verify` checks all",
                )
            # What was left here may be at fault, so the remote is asked for all before it is.
            start, digests = 0, Digests()

    def _complete(self, file: FileIO, partial: Path, start: int, digests: Digests) -> str | None:
        """Fetch from ``start`` on; what is wrong with the whole, or None.

        Raises `ManifestError` if it is whole, and the manifest wrong about its BLAKE3.
        """
        n, size_bytes = start, self.component.size_bytes
        blocks: Iterator[bytes] = iter(())
        self.progress.start(f"fetch {self.component.role}", size_bytes)
        try:
            self.progress.advance(n)
            self.check()
            if n < size_bytes:
                blocks = self.fetch(n)
            for block in blocks:
                self.check()
                if n + len(block) > size_bytes:
                    return f"has more than {size_bytes} bytes"
                with writing(partial):
                    _write(file, block)
                digests.update(block)
                n += len(block)
                self.progress.advance(len(block))
        finally:
            self.progress.finish()
            if isinstance(blocks, Generator):
                blocks.close()
        if n < size_bytes:
            return f"has {n} bytes, not {size_bytes}"
        if digests.digest != self.component.digest:
            return f"reads as {digests.digest}"
        if self.component.blake3 not in (None, digests.blake3):
            raise contradicted(self.component, f"blake3:{digests.blake3}")
        return None


def _hash(file: FileIO, digests: Digests, check: Check) -> int:
    """Feed the rest of ``file`` to ``digests``; how many bytes that was."""
    block = memoryview(bytearray(_BLOCK_BYTES))
    n = 0
    while True:
        check()
        n_read = os.readv(file.fileno(), [block])
        if not n_read:
            return n
        digests.update(block[:n_read])
        n += n_read


def mismatch(component: Component, finding: str, *, detail: str = "") -> DigestMismatchError:
    """The error for bytes that are not those of ``component``."""
    return DigestMismatchError(
        f"the {component.role} component {component.digest} {finding}",
        metadata={"digest": component.digest},
        detail=detail,
    )


def contradicted(component: Component, found: str) -> ManifestError:
    """The error for a manifest whose digests are not of the same bytes; ``found`` is their BLAKE3.

    It is that manifest's alone: the bytes are what their name says, and sound for all others.
    """
    return ManifestError(
        f"the manifest says that the {component.role} component {component.digest} has the BLAKE3 "
        f"{component.checked_by}, and the bytes of that name have {found}; publish the voice again",
        metadata={"digest": component.digest},
    )


def _write(file: FileIO, block: bytes) -> None:
    data = memoryview(block)
    while data:
        data = data[os.write(file.fileno(), data) :]


@contextlib.contextmanager
def writing(partial: Path) -> Iterator[None]:
    """Where the disk fails, the partial file goes: its bytes are in doubt, its room is wanted."""
    with as_registry_errors("write", partial):
        try:
            yield
        except OSError:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise
