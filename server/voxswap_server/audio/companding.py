"""ITU-T G.711: a byte for each sample, with steps that grow with the level.

After the reference routines of ITU-T G.191 (``ulaw_compress``, ``alaw_compress``), which take the
upper 14 and 13 bits of a 16-bit sample. Negative numbers go by their ones' complement there.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from voxswap_server.audio.encoder import Samples, pcm16

_Table = npt.NDArray[np.uint8]

_SIGN = 0x80  # set where the sample is not negative
_MULAW_BIAS = 33
_MULAW_LARGEST = 0x1FFF
_ALAW_TOGGLED = 0x55  # every other bit, so that silence has many changes of level on the wire


def mulaw_bytes(samples: Samples) -> bytes:
    """mu-law: ``(n,)`` float32 to n bytes."""
    return _looked_up(_mulaw(), samples)


def alaw_bytes(samples: Samples) -> bytes:
    """A-law: ``(n,)`` float32 to n bytes."""
    return _looked_up(_alaw(), samples)


def _looked_up(table: _Table, samples: Samples) -> bytes:
    codes: _Table = table[pcm16(samples).view(np.uint16)]
    return codes.tobytes()


@cache
def _mulaw() -> _Table:
    """The code of each 16-bit sample, in the order of its bits as an unsigned number."""
    magnitude, sign = _parts(drop_bits=2)
    magnitude = np.minimum(magnitude + _MULAW_BIAS, _MULAW_LARGEST)
    segment = _bit_length(magnitude) - 6
    step = (magnitude >> (segment + 1)) & 0xF
    # Every bit is inverted, but the sign, which says "not negative" as it is.
    codes: _Table = (sign | (0x7F ^ (segment << 4 | step))).astype(np.uint8)
    return codes


@cache
def _alaw() -> _Table:
    """As `_mulaw`. The two lowest segments have the same step."""
    magnitude, sign = _parts(drop_bits=4)
    segment = np.maximum(_bit_length(magnitude) - 4, 0)
    step = (magnitude >> np.maximum(segment - 1, 0)) & 0xF
    codes: _Table = ((sign | segment << 4 | step) ^ _ALAW_TOGGLED).astype(np.uint8)
    return codes


def _parts(*, drop_bits: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Magnitude and sign of every 16-bit sample."""
    value = np.arange(1 << 16, dtype=np.uint16).view(np.int16).astype(np.int64)
    return np.where(value < 0, ~value, value) >> drop_bits, np.where(value < 0, 0, _SIGN)


def _bit_length(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.frexp(numbers)[1].astype(np.int64)
