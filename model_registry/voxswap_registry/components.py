"""Components: from a digest to verified bytes on this disk, wherever they lie."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from voxswap_registry.errors import (
    ComponentMissingError,
    DigestMismatchError,
    ObjectMissingError,
    RegistryError,
)
from voxswap_registry.layout import blob_key
from voxswap_registry.manifest import Component
from voxswap_registry.os_errors import as_registry_errors
from voxswap_registry.progress import Progress
from voxswap_registry.storage.cache import ComponentCache
from voxswap_registry.storage.download import Check, mismatch
from voxswap_registry.storage.folder import etag_of, open_no_follow
from voxswap_registry.storage.objects import Objects
from voxswap_registry.storage.verified import VerifiedFile


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A component whose bytes in the store were not its own; ``etag`` is of those bytes."""

    component: Component
    etag: str
    error: DigestMismatchError


MismatchListener = Callable[[Component, DigestMismatchError], None]


class Components:
    """The components of a store. Thread-safe; all methods block on disk or network.

    Bytes that are not those of their digest are never handed out. If they lie in the store, the
    component is in quarantine: it fails at once, without being read again, until the object
    changes. If they lie in the cache, the copy is thrown away and fetched anew. ``listener`` hears
    of both, on the thread that found it.
    """

    def __init__(
        self,
        objects: Objects,
        cache: ComponentCache | None = None,
        *,
        listener: MismatchListener | None = None,
        copies: bool = False,
    ) -> None:
        """With ``copies`` everything comes through ``cache``, what lies on this machine as well."""
        self._objects = objects
        self._cache = cache
        self._copies = copies
        self._listener = listener
        self._lock = threading.Lock()
        # By digest and size: a manifest that is wrong about a size must not bar the others.
        self._quarantine: dict[tuple[str, int], Quarantined] = {}

    def quarantined(self) -> tuple[Quarantined, ...]:
        """What is in quarantine."""
        with self._lock:
            return tuple(self._quarantine.values())

    def cached_bytes(self) -> int:
        """Bytes that the cache takes on this disk; 0 if there is none."""
        return self._cache.statistics().used_bytes if self._cache else 0

    @property
    def are_fetched(self) -> bool:
        """Whether bytes are copied to this disk before they can be used. Never blocks."""
        return self._cache is not None

    def check_present(self, component: Component) -> None:
        """Look whether ``component`` is there and not in quarantine. Reads no bytes of it.

        Raises `ComponentMissingError` or `DigestMismatchError`.
        """
        key = blob_key(component.digest)
        with self._missing(component):
            self._objects.path(key)
            info = self._objects.head(key)
        if info is None:
            raise self._absent(component)
        if info.size_bytes != component.size_bytes:
            raise damaged(component, f"has {info.size_bytes} bytes, not {component.size_bytes}")
        self._refuse_quarantined(component, info.etag)

    def is_local(self, component: Component) -> bool:
        """Whether its bytes lie on this machine's disk, sound or not. Reads none of them."""
        try:
            if self._path(blob_key(component.digest)) is not None:
                return True
        except ObjectMissingError:
            return False  # It would lie here, and does not.
        return self._cache is not None and self._cache.has(component)

    @contextlib.contextmanager
    def hold(
        self,
        component: Component,
        *,
        cancelled: Callable[[], bool] | None = None,
        progress: Progress | None = None,
    ) -> Iterator[VerifiedFile]:
        """The file of ``component``, hashed just now, open and good inside the block.

        Whatever takes its place in the store meanwhile, it stays the file that was hashed. Whether
        it was written to since, it can be asked.

        ``cancelled`` is asked before each block of bytes; once it says True,
        `concurrent.futures.CancelledError` is raised. Raises `ComponentMissingError`,
        `DigestMismatchError`, `ManifestError` if the bytes are right and the BLAKE3 is another's
        (nobody else is barred for that), and `RegistryError` where disk or network fail.
        """
        key = blob_key(component.digest)
        with self._missing(component):
            path = self._path(key)
        if path is None:
            held = self._from_afar(component, key, cancelled, progress)
        else:
            info = self._objects.head(key)
            self._refuse_quarantined(component, info.etag if info else "")
            held = self._in_place(component, path, cancelled)
        with held as file:
            yield file

    def _path(self, key: str) -> Path | None:
        """Where its bytes lie on this machine, unless they are to be copied first."""
        return None if self._copies else self._objects.path(key)

    @contextlib.contextmanager
    def _in_place(
        self, component: Component, path: Path, cancelled: Callable[[], bool] | None
    ) -> Iterator[VerifiedFile]:
        with contextlib.ExitStack() as stack:
            try:
                with as_registry_errors("read", path):
                    opened = stack.enter_context(os.fdopen(open_no_follow(path), "rb", 0))
                    file = VerifiedFile(opened.fileno(), component)
                    # Of what is hashed, whatever lies at the path by now.
                    etag = etag_of(os.fstat(file.fd))
                    check_bytes(file, _check(component, cancelled))
            except DigestMismatchError as error:
                self._put_in_quarantine(component, etag, error)
                raise
            except RegistryError as error:
                if isinstance(error.__cause__, FileNotFoundError):
                    raise self._absent(component) from error
                raise
            yield file

    @contextlib.contextmanager
    def _from_afar(
        self,
        component: Component,
        key: str,
        cancelled: Callable[[], bool] | None,
        progress: Progress | None,
    ) -> Iterator[VerifiedFile]:
        if self._cache is None:
            raise ComponentMissingError(
                "the registry is not on this machine, and there is no cache to fetch the component "
                "into; give one with cache_dir",
                metadata={"digest": component.digest},
                detail=self._objects.name,
            )
        etags: list[str] = []

        def fetch(start: int) -> Iterator[bytes]:
            with self._missing(component):
                info = self._objects.head(key)
                if info is None:
                    raise self._absent(component)
                etags.append(info.etag)
                self._refuse_quarantined(component, info.etag)
                yield from self._objects.stream(key, start=start)

        with contextlib.ExitStack() as stack:
            try:
                file = stack.enter_context(
                    self._cache.hold(
                        component,
                        fetch,
                        cancelled=cancelled,
                        progress=progress,
                        on_mismatch=lambda error: self._tell(component, error),
                    )
                )
            except DigestMismatchError as error:
                self._put_in_quarantine(component, etags[-1] if etags else "", error)
                raise
            yield file

    @contextlib.contextmanager
    def _missing(self, component: Component) -> Iterator[None]:
        try:
            yield
        except ObjectMissingError as error:
            raise self._absent(component) from error

    def _absent(self, component: Component) -> ComponentMissingError:
        return ComponentMissingError(
            f"the {component.role} component {component.digest} is not in the registry; import "
            "the voice again, or copy the blob from another registry",
            metadata={"digest": component.digest},
            detail=self._objects.name,
        )

    def _refuse_quarantined(self, component: Component, etag: str) -> None:
        with self._lock:
            found = self._quarantine.get(_key(component))
            if found is not None and found.etag != etag:
                del self._quarantine[_key(component)]  # Replaced since; it gets its chance.
                found = None
        if found is not None:
            raise DigestMismatchError(
                f"{found.error.message}. It is in quarantine until its bytes in the store change",
                metadata=found.error.metadata,
            )

    def _put_in_quarantine(
        self, component: Component, etag: str, error: DigestMismatchError
    ) -> None:
        with self._lock:
            known = self._quarantine.get(_key(component))
            if known is not None and known.etag == etag:
                return  # Somebody else was faster, or it was refused for that very reason.
            # A copy: the error itself keeps every frame that it passed through.
            self._quarantine[_key(component)] = Quarantined(component, etag, error.copy())
        self._tell(component, error)

    def _tell(self, component: Component, error: DigestMismatchError) -> None:
        if self._listener is not None:
            self._listener(component, error)


def _key(component: Component) -> tuple[str, int]:
    return component.digest, component.size_bytes


def check_bytes(file: VerifiedFile, check: Check) -> None:
    """Hash a file of the store. Raises `DigestMismatchError` if it is not what its component says,
    and `ManifestError` if it is what its name says and only the BLAKE3 is another's.
    """
    component = file.component
    if file.size_bytes != component.size_bytes:
        raise damaged(component, f"has {file.size_bytes} bytes, not {component.size_bytes}")
    if (difference := file.difference(check)) is not None:
        raise damaged(component, difference)


def _check(component: Component, cancelled: Callable[[], bool] | None) -> Check:
    """Raises once ``cancelled`` says that it is to end."""

    def check() -> None:
        if cancelled is not None and cancelled():
            raise concurrent.futures.CancelledError(f"verifying {component.digest}")

    return check


def damaged(component: Component, finding: str) -> DigestMismatchError:
    """The error for bytes in a store that are not those of their digest."""
    remedy = "Import the voice again to repair it; `voxswap voices verify` checks all"
    return mismatch(component, f"{finding}; it was damaged after it was written. {remedy}")
