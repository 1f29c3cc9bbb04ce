"""voxswap's own HTTP: the same audio as over gRPC, and the same answers."""

from __future__ import annotations

import io
import json
import threading
import wave

import pytest

from tests.e2e.servers import ServerThread
from tests.http.web import LINE, Web, is_sound, pcm, unpacked
from voxswap_client import Client, Encoding

SPOKEN = {"voice": "joe", "text": LINE, "seed": "7"}


def test_audio_is_that_of_grpc_to_the_sample(web: Web, client: Client) -> None:
    told = client.say("joe", LINE, seed=7)
    answer = web.post("/v1/speech", SPOKEN | {"format": "pcm_s16le"})
    assert (answer.status, answer.whole) == (200, True)
    assert answer.body == told.audio
    assert answer.headers["content-type"] == "audio/pcm; rate=22050; channels=1"
    assert answer.headers["voxswap-voice"] == "joe@1"
    assert answer.headers["voxswap-sample-rate-hertz"] == "22050"
    assert answer.headers["voxswap-encoding"] == "pcm_s16le"
    assert answer.trailers["voxswap-total-samples"] == str(len(answer.body) // 2)
    assert answer.trailers["voxswap-seed"] == "7"
    assert float(answer.trailers["voxswap-compute-ms"]) > 0


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "audio/wav"),
        ("audio/mpeg", "audio/mpeg"),
        ("audio/ogg;q=0.5, audio/flac", "audio/flac"),
        ("text/html, audio/ogg", "audio/ogg; codecs=opus"),
        ("audio/basic", "audio/basic; rate=22050; channels=1"),
    ],
)
def test_what_is_accepted_is_sent(web: Web, accept: str, media_type: str) -> None:
    answer = web.post("/v1/speech", SPOKEN, Accept=accept)
    assert answer.headers["content-type"] == media_type
    assert len(answer.body) > 1000


_PARTED = [e.name.lower() for e in Encoding if e is not Encoding.OPUS_PACKETS]


@pytest.mark.parametrize("encoding", _PARTED)
def test_every_encoding_is_that_of_grpc(web: Web, client: Client, encoding: str) -> None:
    told = client.say("joe", "Halt!", seed=3, encoding=encoding)
    body = {"voice": "joe", "text": "Halt!", "seed": 3, "audio": {"encoding": encoding}}
    answer = web.post("/v1/speech", body)
    assert answer.whole
    if encoding == "ogg_opus":  # each stream of Ogg has a number of its own
        assert len(answer.body) == len(told.audio)
    else:
        assert answer.body == told.audio


