"""What strangers send: each fault has its status, names its field, and shows nothing of us."""

from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.http.web import Answer, Web

JSON = {"Content-Type": "application/json"}


def fields(answer: Answer) -> list[str]:
    return [violation["field"] for violation in answer.error["violations"]]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"voice": "joe", "text": "Halt!", "colour": "red"}, "colour"),
        ({"voice": "joe", "text": ["Halt!"]}, "text"),
        ({"voice": "joe", "text": "Halt!", "controls": {"rate": True}}, "controls.rate"),
        ({"voice": "joe", "text": "Halt!", "controls": {"rate": 0.1}}, "controls.rate"),
        ({"voice": "joe", "text": "Halt!", "controls": {"pace": 1}}, "controls.pace"),
        ({"voice": "joe", "text": "Halt!", "audio": {"encoding": "aac"}}, "audio.encoding"),
        (
            {"voice": "joe", "text": "Halt!", "audio": {"encoding": "mp3", "sample_rate_hertz": 9}},
            "audio.sample_rate_hertz",
        ),
        (
            {"voice": "joe", "text": "Halt!", "format": "wav", "audio": {"encoding": "mp3"}},
            "format",
        ),
        ({"voice": "joe", "text": "Halt!", "marks": ["word"]}, "marks"),
        ({"voice": "joe", "text": "Halt!", "format": "opus_packets"}, "audio.encoding"),
        ({"voice": "joe", "text": "Halt!", "seed": 1 << 64}, "seed"),
        ({"voice": "joe", "text": "Halt!", "seed": "x"}, "seed"),
        ({"voice": "joe", "text": "Halt!", "start_by_ms": 0}, "start_by_ms"),
        ({"voice": "joe", "text": "Halt!", "line_class": "shout"}, "line_class"),
        ({"voice": "joe", "text": "Halt!", "session_id": "s" * 200}, "session_id"),
        ({"voice": "joe", "text": "Halt!", "speaker": "anna"}, "speaker"),
        ({"voice": "joe", "text": "  "}, "text"),
        ({"voice": "joe", "text": "…"}, "text"),
        ({"voice": "joe", "text": "a\x07b"}, "text"),
        ({"voice": "joe", "text": "x" * 100_001}, "text"),
        ({"voice": "joe"}, "text"),
        ({"text": "Halt!"}, "voice"),
        ({"voice": "../../etc/passwd", "text": "Halt!"}, "voice"),
        ({"voice": "joe@", "text": "Halt!"}, "voice"),
    ],
)
def test_a_fault_names_its_field(web: Web, body: dict[str, Any], field: str) -> None:
    answer = web.post("/v1/speech", body)
    assert answer.status == 400
    assert field in fields(answer)
    assert answer.error["message"]


def test_all_faults_are_told_at_once(web: Web) -> None:
    body = {"voice": "joe@@", "text": "", "seed": -1, "start_by_ms": 0, "session_id": "s" * 129}
    answer = web.post("/v1/speech", body)
    assert {"text", "seed", "start_by_ms", "session_id"} <= set(fields(answer))


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "not JSON"),
        (b"no json", "not JSON"),
        (b"[1, 2]", "not a JSON object"),
        (b'{"voice": "joe", "voice": "amy"}', "twice"),
        (b'{"voice": NaN}', "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b'{"a":' * 500 + b"1" + b"}" * 500, "levels"),
        (b'{"marks": [' + b"1," * 5000 + b"1]}", "5001 entries"),
        ('{"voice": "joe"}'.encode("utf-16"), "not JSON"),
    ],
)
def test_a_body_that_is_no_json_is_told(web: Web, raw: bytes, words: str) -> None:
    answer = web.ask("POST", "/v1/speech", raw=raw, headers=JSON)
    assert (answer.status, fields(answer)) == (400, ["body"])
    assert words in answer.error["message"]


def test_a_body_may_be_so_long_and_no_longer(web: Web) -> None:
    long = json.dumps({"voice": "joe", "text": "x" * (3 << 20)}).encode()
    answer = web.ask("POST", "/v1/speech", raw=long, headers=JSON)
    assert answer.status == 413
    with web.connect() as sock:  # nobody says how long it will be
        head = web.head("POST", "/v1/speech", JSON | {"Transfer-Encoding": "chunked"}, None)
        sock.sendall(head)
        refused = refusal(sock, b"10000\r\n" + b"x" * 0x10000 + b"\r\n", most=64)
    assert refused == 413


def refusal(sock: Any, piece: bytes, *, most: int) -> int:
    """The status of the answer that comes while ``piece`` is sent again and again."""
    sock.settimeout(0.05)
    for _ in range(most):
        try:
            sock.sendall(piece)
            return int(sock.recv(1024).split()[1])
        except TimeoutError:
            continue
        except OSError:
            break
    sock.settimeout(10)
    return int(sock.recv(1024).split()[1])


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_of_another_type_is_refused(web: Web, kind: str) -> None:
    headers = {"Content-Type": kind} if kind else {}
    answer = web.ask("POST", "/v1/speech", raw=b"{}", headers=headers)
    assert answer.status == 415
    assert "application/json" in answer.error["message"]


