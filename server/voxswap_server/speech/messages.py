"""The messages of a response stream: one `Header`, `Chunk` after `Chunk`, one `Trailer`.

One that is interrupted has a `Receipt` in the trailer's place, or where that happened.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from voxswap_server.audio.encoding import AudioEncoding
from voxswap_server.speech.request import Expression, MarkKind


@dataclass(frozen=True, slots=True)
class Mark:
    """A timing mark, in samples of the stream. ``text_*`` are set for words alone."""

    kind: MarkKind
    text: str
    start_sample: int
    duration_samples: int
    text_start: int = 0
    text_end: int = 0


@dataclass(frozen=True, slots=True)
class Header:
    """What is known when the audio begins. ``text_digest`` is of the text as its maker had it.

    ``emotions`` are those that are spoken, each with its share times the intensity.
    """

    voice: str
    component_digests: tuple[str, ...]
    sample_rate_hertz: int
    encoding: AudioEncoding
    estimated_samples: int
    cold: bool
    queue_ms: float
    swap_ms: float
    stream_id: str = ""
    text_digest: str = ""
    codec_delay_samples: int = 0
    cached: bool = False
    expression: Expression = Expression.NONE
    emotions: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of the audio, with the marks that begin in it.

    ``packet_sizes`` part the bytes of an encoding that does not do so itself. ``words`` begin in it
    as well as its marks: they are for receipts, and there whether they were asked for or not.
    """

    audio: bytes
    start_sample: int
    sample_count: int
    marks: tuple[Mark, ...]
    packet_sizes: tuple[int, ...] = ()
    words: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class Trailer:
    """What is known when the audio is complete."""

    total_samples: int
    sample_rate_hertz: int
    seed: int
    compute_ms: float
    first_chunk_ms: float
    unknown_symbols: Mapping[str, int]
    underruns: int = 0


@dataclass(frozen=True, slots=True)
class Receipt:
    """What had been given out when a stream was interrupted.

    One past the last sample; the last word that was said whole, and where it ends in the text.
    """

    end_sample: int
    last_word: str
    text_end: int


Message = Header | Chunk | Trailer | Receipt


class Messages(Protocol):
    """They come as they are made. Closing lets go of what makes them, and may wait for a step."""

    def __anext__(self) -> Awaitable[Message]:
        """The next one. Raises whatever making it raises, and `StopAsyncIteration`."""
        ...

    def aclose(self) -> Awaitable[None]:
        """Nothing comes any more. Closing again does nothing."""
        ...


def digest_of(text: str) -> str:
    """Tells texts from one another."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
