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
from voxswap_server.speech import expression
from voxswap_server.speech.request import SpeechRequest
from voxswap_server.speech.styles import opened
from voxswap_server.text.normalization import normalize
from voxswap_server.text.scripts import is_foreign
from voxswap_server.text.segmentation.clauses import clause_ends
from voxswap_server.text.segmentation.segments import segment
from voxswap_server.text.types import Segment

# Spreads consecutive segments over the seed space (2^64 divided by the golden ratio).
_SEED_STRIDE = 0x9E3779B97F4A7C15
_SEED_SPACE = 1 << 64
# Characters of a segment as it is read out. The longest has 400 as it is written.
_MOST_SAID = 1_000
# Preparing fewer symbols takes about as long as the rest of a first chunk, and gains nothing.
_WORTH_PARTING = 120
# What is shorter sounds like a fragment.
_LEAST_BEFORE, _LEAST_AFTER = 30, 20
# Where a segment is one long step, the rest must be there when the first part has been heard. So it
# is one and a half times as long at the most, which a voice at half of real time can do.
_LEAST_SHARE_OF_LONG = 0.4


@dataclass(frozen=True, slots=True)
class Read:
    """A segment that was read: what its symbols are, and what makes an utterance of them."""

    segment: Segment
    text: NormalizedText
    symbols: SymbolSequence
    preparation: Work[Utterance]
    request: SpeechRequest  # as the voice speaks this segment
    delivery: Delivery


class Reader:
    """Reads the segments of one stream. Not thread-safe; `read` is a step of the compute thread.

    ``is_awaited`` says that somebody waits for what is read next; then the next segment that speaks
    may be parted at a clause. Nobody does after it.
    """

    def __init__(
        self, request: SpeechRequest, manifest: Manifest, *, is_awaited: bool = False
    ) -> None:
        """``request`` asks for nothing that the voice does not have; see `offers`, `expression`."""
        self.is_awaited = is_awaited
        self._manifest = manifest
        self._speaker = 0 if request.speaker is None else manifest.speakers[request.speaker]
        settings = (
            (control.name, manifest.defaults.get(control.setting)) for control in CONTROLS.values()
        )
        self._own = {name: value for name, value in settings if value is not None}
        self._style = opened(request.style).values if request.style else ()
        self._request = request
        self.seed = secrets.randbits(63) if request.seed is None else request.seed
        self.unknown: Counter[str] = Counter()

    def read(self, part: Segment, loaded: LoadedVoice) -> Read | list[Segment]:
        """The segment read; or smaller ones in its place, none if there is nothing to speak.

        Raises `InvalidInputError` if it cannot be parted, `FrontEndError`, `EngineError`.
        """
        if is_foreign(part.text, self._manifest.spoken_languages):
            # Some front-ends would say the name of each character, or of its script.
            self.unknown.update(filter(str.isalnum, part.text))
            return []
        try:
            text, symbols = read_segment(part.text, self._manifest.language, loaded.front_end)
        except LongReadingError as error:
            return parted(part, error.excess)
        request = expression.settled(self._request, self._manifest, part.text)
        # Never 0: `Manifest.check` lets no such voice in.
        rate = request.rate / self._manifest.defaults.get("length_scale", 1.0)
        most = loaded.voice.most_symbols(rate)
        if len(symbols.ids) > most:
            return parted(part, len(symbols.ids) / most)
        if not symbols.speaks:
            self._note_unknown(text, symbols)
            return []
        seed = (self.seed + part.start * _SEED_STRIDE) % _SEED_SPACE
        delivery = Delivery(
            *(rate, seed, self._own | dict(request.controls), self._speaker, request.emotions),
            style_prompt=request.style_prompt,
            style=self._style,
            text=text.text,
        )
        preparation = loaded.voice.prepare(symbols.ids, delivery)
        if self.is_awaited:
            self.is_awaited = False
            if pieces := at_clause(part, text, symbols, is_long_step=preparation.may_be_long):
                return pieces
        self._note_unknown(text, symbols)
        return Read(part, text, symbols, preparation, request, delivery)

    def _note_unknown(self, text: NormalizedText, symbols: SymbolSequence) -> None:
        self.unknown.update(text.dropped)
        self.unknown.update(symbols.unknown)


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
    symbols = front_end.symbols(normalized)
    return symbols.read_as or normalized, symbols


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


def at_clause(
    part: Segment, text: NormalizedText, symbols: SymbolSequence, *, is_long_step: bool
) -> list[Segment]:
    """A segment in two, at the end of its first clause that is long enough; none if it stays whole.

    ``text`` and ``symbols`` are its own. The first keeps its mark, by which the voice knows that
    the sentence goes on, and no pause comes between them but what the voice makes of that.
    """
    total = len(symbols.ids)
    if total <= _WORTH_PARTING:
        return []
    least = max(_LEAST_BEFORE, _LEAST_SHARE_OF_LONG * total if is_long_step else 0)
    begun = [
        (text.words[phone.word].source_start, phone.first)
        for phone in symbols.phones
        if phone.word is not None
    ]
    for end in clause_ends(part.text):
        if any(word.source_start < end < word.source_end for word in text.words):
            continue  # it is read as one: "May 17th, 2024"
        before = next((first for start, first in begun if start >= end), total)
        if least <= before <= total - _LEAST_AFTER:
            rest = part.text[end:].lstrip()
            return [
                Segment(part.text[:end], part.start, 0),
                Segment(rest, part.start + len(part.text) - len(rest), part.pause_ms),
            ]
    return []
