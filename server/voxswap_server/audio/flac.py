"""FLAC of 16-bit samples, by libsndfile, for a reader that follows as it is written."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from voxswap_server.audio.encoder import Encoded, Samples, pcm16, unavailable

if TYPE_CHECKING:
    import soundfile

# What libFLAC takes at its levels 0 to 2; from 3 on it is 4096, and the first sound 186 ms late at
# 22050 Hz. Speech takes about a tenth more bytes for it.
_BLOCK_SAMPLES = 1152
_FASTEST = 0.0


class FlacEncoder:
    """Whole blocks of 1152 samples. libFLAC lets one go when it sees the sample after it."""

    delay_samples = 0
    rtf = 0.0008

    def __init__(self, sample_rate_hertz: int) -> None:
        """Raises `EncoderUnavailableError`."""
        self._sink = _Sink()
        self._file = _open(self._sink, sample_rate_hertz)
        self._pushed = self._told = 0

    def encode(self, samples: Samples) -> Encoded:
        """The header waits for the first block: alone it would be a chunk without sound."""
        self._write(samples)
        whole = max(0, self._pushed - 1) // _BLOCK_SAMPLES * _BLOCK_SAMPLES
        return self._told_up_to(whole) if whole > self._told else Encoded(b"", 0)

    def finish(self, samples: Samples) -> Encoded:
        """A shorter block ends the stream. Its header stays as it was sent, without a length."""
        self._write(samples)
        self._file.close()
        return self._told_up_to(self._pushed)

    def _write(self, samples: Samples) -> None:
        if len(samples):
            self._file.write(pcm16(samples))
            self._pushed += len(samples)

    def _told_up_to(self, sample: int) -> Encoded:
        before, self._told = self._told, sample
        return Encoded(self._sink.take(), sample - before)


def _open(sink: _Sink, sample_rate_hertz: int) -> soundfile.SoundFile:
    try:
        import soundfile
    except (ImportError, OSError) as error:
        raise unavailable("FLAC", "soundfile", error) from error
    return soundfile.SoundFile(
        sink,
        "w",
        samplerate=sample_rate_hertz,
        channels=1,
        format="FLAC",
        subtype="PCM_16",
        compression_level=_FASTEST,
    )


class _Sink:
    """A file that only grows: what is written at its end can be taken once.

    At the end libFLAC goes back to put length and checksum into the header. That header is with the
    reader by then, and so what is written there is dropped. It is valid without: zeros mean
    "unknown" (RFC 9639, section 8.2).
    """

    def __init__(self) -> None:
        self._fresh = bytearray()
        self._length = self._position = 0

    def write(self, data: bytes) -> int:
        """As of a file."""
        if self._position == self._length:
            self._fresh += data
            self._length += len(data)
        self._position += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As of a file."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """As of a file."""
        return self._position

    def take(self) -> bytes:
        """What came since the last time."""
        taken = bytes(self._fresh)
        self._fresh.clear()
        return taken
