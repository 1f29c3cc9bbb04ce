"""A made-up Sambert voice over real gRPC: Mandarin goes in, marks and emotions are carried out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import grpc
import numpy as np
import pytest

from tests.e2e.servers import ServerThread, serving
from voxswap.v1 import speech_pb2, speech_pb2_grpc
from voxswap_client import Client, Expression
from voxswap_families.importing.detect import import_voice
from voxswap_families.sambert.family import FAMILY
from voxswap_registry.delivery import PresetDelivery
from voxswap_registry.store import Registry

TEXT = "今天天气很好，我们去公园玩吧。"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerThread]:
    folder = tmp_path_factory.mktemp("sambert")
    source = folder / "model"
    source.mkdir()
    FAMILY.fabricators["sambert-speakers"].write(source, 0, "tiny")
    registry = Registry(folder / "registry")
    draft = import_voice(source, "zh/made", workdir=folder / "work")
    registry.publish(draft)
    glad = PresetDelivery(emotions={"happy": 1.0})
    registry.publish(dataclasses.replace(draft, voice_id="zh/glad", delivery=glad))
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


def test_six_hundred_characters_without_a_mark_are_spoken_to_their_end(
    server: ServerThread,
) -> None:
    text = "我们在一个没有标点的世界里走路" * 40
    with Client(server.server.address, timeout_s=60) as client:
        said = client.say("zh/made", text, seed=1, rate=4.0, marks=["word"])
    words = "".join(mark.text for mark in said.marks)
    assert words == text
    assert not said.trailer.unknown_symbols


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


def test_what_its_model_speaks_is_told_by_its_own_names(server: ServerThread) -> None:
    with Client(server.server.address, timeout_s=60) as client:
        felt = client.say("zh/made", TEXT, seed=1, emotion={"fearful": 0.5}, fallback="prosody")
        assert felt.header.expression is Expression.NATIVE
        assert felt.header.emotions == {"fear": 0.5}
        assert felt.audio == client.say("zh/made", TEXT, seed=1, emotion={"fear": 0.5}).audio
        read = client.say("zh/made", "真恶心。", seed=1, emotion="auto")
        assert read.header.emotions == pytest.approx({"disgust": 0.7})
        assert read.audio != client.say("zh/made", "真恶心。", seed=1).audio
        voice = client.get_voice("zh/made")
    assert voice.expression is Expression.NATIVE
    assert {"fear", "happy"} <= set(voice.emotions)
    assert len(voice.speakers) > 1


def test_a_preset_speaks_as_it_says_and_shares_every_part(server: ServerThread) -> None:
    """Prepare and Explain know it: what is in memory for its base is there for it."""
    with Client(server.server.address, timeout_s=60) as client:
        glad = client.say("zh/glad", TEXT, seed=1)
        assert (glad.header.expression, glad.header.emotions) == (Expression.NATIVE, {"happy": 1.0})
        assert glad.audio == client.say("zh/made", TEXT, seed=1, emotion="happy").audio
        calm = client.say("zh/glad", TEXT, seed=1, intensity=0.0)
        assert calm.audio == client.say("zh/made", TEXT, seed=1).audio
        told = client.explain("zh/glad")
        assert (told.resident, told.need_bytes) == (True, 0)
        assert {part.role for part in told.components} == {"acoustic", "vocoder", "symbols"}
        scene = client.prepare(["zh/glad", "zh/made"], dry_run=True)
        assert [outlook.estimated_ms for outlook in scene.cast] == [0.0, 0.0]
        parts = client.residents().components
    shared = {part.role: part.voices for part in parts}
    assert set(shared["acoustic"]) == set(shared["vocoder"]) == {"zh/made@1", "zh/glad@1"}
