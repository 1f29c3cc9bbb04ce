"""A tour with LiveKit Agents and its plugin for NVIDIA's Riva, unchanged."""

from __future__ import annotations

from livekit.plugins import nvidia
from livekit_tour import Tour
from tour import FACTS


def make(voice, session):
    return nvidia.TTS(voice=voice, server=FACTS["address"], use_ssl=False)


async def voices(speech):
    return [name for found in speech.list_voices().values() for name in found["voices"]]


# It reads what it has asked for to the end, whoever has closed its stream. What goes wrong it logs,
# and says no more of it: the framework misses the audio.
Tour(make, voices=voices, cancels=False, unknown=("APIError", "APIError")).take()
