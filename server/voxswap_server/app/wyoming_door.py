"""The door for Wyoming as settings have it: there or not, and on which port."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from voxswap_server.app.config import SettingsError
from voxswap_server.app.house import House
from voxswap_server.doors.shared import Shared

if TYPE_CHECKING:
    from voxswap_server.doors.wyoming.server import WyomingServer


def wyoming_door(house: House, shared: Shared) -> tuple[WyomingServer, str] | None:
    """The door, bound, and its address; None if it is off.

    Raises `SettingsError` if its extra is not installed, or its address cannot be had.
    """
    settings = house.settings
    if settings.wyoming_listen == "off":
        return None
    if find_spec("wyoming") is None:
        raise SettingsError(
            "wyoming_listen: needs the extra wyoming; install voxswap[wyoming], or set it to 'off'"
        )
    from voxswap_server.doors.wyoming.server import WyomingServer
    from voxswap_server.doors.wyoming.services import Services
    from voxswap_server.doors.wyoming.voices import Described

    services = Services(
        house.speaker, house.catalog, Described(house.catalog), shared.limits.max_text_characters
    )
    server = WyomingServer(services, shared)
    host, _, port = settings.wyoming_listen.rpartition(":")
    try:
        return server, server.bind(host.strip("[]"), int(port))
    except OSError as error:
        raise SettingsError(
            f"wyoming_listen: {settings.wyoming_listen} cannot be had ({error.strerror}); use "
            "another port, or 'off'"
        ) from error
