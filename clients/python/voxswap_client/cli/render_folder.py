"""The folder that `voxswap render` writes to: files that appear whole, and the results of all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
from pathlib import Path
from typing import IO, Any, Self

from voxswap_client.cli.failure import CliError, usage_error
from voxswap_client.render.results import FILE_NAME, Kept, read_results

_PARTS = ".voxswap-parts"
_PART = re.compile(r"[0-9a-f]{32}\.part")


class RenderFolder:
    """One run's hold on a folder; nobody else renders into it meanwhile. Not thread-safe.

    All methods block on the disk and raise `OSError`. What is written goes to a name of its own
    first; what a run that was killed left there, the next one removes.
    """

    def __init__(self, root: Path) -> None:
        """Make the folder if it is not there. Raises `CliError` if another run has it."""
        if root.exists() and not root.is_dir():
            raise usage_error(f"{root} is no folder", "name one with --out DIR")
        root.mkdir(parents=True, exist_ok=True)
        self._root = root
        self._results = _open_results(root / FILE_NAME)
        try:
            _lock(self._results, root)
            self._parts = root / _PARTS
            self._parts.mkdir(exist_ok=True)
            if self._parts.is_symlink():
                raise CliError(f"{self._parts} is a link", "remove it")
            self._clear()
            self._end_torn_row()
        except BaseException:
            self._results.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._clear()
        with contextlib.suppress(OSError):  # somebody else's file is in it
            self._parts.rmdir()
        self._results.close()

    @property
    def results_path(self) -> Path:
        """Where results are."""
        return self._root / FILE_NAME

    def kept(self) -> tuple[dict[str, Kept], int]:
        """What earlier runs wrote, by file, and how many rows of the results say nothing."""
        self._results.seek(0)
        return read_results(self._results)

    def digest(self, name: str) -> str | None:
        """The digest of a file; None if there is none, or none that a run could have written."""
        path = self._root / name
        try:
            if self._links_to(name) or not path.is_file():
                return None
            with path.open("rb") as file:
                return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        except NotADirectoryError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """Put ``data`` into the file ``name``, which then holds all of it, or is as it was.

        Folders on the way are made. Raises `OSError` as well where one is a link: it might lead
        out.
        """
        if link := self._links_to(str(Path(name).parent)):
            raise OSError(errno.ELOOP, f"{link} is a link, which might lead out")
        target = self._root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        part = self._parts / f"{secrets.token_hex(16)}.part"
        with part.open("xb") as file:
            file.write(data)
        part.replace(target)

    def note(self, document: dict[str, Any]) -> None:
        """Append one result."""
        row = json.dumps(document, ensure_ascii=False) + "\n"
        self._results.seek(0, os.SEEK_END)
        self._results.write(row.encode())
        self._results.flush()

    def _links_to(self, name: str) -> Path | None:
        """The first part of the way to ``name`` that is a link."""
        path = self._root
        for part in Path(name).parts:
            path /= part
            if path.is_symlink():
                return path
        return None

    def _clear(self) -> None:
        for path in self._parts.iterdir():
            if _PART.fullmatch(path.name):
                path.unlink()

    def _end_torn_row(self) -> None:
        """A run that was killed may have left half a row, which says nothing."""
        last, begin = b"", 0
        self._results.seek(0)
        for row in self._results:
            last, begin = row, begin + len(last)
        if last.endswith(b"\n") or not last:
            return
        try:
            json.loads(last)
            self._results.write(b"\n")
        except ValueError:
            self._results.truncate(begin)


def _open_results(path: Path) -> IO[bytes]:
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags, 0o666), "r+b")


def _lock(file: IO[bytes], root: Path) -> None:
    """Until the file is closed, or its process has died."""
    try:
        import fcntl
    except ImportError:  # Windows: then nobody looks
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CliError(
            f"another voxswap render is writing to {root}", "wait for it, or name another folder"
        ) from None
