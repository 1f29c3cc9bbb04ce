"""Dates and times of day, as any language of `Language` writes them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from voxswap_server.text.english.rules.rule import Rule, before
from voxswap_server.text.languages.language import Language

_DAY: Final = r"(?:0?[1-9]|[12]\d|3[01])(?!\d)"
_MONTH: Final = r"(?:1[0-2]|0?[1-9])(?!\d)"
_SEEN_BEFORE: Final = 24  # characters that say in which case a date stands


def date_rules(language: Language) -> Iterable[Rule]:
    """Dates in figures, day first or as ISO 8601 has them, and with a month's name."""
    names = "|".join(sorted({*language.months, *language.other_months}, key=len, reverse=True))

    def figures(match: re.Match[str]) -> str:
        written = match.groupdict().get("year")
        year = None if written is None else int(written)
        if year is not None and len(written or "") == 2:
            year += 2000 if year < 70 else 1900
        month = language.months[int(match["month"]) - 1]
        return _date(language, match, int(match["day"]), month, year)

    def named(match: re.Match[str]) -> str:
        year = int(match["year"]) if match["year"] else None
        said = _date(language, match, int(match["day"]), match["month"], year)
        if match["first"]:
            first = language.day(language, int(match["first"]), _before(match))
            said = f"{first} {language.to} {said}"
        return said

    yield Rule(
        re.compile(rf"(?P<year>[12]\d{{3}})-(?P<month>{_MONTH})-(?P<day>{_DAY})(?![\d-])"), figures
    )
    yield Rule(
        re.compile(
            rf"(?P<day>{_DAY})(?:(?P<s>[./-]) ?(?P<month>{_MONTH})(?P=s) ?(?P<year>[12]\d{{3}}))"
            r"(?![\d-]|\.\d)"
        ),
        figures,
    )
    yield Rule(
        re.compile(
            rf"(?P<day>{_DAY})(?:(?P<s>[./])(?P<month>(?:0[1-9]|1[0-2]))(?P=s)"
            r"(?P<year>\d\d)(?![\d/]|\.\d))"
        ),
        figures,
    )
    if language.dotted_dates:
        yield Rule(
            re.compile(rf"(?P<day>{_DAY})\. ?(?P<month>0[1-9]|1[0-2])\.(?= ?(?:[^\W\d]|[,;)]|\Z))"),
            figures,
        )
    yield Rule(
        re.compile(
            rf"(?:(?P<first>{_DAY})\.? ?- ?)?(?P<day>{_DAY})(?:\.|er|º|°)?(?: de| d')? ?"
            rf"(?P<month>{names})(?!\w)(?:(?: del?|,)? (?P<year>[12]\d{{3}})(?![\w.,]?\d|\w))?",
            re.IGNORECASE,
        ),
        named,
    )


def _before(match: re.Match[str]) -> str:
    return before(match, _SEEN_BEFORE).lower()


def _date(language: Language, match: re.Match[str], day: int, month: str, year: int | None) -> str:
    said = language.day(language, day, _before(match))
    if year is None:
        return language.date.partition("{month}")[0].format(day=said) + month
    return language.date.format(day=said, month=month, year=language.year(language, year))


def time_rules(language: Language) -> Iterable[Rule]:
    """Times of day, and from one to another."""
    hour, minute = r"(?:[01]?\d|2[0-4])", r"[0-5]\d"
    words = rf"(?: ?(?:{language.clock_words})(?!\w))" if language.clock_words else ""
    colon = rf"{hour}(?::|[hH]| h ){minute}(?::{minute})?(?!\d| ?min)"
    bare = rf"(?P<first>{colon})(?: ?- ?(?P<last>{colon}))?(?!:\d){words}{'?' if words else ''}"
    yield Rule(re.compile(bare), lambda match: _times(language, match))
    if words:
        dotted = rf"{hour}\.{minute}(?!\d)"
        yield Rule(
            re.compile(rf"(?P<first>{dotted})(?: ?- ?(?P<last>{dotted}))?{words}"),
            lambda match: _times(language, match),
        )
    if language.clock_before:
        dotted = rf"{hour}\.{minute}(?!\d)"
        told = re.compile(rf"(?:{language.clock_before}) \Z", re.IGNORECASE)
        yield Rule(
            re.compile(rf"(?P<first>{dotted})(?: ?- ?(?P<last>{dotted}))?"),
            lambda match: _times(language, match) if told.search(before(match, 8)) else None,
        )


def _times(language: Language, match: re.Match[str]) -> str:
    first = _time(language, match["first"], _before(match))
    if not match["last"]:
        return first
    return f"{first} {language.to} {_time(language, match['last'], _before(match))}"


def _time(language: Language, written: str, seen: str) -> str:
    hour, minute, *second = (int(part) for part in re.findall(r"\d+", written))
    said = language.clock(language, hour, minute, seen)
    return " ".join((said, *map(language.words, second)))
