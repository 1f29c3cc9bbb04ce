"""What this door asks."""

from __future__ import annotations

from dataclasses import dataclass

from voxswap_registry.catalog.catalog import Catalog
from voxswap_server.doors.wyoming.voices import Described
from voxswap_server.speech.speaking import Call, Speaker


@dataclass(frozen=True, slots=True)
class Services:
    """Everything behind the door. Confined to one event loop."""

    speaker: Speaker
    catalog: Catalog
    described: Described
    max_text_characters: int

    def call(self) -> Call:
        """A request that came just now; nobody says how long they will wait."""
        return Call(self.speaker.clock())
