"""Dates, years and times of day in English."""

from __future__ import annotations

import re
from functools import partial

from voxswap_server.text.english.rules.numerals import cardinal, decade, ordinal, whole, year
from voxswap_server.text.english.rules.rule import STOP, Rule, after, before

MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_BY_PREFIX = {month[:3]: month for month in MONTHS}
MONTH_PREFIXES = frozenset(_BY_PREFIX)
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
_COUNTED = re.compile(
    r"\s(?!(?:was|is|has|as|its|this|does|versus|vs|plus|minus|times|across|always|perhaps)\b)"
    r"(?:[a-z]+s|people|men|women|children|mice|sheep|fish|feet|gold|damage|mana|XP|HP|MP|EXP|GP"
    r"|more|(?:new |old |small |large |active |other |different )[a-z]+s)\b"
)
_COUNT_CUE = re.compile(
    r"\b(?:than|least|most|nearly|almost|exactly|costs?|paid|earns?|earned|gains?|gained|scored|won"
    r"|lost|these|those|all|some|another|spend|spent|sells?|sold|buys?|bought|collect|collected"
    r"|total of|number of|up to)\s\Z",
    re.IGNORECASE,
)


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
    if len(match["year"]) == 2 and match["mark"] != "/":
        return None
    first, second = int(match["first"]), int(match["second"])
    if first > 12 or match["mark"] == "." or (day_first and second <= 12):
        first, second = second, first
    return _full_date(match["year"], first, second)


def _month_first(match: re.Match[str]) -> str | None:
    day = int(match["day"])
    if not 1 <= day <= 31:
        return None
    words = f"{_BY_PREFIX[match['month'][:3]]} {ordinal(day)}"
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
    return f"{article}{words} of {_BY_PREFIX[match['month'][:3]]}{_comma_year(match)}"


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
        words = f"{cardinal(hour)} " + ("o'clock" if hour <= 12 else "hundred")
    if any(seconds):
        words += f" and {cardinal(seconds[0])} second{'' if seconds[0] == 1 else 's'}"
    return f"{words} {half.upper()}M" if half else words


def _time(match: re.Match[str]) -> str:
    if not match["half"] and _LEFT.match(after(match, 12)):
        return _left(match["time"].split(":"))
    return _clock(match["time"].replace(".", ":"), match["half"] or "")


_LEFT = re.compile(r"\s(?:remaining|left|elapsed|to go)\b")


def _left(parts: list[str]) -> str:
    """ "1:30" of what is left of something: "one minute thirty seconds"."""
    units = ("hour", "minute", "second")[-len(parts) :]
    counted = [(int(part), unit) for part, unit in zip(parts, units, strict=True) if int(part)]
    words = [f"{cardinal(n)} {unit}{'' if n == 1 else 's'}" for n, unit in counted]
    return " ".join(words) or "zero seconds"


def _military(match: re.Match[str]) -> str | None:
    """ "0800 hours", "at 1430 hrs", but "worked 1400 hours"."""
    digits = match["digits"]
    if digits[0] != "0" and not _AT.search(before(match, 8)):
        return None
    hour, minute = int(digits[:2]), int(digits[2:])
    words = f"{'oh ' if digits[0] == '0' else ''}{cardinal(hour)}"
    if not minute:
        return f"{words} hundred hours"
    return f"{words} {'oh ' if minute < 10 else ''}{cardinal(minute)} hours"


def _time_with_h(match: re.Match[str]) -> str | None:
    """ "at 17h30"."""
    if not _AT.search(before(match, 8)):
        return None
    return _clock(f"{match['hours']}:{match['minutes'] or '00'}", "")


def _hour(match: re.Match[str]) -> str:
    return f"{cardinal(int(match['time']))} {match['half'].upper()}M"


def _time_range(match: re.Match[str]) -> str | None:
    first, last, half = match["first"], match["last"], match["half"] or ""
    if not half and not (":" in first and ":" in last):
        return None  # "3-5" is a range of numbers.
    opening = match["opening"] or ""
    start, end = _on_the_hour(first), _on_the_hour(last)
    words = _clock(start, opening or half)
    if not opening:  # "nine to five PM"
        words = words.removesuffix(f" {half.upper()}M") if half else words
    return f"{words} to {_clock(end, half)}"


def _on_the_hour(time: str) -> str:
    return time if ":" in time else f"{time}:00"


_DECADE_OF = re.compile(
    r"\s(?:music|style|hits?|movies?|films?|fashion|rock|pop|night|vibes?|party|era|kids?|child)\b"
)


