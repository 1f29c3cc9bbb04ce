"""Texts that end what reads them, and workers that are ended: the server speaks on."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from bench.hostile import texts
from tests.e2e.servers import ServerThread, serving
from tests.registry.drafts import root_of
from voxswap_client import Client, InvalidRequestError, VoxswapClientError
from voxswap_registry.store import Registry
from voxswap_server.text.espeak import library as espeak_library
from voxswap_server.text.normalization import normalize

# Of what is in a script that English does not read, nothing gets as far as espeak-ng.
KILLERS = tuple(
    text for text in texts.KILLERS if any(map(str.isalnum, normalize(text, "en-US").text))
)
LINE = "The bridge is closed after dark, stranger. Turn back now."


@pytest.fixture(autouse=True)
def _needs_espeak() -> None:
    pytest.importorskip("espeakng_loader", reason="needs the extra espeak")


@pytest.fixture
def frail(joe_registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerThread]:
    """A server whose workers die of the killers."""
    program = dataclasses.replace(espeak_library._program(), module="tests.e2e.unbounded_espeak")
    monkeypatch.setattr(espeak_library, "_program", lambda: program)
    with serving(root_of(joe_registry)) as thread:
        yield thread


def alike(one: bytes, other: bytes) -> bool:
    """The same symbols, noise and durations: a step's length changes rounding, and nothing else."""
    samples = [np.frombuffer(audio, "<i2").astype(int) for audio in (one, other)]
    return len(one) == len(other) and bool(np.abs(samples[0] - samples[1]).max() <= 8)


def pids(thread: ServerThread) -> tuple[int, ...]:
    espeak = thread.house.espeak
    assert espeak is not None
    return espeak.pids()


def restarts(thread: ServerThread, reason: str) -> float:
    labels = {"program": "espeak-ng", "reason": reason}
    return figure(thread, "worker_restarts_total", **labels)


def figure(thread: ServerThread, name: str, **labels: str) -> float:
    labels = {"program": "espeak-ng"} | labels
    value = thread.house.metrics.registry.get_sample_value(f"voxswap_{name}", labels)
    assert value is not None
    return value


def has_restarted(thread: ServerThread, deaths: int) -> bool:
    return restarts(thread, "died") == deaths


def test_a_line_that_kills_its_reader_fails_alone(frail: ServerThread) -> None:
    with Client(frail.server.address, timeout_s=60) as client:
        before = client.say("joe", LINE, seed=3).audio
        for deaths, text in enumerate(KILLERS, 1):
            for _ in range(3):
                with pytest.raises(InvalidRequestError) as raised:
                    client.say("joe", text)
                assert raised.value.reason == "TEXT_UNREADABLE"
                assert [violation.field for violation in raised.value.violations] == ["text"]
            frail.wait_until(partial(has_restarted, frail, deaths))
        assert alike(client.say("joe", LINE, seed=3).audio, before)
        frail.wait_until(lambda: figure(frail, "workers") == 2)
        assert figure(frail, "worker_calls_total") > 0
        assert 10 << 20 < figure(frail, "worker_resident_bytes") < 256 << 20
    assert not any(r.leases for r in frail.on_loop(frail.house.manager.residents))


def test_with_calls_as_short_as_they_are_the_killers_are_spoken(
    server: ServerThread, client: Client
) -> None:
    before = pids(server)
    for text in KILLERS:
        with client.synthesize("joe", text) as stream:
            assert next(iter(stream)).sample_count
    assert pids(server) == before


def test_killed_workers_cost_no_stream(server: ServerThread) -> None:
    """Four lines, and whoever reads one is killed as often as there is one."""

    def say(number: int) -> bytes:
        with Client(server.server.address, timeout_s=60) as client:
            text = f"There are {number} men on the road. Hide in the barn! Be quiet."
            return client.say("joe", text, seed=number).audio

    before = [say(number) for number in range(4)]
    killed = 0
    with ThreadPoolExecutor(4) as threads:
        lines = [threads.submit(say, number) for number in range(4)]
        while not all(line.done() for line in lines):
            for pid in pids(server)[:1]:
                os.kill(pid, signal.SIGKILL)
                killed += 1
            lines[killed % 4].exception(60)
        assert all(alike(line.result(), one) for line, one in zip(lines, before, strict=True))
    assert killed
    server.wait_until(lambda: figure(server, "workers") == 2)


def test_workers_that_stand_still_are_replaced(server: ServerThread, client: Client) -> None:
    """A line meanwhile is spoken by the next one, or told to come again; none waits for long."""
    expected = client.say("joe", LINE, seed=3).audio
    hung = restarts(server, "hung")
    for pid in pids(server):
        os.kill(pid, signal.SIGSTOP)
    try:
        spoken, told = client.say("joe", LINE, seed=3).audio, None
    except VoxswapClientError as error:
        spoken, told = expected, error
    assert alike(spoken, expected)
    assert told is None or (told.code, told.reason) == ("UNAVAILABLE", "FRONT_END_BUSY")
    server.wait_until(lambda: restarts(server, "hung") > hung)
    for pid in pids(server):
        os.kill(pid, signal.SIGCONT)
    assert alike(client.say("joe", LINE, seed=3).audio, expected)
