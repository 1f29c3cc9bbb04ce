"""Mandarin, English, and both in one line, for voices that EmotiVoice trained.

A token is an initial, or a final with its tone as the dictionary has it; or a phone of ARPAbet in
brackets, with its stress. Between them stand pauses, which say what they part.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from voxswap_families.symbols import SymbolTable
from voxswap_families.text import NormalizedText, Phone, SymbolSequence
from voxswap_server.text.mandarin import syllables
from voxswap_server.text.mandarin.latin import LatinWord, letters, phones
from voxswap_server.text.mandarin.reader import Spoken, in_order, shared_reader
from voxswap_server.text.mandarin.tones import without_tone
from voxswap_server.text.mandarin.words import HanWord, is_child

_SYLLABLE: Final = "sp0"
_HAN: Final = ("sp1", "sp3")  # between words, and at a mark
_LATIN: Final = ("engsp1", "engsp4")
# After English there is one pause, whatever is written; before it, those of Mandarin.
_BACK: Final = ("eng_cn_sp", "eng_cn_sp")
# English makes no pause at a bracket or a quote.
_CLAUSE_MARKS: Final = frozenset("，。！？；：、,.!?;:…—")
_ENGLISH: Final = ("[AA1]", "[B]", "[IY0]", "[ZH]")  # tokens of a voice that learned English
_WEAK: Final = frozenset("əᵊᵻɚɐ")
_CITED: Final = {"一": "yi1", "不": "bu4"}

_Said = Sequence[tuple[str, str]]  # tokens, each with its IPA


class EmotiVoiceFrontEnd:
    """Mandarin and English as EmotiVoice's voices take them. Holds no state of its own.

    Thread-safe. `symbols` takes a millisecond or two a sentence; making the first one of a process
    blocks for a second. Raises `FrontEndError` without the extra ``mandarin``.
    """

    def __init__(self, table: SymbolTable) -> None:
        self._table = table
        self._reader = shared_reader()
        self._english = self._reader.reads_english and all(
            token in table.symbols for token in _ENGLISH
        )

    def __repr__(self) -> str:
        return f"EmotiVoiceFrontEnd(english={self._english})"

    def symbols(self, text: NormalizedText) -> SymbolSequence:
        """One id a token; each phone of a word knows it, and its text is IPA.

        Raises `LongReadingError`.
        """
        spoken = self._reader.read(text, english=self._english)
        unread = dict(spoken.unread)
        line = _Line(self._table, unread)
        for item in in_order(spoken):
            if isinstance(item, HanWord):
                owner = spoken.owners[item.start]
                line.say([(said, owner) for said in _mandarin(item, spoken)], is_latin=False)
            elif isinstance(item, LatinWord):
                word = spoken.text.text[item.start : item.end]
                owner = spoken.owners[item.start]
                if self._english and item.said:
                    line.say([(_english(item.said), owner)], is_latin=True)
                elif spelled := letters(word):
                    said = [(syllables.emotivoice(pinyin), owner) for pinyin in spelled]
                    line.say(said, is_latin=False)
                else:
                    unread[word] = unread.get(word, 0) + 1
            else:
                line.mark(item[1])
        return line.closed(spoken)


def _mandarin(word: HanWord, spoken: Spoken) -> Iterable[_Said]:
    """The syllables of a word, those of 一 and 不 with their own tones, and 儿 without one."""
    text = spoken.text.text
    read = without_tone(text[word.start : word.end], word.syllables)
    for place, pinyin in zip(range(word.start, word.end), read, strict=True):
        character = text[place]
        cited = _CITED.get(character, "")
        if cited and pinyin[:-1] == cited[:-1]:
            yield syllables.emotivoice(cited)
        elif character == "儿" and place > word.start and not is_child(text, place):
            yield syllables.emotivoice("er5")
        elif pinyin:
            yield syllables.emotivoice(pinyin)


def _english(said: str) -> _Said:
    """A word in ARPAbet. As in its dictionaries, one without a stress has it on its first vowel
    that is not weak."""
    found = phones(said)
    if not any(phone.stress == "1" for phone in found):
        strong = [i for i, p in enumerate(found) if p.stress and p.ipa not in _WEAK]
        for place in strong[:1]:
            found[place] = found[place]._replace(stress="1")
    return [(f"[{phone.arpabet.upper()}{phone.stress}]", phone.ipa) for phone in found]


class _Line:
    """Tokens as they come; a pause is written when it is known what comes behind it."""

    def __init__(self, table: SymbolTable, unknown: dict[str, int]) -> None:
        self._table = table
        self._symbols: Mapping[str, Sequence[int]] = table.symbols
        self._ids = list(table.start)
        self._phones: list[Phone] = []
        self._unknown = unknown
        self._was_latin: bool | None = None  # the word before; None: there is none
        self._marks: set[str] = set()  # since then

    def say(self, said: Sequence[tuple[_Said, int | None]], *, is_latin: bool) -> None:
        """A word in its syllables, English in one, behind the pause that parts it from others."""
        if not said:
            return
        if self._was_latin is not None:
            if self._was_latin:
                pauses, marks = (_LATIN if is_latin else _BACK), self._marks & _CLAUSE_MARKS
            else:
                pauses, marks = _HAN, self._marks
            self._put(pauses[bool(marks)], "", None)
        for place, (tokens, word) in enumerate(said):
            if place:
                self._put(_SYLLABLE, "", None)
            for token, ipa in tokens:
                self._put(token, ipa, word)
        self._was_latin = is_latin
        self._marks.clear()

    def mark(self, mark: str) -> None:
        """A mark as it is written."""
        self._marks.add(mark)

    def closed(self, spoken: Spoken) -> SymbolSequence:
        """All of it."""
        ids = (*self._ids, *self._table.end)
        return SymbolSequence(ids, tuple(self._phones), self._unknown, spoken.text)

    def _put(self, token: str, ipa: str, word: int | None) -> None:
        found = self._symbols.get(token)
        if found is None:
            self._unknown[token] = self._unknown.get(token, 0) + 1
            return
        first = len(self._ids)
        self._ids += found
        self._phones.append(Phone(ipa or token, first, len(self._ids), word))
