"""G.711, against values of the recommendation and against libsndfile."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from tests.audio.decoders import law_samples
from voxswap_server.audio.companding import alaw_bytes, mulaw_bytes

EVERY_SAMPLE = np.arange(-32767, 32768).astype(np.int16)
LAWS = {"ULAW": mulaw_bytes, "ALAW": alaw_bytes}


def codes(law: str, samples: npt.NDArray[np.int16]) -> npt.NDArray[np.uint8]:
    return np.frombuffer(LAWS[law]((samples / 32767).astype(np.float32)), np.uint8)


# The codes of the ends of the scale, of zero, and of a decision value of each segment: tables 1 and
# 2 of G.711, whose 14 and 13 bits stand in the upper ones of 16.
@pytest.mark.parametrize(
    ("law", "sample", "code"),
    [
        *[("ULAW", 0, 0xFF), ("ULAW", 3, 0xFF), ("ULAW", 4, 0xFE), ("ULAW", 32767, 0x80)],
        *[("ULAW", -1, 0x7F), ("ULAW", -32767, 0x00)],
        *[("ULAW", 4 * x, 0xFF - 16 * n) for n, x in enumerate([0, 31, 95, 223, 479, 991, 2015])],
        *[("ULAW", 4 * 4063, 0x8F), ("ULAW", 4 * 7903, 0x80), ("ULAW", 4 * 7903 - 1, 0x81)],
        *[("ALAW", 0, 0xD5), ("ALAW", 15, 0xD5), ("ALAW", 16, 0xD4), ("ALAW", 32767, 0xAA)],
        *[("ALAW", -1, 0x55), ("ALAW", -32767, 0x2A)],
        *[
            ("ALAW", 16 * x, (0x80 + 16 * n) ^ 0x55)
            for n, x in enumerate([0, 16, 32, 64, 128, 256, 512, 1024])
        ],
    ],
)
def test_codes_of_the_recommendation(law: str, sample: int, code: int) -> None:
    assert codes(law, np.array([sample], np.int16))[0] == code


@pytest.mark.parametrize("law", LAWS)
def test_every_sample_has_the_code_that_libsndfile_gives_it(law: str) -> None:
    file = io.BytesIO()
    soundfile.write(file, EVERY_SAMPLE, 8000, format="RAW", subtype=law)
    theirs = np.frombuffer(file.getvalue(), np.uint8)
    ours = codes(law, EVERY_SAMPLE)
    # A negative sample that lies on a decision value belongs to the step nearer to zero, as in the
    # routines of G.191, which work on ones' complements; libsndfile takes the other step.
    differ = EVERY_SAMPLE[ours != theirs]
    assert np.all(differ < 0)
    assert len(differ) <= 127
    assert np.array_equal(codes(law, differ), codes(law, ~differ) & 0x7F)


@pytest.mark.parametrize(("law", "lowest_step"), [("ULAW", 8), ("ALAW", 16)])
def test_decoding_is_off_by_half_a_step_at_most(law: str, lowest_step: int) -> None:
    decoded = law_samples(codes(law, EVERY_SAMPLE).tobytes(), law).astype(int)
    magnitude = np.abs(EVERY_SAMPLE.astype(int))
    scale = (magnitude + 132) / 128 if law == "ULAW" else np.maximum(magnitude / 256, 1)
    step = lowest_step * 2 ** np.floor(np.log2(scale))
    inside = magnitude < 32000  # beyond the last decision value there is no step
    assert np.all((np.abs(decoded - EVERY_SAMPLE) <= step / 2)[inside])
    assert decoded.max() > 32000
    assert decoded.min() < -32000


@pytest.mark.parametrize("law", LAWS)
def test_every_code_survives_a_second_time(law: str) -> None:
    decoded = law_samples(bytes(range(256)), law)
    again = codes(law, decoded)
    assert np.array_equal(law_samples(again.tobytes(), law), decoded)
