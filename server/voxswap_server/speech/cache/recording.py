"""A stream's parts as bytes, and back.

::

    magic and schema   14 bytes
    CRC-32             4 bytes, of all that follows
    length of the JSON 4 bytes, little-endian as the one before
    JSON               key, header, trailer; of each chunk its bytes, samples and marks
    audio              of all chunks, as it was encoded for the client

The checksum is against damage. Against forgery there is only who may write to the store.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

from voxswap_server.audio.encoding import AudioEncoding
from voxswap_server.speech.parts import Chunk, Header, Mark, Part, Trailer
from voxswap_server.speech.request import MarkKind

SCHEMA_VERSION = 1

_MAGIC = b"voxswap-audio" + bytes([SCHEMA_VERSION])
_FRAME = struct.Struct("<II")
_INT32, _INT64, _UINT64 = 1 << 31, 1 << 63, 1 << 64


class RecordingError(ValueError):
    """Bytes that are no recording of what was asked for."""


def encode(key: str, parts: Sequence[Part]) -> bytes:
    """A complete stream: header, chunks, trailer."""
    header, *chunks, trailer = parts
    assert isinstance(header, Header)  # noqa: S101 - the order of a stream
    assert isinstance(trailer, Trailer)  # noqa: S101
    audio: list[bytes] = []
    listed = []
    for chunk in chunks:
        assert isinstance(chunk, Chunk)  # noqa: S101
        audio.append(chunk.audio)
        marks = [_listed(mark) for mark in chunk.marks]
        words = [_listed(word) for word in chunk.words]
        sizes = [len(chunk.audio), chunk.sample_count]
        listed.append([*sizes, marks, words, chunk.packet_sizes])
    told = {
        "key": key,
        "voice": header.voice,
        "component_digests": header.component_digests,
        "sample_rate_hertz": header.sample_rate_hertz,
        "encoding": header.encoding.value,
        "codec_delay_samples": header.codec_delay_samples,
        "text_digest": header.text_digest,
        "chunks": listed,
        "total_samples": trailer.total_samples,
        "seed": trailer.seed,
        "unknown_symbols": dict(trailer.unknown_symbols),
    }
    text = json.dumps(told, separators=(",", ":")).encode()
    body = b"".join([len(text).to_bytes(4, "little"), text, *audio])
    return _MAGIC + zlib.crc32(body).to_bytes(4, "little") + body


def decode(key: str, data: bytes) -> tuple[Part, ...]:
    """The stream again. What it cost to make is left out: it costs whoever hears it now nothing.

    Raises `RecordingError` for damaged, foreign and older bytes, and for those of another key.
    """
    try:
        return _decoded(key, data)
    except (
        *(ValueError, LookupError, TypeError, AttributeError),
        *(RecursionError, struct.error),
    ) as error:
        raise RecordingError(str(error)) from error


def _decoded(key: str, data: bytes) -> tuple[Part, ...]:
    if not data.startswith(_MAGIC):
        raise RecordingError("this is no recording, or one of another version")
    crc, length = _FRAME.unpack_from(data, len(_MAGIC))
    begin = len(_MAGIC) + _FRAME.size
    if zlib.crc32(memoryview(data)[len(_MAGIC) + 4 :]) != crc:
        raise RecordingError("the checksum is wrong")
    told = json.loads(data[begin : begin + length])
    if told["key"] != key:
        raise RecordingError("this is the recording of another request")
    header = Header(
        voice=_text(told["voice"]),
        component_digests=tuple(_text(digest) for digest in told["component_digests"]),
        sample_rate_hertz=_count(told["sample_rate_hertz"], _INT32),
        encoding=AudioEncoding(told["encoding"]),
        estimated_samples=_count(told["total_samples"], _INT64),
        cold=False,
        queue_ms=0.0,
        swap_ms=0.0,
        codec_delay_samples=_count(told["codec_delay_samples"], _INT32),
        text_digest=_text(told["text_digest"]),
    )
    chunks = tuple(_chunks(told["chunks"], data, begin + length))
    trailer = Trailer(
        total_samples=header.estimated_samples,
        sample_rate_hertz=header.sample_rate_hertz,
        seed=_count(told["seed"], _UINT64),
        compute_ms=0.0,
        first_chunk_ms=0.0,
        unknown_symbols={
            _text(symbol): _count(n, _INT32) for symbol, n in told["unknown_symbols"].items()
        },
    )
    if trailer.total_samples != sum(chunk.sample_count for chunk in chunks):
        raise RecordingError("the chunks are not the whole")
    return (header, *chunks, trailer)


def _chunks(listed: Any, data: bytes, position: int) -> Iterator[Chunk]:
    start = 0
    for size, count, marks, words, packet_sizes in listed:
        end = position + _count(size, _INT32)
        packets = tuple(_count(packet, _INT32) for packet in packet_sizes)
        if packets and sum(packets) != size:
            raise RecordingError("the packets are not the chunk")
        yield Chunk(
            data[position:end],
            start,
            _count(count, _INT32),
            tuple(map(_mark, marks)),
            packets,
            tuple(map(_mark, words)),
        )
        start, position = start + count, end
    if position != len(data):
        raise RecordingError("the audio is not as long as its chunks")


def _listed(mark: Mark) -> list[Any]:
    place = (mark.start_sample, mark.duration_samples, mark.text_start, mark.text_end)
    return [mark.kind.value, mark.text, *place]


def _mark(told: Any) -> Mark:
    kind, text, start, duration, text_start, text_end = told
    return Mark(
        MarkKind(kind),
        _text(text),
        _count(start, _INT64),
        _count(duration, _INT64),
        _count(text_start, _INT32),
        _count(text_end, _INT32),
    )


def _count(value: Any, limit: int) -> int:
    """A whole number that the wire can carry."""
    if type(value) is not int or not 0 <= value < limit:
        raise RecordingError("a number is out of range")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise RecordingError("a text is none")
    value.encode()  # JSON can spell halves of characters, and the wire cannot
    return value
