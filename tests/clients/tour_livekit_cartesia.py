"""A tour with LiveKit Agents and its plugin for Cartesia, unchanged."""

from __future__ import annotations

from livekit.plugins import cartesia
from livekit_tour import Tour
from tour import FACTS


def make(voice, session):
    return cartesia.TTS(
        voice=voice,
        base_url=f"http://{FACTS['address']}",
        api_key="none",
        http_session=session,
    )


Tour(
    make,
    change=lambda speech, voice: speech.update_options(voice=voice),
    cancels=False,  # it closes its socket when the next stream begins
    unknown=("APIStatusError", "APIError"),
).take()
