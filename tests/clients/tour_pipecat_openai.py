"""A tour with Pipecat and its service for OpenAI, unchanged: it takes OpenAI's voices alone."""

from __future__ import annotations

from pipecat.services.openai.tts import OpenAITTSService
from pipecat_tour import Tour
from tour import FACTS

Settings = OpenAITTSService.Settings


def make(voice):
    return OpenAITTSService(
        api_key="none",
        base_url=f"http://{FACTS['address']}/v1",
        settings=Settings(voice=voice),
    )


def settings(voice):
    return Settings(voice=voice)


Tour(
    *(make, settings),
    voice=FACTS["openai_voice"],
    slow_voice=FACTS["openai_slow_voice"],
    has_words=False,
    streams_text=False,
    within_s=0.17,  # sentences are lines of their own, with no pause between them
).take()
