"""What a Wyoming client asks for, in our words; and its own words for what is wrong with that."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from voxswap_registry.catalog.catalog import Catalog
from voxswap_registry.errors import FieldViolation, InvalidInputError, NotBuiltError
from voxswap_server.doors.fields import named
from voxswap_server.speech.asking import Asked, speech_request
from voxswap_server.speech.offers import check_offered
from voxswap_server.speech.request import SpeechRequest
from voxswap_server.voices import browsing

#: Our names of fields, and where a Wyoming client has them.
FIELDS: Mapping[str, str] = MappingProxyType({"voice": "voice.name", "speaker": "voice.speaker"})


async def request_of(
    data: Mapping[str, Any], catalog: Catalog, *, max_characters: int, is_whole: bool
) -> SpeechRequest:
    """A validated request of a ``synthesize``, or of a ``synthesize-start``, whose text follows.

    ``is_whole`` says which. Raises `InvalidInputError` with every fault, `NotBuiltError` or
    `VoiceNotFoundError`.
    """
    voice = data.get("voice")
    if voice is None:
        voice = {}
    if not isinstance(voice, dict):
        raise InvalidInputError.one("voice", "is no object; send one with a name or a language")
    name, language, speaker = (
        _text(voice, field, f"voice.{field}") for field in ("name", "language", "speaker")
    )
    text_format = _text(data, "text_format", "text_format")
    if text_format == "ssml":
        raise NotBuiltError(
            "this server does not carry out text_format as asked yet",
            [FieldViolation("text_format", "is ssml, whose tags nobody reads; send plain text")],
        )
    if text_format not in ("", "text"):
        raise InvalidInputError.one("text_format", f"is {text_format[:32]!r}; use text")
    text = _text(data, "text", "text") if is_whole else ""
    if not name:
        name = await asyncio.to_thread(browsing.first_of, catalog, language)
    # Nobody says whether it is played as it comes, or kept.
    asked = Asked(voice=name, text=text, speaker=speaker, eager=True)
    with named(FIELDS):
        request = speech_request(asked, max_characters=max_characters, text_may_follow=not is_whole)
        # Whoever speaks it looks again, and knows no other names.
        check_offered(request, catalog.resolve(request.voice))
    return request


def text_of(data: Mapping[str, Any]) -> str:
    """The text of an event. Raises `InvalidInputError` if it is none."""
    return _text(data, "text", "text")


def _text(data: Mapping[str, Any], key: str, field: str) -> str:
    found = data.get(key)
    if found is None:
        return ""
    if not isinstance(found, str):
        raise InvalidInputError.one(field, "is no text; send a string")
    return found
