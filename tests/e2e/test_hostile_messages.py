"""Whatever bytes a stranger sends to whichever method are the stranger's fault, and no harm."""

from __future__ import annotations

import asyncio
import itertools
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_reflection.v1alpha import reflection_pb2

from bench.hostile import headers, messages
from tests.e2e.servers import ServerThread, serving
from tests.registry.drafts import root_of
from voxswap.v1 import residency_pb2, residency_pb2_grpc
from voxswap_client import Client
from voxswap_registry.store import Registry

N = 800
LINE = "Nobody is to change what I say."


@pytest.fixture
def attacked(joe_registry: Registry, tmp_path: Path) -> Iterator[ServerThread]:
    """A server of its own: some of what is sent steers memory."""
    root = tmp_path / "registry"
    shutil.copytree(root_of(joe_registry), root)
    with serving(root) as thread:
        yield thread


def test_mutated_messages_over_all_methods_are_their_senders_fault(
    attacked: ServerThread, caplog: pytest.LogCaptureFixture
) -> None:
    address = attacked.server.address
    with Client(address, timeout_s=60) as client:
        before = client.say("joe", LINE, seed=7)
        attacks = itertools.islice(messages.calls(seed=20_261_129), N)
        # On the server's loop: grpc's client leaves calls behind to a loop that it is closed under.
        sending = messages.send(address, attacks)
        tally = asyncio.run_coroutine_threadsafe(sending, attacked.loop).result(150)
        assert tally.faults == []
        assert tally.codes.total() == N
        tried = {method for method, _ in tally.codes}
        assert tried >= {path for path, _ in messages.methods()}
        # The messages are of every kind: some are sound, most are not.
        assert tally.of("OK") > N / 20
        assert tally.of("INVALID_ARGUMENT") > N / 3
        manager = attacked.house.manager
        attacked.wait_until(lambda: manager.held_leases() == 0)
        # The very same but for rounding: how a line is cut into steps is learnt as it is used.
        after = np.frombuffer(client.say("joe", LINE, seed=7).audio, np.int16).astype(int)
        assert np.abs(after - np.frombuffer(before.audio, np.int16)).max() < 33
    assert [r for r in caplog.records if r.exc_info or r.levelno >= logging.ERROR] == []


def test_headers_and_frames_of_any_bytes_do_no_harm_and_leave_no_traceback(
    attacked: ServerThread, caplog: pytest.LogCaptureFixture
) -> None:
    address = attacked.server.address
    with Client(address, timeout_s=60) as client:
        attacks = itertools.islice(headers.connections(seed=5), N // 3)
        sending = headers.send(address, attacks)
        assert asyncio.run_coroutine_threadsafe(sending, attacked.loop).result(150) == N // 3
        assert client.say("joe", LINE).trailer.total_samples
    assert [r for r in caplog.records if r.exc_info or r.levelno >= logging.ERROR] == []
    manager = attacked.house.manager
    attacked.wait_until(lambda: manager.held_leases() == 0)


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_tells_of_everything_under_both_of_its_names(
    server: ServerThread, version: str
) -> None:
    """Raw: grpcio-reflection has the messages of v1alpha, and v1's are the same on the wire."""
    name = f"grpc.reflection.{version}.ServerReflection"
    request, response = (
        reflection_pb2.ServerReflectionRequest,
        reflection_pb2.ServerReflectionResponse,
    )
    asked = [
        request(list_services=""),
        request(file_containing_symbol="voxswap.v1.VoiceService"),
        request(file_containing_symbol=name),
        request(file_containing_symbol="google.rpc.ErrorInfo"),
        request(file_by_filename="no/such.proto"),
        request(),
    ]
    with grpc.insecure_channel(server.server.address) as channel:
        ask = channel.stream_stream(
            f"/{name}/ServerReflectionInfo", request.SerializeToString, response.FromString
        )
        services, voices, itself, details, no_file, nothing = ask(iter(asked), timeout=30)
    assert {s.name for s in services.list_services_response.service} == {
        "voxswap.v1.SpeechService",
        "voxswap.v1.VoiceService",
        "voxswap.v1.ResidencyService",
        "voxswap.v1.RecordingService",
        "nvidia.riva.tts.RivaSpeechSynthesis",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    for found in (voices, itself, details):
        assert found.file_descriptor_response.file_descriptor_proto
    assert no_file.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
    assert nothing.error_response.error_code == grpc.StatusCode.INVALID_ARGUMENT.value[0]


def test_a_path_that_is_no_text_does_not_end_the_server(
    server: ServerThread, client: Client
) -> None:
    with grpc.insecure_channel(server.server.address) as channel:
        for path in (b"/\xff\xfe", b"/voxswap.v1.SpeechService/Synthesize\xc3"):
            with pytest.raises(grpc.RpcError, match="no such method"):
                channel.unary_unary(path)(b"", timeout=30)  # type: ignore[arg-type]
        stub = residency_pb2_grpc.ResidencyServiceStub(channel)
        assert stub.ListResidents(residency_pb2.ListResidentsRequest(), timeout=30).ledgers
    assert client.say("joe", "Still here.").trailer.total_samples
