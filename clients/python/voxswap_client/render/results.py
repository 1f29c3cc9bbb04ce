"""The manifest of results: a JSON object for each line that ended, appended as it ends."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from voxswap_client.errors import VoxswapClientError
from voxswap_client.render.script import Line
from voxswap_client.types import SpeechResult

FILE_NAME = "results.jsonl"


class Status(StrEnum):
    """How a line ended."""

    DONE = "done"
    FAILED = "failed"


class Kept(NamedTuple):
    """What a result says of a file that was written: what asked for it, and the file's digest."""

    request: str
    digest: str


def request_digest(line: Line) -> str:
    """The digest of all that decides what a line sounds like, and how its file is written."""
    asked = {"voice": line.voice, "text": line.text, "loudness": line.loudness_lufs}
    return digest_of(json.dumps(asked | line.options, sort_keys=True).encode())


def digest_of(data: bytes) -> str:
    """``sha256:`` and the hexadecimal digest."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Loudness:
    """What was asked, and what the file has now. ``lufs`` is None for a line that is silent.

    ``reached`` is False where the target could not be had: the line is silent, or its peaks would
    have passed -1 dBTP.
    """

    target_lufs: float
    lufs: float | None
    gain_db: float
    true_peak_dbtp: float | None
    reached: bool


@dataclass(frozen=True, slots=True)
class Done:
    """A line that was spoken, and what its file holds.

    ``data`` is the file; ``loudness`` is None unless it was brought to a target.
    """

    line: Line
    result: SpeechResult
    data: bytes
    loudness: Loudness | None

    def document(self) -> dict[str, Any]:
        """Its entry. The seed is text, since many a reader of JSON takes numbers for doubles."""
        header, trailer = self.result.header, self.result.trailer
        return {
            "id": self.line.id,
            "status": Status.DONE,
            "line": self.line.number,
            "file": self.line.file,
            "voice": header.voice,
            "request": request_digest(self.line),
            "digest": digest_of(self.data),
            "size_bytes": len(self.data),
            "samples": trailer.total_samples,
            "seconds": round(self.result.duration_s, 6),
            "seed": str(trailer.seed),
            "encoding": self.line.encoding,
            "sample_rate_hertz": header.sample_rate_hertz,
            "loudness": None if self.loudness is None else asdict(self.loudness),
            "unknown_symbols": [asdict(unknown) for unknown in trailer.unknown_symbols],
        }


@dataclass(frozen=True, slots=True)
class Failed:
    """A line that could not be rendered: ``reason`` for programs, ``message`` for people."""

    line: Line
    reason: str
    message: str

    @classmethod
    def of(cls, line: Line, error: VoxswapClientError) -> Failed:
        """Why the server, or the client, gave up on ``line``. Faults are named by field."""
        faults = [f"{fault.field}: {fault.description}" for fault in error.violations]
        told = "; ".join(faults) or " ".join(error.message.split())
        return cls(line, error.reason or error.code or type(error).__name__, told)

    def document(self) -> dict[str, Any]:
        """Its entry."""
        return {
            "id": self.line.id,
            "status": Status.FAILED,
            "line": self.line.number,
            "file": self.line.file,
            "voice": self.line.voice,
            "request": request_digest(self.line),
            "reason": self.reason,
            "message": self.message,
        }


def read_results(rows: Iterable[bytes]) -> tuple[dict[str, Kept], int]:
    """What was written, by file; and how many rows say nothing.

    The last row about a file holds. A run that was killed may leave half a row.
    """
    kept: dict[str, Kept] = {}
    unreadable = 0
    for row in rows:
        try:
            found = json.loads(row)
            file, status = found["file"], Status(found["status"])
            if status is Status.DONE:
                kept[str(file)] = Kept(str(found["request"]), str(found["digest"]))
            else:
                kept.pop(str(file), None)
        except (ValueError, KeyError, TypeError, RecursionError):
            unreadable += bool(row.strip())
    return kept, unreadable
