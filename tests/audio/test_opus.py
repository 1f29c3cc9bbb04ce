"""Opus packets, and the Ogg pages around them."""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np
import pytest

from tests.audio.decoders import encode, joined, libsndfile, opus_samples, speech
from voxswap_server.audio.encoding import AudioEncoding, make_encoder, rates_of
from voxswap_server.audio.ogg import OpusPages

RATES = rates_of(AudioEncoding.OPUS_PACKETS)
NOTHING = np.zeros(0, np.float32)


class Page(NamedTuple):
    flags: int
    position: int
    serial: int
    sequence: int
    packets: list[bytes]


def pages_of(data: bytes) -> list[Page]:
    """The pages, each with its checksum looked at; packets do not go on from page to page here."""
    pages, at = [], 0
    while at < len(data):
        fields = struct.unpack_from("<4sBBQIIIB", data, at)
        magic, version, flags, position, serial, sequence, checksum, segments = fields
        assert (magic, version) == (b"OggS", 0)
        lacing = data[at + 27 : at + 27 + segments]
        body = at + 27 + segments
        end = body + sum(lacing)
        assert crc(data[at : at + 22] + bytes(4) + data[at + 26 : end]) == checksum
        packets, packet = [], b""
        for size in lacing:
            packet, body = packet + data[body : body + size], body + size
            if size < 255:
                packets.append(packet)
                packet = b""
        assert not packet
        pages.append(Page(flags, position, serial, sequence, packets))
        at = end
    return pages


def crc(data: bytes) -> int:
    """Bit by bit, as RFC 3533 has it: polynomial 0x04c11db7, begun with 0, not inverted."""
    value = 0
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value & 1 << 31 else 0)) & 0xFFFFFFFF
    return value


@pytest.mark.parametrize("rate", RATES)
def test_every_packet_is_20_ms_and_comes_with_its_last_sample(rate: int) -> None:
    frame, source = rate // 50, speech(rate, 0.5)
    encoder = make_encoder(AudioEncoding.OPUS_PACKETS, rate)
    for n in range(10):
        before = encoder.encode(source[n * frame : (n + 1) * frame - 1])
        assert before.packet_sizes == ()
        part = encoder.encode(source[(n + 1) * frame - 1 : (n + 1) * frame])
        assert part.packet_sizes == (len(part.data),)
        assert part.data[0] & 7 == 0  # one frame, one channel (RFC 6716, section 3.1)
    assert part.samples == frame


@pytest.mark.parametrize("rate", RATES)
def test_the_delay_is_what_decoders_have(rate: int) -> None:
    source = speech(rate, 0.7)
    encoder = make_encoder(AudioEncoding.OPUS_PACKETS, rate)
    decoded = opus_samples(*joined(encode(encoder, source)), rate)
    fit = np.correlate(decoded[: len(source)], source[: -len(source) // 3], "valid")
    assert encoder.delay_samples == rate * 65 // 10_000
    assert abs(int(np.argmax(fit)) - encoder.delay_samples) <= rate // 10_000


def test_no_packet_is_sent_in_vain() -> None:
    rate, frame, delay = 24000, 480, 156
    for size, packets in [(0, 1), (1, 1), (frame - delay, 1), (frame - delay + 1, 2), (frame, 2)]:
        encoder = make_encoder(AudioEncoding.OPUS_PACKETS, rate)
        _, sizes = joined([encoder.encode(np.zeros(size, np.float32)), encoder.finish(NOTHING)])
        assert len(sizes) == packets


@pytest.mark.parametrize("rate", RATES)
def test_ogg_has_the_same_packets_in_true_pages(rate: int) -> None:
    source, cuts = speech(rate, 3.0), [1, 700, rate, rate + 1]
    head, tags, *pages = pages_of(
        joined(encode(make_encoder(AudioEncoding.OGG_OPUS, rate), source, cuts))[0]
    )
    fields = struct.unpack("<8sBBHIhB", head.packets[0])
    assert fields == (b"OpusHead", 1, 1, 48 * 65 // 10, rate, 0, 0)
    assert tags.packets[0].startswith(b"OpusTags")
    assert [page.flags for page in (head, tags, *pages)] == [2, 0, *([0] * (len(pages) - 1)), 4]
    assert [page.sequence for page in (head, tags, *pages)] == list(range(len(pages) + 2))
    assert {page.serial for page in pages} == {head.serial} == {tags.serial}
    packets = [packet for page in pages for packet in page.packets]
    bare, sizes = joined(encode(make_encoder(AudioEncoding.OPUS_PACKETS, rate), source, cuts))
    assert b"".join(packets) == bare
    assert [len(packet) for packet in packets] == list(sizes)
    counted = np.cumsum([len(page.packets) for page in pages]) * 960
    assert [page.position for page in pages[:-1]] == counted[:-1].tolist()
    assert pages[-1].position == 312 + len(source) * 48000 // rate
    assert counted[-1] - 960 < pages[-1].position <= counted[-1]


@pytest.mark.parametrize("size", [0, 254, 255, 256, 1276])
def test_packets_of_any_size_come_through_pages(size: int) -> None:
    packets = [bytes([n]) * size for n in range(101)]
    found = pages_of(OpusPages(48000, delay_samples=312, serial=7).pages(packets))
    assert [packet for page in found for packet in page.packets] == packets
    assert len(found) == 3


def test_ten_seconds_at_once_are_ten_seconds() -> None:
    source = speech(48000, 10.0)
    data = make_encoder(AudioEncoding.OGG_OPUS, 48000).finish(source).data
    assert sum(len(page.packets) for page in pages_of(data)[2:]) == 501
    assert len(libsndfile(data, 48000)) == len(source)


def test_a_stream_without_a_sample_is_a_file_without_one() -> None:
    data = make_encoder(AudioEncoding.OGG_OPUS, 24000).finish(NOTHING).data
    assert len(libsndfile(data, 24000)) == 0


def test_two_streams_can_be_put_one_after_another() -> None:
    """A reader tells them apart by their serial numbers."""
    line = speech(24000, 0.1)
    streams = [make_encoder(AudioEncoding.OGG_OPUS, 24000).finish(line).data for _ in range(2)]
    first, second = (pages_of(data)[0].serial for data in streams)
    assert first != second
