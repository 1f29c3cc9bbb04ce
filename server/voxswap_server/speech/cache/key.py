"""The key of a request's audio: equal keys, equal audio."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
from collections.abc import Mapping

from voxswap_registry.manifest import Manifest
from voxswap_server.speech.request import MarkKind, SpeechRequest
from voxswap_server.text.normalization import normalize
from voxswap_server.text.segmentation.clauses import clause_ends
from voxswap_server.text.segmentation.segments import segment
from voxswap_server.text.types import Segment

SCHEMA_VERSION = 1

# A field that is added to `SpeechRequest` counts until it is named here: then a forgotten one
# costs hits, and not the right audio. The voice counts as the version that it was resolved to.
INDIFFERENT = frozenset(
    {"voice", "session_id", "line_class", "paced", "eager", "cache_policy", "start_by_s", "tenant"}
)

# Normalising takes 3 microseconds a character on the event loop. Longer texts are taken as written.
_OWN_NORMALIZING = frozenset({"mandarin", "emotivoice"})
_LONGEST_NORMALIZED = 1_000
# What is longer, at rate 1, a voice may have to part, and where it does so depends on how the text
# was written. Kokoro's 160 symbols, at two for a character.
_NEVER_PARTED = 80
_CLAUSE = "may be parted at a clause"


def audio_key(
    request: SpeechRequest, manifest: Manifest, *, maker: str, parts_at_clause: bool = False
) -> str:
    """64 hexadecimal digits. ``maker`` names whatever else audio depends on, such as the device.

    With ``parts_at_clause`` a first segment that is waited for may be parted, and then line class
    and pacing matter after all. Pure. Takes as long as normalising the text.
    """
    fields: dict[str, object] = {
        field.name: _plain(getattr(request, field.name))
        for field in dataclasses.fields(request)
        if field.name not in INDIFFERENT
    }
    speaker, rate_hertz = request.speaker, request.sample_rate_hertz
    # The default and its name are the same speaker, and the voice's own rate the same rate.
    fields["speaker"] = 0 if speaker is None else manifest.speakers.get(speaker, speaker)
    fields["sample_rate_hertz"] = rate_hertz or manifest.audio.sample_rate_hertz
    parts = parts_at_clause and request.is_awaited
    fields["text"] = _as_heard(request, manifest, parts=parts)
    said = {
        "schema": SCHEMA_VERSION,
        "maker": maker,
        "version": manifest.digest,
        "request": fields,
    }
    canonical = json.dumps(said, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _as_heard(request: SpeechRequest, manifest: Manifest, *, parts: bool) -> object:
    """The text as the voice hears it, so that ways of writing one line share its audio.

    Where a seed was given this is all that the samples depend on, places of sentences included:
    these spread the seed. Without one it is what subscribers can tell apart. Where its first
    segment may be parted, that is told as well; any may be the first that speaks.
    """
    text = request.text
    # Word marks say where words stand in the text as written. Mandarin's front-ends normalise by
    # themselves, too slowly for the event loop; till then nobody knows how long a line is.
    as_written = MarkKind.WORD in request.marks or manifest.front_end.kind in _OWN_NORMALIZING
    # Feelings are read off the text as written: off its quotation marks as well.
    as_written = as_written or request.from_text
    if as_written or len(text) > _LONGEST_NORMALIZED:
        return [text, _CLAUSE] if parts else text
    return [_sentence(part, request, manifest, parts=parts) for part in segment(text)]


def _sentence(part: Segment, request: SpeechRequest, manifest: Manifest, *, parts: bool) -> object:
    heard = normalize(part.text, manifest.language)
    words = [(word.start, word.end) for word in heard.words]
    what = [heard.text, words, sorted(heard.dropped.items()), part.pause_ms]
    rate = request.rate / manifest.defaults.get("length_scale", 1.0)
    as_written = len(heard.text) > _NEVER_PARTED * min(1.0, rate)
    if parts and (as_written or any(clause_ends(part.text))):
        as_written = True
        what.append(_CLAUSE)
    if request.seed is None:
        return what
    return [*what, part.start, part.text if as_written else None]


def _plain(value: object) -> object:
    """In terms of JSON, the same for equal values. Raises TypeError for what has no such form."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case enum.Enum():
            return _plain(value.value)
        case bytes():
            return value.hex()
        case frozenset():
            return sorted((_plain(item) for item in value), key=repr)
        case tuple() | list():
            return [_plain(item) for item in value]
        case Mapping():
            return sorted([_plain(key), _plain(item)] for key, item in value.items())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [_plain(getattr(value, field.name)) for field in dataclasses.fields(value)]
    raise TypeError(f"{type(value).__name__} cannot be part of an audio key")
