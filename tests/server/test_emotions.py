"""Emotions, from what a client says of them to what a voice is given."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest

from tests.fakes.family import FakeFrontEnd, FakeVoice
from tests.fakes.manifests import make_manifest
from voxswap.v1 import speech_pb2
from voxswap_families.contract import LoadedVoice
from voxswap_registry.errors import InvalidInputError
from voxswap_registry.names import VoiceRef
from voxswap_server.audio.encoding import AudioEncoding
from voxswap_server.doors.grpc.translate.speech import speech_request
from voxswap_server.doors.http.native.asked import Speech
from voxswap_server.speech import asking
from voxswap_server.speech.asking import Asked, AskedEmotion
from voxswap_server.speech.offers import check_offered
from voxswap_server.speech.reader import Reader
from voxswap_server.speech.request import SpeechRequest
from voxswap_server.text.types import Segment

FEELS = dataclasses.replace(make_manifest("a"), emotions=("angry", "sad"))


def request(mixture: Sequence[tuple[str, float]], intensity: float | None = None) -> SpeechRequest:
    asked = Asked(voice="a", text="Halt!", emotion=AskedEmotion(mixture, intensity))
    return asking.speech_request(asked, max_characters=100)


def test_there_is_of_each_its_share_times_the_intensity() -> None:
    assert request([]).emotions == request([("sad", 1.0)], 0.0).emotions == {}
    assert request([("sad", 1.0)]).emotions == {"sad": 1.0}
    assert request([("sad", 0.25), ("angry", 0.75)], 2.0).emotions == {"sad": 0.5, "angry": 1.5}
    assert request([("sad", 0.0), ("angry", 0.5)]).emotions == {"angry": 0.5}
    # As floats of 32 bits, which a message has, they sum to more than 1.
    assert len(request([("a", 0.10000000149), ("b", 0.89999997615), ("c", 1e-8)]).emotions) == 3


@pytest.mark.parametrize(
    ("mixture", "intensity", "fields"),
    [
        ([("sad", 1.5)], None, {"emotion.mixture[0].weight", "emotion.mixture"}),
        ([("sad", -0.1)], None, {"emotion.mixture[0].weight"}),
        ([("sad", float("nan"))], None, {"emotion.mixture[0].weight"}),
        (
            [("sad", float("inf")), ("angry", float("-inf"))],
            None,
            {"emotion.mixture[0].weight", "emotion.mixture[1].weight"},
        ),
        ([("sad", 0.6), ("angry", 0.6)], None, {"emotion.mixture"}),
        ([("sad", 0.1), ("sad", 0.1)], None, {"emotion.mixture[1].emotion"}),
        ([("", 0.1)], None, {"emotion.mixture[0].emotion"}),
        ([("x" * 65, 0.1)], None, {"emotion.mixture[0].emotion"}),
        ([(str(n), 0.01) for n in range(17)], None, {"emotion.mixture"}),
        ([("sad", 1.0)], 2.1, {"emotion.intensity"}),
        ([("sad", 1.0)], -1.0, {"emotion.intensity"}),
        ([("sad", 1.0)], float("inf"), {"emotion.intensity"}),
    ],
)
def test_what_is_no_mixture_is_named(
    mixture: Sequence[tuple[str, float]], intensity: float | None, fields: set[str]
) -> None:
    with pytest.raises(InvalidInputError) as raised:
        request(mixture, intensity)
    assert {fault.field for fault in raised.value.violations} == fields


def test_a_voice_is_asked_for_what_it_can_feel() -> None:
    check_offered(request([("sad", 1.0)]), FEELS)
    for manifest, had in ((FEELS, "angry, sad"), (make_manifest("a"), "none")):
        with pytest.raises(InvalidInputError) as raised:
            check_offered(request([("bored", 1.0)]), manifest)
        (fault,) = raised.value.violations
        assert fault.field == "emotion.mixture"
        assert fault.description == f"has 'bored', which is none that a@1 has; it has {had}"


def test_every_door_says_the_same() -> None:
    message = speech_pb2.SynthesizeRequest(voice="a", text="Halt!")
    message.emotion.mixture.add(emotion="sad", weight=0.5)
    message.emotion.intensity = 1.5
    body = Speech.model_validate_json(
        '{"voice": "a", "text": "Halt!", "emotion":'
        ' {"mixture": [{"emotion": "sad", "weight": 0.5}], "intensity": 1.5}}'
    )
    asked = body.asked(tenant="", encoding=AudioEncoding.PCM_S16LE)
    by_http = asking.speech_request(asked, max_characters=100)
    by_grpc = speech_request(message, max_characters=100)
    assert by_http.emotions == by_grpc.emotions == {"sad": 0.75}


def test_a_voice_is_given_them() -> None:
    voice = FakeVoice()
    loaded = LoadedVoice("a@1", voice, FakeFrontEnd())
    felt, still = request([("sad", 0.5)]), SpeechRequest(VoiceRef("a"), "Halt!")
    for each in (felt, still):
        Reader(each, FEELS).read(Segment("Halt!", 0, 0), loaded)
    assert [dict(delivery.emotions) for delivery in voice.deliveries] == [{"sad": 0.5}, {}]
