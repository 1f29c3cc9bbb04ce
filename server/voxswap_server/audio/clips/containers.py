"""The first look at a clip, in Python alone: what it is, and whether its own words fit the limits.

Nothing is decoded. Whatever is not one of a few well-known forms goes no further: libraries read
dozens that nobody sends and few have tried.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import Final

from voxswap_server.audio.clips.limits import ClipFault, ClipLimits, UnusableClipError


class Container(enum.Enum):
    """The forms that are taken."""

    WAV = "WAV"
    FLAC = "FLAC"
    OGG = "Ogg"
    MP3 = "MP3"
    RAW = "raw 16-bit samples"


@dataclass(frozen=True, slots=True)
class Look:
    """What the first bytes say. 0: they do not say it."""

    container: Container
    channels: int = 0
    rate_hertz: int = 0
    seconds: float = 0.0


# Of WAV: linear, floats, A-law, mu-law, and the one that names one of these elsewhere.
_PCM, _FLOAT, _ALAW, _MULAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
_BITS: Final = {_PCM: (8, 16, 24, 32), _FLOAT: (32, 64), _ALAW: (8,), _MULAW: (8,)}
_UNKNOWN_BYTES: Final = 0xFFFFFFFF
_MOST_CHUNKS: Final = 64
_MP3_RATES: Final = (44_100, 48_000, 32_000)
_ID3_MOST: Final = 1 << 20


def looked_at(data: bytes, limits: ClipLimits, *, raw_hertz: int = 0) -> Look:
    """What ``data`` is; with ``raw_hertz``, mono signed 16-bit samples at that rate.

    Raises `UnusableClipError`.
    """
    if not data:
        raise UnusableClipError(ClipFault.NOT_AUDIO, "is empty; send a recording")
    if len(data) > limits.most_bytes:
        raise UnusableClipError(
            ClipFault.TOO_LARGE,
            f"has {len(data)} bytes, over the {limits.most_bytes} that are taken; send at most "
            f"{limits.most_s:g} s, mono, as 16-bit WAV or FLAC",
        )
    try:
        look = (
            Look(Container.RAW, 1, raw_hertz, len(data) / 2 / raw_hertz)
            if raw_hertz
            else _look(data)
        )
    except (struct.error, IndexError):
        look = None
    if look is None:
        raise not_audio()
    check(look, limits)
    return look


def not_audio() -> UnusableClipError:
    """Nothing that is taken."""
    return UnusableClipError(
        ClipFault.NOT_AUDIO,
        "is none of WAV, FLAC, MP3 or Ogg (Opus, Vorbis) in a form that is taken; convert it to a "
        "16-bit WAV file",
    )


def check(look: Look, limits: ClipLimits) -> None:
    """Raise `UnusableClipError` for what ``look`` says and ``limits`` do not allow."""
    if look.container is not Container.MP3 and not 1 <= look.channels <= limits.most_channels:
        raise UnusableClipError(
            ClipFault.CHANNELS,
            f"has {look.channels} channels; send 1 to {limits.most_channels}: mix it down to mono",
        )
    if look.container is not Container.MP3 and not (
        limits.least_hertz <= look.rate_hertz <= limits.most_hertz
    ):
        raise UnusableClipError(
            ClipFault.SAMPLE_RATE,
            f"has {look.rate_hertz} samples a second; send {limits.least_hertz} to "
            f"{limits.most_hertz}: resample it to 16000",
        )
    check_longest(look.seconds, limits)


def check_longest(seconds: float, limits: ClipLimits) -> None:
    """Raise `UnusableClipError` if so many are too many."""
    if seconds > limits.most_s + limits.grace_s:
        raise UnusableClipError(
            ClipFault.TOO_LONG,
            f"lasts over {limits.most_s:g} s; cut out {limits.least_s:g} to {limits.most_s:g} s",
        )


def _look(data: bytes) -> Look | None:
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return _wav(data)
    if data[:4] == b"fLaC":
        return _flac(data)
    if data[:4] == b"OggS":
        return _ogg(data)
    return _mp3(data)


def _wav(data: bytes) -> Look | None:
    """Its chunks, up to that of the samples."""
    place, form = 12, None
    for _ in range(_MOST_CHUNKS):
        name, size = struct.unpack_from("<4sI", data, place)
        place += 8
        if name == b"fmt ":
            kind, channels, rate, _, block, bits = struct.unpack_from("<HHIIHH", data, place)
            if kind == _EXTENSIBLE and size >= 40:
                (kind,) = struct.unpack_from("<H", data, place + 24)
            if bits not in _BITS.get(kind, ()) or block != channels * bits // 8:
                return None
            form = channels, rate, block
        elif name == b"data":
            if form is None:
                return None
            channels, rate, block = form
            # A size that nobody knew when it was written; or a lie: what is there counts.
            size = min(size, len(data) - place)
            return Look(Container.WAV, channels, rate, size / max(1, block) / max(1, rate))
        place += size + size % 2
    return None


def _flac(data: bytes) -> Look | None:
    """Its first block, which has 34 bytes and says what all of it is."""
    if data[4] & 0x7F or int.from_bytes(data[5:8], "big") != 34 or len(data) < 42:
        return None
    packed = int.from_bytes(data[18:26], "big")
    rate, channels, samples = packed >> 44, (packed >> 41 & 7) + 1, packed & (1 << 36) - 1
    return Look(Container.FLAC, channels, rate, samples / max(1, rate))


def _ogg(data: bytes) -> Look | None:
    """Its first page, which is the head of a codec, and how far its last one counts."""
    segments = data[26]
    head = data[27 + segments :]
    if head[:7] == b"\x01vorbis":
        channels, rate = struct.unpack_from("<BI", head, 11)
    elif head[:8] == b"OpusHead":
        # It is always decoded at this rate, whatever was recorded.
        channels, rate = head[9], 48_000
    else:
        return None
    last = data.rfind(b"OggS")
    (samples,) = struct.unpack_from("<q", data, last + 6)
    return Look(Container.OGG, channels, rate, max(0, samples) / max(1, rate))


def _mp3(data: bytes) -> Look | None:
    """Two frames, one where the other ends. How long it is, nobody knows before it is decoded."""
    place = 0
    if data[:3] == b"ID3":
        place = 10 + sum(
            (byte & 0x7F) << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True)
        )
        if place > _ID3_MOST:
            return None
    size = _mp3_frame_bytes(data, place)
    if not size or not _mp3_frame_bytes(data, place + size):
        return None
    return Look(Container.MP3)


def _mp3_frame_bytes(data: bytes, place: int) -> int:
    """How long the frame of layer III at ``place`` is; 0 if there is none."""
    head = int(struct.unpack_from(">I", data, place)[0])
    sync, version, layer = head >> 21, head >> 19 & 3, head >> 17 & 3
    bitrate, rate, padding = head >> 12 & 15, head >> 10 & 3, head >> 9 & 1
    if sync != 0x7FF or version == 1 or layer != 1 or bitrate in (0, 15) or rate == 3:
        return 0
    if version == 3:
        kbit = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)[bitrate - 1]
        return 144_000 * kbit // _MP3_RATES[rate] + padding
    kbit = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)[bitrate - 1]
    return 72_000 * kbit // (_MP3_RATES[rate] >> (1 if version == 2 else 2)) + padding
