"""Published clients that are taken on a tour, and the environments that they live in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_PINS = Path(__file__).parent / "requirements"


@dataclass(frozen=True, slots=True)
class PublishedClient:
    """A row of the table in docs/clients.md, and the tour that finds what stands in it.

    ``environment`` is the file beside this one, in ``requirements``, that pins what is installed;
    several may share one. ``script`` is the tour, ``speaks_to`` the port that it is given as its
    address: ``grpc``, ``http`` or ``wyoming``.
    """

    name: str
    environment: str
    script: str
    speaks_to: str = "http"

    @property
    def version(self) -> str:
        """Of the package that the name begins with."""
        package = self.name.partition(",")[0]
        found = re.search(rf"(?m)^{package}==(\S+)$", pins(self.environment).read_text())
        assert found is not None, package
        return found[1]


def pins(environment: str) -> Path:
    """What is installed into it."""
    return _PINS / f"{environment}.txt"


#: A row for each client; its tour is a script beside this file.
CLIENTS = (
    PublishedClient("openai", "openai", "tour_openai.py"),
    PublishedClient("elevenlabs", "elevenlabs", "tour_elevenlabs.py"),
    PublishedClient("cartesia", "cartesia", "tour_cartesia.py"),
    PublishedClient("nvidia-riva-client", "nvidia-riva-client", "tour_riva.py", "grpc"),
    PublishedClient("wyoming", "wyoming", "tour_wyoming.py", "wyoming"),
    PublishedClient("livekit-agents, OpenAI", "livekit", "tour_livekit_openai.py"),
    PublishedClient("livekit-agents, ElevenLabs", "livekit", "tour_livekit_elevenlabs.py"),
    PublishedClient("livekit-agents, Cartesia", "livekit", "tour_livekit_cartesia.py"),
    PublishedClient("livekit-agents, NVIDIA", "livekit", "tour_livekit_nvidia.py", "grpc"),
    PublishedClient("livekit-agents, voxswap", "livekit", "tour_livekit_voxswap.py", "grpc"),
    PublishedClient("pipecat-ai, OpenAI", "pipecat", "tour_pipecat_openai.py"),
    PublishedClient("pipecat-ai, ElevenLabs", "pipecat", "tour_pipecat_elevenlabs.py"),
    PublishedClient("pipecat-ai, Cartesia", "pipecat", "tour_pipecat_cartesia.py"),
    PublishedClient("pipecat-ai, NVIDIA", "pipecat", "tour_pipecat_nvidia.py", "grpc"),
    PublishedClient("pipecat-ai, voxswap", "pipecat", "tour_pipecat_voxswap.py", "grpc"),
)

#: What is ours in them, as it stands in this checkout.
OURS = {"livekit": (".", "clients/livekit"), "pipecat": (".", "clients/pipecat")}
