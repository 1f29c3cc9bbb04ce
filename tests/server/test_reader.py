"""The reader: how fast a voice is asked to speak, and how long its segments may be."""

from __future__ import annotations

import dataclasses

import pytest

from tests.fakes.family import FakeFrontEnd, FakeVoice
from tests.fakes.manifests import make_manifest
from voxswap_families.contract import LoadedVoice
from voxswap_registry.names import VoiceRef
from voxswap_server.speech.reader import Reader
from voxswap_server.speech.request import SpeechRequest
from voxswap_server.text.types import Segment


class Voice(FakeVoice):
    def __init__(self) -> None:
        super().__init__()
        self.rates: list[float] = []

    def most_symbols(self, rate: float) -> int:
        self.rates.append(rate)
        return round(100 * rate)


@pytest.mark.parametrize("text", ["²¹³" * 130, "1²" * 195 + "." * 10])
def test_what_is_far_more_to_say_than_to_write_is_parted_before_it_is_read(text: str) -> None:
    """A front-end takes as long as the speech is, and a segment of this is minutes of it."""

    class Patient(Voice):
        def most_symbols(self, rate: float) -> int:
            return 10_000

    reader = Reader(SpeechRequest(VoiceRef("a"), "x"), make_manifest())
    front_end = FakeFrontEnd(None)
    loaded = LoadedVoice("a@1", Patient(), front_end)
    left, read = [Segment(text, 5, 70)], []
    while left:
        part = left.pop(0)
        found = reader.read(part, loaded)
        if isinstance(found, list):
            left = [*found, *left]
        else:
            read.append(found.segment)
    assert max(map(len, front_end.texts)) <= 1_000
    assert len(read) > 2
    assert "".join(part.text for part in read) == text
    assert [part.pause_ms for part in read] == [0] * (len(read) - 1) + [70]
    assert read[0].start == 5


@pytest.mark.parametrize(("asked", "length_scale", "rate"), [(1, 2, 0.5), (0.25, 4, 1 / 16)])
def test_a_slow_voice_gets_shorter_segments(asked: float, length_scale: float, rate: float) -> None:
    """The voice's own slowness counts as the request's does."""
    manifest = dataclasses.replace(make_manifest(), defaults={"length_scale": length_scale})
    voice = Voice()
    reader = Reader(SpeechRequest(VoiceRef("a"), "x", rate=asked), manifest)
    loaded = LoadedVoice("a@1", voice, FakeFrontEnd())
    assert not isinstance(reader.read(Segment("a" * 6, 0, 0), loaded), list)
    assert voice.rates == [rate]
    assert [delivery.rate for delivery in voice.deliveries] == [rate]
    parts = reader.read(Segment("some words to say " * 4, 0, 0), loaded)
    assert isinstance(parts, list)
    assert max(len(part.text) for part in parts) <= 100 * rate
