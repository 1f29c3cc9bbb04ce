"""Voices that lie in Python packages, pinned by the SHA-256 of their files."""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxswap_families.importing.request import ImportRequest
from voxswap_families.importing.source import MAX_WEIGHTS_BYTES, SourceFile, read_source
from voxswap_registry.draft import VoiceDraft
from voxswap_registry.errors import ImportSourceError
from voxswap_registry.progress import NullProgress


@dataclass(frozen=True, slots=True)
class PinnedFile:
    """A file in a package, and the SHA-256 that it must have."""

    package: str
    version: str
    path: str
    sha256: str

    @property
    def source(self) -> str:
        """The package and its version, for people."""
        return f"{self.package} {self.version}"

    @property
    def remedy(self) -> str:
        """The command that puts it right."""
        name = self.package.replace("_", "-")
        return f"pip install --force-reinstall {name}=={self.version}"


@dataclass(frozen=True, slots=True)
class EmbeddedVoice(ABC):
    """A voice in packages. ``graph`` is the digest of the program in it, if it has one."""

    id: str
    licence: str
    language: str
    display_name: str
    note: str
    graph: str = ""

    @property
    @abstractmethod
    def files(self) -> tuple[PinnedFile, ...]:
        """All that it needs."""

    @abstractmethod
    def draft(self, request: ImportRequest, shared: dict[object, Any]) -> VoiceDraft:
        """Convert it. Blocks for seconds.

        What other voices have as well may be kept in ``shared``, for as long as ``request.workdir``
        lasts. Raises `ImportSourceError` for a file that is not the pinned one.
        """


def installed_file(file: PinnedFile) -> Path | None:
    """Where ``file`` is installed; None without its package.

    Raises `ImportSourceError` for another than the pinned one.
    """
    spec = importlib.util.find_spec(file.package)
    if spec is None:
        return None
    for folder in spec.submodule_search_locations or ():
        if (path := Path(folder) / file.path).is_file():
            return path
    raise ImportSourceError(
        f"the package {file.package} is installed without {file.path}; install it again: "
        f"{file.remedy}"
    )


def read_pinned(file: PinnedFile) -> SourceFile:
    """The bytes of ``file``, which are the pinned ones. Raises `ImportSourceError`."""
    path = installed_file(file)
    if path is None:
        raise ImportSourceError(f"the package {file.package} is gone; {file.remedy}")
    found = read_source(path, limit_bytes=MAX_WEIGHTS_BYTES, progress=NullProgress())
    if found.digest != f"sha256:{file.sha256}":
        raise ImportSourceError(
            f"{path} has the SHA-256 {found.digest.removeprefix('sha256:')}, and voxswap trusts "
            f"{file.sha256} of {file.source}; install that version: {file.remedy}"
        )
    return found
