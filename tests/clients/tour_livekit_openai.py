"""A tour with LiveKit Agents and its plugin for OpenAI, unchanged."""

from __future__ import annotations

from livekit.plugins import openai
from livekit_tour import Tour
from tour import FACTS


def make(voice, session):
    return openai.TTS(voice=voice, base_url=f"http://{FACTS['address']}/v1", api_key="none")


Tour(make, change=lambda speech, voice: speech.update_options(voice=voice), within_s=0.1).take()
