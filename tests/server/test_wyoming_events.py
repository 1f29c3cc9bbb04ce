"""Wyoming's events as bytes: whatever a stranger sends is an event, no event, or an end."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wyoming.event import Event

from tests.examples import examples
from voxswap_server.doors.wyoming.events import EventReader, FramingError, encoded

MOST_BYTES = 1000
TEXTS = frozenset({"synthesize"})


async def read(data: bytes) -> list[Event]:
    """All events of ``data``, to its end."""
    stream = asyncio.StreamReader(limit=MOST_BYTES)
    stream.feed_data(data)
    stream.feed_eof()
    reader = EventReader(stream, MOST_BYTES)
    events = []
    while first := await reader.begins():
        event = await reader.rest(first, without_payload=TEXTS)
        if event is None:
            break
        events.append(event)
    return events


async def test_data_stands_in_the_line_behind_it_or_in_both() -> None:
    data = b'{"b": 2}'
    line = json.dumps({"type": "x", "data": {"a": 1, "b": 1}, "data_length": len(data)}).encode()
    assert await read(line + b"\n" + data + b'{"type": "y", "data_length": null}\n') == [
        Event("x", {"a": 1, "b": 2}),
        Event("y"),
    ]


async def test_what_is_encoded_can_be_read() -> None:
    event = Event("synthesize", {"text": "Grüße\n🎉", "voice": {"name": "joe"}})
    assert await read(encoded(event) * 2) == [event, event]


async def test_payloads_are_passed_over() -> None:
    sent = encoded(Event("audio-chunk", {"rate": 1}, b"\n" * 500)) + encoded(Event("describe"))
    assert await read(sent) == [Event("audio-chunk", {"rate": 1}), Event("describe")]


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (b"\n", "event"),
        (b"GET / HTTP/1.1\r\n", "event"),
        (b"\x16\x03\x01\x02\x00\x01\n", "event"),
        (b"[" * 500 + b"\n", "event"),
        (b'{"type": "x", "type": "y"}\n', "event"),
        (b"[]\n", "event"),
        (b"a" * (2 * MOST_BYTES), "event"),
        (b"a" * (MOST_BYTES + 1) + b"\n", "event"),
        (b"{}\n", "type"),
        (b'{"type": 1}\n', "type"),
        (b'{"type": ""}\n', "type"),
        (b'{"type": "x", "data": "text"}\n', "data"),
        (b'{"type": "x", "data_length": 3}\n[1]', "data"),
        (b'{"type": "x", "data_length": 4}\n\xff\xfe{}', "data"),
        *(
            (b'{"type": "x", "%s": %s}\n' % (name, value), name.decode())
            for name in (b"data_length", b"payload_length")
            for value in (b"-1", b"1.5", b'"9"', b"true", b"1001", b"9" * 500)
        ),
        (b'{"type": "synthesize", "payload_length": 1}\n', "payload_length"),
    ],
)
async def test_what_is_no_event_is_told_with_its_field(data: bytes, field: str) -> None:
    with pytest.raises(FramingError) as raised:
        await read(data)
    (violation,) = raised.value.violations
    assert violation.field == field
    assert len(violation.description) < 300


@pytest.mark.parametrize(
    "data",
    [
        b'{"type": "x"',
        b'{"type": "x", "data_length": 5}\n{}',
        b'{"type": "x", "payload_length": 5}\nabc',
    ],
)
async def test_a_client_that_goes_in_the_middle_of_an_event_has_gone(data: bytes) -> None:
    assert await read(data) == []


_PIECES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [
            *(b'{"type": "describe"}\n', b'{"type": "x", "data_length": 2}\n{}', b"{", b"}", b"\n"),
            *(b'"', b'{"type": "x", "payload_length": 3}\nabc', b'"data_length": 3', b"\\ud800"),
        ]
    ),
)


@examples(300)
@given(st.lists(_PIECES, max_size=12).map(b"".join))
def test_any_bytes_are_events_or_framing_errors(data: bytes) -> None:
    with contextlib.suppress(FramingError):
        assert all(isinstance(event, Event) for event in asyncio.run(read(data)))
