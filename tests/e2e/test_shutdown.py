"""The end of the process: in time, whatever hangs and whoever is there. More: bench.hostile."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from itertools import islice
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bench.hostile.hanging_server import Hang
from bench.hostile.shutdown import Guest, Try, attempt, tries
from tests.e2e.servers import start
from tests.registry.drafts import root_of
from voxswap_registry.store import Registry
from voxswap_server.app.way_down import LEFT_BEHIND


def one(hang: Hang, *guests: Guest, grace_s: float = 0.5, after_s: float = 0.5) -> Try:
    return Try(0, hang, guests, grace_s, after_s, interrupts_start=False, again_after_s=None)


@pytest.mark.parametrize(
    ("one", "statuses", "said"),
    [
        # A deadline that passes in a stuck step, which no watchdog has seen yet.
        (one(Hang.STEP, Guest.GIVEN_UP, after_s=3.0), [LEFT_BEHIND], "voxswap-compute-"),
        (one(Hang.WATCH, after_s=2.0), [LEFT_BEHIND], "voxswap-watch"),
        # Nothing in the process hears the signal.
        (
            one(Hang.INTERPRETER, Guest.READER, after_s=2.0),
            [-signal.SIGKILL, -signal.SIGALRM],
            "most recent call first",
        ),
        (one(Hang.NOTHING, Guest.WINDOW, Guest.WATCHER, Guest.SILENT), [0], "have 0.5 s to end"),
    ],
    ids=["step", "store", "interpreter", "clients"],
)
def test_the_process_ends_within_grace_and_five_seconds(
    joe_registry: Registry, one: Try, statuses: list[int], said: str
) -> None:
    outcome = attempt(one, root_of(joe_registry), step_limit_s=60.0)
    assert outcome.took_s <= outcome.most_s, outcome.errors
    assert outcome.status in statuses, outcome.errors
    assert said in outcome.errors


def test_silent_connections_and_watchers_do_not_hold_up_a_stop(joe_registry: Registry) -> None:
    """Only streams have the grace."""
    guests = (Guest.WATCHER, Guest.SILENT, Guest.SCRAPER)
    outcome = attempt(one(Hang.NOTHING, *guests, grace_s=30.0), root_of(joe_registry))
    assert outcome.took_s < 10.0
    assert outcome.status == 0, outcome.errors


def wait_for(process: subprocess.Popen[str], field: str, number: signal.Signals) -> None:
    """Until the kernel knows that ``number`` is ignored (SigIgn) or caught (SigCgt)."""
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text()
        found = re.search(rf"^{field}:\s*(\w+)$", status, re.MULTILINE)
        if found and int(found.group(1), 16) & 1 << (number - 1):
            return
    pytest.fail(f"it ended with {process.returncode}")


def test_sighup_before_the_server_is_up_does_no_harm(joe_registry: Registry) -> None:
    flags = ("--listen", "127.0.0.1:0", "--metrics-listen", "off", "--http-listen", "off")
    with start(root_of(joe_registry), *flags) as process:
        assert process.stdout is not None
        wait_for(process, "SigIgn", signal.SIGHUP)
        modules = Path(f"/proc/{process.pid}/maps").read_text()
        assert "cygrpc" not in modules, "it is ignored before anything that takes a while"
        begun = threading.Event()

        def send() -> None:
            while not begun.wait(0.02):
                process.send_signal(signal.SIGHUP)

        sending = threading.Thread(target=send)
        sending.start()
        try:
            assert "serving on" in process.stdout.readline()
        finally:
            begun.set()
            sending.join()
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors


def test_sigterm_while_it_starts_ends_it_cleanly_and_soon(joe_registry: Registry) -> None:
    flags = (
        "--listen",
        "127.0.0.1:0",
        "--metrics-listen",
        "off",
        "--http-listen",
        "off",
        "--shutdown-grace-s",
        "60",
    )
    with start(root_of(joe_registry), *flags) as process:
        wait_for(process, "SigCgt", signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert "stopped while it was starting" in errors
    assert "Traceback" not in errors + output


def test_tries_are_repeatable_and_every_hang_comes_up() -> None:
    first = list(islice(tries(3, 50), 2 * len(Hang)))
    assert first == list(islice(tries(3, 50), 2 * len(Hang)))
    assert {each.hang for each in first} == set(Hang)


_TAKES_ONE_CALL = """
import sys
from voxswap_server.app.command import main
from voxswap_server.doors.grpc.grpc_server import _Core

taken, original = set(), _Core._make_request_call_future

def take(self, method):
    if method in taken:
        raise RuntimeError("grpc's own fault")
    taken.add(method)
    return original(self, method)

_Core._make_request_call_future = take
sys.exit(main(sys.argv[1:]))
"""


def test_a_server_whose_grpc_ends_by_itself_does_not_go_on_without(joe_registry: Registry) -> None:
    """grpc ends for good when its accepting task fails; whoever restarts servers has to know."""
    flags = ["--registry", root_of(joe_registry), "--listen", "127.0.0.1:0"]
    flags += ["--metrics-listen", "off", "--http-listen", "off", "--warm-start", "false"]
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", _TAKES_ONE_CALL, *map(str, flags)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        address = re.search(r"serving on (\S+)", process.stdout.readline())
        assert address is not None
        with grpc.insecure_channel(address.group(1)) as channel, suppress(grpc.RpcError):
            health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=30)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1, errors
    assert "grpc has stopped taking calls by itself" in errors
