"""A stream as bytes: it comes back as it was, or it does not come back."""

from __future__ import annotations

import dataclasses
import json
import math
import zlib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from voxswap_server.audio.encoding import AudioEncoding
from voxswap_server.doors.grpc.translate import speech as translate
from voxswap_server.speech.cache.recording import RecordingError, decode, encode
from voxswap_server.speech.messages import Chunk, Header, Mark, Message, Trailer
from voxswap_server.speech.request import Expression, MarkKind

KEY = "0" * 64
INT32, INT64 = (1 << 31) - 1, (1 << 63) - 1

texts = st.text(st.characters(codec="utf-8"), max_size=8)
marks = st.builds(
    Mark,
    st.sampled_from(MarkKind),
    texts,
    st.integers(0, INT64),
    st.integers(0, INT64),
    st.integers(0, INT32),
    st.integers(0, INT32),
)
figures = st.floats(0, 1e9)
felt: st.SearchStrategy[dict[str, Any]] = st.just({}) | st.fixed_dictionaries(
    {
        "expression": st.sampled_from([Expression.NATIVE, Expression.PROSODY]),
        "emotions": st.dictionaries(texts, st.floats(0, 2), max_size=3),
    }
)


@st.composite
def streams(draw: st.DrawFn) -> tuple[Message, ...]:
    chunks: list[Chunk] = []
    total = 0
    for audio in draw(st.lists(st.binary(min_size=1, max_size=40), max_size=5)):
        count = draw(st.integers(1, 1_000_000))
        begun, words = (tuple(draw(st.lists(marks, max_size=3))) for _ in range(2))
        packets = draw(st.sampled_from([(), (len(audio),), (1, len(audio) - 1)]))
        chunks.append(Chunk(audio, total, count, begun, packets if audio else (), words))
        total += count
    rate = draw(st.integers(8_000, 48_000))
    encoding = draw(st.sampled_from(AudioEncoding))
    header = Header(
        draw(texts),
        tuple(draw(st.lists(texts, max_size=3))),
        rate,
        encoding,
        draw(st.integers(0, INT64)),
        draw(st.booleans()),
        draw(figures),
        draw(figures),
        text_digest=draw(texts),
        codec_delay_samples=draw(st.integers(0, INT32)),
        **draw(felt),
    )
    trailer = Trailer(
        total,
        rate,
        draw(st.integers(0, (1 << 64) - 1)),
        draw(figures),
        draw(figures),
        draw(st.dictionaries(texts, st.integers(0, INT32), max_size=3)),
        draw(st.integers(0, 9)),
    )
    return header, *chunks, trailer


def as_found(parts: tuple[Message, ...]) -> tuple[Message, ...]:
    """What is left of a stream: all but what it was to wait for it, and its length is known."""
    header, *chunks, trailer = parts
    assert isinstance(header, Header)
    assert isinstance(trailer, Trailer)
    header = dataclasses.replace(
        header, cold=False, queue_ms=0, swap_ms=0, estimated_samples=trailer.total_samples
    )
    trailer = dataclasses.replace(trailer, compute_ms=0, first_chunk_ms=0, underruns=0)
    return header, *chunks, trailer


@given(streams())
def test_a_stream_comes_back(parts: tuple[Message, ...]) -> None:
    found = decode(KEY, encode(KEY, parts))
    assert found == as_found(parts)
    for part in found:
        translate.speech_part(part).SerializeToString()


def test_every_field_of_a_part_is_recorded_or_known_not_to_be() -> None:
    """A new field must be thought about: whose is it, the audio's or the stream's?"""
    fields = {kind: [f.name for f in dataclasses.fields(kind)] for kind in (Chunk, Mark)}
    assert fields[Chunk] == [
        *("audio", "start_sample", "sample_count", "marks", "packet_sizes", "words"),
    ]
    assert fields[Mark] == [
        *("kind", "text", "start_sample", "duration_samples"),
        *("text_start", "text_end"),
    ]
    assert [f.name for f in dataclasses.fields(Header)] == [
        *("voice", "component_digests", "sample_rate_hertz", "encoding", "estimated_samples"),
        *("cold", "queue_ms", "swap_ms", "stream_id", "text_digest"),
        *("codec_delay_samples", "cached", "expression", "emotions"),
    ]
    assert [f.name for f in dataclasses.fields(Trailer)] == [
        *("total_samples", "sample_rate_hertz", "seed", "compute_ms", "first_chunk_ms"),
        *("unknown_symbols", "underruns"),
    ]


