"""A tour with Pipecat and our own service."""

from __future__ import annotations

from pipecat_tour import Tour
from tour import FACTS
from voxswap_pipecat import VoxswapTTSService

Settings = VoxswapTTSService.Settings


def make(voice):
    return VoxswapTTSService(settings=Settings(voice=voice), address=FACTS["address"])


def settings(voice):
    return Settings(voice=voice)


Tour(make, settings, pause_s=0.0).take()
