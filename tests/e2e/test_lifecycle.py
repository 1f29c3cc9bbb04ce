"""Cancelling, deadlines, shutdown, health, reflection, metrics: what surrounds the speech."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from tests.e2e.servers import ServerThread, active_leases, health, scrape, serving, start
from tests.fakes.utterances import Decode, patch_decode
from tests.registry.drafts import root_of
from voxswap_client import (
    AsyncClient,
    CallCancelledError,
    Client,
    DeadlineExceededError,
    UnavailableError,
)
from voxswap_registry.store import Registry

LONG = "The road goes ever on and on, down from the door where it began. " * 60


class StepCounter:
    """Counts the engine's decoding steps from now on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps = 0

        def counted(original: Decode) -> Decode:
            def decode(utterance: Any, first: int, last: int) -> Any:
                self.steps += 1
                return original(utterance, first, last)

            return decode

        patch_decode(monkeypatch, counted)


def test_cancelling_stops_the_compute(
    server: ServerThread, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = StepCounter(monkeypatch)
    with client.synthesize("joe", LONG) as stream:
        next(iter(stream))
    server.wait_until(lambda: active_leases(server) == 0)
    stopped_at = counter.steps
    assert stopped_at < 60
    client.say("joe", "Hi.")  # what runs now runs after the cancelled stream's last step
    assert counter.steps <= stopped_at + 6
    server.on_loop(server.house.manager.check_integrity)


async def test_cancelling_the_callers_task_stops_the_compute(server: ServerThread) -> None:
    async with AsyncClient(server.server.address, timeout_s=60) as client:
        begun = asyncio.Event()

        async def listen() -> None:
            async with client.synthesize("joe", LONG) as stream:
                async for _ in stream:
                    begun.set()

        task = asyncio.ensure_future(listen())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await asyncio.to_thread(server.wait_until, lambda: active_leases(server) == 0)


def test_a_deadline_stops_the_compute(
    server: ServerThread, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = StepCounter(monkeypatch)
    with pytest.raises(DeadlineExceededError):
        client.say("joe", LONG, timeout_s=0.6)
    server.wait_until(lambda: active_leases(server) == 0)
    assert counter.steps < 300
    stopped_at = counter.steps
    client.say("joe", "Hi.")
    assert counter.steps <= stopped_at + 6


def test_a_client_that_stops_reading_stops_its_own_compute_and_no_others(
    server: ServerThread, client: Client
) -> None:
    with client.synthesize("joe", LONG * 2) as idle:
        next(iter(idle))
        assert client.say("joe", "Others go on.").trailer.total_samples
    server.wait_until(lambda: active_leases(server) == 0)


def test_shutdown_lets_streams_end_and_takes_no_new_ones(joe_registry: Registry) -> None:
    with serving(root_of(joe_registry), shutdown_grace_s=60) as thread:
        with Client(thread.server.address, timeout_s=60) as client:
            with client.synthesize("joe", "A first sentence. " * 12, pacing="none") as stream:
                chunks = iter(stream)
                next(chunks)
                thread.begin_stop()
                for _ in chunks:
                    pass
                assert stream.trailer.total_samples > 22050
            thread.join()
            with pytest.raises(UnavailableError):
                client.say("joe", "Too late.", timeout_s=1)
        assert not thread.house.manager.residents()


def test_shutdown_cancels_what_does_not_end_in_time(joe_registry: Registry) -> None:
    with serving(root_of(joe_registry), shutdown_grace_s=0) as thread:
        with Client(thread.server.address, timeout_s=60) as client:
            with client.synthesize("joe", LONG) as stream:
                chunks = iter(stream)
                next(chunks)
                thread.begin_stop()
                with pytest.raises((UnavailableError, CallCancelledError)):
                    for _ in chunks:
                        pass
                thread.join()
        books = thread.house.manager.statistics()
        assert books.charged_bytes == books.carved_bytes


@pytest.mark.parametrize("service", ["", "voxswap.v1.SpeechService", "voices/joe", "voices/joe@1"])
def test_health_is_serving(server: ServerThread, service: str) -> None:
    assert health(server, service) == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("service", ["nothing", "voices/nobody", "voices/joe@9", "voices/../x"])
def test_health_of_what_is_not_there_is_not_found(server: ServerThread, service: str) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        health(server, service)
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND


def test_health_can_be_watched(server: ServerThread) -> None:
    with grpc.insecure_channel(server.server.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for service, expected in (
            ("", health_pb2.HealthCheckResponse.SERVING),
            ("voices/joe", health_pb2.HealthCheckResponse.SERVING),
            ("voices/nobody", health_pb2.HealthCheckResponse.SERVICE_UNKNOWN),
        ):
            call = stub.Watch(health_pb2.HealthCheckRequest(service=service), timeout=10)
            assert next(call).status == expected
            call.cancel()


def test_reflection_lists_the_services(server: ServerThread) -> None:
    with grpc.insecure_channel(server.server.address) as channel:
        services = set(ProtoReflectionDescriptorDatabase(channel).get_services())
    assert services >= {
        "voxswap.v1.SpeechService",
        "voxswap.v1.VoiceService",
        "voxswap.v1.ResidencyService",
        "nvidia.riva.tts.RivaSpeechSynthesis",
        "grpc.health.v1.Health",
    }


def test_metrics_tell_of_loads_streams_and_bytes(joe_registry: Registry) -> None:
    with serving(root_of(joe_registry)) as thread:
        with Client(thread.server.address, timeout_s=60) as client:
            client.say("joe", "Hi.")
            client.say("joe", "Hi.")
            with pytest.raises(Exception, match="nobody"):
                client.say("nobody", "Hi.")
            with client.synthesize("joe", LONG) as stream:
                next(iter(stream))
            client.get_voice("joe")
            late = client.synthesize("joe", LONG, timeout_s=0.6)
            with pytest.raises(DeadlineExceededError):
                list(late)
        thread.wait_until(lambda: active_leases(thread) == 0)
        seen = scrape(thread)
    assert seen['voxswap_streams_total{end="expired"}'] == 1
    assert seen["voxswap_loads_total"] == 1
    assert seen['voxswap_cache_requests_total{outcome="miss"}'] == 1
    assert seen['voxswap_cache_requests_total{outcome="hit"}'] == 3
    assert seen['voxswap_streams_total{end="finished"}'] == 2
    assert seen['voxswap_streams_total{end="failed"}'] == 1
    assert seen['voxswap_streams_total{end="cancelled"}'] == 1
    assert seen['voxswap_ttfa_seconds_count{swap="cold"}'] == 1
    # The one that ran out of time had its first chunk, unless the machine was too busy for that.
    assert seen['voxswap_ttfa_seconds_count{swap="warm"}'] in (2, 3)
    assert seen["voxswap_audio_seconds_total"] > 0.5
    assert seen["voxswap_active_streams"] == 0
    for what in ("catalog", "messages", "plans"):
        assert 1_000 < seen[f'voxswap_beside_bytes{{what="{what}"}}'] < 1_000_000
    accounts = {
        account: seen[f'voxswap_memory_bytes{{account="{account}",device="cpu",tier="device"}}']
        for account in ("budget", "free", "carved", "reserved", "resident", "evicting")
    }
    assert accounts["resident"] > 30e6
    assert accounts["budget"] == sum(v for k, v in accounts.items() if k != "budget")


def test_catalog_and_residents_are_shown(client: Client) -> None:
    client.say("joe", "Hi.")
    (voice,) = client.list_voices(prefix="j", language="en", engine="vits")
    assert voice == client.get_voice("joe@1") == client.list_versions("joe")[0]
    assert voice.licence
    assert not list(client.list_voices(prefix="x"))
    assert not list(client.list_voices(language="de"))
    assert not list(client.list_voices(engine="kokoro"))
    found = client.residents()
    (ledger,) = found.ledgers
    assert found.residents[0].voices == ("joe@1",)
    assert found.residents[0].size_bytes == ledger.resident_bytes
    assert sum(part.size_bytes for part in found.components) == ledger.resident_bytes
    assert (
        ledger.free_bytes + ledger.reserved_bytes + ledger.resident_bytes + ledger.evicting_bytes
        == ledger.budget_bytes
    )


def test_the_command_serves_greets_and_stops_on_sigterm(joe_registry: Registry) -> None:
    flags = ("--listen", "127.0.0.1:0", "--metrics-listen", "off", "--http-listen", "off")
    with start(root_of(joe_registry), *flags) as process:
        assert process.stdout is not None
        greeting = [process.stdout.readline() for _ in range(6)]
        address = re.search(r"serving on (\S+)", greeting[0])
        assert address, greeting
        assert "voices    1: joe" in "".join(greeting)
        assert re.match(r'try: \S*voxswap say joe "Halt! .* --address 127', greeting[-1])
        with Client(address.group(1), timeout_s=60) as client:
            assert client.say("joe", "Hi.").trailer.total_samples
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors + output


def test_two_servers_do_not_share_a_port(server: ServerThread, joe_registry: Registry) -> None:
    flags = ("--listen", server.server.address, "--metrics-listen", "off", "--http-listen", "off")
    with start(root_of(joe_registry), *flags) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert f"error: listen: {server.server.address} cannot be had" in errors
    assert "Traceback" not in errors


def test_json_of_the_client_types_is_plain(client: Client) -> None:
    """What a script reads must survive json without help."""
    import dataclasses

    header = client.say("joe", "Hi.").header
    assert json.loads(json.dumps(dataclasses.asdict(header)))["voice"] == "joe@1"
