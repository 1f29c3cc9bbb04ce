"""The paths of this door, each with what it takes and tells: routes and the document come of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from voxswap_server.doors.http.guard import MOST_CALLS, Guard, Handler, Telling, tell


@dataclass(frozen=True, slots=True)
class Path:
    """One method of one path.

    ``summary`` is a line for the document. ``body`` is what is sent, or a recording is
    (``takes_recording``); ``query`` the parameters after the question mark with what they mean,
    ``answers`` media types. ``speaks`` says that it takes a place among the streams.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    body: type[BaseModel] | None = None
    takes_recording: bool = False
    query: dict[str, str] = field(default_factory=dict)
    answers: Sequence[str] = ("application/json",)
    speaks: bool = False
    most: int = MOST_CALLS
    is_waited_for: bool = True
    telling: Telling = tell
    group: str = "voxswap"

    def route(self, guard: Guard) -> BaseRoute:
        """It, for Starlette."""
        app = guard.app(
            f"/http{self.path}",
            self.handler,
            takes_body=self.body is not None,
            takes_recording=self.takes_recording,
            speaks=self.speaks,
            most=self.most,
            telling=self.telling,
            is_waited_for=self.is_waited_for,
        )
        return Route(self.path, Application(app), methods=[self.method])


def socket_route(path: str, app: ASGIApp) -> BaseRoute:
    """A WebSocket's path."""
    return WebSocketRoute(path, Application(app))


class Application:
    """An application that Starlette takes for one: of a function it would make something else."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or one WebSocket."""
        await self._app(scope, receive, send)
