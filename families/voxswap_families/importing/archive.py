"""The files of a voice as it was published: in a folder, or in a zip that is never unpacked.

Names are relative, with slashes. No name that somebody else chose becomes a path: a folder is
listed, and a zip's members are read one by one, each with a limit.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import zipfile
import zlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final, Protocol

from voxswap_families.importing.source import SourceFile, read_source
from voxswap_registry.errors import ImportSourceError
from voxswap_registry.progress import Progress

_MAX_FILES: Final = 10_000
_MAX_DEPTH: Final = 8
_MAX_NAME: Final = 512
_ENCRYPTED: Final = 1
_MAGIC: Final = b"PK\x03\x04"
_DAMAGED: Final = (zipfile.BadZipFile, zlib.error)
_BLOCK_BYTES: Final = 4 << 20
_REMEDY: Final = "fetch it again, or unpack it yourself and name the folder"


class Files(Protocol):
    """What lies there. ``names`` are sorted; `read` blocks."""

    @property
    def path(self) -> Path:
        """Where, for people."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """Of the files in it."""
        ...

    def read(self, name: str, *, limit_bytes: int, progress: Progress) -> SourceFile:
        """One of them, whole. Raises `ImportSourceError` for one that is larger, or damaged."""
        ...


class Folder:
    """A folder on this disk. Links in it are followed where they lead to files."""

    def __init__(self, path: Path) -> None:
        """Blocks; raises `ImportSourceError` for a folder with too much in it."""
        self.path = path
        self.names = tuple(sorted(_listed(path)))

    def read(self, name: str, *, limit_bytes: int, progress: Progress) -> SourceFile:
        """See `Files`."""
        return read_source(self.path / name, limit_bytes=limit_bytes, progress=progress)


def _listed(folder: Path) -> Iterator[str]:
    found = 0
    for parent, folders, files in os.walk(folder):
        relative = Path(parent).relative_to(folder)
        folders[:] = [name for name in folders if not name.startswith(".")]
        if len(relative.parts) >= _MAX_DEPTH:
            folders.clear()
        for name in files:
            found += 1
            if found > _MAX_FILES:
                raise ImportSourceError(
                    f"{folder} holds more than {_MAX_FILES} files; name the folder of the model "
                    "itself"
                )
            yield (relative / name).as_posix()


class Zip:
    """A zip that is open. A folder that all of it lies in is left out of names."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, kept: Sequence[str]) -> None:
        """``kept``: how folders begin that are no such one, and stay in names.

        Raises `ImportSourceError` for one that names files elsewhere, or too many.
        """
        self.path = path
        self._archive = archive
        members = [info for info in self._archive.infolist() if not info.is_dir()]
        if len(members) > _MAX_FILES:
            raise ImportSourceError(
                f"{path} holds {len(members)} files; {_MAX_FILES} at most are read of a voice"
            )
        self._members: dict[str, zipfile.ZipInfo] = {}
        for info in members:
            self._check(info)
            self._members[info.filename] = info
        root = _common_root(self._members, kept)
        self._members = {name[len(root) :]: info for name, info in self._members.items()}
        self.names = tuple(sorted(self._members))

    def _check(self, info: zipfile.ZipInfo) -> None:
        """That a member has a name below the folder it would lie in, and is a plain file."""
        name, fault = info.filename, ""
        parts = PurePosixPath(name).parts
        # zipfile cuts a name at its first zero byte; what was cut off is in `orig_filename`.
        if "\\" in name or info.orig_filename != name or not name.isprintable():
            fault = "has characters that no file of a voice has in its name"
        elif not name or name.startswith("/") or ".." in parts or ":" in name:
            fault = "leads out of the folder that it would be unpacked to"
        elif len(name) > _MAX_NAME or len(parts) > _MAX_DEPTH + 1:
            fault = "has too long a name"
        elif name in self._members:
            fault = "is there twice"
        elif stat.S_ISLNK(info.external_attr >> 16):
            fault = "is a link"
        elif info.flag_bits & _ENCRYPTED:
            fault = "is encrypted"
        if fault:
            raise ImportSourceError(f"{self.path}: {name!a:.80} {fault}; {_REMEDY}")

    def read(self, name: str, *, limit_bytes: int, progress: Progress) -> SourceFile:
        """See `Files`. What a member claims of its size is not believed."""
        path = self.path / name
        data, digest = bytearray(), hashlib.sha256()
        progress.start(f"read {path.name}", min(self._members[name].file_size, limit_bytes))
        try:
            with self._archive.open(self._members[name]) as file:
                while block := file.read(min(_BLOCK_BYTES, limit_bytes + 1 - len(data))):
                    data += block
                    digest.update(block)
                    progress.advance(len(block))
                    if len(data) > limit_bytes:
                        raise ImportSourceError(
                            f"{path} unpacks to more than the {limit_bytes} bytes that are read of "
                            "such a file. Check that it is the right one"
                        )
        except (OSError, EOFError, ValueError, RuntimeError, *_DAMAGED) as error:
            raise ImportSourceError(f"{path} cannot be unpacked ({error}); {_REMEDY}") from error
        finally:
            progress.finish()
        return SourceFile(path, data, f"sha256:{digest.hexdigest()}")


def _common_root(names: Collection[str], kept: Sequence[str]) -> str:
    """The folder that everything lies in, with its slash; else nothing."""
    firsts = {name.partition("/")[0] for name in names}
    if len(firsts) != 1 or any("/" not in name for name in names):
        return ""
    (first,) = firsts
    return "" if first.startswith(tuple(kept)) else f"{first}/"


def _begins_as_zip(path: Path) -> bool:
    """Also where its end, which lists what is in it, is lost."""
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


@contextlib.contextmanager
def opened(path: Path, *, kept: Sequence[str] = ()) -> Iterator[Files | None]:
    """What lies at ``path``; None if it is neither a folder nor a zip. Blocks.

    Where all of a zip lies in one folder, that is left out of names, unless it begins as one of
    ``kept``: then it belongs to what was published. Raises `ImportSourceError` for what cannot be
    taken as either.
    """
    if path.is_dir():
        yield Folder(path)
    elif path.suffix.lower() == ".zip" and path.is_file() and _begins_as_zip(path):
        try:
            archive = zipfile.ZipFile(path)
        except (OSError, ValueError, NotImplementedError, *_DAMAGED) as error:
            raise ImportSourceError(f"{path} is no zip ({error}); {_REMEDY}") from error
        with archive:
            yield Zip(path, archive, kept)
    else:
        yield None
