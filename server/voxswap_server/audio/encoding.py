"""The encodings of the public API: which sample rates they take, and what encodes them."""

from __future__ import annotations

import enum

from voxswap_server.audio.companding import alaw_bytes, mulaw_bytes
from voxswap_server.audio.encoder import Encoded, Encoder, Samples
from voxswap_server.audio.flac import FlacEncoder
from voxswap_server.audio.mp3 import RATES_HERTZ as MP3_RATES_HERTZ
from voxswap_server.audio.mp3 import Mp3Encoder
from voxswap_server.audio.opus import DEFAULT_RATE_HERTZ as OPUS_DEFAULT_RATE_HERTZ
from voxswap_server.audio.opus import RATES_HERTZ as OPUS_RATES_HERTZ
from voxswap_server.audio.opus import OggOpusEncoder, OpusPacketsEncoder
from voxswap_server.audio.pcm import PlainEncoder, float32_bytes, pcm16_bytes, wav_header

__all__ = [
    "AudioEncoding",
    "Encoded",
    "Encoder",
    "Samples",
    "make_encoder",
    "output_rate",
    "rates_of",
]


class AudioEncoding(enum.Enum):
    """What the bytes of a stream are; all are mono and little-endian."""

    PCM_S16LE = "pcm_s16le"
    PCM_F32LE = "pcm_f32le"
    WAV = "wav"
    MULAW = "mulaw"
    ALAW = "alaw"
    FLAC = "flac"
    OPUS_PACKETS = "opus_packets"
    OGG_OPUS = "ogg_opus"
    MP3 = "mp3"


def rates_of(encoding: AudioEncoding) -> tuple[int, ...]:
    """The sample rates that an encoding has, lowest first; empty if it takes any."""
    match encoding:
        case AudioEncoding.OPUS_PACKETS | AudioEncoding.OGG_OPUS:
            return OPUS_RATES_HERTZ
        case AudioEncoding.MP3:
            return MP3_RATES_HERTZ
        case _:
            return ()


def output_rate(encoding: AudioEncoding, asked: int | None, own: int) -> int:
    """The sample rate of a stream, from what was asked for and the voice's own.

    Where nothing was asked for, Opus goes at 24000, and MP3 at the next rate that it has above the
    voice's own.
    """
    if asked is not None:
        return asked
    match encoding:
        case AudioEncoding.OPUS_PACKETS | AudioEncoding.OGG_OPUS:
            return OPUS_DEFAULT_RATE_HERTZ
        case AudioEncoding.MP3:
            return next((rate for rate in MP3_RATES_HERTZ if rate >= own), MP3_RATES_HERTZ[-1])
        case _:
            return own


def make_encoder(encoding: AudioEncoding, sample_rate_hertz: int) -> Encoder:
    """The encoder of one stream.

    Raises `EncoderUnavailableError` if its library is not installed, `ValueError` for a rate that
    is not of `rates_of`.
    """
    rates = rates_of(encoding)
    if rates and sample_rate_hertz not in rates:
        raise ValueError(f"{encoding.name} has no rate {sample_rate_hertz}; use one of {rates}")
    match encoding:
        case AudioEncoding.PCM_S16LE:
            return PlainEncoder(pcm16_bytes)
        case AudioEncoding.PCM_F32LE:
            return PlainEncoder(float32_bytes)
        case AudioEncoding.WAV:
            return PlainEncoder(pcm16_bytes, header=wav_header(sample_rate_hertz))
        case AudioEncoding.MULAW:
            return PlainEncoder(mulaw_bytes)
        case AudioEncoding.ALAW:
            return PlainEncoder(alaw_bytes)
        case AudioEncoding.FLAC:
            return FlacEncoder(sample_rate_hertz)
        case AudioEncoding.OPUS_PACKETS:
            return OpusPacketsEncoder(sample_rate_hertz)
        case AudioEncoding.OGG_OPUS:
            return OggOpusEncoder(sample_rate_hertz)
        case AudioEncoding.MP3:
            return Mp3Encoder(sample_rate_hertz)
