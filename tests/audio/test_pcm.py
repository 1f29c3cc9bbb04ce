"""PCM and WAV, sample by sample."""

from __future__ import annotations

import io
import wave

import numpy as np

from voxswap_server.audio.encoding import AudioEncoding, make_encoder

SAMPLES = np.array([0.0, 0.5, -0.5, 1.0, -1.0, 1.7, -9.0, 1 / 32767], np.float32)


def test_pcm16_rounds_and_clips_and_never_wraps() -> None:
    encoded = make_encoder(AudioEncoding.PCM_S16LE, 22050).encode(SAMPLES)
    decoded = np.frombuffer(encoded.data, "<i2")
    assert decoded.tolist() == [0, 16384, -16384, 32767, -32767, 32767, -32767, 1]
    assert encoded.samples == len(SAMPLES)


def test_float_is_clipped() -> None:
    data = make_encoder(AudioEncoding.PCM_F32LE, 22050).encode(SAMPLES).data
    assert np.array_equal(np.frombuffer(data, "<f4"), np.clip(SAMPLES, -1, 1))


def test_a_wav_stream_has_one_header_and_a_reader_takes_it() -> None:
    encoder = make_encoder(AudioEncoding.WAV, 44100)
    data = encoder.encode(SAMPLES).data + encoder.finish(SAMPLES).data
    assert data.count(b"RIFF") == 1
    # Python's reader wants sizes: put in those that a client knows at the end.
    body = len(data) - 44
    sized = data[:4] + (body + 36).to_bytes(4, "little") + data[8:40]
    sized += body.to_bytes(4, "little") + data[44:]
    with wave.open(io.BytesIO(sized)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (44100, 1, 2)
        assert file.getnframes() == 2 * len(SAMPLES)


def test_a_wav_stream_without_a_sample_is_its_header() -> None:
    data = make_encoder(AudioEncoding.WAV, 44100).finish(np.zeros(0, np.float32)).data
    assert (data[:4], len(data)) == (b"RIFF", 44)
