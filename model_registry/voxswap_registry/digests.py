"""The two digests of a component's bytes.

Its SHA-256 is its name: what operators compare, and what other tools compute. Its BLAKE3 says the
same and is computed in half the time, so that is what loading checks if the manifest has it.
Updates with more than a few KB let other threads run meanwhile.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from blake3 import blake3

Bytes = bytes | bytearray | memoryview


class Digests:
    """Both digests of the bytes that it is fed, in one pass. Not thread-safe."""

    def __init__(self) -> None:
        self._sha256, self._blake3 = hashlib.sha256(), blake3()

    def update(self, data: Bytes) -> None:
        """Feed it."""
        self._sha256.update(data)
        self._blake3.update(data)

    @property
    def digest(self) -> str:
        """The SHA-256 of all so far, as components are named: ``sha256:…``."""
        return f"sha256:{self._sha256.hexdigest()}"

    @property
    def blake3(self) -> str:
        """The BLAKE3 of all so far: 64 hexadecimal digits."""
        return self._blake3.hexdigest()


class Proof:
    """Whether the bytes that it is fed have all of some digests. Not thread-safe."""

    def __init__(self, digests: Iterable[str]) -> None:
        """Each is ``sha256:…`` or ``blake3:…``."""
        self._wanted = tuple(digests)
        self._made = tuple(DigestLike(digest) for digest in self._wanted)

    def update(self, data: Bytes) -> None:
        """Feed it."""
        for made in self._made:
            made.update(data)

    @property
    def holds(self) -> bool:
        """Whether all so far has them."""
        return tuple(made.digest for made in self._made) == self._wanted


class DigestLike:
    """The digest, of the same kind as another one, of the bytes that it is fed. Not thread-safe."""

    def __init__(self, other: str) -> None:
        """``other`` is ``sha256:…`` or ``blake3:…``."""
        self._kind = other.partition(":")[0]
        self._hash = blake3() if self._kind == "blake3" else hashlib.sha256()

    def update(self, data: Bytes) -> None:
        """Feed it."""
        self._hash.update(data)

    @property
    def digest(self) -> str:
        """Of all so far, with its kind."""
        return f"{self._kind}:{self._hash.hexdigest()}"
