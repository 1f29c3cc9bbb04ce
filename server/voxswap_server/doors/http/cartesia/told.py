"""What Cartesia's clients read."""

from __future__ import annotations

import base64
import secrets
from typing import Any

from voxswap_server.doors.http.guard import Problem
from voxswap_server.speech.messages import Chunk, Mark
from voxswap_server.speech.request import MarkKind

Told = dict[str, Any]
_MORE, _ALL = 206, 200


def chunk(part: Chunk, context_id: str, *, step_ms: float) -> Told:
    """A piece of the audio."""
    return {
        "type": "chunk",
        "data": base64.b64encode(part.audio).decode(),
        "done": False,
        "status_code": _MORE,
        "step_time": round(step_ms, 3),
        "context_id": context_id,
    }


def timestamps(part: Chunk, context_id: str, hertz: int, kinds: frozenset[MarkKind]) -> list[Told]:
    """When the words and phonemes sound that begin in a piece, in seconds of the context."""
    found = []
    for kind, field, names in (
        (MarkKind.WORD, "word_timestamps", "words"),
        (MarkKind.PHONEME, "phoneme_timestamps", "phonemes"),
    ):
        marks = [mark for mark in part.marks if mark.kind is kind] if kind in kinds else []
        if marks:
            found.append(
                {
                    "type": "timestamps" if kind is MarkKind.WORD else "phoneme_timestamps",
                    field: _times(marks, hertz, names),
                    "done": False,
                    "status_code": _MORE,
                    "context_id": context_id,
                }
            )
    return found


def _times(marks: list[Mark], hertz: int, names: str) -> Told:
    return {
        names: [mark.text for mark in marks],
        "start": [round(mark.start_sample / hertz, 4) for mark in marks],
        "end": [round((m.start_sample + m.duration_samples) / hertz, 4) for m in marks],
    }


def flush_done(context_id: str, flush_id: int) -> Told:
    """All that was flushed then has been sent."""
    return {
        "type": "flush_done",
        "flush_done": True,
        "flush_id": flush_id,
        "done": False,
        "status_code": _MORE,
        "context_id": context_id,
    }


def done(context_id: str) -> Told:
    """The context has ended."""
    return {"type": "done", "done": True, "status_code": _ALL, "context_id": context_id}


def error(problem: Problem, context_id: str | None) -> Told:
    """A context ended with an error. ``done`` is false, or clients take it for an end."""
    failure = problem.failure
    told: Told = {
        "type": "error",
        "done": False,
        "title": failure.reason.replace("_", " ").capitalize(),
        "message": failure.message,
        "error_code": failure.reason.lower(),
        "status_code": problem.status,
        "request_id": secrets.token_hex(8),
    }
    return told if context_id is None else {**told, "context_id": context_id}


def telling(problem: Problem) -> Told:
    """Errors over HTTP."""
    failure = problem.failure
    title = failure.reason.replace("_", " ").capitalize()
    return {"title": title, "message": failure.message, "error_code": failure.reason.lower()}
