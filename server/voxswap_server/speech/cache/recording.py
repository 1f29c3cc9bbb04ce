"""A stream's messages as bytes, and back.

::

    magic and schema   14 bytes
    CRC-32             4 bytes, of all that follows
    length of the JSON 4 bytes, little-endian as the one before
    JSON               key, header, trailer; of each chunk its bytes, samples and marks
    audio              of all chunks, as it was encoded for the client

The checksum is against damage. Against forgery there is only who may write to the store.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from voxswap_registry.errors import ManifestError
from voxswap_registry.fields import Between
from voxswap_registry.records import Record, record
from voxswap_server.audio.encoding import AudioEncoding
from voxswap_server.speech.messages import Chunk, Header, Mark, Message, Trailer
from voxswap_server.speech.request import Expression, MarkKind

SCHEMA_VERSION = 1

_MAGIC = b"voxswap-audio" + bytes([SCHEMA_VERSION])
_FRAME = struct.Struct("<II")
# Written where there is something to say, so that other lines are as earlier servers wrote them.
_YOUNGER = ("expression", "emotions")

# Numbers that the wire can carry.
_Int32 = Annotated[int, Between(0, (1 << 31) - 1)]
_Int64 = Annotated[int, Between(0, (1 << 63) - 1)]
_UInt64 = Annotated[int, Between(0, (1 << 64) - 1)]
_Amount = Annotated[float, Between(0.0, 2.0)]
# Kind, text, start and duration in samples, start and end in the text.
_Mark = tuple[MarkKind, str, _Int64, _Int64, _Int32, _Int32]
# Bytes, samples, marks, words, sizes of packets.
_Chunk = tuple[_Int32, _Int32, tuple[_Mark, ...], tuple[_Mark, ...], tuple[_Int32, ...]]


@record(may_lack=_YOUNGER)
@dataclass(frozen=True, slots=True)
class _Recording:
    """The JSON."""

    key: str
    voice: str
    component_digests: tuple[str, ...]
    sample_rate_hertz: _Int32
    encoding: AudioEncoding
    codec_delay_samples: _Int32
    text_digest: str
    chunks: tuple[_Chunk, ...]
    total_samples: _Int64
    seed: _UInt64
    unknown_symbols: Mapping[str, _Int32]
    expression: Expression = Expression.NONE
    emotions: Mapping[str, _Amount] = field(default_factory=dict)


_RECORDING: Final = Record(_Recording, limit_bytes=1 << 31, remedy="It is made anew")


class RecordingError(ValueError):
    """Bytes that are no recording of what was asked for."""


def encode(key: str, messages: Sequence[Message]) -> bytes:
    """A complete stream: header, chunks, trailer."""
    header, *chunks, trailer = messages
    assert isinstance(header, Header)  # noqa: S101 - the order of a stream
    assert isinstance(trailer, Trailer)  # noqa: S101
    audio: list[bytes] = []
    listed: list[_Chunk] = []
    for chunk in chunks:
        assert isinstance(chunk, Chunk)  # noqa: S101
        audio.append(chunk.audio)
        marks, words = (tuple(map(_listed, found)) for found in (chunk.marks, chunk.words))
        sizes = len(chunk.audio), chunk.sample_count
        listed.append((*sizes, marks, words, chunk.packet_sizes))
    told = _Recording(
        key=key,
        voice=header.voice,
        component_digests=header.component_digests,
        sample_rate_hertz=header.sample_rate_hertz,
        encoding=header.encoding,
        codec_delay_samples=header.codec_delay_samples,
        text_digest=header.text_digest,
        chunks=tuple(listed),
        total_samples=trailer.total_samples,
        seed=trailer.seed,
        unknown_symbols=trailer.unknown_symbols,
        expression=header.expression,
        emotions=header.emotions,
    )
    text = json.dumps(told, separators=(",", ":"), default=_plain).encode()
    body = b"".join([len(text).to_bytes(4, "little"), text, *audio])
    return _MAGIC + zlib.crc32(body).to_bytes(4, "little") + body


def decode(key: str, data: bytes) -> tuple[Message, ...]:
    """The stream again. What it cost to make is left out: it costs whoever hears it now nothing.

    Raises `RecordingError` for damaged, foreign and older bytes, and for those of another key.
    """
    if len(data) < len(_MAGIC) + _FRAME.size or not data.startswith(_MAGIC):
        raise RecordingError("this is no recording, or one of another version")
    crc, length = _FRAME.unpack_from(data, len(_MAGIC))
    begin = len(_MAGIC) + _FRAME.size
    if zlib.crc32(memoryview(data)[len(_MAGIC) + 4 :]) != crc:
        raise RecordingError("the checksum is wrong")
    try:
        told = _RECORDING.parse(data[begin : begin + length], where="the recording")
    except ManifestError as error:
        raise RecordingError(error.message) from None
    if told.key != key:
        raise RecordingError("this is the recording of another request")
    header = Header(
        voice=told.voice,
        component_digests=told.component_digests,
        sample_rate_hertz=told.sample_rate_hertz,
        encoding=told.encoding,
        estimated_samples=told.total_samples,
        cold=False,
        queue_ms=0.0,
        swap_ms=0.0,
        codec_delay_samples=told.codec_delay_samples,
        text_digest=told.text_digest,
        expression=told.expression,
        emotions=told.emotions,
    )
    chunks = tuple(_chunks(told.chunks, data, begin + length))
    trailer = Trailer(
        total_samples=told.total_samples,
        sample_rate_hertz=told.sample_rate_hertz,
        seed=told.seed,
        compute_ms=0.0,
        first_chunk_ms=0.0,
        unknown_symbols=told.unknown_symbols,
    )
    if trailer.total_samples != sum(chunk.sample_count for chunk in chunks):
        raise RecordingError("the chunks are not the whole")
    return (header, *chunks, trailer)


def _chunks(listed: Sequence[_Chunk], data: bytes, position: int) -> Iterator[Chunk]:
    start = 0
    for size, count, marks, words, packet_sizes in listed:
        end = position + size
        if packet_sizes and sum(packet_sizes) != size:
            raise RecordingError("the packets are not the chunk")
        yield Chunk(
            data[position:end],
            start,
            count,
            tuple(Mark(*mark) for mark in marks),
            packet_sizes,
            tuple(Mark(*word) for word in words),
        )
        start, position = start + count, end
    if position != len(data):
        raise RecordingError("the audio is not as long as its chunks")


def _listed(mark: Mark) -> Any:
    """A `_Mark`, as JSON has it: there are hundreds in a recording."""
    place = mark.start_sample, mark.duration_samples, mark.text_start, mark.text_end
    return mark.kind.value, mark.text, *place


def _plain(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return dict(value)
    told = {part.name: getattr(value, part.name) for part in dataclasses.fields(value)}
    if value.expression is Expression.NONE:
        for name in _YOUNGER:
            del told[name]
    return told
