"""Audio files: the WAV header, for a known length or for a stream, and writing a file whole."""

from __future__ import annotations

import os
import secrets
import struct
from os import PathLike
from pathlib import Path
from typing import NamedTuple

_STREAMED_BYTES = 0xFFFFFFFF
_WAVE_PCM = 1
_WAVE_FLOAT = 3
# Where a FLAC file has its length in samples: the lower 36 of these bits (RFC 9639, section 8.2).
_FLAC_LENGTH = slice(18, 26)
_FLAC_LENGTH_MASK = (1 << 36) - 1


class Container(NamedTuple):
    """How audio of one encoding is kept in a file. ``sample_bytes`` is 0 unless it becomes WAV."""

    suffix: str
    wave_format: int = 0
    sample_bytes: int = 0


_CONTAINERS = {
    "pcm_s16le": Container(".wav", _WAVE_PCM, 2),
    "pcm_f32le": Container(".wav", _WAVE_FLOAT, 4),
    "wav": Container(".wav"),
    "mulaw": Container(".ulaw"),
    "alaw": Container(".alaw"),
    "flac": Container(".flac"),
    "opus_packets": Container(".opuspackets"),
    "ogg_opus": Container(".opus"),
    "mp3": Container(".mp3"),
}


_ENCODINGS = {".ogg": "ogg_opus"} | {
    _CONTAINERS[encoding].suffix: encoding
    for encoding in ("mulaw", "alaw", "flac", "ogg_opus", "mp3")
}


def container(encoding: str) -> Container:
    """The container for an encoding's name."""
    return _CONTAINERS[encoding]


def encoding_of(path: str | PathLike[str]) -> str | None:
    """The encoding that a file's name asks for: ``line.mp3`` for mp3; None if it is no matter.

    Nothing for ``.wav``: PCM becomes such a file too, and then has its true length.
    """
    return _ENCODINGS.get(Path(path).suffix.lower())


def wav_header(encoding: str, sample_rate_hertz: int, data_bytes: int | None = None) -> bytes:
    """The header of a mono RIFF/WAVE file of PCM samples; ``encoding`` must be a PCM one.

    Without ``data_bytes`` the length is not known yet: both size fields hold 0xFFFFFFFF, which
    readers take as "until the end of the stream", as the server's own WAV encoding does. (The
    standard library's `wave` writes neither that nor float samples.)
    """
    _, wave_format, width = container(encoding)
    rate = sample_rate_hertz
    fmt = struct.pack(
        "<4sIHHIIHH", b"fmt ", 16, wave_format, 1, rate, rate * width, width, 8 * width
    )
    # RIFF asks for a "fact" chunk with the sample count where the samples are not integers.
    known = wave_format == _WAVE_FLOAT and data_bytes is not None
    fact = struct.pack("<4sII", b"fact", 4, (data_bytes or 0) // width) if known else b""
    riff_bytes = (
        _STREAMED_BYTES if data_bytes is None else 4 + len(fmt) + len(fact) + 8 + data_bytes
    )
    return (
        struct.pack("<4sI4s", b"RIFF", riff_bytes, b"WAVE")
        + fmt
        + fact
        + struct.pack("<4sI", b"data", _STREAMED_BYTES if data_bytes is None else data_bytes)
    )


def file_bytes(
    audio: bytes, encoding: str, sample_rate_hertz: int, *, samples: int | None = None
) -> bytes:
    """What a file of this audio holds: PCM gets a header, streamed WAV and FLAC their true length.

    Raises `ValueError` for raw Opus packets: nothing in their bytes says where one ends.
    """
    if encoding == "opus_packets":
        raise ValueError("opus_packets have no file format; ask for ogg_opus to save a file")
    if container(encoding).sample_bytes:
        return wav_header(encoding, sample_rate_hertz, len(audio)) + audio
    if encoding == "flac" and samples is not None:
        return _with_flac_length(audio, samples)
    return _with_true_sizes(audio) if encoding == "wav" else audio


def _with_flac_length(flac: bytes, samples: int) -> bytes:
    if not flac.startswith(b"fLaC") or samples > _FLAC_LENGTH_MASK:
        return flac
    packed = int.from_bytes(flac[_FLAC_LENGTH], "big") & ~_FLAC_LENGTH_MASK | samples
    return flac[: _FLAC_LENGTH.start] + packed.to_bytes(8, "big") + flac[_FLAC_LENGTH.stop :]


def _with_true_sizes(wav: bytes) -> bytes:
    at = 12  # past "RIFF", the size and "WAVE"
    while at + 8 <= len(wav):
        name, size = struct.unpack_from("<4sI", wav, at)
        if name == b"data":
            patched = bytearray(wav)
            struct.pack_into("<I", patched, 4, len(wav) - 8)
            struct.pack_into("<I", patched, at + 4, len(wav) - at - 8)
            return bytes(patched)
        at += 8 + size + size % 2
    return wav


def write_atomically(path: str | PathLike[str], data: bytes) -> Path:
    """Write ``data`` so that ``path`` holds all of it or is as it was. Raises `OSError`.

    A symbolic link is followed. A pipe or a device cannot be replaced and is written in place.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        target.write_bytes(data)
        return Path(path)
    # Not `tempfile`: a file made there is private, and this one shall have the usual permissions.
    draft = target.with_name(f".{target.name[:200]}.{secrets.token_hex(8)}.part")
    try:
        with draft.open("xb") as file:
            file.write(data)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return Path(path)
