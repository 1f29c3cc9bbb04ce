"""Emotions behind every door: what a speaker makes of them, and what a header says."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from tests.server.speaker_fixture import LINE, OFF, SpeakerFixture, conversation, hear, opened
from voxswap_registry.errors import InvalidInputError
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_server.speech.messages import Header, Message
from voxswap_server.speech.prosody_table import PARTS, PROSODY
from voxswap_server.speech.request import (
    CachePolicy,
    EmotionFallback,
    Expression,
    SpeechRequest,
)


@pytest.fixture
async def fixture(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SpeakerFixture]:
    async with opened(monkeypatch) as made:
        made.manifest = dataclasses.replace(made.manifest, controls=tuple(PARTS))
        yield made


PROSODY_TOO: dict[str, Any] = {"fallback": EmotionFallback.PROSODY}
SAD: dict[str, Any] = {"emotions": {"sad": 1.0}}


async def header_of(fixture: SpeakerFixture, request: SpeechRequest, **options: Any) -> Header:
    got: list[Message] = []
    await hear(fixture, request, got, **options)
    assert isinstance(got[0], Header)
    return got[0]


def told(header: Header) -> tuple[Expression, Mapping[str, float]]:
    return header.expression, header.emotions


async def test_the_header_says_what_is_spoken_and_how(fixture: SpeakerFixture) -> None:
    line = dataclasses.replace(OFF, **SAD, **PROSODY_TOO)
    assert told(await header_of(fixture, OFF)) == (Expression.NONE, {})
    assert told(await header_of(fixture, line)) == (Expression.PROSODY, {"sad": 1.0})
    slow = fixture.voice.deliveries[-1]
    assert (slow.rate, slow.emotions) == (PROSODY["sad"]["rate"], {})
    fixture.manifest = dataclasses.replace(fixture.manifest, emotions=("sad",))
    assert told(await header_of(fixture, line)) == (Expression.NATIVE, {"sad": 1.0})
    felt = fixture.voice.deliveries[-1]
    assert (felt.rate, felt.emotions) == (1.0, {"sad": 1.0})


async def test_an_operator_may_say_that_prosody_stands_in(fixture: SpeakerFixture) -> None:
    line = dataclasses.replace(OFF, **SAD)
    with pytest.raises(InvalidInputError, match=r"set emotion\.fallback to PROSODY"):
        await header_of(fixture, line)
    fixture.speaker._fallback = EmotionFallback.PROSODY
    assert told(await header_of(fixture, line)) == (Expression.PROSODY, {"sad": 1.0})
    with pytest.raises(InvalidInputError):  # a client may know better
        await header_of(fixture, dataclasses.replace(line, fallback=EmotionFallback.NONE))


async def test_audio_that_was_kept_says_it_as_well(fixture: SpeakerFixture) -> None:
    line = dataclasses.replace(LINE, **SAD, **PROSODY_TOO, cache_policy=CachePolicy.USE)
    made, kept = await header_of(fixture, line), await header_of(fixture, line)
    assert (made.cached, kept.cached) == (False, True)
    assert told(made) == told(kept) == (Expression.PROSODY, {"sad": 1.0})
    assert not (await header_of(fixture, LINE)).cached


async def test_of_a_traffic_split_each_version_speaks_as_it_can(fixture: SpeakerFixture) -> None:
    """Which one it is, the session says; what it does, its header."""
    versions: dict[str, Manifest] = {
        "old": dataclasses.replace(fixture.manifest, version=1),
        "new": dataclasses.replace(fixture.manifest, version=2, emotions=("sadness",)),
    }

    def resolve(voice: VoiceRef, *, session_id: str = "") -> Manifest:
        return versions[session_id]

    fixture.resolve = resolve  # type: ignore[method-assign]
    found = {}
    for session in versions:
        line = dataclasses.replace(OFF, **SAD, **PROSODY_TOO, session_id=session)
        header = await header_of(fixture, line)
        found[header.voice] = told(header)
    assert found == {
        "a@1": (Expression.PROSODY, {"sad": 1.0}),
        "a@2": (Expression.NATIVE, {"sadness": 1.0}),
    }
    with pytest.raises(InvalidInputError, match="none that a@1 has"):
        await header_of(fixture, dataclasses.replace(OFF, **SAD, session_id="old"))


async def test_sentence_by_sentence_it_is_read_off_the_text(fixture: SpeakerFixture) -> None:
    fixture.manifest = dataclasses.replace(fixture.manifest, emotions=("angry", "happy"))
    text = "How dare you! Sit down. I am so happy to see you."
    line = dataclasses.replace(OFF, text=text, from_text=True, intensity=0.5)
    for script in (None, conversation(text)):
        del fixture.voice.deliveries[:]
        request = line if script is None else dataclasses.replace(line, text="")
        header = await header_of(fixture, request, script=script)
        assert told(header) == (Expression.NATIVE, {"angry": 0.5})
        assert [dict(delivery.emotions) for delivery in fixture.voice.deliveries] == [
            *({"angry": 0.5}, {}, {"happy": 0.35}),
        ]
