"""Connections that flood, stall, say nothing or vanish: others are served, and nothing is left."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from tests.e2e.servers import ServerThread, active_leases, serving
from tests.http.web import LINE, Web, hear, nothing_is_left, read_answer, say, web_of
from tests.registry.drafts import root_of
from voxswap_registry.store import Registry

LONG = " ".join([LINE] * 1800)  # nearly 100,000 characters
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def hasty(joe_registry: Registry) -> Iterator[ServerThread]:
    """A server that does not wait long for anybody."""
    limits = {"first_message_s": 0.3, "stalled_write_s": 0.5, "idle_connection_s": 1}
    with serving(root_of(joe_registry), max_text_characters=100_000, **limits) as thread:
        yield thread


@pytest.fixture
def hasty_web(hasty: ServerThread) -> Iterator[Web]:
    yield web_of(hasty)
    nothing_is_left(hasty)


def is_closed(sock: socket.socket) -> bool:
    """Whether the server ends the connection, sooner or later."""
    sock.settimeout(15)
    with contextlib.suppress(ConnectionError):
        while sock.recv(1 << 16):
            pass
    return True


def speaks(web: Web) -> bool:
    return web.post("/v1/speech", {"voice": "joe", "text": "Halt!"}).status == 200


def test_a_thousand_idle_sockets_shut_nobody_out(web: Web, server: ServerThread) -> None:
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(web.connect()) for _ in range(1000)]
        assert speaks(web)
        # The oldest had to go: there is room for so many that say nothing.
        assert is_closed(idle[0])
    assert speaks(web)


def open_socket(web: Web) -> socket.socket:
    """A WebSocket that nobody reads."""
    handshake = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    sock = web.connect()
    sock.sendall(web.head("GET", "/v1/converse", handshake, None))
    assert sock.recv(4096).startswith(b"HTTP/1.1 101")
    return sock


def test_idle_websockets_shut_nobody_out(web: Web) -> None:
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(open_socket(web)) for _ in range(400)]
        assert is_closed(idle[0])
        with web.socket("/v1/converse") as ws:
            say(ws, "start", voice="joe", text="Halt!")
            say(ws, "end")
            assert hear(ws).told[-1]["type"] == "trailer"


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"POST /v1/spee",
        b"POST /v1/speech HTTP/1.1\r\nHost: localhost\r\n",
    ],
)
def test_who_does_not_say_what_it_wants_is_not_waited_for(hasty_web: Web, said: bytes) -> None:
    with hasty_web.connect() as sock:
        sock.sendall(said)
        assert is_closed(sock)


def test_a_head_that_comes_a_byte_at_a_time_is_not_waited_for(hasty_web: Web) -> None:
    stop = threading.Event()
    with hasty_web.connect() as sock:

        def drip() -> None:
            with contextlib.suppress(OSError):
                while not stop.wait(0.02):
                    sock.sendall(b"G")

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            assert is_closed(sock)
        finally:
            stop.set()
            thread.join()


def test_a_body_that_does_not_come_is_told(hasty_web: Web) -> None:
    with hasty_web.connect() as sock:
        sock.sendall(hasty_web.head("POST", "/v1/speech", JSON, 100) + b'{"voice": ')
        answer = read_answer(sock)
    assert (answer.status, answer.error["reason"]) == (408, "REQUEST_TIMEOUT")


def test_bodies_that_do_not_come_take_no_place(joe_registry: Registry) -> None:
    """Of those whose body is waited for the longest goes; nobody else waits for them."""
    with serving(root_of(joe_registry), max_streams=1) as thread, contextlib.ExitStack() as stack:
        web = web_of(thread)
        half = web.head("POST", "/v1/speech", JSON, 100) + b'{"voice": '
        slow = [stack.enter_context(web.connect()) for _ in range(300)]
        for sock in slow:
            sock.sendall(half)
        assert speaks(web)
        assert read_answer(slow[0]).status == 408


def test_a_body_that_breaks_off_leaves_nothing(web: Web) -> None:
    with web.connect() as sock:
        sock.sendall(web.head("POST", "/v1/speech", JSON, 100) + b'{"voice": ')
        reset(sock)
    assert speaks(web)


def reset(sock: socket.socket) -> None:
    """Vanish: no goodbye, and nothing that is on its way is taken."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("hang_up", [reset, lambda sock: sock.shutdown(socket.SHUT_RDWR)])
def test_hanging_up_stops_the_compute(web: Web, server: ServerThread, hang_up: object) -> None:
    body = json.dumps({"voice": "joe", "text": LONG}).encode()
    with web.connect() as sock:
        sock.sendall(web.head("POST", "/v1/speech", JSON, len(body)) + body)
        assert sock.recv(100).startswith(b"HTTP/1.1 200")
        assert server.on_loop(lambda: active_leases(server)) == 1
        hang_up(sock)  # type: ignore[operator]
    server.wait_until(lambda: active_leases(server) == 0)


def test_hanging_up_before_the_first_sound_stops_the_compute(
    web: Web, server: ServerThread
) -> None:
    body = json.dumps({"voice": "joe", "text": LONG}).encode()
    for _ in range(5):
        with web.connect() as sock:
            sock.sendall(web.head("POST", "/v1/speech", JSON, len(body)) + body)
            reset(sock)
    server.wait_until(lambda: active_leases(server) == 0)
    assert speaks(web)