def test_a_method_that_a_path_does_not_take_is_told_with_those_it_does(web: Web) -> None:
    answer = web.get("/v1/speech")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert "POST" in answer.error["message"]


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/voices?colour=red", "colour"),
        ("/v1/voices?page_size=many", "page_size"),
        ("/v1/voices?page_size=5000", "page_size"),
        ("/v1/voices?page_token=***", "page_token"),
        ("/v1/voices?tag=" + "&tag=".join(["a"] * 40), "tags"),
        ("/v1/voices?search=" + "a" * 300, "search"),
        ("/v1/events?after_sequence=-1", "after_sequence"),
        ("/v1/residents?x=1", "x"),
    ],
)
def test_a_parameter_at_fault_is_named(web: Web, path: str, field: str) -> None:
    answer = web.get(path)
    assert answer.status == 400
    assert field in fields(answer)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/voices/..%2f..%2fetc%2fpasswd",
        "/v1/voices/../../etc/passwd",
        "/v1/voices/%2e%2e/%2e%2e/etc/passwd",
        "/v1/voices/joe@stable/..",
        "/v1/voices/%00",
        "/v1/voices/%ff",
        "/v1/voices/" + "a" * 2000,
        "/%2e%2e/%2e%2e/etc/passwd",
        "/static/../../../etc/passwd",
        "//etc/passwd",
        "/v1/text-to-speech/..%2f..%2fjoe/stream",
    ],
)
def test_no_path_leads_anywhere_else(web: Web, path: str) -> None:
    answer = web.get(path)
    assert answer.status in {400, 404, 405}
    assert b"root:" not in answer.body
    assert b"Traceback" not in answer.body


@pytest.mark.parametrize("name", ["npc/guard", "npc/guard@3", "npc%2Fguard%403"])
def test_an_id_may_have_slashes_and_a_version(web: Web, name: str) -> None:
    answer = web.get(f"/v1/voices/{name}")
    assert (answer.status, answer.error["reason"]) == (404, "VOICE_NOT_FOUND")
    assert "npc/guard" in answer.error["message"]


def test_what_is_not_there_is_told(web: Web) -> None:
    answer = web.get("/nothing")
    assert (answer.status, answer.error["reason"]) == (404, "NOT_FOUND")


def test_what_is_no_http_is_refused(web: Web) -> None:
    for junk in (b"\x16\x03\x01\x02\x00\x01\x00" + b"\x00" * 50, b"GET\r\n\r\n", b"\r\n" * 9000):
        with web.connect() as sock:
            sock.settimeout(10)
            sock.sendall(junk)
            told = sock.recv(4096)
            assert not told or told.startswith(b"HTTP/1.1 4")


def test_a_head_has_so_many_bytes_and_no_more(web: Web) -> None:
    answer = web.ask("GET", "/v1/voices", headers={"X-Long": "x" * 40_000})
    assert answer.status == 431


# Pages of others


@pytest.mark.parametrize("path", ["/v1/speech", "/v1/unload", "/api/tts", "/v1/audio/speech"])
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1"])
def test_a_strange_page_may_not_drive_the_server(web: Web, path: str, origin: str) -> None:
    answer = web.post(path, {"voice": "joe", "text": "Halt!"}, Origin=origin)
    assert answer.status == 403
    assert "http_origins" in answer.error["message"]
    assert "access-control-allow-origin" not in answer.headers


def test_a_strange_page_may_not_embed_what_is_spoken(web: Web) -> None:
    path = "/tts_stream?text=Halt&speaker_wav=joe"
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert web.get(path, **headers).status == 403
    assert web.get(path, **{"Sec-Fetch-Site": "same-origin"}).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "[bad.host", "127.0.0.1.evil.com"]
)
def test_a_name_that_is_not_the_servers_is_refused(web: Web, host: str) -> None:
    answer = web.get("/v1/voices", Host=host)
    assert answer.status == 403
    assert "http_hosts" in answer.error["message"]


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1", "[::1]:8080", "voxswap:8080"])
def test_a_name_that_nobody_outside_can_have_will_do(web: Web, host: str) -> None:
    assert web.get("/v1/voices", Host=host).status == 200


def test_the_servers_own_pages_may(web: Web) -> None:
    own = {"Origin": f"http://{web.address}", "Sec-Fetch-Site": "same-origin"}
    assert web.post("/v1/speech", {"voice": "joe", "text": "Halt!"}, **own).status == 200


@pytest.mark.parametrize(
    "path", ["/v1/converse", "/tts/websocket", "/v1/text-to-speech/joe/multi-stream-input"]
)
def test_a_strange_page_may_not_open_a_socket(web: Web, path: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        open_and_close(web, path, origin="https://evil.example")
    assert refused.value.response.status_code == 403
    open_and_close(web, path, origin=f"http://{web.address}")


def open_and_close(web: Web, path: str, **more: str) -> None:
    with web.socket(path, **more):
        pass


def test_a_socket_where_there_is_none_is_refused(web: Web) -> None:
    with pytest.raises(InvalidStatus) as refused:
        open_and_close(web, "/v1/nothing")
    assert refused.value.response.status_code in {403, 404}
