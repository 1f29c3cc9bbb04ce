"""What a rule for reading written English is made of."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple


class Rule(NamedTuple):
    """``read`` says what a match of ``pattern`` sounds like, or None if the rule does not apply.

    A pattern takes time linear in what it matches, so that a rule may be tried at every character.
    """

    pattern: re.Pattern[str]
    read: Callable[[re.Match[str]], str | None]


# Thousands are parted by commas or by spaces: "12 345", but "555 123 4567" is a telephone number,
# and three digits before the first space need a round number behind them.
_SPACED = (
    r"[1-9]\d?(?>(?: \d{3}){1,5})(?! ?\d|[/:-]\d|,\d{3})"
    r"|[1-9]\d\d(?>(?: 000){1,5})(?! ?\d|[/:-]\d|,\d{3})"
    r"|[1-9]\d\d(?>(?: \d{3}){1,5})(?= (?!and|or|to)[a-z]{3,}s\b| people\b| ?[$€£%]| k[mg]\b)"
)
INTEGER = rf"(?:\d{{1,3}}(?>(?:,\d{{3}}){{1,12}})(?!\d)|{_SPACED}|\d++)"
NUMBER = rf"(?:{INTEGER}(?>(?:\.\d++)?)|\.\d++)"
# The full stop of an abbreviation, unless it ends the segment too: then it is left standing.
STOP = r"""(?:\.(?![\s.,;:!?'"()—-]*\Z))"""


def any_of(written: Iterable[str]) -> str:
    """A pattern for any of these, the longest first."""
    return f"(?:{'|'.join(sorted(map(re.escape, written), key=len, reverse=True))})"


def before(match: re.Match[str], count: int) -> str:
    """Up to ``count`` characters in front of a match."""
    return match.string[max(0, match.start() - count) : match.start()]


def after(match: re.Match[str], count: int) -> str:
    """Up to ``count`` characters behind a match."""
    return match.string[match.end() : match.end() + count]
