"""A server that is full, or held by clients that do nothing: the right ones get in."""

from __future__ import annotations

import contextlib
import resource
import signal
import socket
import time
import urllib.request
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.e2e.servers import ServerThread, serving, start
from tests.raw_http2 import RawClient
from tests.registry.drafts import root_of
from voxswap.v1 import residency_pb2, residency_pb2_grpc, speech_pb2, speech_pb2_grpc
from voxswap_client import Client, VoxswapClientError, channel
from voxswap_registry.store import Registry

SERVING = health_pb2.HealthCheckResponse.SERVING
LONG = "The road goes ever on and on, down from the door where it began. " * 20
SPEAK = "/voxswap.v1.SpeechService/Synthesize"
CONVERSE = "/voxswap.v1.SpeechService/Converse"


def metric(thread: ServerThread, name: str, **labels: str) -> float:
    return thread.house.metrics.registry.get_sample_value(name, labels) or 0.0


def refused(thread: ServerThread, reason: str) -> float:
    return metric(thread, "voxswap_refused_total", reason=reason)


def leases(thread: ServerThread) -> int:
    return sum(resident.leases for resident in thread.house.manager.residents())


def admitted(thread: ServerThread) -> float:
    return metric(thread, "voxswap_admitted_load")


def looks_after(address: str) -> None:
    """What operators and orchestrators ask is answered."""
    with grpc.insecure_channel(address) as connection, Client(address, timeout_s=30) as client:
        health = health_pb2_grpc.HealthStub(connection)
        request = health_pb2.HealthCheckRequest(service="")
        assert health.Check(request, timeout=30).status == SERVING
        assert next(health.Watch(request, timeout=30)).status == SERVING
        reflection = reflection_pb2_grpc.ServerReflectionStub(connection)
        asked = reflection_pb2.ServerReflectionRequest(list_services="")
        listed = next(reflection.ServerReflectionInfo(iter([asked]), timeout=30))
        assert len(listed.list_services_response.service) >= 4
        assert client.residents().ledgers
        assert list(client.list_voices())


@pytest.mark.slow
def test_calls_that_only_send_headers_shut_nobody_out(joe_registry: Registry) -> None:
    with serving(root_of(joe_registry), max_streams=8, first_message_s=60) as thread:
        with contextlib.ExitStack() as stack:
            for path in (SPEAK, CONVERSE, "/voxswap.v1.ResidencyService/ListResidents"):
                raw = stack.enter_context(RawClient(thread.server.address))
                for _ in range(400):
                    raw.begin(path)
            thread.wait_until(lambda: metric(thread, "voxswap_open_calls") >= 500)
            looks_after(thread.server.address)
            with Client(thread.server.address, timeout_s=60) as client:
                assert client.say("joe", "Halt! Who goes there?").trailer.total_samples
            # 512 may wait; those that had waited longest had to go.
            thread.wait_until(lambda: refused(thread, "FIRST_MESSAGE_LATE") >= 1200 - 512)
        thread.wait_until(lambda: metric(thread, "voxswap_open_calls") == 0)


def test_calls_that_only_send_headers_end(joe_registry: Registry) -> None:
    with serving(root_of(joe_registry), first_message_s=0.5) as thread:
        with RawClient(thread.server.address) as raw:
            for _ in range(300):
                raw.begin(SPEAK)
            thread.wait_until(lambda: refused(thread, "FIRST_MESSAGE_LATE") == 300)
            thread.wait_until(lambda: metric(thread, "voxswap_open_calls") == 0)


def test_where_streams_are_full_operating_calls_get_in(joe_registry: Registry) -> None:
    with serving(root_of(joe_registry), max_streams=2) as thread:
        address = thread.server.address
        with Client(address, timeout_s=60) as client, contextlib.ExitStack() as stack:
            for _ in range(2):
                conversation = stack.enter_context(client.converse("joe", "Halt! "))
                conversation.flush()
                next(conversation)
            with grpc.insecure_channel(address) as connection:
                speak = speech_pb2_grpc.SpeechServiceStub(connection).Synthesize
                with pytest.raises(grpc.RpcError) as raised:
                    list(speak(speech_pb2.SynthesizeRequest(voice="joe", text="Hi."), timeout=60))
            assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "2 streams" in str(raised.value.details())
            assert refused(thread, "TOO_MANY_STREAMS") == 1
            looks_after(address)
        with Client(address, timeout_s=60) as client:
            assert client.say("joe", "Now there is room.").trailer.total_samples