def test_events_have_audio_marks_and_what_is_known_at_the_end(web: Web, client: Client) -> None:
    with client.synthesize("joe", LINE, seed=7, marks=["word", "viseme"]) as stream:
        chunks = list(stream)
    body = SPOKEN | {"stream": "events", "marks": ["word", "viseme"]}
    answer = web.post("/v1/speech", body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    header, *pieces, trailer = answer.events
    assert (header["type"], header["voice"], trailer["type"]) == ("header", "joe@1", "trailer")
    assert trailer["seed"] == "7"
    audio = b"".join(unpacked(piece["audio"]) for piece in pieces)
    assert audio == b"".join(chunk.audio for chunk in chunks)
    told = [(m["kind"], m["text"], m["start_sample"]) for piece in pieces for m in piece["marks"]]
    assert told == [(m.kind.value, m.text, m.start_sample) for c in chunks for m in c.marks]


def test_the_simplest_thing_is_a_whole_file(web: Web) -> None:
    answer = web.post("/api/tts", SPOKEN)
    assert answer.headers["content-length"] == str(len(answer.body))
    with wave.open(io.BytesIO(answer.body)) as file:
        assert (file.getframerate(), file.getnchannels()) == (22050, 1)
        samples = file.readframes(file.getnframes())
    assert len(samples) == len(answer.body) - 44
    assert is_sound(samples, seconds=3.5, hertz=22050)


def test_a_stream_is_interrupted_by_its_id(web: Web) -> None:
    """The reader has the header; what had been sent then is all that it gets."""
    long = " ".join([LINE] * 20)
    body = json.dumps({"voice": "joe", "text": long, "stream": "events"}).encode()
    with web.connect() as sock, sock.makefile("rb") as stream:
        head = web.head("POST", "/v1/speech", {"Content-Type": "application/json"}, len(body))
        sock.sendall(head + body)
        while not (line := stream.readline()).startswith(b"data: "):
            pass
        stream_id = json.loads(line.removeprefix(b"data: "))["stream_id"]
        receipt = web.post("/v1/interrupt", {"stream_id": stream_id}).json
        rest = stream.readline()
        while b'"interrupted"' not in rest:
            rest += stream.readline()
    assert f'"end_sample":{receipt["end_sample"]}'.encode() in rest
    assert b'"trailer"' not in rest
    gone = web.post("/v1/interrupt", {"stream_id": stream_id})
    assert (gone.status, gone.error["reason"]) == (404, "STREAM_NOT_FOUND")


def test_voices_are_searched_and_come_in_pages(web: Web) -> None:
    (joe,) = web.get("/v1/voices?search=JO").json["voices"]
    assert (joe["id"], joe["engine"], joe["language"]) == ("joe", "vits", "en-US")
    assert {"name": "rate", "least": 0.25, "most": 4.0, "neutral": 1.0} in joe["controls"]
    assert web.get("/v1/voices?search=nobody").json == {"voices": [], "next_page_token": ""}
    assert web.get("/v1/voices/joe@1").json == joe
    assert web.get("/v1/voices/joe@9").status == 404


def test_memory_is_shown_steered_and_explained(web: Web) -> None:
    assert web.post("/v1/load", {"voice": "joe"}).json["resident"]["state"] == "resident"
    found = web.get("/v1/residents").json
    (ledger,) = found["ledgers"]
    parts = ("free_bytes", "reserved_bytes", "resident_bytes", "evicting_bytes")
    assert sum(ledger[part] for part in parts) == ledger["budget_bytes"]
    assert found["residents"][0]["voices"] == ["joe@1"]
    assert web.get("/v1/explain?voice=joe").json["resident"] is True
    assert web.post("/v1/pin", {"voice": "joe"}).json["resident"]["pinned"] is True
    refused = web.post("/v1/unload", {"voice": "joe"})
    assert (refused.status, refused.error["reason"]) == (400, "VOICE_IN_USE")
    assert web.post("/v1/unpin", {"voice": "joe"}).json["resident"]["pinned"] is False
    assert web.post("/v1/unload", {"voice": "joe"}).json["freed_bytes"] > 30_000_000
    scene = web.post("/v1/prepare", {"cast": [{"voice": "joe", "first_line_ms": 500}]}).json
    assert [member["voice"] for member in scene["cast"]] == ["joe@1"]
    assert scene["fits"] is True
    web.post("/v1/load", {"voice": "joe"})  # or the scene would still be loading it


def test_events_tell_of_loads_and_evictions_and_go_on_after_a_break(
    web: Web, server: ServerThread
) -> None:
    web.post("/v1/unload", {"voice": "joe"})
    place = web.get("/v1/residents").json
    query = f"after_sequence={place['last_sequence']}&epoch={place['epoch']}"
    with web.connect() as sock, sock.makefile("rb") as stream:
        sock.sendall(web.head("GET", f"/v1/events?{query}", {}, None))
        threading.Thread(target=web.post, args=("/v1/load", {"voice": "joe"})).start()
        event_id, kinds = b"", []
        while "loaded" not in kinds:
            line = stream.readline()
            if line.startswith(b"id: "):
                event_id = line.removeprefix(b"id: ").strip()
            if line.startswith(b"data: "):
                kinds.append(json.loads(line.removeprefix(b"data: "))["kind"])
    assert kinds == ["load_started", "loaded"]
    web.post("/v1/unload", {"voice": "joe"})
    with web.connect() as sock, sock.makefile("rb") as stream:
        sock.sendall(web.head("GET", "/v1/events", {"Last-Event-ID": event_id.decode()}, None))
        while not (line := stream.readline()).startswith(b"data: "):
            pass
    assert json.loads(line.removeprefix(b"data: "))["kind"] == "evicted"
    server.wait_until(lambda: server.house.events.watchers == 0)


def test_a_seed_says_the_same_whatever_the_door(web: Web) -> None:
    first, again = (web.post("/v1/speech", SPOKEN).body for _ in range(2))
    assert first == again
    other = web.post("/v1/speech", SPOKEN | {"seed": 8}).body
    assert first != other
    assert pcm(first[44:]).any()
