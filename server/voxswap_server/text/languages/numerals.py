"""Numbers in the words of num2words, a language at a time, in the time that a line has for them."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any, Final

MOST_DIGITS: Final = 15
"""Beyond these a string of digits is a name, not a quantity."""


def knows(locale: str) -> bool:
    """Whether num2words has the language. Loads all of them at first: 20 ms."""
    from num2words import CONVERTER_CLASSES

    return locale in CONVERTER_CLASSES


@lru_cache(8192)
def cardinal(locale: str, value: int, **forms: Any) -> str:
    """A number of at most `MOST_DIGITS` in words. ``forms`` are what the language's class takes."""
    words: str = _converter(locale).to_cardinal(value, **forms)
    return words.strip().replace(",", "")


@lru_cache(2048)
def ordinal(locale: str, value: int, **forms: Any) -> str:
    """The same as an ordinal. Raises NotImplementedError where the language has none."""
    words: str = _converter(locale).to_ordinal(value, **forms)
    return words.strip().replace(",", "")


@cache
def _converter(locale: str) -> Any:
    """num2words's converter for a language, ten times as fast as its own.

    Some search all names of numbers for each number, up to one with 600 digits: 0.4 ms.
    """
    from num2words import CONVERTER_CLASSES

    converter = type(CONVERTER_CLASSES[locale])()
    cards = getattr(converter, "cards", None)
    if cards:
        small = ((value, name) for value, name in cards.items() if value <= 10**MOST_DIGITS)
        converter.cards = type(cards)(small)
    return converter
