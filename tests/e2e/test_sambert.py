"""A made-up Sambert voice over real gRPC: Mandarin goes in, marks and emotions are carried out."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import numpy as np
import pytest

from tests.e2e.servers import ServerThread, serving
from voxswap.v1 import speech_pb2, speech_pb2_grpc
from voxswap_families.importing.detect import import_voice
from voxswap_families.sambert.family import FAMILY
from voxswap_registry.store import Registry

TEXT = "今天天气很好，我们去公园玩吧。"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerThread]:
    folder = tmp_path_factory.mktemp("sambert")
    source = folder / "model"
    source.mkdir()
    FAMILY.fabricators["sambert-speakers"].write(source, 0, "tiny")
    registry = Registry(folder / "registry")
    registry.publish(import_voice(source, "zh/made", workdir=folder / "work"))
    with serving(folder / "registry", allow_fabricated=True) as thread:
        yield thread


def spoken(server: ServerThread, **asked: object) -> tuple[bytes, list[str], int]:
    """Audio, marks of phonemes, and how many chunks there were."""
    request = speech_pb2.SynthesizeRequest(
        voice="zh/made", text=TEXT, seed=1, marks=[speech_pb2.MARK_KIND_PHONEME]
    )
    for name, value in asked.items():
        if name == "emotion":
            request.emotion.CopyFrom(value)  # type: ignore[arg-type]
        else:
            setattr(request, name, value)
    with grpc.insecure_channel(server.server.address) as channel:
        answers = list(speech_pb2_grpc.SpeechServiceStub(channel).Synthesize(request))
    chunks = [answer.chunk for answer in answers if answer.HasField("chunk")]
    marks = [mark.text for chunk in chunks for mark in chunk.marks]
    return b"".join(chunk.audio for chunk in chunks), marks, len(chunks)


def emotion(name: str, intensity: float = 1.0) -> speech_pb2.Emotion:
    share = speech_pb2.EmotionWeight(emotion=name, weight=1.0)
    return speech_pb2.Emotion(mixture=[share], intensity=intensity)


def test_a_line_comes_in_pieces_with_its_phonemes(server: ServerThread) -> None:
    audio, marks, chunks = spoken(server)
    samples = np.frombuffer(audio, np.int16)
    assert chunks > 2
    assert len(samples) > 16_000
    assert np.abs(samples).max() > 300
    assert len(marks) > 20
    assert spoken(server)[0] == audio


def test_speakers_and_emotions_are_heard(server: ServerThread) -> None:
    plain = spoken(server)[0]
    for asked in (
        {"speaker": "M7"},
        {"emotion": emotion("happy")},
        {"emotion": emotion("happy", 0.5)},
        {"emotion": emotion("sad")},
    ):
        assert spoken(server, **asked)[0] != plain, asked
    assert spoken(server, emotion=emotion("happy", 0.0))[0] == plain


def test_an_emotion_that_it_has_not_is_refused_with_those_that_it_has(server: ServerThread) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        spoken(server, emotion=emotion("bored"))
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "angry, anxiety" in str(raised.value.details())
