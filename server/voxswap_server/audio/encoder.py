"""What an encoder is: samples go in, and bytes come out as soon as a reader can use them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from voxswap_registry.errors import EncoderUnavailableError

Samples = npt.NDArray[np.float32]
Pcm16 = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Encoded:
    """Bytes to send, and how many further ``samples`` can be played once they are there.

    A codec keeps samples back until it has a frame of them. Without bytes there are no samples;
    without samples there are bytes only where a stream that never had any is finished.
    ``packet_sizes`` part the bytes where nothing in them does.
    """

    data: bytes
    samples: int
    packet_sizes: tuple[int, ...] = ()


class Encoder(Protocol):
    """Keeps whatever state its format needs. Not thread-safe; one for each stream.

    Never peak-normalises: levels are kept, and what lies outside [-1, 1] is clipped, never wrapped
    around. Samples must be finite; the engines see to that. Joined, the bytes are one stream, and
    their ``samples`` sum up to all that were pushed.
    """

    @property
    def delay_samples(self) -> int:
        """Samples before the first one in what a decoder gives; 0 if the container says it."""
        ...

    @property
    def rtf(self) -> float:
        """About how many seconds a second of audio takes to encode, at the highest rate."""
        ...

    def encode(self, samples: Samples) -> Encoded:
        """What the next samples, ``(n,)`` float32, make certain."""
        ...

    def finish(self, samples: Samples) -> Encoded:
        """The last samples, everything that was held back, and the format's end. Called once."""
        ...


def pcm16(samples: Samples) -> Pcm16:
    """Clip, and round to the nearest step of 1 / 32767: ``(n,)`` int16."""
    scaled: Pcm16 = np.rint(np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2")
    return scaled


def unavailable(encoding: str, package: str, error: Exception) -> EncoderUnavailableError:
    """The error where ``package`` cannot be imported."""
    return EncoderUnavailableError(
        f"{encoding} needs the package {package}, which is not usable here ({error}); "
        f"pip install {package} on the server, or ask for PCM_S16LE",
        metadata={"package": package},
    )