def test_a_reader_that_stops_stops_its_own_compute_and_is_hung_up_on(
    hasty_web: Web, hasty: ServerThread
) -> None:
    """Of a text of 100,000 characters a few seconds are made, and held, and no more."""
    body = json.dumps({"voice": "joe", "text": LONG, "pacing": "none"}).encode()
    with hasty_web.connect() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.sendall(hasty_web.head("POST", "/v1/speech", JSON, len(body)) + body)
        assert sock.recv(100).startswith(b"HTTP/1.1 200")
        (stream,) = hasty.on_loop(lambda: list(hasty.house.speaker._streams.values()))
        assert speaks(hasty_web)
        hasty.wait_until(lambda: active_leases(hasty) == 0)
    # What the two buffers between them hold, and the window that was made meanwhile.
    assert stream._heard.samples < 10 * 22050


def test_pings_that_nobody_reads_the_answers_of_fill_nothing(hasty_web: Web) -> None:
    with open_socket(hasty_web) as sock:
        ping = bytes([0x89, 0xFD, 1, 2, 3, 4]) + b"x" * 125
        sock.settimeout(10)
        with pytest.raises(ConnectionError):
            send_for_ever(sock, ping * 500)
    assert speaks(hasty_web)


def send_for_ever(sock: socket.socket, data: bytes) -> None:
    while True:
        sock.sendall(data)


def test_a_message_that_never_ends_is_cut(web: Web) -> None:
    """Fragments that add up to more than a message may have."""
    with web.socket("/v1/converse") as ws:
        piece = b"x" * 65_000
        mask = bytes(4)
        frame = struct.pack("!BBH", 0x00, 0xFE, len(piece)) + mask + piece
        ws.socket.sendall(struct.pack("!BBH", 0x01, 0xFE, len(piece)) + mask + piece)
        with contextlib.suppress(OSError):
            for _ in range(60):
                ws.socket.sendall(frame)
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv(timeout=10)
    assert closed.value.rcvd is None or closed.value.rcvd.code == 1009
    assert speaks(web)


def test_a_flood_of_frames_waits_for_its_turn(web: Web, server: ServerThread) -> None:
    """Text far beyond what may wait: the socket is not read meanwhile, and nothing of it stays."""
    with web.socket("/v1/converse") as ws:
        say(ws, "start", voice="joe")
        # Heard before: while this client sends, it takes nothing.
        say(ws, "text", text="So it goes. So it goes. ")
        hear(ws, "chunk")
        has_begun = threading.Event()

        def flood() -> None:
            with contextlib.suppress(ConnectionClosed):
                for _ in range(100):
                    say(ws, "text", text="So it goes. " * 5000)
                    has_begun.set()

        thread = threading.Thread(target=flood)
        thread.start()
        assert has_begun.wait(30)
        ws.socket.shutdown(socket.SHUT_RDWR)
        thread.join()
    server.wait_until(lambda: active_leases(server) == 0)


def read_on(ws: ClientConnection) -> None:
    while ws.recv(timeout=10):
        pass


def test_a_socket_that_says_nothing_is_closed(hasty_web: Web) -> None:
    with hasty_web.socket("/v1/converse") as ws:
        with pytest.raises(ConnectionClosed) as closed:
            read_on(ws)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1000


def test_streams_have_so_many_places_by_whatever_door(joe_registry: Registry) -> None:
    with serving(root_of(joe_registry), max_streams=1, max_text_characters=100_000) as thread:
        web = web_of(thread)
        with web.socket("/v1/converse") as ws:
            say(ws, "start", voice="joe", text=LONG[:5000])
            hear(ws, "chunk")
            refused = web.post("/v1/speech", {"voice": "joe", "text": "Halt!"})
            assert (refused.status, refused.error["reason"]) == (429, "TOO_MANY_STREAMS")
            assert refused.headers["retry-after"] == "1"
        thread.wait_until(lambda: active_leases(thread) == 0)
        assert speaks(web)


def test_a_stop_waits_for_streams_and_then_ends_them(joe_registry: Registry) -> None:
    with serving(root_of(joe_registry), shutdown_grace_s=0.2) as thread:
        web = web_of(thread)
        body = json.dumps({"voice": "joe", "text": LONG[:5000]}).encode()
        with web.connect() as sock, web.socket("/v1/converse") as ws:
            sock.sendall(web.head("POST", "/v1/speech", JSON, len(body)) + body)
            thread.wait_until(lambda: active_leases(thread) == 1)
            say(ws, "start", voice="joe", text=LONG[:5000], pacing="none")
            assert hear(ws, "chunk").of("chunk")
            thread.begin_stop()
            assert not read_answer(sock).whole
            with pytest.raises(ConnectionClosed):
                read_on(ws)
        thread.join()


def test_who_is_refused_is_heard_out(web: Web) -> None:
    """A socket that is closed with something unread takes back what it has said."""
    # A text of three megabytes is announced, with its mask.
    frame = bytes([0x81, 0xFF]) + struct.pack(">Q", 3 << 20) + bytes(4)
    for sock, said, refusal in (
        (open_socket(web), frame, struct.pack(">H", 1009)),
        (web.connect(), web.head("POST", "/v1/speech", JSON, 3 << 20), b"HTTP/1.1 413"),
        (web.connect(), b"GET / HTTP/1.1\r\nX: " + bytes(20_000), b"HTTP/1.1 4"),
    ):
        with sock:
            sock.sendall(said)
            heard = b""
            while refusal not in heard:
                heard += sock.recv(1024)
                assert heard
            for _ in range(16):
                sock.sendall(bytes(1 << 16))  # would fail if it had been reset
            while more := sock.recv(1024):
                heard += more
            assert len(heard) < 2048


def test_who_is_refused_and_does_not_end_is_ended(web: Web) -> None:
    with web.connect() as sock, contextlib.suppress(ConnectionError):
        sock.sendall(web.head("POST", "/v1/speech", JSON, 1 << 40))
        while True:
            sock.sendall(bytes(1 << 16))
