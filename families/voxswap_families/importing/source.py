"""Reading files that strangers made: bounded, hashed while read, and every fault named."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from voxswap_registry.errors import ImportSourceError
from voxswap_registry.progress import Progress

MAX_WEIGHTS_BYTES = 2 << 30  # what protobuf allows an ONNX file; VITS voices have 0.15 GB at most
MAX_JSON_BYTES = 8 << 20
_BLOCK_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A foreign file, read whole: what is parsed is what was hashed."""

    path: Path
    data: bytearray
    digest: str


def read_source(path: Path, *, limit_bytes: int, progress: Progress) -> SourceFile:
    """Read and hash ``path`` (links are followed). Blocks; raises `ImportSourceError`."""
    try:
        # O_NONBLOCK: opening a pipe without a writer must not hang; regular files ignore it.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123 - takes the descriptor
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise ImportSourceError(f"{path} is not a regular file; name the model file itself")
            if status.st_size > limit_bytes:
                raise ImportSourceError(
                    f"{path} has {status.st_size} bytes; {limit_bytes} at most are read from such "
                    "a file. Check that it is the right one"
                )
            return _read(path, file.readinto, status.st_size, progress)
    except OSError as error:
        raise ImportSourceError(f"cannot read {path}: {_why(error)}") from error


def _read(path: Path, readinto: Any, size_bytes: int, progress: Progress) -> SourceFile:
    data = bytearray(size_bytes)
    view = memoryview(data)
    digest = hashlib.sha256()
    done = 0
    progress.start(f"read {path.name}", size_bytes)
    try:
        while done < size_bytes:
            n = readinto(view[done : done + _BLOCK_BYTES])
            if not n:
                raise ImportSourceError(
                    f"{path} ended after {done} of {size_bytes} bytes; something else is writing "
                    "it. Import it again when that is done"
                )
            digest.update(view[done : done + n])
            done += n
            progress.advance(n)
    finally:
        progress.finish()
    return SourceFile(path, data, f"sha256:{digest.hexdigest()}")


def _why(error: OSError) -> str:
    if error.errno == errno.ENOENT:
        return "there is no such file; check the path"
    if error.errno == errno.ELOOP:
        return "its symbolic links go round in a circle; name the file that they should lead to"
    if error.errno in {errno.EACCES, errno.EPERM}:
        return "permission denied; give this user the right to read it"
    return f"{error.strerror or error}; check the file and the disk it is on"


def parse_json(file: SourceFile) -> Fields:
    """The JSON object in ``file``. Raises `ImportSourceError`."""

    def no_constant(text: str) -> NoReturn:
        raise ValueError(f"{text} is not JSON")

    try:
        raw = json.loads(bytes(file.data), parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        raise ImportSourceError(
            f"{file.path} is not JSON ({error}); fetch the file again from where it came"
        ) from error
    if not isinstance(raw, dict):
        raise ImportSourceError(
            f"{file.path} holds a JSON {type(raw).__name__}; expected an object with the "
            "configuration of a voice"
        )
    return Fields(raw, str(file.path))


@dataclass(frozen=True, slots=True)
class Fields:
    """Typed access to a foreign JSON object; ``where`` names the file (and key) in faults."""

    raw: Mapping[str, Any]
    where: str

    def fault(self, key: str, message: str) -> ImportSourceError:
        """An error that names the file and the key."""
        return ImportSourceError(
            f"{self.where}: {key!r} {message}; the file must be the one the voice was made with"
        )

    def has(self, key: str) -> bool:
        """Whether ``key`` is there and not null."""
        return self.raw.get(key) is not None

    def object(self, key: str) -> Fields:
        """The JSON object under ``key``."""
        value = self.raw.get(key)
        if not isinstance(value, dict):
            raise self.fault(key, f"must be an object, found {_kind(value)}")
        return Fields(value, f"{self.where}: {key}")

    def text(self, key: str, default: str | None = None) -> str:
        """The text under ``key``: one line, 200 characters at most."""
        value = self.raw.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or len(value) > 200 or not value.isprintable():
            raise self.fault(key, f"must be a short text, found {_kind(value)}")
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        """The truth value under ``key``."""
        value = self.raw.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.fault(key, f"must be true or false, found {_kind(value)}")
        return value

    def whole(self, key: str, *, low: int, high: int, default: int | None = None) -> int:
        """The whole number under ``key``, within ``low`` and ``high``."""
        value = self.raw.get(key)
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.fault(
                key, f"must be a whole number from {low} to {high}, found {_kind(value)}"
            )
        return value

    def number(self, key: str, *, default: float, within: tuple[float, float]) -> float:
        """The number under ``key``, from the first of ``within`` to the second."""
        (low, high), value = within, self.raw.get(key)
        if value is None:
            return default
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not low <= value <= high
        ):
            raise self.fault(
                key, f"must be a number from {low:g} to {high:g}, found {_kind(value)}"
            )
        return float(value)


def _kind(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, int | float | str):
        return f"{value!r:.60}" if not isinstance(value, int) else f"{str(value)[:60]}"
    return type(value).__name__
