"""Encodes a line here, where its samples were changed after the server made them."""

from __future__ import annotations

import io

import numpy as np
import soundfile

from voxswap_client.audio_file import file_bytes
from voxswap_client.render.loudness import Samples
from voxswap_client.types import Encoding

_BLOCK_SAMPLES = 1 << 16

# Format and subtype, by libsndfile's names.
_SNDFILE = {
    Encoding.MULAW: ("RAW", "ULAW"),
    Encoding.ALAW: ("RAW", "ALAW"),
    Encoding.FLAC: ("FLAC", "PCM_16"),
    Encoding.OGG_OPUS: ("OGG", "OPUS"),
    Encoding.MP3: ("MP3", "MPEG_LAYER_III"),
}


def encoded(samples: Samples, sample_rate_hertz: int, encoding: Encoding) -> bytes:
    """A file of ``(n,)`` mono samples, clipped to [-1, 1]. Raises `ValueError`."""
    rate, samples = sample_rate_hertz, np.clip(samples, -1.0, 1.0)
    if encoding is Encoding.PCM_F32LE:
        return file_bytes(samples.astype("<f4").tobytes(), encoding, rate)
    if encoding in (Encoding.WAV, Encoding.PCM_S16LE):
        steps = np.rint(samples * 32767.0).astype("<i2")
        return file_bytes(steps.tobytes(), Encoding.PCM_S16LE, rate)
    return _by_sndfile(samples, rate, encoding)


def _by_sndfile(samples: Samples, rate: int, encoding: Encoding) -> bytes:
    kind, subtype = _SNDFILE[encoding]
    out = io.BytesIO()
    try:
        with soundfile.SoundFile(out, "w", rate, 1, subtype=subtype, format=kind) as file:
            # In parts: some of libsndfile's encoders put all that they get at once on the stack.
            for at in range(0, len(samples), _BLOCK_SAMPLES):
                file.write(samples[at : at + _BLOCK_SAMPLES])
    except soundfile.LibsndfileError as error:
        told = error.error_string.removeprefix("Error : ").rstrip(".")
        raise ValueError(
            f"{encoding} at {rate} samples a second cannot be written here ({told}); choose "
            "another sample_rate or encoding, or leave the loudness as it is"
        ) from error
    return out.getvalue()
