"""A tour with Pipecat and its service for NVIDIA's Riva, unchanged."""

from __future__ import annotations

from pipecat.services.nvidia.tts import NvidiaTTSService
from pipecat_tour import Tour
from tour import FACTS

Settings = NvidiaTTSService.Settings


def make(voice):
    return NvidiaTTSService(server=FACTS["address"], use_ssl=False, settings=Settings(voice=voice))


def settings(voice):
    return Settings(voice=voice)


Tour(make, settings, has_words=False, streams_text=False).take()
