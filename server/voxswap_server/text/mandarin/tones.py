"""Tones as they change in speech, for voices that were trained on what is said.

Two third tones in a row, 一 and 不 by what follows, and syllables that words say without a tone.
Voices that were trained on dictionary tones get none of this.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Final

from voxswap_server.text.mandarin.tables import names
from voxswap_server.text.mandarin.words import HanWord

_NUMERALS: Final = "零〇一二三四五六七八九十百千万亿第初幺"
# 一 that counts in a row, or in a date, is said as it is.
_ORDINAL: Final = re.compile(
    rf"[{_NUMERALS}]一|一(?=点?[零〇一二三四五六七八九十幺]|[月号日楼层级班等流](?![个起样半切]))"
)
_SPLIT_VERB: Final = re.compile(r"(.)[一不]\1")


def spoken_tones(text: str, group: Sequence[HanWord]) -> list[list[str]]:
    """The syllables of the words of ``group``, a prosodic word of ``text``, as they are said."""
    said = [without_tone(text[word.start : word.end], word.syllables) for word in group]
    places = [(i, j) for i, word in enumerate(said) for j in range(len(word))]
    flat = [said[i][j] for i, j in places]
    start, end = group[0].start, group[-1].end
    if end - start == len(flat):
        _one_and_not(text, start, flat)
    lengths = [len(word) for word in said]
    _third_tones(flat, lengths)
    for (i, j), syllable in zip(places, flat, strict=True):
        said[i][j] = syllable
    return said


@lru_cache(1)
def _toneless_words() -> frozenset[str]:
    """Words whose last syllable has no tone."""
    return names(files(__package__).joinpath("toneless.txt").read_text(encoding="utf-8"))


def without_tone(word: str, syllables: Sequence[str]) -> list[str]:
    """The syllables of ``word``, the last without its tone where nobody says one."""
    said = list(syllables)
    if word in _toneless_words() and said[-1]:
        said[-1] = said[-1][:-1] + "5"
    return said


def _one_and_not(text: str, start: int, syllables: list[str]) -> None:
    for i, syllable in enumerate(syllables):
        place = start + i
        character = text[place]
        if character not in "一不" or not syllable:
            continue
        around = text[max(0, place - 1) : place + 2]
        following = syllables[i + 1] if i + 1 < len(syllables) else ""
        if len(around) == 3 and _SPLIT_VERB.match(around):
            tone = "5"
        elif character == "一" and (
            not following
            or any(
                m.start() in {place, place - 1} and m.end() == place + 1
                for m in _ORDINAL.finditer(text, max(0, place - 1), place + 3)
            )
        ):
            tone = "1"
        else:
            # 个 has lost a fourth tone.
            falls = following.endswith("4") or following == "ge5"
            tone = "2" if falls else "4"
        syllables[i] = syllable[:-1] + tone


def _third_tones(syllables: list[str], lengths: Sequence[int]) -> None:
    """Of two in a row the first rises: within words first, then from word to word."""
    first = 0
    for length in lengths:
        for i in range(first, first + length - 1):
            _rise(syllables, i)
        first += length
    for i in range(len(syllables) - 1):
        _rise(syllables, i)


def _rise(syllables: list[str], i: int) -> None:
    if syllables[i].endswith("3") and syllables[i + 1].endswith("3"):
        syllables[i] = f"{syllables[i][:-1]}2"
