"""Abbreviations and Roman numerals of English."""

from __future__ import annotations

import re
from collections.abc import Mapping

from voxswap_server.text.english.rules.dates import MONTHS
from voxswap_server.text.english.rules.numerals import cardinal, ordinal
from voxswap_server.text.english.rules.rule import STOP, after, before

# Read this way with a full stop or without.
_STOP_OR_NOT: Mapping[str, str] = {
    "Mr": "Mister",
    "Mrs": "Missus",
    "vs": "versus",
    "etc": "et cetera",
    "aka": "also known as",
    "a.k.a": "also known as",
    "e.g": "for example",
    "E.g": "For example",
    "i.e": "that is",
    "I.e": "That is",
    "Ph.D": "PhD",
}
# Other words, or names, without their full stop.
_STOPPED: Mapping[str, str] = {
    "Ms": "Ms",
    "Prof": "Professor",
    "Gen": "General",
    "Col": "Colonel",
    "Maj": "Major",
    "Capt": "Captain",
    "Lt": "Lieutenant",
    "Sgt": "Sergeant",
    "Cpl": "Corporal",
    "Pvt": "Private",
    "Adm": "Admiral",
    "Cmdr": "Commander",
    "Rev": "Reverend",
    "Hon": "Honorable",
    "Gov": "Governor",
    "Sen": "Senator",
    "Rep": "Representative",
    "Pres": "President",
    "Fr": "Father",
    "Mt": "Mount",
    "Ft": "Fort",
    "Jr": "Junior",
    "Sr": "Senior",
    "Inc": "Incorporated",
    "Ltd": "Limited",
    "Co": "Company",
    "Corp": "Corporation",
    "Bros": "Brothers",
    "Ave": "Avenue",
    "Blvd": "Boulevard",
    "Rd": "Road",
    "Hwy": "Highway",
    "Dept": "Department",
    "dept": "department",
    "Govt": "Government",
    "govt": "government",
    "Univ": "University",
    "approx": "approximately",
    "al": "al",
    "cf": "compare",
    "viz": "namely",
    "misc": "miscellaneous",
    "tel": "telephone",
    "Sept": "September",
    **{month[:3]: month for month in MONTHS if month != "May"},
}
_WEEKDAYS: Mapping[str, str] = {
    "Mon": "Monday",
    "Tue": "Tuesday",
    "Tues": "Tuesday",
    "Wed": "Wednesday",
    "Thu": "Thursday",
    "Thur": "Thursday",
    "Thurs": "Thursday",
    "Fri": "Friday",
    "Sat": "Saturday",
    "Sun": "Sunday",
}
# Only before a number: "No. 5".
_BEFORE_NUMBER: Mapping[str, str] = {
    "no": "number",
    "nos": "numbers",
    "p": "page",
    "pp": "pages",
    "vol": "volume",
    "ch": "chapter",
    "fig": "figure",
    "figs": "figures",
    "sec": "section",
    "art": "article",
    "eq": "equation",
}


def _words(listing: str) -> frozenset[str]:
    return frozenset(listing.split())


_BEFORE_ROMAN = _words(
    "Act Appendix Article Book Bowl Chapter Class Figure Grade Level Olympiad Part Phase Section "
    "Stage Scene Title Type Unit Vol Volume War"
)
_REGNAL = _words(
    "Albert Alexander Alfonso Benedict Boniface Carlos Catherine Charles Christian Clement "
    "Constantine Edward Elizabeth Ferdinand Francis Frederick George Gregory Gustav Harald Henry "
    "Innocent Isabella Ivan James John Julius Leo Leopold Louis Margaret Mary Napoleon Nicholas "
    "Otto Paul Peter Philip Pius Ptolemy Ramesses Richard Robert Rudolf Sixtus Urban Victoria "
    "Wilhelm William"
)
_ROMAN = re.compile(r"(?=[CLXVI][CLXVI]|[IVX])C{0,3}(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_ROMAN_VALUES: Mapping[str, int] = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}
_CLOSES = re.compile(r"[,.;:!?)]|\s*\Z|\s(?:of|was|and|the|in|had)\b")
_STREET_NAMED = re.compile(
    r"\b(?!(?:Mount|Port|Fort|Lake|Mont|Sault|The|At|In|On|And|Of)\b)[A-Z]\w*[a-z]\.?[ —-]+\Z"
)
_LAST_WORD = re.compile(r"(?:\A|[^\w.])(\w+)[. —-]+\Z")
_CAPITAL_NEXT = re.compile(r"[. ]\W*+[A-Z]")
_STOP = re.compile(STOP)


def read_word(match: re.Match[str]) -> tuple[int, str] | None:
    """Where the abbreviation or numeral ends that ``match``, a word, begins, and how it is read."""
    word, stopped = match[0], after(match, 1) == "."
    if word in _STOP_OR_NOT or (stopped and word in _STOPPED):
        return _past_stop(match), _STOP_OR_NOT.get(word) or _STOPPED[word]
    if word in {"St", "Dr"}:
        return _saint_or_street(match)
    following = after(match, 4)
    if word in _WEEKDAYS and _STOP.match(match.string, match.end()):
        return match.end() + 1, _WEEKDAYS[word]
    if stopped and word.lower() in _BEFORE_NUMBER and re.match(r"\. ?#?\d", following):
        return match.end() + 1, _BEFORE_NUMBER[word.lower()]
    return _roman(match)


def _past_stop(match: re.Match[str]) -> int:
    stop = _STOP.match(match.string, match.end())
    return stop.end() if stop else match.end()


def _saint_or_street(match: re.Match[str]) -> tuple[int, str] | None:
    """ "St. John" but "Main St."; "Dr. Smith" but "Sunset Dr."."""
    prefix, suffix = ("Saint", "Street") if match[0] == "St" else ("Doctor", "Drive")
    named = bool(_CAPITAL_NEXT.match(match.string, match.end()))
    street = bool(_STREET_NAMED.search(before(match, 24)))
    if not named and after(match, 1) != ".":
        return (match.end(), suffix) if street else None
    # "Visit St. Louis": a first word has its capital for another reason.
    first = " " not in before(match, 24).rstrip()
    is_prefix = named and (prefix == "Doctor" or first)
    return _past_stop(match), prefix if is_prefix or not street else suffix


def _roman(match: re.Match[str]) -> tuple[int, str] | None:
    """ "Chapter IV" and "Henry VIII", but no other capitals."""
    numeral = match[0]
    if not _ROMAN.fullmatch(numeral):
        return None
    previous = _LAST_WORD.search(before(match, 16))
    if previous is None:
        return None
    value = _roman_value(numeral)
    if previous[1] in _BEFORE_ROMAN:
        return match.end(), cardinal(value)
    if previous[1] in _REGNAL and (numeral != "I" or _CLOSES.match(after(match, 5))):
        return match.end(), f"the {ordinal(value)}"
    return None


def _roman_value(numeral: str) -> int:
    values = [_ROMAN_VALUES[char] for char in numeral]
    pairs = zip(values, [*values[1:], 0], strict=True)
    return sum(-value if value < following else value for value, following in pairs)
