"""The inside of a process that decodes clips: libsndfile by ctypes, from memory, within limits.

Imported by worker processes alone, without site-packages. libsndfile is some 100,000 lines of C
with five codecs in it, and what it gets here is whatever a stranger sent. It sees no path and no
descriptor: the bytes are read through callbacks.
"""

from __future__ import annotations

import ctypes
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

#: What comes before the samples: a `Status`, samples a second, channels, samples of each channel.
ANSWER: Final = struct.Struct("!BIHI")
DECODED, LONGER, UNREADABLE = 0, 1, 2

#: What comes before a clip: most seconds x 1000, and of raw samples their rate, else 0.
REQUEST: Final = struct.Struct("!II")

_READ: Final = 0x10
_KINDS: Final = {  # SF_FORMAT_TYPEMASK; of each, the subtypes that are taken
    0x010000: range(0x0001, 0x0012),  # WAV: linear, floats, mu-law, A-law
    0x130000: range(0x0001, 0x0012),  # the same, extensible
    0x170000: range(0x0001, 0x0006),  # FLAC
    0x200000: (0x0060, 0x0064),  # Ogg: Vorbis, Opus
    0x230000: (0x0082,),  # MPEG: layer III
}
_RAW_16: Final = 0x040000 | 0x0002 | 0x10000000  # without a header, little-endian
_BLOCK_FRAMES: Final = 8192

_Length = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)
_Seek = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int, ctypes.c_void_p)
_Move = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)


class _Info(ctypes.Structure):
    """``SF_INFO`` of sndfile.h."""

    _fields_ = (
        ("frames", ctypes.c_int64),
        ("samplerate", ctypes.c_int),
        ("channels", ctypes.c_int),
        ("format", ctypes.c_int),
        ("sections", ctypes.c_int),
        ("seekable", ctypes.c_int),
    )


class _Callbacks(ctypes.Structure):
    """``SF_VIRTUAL_IO``."""

    _fields_ = (
        ("length", _Length),
        ("seek", _Seek),
        ("read", _Move),
        ("write", _Move),
        ("tell", _Length),
    )


class _Memory:
    """Bytes that are read like a file. One thread."""

    def __init__(self) -> None:
        self.data = b""
        self._place = 0
        # Made once, and kept: the library has their addresses.
        self.callbacks = _Callbacks(
            _Length(lambda _: len(self.data)),
            _Seek(self._seek),
            _Move(self._read),
            _Move(lambda *_: 0),
            _Length(lambda _: self._place),
        )

    def hold(self, data: bytes) -> None:
        """Be these bytes from now on."""
        self.data, self._place = data, 0

    def _seek(self, offset: int, whence: int, _: object) -> int:
        start = (0, self._place, len(self.data))[whence] if 0 <= whence <= 2 else 0
        self._place = min(max(0, start + offset), len(self.data))
        return self._place

    def _read(self, target: int, wanted: int, _: object) -> int:
        part = self.data[self._place : self._place + max(0, wanted)]
        ctypes.memmove(target, part, len(part))
        self._place += len(part)
        return len(part)


def prepare(
    arguments: str, only_read: Callable[[str], None]
) -> tuple[bytes, Callable[[bytes], bytes]]:
    """Open the library; the greeting is its version. As `workers.child` asks for it."""
    path, least_hertz, most_hertz, most_channels = json.loads(arguments)
    library: Any = ctypes.CDLL(path)
    only_read(str(Path(__file__).parent))
    library.sf_open_virtual.argtypes = [
        *(ctypes.POINTER(_Callbacks), ctypes.c_int, ctypes.POINTER(_Info), ctypes.c_void_p)
    ]
    library.sf_open_virtual.restype = ctypes.c_void_p
    library.sf_readf_float.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
    library.sf_readf_float.restype = ctypes.c_int64
    library.sf_close.argtypes = [ctypes.c_void_p]
    library.sf_version_string.restype = ctypes.c_char_p
    memory = _Memory()

    def handle(request: bytes) -> bytes:
        most_ms, raw_hertz = REQUEST.unpack_from(request)
        memory.hold(request[REQUEST.size :])
        info = _Info(samplerate=raw_hertz, channels=1, format=_RAW_16) if raw_hertz else _Info()
        opened = library.sf_open_virtual(
            ctypes.byref(memory.callbacks), _READ, ctypes.byref(info), None
        )
        if not opened:
            return ANSWER.pack(UNREADABLE, 0, 0, 0)
        try:
            rate, channels = info.samplerate, info.channels
            known = raw_hertz or info.format & 0xFFFF in _KINDS.get(info.format & 0x0FFF0000, ())
            fits = least_hertz <= rate <= most_hertz and 1 <= channels <= most_channels
            if not known or not fits:
                return ANSWER.pack(
                    UNREADABLE, min(max(rate, 0), 1 << 31), min(max(channels, 0), 0xFFFF), 0
                )
            return _decoded(library, opened, rate, channels, most_ms * rate // 1000)
        finally:
            library.sf_close(opened)

    return bytes(library.sf_version_string()), handle


def _decoded(library: Any, opened: int, rate: int, channels: int, most_frames: int) -> bytes:
    """Samples of all channels in turn, as little-endian float32; no more than ``most_frames``."""
    block = (ctypes.c_float * (_BLOCK_FRAMES * channels))()
    found = bytearray()
    frames = 0
    while got := library.sf_readf_float(opened, block, _BLOCK_FRAMES):
        if not 0 < got <= _BLOCK_FRAMES:
            return ANSWER.pack(UNREADABLE, rate, channels, 0)
        frames += got
        if frames > most_frames:
            return ANSWER.pack(LONGER, rate, channels, 0)
        found += memoryview(block).cast("B")[: 4 * got * channels]
    return ANSWER.pack(DECODED, rate, channels, frames) + bytes(found)
