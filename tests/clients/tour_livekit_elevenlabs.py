"""A tour with LiveKit Agents and its plugin for ElevenLabs, unchanged."""

from __future__ import annotations

from livekit.plugins import elevenlabs
from livekit_tour import Tour
from tour import FACTS


def make(voice, session):
    return elevenlabs.TTS(
        voice_id=voice,
        base_url=f"http://{FACTS['address']}/v1",
        api_key="none",
        http_session=session,
    )


async def voices(speech):
    return [voice.id for voice in await speech.list_voices()]


Tour(
    make,
    change=lambda speech, voice: speech.update_options(voice_id=voice),
    voices=voices,
    cancels=False,  # it has said that all is said, and has no word for more
    within_s=0.1,  # it takes MP3, whose decoders begin with a silence of their own
).take()
