"""Whatever a stranger sends: a clear error that names the field, and a server that goes on."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.e2e.servers import ServerThread, serving
from tests.registry.drafts import root_of
from tests.registry.faults import alter
from voxswap.v1 import (
    speech_pb2,
    speech_pb2_grpc,
    voices_pb2,
    voices_pb2_grpc,
)
from voxswap_client import (
    Client,
    DataLossError,
    InvalidRequestError,
    ResourceExhaustedError,
    VoiceNotFoundError,
    VoxswapClientError,
)
from voxswap_client.rpc_status import from_rpc_error
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry

Request = speech_pb2.SynthesizeRequest
Controls = speech_pb2.Controls
Format = speech_pb2.AudioFormat


def fault(server: ServerThread, request: Request) -> VoxswapClientError:
    with grpc.insecure_channel(server.server.address) as channel:
        stub = speech_pb2_grpc.SpeechServiceStub(channel)
        with pytest.raises(grpc.RpcError) as raised:
            list(stub.Synthesize(request, timeout=30))
    return from_rpc_error(raised.value)


INVALID = [
    ("text", Request(voice="joe")),
    ("text", Request(voice="joe", text="  \n\t ")),
    ("text", Request(voice="joe", text="a" * 10_001)),
    ("text", Request(voice="joe", text="Hello\x00world")),
    ("text", Request(voice="joe", text="ring the bell \x07")),
    ("text", Request(voice="joe", text="?!… — ;")),
    ("text", Request(voice="joe", text="\N{GRINNING FACE}\N{PARTY POPPER}")),
    ("text", Request(voice="joe", text="\N{ZERO WIDTH SPACE}\N{ZERO WIDTH JOINER}")),
    ("text", Request(voice="joe", text="\ue000\ue001")),
    ("voice", Request(text="Hi.")),
    ("voice", Request(voice="Joe", text="Hi.")),
    ("voice", Request(voice="../joe", text="Hi.")),
    ("voice", Request(voice="npc/../../etc/passwd", text="Hi.")),
    ("voice", Request(voice="/joe", text="Hi.")),
    ("voice", Request(voice="joe//x", text="Hi.")),
    ("voice", Request(voice="joe\n", text="Hi.")),
    ("voice", Request(voice="j" * 129, text="Hi.")),
    ("voice", Request(voice="joe@0", text="Hi.")),
    ("voice", Request(voice="joe@Newest", text="Hi.")),
    ("voice", Request(voice="joe@-1", text="Hi.")),
    ("speaker", Request(voice="joe", text="Hi.", speaker="anna")),
    ("speaker", Request(voice="joe", text="Hi.", speaker="x" * 1000)),
    ("controls.rate", Request(voice="joe", text="Hi.", controls=Controls(rate=0.2))),
    ("controls.rate", Request(voice="joe", text="Hi.", controls=Controls(rate=4.1))),
    ("controls.rate", Request(voice="joe", text="Hi.", controls=Controls(rate=math.nan))),
    ("controls.rate", Request(voice="joe", text="Hi.", controls=Controls(rate=math.inf))),
    ("controls.rate", Request(voice="joe", text="Hi.", controls=Controls(rate=0.0))),
    ("controls.noise_scale", Request(voice="joe", text="Hi.", controls=Controls(noise_scale=-1))),
    (
        "controls.noise_scale",
        Request(voice="joe", text="Hi.", controls=Controls(noise_scale=math.nan)),
    ),
    (
        "controls.duration_noise_scale",
        Request(voice="joe", text="Hi.", controls=Controls(duration_noise_scale=2.5)),
    ),
    (
        "controls.pitch_semitones",
        Request(voice="joe", text="Hi.", controls=Controls(pitch_semitones=math.nan)),
    ),
    (
        "audio.sample_rate_hertz",
        Request(voice="joe", text="Hi.", audio=Format(sample_rate_hertz=7999)),
    ),
    (
        "audio.sample_rate_hertz",
        Request(voice="joe", text="Hi.", audio=Format(sample_rate_hertz=48001)),
    ),
    (
        "audio.sample_rate_hertz",
        Request(voice="joe", text="Hi.", audio=Format(sample_rate_hertz=-1)),
    ),
    ("audio.encoding", Request(voice="joe", text="Hi.", audio=Format(encoding=99))),  # type: ignore[arg-type]
    ("cache_policy", Request(voice="joe", text="Hi.", cache_policy=3)),  # type: ignore[arg-type]
    ("marks", Request(voice="joe", text="Hi.", marks=[0])),  # type: ignore[list-item]
    ("marks", Request(voice="joe", text="Hi.", marks=[77])),  # type: ignore[list-item]
    ("marks", Request(voice="joe", text="Hi.", marks=[speech_pb2.MARK_KIND_WORD] * 33)),
]


RATES = [
    ("OPUS_PACKETS", 22050, "8000, 12000, 16000, 24000 or 48000"),
    ("OGG_OPUS", 44100, "8000, 12000, 16000, 24000 or 48000"),
    ("OGG_OPUS", 7999, "8000, 12000, 16000, 24000 or 48000"),
    ("MP3", 22051, "8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100 or 48000"),
    ("FLAC", 48001, "8000 to 48000"),
    ("MULAW", 7999, "8000 to 48000"),
    ("ALAW", -1, "8000 to 48000"),
]


@pytest.mark.parametrize(("encoding", "rate", "allowed"), RATES)
def test_a_rate_that_an_encoding_has_not_is_refused_with_those_that_it_has(
    server: ServerThread, encoding: str, rate: int, allowed: str
) -> None:
    number = speech_pb2.AudioEncoding.Value(f"AUDIO_ENCODING_{encoding}")
    wanted = Format(encoding=number, sample_rate_hertz=rate)
    error = fault(server, Request(voice="joe", text="Hi.", audio=wanted))
    assert isinstance(error, InvalidRequestError)
    (violation,) = error.violations
    assert violation.field == "audio.sample_rate_hertz"
    assert f"is {rate}; use {allowed}" in violation.description
    assert "leave it unset" in violation.description


@pytest.mark.parametrize(("field", "request_"), INVALID)
def test_invalid_fields_are_named_with_a_remedy(
    server: ServerThread, client: Client, field: str, request_: Request
) -> None:
    error = fault(server, request_)
    assert isinstance(error, InvalidRequestError)
    assert error.reason == "INVALID_INPUT"
    assert [v.field for v in error.violations] == [field]
    assert len(error.violations[0].description) > 20
    assert client.say("joe", "Still here.").trailer.total_samples


def test_all_faults_are_told_at_once(server: ServerThread) -> None:
    error = fault(server, Request(controls=Controls(rate=9), audio=Format(sample_rate_hertz=1)))
    assert {v.field for v in error.violations} == {
        "voice",
        "text",
        "controls.rate",
        "audio.sample_rate_hertz",
    }


def test_a_control_that_is_neutral_asks_for_nothing(server: ServerThread) -> None:
    neutral = Controls(rate=1, pitch_semitones=0, volume_db=0)
    with grpc.insecure_channel(server.server.address) as channel:
        stub = speech_pb2_grpc.SpeechServiceStub(channel)
        answers = list(stub.Synthesize(Request(voice="joe", text="Hi.", controls=neutral)))
    assert answers[-1].trailer.total_samples


def test_an_unknown_voice_is_not_found_and_never_another(client: Client) -> None:
    with pytest.raises(VoiceNotFoundError, match="did you mean joe") as raised:
        client.say("jo", "Hi.")
    assert raised.value.reason == "VOICE_NOT_FOUND"
    with pytest.raises(VoiceNotFoundError, match="no version 7"):
        client.say("joe@7", "Hi.")
    with pytest.raises(VoiceNotFoundError):
        client.get_voice("nobody")
    with pytest.raises(VoiceNotFoundError):
        client.list_versions("nobody")


def test_voice_service_checks_its_input(server: ServerThread, client: Client) -> None:
    with pytest.raises(InvalidRequestError, match="page_size"):
        list(client.list_voices(page_size=1001))
    with grpc.insecure_channel(server.server.address) as channel:
        stub = voices_pb2_grpc.VoiceServiceStub(channel)
        for token in ("%%%", "Li4vLi4=", "/w==", "é", "声" * 1000):
            with pytest.raises(grpc.RpcError, match="page_token"):
                stub.ListVoices(voices_pb2.ListVoicesRequest(page_token=token), timeout=30)


@pytest.mark.parametrize("n", [100, 1_000_000])
def test_very_many_bad_marks_are_refused_with_few_words(server: ServerThread, n: int) -> None:
    error = fault(server, Request(voice="joe", text="Hi.", marks=[9] * n))  # type: ignore[list-item]
    assert (error.code, error.reason) == ("INVALID_ARGUMENT", "INVALID_INPUT")
    assert {v.field for v in error.violations} == {"marks"}
    assert len(error.violations) <= 16


Voice = voices_pb2.Voice
Share = voices_pb2.TrafficShare
MANY = 50_000


@pytest.mark.parametrize(
    ("named", "paths", "voice"),
    [
        ("update_mask", [f"p{n}" for n in range(MANY)], Voice(id="joe")),
        ("update_mask", ["声" * 64] * 32, Voice(id="joe")),
        (
            "labels",
            ["labels"],
            Voice(id="joe", version=1, labels=[f"Bad {n}" for n in range(MANY)]),
        ),
        (
            "labels",
            ["labels"],
            Voice(id="joe", version=1, labels=[f"{n}" * 500 for n in range(32)]),
        ),
        ("tags", ["tags"], Voice(id="joe", tags=[f"Bad {n}" for n in range(MANY)])),
        ("traffic", ["traffic"], Voice(id="joe", traffic=[Share(version=1)] * MANY)),
    ],
)
def test_very_many_bad_entries_are_refused_with_few_words(
    server: ServerThread, named: str, paths: list[str], voice: voices_pb2.Voice
) -> None:
    request = voices_pb2.UpdateVoiceRequest(voice=voice)
    request.update_mask.paths.extend(paths)
    with grpc.insecure_channel(server.server.address) as channel:
        stub = voices_pb2_grpc.VoiceServiceStub(channel)
        with pytest.raises(grpc.RpcError) as raised:
            stub.UpdateVoice(request, timeout=30)
    error = from_rpc_error(raised.value)
    assert (error.code, error.reason) == ("INVALID_ARGUMENT", "INVALID_INPUT")
    assert {v.field for v in error.violations} == {named}
    assert len(error.violations) <= 16


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    "change",
    [
        {"defaults": {"k" * 20_000: "x"}},
        {"defaults": {"声" * 7_000: "x"}},
        {"defaults": {"k": "v" * 20_000}},
        {"front_end": {"kind": "characters", "options": nested(600)}},
        {"engine_config": nested(900)},
    ],
    ids=["long key", "wide key", "long value", "deep options", "deep config"],
)
def test_a_monstrous_manifest_is_an_invalid_argument(
    server: ServerThread, joe_registry: Registry, change: dict[str, object]
) -> None:
    raw = json.loads(joe_registry.resolve(VoiceRef("joe")).to_json()) | change
    message = voices_pb2.RegisterVoiceRequest(manifest_json=json.dumps(raw).encode())
    with grpc.insecure_channel(server.server.address) as channel:
        stub = voices_pb2_grpc.VoiceServiceStub(channel)
        with pytest.raises(grpc.RpcError) as raised:
            stub.RegisterVoice(iter([message]), timeout=30)
    error = from_rpc_error(raised.value)
    assert (error.code, error.reason) == ("INVALID_ARGUMENT", "INVALID_INPUT")
    (violation,) = error.violations
    assert violation.field.partition(".")[0] == "manifest_json"


def test_a_message_over_the_limit_is_refused(client: Client) -> None:
    with pytest.raises(ResourceExhaustedError):
        client.say("joe", "a" * (3 << 20))
    assert client.say("joe", "Still here.").trailer.total_samples


@pytest.fixture
def damaged(joe_registry: Registry, tmp_path: Path) -> Iterator[tuple[ServerThread, Path]]:
    """A server over a copy of the registry, and the path of joe's largest component."""
    root = tmp_path / "registry"
    shutil.copytree(root_of(joe_registry), root)
    largest = max((root / "blobs").rglob("*"), key=lambda p: p.stat().st_size * p.is_file())
    largest.chmod(0o644)
    with serving(root) as thread:
        yield thread, largest


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (alter, "DIGEST_MISMATCH"),
        (lambda path: os.truncate(path, 1000), "DIGEST_MISMATCH"),
        (Path.unlink, "COMPONENT_MISSING"),
    ],
    ids=["altered", "truncated", "missing"],
)
def test_a_damaged_component_is_data_loss_and_never_audio(
    damaged: tuple[ServerThread, Path], spoil: object, reason: str
) -> None:
    thread, path = damaged
    whole = path.read_bytes()
    spoil(path)  # type: ignore[operator]
    with Client(thread.server.address, timeout_s=30) as client:
        for _ in range(2):
            with pytest.raises(DataLossError) as raised:
                client.say("joe", "Hi.")
            assert raised.value.reason == reason
            assert "import the voice again" in str(raised.value).lower()
        # A load of the symbols that nobody waits for any more may still come to its end.
        manager = thread.house.manager
        thread.wait_until(lambda: not manager.statistics().reserved_bytes)
        books = thread.on_loop(manager.statistics)
        assert books.resident_bytes < 1 << 16, "more than a symbol table"
        # Mended: nothing of the failure lingers.
        path.write_bytes(whole)
        assert client.say("joe", "Hi.").header.cold


def test_a_torn_manifest_is_data_loss_and_listed_with_its_problem(
    joe_registry: Registry, tmp_path: Path
) -> None:
    root = tmp_path / "registry"
    shutil.copytree(root_of(joe_registry), root)
    manifest = next((root / "voices").rglob("*.json"))
    manifest.chmod(0o644)
    manifest.write_bytes(manifest.read_bytes()[:100])
    with serving(root) as thread, Client(thread.server.address, timeout_s=30) as client:
        with pytest.raises(DataLossError) as raised:
            client.say("joe", "Hi.")
        assert raised.value.reason == "MANIFEST_INVALID"
        (listed,) = client.list_voices()
        assert listed.id == "joe"
        assert "not JSON" in listed.problem


def test_a_voice_that_does_not_fit_is_refused_with_figures(joe_registry: Registry) -> None:
    with serving(root_of(joe_registry), memory_budget="32MiB") as thread:
        with Client(thread.server.address) as client:
            with pytest.raises(ResourceExhaustedError, match="memory_budget") as raised:
                client.say("joe", "Hi.")
    assert raised.value.reason == "VOICE_TOO_LARGE"