@pytest.mark.slow
def test_readers_that_stop_reading_give_everything_back(joe_registry: Registry) -> None:
    """More than half a dozen of them took the whole paced room, for good."""
    request = speech_pb2.SynthesizeRequest(voice="joe", text=LONG)
    starts = speech_pb2.ConverseRequest(start=request)
    with serving(root_of(joe_registry), stalled_write_s=1, most_load=10) as thread:
        with Client(thread.server.address, timeout_s=60) as client:
            assert client.say("joe", "What lines cost is known now.").trailer.total_samples
            with contextlib.ExitStack() as stack:
                for _ in range(4):
                    raw = stack.enter_context(RawClient(thread.server.address))
                    raw.call(SPEAK, request.SerializeToString())
                    raw.message(raw.begin(CONVERSE), starts.SerializeToString())
                thread.wait_until(lambda: leases(thread) == 8 and admitted(thread) > 0)
                # They are still connected; the books are as if they were not.
                thread.wait_until(lambda: refused(thread, "WRITE_STALLED") == 8)
                thread.wait_until(lambda: leases(thread) == 0)
                assert thread.on_loop(lambda: admitted(thread)) == 0
                assert metric(thread, "voxswap_active_streams") == 0
                assert client.unload("joe") > 0
                assert client.say("joe", "Next, please.").trailer.total_samples
        thread.wait_until(lambda: metric(thread, "voxswap_open_calls") == 0)


@pytest.mark.slow
def test_a_paced_stream_that_is_read_is_not_hurt(joe_registry: Registry) -> None:
    """It writes nothing for longer than the limit, because it is ahead of its listener."""
    with serving(root_of(joe_registry), stalled_write_s=0.3, most_ahead_s=1.5) as thread:
        with Client(thread.server.address, timeout_s=60) as client:
            with client.synthesize("joe", LONG[:200]) as stream:
                for _ in stream:
                    pass
                assert stream.trailer.total_samples > 5 * 22_050
        assert not refused(thread, "WRITE_STALLED")


def test_watchers_that_do_not_read_are_ended(joe_registry: Registry) -> None:
    with serving(root_of(joe_registry), stalled_write_s=0.5) as thread:
        events = thread.house.events
        with contextlib.ExitStack() as stack:
            for _ in range(3):
                raw = stack.enter_context(RawClient(thread.server.address, window_bytes=1))
                request = residency_pb2.WatchRequest(after_sequence=0)
                raw.call("/voxswap.v1.ResidencyService/Watch", request.SerializeToString())
                raw.call("/grpc.health.v1.Health/Watch", b"")
            with Client(thread.server.address, timeout_s=60) as client:
                client.load("joe")
            # Six, or fewer where a connection that takes nothing went as a whole.
            thread.wait_until(lambda: metric(thread, "voxswap_open_calls") == 0)
            thread.wait_until(lambda: events.watchers == 0)
            assert refused(thread, "WRITE_STALLED") >= 3
            looks_after(thread.server.address)


