"""The values that the clients take and give: frozen, typed, free of protobuf and grpc.

Those of residency are in `voxswap_client.residency_types`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import accumulate
from os import PathLike
from pathlib import Path

from voxswap_client.audio_file import container, file_bytes, write_atomically


class Encoding(StrEnum):
    """What audio bytes are. All are mono and little-endian."""

    PCM_S16LE = "pcm_s16le"
    PCM_F32LE = "pcm_f32le"
    WAV = "wav"
    MULAW = "mulaw"
    ALAW = "alaw"
    FLAC = "flac"
    OPUS_PACKETS = "opus_packets"
    OGG_OPUS = "ogg_opus"
    MP3 = "mp3"


class MarkKind(StrEnum):
    """What a timing mark stands for."""

    WORD = "word"
    PHONEME = "phoneme"
    VISEME = "viseme"


class Pacing(StrEnum):
    """Whether the audio is listened to while it is made, or is for a file."""

    REALTIME = "realtime"
    NONE = "none"


class LineClass(StrEnum):
    """How a line matters to the player.

    A bark is short and useless when late, a dialogue starts soon, and a cinematic line may wait.
    """

    BARK = "bark"
    DIALOGUE = "dialogue"
    CINEMATIC = "cinematic"


class CachePolicy(StrEnum):
    """Whether the server may keep or reuse the audio."""

    OFF = "off"
    USE = "use"


class EmotionFallback(StrEnum):
    """What speaks an emotion that a voice does not list: nothing, or rate, pitch and volume."""

    NONE = "none"
    PROSODY = "prosody"


class Expression(StrEnum):
    """How an emotion is spoken: by the voice's own model, or by rate, pitch and volume alone."""

    NONE = "none"
    NATIVE = "native"
    PROSODY = "prosody"


@dataclass(frozen=True, slots=True)
class Mark:
    """A word, phoneme or viseme in time. ``text_start:text_end`` is set for words alone.

    Samples count from the beginning of the stream; characters are code points of the request.
    """

    kind: MarkKind
    text: str
    start_sample: int
    duration_samples: int
    text_start: int = 0
    text_end: int = 0


@dataclass(frozen=True, slots=True)
class Header:
    """What is known when the audio begins. ``voice`` is ``id@version``.

    ``estimated_samples`` is exact if the text is one sentence; ``cold`` is True if the voice had to
    be loaded first, which took ``swap_ms``. The first ``codec_delay_samples`` of what a decoder
    gives are the codec's own, and are to be skipped. ``stream_id`` is for `Client.interrupt`:
    whoever knows it can stop the stream. ``emotions`` are what is spoken, each with its share times
    the intensity, and ``expression`` how; None from servers that do not tell.
    """

    voice: str
    component_digests: tuple[str, ...]
    sample_rate_hertz: int
    encoding: Encoding
    estimated_samples: int
    cold: bool
    queue_ms: float
    swap_ms: float
    cached: bool
    codec_delay_samples: int = 0
    stream_id: str = field(default="", repr=False)
    expression: Expression | None = None
    emotions: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of the audio: ``sample_count`` samples from ``start_sample`` on, and their marks.

    ``packet_sizes`` part the bytes of ``opus_packets``; other encodings have none.
    """

    audio: bytes
    start_sample: int
    sample_count: int
    marks: tuple[Mark, ...] = ()
    packet_sizes: tuple[int, ...] = ()

    @property
    def packets(self) -> tuple[bytes, ...]:
        """The packets of ``opus_packets``, 20 ms each; empty for other encodings."""
        return _packets(self.audio, self.packet_sizes)


@dataclass(frozen=True, slots=True)
class UnknownSymbol:
    """A symbol that the voice cannot pronounce, and how often it was left out."""

    symbol: str
    count: int


@dataclass(frozen=True, slots=True)
class Trailer:
    """What is known when the audio is complete. ``seed`` makes the same line again.

    ``first_chunk_ms`` is measured at the server, from the request's arrival. ``underruns`` is how
    often a chunk was sent after what came before it must have been played.
    """

    total_samples: int
    seed: int
    compute_ms: float
    first_chunk_ms: float
    unknown_symbols: tuple[UnknownSymbol, ...] = ()
    underruns: int = 0


@dataclass(frozen=True, slots=True)
class InterruptReceipt:
    """What had been sent when a stream was interrupted, which may be ahead of what was heard.

    ``end_sample`` is one past the last sample; ``last_word`` is the last word that was sent whole,
    and ``text_end`` where it ends in the text, in code points. Without any it is empty, at 0.
    """

    end_sample: int
    last_word: str
    text_end: int


@dataclass(frozen=True, slots=True)
class SpeechResult:
    """A whole line. ``audio`` is in ``header.encoding``; for WAV that includes the file's header.

    ``ttfa_ms`` is the time from sending the request to the first audio bytes, at this client.
    """

    audio: bytes = field(repr=False)
    header: Header
    trailer: Trailer
    marks: tuple[Mark, ...]
    ttfa_ms: float
    packet_sizes: tuple[int, ...] = ()

    @property
    def packets(self) -> tuple[bytes, ...]:
        """The packets of ``opus_packets``, 20 ms each; empty for other encodings."""
        return _packets(self.audio, self.packet_sizes)

    @property
    def duration_s(self) -> float:
        """Length of the audio."""
        return self.trailer.total_samples / self.header.sample_rate_hertz

    @property
    def rtf(self) -> float:
        """Compute seconds per second of audio; 0 for an empty line."""
        return self.trailer.compute_ms / 1000 / self.duration_s if self.duration_s else 0.0

    @property
    def suffix(self) -> str:
        """The usual suffix of a file that `save` writes, such as ``.wav``."""
        return container(self.header.encoding).suffix

    def save(self, path: str | PathLike[str]) -> Path:
        """Write a playable file and return its path. Blocks on the disk.

        PCM becomes a WAV file, and WAV and FLAC get their true length; any other encoding is
        written as it came. The file appears whole or not at all: it is written beside its place and
        then renamed. Raises `ValueError` for ``opus_packets``, which are no file.
        """
        data = file_bytes(
            self.audio,
            self.header.encoding,
            self.header.sample_rate_hertz,
            samples=self.trailer.total_samples,
        )
        return write_atomically(path, data)


def _packets(audio: bytes, sizes: tuple[int, ...]) -> tuple[bytes, ...]:
    ends = tuple(accumulate(sizes))
    return tuple(audio[end - size : end] for end, size in zip(ends, sizes, strict=True))


@dataclass(frozen=True, slots=True)
class Component:
    """One content-addressed part of a voice."""

    role: str
    digest: str
    size_bytes: int
    media_type: str
    form: str = ""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a version of a voice came from.

    ``code_licence`` is that of the code which the model was made with, not of its weights.
    """

    source: str
    tool: str
    created: datetime | None
    note: str = ""
    code_licence: str = ""


