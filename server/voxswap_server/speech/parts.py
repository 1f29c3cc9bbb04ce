"""The parts of a response stream: one `Header`, `Chunk` after `Chunk`, one `Trailer`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from voxswap_server.audio.encoding import AudioEncoding
from voxswap_server.speech.request import MarkKind


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
    """What is known when the audio begins."""

    voice: str
    component_digests: tuple[str, ...]
    sample_rate_hertz: int
    encoding: AudioEncoding
    estimated_samples: int
    cold: bool
    queue_ms: float
    swap_ms: float
    cached: bool = False


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of the audio, with the marks that begin in it."""

    audio: bytes
    start_sample: int
    sample_count: int
    marks: tuple[Mark, ...]


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


Part = Header | Chunk | Trailer
