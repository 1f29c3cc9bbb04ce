"""Voices as Riva's clients name and list them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from voxswap.riva.v1 import riva_tts_pb2 as riva
from voxswap_registry.catalog.catalog import Catalog, VoiceListing
from voxswap_registry.catalog.index import VoiceFilter
from voxswap_registry.errors import InvalidInputError
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_registry.resolution import chosen_version
from voxswap_server.voices import browsing

#: The name of the speaker of a voice that has one: clients put a speaker behind every voice.
ONE_SPEAKER = "default"

_MOST_VOICES, _MOST_SPEAKERS = 1000, 256
_MOST_NAME_CHARACTERS, _MOST_DOTS = 320, 16
# Clients take 4 MiB.
_MOST_BYTES = 3 << 20


def named(catalog: Catalog, name: str) -> tuple[str, str]:
    """The voice and the speaker that ``voice_name`` means: ``ID[@VERSION][.SPEAKER]``.

    An id may have dots itself: the longest that is registered counts. A name that is none is given
    back as it is.
    """
    for voice, speaker in _parted(name[:_MOST_NAME_CHARACTERS]):
        with contextlib.suppress(InvalidInputError):
            ref = VoiceRef.parse(voice)
            if catalog.has(ref.voice_id):
                return voice, _speaker(catalog, ref, speaker)
    return name, ""


def _parted(name: str) -> Iterator[tuple[str, str]]:
    """All that it may mean: first without a speaker, then with the shortest."""
    at = name.find("@")
    yield name, ""
    end = len(name)
    for _ in range(_MOST_DOTS):
        end = name.rfind(".", at + 1, end)
        if end < 0:
            break
        yield name[:end], name[end + 1 :]


def _speaker(catalog: Catalog, ref: VoiceRef, speaker: str) -> str:
    if speaker != ONE_SPEAKER:
        return speaker
    record = catalog.record(ref.voice_id)
    manifest = catalog.manifest(record, chosen_version(record, ref))
    return speaker if manifest.speakers else ""


def config(catalog: Catalog, model_name: str) -> riva.RivaSynthesisConfigResponse:
    """What ``GetRivaSynthesisConfig`` tells: one voice, or as many as one answer holds.

    Blocks on this machine's disk. Raises `InvalidInputError` and `VoiceNotFoundError`.
    """
    response = riva.RivaSynthesisConfigResponse()
    if model_name:
        record = catalog.record(model_name)
        response.model_config.append(_config(catalog.manifest(record, record.versions[-1])))
        return response
    size_bytes = 0
    for found in _listings(catalog):
        if found.newest is None:
            continue
        told = _config(found.newest)
        size_bytes += told.ByteSize() + 8
        if size_bytes > _MOST_BYTES:
            break
        response.model_config.append(told)
    return response


def _listings(catalog: Catalog) -> Iterator[VoiceListing]:
    return browsing.listings(catalog, VoiceFilter(), after="", limit=_MOST_VOICES)


def _config(manifest: Manifest) -> riva.RivaSynthesisConfigResponse.Config:
    # Clients part the list at commas, and its entries at colons.
    speakers = [name for name in manifest.speakers if not {",", ":"} & set(name)]
    speakers = speakers[:_MOST_SPEAKERS] or [ONE_SPEAKER]
    parameters = {
        "language_code": manifest.language,
        "language_codes": ",".join(manifest.spoken_languages),
        "voice_name": manifest.voice_id,
        "subvoices": ",".join(f"{name}:{n}" for n, name in enumerate(speakers)),
        "sample_rate_hz": str(manifest.audio.sample_rate_hertz),
        "model_version": str(manifest.version),
    }
    if manifest.gender:
        parameters["gender"] = manifest.gender
    return riva.RivaSynthesisConfigResponse.Config(
        model_name=manifest.voice_id, parameters=parameters
    )
