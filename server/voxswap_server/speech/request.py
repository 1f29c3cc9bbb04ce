"""A validated request to speak: what the domain knows of it once a door has read it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from voxswap_registry.names import VoiceRef
from voxswap_server.audio.encoding import AudioEncoding


class MarkKind(enum.Enum):
    """Kinds of timing marks."""

    WORD = "word"
    PHONEME = "phoneme"
    VISEME = "viseme"


class LineClass(enum.Enum):
    """How a line matters to the player."""

    BARK = "bark"
    DIALOGUE = "dialogue"
    CINEMATIC = "cinematic"


class CachePolicy(enum.Enum):
    """Whether audio may be kept, and come from what was kept."""

    DEFAULT = "default"
    OFF = "off"
    USE = "use"


class EmotionFallback(enum.Enum):
    """What speaks an emotion that a voice does not list."""

    NONE = "none"
    PROSODY = "prosody"


class Expression(enum.Enum):
    """How an emotion is spoken: by the voice's own model, or by rate, pitch, volume and pauses."""

    NONE = "none"
    NATIVE = "native"
    PROSODY = "prosody"


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """One text to speak. None means the voice's own default.

    ``controls`` are those that were asked for, beside the rate, and not neutral. ``emotions`` are
    as in `voxswap_families.contract.Delivery`, by the names of whoever asked. In their place
    ``affect`` has valence and arousal, or they are read off the text (``from_text``); both are as
    strong as ``intensity`` says; with ``if_it_can`` a voice that can speak none says the line
    without. A ``fallback`` of None is as the server is set. `expression` makes
    of all this what a voice speaks, and what a header says of it: ``expression`` and ``spoken``.
    ``style`` is what was read off a recording, still sealed.
    A ``paced`` stream is listened to while it is made; another one is for a file. An ``eager``
    one is listened to as well, and takes its audio as fast as that can be made where nobody needs
    the device sooner: nobody knows what its reader does with it. A line that does
    not sound ``start_by_s`` after its arrival is of no use. Requests of one ``session_id`` go to
    one version of a voice whose traffic is split. A ``tenant`` is whoever shares the server with
    others, fairly.
    """

    voice: VoiceRef
    text: str
    session_id: str = ""
    speaker: str | None = None
    encoding: AudioEncoding = AudioEncoding.PCM_S16LE
    sample_rate_hertz: int | None = None
    rate: float = 1.0
    controls: Mapping[str, float] = field(default_factory=dict)
    emotions: Mapping[str, float] = field(default_factory=dict)
    affect: tuple[float, float] | None = None
    from_text: bool = False
    intensity: float = 1.0
    if_it_can: bool = False
    fallback: EmotionFallback | None = None
    expression: Expression = Expression.NONE
    spoken: Mapping[str, float] = field(default_factory=dict)
    style_prompt: str = ""
    style: bytes = b""
    seed: int | None = None
    marks: frozenset[MarkKind] = frozenset()
    line_class: LineClass = LineClass.DIALOGUE
    start_by_s: float | None = None
    paced: bool = True
    eager: bool = False
    tenant: str = ""
    cache_policy: CachePolicy = CachePolicy.DEFAULT

    @property
    def is_awaited(self) -> bool:
        """Whether how soon it sounds counts most: neither of a file nor of a cinematic line."""
        return self.paced and self.line_class is not LineClass.CINEMATIC
