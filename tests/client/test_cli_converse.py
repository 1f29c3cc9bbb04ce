"""`voxswap converse`: text from stdin as it comes, files, pipes, players and interruptions."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import signal
import subprocess
import sys
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.client.fake_server import FakeServer
from tests.client.terminal import Capsys
from voxswap.v1 import speech_pb2
from voxswap_client.cli import main


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: FakeServer) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOXSWAP_ADDRESS", server.address)


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Makes these bytes what comes on stdin."""
    with contextlib.ExitStack() as stack:

        def give(data: bytes) -> None:
            reader, writer = os.pipe()
            os.write(writer, data)
            os.close(writer)
            monkeypatch.setattr(sys, "stdin", stack.enter_context(os.fdopen(reader)))

        yield give


def samples(count: int) -> bytes:
    return b"".join(n.to_bytes(2, "little") for n in range(count))


def read_wav(file: Any) -> tuple[int, bytes]:
    with wave.open(file) as wav:
        return wav.getframerate(), wav.readframes(99)


def texts(server: FakeServer) -> str:
    return "".join(request.text for request in server.requests if request.HasField("text"))


def test_what_comes_on_stdin_is_spoken_into_a_file(
    capsys: Capsys, server: FakeServer, stdin: Callable[..., Any], tmp_path: Path
) -> None:
    stdin("Grüß dich.\nHi".encode())
    assert main(["converse", "npc/smith", "-o", "talk.wav"]) == 0
    assert texts(server) == "Grüß dich.\nHi"
    assert not any(request.HasField("flush") for request in server.requests)
    assert read_wav("talk.wav") == (8000, samples(13))
    assert capsys.readouterr().out == (
        "wrote talk.wav: 0.00 s of npc/smith@3, warm, RTF 0.000, seed 7\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["talk.wav"]


def test_a_letter_may_come_in_two_pieces(server: FakeServer) -> None:
    with running("-o", "talk.wav") as process:
        first, second = "ü".encode()[:1], "ü".encode()[1:]
        for byte in (first, second):
            process.stdin.write(byte)
            process.stdin.flush()
        end(process)
        assert process.wait(server.patience_s) == 0
    assert texts(server) == "ü"


@pytest.mark.parametrize("data", [b"\xff", b"Hi \xc3"], ids=["wrong", "cut off"])
def test_text_that_is_no_text(
    capsys: Capsys, stdin: Callable[..., Any], data: bytes, tmp_path: Path
) -> None:
    stdin(data)
    assert main(["converse", "npc/smith", "-o", "talk.wav"]) == 2
    assert "stdin is not UTF-8" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_every_flag_reaches_the_request(server: FakeServer, stdin: Callable[..., Any]) -> None:
    stdin(b"")
    flags = {
        "--speaker": "anna",
        "--rate": "0.5",
        "--seed": "9",
        "--sample-rate": "16000",
        "--encoding": "pcm_f32le",
        "--noise-scale": "0",
        "--duration-noise-scale": "0.75",
        "--class": "cinematic",
        "-o": "talk.wav",
    }
    assert main(["converse", "npc/smith@3", *(p for flag in flags.items() for p in flag)]) == 0
    assert server.requests == [
        speech_pb2.ConverseRequest(
            start=speech_pb2.SynthesizeRequest(
                voice="npc/smith@3",
                speaker="anna",
                audio=speech_pb2.AudioFormat(
                    encoding=speech_pb2.AUDIO_ENCODING_PCM_F32LE, sample_rate_hertz=16000
                ),
                controls=speech_pb2.Controls(rate=0.5, noise_scale=0, duration_noise_scale=0.75),
                seed=9,
                line_class=speech_pb2.LINE_CLASS_CINEMATIC,
                pacing=speech_pb2.PACING_NONE,
            )
        )
    ]


@pytest.mark.parametrize(("text", "count"), [(b"Hi", 2), (b"", 0)], ids=["words", "none"])
def test_a_pipe_gets_a_wav_and_nothing_else(
    capfdbinary: pytest.CaptureFixture[bytes], stdin: Callable[..., Any], text: bytes, count: int
) -> None:
    stdin(text)
    assert main(["converse", "npc/smith", "-o", "-"]) == 0
    out, err = capfdbinary.readouterr()
    assert len(out) == 44 + 2 * count
    assert read_wav(io.BytesIO(out)) == (8000, samples(count))
    assert err.startswith(b"wrote stdout: 0.00 s of npc/smith@3")


def test_json_is_one_document(capsys: Capsys, stdin: Callable[..., Any]) -> None:
    stdin(b"Hi")
    assert main(["converse", "npc/smith", "-o", "talk.wav", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["output"], document["played"], document["receipts"]) == ("talk.wav", False, [])
    assert document["trailer"]["total_samples"] == 2


def test_an_error_of_the_server(
    capsys: Capsys, server: FakeServer, stdin: Callable[..., Any], tmp_path: Path
) -> None:
    stdin(b"Hi")
    idle = server.fail(
        grpc.StatusCode.DEADLINE_EXCEEDED, "nothing came", server.reason("CONVERSATION_IDLE")
    )
    server.script.append(server.saying(idle))
    assert main(["converse", "npc/smith", "-o", "talk.wav"]) == 1
    assert capsys.readouterr().err == (
        "voxswap: error: nothing came\n  end the text when all is said, at a terminal with Ctrl-D\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["-o", "-", "--json"], "both want stdout"),
        (["--encoding", "mp3"], "--play does not take mp3"),
        (["-o", "no/such/talk.wav"], "there is no folder no/such"),
    ],
)
def test_what_cannot_work_is_refused_before_the_call(
    capsys: Capsys, server: FakeServer, flags: list[str], message: str
) -> None:
    assert main(["converse", "npc/smith", *flags]) == 2
    assert message in capsys.readouterr().err
    assert server.requests == []


@contextlib.contextmanager
def running(*flags: str, **options: Any) -> Iterator[subprocess.Popen[Any]]:
    command = [sys.executable, "-m", "voxswap_client.cli", "converse", "npc/smith", *flags]
    pipes: dict[str, Any] = {
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
    }
    process = subprocess.Popen(command, **(pipes | options))  # noqa: S603
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def pipe_reader(path: Path) -> Iterator[Any]:
    """The lines of a named pipe; it stays open while its writers come and go."""
    with os.fdopen(os.open(path, os.O_RDWR)) as lines:
        yield lines


def end(process: subprocess.Popen[Any]) -> None:
    process.stdin.close()
    process.stdin = None  # `communicate` would flush it


def write(process: subprocess.Popen[Any], text: bytes) -> None:
    process.stdin.write(text)
    process.stdin.flush()


def test_audio_comes_before_the_text_is_over() -> None:
    with running("-o", "-") as process:
        write(process, b"four")
        assert process.stdout.read(44 + 8)[44:] == samples(4)
        write(process, b"more")
        assert process.stdout.read(8) == samples(8)[8:]


def test_an_interrupt_interrupts_the_speech_and_more_may_be_said(server: FakeServer) -> None:
    with running("-o", "-") as process:
        write(process, b"four")
        process.stdout.read(44 + 8)
        process.send_signal(signal.SIGINT)
        told = process.stderr.readline()
        assert told == b'interrupted: 0.00 s had been sent; the last whole word was "Hi"\n'
        write(process, b"more")
        assert process.stdout.read(8) == samples(8)[8:]
        end(process)
        assert process.wait(server.patience_s) == 0


def test_a_second_interrupt_quits(server: FakeServer) -> None:
    with running("-o", "-") as process:
        write(process, b"four")
        process.stdout.read(44 + 8)
        process.send_signal(signal.SIGINT)
        assert process.stderr.readline().startswith(b"interrupted: ")
        process.send_signal(signal.SIGINT)
        assert process.wait(server.patience_s) == 130
        assert process.stderr.read() == b"voxswap: interrupted\n"


def test_an_interrupt_quits_while_nothing_is_said(server: FakeServer) -> None:
    server.script.append(server.saying(server.stall()))
    with running("-o", "-") as process:
        assert server.waiting.wait(server.patience_s)
        process.send_signal(signal.SIGINT)
        assert process.wait(server.patience_s) == 130
        assert process.stderr.read() == b"voxswap: interrupted\n"
    assert server.ended.wait(server.patience_s)


def test_a_reader_that_leaves_ends_it(server: FakeServer) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with running("-o", "-", stdout=writer) as process:
        os.close(writer)
        write(process, b"four")
        assert process.wait(server.patience_s) == 1
        assert process.stderr.read() == b""


def test_at_a_terminal_each_line_is_spoken_at_once(server: FakeServer) -> None:
    terminal, theirs = pty.openpty()
    with running("-o", "-", stdin=theirs) as process:
        os.close(theirs)
        os.write(terminal, b"four\n")
        assert process.stdout.read(44 + 10)[44:] == samples(5)
        os.write(terminal, b"\x04")  # Ctrl-D
        assert process.wait(server.patience_s) == 0
    os.close(terminal)
    assert [request.WhichOneof("part") for request in server.requests] == ["start", "text", "flush"]


# Players


@pytest.fixture
def player(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A player on PATH. Each of its runs gets a file in the folder `played`, and tells a pipe."""
    (tmp_path / "played").mkdir()
    os.mkfifo(tmp_path / "heard")
    path = tmp_path / "bin" / "paplay"
    path.parent.mkdir()
    path.write_text(
        "#!/bin/sh\n"
        "cd played; run=$(ls | wc -l); : >$run\n"
        "head -c 8 >>$run; echo $run >../heard; exec cat >>$run\n"
    )
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    return tmp_path


def test_what_is_said_is_played(
    capsys: Capsys, player: Path, server: FakeServer, stdin: Callable[..., Any]
) -> None:
    stdin(b"Halt")
    with pipe_reader(player / "heard") as heard:
        assert main(["converse", "npc/smith"]) == 0
        assert heard.readline() == "0\n"
    assert (player / "played" / "0").read_bytes() == samples(4)
    assert capsys.readouterr().out.startswith("played: 0.00 s of npc/smith@3")
    assert server.requests[0].start.pacing == speech_pb2.PACING_REALTIME


def test_an_interrupt_stops_the_player_and_new_text_has_a_new_one(
    player: Path, server: FakeServer
) -> None:
    with pipe_reader(player / "heard") as heard, running() as process:
        write(process, b"four")
        assert heard.readline() == "0\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline().startswith(b"interrupted: ")
        write(process, b"more")
        assert heard.readline() == "1\n"
        end(process)
        assert process.wait(server.patience_s) == 0
    assert (player / "played" / "1").read_bytes() == samples(8)[8:]


def test_a_player_that_fails_ends_it(
    capsys: Capsys, player: Path, stdin: Callable[..., Any]
) -> None:
    (player / "bin" / "paplay").write_text("#!/bin/sh\ncat >/dev/null; exit 3\n")
    stdin(b"Halt")
    assert main(["converse", "npc/smith"]) == 1
    assert "paplay failed with exit code 3" in capsys.readouterr().err