@dataclass(frozen=True, slots=True)
class TrafficShare:
    """A version's share of the traffic of a bare id, relative to the sum of all weights."""

    version: int
    weight: int


@dataclass(frozen=True, slots=True)
class PresetDelivery:
    """How a preset delivers a line that asks for nothing else: what is asked of it is on top.

    ``emotions`` are shares, of an ``intensity`` from 0 to 2; ``controls`` are by their names.
    """

    emotions: Mapping[str, float] = field(default_factory=dict)
    intensity: float = 1.0
    controls: Mapping[str, float] = field(default_factory=dict)
    style_prompt: str = ""
    fallback: EmotionFallback | None = None


@dataclass(frozen=True, slots=True)
class Voice:
    """One version of a voice. ``problem`` says why it cannot be used, and is empty if it can.

    ``controls`` names those that it carries out, such as ``rate``; ``languages`` are all that it
    speaks. Both are empty from servers that do not tell. ``expression`` is the best that it can do
    for an emotion; ``style_prompts`` and ``reads_style`` say whether it takes a style in words, and
    one off a recording. Weights that are ``fabricated`` are random numbers. A ``delivery`` is a
    preset's.

    ``labels`` are those that name this version. ``traffic`` is the split that decides what a bare
    id means; without one the version labelled "stable" has it all, or the newest if none is.
    """

    id: str
    version: int
    display_name: str
    language: str
    engine: str
    sample_rate_hertz: int
    speakers: tuple[str, ...]
    components: tuple[Component, ...]
    licence: str
    provenance: Provenance
    emotions: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    gender: str = ""
    labels: tuple[str, ...] = ()
    traffic: tuple[TrafficShare, ...] = ()
    problem: str = ""
    controls: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    expression: Expression | None = None
    style_prompts: bool = False
    reads_style: bool = False
    fabricated: bool = False
    delivery: PresetDelivery | None = None

    @property
    def ref(self) -> str:
        """``id@version``, as requests take it."""
        return f"{self.id}@{self.version}"

    @property
    def size_bytes(self) -> int:
        """Bytes of all components together."""
        return sum(component.size_bytes for component in self.components)


@dataclass(frozen=True, slots=True)
class VoiceDetails:
    """A voice at one version, and what there is of it besides.

    ``versions`` are the newest first; ``labels`` map names to versions. ``revision`` counts the
    changes of labels, traffic and metadata.
    """

    voice: Voice
    versions: tuple[int, ...]
    labels: Mapping[str, int]
    revision: int


@dataclass(frozen=True, slots=True)
class Change:
    """One entry in the history of a voice: ``labels`` and ``traffic`` are those after it.

    ``revision`` is the voice's revision after it. ``actor``, ``time`` and ``note`` are as whoever
    did it said.
    """

    revision: int
    action: str
    actor: str
    time: datetime | None
    note: str = ""
    labels: Mapping[str, int] = field(default_factory=dict)
    traffic: tuple[TrafficShare, ...] = ()


@dataclass(frozen=True, slots=True)
class Registration:
    """What came of an upload. ``created`` is False if the newest version was the same already."""

    voice: Voice
    created: bool


@dataclass(frozen=True, slots=True)
class LabelMove:
    """Where a label went: ``voice`` is the version that it names now.

    ``previous_version`` is the one that it named before, 0 if it named none.
    """

    voice: Voice
    previous_version: int
