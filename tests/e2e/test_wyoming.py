"""Wyoming's port under clients that do what none should; what others see is in tests/clients."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.servers import ServerThread, active_leases, serving
from tests.registry.drafts import root_of
from voxswap_registry.store import Registry
from voxswap_server.app import wyoming_door
from voxswap_server.app.config import SettingsError

LONG = "The road goes ever on and on, down from the door where it began. " * 20


class RawClient:
    """A connection whose bytes the test sends itself."""

    def __init__(self, thread: ServerThread, *, window_bytes: int | None = None) -> None:
        address = thread.server.wyoming_address
        assert address is not None
        host, _, port = address.rpartition(":")
        self.socket = socket.socket()
        if window_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window_bytes)
        self.socket.settimeout(30)
        self.socket.connect((host, int(port)))
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.socket.close()

    def send(self, kind: str, **data: Any) -> None:
        self.socket.sendall(json.dumps({"type": kind, "data": data}).encode() + b"\n")

    def read(self) -> tuple[str, dict[str, Any]]:
        """The next event; none has the type ``""``."""
        if not (line := self._file.readline()):
            return "", {}
        head = json.loads(line)
        data = self._file.read(head.get("data_length", 0))
        self._file.read(head.get("payload_length", 0))
        return head["type"], json.loads(data or b"{}")

    def error(self) -> str:
        kind, data = self.read()
        assert kind == "error", (kind, data)
        return f"{data['code']}: {data['text']}"

    def is_served(self) -> bool:
        self.send("describe")
        return self.read()[0] == "info"

    def speak(self, text: str = "Hi.", **data: Any) -> list[str]:
        """The kinds of events that come for a text."""
        self.send("synthesize", text=text, **data)
        kinds = [""]
        while kinds[-1] not in ("audio-stop", "error"):
            kinds.append(self.read()[0])
            assert kinds[-1]
        return kinds[1:]

    def is_open(self) -> bool:
        """Read what is there; whether the server has not closed the connection by now."""
        self.socket.setblocking(False)
        try:
            while data := self.socket.recv(1 << 16):
                pass
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        finally:
            self.socket.settimeout(30)
        return bool(data)


@contextlib.contextmanager
def wyoming(registry: Registry, **settings: Any) -> Iterator[ServerThread]:
    with serving(root_of(registry), wyoming_listen="127.0.0.1:0", **settings) as thread:
        yield thread


@pytest.fixture(scope="module")
def thread(joe_registry: Registry) -> Iterator[ServerThread]:
    with wyoming(joe_registry) as thread:
        yield thread


@pytest.fixture
def client(thread: ServerThread) -> Iterator[RawClient]:
    with RawClient(thread) as client:
        yield client


def refused(thread: ServerThread, reason: str) -> float:
    sample = thread.house.metrics.registry.get_sample_value
    return sample("voxswap_refused_total", {"reason": reason}) or 0.0


def test_it_is_off_unless_it_is_asked_for(server: ServerThread) -> None:
    assert server.server.wyoming_address is None


@pytest.mark.parametrize(
    ("send", "field"),
    [
        (lambda c: c.send("synthesize"), "text"),
        (lambda c: c.send("synthesize", text=5), "text"),
        (lambda c: c.send("synthesize", text=" "), "text"),
        (lambda c: c.send("synthesize", text="Hi.\x00"), "text"),
        (lambda c: c.send("synthesize", text="x" * 10_001), "text"),
        (lambda c: c.send("synthesize", text="Hi.", voice="joe"), "voice"),
        (lambda c: c.send("synthesize", text="Hi.", voice={"name": 5}), "voice.name"),
        (lambda c: c.send("synthesize", text="Hi.", voice={"name": "a/../b"}), "voice.name"),
        (lambda c: c.send("synthesize", text="Hi.", voice={"speaker": "Bob"}), "voice.speaker"),
        (lambda c: c.send("synthesize", text="Hi.", text_format="markdown"), "text_format"),
        (lambda c: c.send("synthesize-start", text_format=[]), "text_format"),
        (lambda c: c.send("synthesize-start", voice={"speaker": "Bob"}), "voice.speaker"),
        (lambda c: c.send("synthesize-chunk", text="Hi."), "synthesize-start"),
        (lambda c: c.send("synthesize-stop"), "synthesize-start"),
        (lambda c: c.send("ping", text={}), "text"),
    ],
)
def test_what_is_wrong_is_told_and_the_connection_lives_on(
    client: RawClient, send: Callable[[RawClient], None], field: str
) -> None:
    send(client)
    told = client.error()
    assert field in told, told
    assert client.is_served()


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "event"),
        (bytes(range(256)) * 2000, "event"),
        (b"a" * 2_000_000, "event"),
        (b'{"type": "synthesize", "data_length": 9999999999}\n', "data_length"),
        (b'{"type": "audio-chunk", "payload_length": 9999999999}\n', "payload_length"),
        (b'{"type": "synthesize", "payload_length": 4}\nabcd', "payload_length"),
        (b'{"type": []}\n' + b"x" * 100_000, "type"),
    ],
)
def test_what_is_no_event_is_told_and_the_connection_ends(
    client: RawClient, sent: bytes, field: str
) -> None:
    client.socket.sendall(sent)
    assert f"{field}: " in client.error()
    assert client.read() == ("", {})


def test_a_second_start_is_a_fault_and_so_is_the_first_then(client: RawClient) -> None:
    client.send("synthesize-start", voice={"name": "joe"})
    client.send("synthesize-start", voice={"name": "joe"})
    assert "stop it first" in client.error()
    client.send("synthesize-stop")
    assert "audio-stop" in client.speak()


def test_a_chunk_that_is_wrong_ends_its_text_alone(thread: ServerThread, client: RawClient) -> None:
    client.send("synthesize-start", voice={"name": "joe"})
    client.send("synthesize-chunk", text=7)
    assert "text" in client.error()
    client.send("synthesize-chunk", text="This is passed over.")
    client.send("synthesize-stop")
    thread.wait_until(lambda: active_leases(thread) == 0)
    assert "audio-stop" in client.speak()


def test_a_text_that_failed_need_not_be_stopped(client: RawClient) -> None:
    client.send("synthesize-start", voice={"name": "nobody"})
    assert "nobody" in client.error()
    client.send("synthesize-start", voice={"name": "joe"})
    client.send("synthesize-chunk", text="Here I am.")
    client.send("ping", text=7)
    assert "text" in client.error()  # and says nothing of what is spoken
    client.send("synthesize-stop")
    kinds = []
    while "synthesize-stopped" not in kinds:
        kinds.append(client.read()[0])
        assert kinds[-1] in ("audio-start", "audio-chunk", "audio-stop", "synthesize-stopped")
    assert "audio-chunk" in kinds


def test_texts_are_spoken_one_after_the_other(client: RawClient) -> None:
    client.send("synthesize", text="One.")
    client.send("synthesize", text="Two.")
    client.send("synthesize-start")
    client.send("synthesize-chunk", text="Three.")
    client.send("synthesize-stop")
    kinds = []
    while "synthesize-stopped" not in kinds:
        kinds.append(client.read()[0])
        assert kinds[-1] in ("audio-start", "audio-chunk", "audio-stop", "synthesize-stopped")
    marks = [kind for kind in kinds if kind != "audio-chunk"]
    assert marks == ["audio-start", "audio-stop"] * 3 + ["synthesize-stopped"]


def test_a_stream_without_text_comes_to_its_end(client: RawClient) -> None:
    client.send("synthesize-start")
    client.send("synthesize-stop")
    kinds = []
    while "synthesize-stopped" not in kinds:
        kinds.append(client.read()[0])
        assert kinds[-1]
    assert client.is_served()


def test_the_rest_of_the_protocol_is_passed_over(client: RawClient) -> None:
    client.socket.sendall(b'{"type": "audio-chunk", "payload_length": 5}\n\n\n\n\n\n')
    client.send("transcribe", language="en")
    assert client.is_served()


def test_half_events_end(joe_registry: Registry) -> None:
    with wyoming(joe_registry, first_message_s=0.3) as thread, RawClient(thread) as client:
        client.socket.sendall(b'{"type": "synthesize", "data_length": 10}\n{')
        assert "FIRST_MESSAGE_LATE" in client.error()
        assert client.read() == ("", {})
        with RawClient(thread) as silent:
            assert silent.read() == ("", {})


def test_clients_that_have_spoken_may_be_silent_for_a_while(joe_registry: Registry) -> None:
    settings = {"first_message_s": 0.3, "idle_connection_s": 1.0}
    with wyoming(joe_registry, **settings) as thread, RawClient(thread) as client:
        assert client.is_served()
        until_s = thread.loop.time() + 0.6
        thread.wait_until(lambda: thread.loop.time() > until_s)
        assert client.is_served()
        assert "audio-stop" in client.speak()
        assert client.read() == ("", {})


def test_500_silent_clients_shut_nobody_out(joe_registry: Registry) -> None:
    with wyoming(joe_registry, first_message_s=60) as thread, contextlib.ExitStack() as stack:
        silent = [stack.enter_context(RawClient(thread)) for _ in range(500)]
        with RawClient(thread) as client:
            assert "audio-stop" in client.speak()
        # 256 may wait; those that had waited longest had to go.
        thread.wait_until(lambda: refused(thread, "TOO_MANY_CALLS") >= 500 - 256)
        assert not silent[0].is_open()
        assert silent[-1].is_open()


def test_clients_that_take_nothing_give_everything_back(joe_registry: Registry) -> None:
    settings = {"stalled_write_s": 1, "most_load": 10, "most_backlog_s": 3600}
    with wyoming(joe_registry, **settings) as thread:
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(RawClient(thread, window_bytes=4096)) for _ in range(4)]
            for client in clients[:2]:
                client.send("synthesize", text=LONG)
            for client in clients[2:]:
                client.send("synthesize-start")
                for _ in range(30):
                    client.send("synthesize-chunk", text=LONG)
            thread.wait_until(lambda: refused(thread, "WRITE_STALLED") == 4)
            thread.wait_until(lambda: active_leases(thread) == 0)
        with RawClient(thread) as client:
            assert "audio-stop" in client.speak()


def test_askers_that_take_no_answer_shut_nobody_out(joe_registry: Registry) -> None:
    asked = b'{"type": "describe"}\n' * 2000
    with wyoming(joe_registry) as thread, contextlib.ExitStack() as stack:
        for _ in range(100):
            flood = stack.enter_context(RawClient(thread, window_bytes=4096))
            flood.socket.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                flood.socket.send(asked)
        with RawClient(thread) as client:
            assert client.is_served()
        thread.wait_until(lambda: refused(thread, "TOO_MANY_CALLS") >= 100 - 64)


def test_streams_have_places_among_all_streams(joe_registry: Registry) -> None:
    with wyoming(joe_registry, max_streams=1) as thread:
        with RawClient(thread) as first, RawClient(thread) as second:
            first.send("synthesize-start")
            first.send("synthesize-chunk", text=LONG)
            assert first.read()[0] == "audio-start"
            second.send("synthesize", text="Hi.")
            assert "TOO_MANY_STREAMS" in second.error()
            second.send("synthesize-start")
            assert "TOO_MANY_STREAMS" in second.error()


def test_a_stop_waits_for_nobody_who_says_nothing(joe_registry: Registry) -> None:
    with wyoming(joe_registry, shutdown_grace_s=50) as thread, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(RawClient(thread)) for _ in range(50)]
        assert clients[0].is_served()
        began = time.monotonic()
        thread.begin_stop()
        thread.join()
        assert time.monotonic() - began < 25
        assert not clients[0].is_open()


def test_what_is_spoken_is_cut_once_the_grace_is_over(joe_registry: Registry) -> None:
    with wyoming(joe_registry, shutdown_grace_s=0.2) as thread, RawClient(thread) as client:
        client.send("synthesize-start")
        client.send("synthesize-chunk", text=LONG)
        assert client.read()[0] == "audio-start"
        thread.begin_stop()
        thread.join()


def test_an_address_that_cannot_be_had_is_told(thread: ServerThread, tmp_path: Path) -> None:
    address = thread.server.wyoming_address
    with pytest.raises(SettingsError, match=r"wyoming_listen: .* cannot be had"):
        with serving(tmp_path, wyoming_listen=address):
            pass


def test_without_its_extra_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wyoming_door, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"install voxswap\[wyoming\]"):
        with serving(tmp_path, wyoming_listen="127.0.0.1:0"):
            pass
