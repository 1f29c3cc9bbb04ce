"""Which scripts a language is written in, as far as it matters: who can read Han and kana."""

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
