"""Finds what written English abbreviates, and says how it is read aloud."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from voxswap_server.text.cleaning import CleanText
from voxswap_server.text.english.rules.abbreviations import STROKES
from voxswap_server.text.english.rules.addresses import ADDRESS_RULES
from voxswap_server.text.english.rules.codes import CODE_RULES, COLOR, read_color
from voxswap_server.text.english.rules.counters import COUNTER_RULES
from voxswap_server.text.english.rules.dates import (
    MONTH_PREFIXES,
    MONTH_RULE,
    YEAR_RULES,
    date_rules,
)
from voxswap_server.text.english.rules.dialogue import (
    STAMMER,
    read_drawn_out,
    read_interjection,
    read_stammer,
)
from voxswap_server.text.english.rules.directions import Directions, directions
from voxswap_server.text.english.rules.durations import DURATION_RULES
from voxswap_server.text.english.rules.measures import DIMENSION_RULES, MEASURE_RULES
from voxswap_server.text.english.rules.money import (
    CURRENCY,
    LETTERED_RULES,
    LETTERS_BEFORE,
    MONEY_RULES,
)
from voxswap_server.text.english.rules.quantities import (
    MIXED_RULE,
    PHONE_RULES,
    PLAIN_RULE,
    QUANTITY_RULES,
    RANGE_RULE,
    read_version,
)
from voxswap_server.text.english.rules.roman import read_roman
from voxswap_server.text.english.rules.rule import Rule, after, any_of, before
from voxswap_server.text.english.rules.shouting import shouted_words
from voxswap_server.text.english.rules.symbols import ADDRESS, SYMBOL_RUN, read_address, read_symbol
from voxswap_server.text.english.rules.words import read_abbreviation


class Rewrite(NamedTuple):
    """``text[start:end]`` is read as ``spoken``; left out if that is empty."""

    start: int
    end: int
    spoken: str


# Each alternative takes a whole run or looks ahead by a bounded distance.
_CANDIDATE = re.compile(
    rf"(?P<address>{ADDRESS})"
    rf"|(?P<number>(?<![\w-])(?:[+-]?{CURRENCY}\s?|[+-])(?=\.?\d)|(?<!\w)'(?=\d\d)"
    r"|(?<!\w)\((?=\d{3}\))|(?<![\w.])\.(?=\d)|\d)"
    rf"|(?P<stammer>{STAMMER})"
    rf"|(?P<stroke>(?<![\w/]){any_of(STROKES)}(?![\w/]))"
    r"|(?P<letters>(?<![\w-])(?:A-Z|a-z)(?![\w-]))"
    r"|(?P<version>(?<!\w)(?:v\.?|V(?=\d+\.\d))(?P<parts>\d+(?>(?:\.\d+)*)))"
    r"|(?P<word>(?<!\w)[A-Za-z]{1,2}(?>(?:\.[A-Za-z]{1,2})+)(?!\w|\.[A-Za-z])|[^\W\d_²³]+)"
    r"|(?P<dot>(?<!\.)\.(?=[A-Za-z]))"
    rf"|(?P<symbol>{SYMBOL_RUN})"
)
# Nothing by themselves, but something to a rule: "#ff8800", "N·m", "5 km / h".
_READ_LATER = re.compile(
    rf"{COLOR.pattern}|(?<=\w)[·⋅](?=[a-z])|(?<=\w )/(?= (?:s|h|min|day|hour)\b)"
    r"|(?<=\b[wW])/(?= )|(?<=\d )[^\w\s](?= \d)"
)
# Small numbers one after another, which no other rule reads: a text may have hundreds.
_IN_A_ROW = re.compile(r"\d{1,2}(?= \d{1,2}(?: |\Z))")
# "Potion x5", but x86 is a processor.
_TIMES = re.compile(r"(?<![^\s(])x(?=\d{1,3}(?![\w.]))(?!86|64|32|16)")
_SHOUTED = re.compile(r"[A-Z]+'[A-Z]{1,3}(?!\w)")
_SYMBOL = re.compile(rf"(?P<address>{ADDRESS})|(?P<symbol>{SYMBOL_RUN})")
_AFTER_DATES = (
    *(*PHONE_RULES, *DURATION_RULES, *MONEY_RULES, *DIMENSION_RULES, *COUNTER_RULES),
    *(*ADDRESS_RULES, *MEASURE_RULES, *QUANTITY_RULES, *YEAR_RULES, RANGE_RULE, PLAIN_RULE),
)
_MONTH_FIRST = (*CODE_RULES, *date_rules(day_first=False), *_AFTER_DATES)
_DAY_FIRST = (*CODE_RULES, *date_rules(day_first=True), *_AFTER_DATES)


def without_decorations(source: CleanText, *, acted: Directions = "drop") -> CleanText:
    """Leaves out symbols that are not read, such as the asterisks of "**Dr.** Smith".

    They go first, so that no rule needs to look past them. So do stage directions ("*sighs*"),
    unless ``acted`` says that they are spoken.
    """
    spans = [
        (match.start(), _past_marks(source.text, match.end()))
        for match in _SYMBOL.finditer(source.text)
        if match["symbol"] and not _READ_LATER.match(source.text, match.start())
        if read_symbol(match) == ""
    ]
    gone = list(directions(source.text)) if acted == "drop" else []
    if not gone:
        return source.without(spans)
    spans = [span for span in spans if not any(first <= span[0] < last for first, last in gone)]
    left = source.without(sorted([*spans, *gone]))
    # Nobody is told of words that are left out on purpose.
    dropped = Counter(left.dropped)
    for first, last in gone:
        dropped.subtract(char for char in source.text[first:last] if char not in "*()")
    return replace(left, dropped=+dropped)


def english_rewrites(text: str, *, day_first: bool) -> Iterator[Rewrite]:
    """What to read otherwise than it is written, in order and without overlap.

    ``text`` is clean (`CleanText`). ``day_first`` says how dates such as 5/6/2024 are meant. Every
    digit lies in one of the spans. Takes linear time.
    """
    rules = _DAY_FIRST if day_first else _MONTH_FIRST
    shouted = shouted_words(text)
    position = 0
    while match := _CANDIDATE.search(text, position):
        found = _read(match, rules, shouted)
        if found is None:
            whole = match["word"] or match["symbol"]
            position = match.end() if whole else match.start() + 1
            continue
        position, spoken = _past_marks(text, found[0]), found[1]
        yield Rewrite(match.start(), position, spoken)


def _past_marks(text: str, position: int) -> int:
    """Behind the accents of what is not read as it is written."""
    while unicodedata.category(text[position : position + 1] or " ")[0] == "M":
        position += 1
    return position


def _read(
    match: re.Match[str], rules: Sequence[Rule], shouted: frozenset[int]
) -> tuple[int, str] | None:
    """Where the reading of a candidate ends, and the reading; None to leave it as it is."""
    if match["word"]:
        return _word(match, shouted)
    if match["number"]:
        if before(match, 1).isalpha():
            rules = (MIXED_RULE,)
        elif _IN_A_ROW.match(match.string, match.start()):
            rules = (PLAIN_RULE,)
        return _first(rules, match)
    if match["address"]:
        return match.end(), read_address(match["address"])
    if match["stammer"]:
        return read_stammer(match)
    if match["stroke"]:
        return match.end(), STROKES[match["stroke"]]
    if match["letters"]:
        return match.end(), match["letters"].replace("-", " to ")
    if match["version"]:
        return match.end(), read_version(match["parts"])
    if match["dot"]:
        # "Node.js" and ".NET", but "the end.Then".
        sentence = before(match, 1).isalnum() and after(match, 1).isupper()
        return match.end(), "." if sentence else "dot"
    if color := COLOR.match(match.string, match.start()):
        return color.end(), read_color(color)
    spoken = read_symbol(match)
    return None if spoken is None else (match.end(), spoken)


def _word(match: re.Match[str], shouted: frozenset[int]) -> tuple[int, str] | None:
    written = match[0]
    if written[:3] in MONTH_PREFIXES and (found := _first((MONTH_RULE,), match)):
        return found
    if written == "x" and _TIMES.match(match.string, match.start()):
        return match.end(), "times"
    if written in LETTERS_BEFORE and (found := _first(LETTERED_RULES, match)):
        return found
    if found := read_abbreviation(match) or read_roman(match):
        return found
    spoken = read_interjection(match) or read_drawn_out(match)
    if spoken is None and match.start() in shouted:
        whole = _SHOUTED.match(match.string, match.start()) or match
        lower = whole[0].lower()
        return whole.end(), f"I{lower[1:]}" if lower.startswith("i'") else lower
    return (match.end(), spoken) if spoken else None


def _first(rules: Sequence[Rule], match: re.Match[str]) -> tuple[int, str] | None:
    """The reading of the first rule that applies where ``match`` starts."""
    text, start = match.string, match.start()
    for pattern, read in rules:
        found = pattern.match(text, start)
        if found and (spoken := read(found)) is not None:
            return found.end(), spoken
    return None
