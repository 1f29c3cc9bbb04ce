"""The files of the page, and the answers that are made of them, once.

What is served is a table of the files that were there when the server began: no request's path
ever becomes the path of a file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from importlib.resources import files
from types import MappingProxyType
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from voxswap_server.doors.http.exchange import Exchange
from voxswap_server.doors.http.guard import Guard, Handler
from voxswap_server.doors.http.routes import Application

_NAME: Final = "/http/page"
_FOLDER: Final = files(__package__) / "static"
#: Pages have addresses without an ending; all else is under ``/page/``.
_PAGES: Final = MappingProxyType({"index.html": "/", "docs.html": "/docs"})
_KINDS: Final = MappingProxyType(
    {
        ".html": "text/html; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".svg": "image/svg+xml",
    }
)
#: What a browser is told of every file: take nothing from elsewhere, be in nobody's frame, guess no
#: type, and ask each time whether there is a newer one.
_HEADERS: Final = MappingProxyType(
    {
        "cache-control": "no-cache",
        "content-security-policy": "default-src 'self'; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
)


def routes(guard: Guard) -> Sequence[BaseRoute]:
    """A route for each file of the page."""
    return [
        Route(path, Application(guard.app(_NAME, _sender(data, kind))), methods=["GET"])
        for path, data, kind in _found()
    ]


def _found() -> Iterator[tuple[str, bytes, str]]:
    """Address, bytes and media type of each file."""
    for file in sorted(_FOLDER.iterdir(), key=lambda file: file.name):
        kind = _KINDS.get("." + file.name.rpartition(".")[2])
        if kind is not None:
            yield _PAGES.get(file.name, f"/page/{file.name}"), file.read_bytes(), kind


def _sender(data: bytes, kind: str) -> Handler:
    """Answers with these bytes, or that they are what the client has."""
    tag = f'"{hashlib.sha256(data).hexdigest()[:24]}"'
    headers = {**_HEADERS, "etag": tag}

    async def send(exchange: Exchange) -> None:
        if _has(exchange.request, tag):
            await exchange.answer(Response(status_code=304, headers=headers))
        else:
            await exchange.answer(Response(data, headers=headers, media_type=kind))

    return send


def _has(request: Request, tag: str) -> bool:
    held = request.headers.get("if-none-match", "")
    return held == "*" or tag in {part.strip().removeprefix("W/") for part in held.split(",")}
