"""Characters of Mandarin text: which are Han, one width for all, simplified for traditional."""

from __future__ import annotations

import re
import unicodedata
from types import MappingProxyType
from typing import Any, Final

from voxswap_server.text.mandarin.spelling import Spelling

HAN: Final = "\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fffd"
IS_HAN: Final = re.compile(f"[{HAN}]")
HAN_RUN: Final = re.compile(f"[{HAN}]+")
# What OpenCC is given: a C++ library gets characters that it was made for, and no others.
_CONVERTED: Final = re.compile("[\u4e00-\u9fff]+")
# Full width, circled, Roman, fractions, squared units.
_COMPATIBLE: Final = re.compile(
    "[\u00bc-\u00be\u00b2\u00b3\u2070-\u209c\u2150-\u2189\u2460-\u249b\u3220-\u3247\u3280-\u32b0"
    "\u3371-\u33dd\uf900-\ufaff\uff01-\uff5e\uffe0-\uffe6\U0001d400-\U0001d7ff]"
)
_KEPT: Final = frozenset("²³，。！？：；（）～")
_ROMAN: Final = "ⅠⅡⅢⅣⅤⅥⅦⅧⅨⅩⅪⅫ"
_SPELLED: Final = MappingProxyType(
    {
        **{numeral: str(n) for n, numeral in enumerate(_ROMAN, 1)},
        **{numeral.lower(): str(n) for n, numeral in enumerate(_ROMAN, 1)},
        "〇": "零",
        "㎡": "m²",
        "㎥": "m³",
        "々": "",
    }
)
# 著 is written for 着 in traditional text, but not in these words.
_KEPT_ZHU: Final = re.compile(
    "[名显原编论专巨卓昭土译合遗拙所新旧自撰]著|著[作名者述称书有录文于成]"
)


class Simplifier:
    """Traditional characters to simplified ones, by OpenCC.

    Thread-safe: OpenCC's conversion changes nothing. Making one reads its dictionaries (5 ms).
    Raises ImportError without the package.
    """

    def __init__(self) -> None:
        import opencc

        self._converter: Any = opencc.OpenCC("t2s")

    def simplified(self, text: str) -> str:
        """``text`` in simplified characters, each in its place: the length stays."""
        return _CONVERTED.sub(lambda run: self._run(run[0]), text)

    def _run(self, run: str) -> str:
        converted: str = self._converter.convert(run)
        if len(converted) != len(run):
            converted = "".join(self._converter.convert(character)[:1] for character in run)
        if "著" in converted:
            owned = {i for m in _KEPT_ZHU.finditer(converted) for i in range(*m.span())}
            converted = "".join(
                "着" if character == "著" and i and i not in owned else character
                for i, character in enumerate(converted)
            )
        return converted


def tidied(spelling: Spelling, simplifier: Simplifier) -> Spelling:
    """Letters, digits and signs in one width, Roman and circled numbers as digits, simplified."""
    folded = spelling.substituted(_FOREIGN, lambda found: _folded(found, spelling.text))
    return folded._replace(text=simplifier.simplified(folded.text))


def _folded(found: re.Match[str], text: str) -> str:
    character = found[0]
    if character == "々":  # the character before it, once more
        before = text[found.start() - 1 : found.start()]
        return before if IS_HAN.match(before) else ""
    if character in _SPELLED:
        return _SPELLED[character]
    if character.isdecimal():  # of any script
        return str(unicodedata.decimal(character))
    plain = unicodedata.normalize("NFKC", character).replace("\u2044", "/")
    if character in "¼½¾" or "\u2150" <= character <= "\u215e":
        return f"又{plain}" if text[found.start() - 1 : found.start()].isdigit() else plain
    if "\u2460" <= character <= "\u249b" or "\u3220" <= character <= "\u3247":
        return plain.strip("().")
    return plain


_FOREIGN: Final = re.compile(
    f"(?![{''.join(_KEPT)}0-9])(?:{_COMPATIBLE.pattern}|[{''.join(_SPELLED)}]|\\d)"
)
