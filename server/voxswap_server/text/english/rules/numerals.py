"""Numbers in English words, over num2words: cardinals, ordinals, years, fractions, digits."""

from __future__ import annotations

from functools import lru_cache

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_DECADES = (
    *("hundreds", "tens", "twenties", "thirties", "forties"),
    *("fifties", "sixties", "seventies", "eighties", "nineties"),
)
# Beyond these a string of digits is a name, not a quantity.
_MOST_DIGITS = 15
_MOST_PLAIN_DIGITS = 6
# num2words takes 20 us for the smallest number, and the same ones come again and again.
_REMEMBERED = 4096


def spell(digits: str) -> str:
    """ "307" -> "three zero seven". Anything but ASCII digits is passed over."""
    return " ".join(_DIGITS[int(char)] for char in digits if char in "0123456789")


def whole(digits: str) -> str:
    """Digits, with or without thousands separators, as a quantity, or one by one if too long."""
    plain = digits.replace(",", "").replace(" ", "")
    named = len(plain) == len(digits) > _MOST_PLAIN_DIGITS and not plain.endswith("000")
    if named or len(plain) > _MOST_DIGITS or (plain[0] == "0" and len(plain) > 1):
        return spell(plain)
    return cardinal(int(plain))


def number(text: str) -> str:
    """ "-1,234.50" -> "minus one thousand two hundred and thirty-four point five zero"."""
    sign = {"-": "minus ", "+": "plus "}.get(text[0], "")
    integer, _, decimals = text.lstrip("+-").partition(".")
    words = whole(integer) if integer else ""
    if decimals:
        words = f"{words} point {spell(decimals)}".strip()
    return sign + words


def in_pairs(digits: str) -> str:
    """Three or four digits as a house or a model has them: "4090" -> "forty ninety"."""
    first, last = digits[:-2], digits[-2:]
    if first[0] == "0":
        return spell(digits)
    if last == "00":
        return whole(digits) if first.endswith("0") else f"{cardinal(int(first))} hundred"
    return f"{cardinal(int(first))} {'oh ' if last[0] == '0' else ''}{cardinal(int(last))}"


def mixed(digits: str) -> str:
    """Digits of a name such as "MP3", "A380" or "x86"."""
    short = len(digits) <= 2 and (digits[0] != "0" or len(digits) == 1)
    return cardinal(int(digits)) if short else spell(digits)


def cardinal(value: int) -> str:
    """ "one hundred and five"; no commas, which would be pauses."""
    return _words(value, "cardinal")


def ordinal(value: int) -> str:
    """ "one hundred and fifth"."""
    return _words(value, "ordinal")


def year(value: int) -> str:
    """ "nineteen oh-five"."""
    return _words(value, "year")


def decade(century: str, tens: str) -> str:
    """The 19 and 8 of "1980s" -> "nineteen eighties"; an empty century is left unsaid."""
    plural = _DECADES[int(tens)]
    if not century:
        return plural
    if century == "20" and tens == "0":
        return "two thousands"
    return f"{cardinal(int(century))} {plural}"


def fraction(numerator: int, denominator: int) -> str:
    """ "three quarters". The denominator is at least two."""
    part = {2: "half", 4: "quarter"}.get(denominator) or ordinal(denominator)
    if numerator != 1:
        part = "halves" if part == "half" else f"{part}s"
    return f"{cardinal(numerator)} {part}"


@lru_cache(_REMEMBERED)
def _words(value: int, kind: str) -> str:
    from num2words import num2words  # Loads every language: 20 ms, not to be spent at import.

    words: str = num2words(value, to=kind)
    return words.replace(",", "")
