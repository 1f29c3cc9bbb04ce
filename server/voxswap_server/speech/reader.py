"""From a segment of text to a voice's symbols, and to the work that makes speech of them."""

from __future__ import annotations

import dataclasses
import secrets
from collections import Counter
from dataclasses import dataclass

from voxswap_families.contract import Delivery, LoadedVoice, Utterance
from voxswap_families.text import FrontEnd, LongReadingError, NormalizedText, SymbolSequence
from voxswap_families.work import Work
from voxswap_registry.controls import CONTROLS
from voxswap_registry.errors import InvalidInputError
from voxswap_registry.manifest import Manifest
from voxswap_server.speech.request import SpeechRequest
from voxswap_server.text.normalization import normalize
from voxswap_server.text.segmentation.segments import segment
from voxswap_server.text.types import Segment

# Spreads consecutive segments over the seed space (2^64 divided by the golden ratio).
_SEED_STRIDE = 0x9E3779B97F4A7C15
_SEED_SPACE = 1 << 64
# Characters of a segment as it is read out. The longest has 400 as it is written.
_MOST_SAID = 1_000


@dataclass(frozen=True, slots=True)
class Read:
    """A segment that was read: what its symbols are, and what makes an utterance of them."""

    segment: Segment
    text: NormalizedText
    symbols: SymbolSequence
    preparation: Work[Utterance]


class Reader:
    """Reads the segments of one stream. Not thread-safe; `read` is a step of the compute thread."""

    def __init__(self, request: SpeechRequest, manifest: Manifest) -> None:
        """``request`` asks for nothing that the voice does not have; see `offers`."""
        self._manifest = manifest
        self._speaker = 0 if request.speaker is None else manifest.speakers[request.speaker]
        settings = (
            (control.name, manifest.defaults.get(control.setting)) for control in CONTROLS.values()
        )
        own = {name: value for name, value in settings if value is not None}
        self._controls = own | dict(request.controls)
        # Never 0: `Manifest.check` lets no such voice in.
        self._rate = request.rate / manifest.defaults.get("length_scale", 1.0)
        self.seed = secrets.randbits(63) if request.seed is None else request.seed
        self.unknown: Counter[str] = Counter()

    def read(self, part: Segment, loaded: LoadedVoice) -> Read | list[Segment]:
        """The segment read; or smaller ones in its place, none if there is nothing to speak.

        Raises `InvalidInputError` if it cannot be parted, `FrontEndError`, `EngineError`.
        """
        try:
            text, symbols = read_segment(part.text, self._manifest.language, loaded.front_end)
        except LongReadingError as error:
            return parted(part, error.excess)
        most = loaded.voice.most_symbols(self._rate)
        if len(symbols.ids) > most:
            return parted(part, len(symbols.ids) / most)
        self.unknown.update(text.dropped)
        self.unknown.update(symbols.unknown)
        if not symbols.speaks:
            return []
        seed = (self.seed + part.start * _SEED_STRIDE) % _SEED_SPACE
        delivery = Delivery(self._rate, seed, self._controls, self._speaker)
        return Read(part, text, symbols, loaded.voice.prepare(symbols.ids, delivery))


def read_segment(
    text: str, language: str, front_end: FrontEnd
) -> tuple[NormalizedText, SymbolSequence]:
    """``text`` as it is to be read, and its symbols.

    Raises `FrontEndError`, and `LongReadingError` for what is far more to say than to write: "²¹²¹"
    is "squared to the power of one squared …". Front-ends take as long as the speech is.
    """
    normalized = normalize(text, language)
    if len(normalized.text) > _MOST_SAID:
        raise LongReadingError(len(normalized.text) / _MOST_SAID)
    return normalized, front_end.symbols(normalized)


def parted(part: Segment, excess: float) -> list[Segment]:
    """A segment with ``excess`` times as much to say as is said in one go, in smaller ones.

    Raises `InvalidInputError` if it cannot be parted.
    """
    longest = max(1, min(len(part.text) - 1, int(0.9 * len(part.text) / excess)))
    pieces = tuple(segment(part.text, longest=longest)) if len(part.text) > 1 else ()
    if not pieces:
        raise InvalidInputError.one(
            "text", f"has {part.text[:64]!r}, which is more than the voice can say in one go"
        )
    *first, last = pieces
    last = dataclasses.replace(last, pause_ms=part.pause_ms)
    return [dataclasses.replace(piece, start=part.start + piece.start) for piece in (*first, last)]