def _decade(match: re.Match[str]) -> str | None:
    century = match["century"] or ""
    decades = re.search(r"\b(?:the|early|mid|late|of)[ -]\Z", before(match, 6), re.IGNORECASE)
    if not (century or match[0][0] == "'" or decades or _DECADE_OF.match(after(match, 10))):
        return None  # "60s" is more often sixty seconds.
    return decade(century, match["tens"])


def _year_range(match: re.Match[str]) -> str | None:
    last = match["last"]
    if len(last) == 2 and int(last) <= int(match["first"][2:]):
        return None
    end = year(int(last)) if len(last) == 4 else whole(last)
    return f"{year(int(match['first']))} to {end}"


def _short_year(match: re.Match[str]) -> str:
    """ "'99", or "'05" as "oh five"."""
    digits = match["year"]
    return whole(digits) if digits[0] != "0" else f"oh {cardinal(int(digits[1]))}"


def _year_alone(match: re.Match[str]) -> str | None:
    front = before(match, 12)
    if _COUNT_CUE.search(front):
        return None
    if _COUNTED.match(after(match, 24)) and not _YEAR_CUE.search(front):
        return None
    return year(int(match[0]))


_AT = re.compile(r"\b(?:at|by|until|till|from|to|before|after|since|around)\s\Z", re.IGNORECASE)
_NUMERIC = re.compile(
    r"(?P<first>\d{1,2})(?P<mark>[/.-])(?P<second>\d{1,2})(?P=mark)(?P<year>\d{4}|\d\d)"
    r"(?![\d/]|[.-]\d)"
)
_ISO = (
    r"(?P<year>\d{4})(?P<mark>[/-])(?P<month>\d\d)(?P=mark)(?P<day>\d\d)(?![\d/]|-\d)"
    rf"(?:T(?P<time>{_CLOCK})(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?(?!\w))?"
)
_DAY_MONTH = (
    rf"(?P<day>\d{{1,2}}){_TH}?(?:-(?P<last>\d{{1,2}}){_TH}?)?(?: of)? (?P<month>{_MONTH})"
    rf"(?:,? (?P<year>{_YEAR}){_NO_MORE})?"
)
_MONTH_DAY = (
    rf"(?P<month>{_MONTH}) (?P<day>\d{{1,2}}){_TH}?{_NO_MORE}(?:-(?P<last>\d{{1,2}}){_TH}?)?"
    rf"(?![\w%])(?:,? (?P<year>{_YEAR}){_NO_MORE})?"
)
_SPAN = r"(?P<first>{0})(?:\s?(?P<opening>[AaPp])\.?[Mm]\.?)?\s?-\s?(?P<last>{0})(?![\d:])".format(
    rf"(?:{_CLOCK}|1[0-2]|0?[1-9])"
)


def date_rules(*, day_first: bool) -> tuple[Rule, ...]:
    """Rules for dates, times and years in digits; ``day_first`` is how Britain reads 5/6/2024."""
    return (
        Rule(re.compile(_ISO), _iso),
        Rule(_NUMERIC, partial(_numeric, day_first=day_first)),
        Rule(re.compile(_DAY_MONTH), _day_month),
        Rule(re.compile(rf"{_SPAN}(?:\s?{_HALF})?"), _time_range),
        Rule(re.compile(rf"(?P<time>{_CLOCK})(?![\d:])(?:\s?{_HALF})?"), _time),
        Rule(re.compile(rf"(?P<time>1[0-2]|0?[1-9])\s?{_HALF}"), _hour),
        Rule(re.compile(rf"(?P<time>(?:1[0-2]|0?[1-9])\.[0-5]\d)\s?{_HALF}"), _time),
        Rule(
            re.compile(r"(?P<digits>(?:[01]\d|2[0-3])[0-5]\d)\s?(?:hours|hrs|h)(?!\w)"), _military
        ),
        Rule(re.compile(r"(?P<hours>[01]?\d|2[0-3])h(?P<minutes>[0-5]\d)?(?!\w)"), _time_with_h),
        Rule(re.compile(r"'?(?P<century>1[1-9]|20)?(?P<tens>\d)0'?s(?!\w)"), _decade),
        Rule(re.compile(r"'(?P<year>\d\d)(?![\w'])"), _short_year),
    )


YEAR_RULES = (
    Rule(
        re.compile(rf"(?P<first>{_YEAR})\s?-\s?(?P<last>{_YEAR}|\d\d){_NO_MORE}(?![\w-])"),
        _year_range,
    ),
    Rule(re.compile(rf"{_YEAR}{_NO_MORE}(?!\w)"), _year_alone),
)


MONTH_RULE = Rule(re.compile(_MONTH_DAY), _month_first)
