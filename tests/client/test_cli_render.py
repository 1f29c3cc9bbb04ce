"""`voxswap render` against a scripted server: what is written, what is not, and how it ends."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.client.fake_server import FakeServer
from tests.client.rendering import asked, files, last_line, render, rows, script, then
from tests.client.terminal import Capsys, unwrapped
from voxswap.v1 import residency_pb2, speech_pb2
from voxswap_client.cli import main

SAMPLES = b"".join(n.to_bytes(2, "little") for n in range(12))
RESIDENT = residency_pb2.RESIDENT_STATE_RESIDENT


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: FakeServer) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOXSWAP_ADDRESS", server.address)


def test_a_script_becomes_files_and_results(server: FakeServer, capsys: Capsys) -> None:
    script("npc/smith,One,a/one", "npc/smith,Two,", header="voice,text,id")
    assert render("--encoding", "pcm_s16le") == 0
    assert files() == {"a/one.wav", "000003.wav"}
    with wave.open("out/a/one.wav") as file:
        assert (file.getframerate(), file.readframes(99)) == (8000, SAMPLES)
    first, second = rows()
    digest = hashlib.sha256(Path("out/a/one.wav").read_bytes()).hexdigest()
    assert first.pop("request") != second["request"]
    assert first == {
        "id": "a/one",
        "status": "done",
        "line": 2,
        "file": "a/one.wav",
        "voice": "npc/smith@3",
        "digest": f"sha256:{digest}",
        "size_bytes": 68,
        "samples": 12,
        "seconds": 0.0015,
        "seed": "7",
        "encoding": "pcm_s16le",
        "sample_rate_hertz": 8000,
        "loudness": None,
        "unknown_symbols": [],
    }
    assert capsys.readouterr().out == "out: 2 rendered; 0:00 of audio in 0:00\n"
    assert sorted(path.name for path in Path("out").iterdir()) == [
        *("000003.wav", "a", "results.jsonl")
    ]


def test_what_a_line_asks_for_reaches_the_server(server: FakeServer) -> None:
    script(
        "npc/smith,One,anna,9,1.5,0.25,0,FLAC,16000",
        header="voice,text,speaker,seed,rate,noise_scale,duration_noise_scale,format,sample_rate",
    )
    assert render() == 0
    assert server.requests[-1] == speech_pb2.SynthesizeRequest(
        voice="npc/smith",
        text="One",
        speaker="anna",
        seed=9,
        controls=speech_pb2.Controls(rate=1.5, noise_scale=0.25, duration_noise_scale=0),
        audio=speech_pb2.AudioFormat(
            encoding=speech_pb2.AUDIO_ENCODING_FLAC, sample_rate_hertz=16000
        ),
        pacing=speech_pb2.PACING_NONE,
    )


def test_the_servers_bytes_are_the_file(server: FakeServer) -> None:
    script("npc/smith,One,a")
    mp3 = server.header(encoding=speech_pb2.AUDIO_ENCODING_MP3)
    then(server, server.play(mp3, server.chunk(0, 12, audio=b"as they came"), server.trailer()))
    assert render("--encoding", "mp3") == 0
    assert Path("out/a.mp3").read_bytes() == b"as they came"


def test_what_is_there_is_left_alone(server: FakeServer, capsys: Capsys) -> None:
    script("npc/smith,One,a", "npc/smith,Two,b")
    assert render() == 0
    assert asked(server) == ["One", "Two"]
    assert render() == 0
    assert server.requests == []
    assert last_line(capsys) == "out: 0 rendered, 2 unchanged"
    assert len(rows()) == 2
    assert render("--force") == 0
    assert asked(server) == ["One", "Two"]
    assert len(rows()) == 4


def test_what_differs_is_rendered_again(server: FakeServer, capsys: Capsys) -> None:
    script("npc/smith,One,a", "npc/smith,Two,b", "npc/smith,Three,c", "npc/smith,Four,d")
    assert render() == 0
    asked(server)
    Path("out/b.wav").unlink()
    Path("out/c.wav").write_bytes(b"somebody else's")
    script("npc/smith,Eins,a", "npc/smith,Two,b", "npc/smith,Three,c", "npc/smith,Four,d")
    assert render() == 0
    assert asked(server) == ["Eins", "Two", "Three"]
    assert last_line(capsys) == "out: 3 rendered, 1 unchanged; 0:00 of audio in 0:00"
    assert render() == 0
    assert asked(server) == []


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *(("speaker", "anna"), ("seed", "1"), ("rate", "2"), ("noise_scale", "0")),
        *(("duration_noise_scale", "0"), ("sample_rate", "8000"), ("format", "pcm_s16le")),
    ],
)
def test_whatever_is_asked_of_a_line_makes_it_another(
    server: FakeServer, column: str, value: str
) -> None:
    script("npc/smith,One,a,", header=f"voice,text,id,{column}")
    assert render() == 0
    script(f"npc/smith,One,a,{value}", header=f"voice,text,id,{column}")
    assert render() == 0
    assert asked(server) == ["One", "One"]
    assert render() == 0
    assert asked(server) == []


def test_lines_that_fail_are_told_and_the_rest_is_done(server: FakeServer, capsys: Capsys) -> None:
    script(*(f"npc/{'ghost' if n % 2 else 'smith'},Text {n},{n}" for n in range(14)), "npc/x,Bad,x")
    unknown = server.fail(
        grpc.StatusCode.NOT_FOUND, "there is no voice npc/ghost", server.reason("VOICE_NOT_FOUND")
    )
    bad = server.fail(grpc.StatusCode.INVALID_ARGUMENT, "text is bad", server.reason("BAD"))
    then(server, *[server.play(*server.line)] * 7, *[unknown] * 7, bad)
    assert render() == 1
    out, err = capsys.readouterr()
    assert out == "out: 7 rendered, 8 failed; 0:00 of audio in 0:00\n"
    assert unwrapped(err) == [
        "voxswap: error: 8 of 15 lines failed",
        "  lines 3, 5, 7, 9, 11 and 2 more: there is no voice npc/ghost",
        "  line 16: text is bad",
        "  the same command tries them again; out/results.jsonl has them all",
    ]
    assert [row["reason"] for row in rows() if row["status"] == "failed"] == [
        *["VOICE_NOT_FOUND"] * 7,
        "BAD",
    ]
    asked(server)
    assert render() == 0
    assert asked(server) == [*(f"Text {n}" for n in range(1, 14, 2)), "Bad"]


def test_faults_of_the_script_are_told_before_anything_is_rendered(
    server: FakeServer, capsys: Capsys
) -> None:
    script("npc/smith,,a", "npc/smith,Two,../b", *["npc/smith,,"] * 30)
    assert render() == 2
    err = unwrapped(capsys.readouterr().err)
    assert err[:3] == [
        "voxswap: error: s.csv has 32 faults; nothing was rendered",
        "  line 2: text is empty",
        "  line 3: id: '../b' has a name that begins with a full stop",
    ]
    assert err[-1] == "  … and 12 more"
    assert len(err) == 22
    assert server.requests == []
    assert not Path("out").exists()


def test_a_script_from_stdin(monkeypatch: pytest.MonkeyPatch, capsys: Capsys) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(b'{"voice": "npc/smith", "text": "Hi", "id": "a"}\n'))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert main(["render", "-", "-o", "out", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "out": "out",
        "rendered": 1,
        "unchanged": 0,
        "failed": 0,
        "audio_s": 0.0015,
        "off_target": 0,
        "failures": [],
    }


def test_voices_come_one_after_the_other_those_in_memory_first(server: FakeServer) -> None:
    script(*(f"npc/{name},{name} {n}," for n in range(3) for name in ("a", "b", "c")))
    server.residents.append(residency_pb2.Resident(voices=["npc/c@1"], state=RESIDENT))
    assert main(["render", "s.csv", "-o", "out", "--jobs", "1"]) == 0
    assert asked(server) == [f"{name} {n}" for name in "cab" for n in range(3)]


def test_a_server_without_residents_is_no_hindrance(server: FakeServer) -> None:
    script("npc/smith,One,a")
    server.script.append(server.fail(grpc.StatusCode.UNIMPLEMENTED, "what is that"))
    assert render() == 0


def test_as_many_lines_at_a_time_as_asked_for(server: FakeServer) -> None:
    import threading

    meet = threading.Barrier(3, timeout=server.patience_s)

    def together(_request: Any, _context: Any) -> Iterator[Any]:
        meet.wait()
        yield from server.line

    script("npc/smith,One,a", "npc/smith,Two,b", "npc/smith,Three,c")
    then(server, *[together] * 3)
    assert main(["render", "s.csv", "-o", "out", "--jobs", "3"]) == 0


def test_a_server_that_is_full_is_waited_for(server: FakeServer) -> None:
    full = server.fail(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "too much to compute",
        server.reason("OVERLOADED"),
        server.retry_info(0.001),
    )
    script("npc/smith,One,a")
    then(server, full, full)
    assert render() == 0
    assert asked(server) == ["One"] * 3


def test_a_server_that_goes_away_ends_the_run_and_fails_no_line(
    server: FakeServer, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    from voxswap_client.cli import render_run
    from voxswap_client.retry import RetryPolicy

    monkeypatch.setattr(render_run, "RETRIES", RetryPolicy(max_attempts=1))
    script(*(f"npc/smith,Text {n},{n}" for n in range(5)))
    gone = server.fail(grpc.StatusCode.UNAVAILABLE, "Socket closed")
    then(server, server.play(*server.line), gone)
    assert render() == 1
    assert unwrapped(capsys.readouterr().err) == [
        "1 of 5 lines are done; the same command goes on from here",
        "voxswap: error: the server cannot be reached, or broke the connection (Socket closed)",
        "  start the server again",
    ]
    assert [row["status"] for row in rows()] == ["done"]
    asked(server)
    assert render() == 0
    assert asked(server) == [f"Text {n}" for n in range(1, 5)]


# The command line


def test_a_script_or_a_server_that_is_not_there(server: FakeServer, capsys: Capsys) -> None:
    assert render() == 1
    assert capsys.readouterr().err == "voxswap: error: No such file or directory: s.csv\n"
    script("npc/smith,One,a")
    server.stop()
    assert render() == 1
    assert "start a server with `voxswap serve`" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags",
    [
        *(["--jobs", "0"], ["--jobs", "65"], ["--jobs", "x"], ["--loudness", "1"]),
        *(["--loudness", "nan"], ["--encoding", "opus_packets"], ["--timeout", "0"]),
    ],
    ids=" ".join,
)
def test_a_command_line_that_is_wrong(flags: list[str], capsys: Capsys) -> None:
    script("npc/smith,One,a")
    assert main(["render", "s.csv", "-o", "out", *flags]) == 2
    assert "error: argument " in capsys.readouterr().err


def test_a_loudness_needs_its_extra(monkeypatch: pytest.MonkeyPatch, capsys: Capsys) -> None:
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name == "pyloudnorm" else found(name) or True,
    )
    script("npc/smith,One,a,-23", header="voice,text,id,loudness")
    assert render() == 2
    assert unwrapped(capsys.readouterr().err) == [
        "voxswap: error: a loudness needs pyloudnorm, not installed here",
        "  pip install 'voxswap[render]', or leave the loudness out",
    ]


def test_what_was_left_out_is_told(server: FakeServer, capsys: Capsys) -> None:
    symbols = [speech_pb2.UnknownSymbol(symbol="你", count=2)]
    script("npc/smith,One,a")
    then(server, server.play(*server.line[:4], server.trailer(unknown_symbols=symbols)))
    assert render() == 0
    assert rows()[0]["unknown_symbols"] == [{"symbol": "你", "count": 2}]
    assert unwrapped(capsys.readouterr().err) == [
        "voxswap: warning: what the voice has no sound for was left out of 1 line",
        "  see unknown_symbols in out/results.jsonl",
    ]
