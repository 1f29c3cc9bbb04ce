"""Objects in a bucket, through obstore: S3, Google Cloud Storage, Azure, or memory for tests."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

import obstore
from obstore import exceptions
from obstore.store import ObjectStore
from typing_extensions import override

from voxswap_registry.errors import ObjectMissingError, RegistryError
from voxswap_registry.storage.objects import ObjectInfo, Objects

# One request each, so that no download is longer than a request's time limit.
_BLOCK_BYTES = 8 << 20

_REMEDIES: dict[type[Exception], str] = {
    exceptions.PermissionDeniedError: (
        "check the credentials in the environment, and give them the right to do that"
    ),
    exceptions.UnauthenticatedError: "check the credentials in the environment",
    exceptions.NotSupportedError: "this kind of store cannot do what the registry needs",
}
_REMEDY = (
    "check that the store is there and can be reached, and the credentials in the environment; "
    "then try again"
)


class BucketObjects(Objects):
    """`Objects` in a bucket. Thread-safe; every method waits for the network.

    The store must have conditional creation (If-None-Match), as all the large ones do.
    """

    readers = 16

    def __init__(self, store: ObjectStore, name: str) -> None:
        self._store = store
        self.name = name

    def __repr__(self) -> str:
        return f"BucketObjects({self.name!r})"

    @override
    def list(self, folder: str, *, after: str = "") -> Iterator[ObjectInfo]:
        with foreign_errors("list", self.name, folder):
            for batch in obstore.list(self._store, folder, offset=after or None):
                for found in batch:
                    yield ObjectInfo(
                        found["path"], found["size"], found["e_tag"] or "", found["last_modified"]
                    )

    @override
    def keys(self, folder: str, *, after: str = "") -> Iterator[str]:
        """A bucket tells all of an object with its key."""
        return (info.key for info in self.list(folder, after=after))

    @override
    def head(self, key: str) -> ObjectInfo | None:
        with foreign_errors("read", self.name, key):
            try:
                found = obstore.head(self._store, key)
            except FileNotFoundError:
                return None
        return ObjectInfo(key, found["size"], found["e_tag"] or "", found["last_modified"])

    @override
    def read(self, key: str, *, limit_bytes: int) -> bytes | None:
        with foreign_errors("read", self.name, key):
            try:
                found = obstore.get(self._store, key)
                if found.meta["size"] > limit_bytes:
                    data = obstore.get_range(self._store, key, start=0, length=limit_bytes + 1)
                else:
                    data = found.bytes()
            except FileNotFoundError:
                return None
        return bytes(data)

    @override
    def stream(self, key: str, *, start: int = 0) -> Iterator[bytes]:
        info = self.head(key)
        if info is None:
            raise ObjectMissingError(f"{key} is not in the registry", detail=self.name)
        while start < info.size_bytes:
            length = min(_BLOCK_BYTES, info.size_bytes - start)
            with foreign_errors("read", self.name, key):
                try:
                    block = bytes(obstore.get_range(self._store, key, start=start, length=length))
                except FileNotFoundError:
                    raise ObjectMissingError(
                        f"{key} is not in the registry", detail=self.name
                    ) from None
            start += len(block)
            yield block

    @override
    def create(self, key: str, data: bytes) -> bool:
        writer = {"writer": secrets.token_hex(16)}
        with foreign_errors("write", self.name, key):
            try:
                obstore.put(
                    self._store, key, data, mode="create", use_multipart=False, attributes=writer
                )
            except (exceptions.AlreadyExistsError, exceptions.PreconditionError):
                # A request that was sent again because its answer was lost finds its own object.
                try:
                    found = obstore.get(self._store, key).attributes
                except FileNotFoundError:
                    return False
                return found.get("writer") == writer["writer"]
        return True

    @override
    def replace(self, key: str, data: bytes) -> None:
        with foreign_errors("write", self.name, key):
            obstore.put(self._store, key, data, use_multipart=False)

    @override
    def upload(
        self, key: str, blocks: Iterator[memoryview], *, source: FileIO | None = None
    ) -> None:
        """The ``source`` is of no use: all goes over the network."""
        # obstore asks for each block within its own event loop, where none of its other functions
        # can be called. Another thread makes the block, which may renew a marker meanwhile.
        with ThreadPoolExecutor(1, "voxswap-upload") as pool:
            made = iter(lambda: pool.submit(next, blocks, None).result(), None)
            with foreign_errors("write", self.name, key):
                obstore.put(
                    self._store, key, map(bytes, made), use_multipart=True, chunk_size=_BLOCK_BYTES
                )

    @override
    def delete(self, key: str) -> None:
        with foreign_errors("remove", self.name, key):
            try:
                obstore.delete(self._store, key)
            except FileNotFoundError:
                return

    @override
    def path(self, key: str) -> Path | None:
        """Nothing of a bucket is on this disk."""
        return None


@contextmanager
def foreign_errors(action: str, name: str, key: str) -> Iterator[None]:
    """Turn what obstore raises into a `RegistryError`: what, and the remedy; where, as detail."""
    try:
        yield
    except (exceptions.BaseError, OSError) as error:
        remedy = _REMEDIES.get(type(error), _REMEDY)
        # obstore appends a dump of its own structures to its first lines.
        cause = str(error).partition("\n\nDebug source")[0].replace("\n", " ")[:500]
        raise RegistryError(
            f"cannot {action} {key} in the registry's bucket; {remedy}", detail=f"{name}: {cause}"
        ) from error
