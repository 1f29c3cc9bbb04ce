"""The application: every protocol of this door, under one roof."""

from __future__ import annotations

from collections.abc import Collection
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from voxswap_server.doors.http.cartesia import contexts as cartesia_contexts
from voxswap_server.doors.http.cartesia import speech as cartesia
from voxswap_server.doors.http.common_paths import common_paths
from voxswap_server.doors.http.elevenlabs import contexts as elevenlabs_contexts
from voxswap_server.doors.http.elevenlabs import speech as elevenlabs
from voxswap_server.doors.http.errors import HttpError
from voxswap_server.doors.http.guard import Guard, problem_of, response_of
from voxswap_server.doors.http.mods import paths as mods
from voxswap_server.doors.http.native import paths as native
from voxswap_server.doors.http.openai import speech as openai
from voxswap_server.doors.http.openapi import document_path
from voxswap_server.doors.http.origins import Origins
from voxswap_server.doors.http.page import files
from voxswap_server.doors.http.services import Services
from voxswap_server.doors.http.sockets import Sockets
from voxswap_server.doors.http.whole import Whole
from voxswap_server.doors.shared import Shared


def application(
    services: Services,
    shared: Shared,
    whole: Whole,
    *,
    origins: Collection[str],
    hosts: Collection[str],
    version: str,
) -> ASGIApp:
    """What uvicorn serves. ``whole`` counts what it holds of answers that are sent whole.

    See `Origins` for ``origins`` and ``hosts``.
    """
    guard, sockets = Guard(shared), Sockets(shared)
    paths = [
        *native.paths(services, guard, whole),
        *openai.paths(services, guard, whole),
        *elevenlabs.paths(services, guard, whole),
        *cartesia.paths(services, guard),
        *mods.paths(services, whole),
        *common_paths(services, guard, whole),
    ]
    paths.append(document_path(paths, version))
    routes = [path.route(guard) for path in paths]
    routes += native.sockets(services, guard, sockets)
    routes += files.routes(guard)
    routes += elevenlabs_contexts.sockets(services, guard, sockets)
    routes += cartesia_contexts.sockets(services, guard, sockets)
    app = Starlette(routes=routes, exception_handlers={HTTPException: _unrouted})
    app.router.redirect_slashes = False
    return Origins(app, origins=origins, hosts=hosts)


async def _unrouted(request: Request, error: Exception) -> Response:
    """Nothing is under this path, or not by this method."""
    status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.NOT_FOUND
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = dict(getattr(error, "headers", None) or {}).get("Allow", "")
        told = f"this path does not take {request.method:.16}; it takes {allowed}"
        fault = HttpError(HTTPStatus.METHOD_NOT_ALLOWED, told, headers={"allow": allowed})
    else:
        fault = HttpError(HTTPStatus.NOT_FOUND, "nothing is here; /docs lists what there is")
    return response_of(problem_of(fault))
