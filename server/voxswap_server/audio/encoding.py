"""Encoders: float samples to the bytes that a client asked for."""

from __future__ import annotations

import enum
import struct
from typing import Protocol

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]

_UNKNOWN_LENGTH = 0xFFFFFFFF


class AudioEncoding(enum.Enum):
    """What the bytes of a stream are; all are mono and little-endian."""

    PCM_S16LE = "pcm_s16le"
    PCM_F32LE = "pcm_f32le"
    WAV = "wav"


class Encoder(Protocol):
    """Keeps whatever state its format needs. Not thread-safe; one for each stream."""

    def encode(self, samples: Samples) -> bytes:
        """Bytes of the next samples: ``(n,)`` float32. Never peak-normalises: levels are kept."""
        ...


class Pcm16Encoder:
    """Signed 16-bit samples; what lies outside [-1, 1] is clipped, never wrapped around."""

    def encode(self, samples: Samples) -> bytes:
        """Round to the nearest step of 1 / 32767."""
        scaled: npt.NDArray[np.int16] = np.rint(np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2")
        return scaled.tobytes()


class Float32Encoder:
    """32-bit floats in [-1, 1]."""

    def encode(self, samples: Samples) -> bytes:
        """Clip; resampling may overshoot full scale a little."""
        clipped: Samples = np.clip(samples, -1.0, 1.0).astype("<f4")
        return clipped.tobytes()


class WavEncoder:
    """A RIFF/WAVE file of 16-bit samples whose length is not known beforehand."""

    def __init__(self, sample_rate_hertz: int) -> None:
        self._pcm = Pcm16Encoder()
        self._header: bytes | None = wav_header(sample_rate_hertz)

    def encode(self, samples: Samples) -> bytes:
        """The header goes before the first samples."""
        header, self._header = self._header, None
        return (header or b"") + self._pcm.encode(samples)


def wav_header(sample_rate_hertz: int) -> bytes:
    """The 44 bytes before mono 16-bit samples, with both sizes unknown (0xFFFFFFFF)."""
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        _UNKNOWN_LENGTH,
        b"WAVE",
        b"fmt ",
        16,
        1,  # PCM
        1,  # channel
        sample_rate_hertz,
        sample_rate_hertz * 2,
        2,
        16,
        b"data",
        _UNKNOWN_LENGTH,
    )


def make_encoder(encoding: AudioEncoding, sample_rate_hertz: int) -> Encoder:
    """The encoder of one stream."""
    match encoding:
        case AudioEncoding.PCM_S16LE:
            return Pcm16Encoder()
        case AudioEncoding.PCM_F32LE:
            return Float32Encoder()
        case AudioEncoding.WAV:
            return WavEncoder(sample_rate_hertz)
