"""MPEG layer III, by LAME, frame by frame."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from voxswap_server.audio.encoder import Encoded, Samples, pcm16, unavailable

if TYPE_CHECKING:
    import lameenc

RATES_HERTZ: Final = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)

# LAME's own delay is 576 samples, and every decoder's filter bank adds 529 (LAME's technical FAQ).
DELAY_SAMPLES: Final = 576 + 529

# MPEG-1 takes the rates from 32000 on, in frames of 1152 samples; MPEG-2 and 2.5 take those below,
# in frames of 576. 64 kbit/s is the most that MPEG-2.5 has.
_MPEG1_FROM_HERTZ = 32_000
_BITRATES_KBPS = MappingProxyType({True: 96, False: 64})
_FRAME_SAMPLES = MappingProxyType({True: 1152, False: 576})
_QUALITY = 5  # LAME's usual trade between care and time
_HEADER_BYTES = 4


class Mp3Encoder:
    """Constant rate, mono, and no tag: a tag would have to know the length.

    A frame may put its data into the room that those before it left, so that LAME writes a frame's
    last bytes with the next one. Only whole frames are given out.
    """

    delay_samples = DELAY_SAMPLES
    rtf = 0.004

    def __init__(self, sample_rate_hertz: int) -> None:
        """Raises `EncoderUnavailableError`."""
        mpeg1 = sample_rate_hertz >= _MPEG1_FROM_HERTZ
        kbps = _BITRATES_KBPS[mpeg1]
        self._frame_samples = _FRAME_SAMPLES[mpeg1]
        self._frame_bytes = self._frame_samples * kbps * 1000 // (8 * sample_rate_hertz)
        self._lame = _open(sample_rate_hertz, kbps)
        self._written = bytearray()  # by LAME, from the beginning of a frame on
        self._whole = 0  # bytes of `_written` in whole frames
        self._frames = self._pushed = self._told = 0

    def encode(self, samples: Samples) -> Encoded:
        """Frames before the first sample that can be heard wait for it."""
        self._push(samples)
        return self._give(max(0, self._frames * self._frame_samples - DELAY_SAMPLES))

    def finish(self, samples: Samples) -> Encoded:
        """LAME fills up the last frames with silence."""
        self._push(samples)
        if self._pushed:
            self._written += self._lame.flush()
        self._whole = len(self._written)
        return self._give(self._pushed)

    def _push(self, samples: Samples) -> None:
        if not len(samples):
            return
        self._pushed += len(samples)
        self._written += self._lame.encode(pcm16(samples).tobytes())
        while len(self._written) >= self._whole + _HEADER_BYTES:
            # Bit 9 of the third and fourth byte says that the frame is a byte longer.
            size = self._frame_bytes + (self._written[self._whole + 2] >> 1 & 1)
            if len(self._written) < self._whole + size:
                break
            self._whole += size
            self._frames += 1

    def _give(self, sample: int) -> Encoded:
        if sample == self._told:
            return Encoded(b"", 0)
        before, self._told = self._told, sample
        data = bytes(self._written[: self._whole])
        del self._written[: self._whole]
        self._whole = 0
        return Encoded(data, sample - before)


def _open(sample_rate_hertz: int, kbps: int) -> lameenc.Encoder:
    try:
        import lameenc
    except ImportError as error:
        raise unavailable("MP3", "lameenc", error) from error
    lame = lameenc.Encoder()
    lame.set_channels(1)
    lame.set_in_sample_rate(sample_rate_hertz)
    lame.set_out_sample_rate(sample_rate_hertz)  # else LAME resamples to what suits the bit rate
    lame.set_bit_rate(kbps)
    lame.set_quality(_QUALITY)
    lame.silence()
    return lame
