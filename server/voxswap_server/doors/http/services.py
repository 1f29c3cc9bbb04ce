"""What the handlers of this door ask."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import HTTPConnection

from voxswap_registry.catalog.catalog import Catalog
from voxswap_server.residency.ahead import Ahead
from voxswap_server.residency.steering import Steering
from voxswap_server.speech.asking import TENANT_KEY
from voxswap_server.speech.recordings import Recordings
from voxswap_server.speech.serving import Serving
from voxswap_server.speech.speaking import Call, Speaker


@dataclass(frozen=True, slots=True)
class Services:
    """Everything behind the door. Confined to one event loop."""

    speaker: Speaker
    catalog: Catalog
    steering: Steering
    ahead: Ahead
    serving: Serving
    recordings: Recordings
    max_text_characters: int

    def call(self) -> Call:
        """A request that came just now; over HTTP nobody says how long they will wait."""
        return Call(self.speaker.clock())


def tenant_of(connection: HTTPConnection) -> str:
    """On whose behalf a request is made."""
    return connection.headers.get(TENANT_KEY, "")
