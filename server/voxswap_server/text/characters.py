"""Characters as symbols, for voices that were trained on letters: MMS and Piper's "text" voices."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Final

from voxswap_families.symbols import Symbol, SymbolTable
from voxswap_families.text import NormalizedText, SymbolSequence
from voxswap_server.text.languages import numerals

# What a letter is written as where it is lacking, in the order in which it is tried. Marks come off
# without being told: é is e.
_NEAREST: Final[Mapping[str, tuple[str, ...]]] = {
    "ș": ("ş",),
    "ş": ("ș",),
    "ț": ("ţ",),
    "ţ": ("ț",),
    "ß": ("ss",),
    "æ": ("ae", "e"),
    "œ": ("oe", "e"),
    "ø": ("ö", "o"),
    "ö": ("ø",),
    "ä": ("æ",),
    "đ": ("d",),
    "ð": ("d",),
    "þ": ("th",),
    "ł": ("l",),
    "ħ": ("h",),
    "ı": ("i",),
    "ŋ": ("ng",),
    "ё": ("е",),
    "ґ": ("г",),
    "є": ("е",),
    "і": ("и",),
    "ї": ("и",),
    "ў": ("у",),
    "'": ("’", "ʼ"),
    "’": ("'",),
    '"': ("”", "»"),
    "-": ("–", " "),
    "—": ("-",),
    "…": ("...",),
}
_ACCENTED: Final = "\u0530"  # Latin, Greek and Cyrillic come before
_DIGITS: Final = re.compile(r"\d+")


class CharacterFrontEnd:
    """Every character of the text is a phone; those that the table lacks are counted, not spoken.

    Piper decomposes its text (NFD); for the other layout each letter is composed or decomposed,
    whichever the table has, and blanks at the ends are dropped, as transformers' tokenizer does. A
    letter that the table lacks is replaced by its nearest (ţ for ț, e for é), and digits that it
    lacks are said in words where num2words knows the language. Immutable, hence thread-safe; takes
    a fraction of a millisecond.
    """

    def __init__(self, table: SymbolTable, *, lowercase: bool, language: str = "") -> None:
        """``language`` is a tag such as "ro-RO"; without it digits are not said."""
        self._table = table
        self._lowercase = lowercase
        self._language = language.replace("_", "-").lower().partition("-")[0]

    def __repr__(self) -> str:
        return f"CharacterFrontEnd(lowercase={self._lowercase})"

    def symbols(self, text: NormalizedText) -> SymbolSequence:
        """Symbols of one segment. Never raises."""
        spoken = list(self._spoken(text))
        if self._table.layout == "blanks":
            said = [
                place
                for place, symbol in enumerate(spoken)
                if symbol.text != " " and symbol.text in self._table.symbols
            ]
            first, last = (said[0], said[-1]) if said else (len(spoken), -1)
            spoken = [
                symbol
                for place, symbol in enumerate(spoken)
                if symbol.text != " " or first < place < last
            ]
        return self._table.sequence(spoken, group=False)

    def _spoken(self, text: NormalizedText) -> Iterator[Symbol]:
        owners: list[int | None] = [None] * len(text.text)
        for index, word in enumerate(text.words):
            letters = [i for i in range(word.start, word.end) if _is_letter(text.text[i])]
            for place in range(letters[0], letters[-1] + 1) if letters else ():
                owners[place] = index
        position = 0
        for digits in _DIGITS.finditer(text.text):
            words = self._words(digits[0])
            if words is None:
                continue
            yield from self._letters(text.text, position, digits.start(), owners)
            position = digits.end()
            gaps = (
                " " * text.text[digits.start() - 1 : digits.start()].isalnum(),
                " " * text.text[position : position + 1].isalnum(),
            )
            padded = words.join(gaps)
            yield from self._letters(padded, 0, len(padded), [owners[digits.start()]] * len(padded))
        yield from self._letters(text.text, position, len(text.text), owners)

    def _words(self, digits: str) -> str | None:
        """Digits in words; None where the table has them, or where nobody knows the words."""
        if self._table.symbols.keys() >= set(digits) or not numerals.knows(self._language):
            return None
        if len(digits) > numerals.MOST_DIGITS or (digits[0] == "0" and len(digits) > 1):
            parts = list(digits)
        else:
            parts = [digits]
        return " ".join(numerals.cardinal(self._language, int(part)) for part in parts)

    def _letters(
        self, text: str, first: int, last: int, owners: list[int | None]
    ) -> Iterator[Symbol]:
        for start, end in _clusters(text, first, last):
            written = text[start:end]
            if self._lowercase:
                written = written.lower()
            for symbol in self._form(written):
                blank = symbol.isspace()
                yield Symbol(" " if blank else symbol, None if blank else owners[start])

    def _form(self, written: str) -> str:
        decomposed = unicodedata.normalize("NFD", written)
        known = self._table.symbols.keys()
        if known >= set(decomposed) and self._table.layout == "piper":
            return decomposed
        composed = unicodedata.normalize("NFC", written)
        if known >= set(composed) and self._table.layout != "piper":
            return composed
        if known >= set(decomposed):
            return decomposed
        return self._nearest(composed) or (
            decomposed if self._table.layout == "piper" else composed
        )

    def _nearest(self, written: str) -> str | None:
        """What is nearest to a letter with its marks, of what the table has."""
        known = self._table.symbols.keys()
        bare = _without_marks(written)
        others = [written, *_others(written), bare, *_others(bare)]
        forms = (unicodedata.normalize(form, o) for o in others for form in ("NFC", "NFD"))
        for spelled in forms:
            if known >= set(spelled) or (spelled == " " != written):
                return spelled
        return None


def _others(letter: str) -> list[str]:
    """What may stand for a letter, in its case."""
    lower = letter.lower()
    others = _NEAREST.get(lower, ())
    return [other if letter == lower else other.capitalize() for other in others]


def _without_marks(written: str) -> str:
    """A letter without its accents, of the alphabets in which it is then still the same one."""
    decomposed = unicodedata.normalize("NFD", written)
    return decomposed[0] if decomposed[0] < _ACCENTED else written


def _is_letter(character: str) -> bool:
    """Letters and digits, and the vowel signs of Indic scripts."""
    return character.isalnum() or unicodedata.category(character)[0] == "M"


def _clusters(text: str, first: int, last: int) -> Iterator[tuple[int, int]]:
    """Spans of a character and the combining marks after it."""
    start = first
    for place in range(first + 1, last + 1):
        if place == last or not unicodedata.combining(text[place]):
            yield start, place
            start = place
