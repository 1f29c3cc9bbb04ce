"""Digits in Mandarin words."""

from __future__ import annotations

from typing import Final

_DIGITS: Final = "零一二三四五六七八九"
_PLACES: Final = ("", "十", "百", "千")
_MYRIADS: Final = ("", "万", "亿")
MOST_DIGITS: Final = 12
"""Of a number that is read as one; what is longer is read digit by digit."""


def digits(number: str, *, telephone: bool = False) -> str:
    """Each of the ASCII digits by itself; on the telephone 1 is 幺. All else is left out."""
    said = "".join(_DIGITS[int(digit)] for digit in number if digit in "0123456789")
    return said.replace("一", "幺") if telephone else said


def cardinal(number: str) -> str:
    """A whole number of ASCII digits as it is counted; with over `MOST_DIGITS`, each by itself."""
    number = number.lstrip("0")
    if len(number) > MOST_DIGITS:
        return digits(number)
    said, silent = "", False
    for place, digit in zip(range(len(number) - 1, -1, -1), number, strict=True):
        if digit == "0":
            silent = True
        else:
            said += ("零" if silent and said else "") + _DIGITS[int(digit)] + _PLACES[place % 4]
            silent = False
        if place % 4 == 0 and place and number[max(0, len(number) - place - 4) :][:4].strip("0"):
            said += _MYRIADS[place // 4]
    return (said[1:] if said.startswith("一十") else said) or "零"
