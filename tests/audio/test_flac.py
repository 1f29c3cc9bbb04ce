"""FLAC, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest

from tests.audio.decoders import encode, joined, small_decoder, speech
from voxswap_server.audio.encoding import AudioEncoding, make_encoder

BLOCK = 1152


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000])
@pytest.mark.parametrize("size", [1, BLOCK - 1, BLOCK, BLOCK + 1, 7 * BLOCK, 20_000])
def test_it_has_exactly_the_samples_of_pcm(rate: int, size: int) -> None:
    source = 3 * speech(rate, 3.0)[:size]
    flac, _ = joined(encode(make_encoder(AudioEncoding.FLAC, rate), source, cuts=[size // 3]))
    pcm = make_encoder(AudioEncoding.PCM_S16LE, rate).finish(source).data
    assert small_decoder(flac, rate).tobytes() == pcm


def test_the_header_says_what_is_known_and_comes_with_the_first_block() -> None:
    encoder = make_encoder(AudioEncoding.FLAC, 22050)
    assert encoder.encode(np.zeros(BLOCK, np.float32)).data == b""
    first = encoder.encode(np.zeros(1, np.float32))
    assert first.samples == BLOCK
    assert first.data[:4] == b"fLaC"
    # STREAMINFO (RFC 9639, section 8.2): block sizes, frame sizes, then rate, channels, depth.
    assert first.data[8:12] == 2 * BLOCK.to_bytes(2, "big")
    packed = int.from_bytes(first.data[18:26], "big")
    assert packed >> 44 == 22050
    assert (packed >> 41 & 7, packed >> 36 & 31) == (0, 15)  # one channel, 16 bits
    assert packed & (1 << 36) - 1 == 0  # no length yet
    assert encoder.finish(np.zeros(0, np.float32)).samples == 1


def test_a_stream_that_is_given_up_leaves_nothing_to_report(
    capfd: pytest.CaptureFixture[str],
) -> None:
    encoder = make_encoder(AudioEncoding.FLAC, 22050)
    encoder.encode(speech(22050, 0.2))
    del encoder
    assert capfd.readouterr() == ("", "")
