"""The metrics port: half requests hold it up neither one by one nor all together."""

from __future__ import annotations

import contextlib
import socket
import threading
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter

from voxswap_server.app.metrics_port import MetricsPort


@contextlib.contextmanager
def port(**limits: float) -> Iterator[tuple[MetricsPort, list[None]]]:
    registry = CollectorRegistry()
    Counter("voxswap_things", "Things.", registry=registry).inc(7)
    gone: list[None] = []
    found = MetricsPort(
        "127.0.0.1",
        0,
        registry,
        refused=lambda: gone.append(None),
        **limits,  # type: ignore[arg-type]
    )
    try:
        yield found, gone
    finally:
        found.close()


def half_request(address: str) -> socket.socket:
    host, _, number = address.rpartition(":")
    connection = socket.create_connection((host, int(number)), timeout=30)
    connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: ")
    return connection


def scrape(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=30) as answer:
        text: str = answer.read().decode()
    return text


def test_three_hundred_half_requests_take_few_threads_and_scrapes_go_on() -> None:
    before = threading.active_count()
    with port() as (found, gone), contextlib.ExitStack() as stack:
        connections = [stack.enter_context(half_request(found.address)) for _ in range(300)]
        assert "voxswap_things_total 7.0" in scrape(found.address)
        assert len(gone) >= 300 - 16
        # Of those that had to go each thread is about to end.
        for connection in connections[: 300 - 16]:
            assert connection.recv(1) == b""
        assert threading.active_count() <= before + 2 * 16 + 1
        assert "voxswap_things_total 7.0" in scrape(found.address)


def test_a_half_request_ends_after_the_limit() -> None:
    with port(silence_s=0.2) as (found, gone), half_request(found.address) as connection:
        assert connection.recv(1) == b""
        assert not gone, "the time was up, and nobody needed its place"


def test_an_address_that_is_taken_is_an_error() -> None:
    with port() as (found, _):
        number = int(found.address.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            MetricsPort("127.0.0.1", number, CollectorRegistry())
