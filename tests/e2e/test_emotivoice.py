"""Made-up EmotiVoice voices over real gRPC: emotions, styles in words, what two speakers share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import grpc
import numpy as np
import pytest

from tests.e2e.servers import ServerThread, serving
from voxswap.v1 import speech_pb2, speech_pb2_grpc
from voxswap_families.emotivoice.family import FAMILY
from voxswap_families.importing.detect import import_voices
from voxswap_registry.store import Registry

TEXT = "今天天气很好。"
VOICES: Mapping[str | None, str] = {"8051": "emo/first", "8053": "emo/second"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerThread]:
    folder = tmp_path_factory.mktemp("emotivoice")
    source = folder / "release"
    source.mkdir()
    FAMILY.fabricators["emotivoice"].write(source, 0, "tiny")
    registry = Registry(folder / "registry")
    for draft in import_voices(source, VOICES, workdir=folder / "work"):
        registry.publish(draft)
    with serving(folder / "registry", allow_fabricated=True) as thread:
        yield thread


def spoken(server: ServerThread, voice: str = "emo/first", **asked: object) -> bytes:
    request = speech_pb2.SynthesizeRequest(voice=voice, text=TEXT)
    for name, value in asked.items():
        if name == "emotion":
            share = speech_pb2.EmotionWeight(emotion=str(value), weight=1.0)
            request.emotion.CopyFrom(speech_pb2.Emotion(mixture=[share], intensity=1.0))
        else:
            setattr(request, name, value)
    with grpc.insecure_channel(server.server.address) as channel:
        answers = list(speech_pb2_grpc.SpeechServiceStub(channel).Synthesize(request))
    return b"".join(a.chunk.audio for a in answers if a.HasField("chunk"))


def prompts(server: ServerThread, outcome: str) -> float:
    registry = server.house.metrics.registry
    labels = {"engine": "emotivoice", "outcome": outcome}
    return registry.get_sample_value("voxswap_prompts_total", labels) or 0.0


def test_emotions_and_styles_are_heard(server: ServerThread) -> None:
    plain = spoken(server)
    samples = np.frombuffer(plain, np.int16)
    assert len(samples) > 8_000
    assert np.abs(samples).max() > 300
    for asked in ({"emotion": "happy"}, {"emotion": "fearful"}, {"style_prompt": "开心"}):
        assert spoken(server, **asked) != plain, asked
    # Neutral's prompt, the sentence, two emotions'; the style in words is one of those.
    assert prompts(server, "made") == 4
    assert prompts(server, "found") > 0


def test_a_style_that_nobody_can_read_is_the_callers_fault(server: ServerThread) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        spoken(server, style_prompt="Привет, мир")
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "style_prompt" in str(raised.value.details())


def test_a_further_speaker_brings_a_vector(server: ServerThread) -> None:
    """Two kilobytes of it at the most: the rest is the first one's."""
    first = spoken(server)

    def resident_bytes() -> int:
        found: int = server.on_loop(
            lambda: server.house.residents.manager.statistics().resident_bytes
        )
        return found

    before = resident_bytes()
    assert spoken(server, "emo/second") != first
    assert 0 < resident_bytes() - before <= 4_096