def test_silent_watches_of_our_clients_live_on(
    joe_registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through ten times every limit of silence, with pings from both sides."""
    pings = {"grpc.keepalive_time_ms": 400, "grpc.keepalive_timeout_ms": 5_000}
    shortened = [(key, pings.get(key, value)) for key, value in channel.OPTIONS]
    monkeypatch.setattr(channel, "OPTIONS", shortened)
    limits = {"first_message_s": 0.3, "idle_connection_s": 0.3, "keepalive_s": 0.5}
    with serving(root_of(joe_registry), stalled_write_s=0.3, **limits) as thread:
        address = thread.server.address
        options = [*shortened, ("grpc.http2.max_pings_without_data", 0)]
        with grpc.insecure_channel(address, options=options) as connection:
            watch: Any = residency_pb2_grpc.ResidencyServiceStub(connection).Watch(
                residency_pb2.WatchRequest(), timeout=60
            )
            health: Any = health_pb2_grpc.HealthStub(connection).Watch(
                health_pb2.HealthCheckRequest(service=""), timeout=60
            )
            assert next(health).status == SERVING
            silent_until = thread.loop.time() + 3
            thread.wait_until(lambda: thread.loop.time() > silent_until)
            assert watch.is_active()
            assert health.is_active()
            with Client(address, timeout_s=60) as client:
                client.load("joe")
            assert next(watch).sequence == 1
            health.cancel()
            watch.cancel()


def test_connections_that_say_nothing_are_closed(
    joe_registry: Registry,
) -> None:
    with serving(root_of(joe_registry), first_message_s=0.3, idle_connection_s=0.5) as thread:
        host, _, port = thread.server.address.rpartition(":")
        with contextlib.ExitStack() as stack:
            for _ in range(20):
                silent = stack.enter_context(socket.create_connection((host, int(port)), 30))
                while silent.recv(4096):
                    pass  # until the server closes it
            idle = [stack.enter_context(RawClient(thread.server.address)) for _ in range(20)]
            thread.wait_until(lambda: not any(raw.is_open() for raw in idle))


def test_connections_that_say_nothing_do_not_hold_up_the_stop(joe_registry: Registry) -> None:
    settings = {"shutdown_grace_s": 50, "first_message_s": 60}
    with serving(root_of(joe_registry), **settings) as thread, contextlib.ExitStack() as stack:
        host, _, port = thread.server.address.rpartition(":")
        for _ in range(50):
            stack.enter_context(socket.create_connection((host, int(port)), 30))
            raw = stack.enter_context(RawClient(thread.server.address, answers=False))
            raw.begin(SPEAK)  # and never says what
        looks_after(thread.server.address)
        began = time.monotonic()
        thread.begin_stop()
        thread.join()
        assert time.monotonic() - began < 25


def test_a_stranger_who_takes_every_descriptor_has_them_for_a_moment(
    joe_registry: Registry,
) -> None:
    flags = (
        *(
            "--listen=127.0.0.1:0",
            "--metrics-listen=off",
            "--http-listen=off",
            "--first-message-s=0.5",
        ),
        "--warm-start=false",  # what a server before this one spoke is not loaded meanwhile
    )
    with start(root_of(joe_registry), *flags) as process, contextlib.ExitStack() as stack:
        assert process.stdout is not None
        address = process.stdout.readline().split()[-1]
        host, _, port = address.rpartition(":")
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (256, 256))
        for _ in range(400):
            stack.enter_context(socket.create_connection((host, int(port)), 30))
        with Client(address, timeout_s=60) as client:
            assert client.say("joe", "Halt! Who goes there?").trailer.total_samples
        looks_after(address)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors


def test_half_requests_at_the_metrics_port_leave_scrapes_alone(joe_registry: Registry) -> None:
    with serving(root_of(joe_registry)) as thread, contextlib.ExitStack() as stack:
        assert thread.server.metrics_address is not None
        host, _, port = thread.server.metrics_address.rpartition(":")
        for _ in range(300):
            half = stack.enter_context(socket.create_connection((host, int(port)), 30))
            half.sendall(b"GET /metrics HTTP/1.1\r\n")
        url = f"http://{thread.server.metrics_address}/metrics"
        with urllib.request.urlopen(url, timeout=30) as answer:
            text = answer.read().decode()
        assert "voxswap_open_calls 0.0" in text
        thread.wait_until(lambda: refused(thread, "METRICS_BUSY") >= 300 - 16)


def test_a_budget_that_no_answer_could_hold_is_refused(joe_registry: Registry) -> None:
    with serving(root_of(joe_registry)) as thread:
        with Client(thread.server.address, timeout_s=30) as client:
            with pytest.raises(VoxswapClientError, match="1 PiB"):
                client.set_budget((1 << 63) - 1)
            client.set_budget(1 << 50)
            assert client.residents().ledgers[0].budget_bytes == 1 << 50
