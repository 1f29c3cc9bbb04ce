"""One request and its answer, as a handler sees them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from voxswap_registry.errors import FieldViolation, InvalidInputError, ManifestError
from voxswap_registry.json_reader import read_json
from voxswap_registry.records import violations
from voxswap_server.audio.clips.limits import ClipLimits
from voxswap_server.doors.http.connections import StreamBrokenError
from voxswap_server.doors.http.errors import ClientGoneError, HttpError
from voxswap_server.doors.shared import Limits

_Model = TypeVar("_Model", bound=BaseModel)

_MOST_ENTRIES = 1024
_BESIDE_TEXT_BYTES = 64 << 10
_REMEDY = "send one object of JSON, as /docs has it"


class Exchange:
    """Reads the request, writes the answer. Used by one task, beside one that waits for its end.

    What is written is on its way when `write` returns: it waits as long as the client does not
    take what came before. A client that hangs up cancels the handler.
    """

    def __init__(self, request: Request, send: Any, limits: Limits) -> None:
        self.request = request
        self.limits = limits
        self._send = send
        self._body = b""
        self.has_begun = False
        self._has_trailers = False

    # The request

    async def read(self) -> None:
        """Take the body in. Raises `HttpError` for another type than JSON, or too many bytes."""
        kind = self.request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise HttpError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                f"the body is {kind or 'of no type'!r:.60}; send JSON with the header "
                "'Content-Type: application/json'",
            )
        await self._take(self.most_body_bytes)

    async def read_recording(self) -> None:
        """Take the body in, whatever it is: who listens to it sees to that. Raises `HttpError`."""
        await self._take(min(ClipLimits().most_bytes, self.limits.max_message_bytes))

    async def _take(self, most: int) -> None:
        told = self.request.headers.get("content-length", "")
        if told.isdecimal() and (len(told) > 15 or int(told) > most):
            raise _too_long(most)
        found = bytearray()
        while True:
            message = await self.request.receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            found += message.get("body", b"")
            if len(found) > most:
                raise _too_long(most)
            if not message.get("more_body", False):
                break
        self._body = bytes(found)

    @property
    def most_body_bytes(self) -> int:
        """Room for the longest text, however JSON spells it, and for what else may be said."""
        longest = 12 * self.limits.max_text_characters + _BESIDE_TEXT_BYTES
        return min(longest, self.limits.max_message_bytes)

    @property
    def body(self) -> bytes:
        """As it came. REQUIRES: it was read."""
        return self._body

    def json(self, model: type[_Model]) -> _Model:
        """The body. Raises `InvalidInputError` with every field at fault. REQUIRES: `read`."""
        return parsed(model, self._body, limit_bytes=self.most_body_bytes)

    async def gone(self) -> None:
        """Wait until the client hangs up. What it still sends is passed over."""
        while (await self.request.receive())["type"] != "http.disconnect":
            pass

    # The answer

    async def start(
        self,
        media_type: str,
        *,
        headers: Mapping[str, str] | None = None,
        status: int = 200,
        trailers: Iterable[str] = (),
    ) -> None:
        """Begin an answer whose length nobody knows yet; ``trailers`` may follow it."""
        names = ", ".join(trailers)
        # HTTP/1.0 has no chunks, and so no trailers.
        self._has_trailers = bool(names) and self.request.scope["http_version"] != "1.0"
        raw = {"content-type": media_type, "cache-control": "no-store", **(headers or {})}
        if self._has_trailers:
            raw["trailer"] = names
        self.has_begun = True
        await self._send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(k.encode("latin-1"), header_bytes(v)) for k, v in raw.items()],
                "trailers": self._has_trailers,
            }
        )

    async def write(self, data: bytes) -> None:
        """Send some of the answer."""
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, trailers: Mapping[str, str] | None = None) -> None:
        """The answer is whole."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        if self._has_trailers:
            raw = [(k.encode("latin-1"), header_bytes(v)) for k, v in (trailers or {}).items()]
            await self._send({"type": "http.response.trailers", "headers": raw})

    async def event(self, name: str, data: object) -> None:
        """Send one server-sent event; without a ``name``, of the usual kind."""
        head = f"event: {name}\n" if name else ""
        await self.write(f"{head}data: {json_text(data)}\n\n".encode())

    async def answer(self, response: Response) -> None:
        """Send a whole answer."""
        self.has_begun = True
        await response(self.request.scope, self.request.receive, self._send)

    async def answer_json(
        self, content: object, *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        """Send a whole answer in JSON."""
        told = {"cache-control": "no-store", **(headers or {})}
        await self.answer(Response(json_text(content), status, told, media_type="application/json"))

    def break_off(self) -> None:
        """What was begun cannot be sent to its end. Raises `StreamBrokenError`."""
        raise StreamBrokenError


def parsed(model: type[_Model], data: bytes, *, limit_bytes: int, field: str = "body") -> _Model:
    """JSON that a stranger sent as a ``model``. Raises `InvalidInputError`."""
    try:
        raw = read_json(
            data,
            where=field,
            limit_bytes=limit_bytes,
            most_entries=_MOST_ENTRIES,
            remedy=_REMEDY,
        )
    except ManifestError as error:
        told = error.message.removeprefix(f"{field}: ")
        raise InvalidInputError.one(field, told) from None
    return checked(model, raw)


def checked(model: type[_Model], raw: MutableMapping[str, Any]) -> _Model:
    """A ``model`` of what was read. Raises `InvalidInputError` with every field at fault."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise InvalidInputError(_told(model, error)) from None


def _told(model: type[BaseModel], error: ValidationError) -> list[FieldViolation]:
    """A field that is not known is told with those that are: most often it is misspelt."""
    found = []
    for violation in violations(error):
        description = violation.description
        if description.startswith("is not known here") and "." not in violation.field:
            description += f"; there are {', '.join(model.model_fields)}"
        found.append(FieldViolation(violation.field, description))
    return found


def json_text(content: object) -> str:
    """JSON, in one line."""
    if isinstance(content, BaseModel):
        return content.model_dump_json(exclude_none=True)
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def header_bytes(value: str) -> bytes:
    """A header's value; what Latin-1 has no sign for is escaped."""
    return value.encode("latin-1", errors="backslashreplace")


def _too_long(most: int) -> HttpError:
    return HttpError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the body has more than {most} bytes, the most that is taken; send less",
        headers={"connection": "close"},
    )
