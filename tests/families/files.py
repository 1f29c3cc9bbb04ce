"""Files as residency hands them to an engine: opened, and known by their own digest."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from tests.fakes.family import FakeFrontEnd
from voxswap_families.contract import DevicePart, HostPart, LoadedVoice
from voxswap_families.layers.mapping import map_tensors
from voxswap_families.reading import FrontEndPart
from voxswap_registry.manifest import Component, Manifest
from voxswap_registry.storage.verified import VerifiedFile


@contextlib.contextmanager
def opened(path: Path, role: str = "model") -> Iterator[VerifiedFile]:
    """The file at ``path`` as a component of whatever is in it."""
    with path.open("rb") as file:
        digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        component = Component(role, digest, path.stat().st_size, "x/y")
        yield VerifiedFile(file.fileno(), component, settled=True)


def read(engine: Any, manifest: Manifest, role: str, path: Path) -> HostPart:
    """What ``engine`` makes of the file at ``path``."""
    with opened(path, role) as file:
        part: HostPart = engine.read(manifest, role, file)
        return part


def mapped(path: Path) -> dict[str, Tensor]:
    """The tensors of the file at ``path``."""
    with opened(path) as file:
        return map_tensors(file, takes_int8=True)


def assembled(engine: Any, manifest: Manifest, **parts: DevicePart) -> Any:
    """The voice of ``parts``, which reads nothing: its symbols are given as they are."""
    reads = FrontEndPart(FakeFrontEnd(), 1)
    loaded: LoadedVoice = engine.assemble(manifest, {**parts, "symbols": reads})
    return loaded.voice
