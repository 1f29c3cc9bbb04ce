"""Mandarin for voices that were trained by KAN-TTS: Sambert's tokens.

A token is a phone with its tone, its place in the syllable and in the prosodic word; breaks stand
between these words. The table has an id for each token.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from voxswap_families.symbols import SymbolTable
from voxswap_families.text import NormalizedText, Phone, SymbolSequence
from voxswap_server.text.mandarin import syllables
from voxswap_server.text.mandarin.latin import LatinWord, arpabet, letters
from voxswap_server.text.mandarin.prosody import prosodic_words
from voxswap_server.text.mandarin.reader import Spoken, in_order, shared_reader
from voxswap_server.text.mandarin.tables import pairs
from voxswap_server.text.mandarin.tones import spoken_tones
from voxswap_server.text.mandarin.words import HanWord, is_child

# A token of any phone that a voice has, whether anybody says it or not.
_AS_BREAK: Final = "{}$tone_none$s_none$word_none"
_WORD, _PHRASE, _CLAUSE, _END = "#1", "#2", "#3", "#4"
_CLAUSE_MARKS: Final = frozenset("，。！？；：,.!?;:…—、")
# Nobody says more in one breath.
_LONGEST_PHRASE: Final = 20
_ARPABET_IPA: Final = pairs(
    "aa=ɑ ae=æ ah=ʌ ao=ɔ aw=aʊ ay=aɪ ch=tʃ dh=ð eh=ɛ er=ɝ ey=eɪ g=ɡ hh=h ih=ɪ iy=i jh=dʒ ng=ŋ "
    "ow=oʊ oy=ɔɪ r=ɹ sh=ʃ th=θ uh=ʊ uw=u y=j zh=ʒ"
)
_ENGLISH: Final = ("aa", "b", "iy", "zh")  # phones that a voice has if it was trained on English


class _Said(NamedTuple):
    """A syllable: its phones with their IPA, its tone, and the index of its word."""

    phones: tuple[str, ...]
    ipa: tuple[str, ...]
    tone: str
    word: int | None


class KanttsFrontEnd:
    """Mandarin as KAN-TTS's voices take it, and English where the table has its phones.

    Thread-safe; holds no state of its own. `symbols` takes a millisecond or two a sentence; making
    the first one of a process blocks for a second. Raises `FrontEndError` without the extra
    ``mandarin``.
    """

    def __init__(self, table: SymbolTable) -> None:
        self._symbols = table.symbols
        self._reader = shared_reader()
        self._english = self._reader.reads_english and all(map(self._knows, _ENGLISH))

    def __repr__(self) -> str:
        return f"KanttsFrontEnd(english={self._english})"

    def _knows(self, phone: str) -> bool:
        return _AS_BREAK.format(phone) in self._symbols

    def symbols(self, text: NormalizedText) -> SymbolSequence:
        """One id a token; each phone of a word knows it, and its text is IPA.

        Raises `LongReadingError`.
        """
        spoken = self._reader.read(text, english=self._english)
        unread = dict(spoken.unread)
        line = _Line(self._symbols, unread)
        for item in self._items(spoken, unread):
            if isinstance(item, str):
                line.break_after(item)
            else:
                line.say(item)
        line.close()
        return SymbolSequence(tuple(line.ids), tuple(line.phones), unread, spoken.text)

    def _items(self, spoken: Spoken, unread: dict[str, int]) -> Iterator[list[_Said] | str]:
        """Prosodic words as their syllables, and breaks."""
        run: list[HanWord] = []
        text = spoken.text.text
        for item in in_order(spoken):
            if isinstance(item, HanWord):
                run.append(item)
                continue
            yield from self._mandarin(text, run, spoken)
            run = []
            if isinstance(item, LatinWord):
                owner = spoken.owners[item.start]
                word = text[item.start : item.end]
                if said := self._latin(word, item.said, owner):
                    yield said
                else:
                    unread[word] = unread.get(word, 0) + 1
            elif item[1] in _CLAUSE_MARKS:
                yield _CLAUSE
        yield from self._mandarin(text, run, spoken)

    def _mandarin(
        self, text: str, words: Sequence[HanWord], spoken: Spoken
    ) -> Iterator[list[_Said]]:
        for group in prosodic_words(text, words):
            said: list[_Said] = []
            for word, tones in zip(group, spoken_tones(text, group), strict=True):
                owner = spoken.owners[word.start]
                for place, pinyin in zip(range(word.start, word.end), tones, strict=True):
                    if not pinyin:
                        continue
                    curls = said and text[place] == "儿" and not is_child(text, place)
                    if curls and (curled := self._curled(said[-1], pinyin)):
                        said[-1] = curled
                    else:
                        said.append(_of(pinyin, owner))
            if said:
                yield said

    def _curled(self, before: _Said, pinyin: str) -> _Said | None:
        """The syllable before 儿 with a final that takes it in, if it has one."""
        initial, final = before.phones
        rhotic = f"{final.removesuffix('_c')}r_c"
        if pinyin[:-1] != "er" or final == "er_c" or not self._knows(rhotic):
            return None
        return before._replace(phones=(initial, rhotic), ipa=(before.ipa[0], before.ipa[1] + "ɚ"))

    def _latin(self, word: str, said: str, owner: int | None) -> list[_Said]:
        if self._english and said:
            return [
                _Said(phones, tuple(map(_ipa_of, phones)), stress, owner)
                for phones, stress in arpabet(said)
            ]
        return [_of(pinyin, owner) for pinyin in letters(word)]


def _of(pinyin: str, owner: int | None) -> _Said:
    return _Said(*syllables.kantts(pinyin), owner)


def _ipa_of(phone: str) -> str:
    return _ARPABET_IPA.get(phone, phone)


class _Line:
    """Tokens as they come. A break is written when it is known what it is: at the next word."""

    def __init__(self, symbols: Mapping[str, Sequence[int]], unknown: dict[str, int]) -> None:
        self.ids: list[int] = []
        self.phones: list[Phone] = []
        self._symbols = symbols
        self._unknown = unknown
        self._break = ""
        self._since = 0  # syllables since a break that is heard

    def say(self, word: Sequence[_Said]) -> None:
        """A prosodic word, behind the break that parts it from the one before."""
        if self._break == _WORD and self._since + len(word) > _LONGEST_PHRASE:
            self._break = _PHRASE
        self._write_break()
        self._since += len(word)
        for i, syllable in enumerate(word):
            last = len(syllable.phones) - 1
            for j, (phone, ipa) in enumerate(zip(syllable.phones, syllable.ipa, strict=True)):
                inside = "begin" if j == 0 else "end" if j == last else "middle"
                place = "s_both" if not last else f"s_{inside}"
                if i == j == 0:
                    whole = "word_both" if not last and len(word) == 1 else "word_begin"
                elif i == len(word) - 1 and j == last:
                    whole = "word_end"
                else:
                    whole = "word_middle"
                self._put(phone, f"tone{syllable.tone}", place, whole, ipa, syllable.word)
        self._break = _WORD

    def break_after(self, level: str) -> None:
        """The break after the word before is of this ``level``, or of a higher one."""
        if self._break:
            self._break = max(self._break, level)

    def close(self) -> None:
        """The end."""
        if self._break:
            self._break = _END
        self._write_break()

    def _write_break(self) -> None:
        if not self._break:
            return
        is_known = _AS_BREAK.format(self._break) in self._symbols
        level = self._break if is_known else _WORD
        if level != _WORD:
            self._since = 0
        self._put(level, "tone_none", "s_none", "word_none", level, None)
        self._break = ""

    def _put(
        self, phone: str, tone: str, place: str, whole: str, ipa: str, word: int | None
    ) -> None:
        found = self._symbols.get(f"{phone}${tone}${place}${whole}")
        if found is None:
            self._unknown[phone] = self._unknown.get(phone, 0) + 1
            return
        first = len(self.ids)
        self.ids += found
        self.phones.append(Phone(ipa, first, first + 1, word))
