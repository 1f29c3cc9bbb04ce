"""Which scripts a language is written in, as far as it matters: who can read Han and kana.

espeak-ng says "Chinese letter" for each of them in other languages, and for letters of some scripts
their numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_LANGUAGES: Final = frozenset(
    ("zh", "cmn", "yue", "wuu", "hak", "nan", "gan", "hsn", "cdo", "lzh", "ja", "ko")
)
_CHARACTERS: Final = re.compile(
    "[\u3005\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fffd]"
)

_EUROPEAN: Final = frozenset(
    (
        *("en", "de", "fr", "es", "it", "pt", "pl", "ru", "uk", "nl", "tr", "cs", "sv", "da", "no"),
        *("nb", "nn", "fi", "hu", "ro", "sk", "sl", "hr", "bs", "bg", "ca", "el", "et", "is", "lt"),
        *("lv", "mk", "sq", "eu", "gl", "cy", "ga", "eo", "lb", "af", "be"),
    )
)
# Hebrew, Arabic and what is written like it, Thai, Lao, Tibetan, Burmese, Khmer; not their money.
_FAR: Final = re.compile(
    "[\u0590-\u060a\u060c-\u08ff\u0e00-\u0e3e\u0e40-\u109f\u1780-\u17da\u17dc-\u17ff"
    "\ufb1d-\ufdfb\ufdfd-\ufdff\ufe70-\ufefc]+"
)
_RUN: Final = re.compile(f"{_CHARACTERS.pattern}+")


def foreign_spans(text: str, language: str) -> list[tuple[int, int]]:
    """The spans of ``text`` in scripts that nobody reads in ``language``, a tag's primary part."""
    if text.isascii() or language in _LANGUAGES:
        return []
    spans = [found.span() for found in _RUN.finditer(text)]
    if language in _EUROPEAN:
        spans += [found.span() for found in _FAR.finditer(text)]
    return sorted(spans)


def is_foreign(text: str, languages: Iterable[str]) -> bool:
    """Whether ``text`` is Han characters or kana alone, and none of ``languages`` has these.

    Marks do not count, and a text without letters or digits is not foreign to anybody.
    """
    if not _CHARACTERS.search(text):
        return False
    primary = {language.replace("_", "-").split("-")[0].lower() for language in languages}
    if not primary.isdisjoint(_LANGUAGES):
        return False
    return all(_CHARACTERS.match(character) for character in text if character.isalnum())
