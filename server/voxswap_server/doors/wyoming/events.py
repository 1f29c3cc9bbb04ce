"""Wyoming's events as bytes. What comes from a stranger is bounded before anybody looks at it.

::

    {"type": …, "data_length": D, "payload_length": P} \\n   D bytes of JSON   P bytes

The package's own reader takes lines and lengths of any size, so it is not used.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from wyoming.event import Event
from wyoming.version import __version__ as protocol_version

from voxswap_registry.errors import InvalidInputError, ManifestError
from voxswap_registry.json_reader import read_json

_MOST_ENTRIES = 256
_PIECE_BYTES = 1 << 16
_REMEDY = "send events as Wyoming has them, each with a line of JSON"


class FramingError(InvalidInputError):
    """What comes is no event; where the next one would begin nobody knows."""


class EventReader:
    """Reads events, ``most_bytes`` of JSON in each; payloads are passed over.

    Not thread-safe. REQUIRES of ``reader`` a limit of ``most_bytes``.
    """

    def __init__(self, reader: asyncio.StreamReader, most_bytes: int) -> None:
        self._reader = reader
        self._most_bytes = most_bytes

    async def begins(self) -> bytes:
        """Wait for an event: its first byte, or none if the client has gone."""
        return await self._reader.read(1)

    async def rest(self, first: bytes, *, without_payload: frozenset[str]) -> Event | None:
        """The event that begins with ``first``; None if the client goes in the middle of it.

        Those of ``without_payload`` have none. Raises `FramingError`.
        """
        try:
            return await self._event(first, without_payload)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def _event(self, first: bytes, without_payload: frozenset[str]) -> Event:
        line = first
        if first != b"\n":
            try:
                line += await self._reader.readuntil(b"\n")
            except asyncio.LimitOverrunError:
                raise FramingError.one(
                    "event", f"has a line of more than {self._most_bytes} bytes; {_REMEDY}"
                ) from None
        head = self._object(line, "event")
        kind = head.get("type")
        if not isinstance(kind, str) or not kind:
            raise FramingError.one("type", f"is {kind!r:.60}; {_REMEDY}")
        data = head.get("data", {})
        if not isinstance(data, dict):
            raise FramingError.one("data", "is no object of JSON; send one, or leave it out")
        data_bytes = _length(head, "data_length", self._most_bytes)
        payload_bytes = _length(head, "payload_length", self._most_bytes)
        if payload_bytes and kind in without_payload:
            raise FramingError.one(
                "payload_length", f"is {payload_bytes}; {kind} has no payload, so leave it out"
            )
        if data_bytes:
            data |= self._object(await self._reader.readexactly(data_bytes), "data")
        while payload_bytes:
            piece = await self._reader.readexactly(min(payload_bytes, _PIECE_BYTES))
            payload_bytes -= len(piece)
        return Event(kind, data)

    def _object(self, data: bytes, where: str) -> dict[str, Any]:
        try:
            return read_json(
                data,
                where=where,
                limit_bytes=self._most_bytes,
                most_entries=_MOST_ENTRIES,
                remedy=_REMEDY,
            )
        except ManifestError as error:
            raise FramingError.one(where, error.message.removeprefix(f"{where}: ")) from None


def _length(head: dict[str, Any], name: str, most: int) -> int:
    found = head.get(name)
    if found is None:
        return 0
    if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found <= most:
        raise FramingError.one(name, f"is {found!r:.60}; use a whole number from 0 to {most}")
    return found


def encoded(event: Event) -> bytes:
    """``event`` as it is sent."""
    head: dict[str, Any] = {"type": event.type, "version": protocol_version}
    data = json.dumps(event.data, ensure_ascii=False).encode() if event.data else b""
    if data:
        head["data_length"] = len(data)
    if event.payload:
        head["payload_length"] = len(event.payload)
    return json.dumps(head).encode() + b"\n" + data + (event.payload or b"")
