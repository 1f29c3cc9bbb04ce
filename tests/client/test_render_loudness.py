"""Loudness and local encodings of `voxswap render`, against another meter and other decoders."""

from __future__ import annotations

import io
import math
import wave

import numpy as np
import pytest

pytest.importorskip("pyloudnorm", reason="needs the extra render")

import miniaudio
import soundfile
import soxr

from tests.audio.decoders import law_samples, speech
from tests.client.loudness_meter import lufs
from voxswap_client.render.encoding import encoded
from voxswap_client.render.loudness import (
    Samples,
    as_samples,
    integrated_lufs,
    to_target,
    true_peak_db,
)
from voxswap_client.types import Encoding


def sine(rate: int, hertz: float, seconds: float = 3.0, *, phase: float = 0.0) -> Samples:
    return np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate + phase)


def said(rate: int = 22050, seconds: float = 3.0) -> Samples:
    return speech(rate, seconds).astype(np.float64)


def test_the_sine_of_the_standard() -> None:
    # BS.1770-5, annex 1: 0 dB at 997 Hz in one channel are -3.01 LKFS.
    assert integrated_lufs(sine(48_000, 997), 48_000) == pytest.approx(-3.01, abs=0.02)
    assert lufs(sine(48_000, 997), 48_000) == pytest.approx(-3.01, abs=0.02)


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 24_000, 48_000])
@pytest.mark.parametrize("target", [-16.0, -23.0, -31.5])
def test_another_meter_finds_the_target(rate: int, target: float) -> None:
    leveled, found = to_target(said(rate) * 0.05, rate, target)
    assert found.reached
    assert found.lufs == pytest.approx(target, abs=0.01)
    assert lufs(leveled, rate) == pytest.approx(target, abs=0.15)


def test_pauses_do_not_make_a_line_quieter() -> None:
    line = said()
    paused = np.concatenate([line, np.zeros(3 * 22_050), line])
    assert integrated_lufs(paused, 22_050) == pytest.approx(integrated_lufs(line, 22_050), abs=0.2)


def test_peaks_go_before_the_target() -> None:
    leveled, found = to_target(said(), 22_050, -3.0)
    assert not found.reached
    assert found.lufs is not None
    assert found.lufs < -4
    assert found.true_peak_dbtp == -1.0
    assert true_peak_db(leveled) == pytest.approx(-1.0, abs=0.01)
    assert lufs(leveled, 22_050) == pytest.approx(found.lufs, abs=0.15)


def test_a_peak_between_samples_counts() -> None:
    # At a quarter of the rate and an eighth of a turn, samples miss the top by 3 dB.
    between = sine(24_000, 6_000, phase=math.pi / 4) * 0.5
    assert 20 * math.log10(np.abs(between).max()) == pytest.approx(-9.03, abs=0.01)
    assert true_peak_db(between) == pytest.approx(-6.02, abs=0.15)
    oversampled = soxr.resample(between, 24_000, 192_000, quality="VHQ")[9_600:-9_600]
    assert true_peak_db(between) == pytest.approx(
        20 * math.log10(np.abs(oversampled).max()), abs=0.15
    )


@pytest.mark.parametrize("samples", [np.zeros(22_050), np.zeros(10), np.zeros(0), said() * 1e-6])
def test_silence_stays_as_it_is(samples: Samples) -> None:
    leveled, found = to_target(samples, 22_050, -23.0)
    assert leveled is samples
    assert (found.lufs, found.gain_db, found.reached) == (None, 0.0, False)


@pytest.mark.parametrize("count", [1, 100, 4_000, 8_819, 8_820, 8_821])
def test_a_line_shorter_than_a_block_is_measured_as_a_whole(count: int) -> None:
    line = said()[4_000 : 4_000 + count]
    leveled, found = to_target(line, 22_050, -30.0)
    assert found.lufs == pytest.approx(-30.0, abs=0.01)
    assert integrated_lufs(leveled, 22_050) == pytest.approx(-30.0, abs=0.01)


def test_floats_of_the_wire() -> None:
    assert as_samples(np.array([0.5, -1.0], "<f4").tobytes()).tolist() == [0.5, -1.0]
    assert len(as_samples(b"")) == 0


def small_decoder(data: bytes, rate: int) -> Samples:
    form = miniaudio.SampleFormat.FLOAT32
    sound = miniaudio.decode(data, output_format=form, nchannels=1, sample_rate=rate)
    return np.array(sound.samples, np.float64)


def decode(data: bytes, encoding: Encoding, rate: int) -> Samples:
    """By code that shares nothing with what encoded, but for Opus."""
    match encoding:
        case Encoding.WAV | Encoding.PCM_S16LE:
            with wave.open(io.BytesIO(data)) as file:
                assert (file.getframerate(), file.getnchannels()) == (rate, 1)
                return np.frombuffer(file.readframes(1 << 24), "<i2") / 32767.0
        case Encoding.MULAW | Encoding.ALAW:
            return law_samples(data, encoding.upper().replace("MULAW", "ULAW")) / 32768.0
        case Encoding.OGG_OPUS:
            return np.asarray(soundfile.read(io.BytesIO(data))[0], np.float64)
        case _:
            return small_decoder(data, rate)


@pytest.mark.parametrize(
    ("encoding", "rate", "noise_db"),
    [
        (Encoding.WAV, 22_050, -75),
        (Encoding.PCM_S16LE, 8_000, -75),
        (Encoding.PCM_F32LE, 48_000, -140),
        (Encoding.FLAC, 22_050, -75),
        (Encoding.MULAW, 8_000, -36),
        (Encoding.ALAW, 16_000, -36),
        (Encoding.OGG_OPUS, 24_000, -15),
        (Encoding.OGG_OPUS, 48_000, -15),
        (Encoding.MP3, 22_050, -15),
        (Encoding.MP3, 44_100, -15),
    ],
)
def test_what_is_encoded_here_is_heard_by_others(
    encoding: Encoding, rate: int, noise_db: float
) -> None:
    line = said(rate, 3.0)  # more samples than are written at once
    heard = decode(encoded(line, rate, encoding), encoding, rate)
    if encoding is Encoding.MP3:  # its decoder gives the codec's delay as well
        lag = int(np.argmax(np.correlate(heard[: rate // 2 + 3_000], line[: rate // 2])))
        assert lag <= 2_300
        heard = heard[lag : lag + len(line)]
    assert len(heard) == len(line)
    noise = np.sqrt(np.mean((heard - line) ** 2) / np.mean(line**2))
    assert 20 * math.log10(noise + 1e-12) < noise_db


@pytest.mark.parametrize("encoding", [Encoding.WAV, Encoding.FLAC])
def test_audio_that_is_too_loud_is_clipped_and_does_not_wrap(encoding: Encoding) -> None:
    loud = np.array([2.0, -2.0] * 100)
    heard = decode(encoded(loud, 8_000, encoding), encoding, 8_000)
    assert np.abs(heard - loud / 2).max() < 1e-3


@pytest.mark.parametrize(
    ("encoding", "rate"), [(Encoding.OGG_OPUS, 22_050), (Encoding.MP3, 10_000)]
)
def test_a_rate_that_an_encoding_does_not_have(encoding: Encoding, rate: int) -> None:
    with pytest.raises(ValueError, match=f"{encoding} at {rate} samples a second") as error:
        encoded(said(rate), rate, encoding)
    assert "BytesIO" not in str(error.value)
