"""The HTTP door as settings have it: there or not, and on which port."""

from __future__ import annotations

import logging
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING

from voxswap_server.app.config import SettingsError
from voxswap_server.app.house import House
from voxswap_server.doors.shared import Shared

if TYPE_CHECKING:
    from voxswap_server.doors.http.server import HttpServer

_LOGGER = logging.getLogger(__name__)
_NEEDED = ("starlette", "uvicorn", "websockets")


def http_door(house: House, shared: Shared) -> tuple[HttpServer, str] | None:
    """The door, bound, and its address; None if it is off, or its extra is not installed.

    Raises `SettingsError` if its address cannot be had.
    """
    settings = house.settings
    if settings.http_listen == "off":
        return None
    if not all(map(find_spec, _NEEDED)):
        _LOGGER.debug("the extra http is not installed, so nothing listens for HTTP")
        return None
    from voxswap_server.doors.http.app import application
    from voxswap_server.doors.http.connections import Patience
    from voxswap_server.doors.http.server import HttpServer
    from voxswap_server.doors.http.services import Services
    from voxswap_server.doors.http.whole import Whole

    limits = shared.limits
    services = Services(
        house.speaker,
        house.catalog,
        house.steering,
        house.residents.ahead,
        house.serving,
        house.recordings,
        limits.max_text_characters,
    )
    whole = Whole()
    house.metrics.watch_beside("whole answers", lambda: whole.size_bytes)
    app = application(
        services,
        shared,
        whole,
        origins=settings.http_origins,
        hosts=settings.http_hosts,
        version=version("voxswap"),
    )
    patience = Patience(
        shared.refusals,
        first_message_s=limits.first_message_s,
        stalled_write_s=limits.stalled_write_s,
    )
    server = HttpServer(
        app,
        patience,
        idle_s=limits.idle_s,
        keepalive_s=limits.keepalive_s,
        max_message_bytes=limits.max_message_bytes,
    )
    text = "Connections of the HTTP door, WebSockets included."
    house.metrics.show("http_connections", text, lambda: server.connections)
    host, _, port = settings.http_listen.rpartition(":")
    try:
        return server, server.bind(host.strip("[]"), int(port))
    except OSError as error:
        raise SettingsError(
            f"http_listen: {settings.http_listen} cannot be had ({error.strerror}); use another "
            "port, or 'off'"
        ) from error
