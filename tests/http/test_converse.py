"""Conversations over the WebSocket: what is said, heard, interrupted, and gone on with."""

from __future__ import annotations

import json

import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError
from websockets.sync.client import ClientConnection

from tests.e2e.servers import ServerThread, active_leases
from tests.http.web import LINE, Heard, Web, frames, hear, say
from voxswap_client import Client
from voxswap_server.doors.http.native import outlets

LONG = " ".join([LINE] * 12)


def test_a_text_in_pieces_sounds_as_over_grpc(web: Web, client: Client) -> None:
    with client.converse("joe", seed=5) as conversation:
        conversation.send("Halt! Who goes there? The bri")
        conversation.send("dge is closed.")
        conversation.end()
        told = b"".join(part.audio for part in conversation)
    with web.socket("/v1/converse") as ws:
        say(ws, "start", voice="joe", seed=5, marks=["word", "viseme"])
        say(ws, "text", text="Halt! Who goes there? The bri")
        say(ws, "text", text="dge is closed.")
        say(ws, "end")
        heard = hear(ws)
    assert heard.audio == told
    header, trailer = heard.told[0], heard.told[-1]
    assert (header["type"], header["voice"], header["encoding"]) == ("header", "joe@1", "pcm_s16le")
    assert (trailer["type"], trailer["seed"]) == ("trailer", "5")
    assert trailer["total_samples"] == len(told) // 2
    words = [mark["text"] for mark in heard.marks if mark["kind"] == "word"]
    assert words == ["Halt", "Who", "goes", "there", "The", "bridge", "is", "closed"]
    visemes = [mark for mark in heard.marks if mark["kind"] == "viseme"]
    assert visemes[-1]["text"] == "sil"


def test_a_flush_speaks_what_is_no_sentence(web: Web) -> None:
    with web.socket("/v1/converse") as ws:
        say(ws, "start", voice="joe", text="And then", marks=["word"])
        say(ws, "flush")
        assert [mark["text"] for mark in hear_words(ws, 2)] == ["And", "then"]
        say(ws, "end")
        assert hear(ws).told[-1]["type"] == "trailer"


def hear_words(ws: ClientConnection, n: int) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for told, _ in frames(ws):
        found += [mark for mark in told.get("marks", ()) if mark["kind"] == "word"]
        if len(found) >= n:
            break
    return found


def test_an_interruption_is_answered_and_more_may_be_said(web: Web) -> None:
    with web.socket("/v1/converse") as ws:
        say(ws, "start", voice="joe", text=LONG)
        hear(ws, "chunk")
        say(ws, "interrupt")
        heard = hear(ws, "interrupted")
        receipt = heard.told[-1]
        assert receipt["end_sample"] > 0
        say(ws, "text", text="Well then. ")
        say(ws, "end")
        rest = hear(ws)
    first = rest.of("chunk")[0]
    assert first["start_sample"] == receipt["end_sample"]
    assert rest.told[-1]["type"] == "trailer"


def test_an_interruption_goes_past_text_that_waits(web: Web) -> None:
    with web.socket("/v1/converse") as ws:
        say(ws, "start", voice="joe")
        for _ in range(40):
            say(ws, "text", text=LONG)
        hear(ws, "chunk")
        say(ws, "interrupt")
        assert hear(ws, "interrupted").told[-1]["type"] == "interrupted"
        say(ws, "end")
        assert hear(ws).told[-1]["type"] == "trailer"


