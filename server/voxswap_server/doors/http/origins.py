"""Whose pages may ask: those of this server, and of origins that an operator named.

A page on the internet runs in the browser of somebody who can reach this server, if it listens on
loopback too. It cannot forge three things: ``Origin``, which goes with every request that changes
something and with every WebSocket; ``Sec-Fetch-Site``, which goes with the others to loopback; and
``Host``, which is the name that it resolved to this server's address (DNS rebinding).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voxswap_server.doors.http.errors import HttpError
from voxswap_server.doors.http.guard import problem_of, response_of

_METHODS = "GET, POST, OPTIONS"
_ASKED_HEADERS = "authorization, content-type, voxswap-tenant, x-api-key, xi-api-key, last-event-id"
_MAX_AGE_S = "600"


class Origins:
    """Middleware: refuses strange pages, and answers for those that are allowed (CORS)."""

    def __init__(self, app: ASGIApp, *, origins: Collection[str], hosts: Collection[str]) -> None:
        """``origins`` are as browsers write them, ``https://studio.example``.

        ``hosts`` are names of this server beside ``localhost``, addresses, and names without a dot,
        which nobody on the internet can have.
        """
        self._app = app
        self._origins = frozenset(origins)
        self._hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or one WebSocket, or refuse it."""
        if scope["type"] not in {"http", "websocket"}:
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin", "")
        if fault := self._fault(headers, origin, is_page=_is_navigation(headers)):
            await _refuse(scope, receive, send, fault)
            return
        if origin not in self._origins or scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        shown = {"access-control-allow-origin": origin, "vary": "Origin"}
        if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            shown |= {
                "access-control-allow-methods": _METHODS,
                "access-control-allow-headers": _ASKED_HEADERS,
                "access-control-max-age": _MAX_AGE_S,
            }
            await Response(status_code=HTTPStatus.NO_CONTENT, headers=shown)(scope, receive, send)
            return
        shown["access-control-expose-headers"] = "*"

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(shown)
            await send(message)

        await self._app(scope, receive, sending)

    def _fault(self, headers: Headers, origin: str, *, is_page: bool) -> str:
        """What is wrong with where a request comes from; empty if nothing is."""
        host = headers.get("host", "")
        if host and not self._is_ours(host):
            return (
                f"the server is asked for as {host!r:.80}, which is none of its names; use its "
                "address, or add the name to the setting http_hosts"
            )
        if origin in self._origins:
            return ""
        if origin:
            if origin.lower() in {f"http://{host}".lower(), f"https://{host}".lower()}:
                return ""
        elif is_page or headers.get("sec-fetch-site", "none") in {"none", "same-origin"}:
            return ""
        return (
            f"a page of {origin or 'another site'!r:.80} may not use this server; add its origin "
            "to the setting http_origins if it should"
        )

    def _is_ours(self, host: str) -> bool:
        name = _without_port(host).lower().rstrip(".")
        if "." not in name or name.endswith(".localhost") or name in self._hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def _without_port(host: str) -> str:
    if host.startswith("["):
        return "localhost" if "]" in host else host  # an address of IPv6
    return host.partition(":")[0]


def _is_navigation(headers: Headers) -> bool:
    """Somebody follows a link to here: what is shown is a page, and nothing of it is read."""
    return (
        headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    )


async def _refuse(scope: Scope, receive: Receive, send: Send, fault: str) -> None:
    problem = problem_of(HttpError(HTTPStatus.FORBIDDEN, fault))
    response = response_of(problem)
    if scope["type"] == "http":
        await response(scope, receive, send)
        return
    await receive()  # the beginning of a WebSocket
    headers = response.raw_headers
    start = {"type": "websocket.http.response.start", "status": problem.status}
    await send({**start, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": response.body})
