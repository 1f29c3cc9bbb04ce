"""English words and letters inside Mandarin text: how they are read, by those who can."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from types import MappingProxyType
from typing import Final, NamedTuple

from voxswap_registry.errors import FrontEndError
from voxswap_server.text.english.phonemes import IPA_OF_LETTERS
from voxswap_server.text.english.reader import EnglishReader
from voxswap_server.text.mandarin.tables import names, pairs

LATIN_RUN: Final = re.compile(
    r"[A-Za-zÀ-ɏ]+(?:['’][A-Za-z]+)*(?:[ -]?[A-Za-zÀ-ɏ]+(?:['’][A-Za-z]+)*)*"
)
_WORD: Final = re.compile(r"[A-Za-zÀ-ɏ]+(?:['’][A-Za-z]+)*")
_VOWEL: Final = re.compile("[AEIOUYaeiouyÀ-ɏ]")
# Letters as Mandarin says them, for voices that were trained on no English.
_LETTERS: Final = pairs(
    "A=ei1 B=bi4 C=xi1 D=di4 E=yi4 F=ai2+fu5 G=ji4 H=ei1+chi5 I=ai4 J=jie4 K=kei4 L=ai2+lou5 "
    "M=ai2+mu5 N=en1 O=ou1 P=pi4 Q=kou1 R=a4+er5 S=ai2+si5 T=ti4 U=you1 V=wei1 W=da2+bu5+liu5 "
    "X=ai2+ke5+si5 Y=wai4 Z=zei4"
)
_MOST_SPELLED: Final = 6
_REMEMBERED: Final = 2048  # runs with their readings: hibari takes a millisecond for one

# ARPAbet for misaki's letters; the longest fits first.
_ARPABET: Final = pairs(
    "ɜɹ=er əɹ=er ɝ=er ɚ=er A=ey I=ay O=ow Q=ow W=aw Y=oy ʤ=jh ʧ=ch ᵊ=ah ᵻ=ih ə=ah ɐ=ah T=t ɾ=d "
    "ɹ=r ɡ=g j=y ŋ=ng ʃ=sh ʒ=zh θ=th ð=dh h=hh ɑ=aa æ=ae ɛ=eh ɪ=ih i=iy u=uw ʊ=uh ʌ=ah ɔ=ao ɒ=aa "
    "a=aa e=eh ʔ=t x=k b=b d=d f=f k=k l=l m=m n=n p=p s=s t=t v=v w=w z=z"
)
_LETTER: Final = re.compile("([ˈˌ]?)(" + "|".join(sorted(_ARPABET, key=len, reverse=True)) + ")")
_STRESSES: Final = MappingProxyType({"": "0", "ˈ": "1", "ˌ": "2"})
_VOWELS: Final = names("aa ae ah ao aw ay eh er ey ih iy ow oy uh uw")
# Consonants that may begin a syllable together.
_ONSETS: Final = names(
    "p-r t-r k-r b-r d-r g-r f-r th-r sh-r p-l k-l b-l g-l f-l s-l s-p s-t s-k s-m s-n s-w t-w k-w "
    "d-w g-w hh-w p-y k-y b-y f-y m-y hh-y v-y s-p-r s-t-r s-k-r s-p-l s-k-w"
)


class LatinWord(NamedTuple):
    """``text[start:end]`` in misaki's phonemes; empty if nobody can read it."""

    start: int
    end: int
    said: str


class LatinReader:
    """Reads English by hibari-tts, if that is here. Thread-safe; see `EnglishReader`."""

    def __init__(self) -> None:
        self._english: EnglishReader | None = None
        self._of_run = lru_cache(_REMEMBERED)(self._read)
        try:
            self._english = EnglishReader(british=False)
        except FrontEndError:  # the extra for Mandarin does without
            self._english = None

    @property
    def can_read(self) -> bool:
        """Whether there is anybody to read English."""
        return self._english is not None

    def words(self, text: str, start: int, end: int) -> Iterator[LatinWord]:
        """The words of a run of Latin letters."""
        if self._english is None:
            for word in _WORD.finditer(text, start, end):
                yield LatinWord(word.start(), word.end(), "")
            return
        for first, last, said in self._of_run(text[start:end]):
            yield LatinWord(start + first, start + last, said)

    def _read(self, run: str) -> Sequence[LatinWord]:
        assert self._english is not None  # noqa: S101 - see `words`
        known: dict[tuple[int, int], str] = {}
        for reading in self._english.read(_WORD.sub(lambda word: _spelled_out(word[0]), run)):
            if not reading.is_mark:
                place = (reading.start, reading.end)
                known[place] = known.get(place, "") + reading.said
        return [
            LatinWord(first, last, "ˈA" if run[first:last] in {"A", "a"} else said)
            for (first, last), said in known.items()
        ]


def _spelled_out(word: str) -> str:
    return word if _VOWEL.search(word) else word.upper()


def letters(word: str) -> Sequence[str]:
    """The letters of ``word`` in syllables of Mandarin; none for what is no abbreviation."""
    if len(word) > _MOST_SPELLED or not (
        word.isupper() or len(word) == 1 or not _VOWEL.search(word)
    ):
        return ()
    return [
        syllable
        for letter in word.upper()
        if letter in _LETTERS
        for syllable in _LETTERS[letter].split("+")
    ]


class EnglishPhone(NamedTuple):
    """A phone of ARPAbet in small letters, its IPA, and of a vowel its stress: 0, 1, or 2."""

    arpabet: str
    ipa: str
    stress: str


def phones(said: str) -> list[EnglishPhone]:
    """misaki's phonemes of a word in ARPAbet."""
    found, mark = [], ""
    for marked, letter in _LETTER.findall(said):
        mark = marked or mark
        phone, stress = _ARPABET[letter], ""
        if phone in _VOWELS:
            stress, mark = _STRESSES[mark], ""
        found.append(EnglishPhone(phone, letter.translate(IPA_OF_LETTERS), stress))
    return found


class EnglishSyllable(NamedTuple):
    """ARPAbet in small letters, and its stress: 1, or 0 for a weaker one and none."""

    phones: tuple[str, ...]
    stress: str


def arpabet(said: str) -> list[EnglishSyllable]:
    """misaki's phonemes of a word as syllables of ARPAbet. Between vowels the next one takes all
    consonants that may begin a syllable."""
    found = phones(said)
    vowels = [i for i, phone in enumerate(found) if phone.stress]
    names = [phone.arpabet for phone in found]
    if not vowels:
        return [EnglishSyllable(tuple(names), "0")] if names else []
    cuts = [0]
    for before, after in pairwise(vowels):
        onset = after
        while onset > before + 1 and _begins(names[onset - 1 : after]):
            onset -= 1
        cuts.append(onset)
    return [
        EnglishSyllable(tuple(names[first:last]), "1" if found[vowel].stress == "1" else "0")
        for first, last, vowel in zip(cuts, [*cuts[1:], len(names)], vowels, strict=True)
    ]


def _begins(consonants: Sequence[str]) -> bool:
    if len(consonants) == 1:
        return consonants[0] != "ng"
    return "-".join(consonants) in _ONSETS
