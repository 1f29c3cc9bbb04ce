"""``output_format``: ``codec_rate`` or ``codec_rate_kilobits``."""

from __future__ import annotations

from dataclasses import dataclass

from voxswap_registry.errors import InvalidInputError
from voxswap_server.audio.encoding import AudioEncoding
from voxswap_server.doors.http import media

DEFAULT = "mp3_44100_128"

_CODECS = {
    "mp3": AudioEncoding.MP3,
    "pcm": AudioEncoding.PCM_S16LE,
    "wav": AudioEncoding.WAV,
    "ulaw": AudioEncoding.MULAW,
    "alaw": AudioEncoding.ALAW,
    "opus": AudioEncoding.OGG_OPUS,
}


@dataclass(frozen=True, slots=True)
class Format:
    """An encoding with its sample rate. Of bit rates there is one for each encoding."""

    encoding: AudioEncoding
    sample_rate_hertz: int

    @property
    def media_type(self) -> str:
        """The Content-Type of its bytes."""
        return media.media_type(self.encoding, self.sample_rate_hertz)


def format_of(name: str) -> Format:
    """What ``name`` stands for. Raises `InvalidInputError`."""
    codec, _, rest = (name or DEFAULT).partition("_")
    rate, _, kilobits = rest.partition("_")
    known = codec in _CODECS and rate.isdecimal() and len(rate) < 7
    if not known or (kilobits and not kilobits.isdecimal()):
        raise InvalidInputError.one(
            "output_format",
            f"is {name[:40]!r}; use mp3_44100_128, pcm_16000, pcm_22050, pcm_24000, pcm_44100, "
            "wav_44100, ulaw_8000, alaw_8000 or opus_48000_64",
        )
    return Format(_CODECS[codec], int(rate))