STREAM = (
    Header("a@1", ("sha256:0",), 22050, AudioEncoding.PCM_S16LE, 3, True, 1.0, 2.0),
    Chunk(b"abcd", 0, 2, (Mark(MarkKind.WORD, "hé", 0, 2, 0, 2),)),
    Chunk(b"ef", 2, 1, ()),
    Trailer(3, 22050, 7, 5.0, 6.0, {"\N{PARTY POPPER}": 2}),
)
SOUND = encode(KEY, STREAM)


def test_what_earlier_servers_recorded_is_read_and_written_the_same() -> None:
    """They share a store with this one."""
    text = (
        b'{"key":"' + KEY.encode() + b'","voice":"a@1","component_digests":["sha256:0"],'
        b'"sample_rate_hertz":22050,"encoding":"pcm_s16le","codec_delay_samples":0,'
        b'"text_digest":"","chunks":[[4,2,[["word","h\\u00e9",0,2,0,2]],[],[]],[2,1,[],[],[]]],'
        b'"total_samples":3,"seed":7,"unknown_symbols":{"\\ud83c\\udf89":2}}'
    )
    assert b"voxswap-audio\x01,PHdV\x01\x00\x00" + text + b"abcdef" == SOUND


@given(st.integers(0, len(SOUND) - 1), st.integers(1, 255))
def test_a_byte_that_changed_is_noticed(place: int, change: int) -> None:
    damaged = bytearray(SOUND)
    damaged[place] ^= change
    with pytest.raises(RecordingError):
        decode(KEY, bytes(damaged))


@given(st.integers(0, len(SOUND) - 1))
def test_what_is_cut_off_is_noticed(length: int) -> None:
    with pytest.raises(RecordingError):
        decode(KEY, SOUND[:length])


@given(st.binary(max_size=200), st.booleans())
@example(b"", False)
@example(b"", True)
def test_foreign_bytes_are_no_recording(data: bytes, begins_well: bool) -> None:
    with pytest.raises(RecordingError):
        decode(KEY, (SOUND[:14] if begins_well else b"") + data)


def test_the_recording_of_another_request_is_none_of_this() -> None:
    with pytest.raises(RecordingError, match="another request"):
        decode("1" * 64, SOUND)


def test_a_later_schema_is_not_read() -> None:
    with pytest.raises(RecordingError, match="another version"):
        decode(KEY, SOUND[:13] + b"\x02" + SOUND[14:])


def forged(text: bytes, audio: bytes = b"abcdef") -> bytes:
    """With a checksum that is right."""
    body = len(text).to_bytes(4, "little") + text + audio
    return SOUND[:14] + zlib.crc32(body).to_bytes(4, "little") + body


def told() -> dict[str, Any]:
    length = int.from_bytes(SOUND[18:22], "little")
    found: dict[str, Any] = json.loads(SOUND[22 : 22 + length])
    return found


def test_a_forgery_that_changes_nothing_is_read() -> None:
    assert decode(KEY, forged(json.dumps(told()).encode())) == as_found(STREAM)


@pytest.mark.parametrize(
    "changes",
    [
        {"voice": 1},
        {"voice": "\ud800"},
        {"component_digests": [1]},
        {"component_digests": None},
        {"sample_rate_hertz": 1 << 31},
        {"sample_rate_hertz": -1},
        {"sample_rate_hertz": True},
        {"sample_rate_hertz": 22050.0},
        {"encoding": "midi"},
        {"encoding": []},
        {"total_samples": 4},
        {"total_samples": math.inf},
        {"seed": 1 << 64},
        {"unknown_symbols": [1]},
        {"unknown_symbols": {"a": -1}},
        {"chunks": {}},
        {"chunks": [[6, 3]]},
        {"chunks": [[7, 3, []]]},
        {"chunks": [[5, 3, []]]},
        {"chunks": [[-2, 1, []], [8, 2, []]]},
        {"chunks": [[6, 4, []], [0, -1, []]]},
        {"chunks": [[6, 3, [["word", "x", 0, 0, 0]]]]},
        {"chunks": [[6, 3, [["sound", "x", 0, 0, 0, 0]]]]},
        {"chunks": [[6, 3, [["word", "x", 0, 0, 0, 1 << 31]]]]},
    ],
)
def test_forgeries_that_the_wire_could_not_carry_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(RecordingError):
        decode(KEY, forged(json.dumps(told() | changes).encode()))


@pytest.mark.parametrize("text", [b"", b"[]", b"1", b"[" * 100_000, b"\xff", b"{}", b'{"key":'])
def test_what_is_no_object_of_ours_is_refused(text: bytes) -> None:
    with pytest.raises(RecordingError):
        decode(KEY, forged(text))
