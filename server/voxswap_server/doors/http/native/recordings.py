"""``POST /v1/style``: a recording in, how it is spoken out."""

from __future__ import annotations

import base64

from voxswap_families.prosody_measures import Prosody
from voxswap_registry.errors import InvalidInputError
from voxswap_server.doors.http.exchange import Exchange
from voxswap_server.doors.http.services import Services
from voxswap_server.speech.recordings import asked_style

#: Bodies that are read at a time: 16 MB of them.
MOST_RECORDINGS = 8
_QUERY = ("voice", "raw_sample_rate_hertz", "session_id")


class RecordingHandlers:
    """Translates, both ways. Holds no state."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def style(self, exchange: Exchange) -> None:
        """What was heard, and the style in base64. Raises `InvalidInputError`."""
        query = exchange.request.query_params
        if unknown := query.keys() - set(_QUERY):
            name = min(unknown)[:64]
            raise InvalidInputError.one(name, f"is not known here; there are {', '.join(_QUERY)}")
        asked = asked_style(
            query.get("voice", ""),
            exchange.body,
            raw_hertz=_whole(query.get("raw_sample_rate_hertz")),
            session_id=query.get("session_id", ""),
        )
        read = await self._services.recordings.read_style(asked)
        heard, found = read.heard, read.found
        await exchange.answer_json(
            {
                "voice": read.ref,
                "style": base64.b64encode(read.data).decode(),
                "similarity": found.similarity,
                "similarity_without": found.similarity_without,
                "heard": _told(heard.prosody),
                "expected": _told(found.expected),
                "mixture": [
                    {"voice": share.ref, "weight": share.weight} for share in found.mixture
                ],
                "seconds": heard.seconds,
                "level_dbfs": heard.level_dbfs,
                "noise_db": heard.noise_db,
                "clipped": heard.clipped,
            }
        )


def _whole(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise InvalidInputError.one(
            "raw_sample_rate_hertz", f"is {text[:64]!r}; send a whole number, or leave it out"
        )
    return int(text)


def _told(found: Prosody) -> dict[str, float]:
    return {
        "pitch_hertz": found.pitch_hertz,
        "pitch_range_semitones": found.range_semitones,
        "syllables_per_s": found.syllables_per_s,
        "stress_db": found.stress_db,
        "pauses": found.pauses,
    }
