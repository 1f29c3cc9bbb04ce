"""Opus, by libopus: packets of 20 ms, as they are or in Ogg."""

from __future__ import annotations

import secrets
from types import ModuleType
from typing import Final

import numpy as np

from voxswap_server.audio.encoder import Encoded, Samples, unavailable
from voxswap_server.audio.ogg import OpusPages

RATES_HERTZ: Final = (8_000, 12_000, 16_000, 24_000, 48_000)
DEFAULT_RATE_HERTZ: Final = 24_000

_PACKETS_PER_S = 50
_RTF = 0.011
_BITRATE = 32_000  # full-band speech in mono wants 28 to 40 kbit/s (RFC 7587, section 3.1.1)


class OpusPacketsEncoder:
    """Each packet goes out with its last sample.

    A decoder gives 20 ms for each of them, and the first `delay_samples` of all are its run-up: so
    the last packets are of silence, until every sample has come out.
    """

    rtf = _RTF

    def __init__(self, sample_rate_hertz: int) -> None:
        """Raises `EncoderUnavailableError`."""
        self._packets = _Packets(sample_rate_hertz)

    @property
    def delay_samples(self) -> int:
        """libopus looks ahead 6.5 ms."""
        return self._packets.delay_samples

    def encode(self, samples: Samples) -> Encoded:
        """The packets that are full."""
        return self._joined(self._packets.push(samples))

    def finish(self, samples: Samples) -> Encoded:
        """The packets up to the last one that carries anything of a sample."""
        return self._joined(self._packets.finish(samples))

    def _joined(self, packets: list[bytes]) -> Encoded:
        return Encoded(b"".join(packets), self._packets.newly_playable(), tuple(map(len, packets)))


class OggOpusEncoder:
    """The same packets in Ogg (RFC 7845), whose header and last page say what to cut off."""

    delay_samples = 0
    rtf = _RTF

    def __init__(self, sample_rate_hertz: int) -> None:
        """Raises `EncoderUnavailableError`."""
        self._packets = _Packets(sample_rate_hertz)
        self._pages = OpusPages(
            sample_rate_hertz,
            delay_samples=self._packets.delay_samples,
            # Streams that are put one after another must differ in it (RFC 3533, section 4).
            serial=secrets.randbits(32),
        )
        self._header = self._pages.header()

    def encode(self, samples: Samples) -> Encoded:
        """The header waits for the first packet: alone it would be a chunk without sound."""
        packets = self._packets.push(samples)
        if not packets:
            return Encoded(b"", 0)
        return self._with_header(self._pages.pages(packets))

    def finish(self, samples: Samples) -> Encoded:
        """The last page says how much of its last packet is sound."""
        packets = self._packets.finish(samples)
        return self._with_header(self._pages.pages(packets, end_sample=self._packets.pushed))

    def _with_header(self, pages: bytes) -> Encoded:
        header, self._header = self._header, b""
        return Encoded(header + pages, self._packets.newly_playable())


class _Packets:
    """Cuts a stream into frames and encodes each of them on its own."""

    def __init__(self, sample_rate_hertz: int) -> None:
        opus = _library()
        self._opus = opus.Encoder(sample_rate_hertz, 1, opus.APPLICATION_AUDIO)
        self._opus.bitrate = _BITRATE
        self._opus.signal = opus.SIGNAL_VOICE
        self.delay_samples: int = self._opus.lookahead
        self.pushed = 0
        self._frame = sample_rate_hertz // _PACKETS_PER_S
        self._waiting: Samples = np.zeros(0, np.float32)  # less than a frame
        self._encoded = self._playable = 0

    def push(self, samples: Samples) -> list[bytes]:
        self.pushed += len(samples)
        return self._encode(samples)

    def finish(self, samples: Samples) -> list[bytes]:
        """At least one packet, since the delay is still to come out."""
        self.pushed += len(samples)
        missing = self.pushed + self.delay_samples - self._encoded
        rest = np.zeros(-(-missing // self._frame) * self._frame - len(self._waiting), np.float32)
        rest[: len(samples)] = samples
        return self._encode(rest)

    def newly_playable(self) -> int:
        """Samples that came out whole since the last time."""
        before = self._playable
        self._playable = max(0, min(self.pushed, self._encoded - self.delay_samples))
        return self._playable - before

    def _encode(self, samples: Samples) -> list[bytes]:
        waiting = np.concatenate([self._waiting, np.clip(samples, -1.0, 1.0)])
        whole = len(waiting) - len(waiting) % self._frame
        self._waiting = waiting[whole:]
        self._encoded += whole
        return [
            self._opus.encode_float(waiting[at : at + self._frame].tobytes(), self._frame)
            for at in range(0, whole, self._frame)
        ]


def _library() -> ModuleType:
    try:
        import opuslib_next
    except (ImportError, OSError, RuntimeError) as error:
        raise unavailable("Opus", "opuslib-next-bundled", error) from error
    library: ModuleType = opuslib_next
    return library
