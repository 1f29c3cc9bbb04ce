"""A tour with Pipecat and its service for Cartesia, unchanged."""

from __future__ import annotations

from pipecat.services.cartesia.tts import CartesiaTTSService
from pipecat_tour import Tour
from tour import FACTS

Settings = CartesiaTTSService.Settings


def make(voice):
    return CartesiaTTSService(
        api_key="none",
        url=f"ws://{FACTS['address']}/tts/websocket",
        settings=Settings(voice=voice),
    )


def settings(voice):
    return Settings(voice=voice)


Tour(make, settings).take()
