"""Dates, years and times of day in English."""

from __future__ import annotations

import re

from voxswap_server.text.english_rules.numerals import cardinal, decade, ordinal, whole, year
from voxswap_server.text.english_rules.rule import STOP, Rule, after, before

MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_BY_NAME = {month[:3]: month for month in MONTHS}
_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?"
    rf"|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)(?![a-z]){STOP}?"
)
_TH = r"(?:st|nd|rd|th)"
_NO_MORE = r"(?!\d|[.:/]\d|,\d{3})"
_YEAR = r"(?:1[1-9]\d\d|20\d\d)"
_HALF = rf"(?:(?P<half>[AaPp])\.?[Mm](?![A-Za-z]){STOP}?)"
_CLOCK = r"(?:[01]?\d|2[0-4]):[0-5]\d(?::[0-5]\d)?"

# A number of four digits is a year beside these, and elsewhere unless it counts something.
_YEAR_CUE = re.compile(
    r"\b(?:in|since|by|until|till|from|year|of|circa|during|before|after|to|and|c\.)\s\Z", re.I
)
_COUNTED = re.compile(r"\s(?!(?:was|is|has|as|its|this|does|versus|vs|plus|minus|times)\b)[a-z]+s\b")


def _full_date(year_text: str, month: int, day: int) -> str | None:
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    value = int(year_text)
    if len(year_text) == 2:
        value += 2000 if value < 70 else 1900
    return f"{MONTHS[month - 1]} {ordinal(day)}, {year(value)}"


def _iso(match: re.Match[str]) -> str | None:
    date = _full_date(match["year"], int(match["month"]), int(match["day"]))
    return f"{date}, {_clock(match['time'], '')}" if date and match["time"] else date


def _numeric(match: re.Match[str], *, day_first: bool) -> str | None:
    first, second = int(match["first"]), int(match["second"])
    if first > 12 or match["mark"] == "." or (day_first and second <= 12):
        first, second = second, first
    return _full_date(match["year"], first, second)


def _month_first(match: re.Match[str]) -> str | None:
    day = int(match["day"])
    if not 1 <= day <= 31:
        return None
    words = f"{_BY_NAME[match['month'][:3]]} {ordinal(day)}"
    if match["last"]:
        words += f" to {ordinal(int(match['last']))}"
    return words + _comma_year(match)


def _day_month(match: re.Match[str]) -> str | None:
    day = int(match["day"])
    if not 1 <= day <= 31:
        return None
    article = "" if before(match, 4).lower() == "the " else "the "
    words = ordinal(day)
    if match["last"]:
        words += f" to {ordinal(int(match['last']))}"
    return f"{article}{words} of {_BY_NAME[match['month'][:3]]}{_comma_year(match)}"


def _comma_year(match: re.Match[str]) -> str:
    return f", {year(int(match['year']))}" if match["year"] else ""


def _clock(time: str, half: str) -> str:
    """ "15:30", or "3:45" and "p", in words."""
    hour, minute, *seconds = (int(part) for part in time.split(":"))
    if minute:
        words = f"{cardinal(hour)} {'oh ' if minute < 10 else ''}{cardinal(minute)}"
    elif half or seconds:
        words = cardinal(hour)
    elif hour in {0, 24}:
        words = "midnight"
    else:
        words = f"{cardinal(hour)} {'o' + chr(39) + 'clock' if hour <= 12 else 'hundred'}"
    if any(seconds):
        words += f" and {cardinal(seconds[0])} second{'' if seconds[0] == 1 else 's'}"
    return f"{words} {half.upper()}M" if half else words


def _time(match: re.Match[str]) -> str | None:
    return _clock(match["time"], match["half"] or "")


def _hour(match: re.Match[str]) -> str | None:
    return f"{cardinal(int(match['time']))} {match['half'].upper()}M"


def _time_range(match: re.Match[str]) -> str | None:
    first, last = match["first"], match["last"]
    if ":" not in first and ":" not in last and not match["half"]:
        return None
    half = match["half"] or ""
    opening = match["opening"]
    start = _clock(first, opening or "") if ":" in first else cardinal(int(first))
    if opening and ":" not in first:
        start += f" {opening.upper()}M"
    end = _clock(last if ":" in last else f"{last}:00", half)
    if half and not opening:
        start = start.removesuffix(" o'clock")
    return f"{start} to {end}"


def _decade(match: re.Match[str]) -> str | None:
    century = match["century"] or ""
    if not century and match[0][0] != "'" and before(match, 4).lower() != "the ":
        return None  # "60s" is more often sixty seconds.
    return decade(century, match["tens"])


def _year_range(match: re.Match[str]) -> str | None:
    last = match["last"]
    end = year(int(last)) if len(last) == 4 else whole(last)
    return f"{year(int(match['first']))} to {end}"


def _year_alone(match: re.Match[str]) -> str | None:
    if _COUNTED.match(after(match, 24)) and not _YEAR_CUE.search(before(match, 8)):
        return None
    return year(int(match[0]))


def _short_year(match: re.Match[str]) -> str | None:
    return whole(match["year"])


_NUMERIC = re.compile(
    r"(?P<first>\d{1,2})(?:(?P<mark>[/.-])(?P<second>\d{1,2})(?P=mark)(?P<year>\d{4})"
    r"|/(?P<second2>\d{1,2})/(?P<year2>\d\d))(?![\d/])"
)
_ISO = Rule(
    re.compile(
        r"(?P<year>\d{4})(?P<mark>[/-])(?P<month>\d\d)(?P=mark)(?P<day>\d\d)(?![\d/-])"
        rf"(?:T(?P<time>{_CLOCK})(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?(?!\w))?"
    ),
    _iso,
)