def test_several_conversations_share_a_socket(web: Web) -> None:
    lines = {name: f"Line {name} is spoken here." for name in "abc"}
    heard = {name: Heard() for name in lines}
    with web.socket("/v1/converse") as ws:
        for name, line in lines.items():
            # Nobody listens, so that none of them is refused where a machine is busy.
            say(ws, "start", name, voice="joe", text=line, seed=1, marks=["word"], pacing="none")
            say(ws, "end", name)
        left = set(lines)
        for told, audio in frames(ws):
            heard[told["conversation"]].told.append(told)
            heard[told["conversation"]].audio += audio
            if told["type"] == "trailer":
                left.remove(told["conversation"])
            if not left:
                break
        # Their names are free again.
        say(ws, "start", voice="joe", text=lines["a"], seed=1, marks=["word"])
        say(ws, "end")
        assert hear(ws).audio == heard["a"].audio
    for name in lines:
        words = [mark["text"] for mark in heard[name].marks]
        assert words == ["Line", name, "is", "spoken", "here"]
        assert heard[name].told[-1]["total_samples"] * 2 == len(heard[name].audio)


def test_a_cancel_lets_go_at_once(web: Web, server: ServerThread) -> None:
    with web.socket("/v1/converse") as ws:
        say(ws, "start", voice="joe", text=LONG)
        hear(ws, "chunk")
        say(ws, "cancel")
        server.wait_until(lambda: active_leases(server) == 0)
        say(ws, "start", voice="joe", text="Halt!")
        say(ws, "end")
        # What was on its way of the first one is before the header of the second.
        assert hear(ws, "trailer").of("header")


def test_hanging_up_stops_the_compute(web: Web, server: ServerThread) -> None:
    with web.socket("/v1/converse") as ws:
        say(ws, "start", voice="joe", text=LONG)
        hear(ws, "chunk")
        ws.socket.close()
    server.wait_until(lambda: active_leases(server) == 0)


def test_a_conversation_goes_on_over_another_socket(web: Web, client: Client) -> None:
    told = client.say("joe", LONG, seed=2).audio
    with web.socket("/v1/converse") as ws:
        say(ws, "start", voice="joe", text=LONG, seed=2, resumable=True, pacing="none")
        say(ws, "end")
        first = hear(ws, "chunk")
        ws.socket.close()
    stream_id, chunk = first.told[0]["stream_id"], first.told[-1]
    sample = chunk["start_sample"] + chunk["sample_count"]
    with web.socket("/v1/converse") as ws:
        say(ws, "resume", "again", stream_id=stream_id, sample=sample)
        rest = hear(ws, conversation="again")
        assert rest.told.pop(0) == {
            "type": "resumed",
            "conversation": "again",
            "frames_taken": 1,
        }
    assert first.audio + rest.audio == told
    assert rest.told[-1]["type"] == "trailer"
    assert not rest.of("header")


def test_what_was_lost_on_the_way_is_sent_again(web: Web, client: Client) -> None:
    """The client says which samples it has; those after them come, from a chunk's beginning."""
    told = client.say("joe", LINE, seed=2).audio
    with web.socket("/v1/converse") as ws:
        say(ws, "start", voice="joe", text=LINE, seed=2, resumable=True)
        say(ws, "end")
        whole = hear(ws)
        stream_id = whole.told[0]["stream_id"]
    lost = whole.of("chunk")[2]
    with web.socket("/v1/converse") as ws:
        say(ws, "resume", stream_id=stream_id, sample=lost["start_sample"] + 1)
        again = hear(ws)
        assert again.told.pop(0)["type"] == "resumed"
        say(ws, "resume", "b", stream_id=stream_id, sample=0)
        everything = hear(ws, conversation="b")
        assert everything.told.pop(0)["type"] == "resumed"
    assert again.of("chunk")[0] == lost
    assert again.audio == told[2 * lost["start_sample"] :]
    assert everything.audio == told
    assert [frame["type"] for frame in everything.told] == [f["type"] for f in whole.told]


def test_a_client_that_does_not_come_back_is_not_waited_for(
    web: Web, server: ServerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outlets, "PARKED_S", 0.05)
    with web.socket("/v1/converse") as ws:
        say(ws, "start", voice="joe", text=LONG, resumable=True)
        stream_id = hear(ws, "chunk").told[0]["stream_id"]
        ws.socket.close()
    server.wait_until(lambda: active_leases(server) == 0)
    with web.socket("/v1/converse") as ws:
        say(ws, "resume", stream_id=stream_id, sample=0)
        error = hear(ws).told[-1]["error"]
    assert error["reason"] == "STREAM_NOT_FOUND"


