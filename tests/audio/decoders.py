"""What other people's decoders hear in our bytes, and a signal that is like speech."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import miniaudio
import numpy as np
import numpy.typing as npt
import opuslib_next
import soundfile

from voxswap_server.audio.encoding import (
    AudioEncoding,
    Encoded,
    Encoder,
    Samples,
    make_encoder,
    rates_of,
)

EVERY_RATE = tuple(
    (encoding, rate)
    for encoding in AudioEncoding
    for rate in (rates_of(encoding) or (8000, 22050, 48000))
)
# Where the end of the audio is known to the reader from the trailer alone.
UNTRIMMED = frozenset({AudioEncoding.OPUS_PACKETS, AudioEncoding.MP3})


def decode(
    encoding: AudioEncoding,
    data: bytes,
    rate: int,
    *,
    packet_sizes: Sequence[int] = (),
    delay_samples: int = 0,
) -> Samples:
    """Samples from the first one on, at ``rate``; all that there are."""
    decoded: npt.NDArray[np.floating[Any]]
    match encoding:
        case AudioEncoding.PCM_S16LE:
            decoded = np.frombuffer(data, "<i2") / np.float32(32767)
        case AudioEncoding.PCM_F32LE:
            decoded = np.frombuffer(data, "<f4")
        case AudioEncoding.WAV:
            decoded = libsndfile(data, rate) * np.float32(32768 / 32767)
        case AudioEncoding.MULAW | AudioEncoding.ALAW:
            law = {AudioEncoding.MULAW: "ULAW", AudioEncoding.ALAW: "ALAW"}[encoding]
            decoded = law_samples(data, law) / np.float32(32767)
        case AudioEncoding.FLAC:
            decoded = small_decoder(data, rate) / np.float32(32767)
        case AudioEncoding.OPUS_PACKETS:
            decoded = opus_samples(data, packet_sizes, rate)
        case AudioEncoding.OGG_OPUS:
            decoded = libsndfile(data, rate)
        case AudioEncoding.MP3:
            decoded = libsndfile(data, rate)
    return decoded[delay_samples:].astype(np.float32)


def libsndfile(data: bytes, rate: int) -> Samples:
    samples, found = soundfile.read(io.BytesIO(data), dtype="float32")
    assert found == rate
    return np.asarray(samples, np.float32)


def law_samples(data: bytes, law: str) -> npt.NDArray[np.int16]:
    form = {"format": "RAW", "subtype": law, "samplerate": 8000, "channels": 1}
    return np.asarray(soundfile.read(io.BytesIO(data), dtype="int16", **form)[0], np.int16)


def small_decoder(data: bytes, rate: int) -> npt.NDArray[np.int16]:
    """By dr_flac and dr_mp3, which share no code with what we encode with."""
    sound = miniaudio.decode(
        data,
        output_format=miniaudio.SampleFormat.SIGNED16,
        nchannels=1,
        sample_rate=rate,
    )
    return np.array(sound.samples, np.int16)


def opus_samples(data: bytes, packet_sizes: Sequence[int], rate: int) -> Samples:
    decoder = opuslib_next.Decoder(rate, 1)
    assert sum(packet_sizes) == len(data)
    heard, at = [], 0
    for size in packet_sizes:
        heard.append(decoder.decode_float(data[at : at + size], rate // 50))
        assert len(heard[-1]) == 4 * rate // 50
        at += size
    return np.frombuffer(b"".join(heard), "<f4")


def speech(rate: int, seconds: float, *, pitch_hertz: float = 120.0, seed: int = 0) -> Samples:
    """A voice without a mouth: gliding harmonics, four syllables a second, a little breath."""
    t = np.arange(round(rate * seconds)) / rate
    phase = 2 * np.pi * np.cumsum(pitch_hertz + 20 * np.sin(2 * np.pi * 0.7 * t)) / rate
    voiced = sum(np.sin(k * phase) / k for k in range(1, int(3000 / (pitch_hertz + 20))))
    breath = 0.003 * np.random.default_rng(seed).standard_normal(len(t))
    return (0.2 * voiced * (0.55 + 0.45 * np.sin(2 * np.pi * 4 * t)) + breath).astype(np.float32)


def encode(encoder: Encoder, samples: Samples, cuts: Sequence[int] = ()) -> list[Encoded]:
    """Everything that the encoder gives for ``samples``, pushed in pieces that end at ``cuts``."""
    *pieces, last = np.split(samples, sorted(cuts))
    return [*map(encoder.encode, pieces), encoder.finish(last)]


def joined(encoded: Sequence[Encoded]) -> tuple[bytes, tuple[int, ...]]:
    sizes = tuple(size for part in encoded for size in part.packet_sizes)
    return b"".join(part.data for part in encoded), sizes


def heard(
    encoding: AudioEncoding, rate: int, samples: Samples, cuts: Sequence[int] = ()
) -> Samples:
    """Encoded and decoded again, with nothing cut off at the end."""
    encoder = make_encoder(encoding, rate)
    data, sizes = joined(encode(encoder, samples, cuts))
    return decode(encoding, data, rate, packet_sizes=sizes, delay_samples=encoder.delay_samples)


def snr_db(source: npt.NDArray[np.floating[Any]], decoded: npt.NDArray[np.floating[Any]]) -> float:
    noise = np.square(decoded[: len(source)] - source).sum()
    return float(10 * np.log10(np.square(source).sum() / max(noise, 1e-20)))
