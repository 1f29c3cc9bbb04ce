"""Formats in which each sample stands for itself: PCM, with or without a WAV header."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np

from voxswap_server.audio.encoder import Encoded, Samples, pcm16

_UNKNOWN_LENGTH = 0xFFFFFFFF


class PlainEncoder:
    """Converts sample by sample, after a header. Holds nothing back."""

    delay_samples = 0
    rtf = 0.0002

    def __init__(self, convert: Callable[[Samples], bytes], *, header: bytes = b"") -> None:
        self._convert = convert
        self._header = header

    def encode(self, samples: Samples) -> Encoded:
        """The header goes before the first samples."""
        return self.finish(samples) if len(samples) else Encoded(b"", 0)

    def finish(self, samples: Samples) -> Encoded:
        """A header without samples is a file too."""
        header, self._header = self._header, b""
        return Encoded(header + self._convert(samples), len(samples))


def pcm16_bytes(samples: Samples) -> bytes:
    """Signed 16-bit samples."""
    return pcm16(samples).tobytes()


def float32_bytes(samples: Samples) -> bytes:
    """32-bit floats; clipped, since resampling may overshoot full scale a little."""
    clipped: Samples = np.clip(samples, -1.0, 1.0).astype("<f4")
    return clipped.tobytes()


def wav_header(sample_rate_hertz: int, data_bytes: int | None = None) -> bytes:
    """The 44 bytes before mono 16-bit samples, of which there are ``data_bytes``.

    None: nobody knows; then both sizes are 0xFFFFFFFF.
    """
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        _UNKNOWN_LENGTH if data_bytes is None else data_bytes + 36,
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
        _UNKNOWN_LENGTH if data_bytes is None else data_bytes,
    )
