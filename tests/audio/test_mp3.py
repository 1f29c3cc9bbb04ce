"""MP3: frames, delay, and a second decoder."""

from __future__ import annotations

import numpy as np
import pytest

from tests.audio.decoders import encode, joined, libsndfile, small_decoder, snr_db, speech
from voxswap_server.audio.encoding import AudioEncoding, Samples, make_encoder, rates_of

RATES = rates_of(AudioEncoding.MP3)


def mp3(rate: int, source: Samples) -> bytes:
    data, sizes = joined(encode(make_encoder(AudioEncoding.MP3, rate), source, cuts=[999, 5000]))
    assert sizes == ()
    return data


@pytest.mark.parametrize("rate", RATES)
def test_the_delay_is_what_decoders_have(rate: int) -> None:
    source = speech(rate, 0.7)
    decoded = libsndfile(mp3(rate, source), rate)
    fit = np.correlate(decoded[: len(source)], source[: -len(source) // 3], "valid")
    assert int(np.argmax(fit)) == make_encoder(AudioEncoding.MP3, rate).delay_samples == 1105


@pytest.mark.parametrize("rate", RATES)
def test_another_decoder_hears_the_same(rate: int) -> None:
    data = mp3(rate, speech(rate, 0.7))
    theirs = small_decoder(data, rate) / np.float32(32768)
    ours = libsndfile(data, rate)
    assert abs(len(theirs) - len(ours)) <= 1152
    size = min(len(theirs), len(ours))
    assert snr_db(ours[:size], theirs[:size]) > 60


@pytest.mark.parametrize("rate", RATES)
def test_chunks_are_of_whole_frames(rate: int) -> None:
    """A reader can be let in at any chunk."""
    source = speech(rate, 1.0)
    parts = encode(make_encoder(AudioEncoding.MP3, rate), source, range(100, len(source), 100))
    chunks = [part.data for part in parts if part.data]
    assert len(chunks) > 5
    for chunk in chunks:
        assert chunk[0] == 0xFF
        assert chunk[1] & 0xE6 == 0xE2  # layer III
        assert chunk[3] >> 6 == 3  # one channel
        assert chunk[1] == chunks[0][1]
        assert chunk[2] & ~2 == chunks[0][2] & ~2  # bit rate and sample rate stay
