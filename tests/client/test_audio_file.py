"""WAV headers and files, read back with the standard library's reader where it can."""

from __future__ import annotations

import dataclasses
import io
import os
import stat
import struct
import threading
import wave
from pathlib import Path

import pytest

from voxswap_client import Encoding, Header, SpeechResult, Trailer
from voxswap_client.audio_file import container, encoding_of, wav_header, write_atomically

SAMPLES = struct.pack("<6h", 0, 1, -1, 32767, -32768, 5)


def result(
    audio: bytes = SAMPLES, encoding: Encoding = Encoding.PCM_S16LE, samples: int = 6
) -> SpeechResult:
    header = Header("npc/smith@3", (), 16000, encoding, samples, False, 0.0, 0.0, False)
    return SpeechResult(audio, header, Trailer(samples, 7, 0.0, 0.0), (), 1.0)


def test_pcm_becomes_a_wav_file(tmp_path: Path) -> None:
    path = result().save(tmp_path / "line.wav")
    with wave.open(str(path)) as file:
        assert file.getparams()[:4] == (1, 2, 16000, 6)
        assert file.readframes(99) == SAMPLES


def test_float_pcm_becomes_a_float_wav_file(tmp_path: Path) -> None:
    data = struct.pack("<3f", 0.0, -1.0, 0.5)
    path = result(data, Encoding.PCM_F32LE, 3).save(str(tmp_path / "line.wav"))
    assert path.read_bytes() == (
        struct.pack("<4sI4s", b"RIFF", 48 + len(data) + 2 - 2, b"WAVE")
        + struct.pack("<4sIHHIIHH", b"fmt ", 16, 3, 1, 16000, 64000, 4, 32)
        + struct.pack("<4sII", b"fact", 4, 3)
        + struct.pack("<4sI", b"data", 12)
        + data
    )


def test_a_streamed_wav_gets_its_true_sizes(tmp_path: Path) -> None:
    extra = struct.pack("<4sI3sx", b"LIST", 3, b"abc")  # an odd chunk, padded
    streamed = wav_header("pcm_s16le", 16000)
    streamed = streamed[:36] + extra + streamed[36:] + SAMPLES
    path = result(streamed, Encoding.WAV).save(tmp_path / "line.wav")
    assert struct.unpack_from("<I", path.read_bytes(), 4) == (path.stat().st_size - 8,)
    with wave.open(str(path)) as file:
        assert (file.getnframes(), file.readframes(99)) == (6, SAMPLES)


@pytest.mark.parametrize("damaged", [b"", b"RIFF", b"RIFF1234WAVEfmt \xff\xff\xff\xff"])
def test_a_wav_without_data_is_kept_as_it_came(tmp_path: Path, damaged: bytes) -> None:
    path = result(damaged, Encoding.WAV).save(tmp_path / "line.wav")
    assert path.read_bytes() == damaged


def test_other_encodings_are_kept_as_they_came(tmp_path: Path) -> None:
    assert result(b"OggS", Encoding.OGG_OPUS).save(tmp_path / "l").read_bytes() == b"OggS"


def test_a_streamed_flac_gets_its_true_length(tmp_path: Path) -> None:
    # 16000 Hz, one channel, 16 bits, and no length; then the checksum, which stays unknown.
    streamed = b"fLaC" + bytes(14) + (16000 << 44 | 15 << 36).to_bytes(8, "big") + bytes(40)
    path = result(streamed, Encoding.FLAC, samples=70_000).save(tmp_path / "line.flac")
    length = (16000 << 44 | 15 << 36 | 70_000).to_bytes(8, "big")
    assert path.read_bytes() == streamed[:18] + length + streamed[26:]
    damaged = result(b"no flac", Encoding.FLAC).save(tmp_path / "damaged.flac")
    assert damaged.read_bytes() == b"no flac"


def test_packets_are_parted_but_are_no_file(tmp_path: Path) -> None:
    packets = dataclasses.replace(
        result(b"abcdef", Encoding.OPUS_PACKETS), packet_sizes=(1, 3, 0, 2)
    )
    assert packets.packets == (b"a", b"bcd", b"", b"ef")
    with pytest.raises(ValueError, match="ogg_opus"):
        packets.save(tmp_path / "line.opus")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("line.flac", Encoding.FLAC),
        ("a.b/line.MP3", Encoding.MP3),
        ("line.ogg", Encoding.OGG_OPUS),
        ("line.opus", Encoding.OGG_OPUS),
        ("line.ulaw", Encoding.MULAW),
        ("line.alaw", Encoding.ALAW),
        ("line.wav", None),
        ("line.opuspackets", None),
        ("mp3", None),
        ("-", None),
    ],
)
def test_a_files_name_may_ask_for_an_encoding(name: str, encoding: Encoding | None) -> None:
    assert encoding_of(name) == encoding


@pytest.mark.parametrize("encoding", Encoding)
def test_every_encoding_has_a_suffix(encoding: Encoding) -> None:
    assert container(encoding).suffix.startswith(".")


def test_a_streaming_header_reads_until_the_end() -> None:
    with wave.open(io.BytesIO(wav_header("pcm_s16le", 8000) + SAMPLES)) as file:
        assert file.getframerate() == 8000
        assert file.readframes(6) == SAMPLES


def test_an_empty_line_has_no_rtf() -> None:
    assert (result(b"", samples=0).duration_s, result(b"", samples=0).rtf) == (0.0, 0.0)


def test_audio_stays_out_of_the_repr() -> None:
    assert "audio=" not in repr(result())


def test_a_file_is_replaced_whole_and_keeps_the_usual_permissions(tmp_path: Path) -> None:
    target = tmp_path / "line.wav"
    target.write_bytes(b"old")
    umask = os.umask(0o027)
    try:
        write_atomically(target, b"new")
    finally:
        os.umask(umask)
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [target]


def test_a_write_that_fails_leaves_everything_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "line.wav"
    target.write_bytes(b"old")
    with pytest.raises(TypeError):
        write_atomically(target, "not bytes")  # type: ignore[arg-type]
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real.wav").write_bytes(b"old")
    (tmp_path / "link.wav").symlink_to("real.wav")
    write_atomically(tmp_path / "link.wav", b"new")
    assert (tmp_path / "link.wav").is_symlink()
    assert (tmp_path / "real.wav").read_bytes() == b"new"


def test_a_pipe_is_written_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    found = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()
    write_atomically(pipe, SAMPLES)
    reader.join()
    assert found == [SAMPLES]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
