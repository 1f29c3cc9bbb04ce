"""Recordings that are made up: voices with a pitch and two formants, as files of many kinds."""

from __future__ import annotations

import io
import struct

import numpy as np
import numpy.typing as npt
import soundfile

RATE = 16_000

Samples = npt.NDArray[np.float32]


def voice(
    seconds: float,
    *,
    hertz: float = 120.0,
    formants: tuple[float, ...] = (600, 1200),
    seed: int = 0,
) -> Samples:
    """Four syllables a second, a pitch that moves by a semitone or two, and a little noise."""
    draw = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    moves = 2 ** (1.5 * np.sin(2 * np.pi * 0.7 * t + draw.uniform(0, 6)) / 12)
    phase = 2 * np.pi * np.cumsum(hertz * moves) / RATE
    sound = np.zeros(len(t))
    for harmonic in range(1, int(4000 / hertz)):
        at = harmonic * hertz
        gain = sum(1 / (1 + ((at - f) / 120) ** 2) for f in formants) + 0.01
        sound += gain / harmonic**0.5 * np.sin(harmonic * phase)
    syllables = np.clip(1.3 * np.sin(2 * np.pi * 2 * t) ** 2 - 0.2, 0.0, 1.0)
    sound = sound / np.abs(sound).max() * syllables
    found: Samples = (0.3 * sound + 1e-4 * draw.standard_normal(len(t))).astype(np.float32)
    return found


def file_of(
    samples: npt.NDArray[np.float32], rate: int = RATE, kind: str = "WAV", subtype: str = "PCM_16"
) -> bytes:
    """As a file."""
    target = io.BytesIO()
    soundfile.write(target, samples, rate, format=kind, subtype=subtype)
    return target.getvalue()


def wav_head(*, rate: int = RATE, channels: int = 1, data_bytes: int = 0) -> bytes:
    """The head of a WAV file that may say what no file is."""
    form = struct.pack("<HHIIHH", 1, channels, rate, 2 * rate * channels % 2**32, 2 * channels, 16)
    return (
        struct.pack("<4sI4s4sI", b"RIFF", 36 + data_bytes, b"WAVE", b"fmt ", 16)
        + form
        + struct.pack("<4sI", b"data", data_bytes)
    )


def flac_that_says(*, samples: int, rate: int = RATE, channels: int = 1) -> bytes:
    """The first block of a FLAC file, and nothing after it."""
    packed = rate << 44 | (channels - 1) << 41 | 15 << 36 | samples
    block = struct.pack(">HH", 4096, 4096) + bytes(6) + packed.to_bytes(8, "big") + bytes(16)
    return b"fLaC" + bytes([0x80]) + (34).to_bytes(3, "big") + block


def endless_mp3(size_bytes: int) -> bytes:
    """One frame of silence again and again: a quarter of an hour in half a megabyte."""
    whole = file_of(np.zeros(8 * 8000, np.float32), 8000, "MP3", "MPEG_LAYER_III")
    # Frames of one size follow each other from some place on.
    places = [n for n in range(len(whole) - 3) if whole[n] == 0xFF and whole[n + 1] & 0xE0 == 0xE0]
    frame = whole[places[-3] : places[-2]]
    return frame * (size_bytes // len(frame))
