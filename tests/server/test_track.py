"""A track with effects: as long as one without, its marks where they were, each done once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import pytest

from tests.audio.voices import Audio, cents_from, vowel
from tests.fakes.family import FakeFrontEnd, FakeVoice
from tests.fakes.manifests import make_manifest
from voxswap_families.contract import LoadedVoice
from voxswap_families.kokoro.embedded import GRAPH
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_server.audio.encoding import AudioEncoding
from voxswap_server.speech.messages import Chunk
from voxswap_server.speech.reader import Read, Reader
from voxswap_server.speech.request import MarkKind, SpeechRequest
from voxswap_server.speech.track import Track
from voxswap_server.text.types import Segment

VOICE, HOP = make_manifest(), 256
SOUND = vowel(150)[: 50 * HOP]
SHIFTED = {"pitch_semitones": 4.0, "volume_db": 3.0}


class Stream:
    """Says `SOUND` for each segment, a few frames at a time."""

    def __init__(self, controls: Mapping[str, float], manifest: Manifest = VOICE) -> None:
        request = SpeechRequest(
            *(VoiceRef("a"), "a"),
            encoding=AudioEncoding.PCM_F32LE,
            controls=controls,
            marks=frozenset(MarkKind),
        )
        self.track = Track(request, manifest)
        self.reader = Reader(request, manifest)
        self.chunks: list[Chunk] = []

    def read(self, pause_ms: int = 0) -> Read:
        loaded = LoadedVoice("a@1", FakeVoice(), FakeFrontEnd())
        found = self.reader.read(Segment("a bad cab", 0, pause_ms), loaded)
        assert isinstance(found, Read)
        return found

    def say(self, *, pause_ms: int = 0, frames: int = 50) -> None:
        """A segment; it is left when so many ``frames`` are said."""
        read = self.read(pause_ms)
        symbols = len(read.symbols.ids)
        self.track.begin(
            read, [50 // symbols] * (symbols - 1) + [50 - 50 // symbols * (symbols - 1)]
        )
        for first in range(0, frames, 7):
            last = min(first + 7, frames)
            piece = SOUND[first * HOP : last * HOP]
            chunk = self.track.push(piece, ends=read if last == 50 else None)
            self.chunks += [chunk] if chunk is not None else []

    def heard(self) -> Audio:
        rest = self.track.finish()
        self.chunks += [rest] if rest is not None else []
        return np.frombuffer(b"".join(chunk.audio for chunk in self.chunks), "<f4")


def test_samples_and_marks_are_where_they_were() -> None:
    told = []
    for controls in ({}, SHIFTED):
        stream = Stream(controls)
        stream.say(pause_ms=130)
        stream.say()
        audio = stream.heard()
        told.append((len(audio), [mark for chunk in stream.chunks for mark in chunk.marks]))
        starts = [chunk.start_sample for chunk in stream.chunks]
        assert starts == list(np.cumsum([0, *(c.sample_count for c in stream.chunks[:-1])]))
        assert not audio[len(SOUND) : len(SOUND) + 22050 * 130 // 1000].any()
    assert told[0] == told[1]
    assert len(told[0][1]) > 4
    assert abs(cents_from(audio[2000 : len(SOUND) - 1000], 150 * 2 ** (4 / 12))) < 5


def test_pauses_are_scaled() -> None:
    lengths = []
    for scale in (1.0, 0.0, 2.5):
        stream = Stream({"pause_scale": scale})
        stream.say(pause_ms=200)
        lengths.append(len(stream.heard()) - len(SOUND))
    assert lengths == [4410, 0, 11025]


def test_what_the_family_does_itself_is_not_done_again() -> None:
    base = dataclasses.replace(VOICE.components[0], role="base", digest=GRAPH)
    kokoro = dataclasses.replace(VOICE, engine="kokoro", components=(base,))
    stream = Stream({"pitch_semitones": 4.0, "pitch_range": 0.5}, kokoro)
    stream.say()
    assert np.array_equal(stream.heard(), SOUND)


def test_after_a_cut_nothing_of_what_was_held_back_is_heard() -> None:
    whole = Stream(SHIFTED)
    whole.say()
    stream = Stream(SHIFTED)
    stream.say(frames=20)
    stream.track.cut()
    given = sum(chunk.sample_count for chunk in stream.chunks)
    stream.say()
    assert np.array_equal(stream.heard()[given:], whole.heard())


@pytest.mark.parametrize(("controls", "takes"), [({}, False), (SHIFTED, True)], ids=["", "shifted"])
def test_what_it_takes_is_told(controls: Mapping[str, float], takes: bool) -> None:
    """Over a millisecond a chunk is made on a compute thread."""
    stream = Stream(controls)
    stream.say()
    assert (stream.track.takes_s(0.08) > 0.001) == takes
