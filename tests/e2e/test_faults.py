"""Endless texts, silent connections, steps that throw and steps that do not come back."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from grpc_health.v1 import health_pb2

from tests.e2e.servers import ServerThread, serving
from tests.fakes.utterances import Decode, patch_decode
from tests.registry.drafts import root_of
from voxswap_client import AsyncClient, Client, VoxswapClientError
from voxswap_families.work import Steps, Work
from voxswap_registry.store import Registry
from voxswap_server.speech.reader import Reader

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def active_leases(thread: ServerThread) -> int:
    return sum(r.leases for r in thread.house.manager.residents())


def test_of_an_endless_text_no_more_is_read_than_is_spoken(
    joe_registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = ("The road goes ever on and on, down from the door where it began. " * 1600)[:100_000]
    reads = []
    original = Reader.read

    def read(reader: Reader, part: Any, loaded: Any) -> Any:
        reads.append(part)
        return original(reader, part, loaded)

    monkeypatch.setattr(Reader, "read", read)
    with serving(root_of(joe_registry), max_text_characters=100_000) as thread:
        with Client(thread.server.address, timeout_s=60) as client:
            with client.synthesize("joe", text, pacing="none") as stream:
                chunks = iter(stream)
                first = next(chunks)
                assert len(reads) <= 2, "the first sound waits for the first sentence alone"
                assert first.sample_count < 22050 // 4
                # 1,540 sentences of four seconds, known by the first of them.
                assert stream.header.estimated_samples > 1_000 * 22050
                for _ in range(10):
                    next(chunks)
                assert len(reads) < 30
        thread.wait_until(lambda: active_leases(thread) == 0)


def test_a_thousand_connections_that_say_nothing_keep_nobody_waiting(
    server: ServerThread, client: Client
) -> None:
    host, _, port = server.server.address.rpartition(":")
    with contextlib.ExitStack() as stack:
        for _ in range(1_000):
            stack.enter_context(socket.create_connection((host, int(port)), timeout=10))
        with Client(server.server.address, timeout_s=60) as another:
            assert another.say("joe", "Halt! Who goes there?").trailer.total_samples
        assert client.say("joe", "Nobody at all.").trailer.total_samples


@contextlib.contextmanager
def cursed(monkeypatch: pytest.MonkeyPatch, steps: Any) -> Iterator[None]:
    """The next utterance's decoding takes ``steps``; those of others are as they were."""
    marked: list[Any] = []

    def cursing(original: Decode) -> Decode:
        def decode(utterance: Any, first: int, last: int) -> Any:
            if not marked:
                marked.append(utterance)
            is_cursed = utterance is marked[0]
            return Work(steps()) if is_cursed else original(utterance, first, last)

        return decode

    with monkeypatch.context() as patch:
        patch_decode(patch, cursing)
        yield


async def test_a_step_that_throws_ends_its_own_stream_with_a_reference(
    server: ServerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    def throws() -> Steps[None]:
        yield None
        raise ZeroDivisionError("what nobody foresaw, with a path: /srv/secret")

    with cursed(monkeypatch, throws):
        async with AsyncClient(server.server.address, timeout_s=60) as client:
            with pytest.raises(VoxswapClientError) as raised:
                await client.say("joe", "This one is cursed.")
            assert raised.value.code == "INTERNAL"
            assert "reference" in str(raised.value)
            assert "secret" not in str(raised.value)
            assert (await client.say("joe", "This one is not.")).trailer.total_samples
    server.wait_until(lambda: active_leases(server) == 0)
    server.on_loop(server.house.manager.check_integrity)
