"""`voxswap say`: files, pipes, players, and what stays behind when it is interrupted."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import stat
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.client.fake_server import FakeServer
from tests.client.terminal import Capsys
from voxswap.v1 import speech_pb2
from voxswap_client.cli import main
from voxswap_client.cli.failure import CliError
from voxswap_client.cli.players import PROGRAMS, Player, Program
from voxswap_client.types import Encoding, Header

SAMPLES = b"".join(n.to_bytes(2, "little") for n in range(12))


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: FakeServer) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOXSWAP_ADDRESS", server.address)


def read_wav(path: str) -> tuple[int, bytes]:
    with wave.open(str(path)) as file:
        return file.getframerate(), file.readframes(99)


def steady(text: str) -> str:
    """``text`` without the one thing that differs from run to run."""
    return re.sub(r"TTFA \d+(\.\d+)? m?s", "TTFA 5 ms", text)


def test_a_line_goes_to_a_file_named_after_the_voice(capsys: Capsys, tmp_path: Path) -> None:
    assert main(["say", "npc/smith", "Hi"]) == 0
    assert read_wav("smith.wav") == (8000, SAMPLES)
    assert steady(capsys.readouterr().out) == (
        "wrote smith.wav: 0.00 s of npc/smith@3, cold (20 ms to load), TTFA 5 ms, RTF 0.500, "
        "seed 7\n"
        "MARK    START s  END s  TEXT\n"
        "word      0.000  0.001  Hi\n"
        "viseme    0.002  0.002  sil\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["smith.wav"]


def test_a_file_that_was_not_named_replaces_none(capsys: Capsys, tmp_path: Path) -> None:
    (tmp_path / "smith.wav").write_bytes(b"mine")
    (tmp_path / "smith-2.wav").write_bytes(b"mine too")
    assert main(["say", "npc/smith", "Hi"]) == 0
    assert capsys.readouterr().out.startswith("wrote smith-3.wav: ")
    assert (tmp_path / "smith.wav").read_bytes() == b"mine"
    assert (tmp_path / "smith-2.wav").read_bytes() == b"mine too"


def test_a_file_that_was_named_is_replaced(
    capsys: Capsys, server: FakeServer, tmp_path: Path
) -> None:
    (tmp_path / "out.wav").write_bytes(b"old")
    warm = [server.header(cold=False), *server.line[1:]]
    server.script.append(server.play(*warm))
    assert main(["say", "npc/smith", "Hi", "-o", "out.wav"]) == 0
    assert read_wav("out.wav") == (8000, SAMPLES)
    assert capsys.readouterr().out.startswith("wrote out.wav: 0.00 s of npc/smith@3, warm, TTFA ")


def test_how_it_is_felt_reaches_the_request_and_how_it_is_spoken_is_told(
    capsys: Capsys, server: FakeServer
) -> None:
    angry = speech_pb2.EmotionWeight(emotion="angry", weight=1.05)
    felt = server.header(expression=speech_pb2.EXPRESSION_PROSODY, emotions=[angry])
    server.script.append(server.play(felt, *server.line[1:]))
    flags = "--emotion angry=0.7 --emotion sad=0.2 --intensity 1.5 --pitch -2 --volume 3 "
    flags += "--pitch-range 0.5 --pauses 2 --fallback prosody --style-prompt whispering"
    assert main(["say", "npc/smith", "Hi", *flags.split()]) == 0
    assert "npc/smith@3, angry 1.05 (PROSODY), cold" in capsys.readouterr().out
    (request,) = server.requests
    assert {share.emotion: round(share.weight, 6) for share in request.emotion.mixture} == {
        "angry": 0.7,
        "sad": 0.2,
    }
    assert request.emotion.intensity == 1.5
    assert request.emotion.fallback == speech_pb2.EMOTION_FALLBACK_PROSODY
    assert request.style_prompt == "whispering"
    assert request.controls == speech_pb2.Controls(
        pitch_semitones=-2, volume_db=3, pitch_range=0.5, pause_scale=2
    )


def test_what_no_text_says_is_told(capsys: Capsys, server: FakeServer) -> None:
    silent = server.header(expression=speech_pb2.EXPRESSION_NONE)
    server.script.append(server.play(silent, *server.line[1:]))
    assert main(["say", "npc/smith", "Hi", "--emotion", "auto"]) == 0
    assert "no emotion was spoken" in capsys.readouterr().out
    assert server.requests[0].emotion == speech_pb2.Emotion(
        from_text=True, fallback=speech_pb2.EMOTION_FALLBACK_PROSODY
    )


@pytest.mark.parametrize(
    ("flags", "fallback"),
    [
        ("", "UNSPECIFIED"),
        ("--intensity 2", "UNSPECIFIED"),
        ("--emotion sad", "PROSODY"),
        ("--valence 1 --arousal 1", "PROSODY"),
        ("--emotion sad --fallback none", "NONE"),
    ],
)
def test_who_names_an_emotion_asks_for_prosody_unless_told_otherwise(
    server: FakeServer, flags: str, fallback: str
) -> None:
    assert main(["say", "npc/smith", "Hi", *flags.split()]) == 0
    asked = server.requests[0].emotion.fallback
    assert asked == speech_pb2.EmotionFallback.Value(f"EMOTION_FALLBACK_{fallback}")


@pytest.mark.parametrize("wrong", ["angry=x", "=1", "angry --emotion angry", "auto --emotion sad"])
def test_what_is_no_emotion_is_not_sent(capsys: Capsys, server: FakeServer, wrong: str) -> None:
    assert main(["say", "npc/smith", "Hi", "--emotion", *wrong.split()]) == 2
    assert "--emotion" in capsys.readouterr().err
    assert not server.requests


def test_every_flag_reaches_the_request(server: FakeServer) -> None:
    flags = {
        "--speaker": "anna",
        "--rate": "0.5",
        "--seed": "9",
        "--sample-rate": "16000",
        "--encoding": "PCM_F32LE",
        "--noise-scale": "0",
        "--duration-noise-scale": "0.75",
        "--marks": "word, viseme",
        "--class": "bark",
        "--start-by": "300",
    }
    assert (
        main(
            [
                *("say", "npc/smith@3", "Hi", "--no-cache"),
                *(part for flag in flags.items() for part in flag),
            ]
        )
        == 0
    )
    assert server.requests == [
        speech_pb2.SynthesizeRequest(
            voice="npc/smith@3",
            text="Hi",
            speaker="anna",
            audio=speech_pb2.AudioFormat(
                encoding=speech_pb2.AUDIO_ENCODING_PCM_F32LE, sample_rate_hertz=16000
            ),
            controls=speech_pb2.Controls(rate=0.5, noise_scale=0, duration_noise_scale=0.75),
            seed=9,
            marks=[speech_pb2.MARK_KIND_WORD, speech_pb2.MARK_KIND_VISEME],
            line_class=speech_pb2.LINE_CLASS_BARK,
            start_by_ms=300,
            cache_policy=speech_pb2.CACHE_POLICY_OFF,
            pacing=speech_pb2.PACING_NONE,
        )
    ]


@pytest.mark.parametrize(
    ("flags", "pacing"),
    [
        ([], speech_pb2.PACING_NONE),
        (["-o", "-"], speech_pb2.PACING_NONE),
        (["--play"], speech_pb2.PACING_REALTIME),
        (["--play", "-o", "line.wav"], speech_pb2.PACING_REALTIME),
    ],
    ids=str,
)
def test_who_plays_a_line_listens_to_it(
    monkeypatch: pytest.MonkeyPatch,
    server: FakeServer,
    tmp_path: Path,
    flags: list[str],
    pacing: int,
) -> None:
    install(tmp_path, "pw-play", "cat >/dev/null")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    assert main(["say", "npc/smith", "Hi", *flags]) == 0
    assert [request.pacing for request in server.requests] == [pacing]


def test_a_line_that_is_too_late(capsys: Capsys, server: FakeServer) -> None:
    late = server.fail(
        grpc.StatusCode.DEADLINE_EXCEEDED, "would take 900 ms", server.reason("TOO_LATE")
    )
    server.script.append(late)
    assert main(["say", "npc/smith", "Hi", "--start-by", "300"]) == 1
    assert capsys.readouterr().err == (
        "voxswap: error: would take 900 ms\n"
        "  give it longer with --start-by MS, or leave that out\n"
    )


def test_text_from_stdin(monkeypatch: pytest.MonkeyPatch, server: FakeServer) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("Grüß dich\n".encode())))
    assert main(["say", "npc/smith", "-"]) == 0
    assert server.requests[0].text == "Grüß dich"


def test_text_from_stdin_that_is_no_text(
    capsys: Capsys, monkeypatch: pytest.MonkeyPatch, server: FakeServer
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff")))
    assert main(["say", "npc/smith", "-"]) == 2
    assert "stdin is not UTF-8" in capsys.readouterr().err
    assert server.requests == []


def test_json_is_one_document(capsys: Capsys) -> None:
    assert main(["say", "npc/smith", "Hi", "-o", "out.wav", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document.pop("ttfa_ms") > 0
    assert document["output"] == "out.wav"
    assert document["played"] is False
    assert document["duration_s"] == 12 / 8000
    assert document["rtf"] == pytest.approx(0.5)
    assert document["header"]["voice"] == "npc/smith@3"
    assert document["header"]["encoding"] == "pcm_s16le"
    assert document["trailer"]["seed"] == 7
    assert document["marks"][0] == {
        "kind": "word",
        "text": "Hi",
        "start_sample": 0,
        "duration_samples": 8,
        "text_start": 0,
        "text_end": 2,
    }


def test_symbols_without_a_sound_are_told(capsys: Capsys, server: FakeServer) -> None:
    missing = [speech_pb2.UnknownSymbol(symbol="☃", count=2)]
    server.script.append(server.play(*server.line[:4], server.trailer(unknown_symbols=missing)))
    assert main(["say", "npc/smith", "☃☃ Hi"]) == 0
    assert capsys.readouterr().err == (
        "voxswap: warning: '☃' (2×) was left out: the voice has no sound for it\n"
    )


def test_a_pipe_gets_a_wav_and_nothing_else(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["say", "npc/smith", "Hi", "-o", "-"]) == 0
    out, err = capsysbinary.readouterr()
    with wave.open(io.BytesIO(out)) as file:
        assert (file.getframerate(), file.readframes(12)) == (8000, SAMPLES)
    assert len(out) == 44 + len(SAMPLES)
    assert err.startswith(b"wrote stdout: 0.00 s of npc/smith@3")


def test_a_pipe_gets_audio_before_the_line_is_over(server: FakeServer) -> None:
    server.script.append(server.stall(*server.line[:2]))
    with running("-o", "-", stdout=subprocess.PIPE) as process:
        assert server.waiting.wait(server.patience_s)
        assert process.stdout.read(44 + 8)[44:] == SAMPLES[:8]


def test_the_servers_own_wav_is_piped_as_it_is(
    capsysbinary: pytest.CaptureFixture[bytes], server: FakeServer
) -> None:
    first = server.header(encoding=speech_pb2.AUDIO_ENCODING_WAV)
    parts = [server.chunk(0, 12, audio=b"RIFF and so on"), server.trailer()]
    server.script.append(server.play(first, *parts))
    assert main(["say", "npc/smith", "Hi", "-o", "-", "--encoding", "wav"]) == 0
    assert capsysbinary.readouterr().out == b"RIFF and so on"


@pytest.mark.parametrize(
    ("flags", "encoding"),
    [
        (["-o", "line.mp3"], speech_pb2.AUDIO_ENCODING_MP3),
        (["-o", "line.opus"], speech_pb2.AUDIO_ENCODING_OGG_OPUS),
        (["-o", "line.mp3", "--encoding", "flac"], speech_pb2.AUDIO_ENCODING_FLAC),
        (["-o", "line.wav"], speech_pb2.AUDIO_ENCODING_UNSPECIFIED),
    ],
)
def test_the_files_name_says_the_encoding_unless_told_otherwise(
    server: FakeServer, flags: list[str], encoding: int
) -> None:
    assert main(["say", "npc/smith", "Hi", *flags]) == 0
    assert server.requests[0].audio.encoding == encoding


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["-o", "-", "--json"], "both want stdout"),
        (["-o", "line.mp3", "--play"], "--play does not take mp3"),
        (["--encoding", "opus_packets"], "opus_packets"),
        (["--play", "--encoding", "mp3"], "--play does not take mp3"),
        (["-o", "."], ". is a folder"),
        (["-o", "no/such/line.wav"], "there is no folder no/such"),
    ],
)
def test_what_cannot_work_is_refused_before_the_call(
    capsys: Capsys, server: FakeServer, flags: list[str], message: str
) -> None:
    assert main(["say", "npc/smith", "Hi", *flags]) == 2
    assert message in capsys.readouterr().err
    assert server.requests == []


def test_no_audio_on_a_terminal(
    capsys: Capsys, monkeypatch: pytest.MonkeyPatch, server: FakeServer
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert main(["say", "npc/smith", "Hi", "-o", "-"]) == 2
    assert "-o - would write audio to the terminal" in capsys.readouterr().err
    assert server.requests == []


def test_a_value_that_fits_no_field_is_named(capsys: Capsys) -> None:
    assert main(["say", "npc/smith", "Hi", "--seed", "-1"]) == 1
    assert capsys.readouterr().err.splitlines()[1].startswith("  seed: does not take -1")


@pytest.mark.parametrize("parts", [1, 3], ids=["before the audio", "in the middle"])
def test_a_line_that_fails_leaves_the_old_file(
    capsys: Capsys, server: FakeServer, tmp_path: Path, parts: int
) -> None:
    (tmp_path / "out.wav").write_bytes(b"old")
    failure = server.fail(grpc.StatusCode.INTERNAL, "broken", after=server.line[:parts])
    server.script.append(failure)
    assert main(["say", "npc/smith", "Hi", "-o", "out.wav"]) == 1
    assert capsys.readouterr().err == "voxswap: error: broken\n"
    assert (tmp_path / "out.wav").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["out.wav"]


def test_a_line_that_is_cut_off_leaves_no_file(
    capsys: Capsys, server: FakeServer, tmp_path: Path
) -> None:
    server.script.append(server.play(*server.line[:3]))
    assert main(["say", "npc/smith", "Hi", "-o", "out.wav"]) == 1
    assert "without a trailer" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@contextlib.contextmanager
def running(*flags: str, **options: Any) -> Iterator[subprocess.Popen[Any]]:
    command = [sys.executable, "-m", "voxswap_client.cli", "say", "npc/smith", "Hi", *flags]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, **options)  # noqa: S603
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_an_interrupt_cancels_the_call_and_leaves_no_file(
    server: FakeServer, tmp_path: Path
) -> None:
    server.script.append(server.stall(*server.line[:2]))
    with running("-o", "out.wav") as process:
        assert server.waiting.wait(server.patience_s)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=server.patience_s)
    assert (process.returncode, err) == (130, b"voxswap: interrupted\n")
    assert server.ended.wait(server.patience_s)
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_leaves_cancels_the_call(server: FakeServer) -> None:
    server.script.append(server.stall(*server.line[:2]))
    reader, writer = os.pipe()
    os.close(reader)
    with running("-o", "-", stdout=writer) as process:
        os.close(writer)
        _, err = process.communicate(timeout=server.patience_s)
    assert (process.returncode, err) == (1, b"")
    assert server.ended.wait(server.patience_s)


# Players


def install(folder: Path, name: str, script: str) -> str:
    path = folder / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


HEADER = Header("npc/smith@3", (), 8000, Encoding.PCM_S16LE, 12, False, 0.0, 0.0, False)
FLOATS = Header("npc/smith@3", (), 8000, Encoding.PCM_F32LE, 12, False, 0.0, 0.0, False)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("pw-play", "--rate=8000 --format=s16 --channels=1 -"),
        ("paplay", "--raw --rate=8000 --format=s16le --channels=1"),
        ("aplay", "-q -t raw -r 8000 -f S16_LE -c 1 -"),
    ],
)
def test_a_player_of_raw_samples(
    capsys: Capsys, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, arguments: str
) -> None:
    install(tmp_path, name, 'echo "$@" >arguments; cat >played')
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    assert main(["say", "npc/smith", "Hi", "--play"]) == 0
    assert (tmp_path / "arguments").read_text().strip() == arguments
    assert (tmp_path / "played").read_bytes() == SAMPLES
    assert capsys.readouterr().out.startswith("played: 0.00 s of npc/smith@3")
    assert not list(tmp_path.glob("*.wav"))


def test_a_player_that_reads_wav(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(tmp_path, "ffplay", "cat >played")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    assert main(["say", "npc/smith", "Hi", "--play", "-o", "kept.wav"]) == 0
    with wave.open(io.BytesIO((tmp_path / "played").read_bytes())) as file:
        assert file.readframes(12) == SAMPLES
    assert read_wav("kept.wav") == (8000, SAMPLES)


def test_a_player_that_reads_files_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(tmp_path, "afplay", 'cat "$1" >played')
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    assert main(["say", "npc/smith", "Hi", "--play"]) == 0
    assert read_wav("played") == (8000, SAMPLES)


def test_a_pipewire_that_wants_to_be_told(tmp_path: Path) -> None:
    path = install(tmp_path, "pw-play", "echo '  -a, --raw   RAW mode'")
    assert PROGRAMS[0].command(path, HEADER)[1] == "--raw"


@pytest.mark.parametrize(
    ("program", "sample"), list(zip(PROGRAMS[:3], ["f32", "float32le", "FLOAT_LE"], strict=True))
)
def test_players_are_told_of_float_samples(tmp_path: Path, program: Program, sample: str) -> None:
    command = program.command(install(tmp_path, program.name, ""), FLOATS)
    assert any(argument.endswith(sample) for argument in command)


def test_no_player(capsys: Capsys, monkeypatch: pytest.MonkeyPatch, server: FakeServer) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert main(["say", "npc/smith", "Hi", "--play"]) == 1
    assert capsys.readouterr().err == (
        "voxswap: error: no player is installed for --play (pw-play, paplay, aplay, ffplay, "
        "afplay)\n  write a file instead: -o FILE\n"
    )
    assert server.requests == []


def test_a_player_that_fails(
    capsys: Capsys, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install(tmp_path, "pw-play", "cat >/dev/null; exit 3")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    assert main(["say", "npc/smith", "Hi", "--play"]) == 1
    assert "pw-play failed with exit code 3" in capsys.readouterr().err


def test_a_player_that_stops_early(tmp_path: Path) -> None:
    program = Program("aplay", "raw", lambda path, _header: [path])
    with Player(program, install(tmp_path, "aplay", "exec <&-; exit 0"), HEADER) as player:
        player._process.wait()
        with pytest.raises(CliError, match="stopped before the line was over"):
            player.write(bytes(1 << 20))


def test_a_player_does_not_outlive_the_command(tmp_path: Path) -> None:
    program = Program("aplay", "raw", lambda path, _header: [path])
    with Player(program, install(tmp_path, "aplay", "exec tail -f /dev/null"), HEADER) as player:
        assert player._process.poll() is None
    assert player._process.returncode == -signal.SIGKILL