@pytest.mark.parametrize(
    ("frame", "field"),
    [
        ({"type": "start", "voice": "nobody/../joe"}, "voice"),
        ({"type": "start", "voice": "joe", "colour": "red"}, "colour"),
        ({"type": "start", "voice": "joe", "controls": {"rate": "fast"}}, "controls.rate"),
        ({"type": "start", "voice": "joe", "controls": {"rate": 99}}, "controls.rate"),
        ({"type": "start", "voice": "joe", "seed": -1}, "seed"),
        ({"type": "start", "voice": "joe", "text": 5}, "text"),
        ({"type": "text", "text": "Halt!"}, "conversation"),
        ({"type": "flush", "voice": "joe"}, "voice"),
        ({"type": "sing"}, "type"),
        ({"type": 5}, "type"),
        ({"type": "resume", "stream_id": "x"}, "sample"),
    ],
)
def test_a_bad_frame_ends_its_conversation_and_names_the_field(
    web: Web, frame: dict[str, object], field: str
) -> None:
    with web.socket("/v1/converse") as ws:
        ws.send(json.dumps(frame | {"conversation": "a"}))
        error = hear(ws).told[-1]["error"]
        assert field in [violation["field"] for violation in error["violations"]]
        say(ws, "start", voice="joe", text="Halt!")
        say(ws, "end")
        assert hear(ws).told[-1]["type"] == "trailer"


def test_text_that_is_none_ends_a_conversation_under_way(web: Web, server: ServerThread) -> None:
    with web.socket("/v1/converse") as ws:
        say(ws, "start", voice="joe", text=LONG)
        hear(ws, "chunk")
        say(ws, "text", text="a\x00b")
        error = hear(ws).told[-1]["error"]
        assert error["violations"][0]["field"] == "text"
        server.wait_until(lambda: active_leases(server) == 0)


def test_an_unknown_voice_is_told(web: Web) -> None:
    with web.socket("/v1/converse") as ws:
        say(ws, "start", voice="nobody", text="Halt!")
        assert hear(ws).told[-1]["error"]["reason"] == "VOICE_NOT_FOUND"


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x00\x01", 1003),
        ("no json", 1008),
        ("[]", 1008),
        ("{}", 1008),
        ('{"type": "start", "type": "end", "conversation": "a"}', 1008),
        (json.dumps({"type": "start", "conversation": "a" * 129}), 1008),
        (json.dumps({"type": "start", "conversation": 5}), 1008),
        ("[" * 5000, 1008),
        ("x" * (3 << 20), 1009),
    ],
)
def test_a_frame_that_is_none_closes_the_socket(web: Web, frame: str | bytes, code: int) -> None:
    with web.socket("/v1/converse") as ws:
        ws.send(frame)
        with pytest.raises(ConnectionClosed) as closed:
            errors_until_closed(ws)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code


def errors_until_closed(ws: ClientConnection) -> None:
    while True:
        told = json.loads(ws.recv(timeout=10))
        assert told["type"] == "error"
        assert told["error"]["message"]


def test_a_socket_has_so_many_conversations_and_no_more(web: Web) -> None:
    with web.socket("/v1/converse") as ws:
        for i in range(33):
            say(ws, "start", f"{i}", voice="joe")
        error = hear(ws, conversation="32").told[-1]["error"]
    assert "more than 32" in error["message"]


def test_text_that_is_not_utf8_closes_the_socket(web: Web) -> None:
    with web.socket("/v1/converse") as ws:
        ws.socket.sendall(bytes([0x81, 0x81, 1, 2, 3, 4, 0xFF ^ 1]))  # a masked text of one byte
        with pytest.raises(ConnectionClosedError) as closed:
            ws.recv(timeout=10)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1007
