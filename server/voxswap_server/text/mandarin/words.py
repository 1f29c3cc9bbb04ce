"""Words of Mandarin and how they are read: jieba's words, pypinyin's dictionary, and our rules."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from voxswap_server.text.mandarin.characters import HAN_RUN, IS_HAN
from voxswap_server.text.mandarin.polyphones import reading_at

_REMEMBERED: Final = 16_384  # words with their readings, a megabyte or two
# 儿 that is a child, and a syllable of its own.
_IS_CHILD: Final = re.compile(
    "(?:[女婴幼孤健男少胎宠弃患育妻小托侄乳]|新生|早产|混血|幸运|畸形|连体)儿\\Z"
)
_LONGEST: Final = 8  # of a word that is looked up as one


class HanWord(NamedTuple):
    """A word of Han characters, ``text[start:end]``, with a syllable for each.

    A syllable is pinyin with its tone as a digit, 5 for none: ``zhong1``, ``lv4``. A character that
    nobody can read has an empty one. ``known``: a dictionary has the word.
    """

    start: int
    end: int
    syllables: tuple[str, ...]
    known: bool


class WordReader:
    """Cuts text into words and reads them. Thread-safe: it holds tables alone.

    Making one loads jieba's dictionary and pypinyin's (0.4 s). Raises ImportError without them.
    """

    def __init__(self) -> None:
        import pypinyin
        import rjieba
        from pypinyin.phrases_dict import phrases_dict

        self._cut: Any = rjieba.cut
        self._phrases: Any = phrases_dict
        self._tone3 = pypinyin.Style.TONE3
        self._lazy_pinyin: Any = pypinyin.lazy_pinyin
        self._of_word = lru_cache(_REMEMBERED)(self._looked_up)
        self._cut("我们")  # it reads its dictionary when it is asked first

    def words(self, text: str) -> Iterator[HanWord]:
        """The words of the Han characters of ``text``, in order. What is between them parts them.

        Takes about 0.01 ms a character.
        """
        for run in HAN_RUN.finditer(text):
            start = run.start()
            for word in self._cut(run[0]):
                yield self._read(text, start, start + len(word))
                start += len(word)

    def _read(self, text: str, start: int, end: int) -> HanWord:
        syllables, known = self._of_word(text[start:end])
        told = [reading_at(text, place, in_word=known) for place in range(start, end)]
        if any(told):
            syllables = tuple(new or old for new, old in zip(told, syllables, strict=True))
        return HanWord(start, end, syllables, known)

    def _looked_up(self, word: str) -> tuple[tuple[str, ...], bool]:
        known = len(word) > 1 and word in self._phrases
        parts = [word[at : at + _LONGEST] for at in range(0, len(word), _LONGEST)]
        syllables: list[str] = []
        for part in parts if len(word) > 2 * _LONGEST else [word]:
            found: Sequence[str] = self._lazy_pinyin(
                part, style=self._tone3, neutral_tone_with_five=True, errors=_unread
            )
            syllables += found
        return tuple(syllables), known


def _unread(characters: str) -> list[str]:
    return ["" for _ in characters]


def is_han(character: str) -> bool:
    """Whether it is a Han character."""
    return bool(IS_HAN.match(character))


def is_child(text: str, place: int) -> bool:
    """Whether the 儿 that stands there, behind another character, is a child and no ending."""
    return bool(_IS_CHILD.search(text, 0, place + 1))
