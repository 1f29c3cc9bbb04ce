"""A tour with Pipecat and its service for ElevenLabs, unchanged."""

from __future__ import annotations

from pipecat.services.elevenlabs.tts import ElevenLabsTTSService
from pipecat_tour import Tour
from tour import FACTS

Settings = ElevenLabsTTSService.Settings


def make(voice):
    return ElevenLabsTTSService(
        api_key="none", url=f"ws://{FACTS['address']}", settings=Settings(voice=voice)
    )


def settings(voice):
    return Settings(voice=voice)


# Its socket is not opened for a voice that there is not.
Tour(make, settings, unknown="HTTP 404").take()
