"""Ogg pages around Opus packets: RFC 3533 for the pages, RFC 7845 for what they hold."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Final

_OPUS_HERTZ = 48_000  # positions count at this rate, whatever the samples' own
_PACKET_POSITIONS = _OPUS_HERTZ // 50  # 20 ms
_VENDOR = b"voxswap"

_BEGINNING, _END = 0x02, 0x04
# A packet has 1276 bytes at most (RFC 6716, section 3.4): six lacing values of the page's 255.
_PACKETS_PER_PAGE = 40

_REVERSED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class OpusPages:
    """The pages of one mono stream, in order. Not thread-safe."""

    def __init__(self, sample_rate_hertz: int, *, delay_samples: int, serial: int) -> None:
        """``delay_samples`` of what is decoded come before the first sample."""
        self._rate = sample_rate_hertz
        self._delay = self._position_of(delay_samples)
        self._serial = serial
        self._sequence = 0
        self._position = 0  # of the decoder's output, after the packets so far

    def header(self) -> bytes:
        """The two pages before the first packet (RFC 7845, section 5)."""
        version, channels, gain, mapping = 1, 1, 0, 0
        head = struct.pack(
            "<8sBBHIhB", b"OpusHead", version, channels, self._delay, self._rate, gain, mapping
        )
        comments = 0
        tags = struct.pack(f"<8sI{len(_VENDOR)}sI", b"OpusTags", len(_VENDOR), _VENDOR, comments)
        return self._page([head], flags=_BEGINNING) + self._page([tags])

    def pages(self, packets: Sequence[bytes], *, end_sample: int | None = None) -> bytes:
        """Pages of these packets, and of no others: nothing waits for a page to be full.

        ``end_sample`` is given with the last ones. It says how many samples the stream has; what
        the decoder gives beyond is cut off.
        """
        written = []
        for at in range(0, len(packets), _PACKETS_PER_PAGE):
            some = packets[at : at + _PACKETS_PER_PAGE]
            self._position += len(some) * _PACKET_POSITIONS
            flags = 0
            if end_sample is not None and at + _PACKETS_PER_PAGE >= len(packets):
                self._position, flags = self._delay + self._position_of(end_sample), _END
            written.append(self._page(some, flags=flags))
        return b"".join(written)

    def _position_of(self, sample: int) -> int:
        return sample * _OPUS_HERTZ // self._rate

    def _page(self, packets: Sequence[bytes], *, flags: int = 0) -> bytes:
        lacing = b"".join(_lacing(len(packet)) for packet in packets)
        version, no_checksum = 0, 0
        header = struct.pack(
            "<4sBBQIIIB",
            b"OggS",
            version,
            flags,
            self._position,
            self._serial,
            self._sequence,
            no_checksum,
            len(lacing),
        )
        self._sequence += 1
        page = header + lacing + b"".join(packets)
        return page[:22] + struct.pack("<I", _checksum(page)) + page[26:]


def _lacing(size: int) -> bytes:
    """A packet's size as a page has it: 255 as often as it fits, then the rest, even if 0."""
    return b"\xff" * (size // 255) + bytes([size % 255])


def _checksum(page: bytes) -> int:
    """The CRC of RFC 3533: the polynomial of zlib's, but bits in the other order, and no inversion.

    So zlib computes it, at a hundred times the speed of a loop: over bytes turned round, with both
    of its inversions undone, the result turned round again.
    """
    crc = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(struct.pack("<I", crc).translate(_REVERSED), "big")
