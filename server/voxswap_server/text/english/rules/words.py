"""Words of English that are not said as they are spelled: abbreviations, days, streets."""

from __future__ import annotations

import re

from voxswap_server.text.english.rules.abbreviations import (
    BEFORE_LETTER,
    BEFORE_NUMBER,
    MONTH_OF,
    SHORT_MONTHS,
    STOP_OR_NOT,
    STOPPED,
    STREETS,
    WEEKDAYS,
    WITHOUT_STOP,
    WORDS,
)
from voxswap_server.text.english.rules.rule import STOP, after, before

_STREET_NAMED = re.compile(
    r"\b(?!(?:Mount|Port|Fort|Lake|Mont|Sault|The|At|In|On|And|Of)\b)"
    r"[A-Z]\w*[a-z](?:\.?'s)?\.?[ —-]+\Z"
)
_HOUSE = re.compile(
    r"\b\d[\w/-]* (?:[NSEW]\.? )?(?:\w+\.? ){0,3}[A-Z]\w*[ ]\Z|\d(?:st|nd|rd|th) \Z"
)
_CAPITAL_NEXT = re.compile(r"[. ]\W*+[A-Z]")
_NUMBER_NEXT = re.compile(r"\.? ?(?:#?\d|[IVXL]{2,}\b|[VX]\b)")
_LETTER_NEXT = re.compile(r"\.? [A-Z]\b(?!')")
# Behind a number these are its unit.
_UNITS = frozenset({"min", "p", "c", "pt", "fl"})
_STOP = re.compile(STOP)
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_DAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_DATED = re.compile(
    rf"\.?,? (?:the )?(?:\d|{_MONTH}|at \d|at noon|at midnight|at dawn|from \d|noon|morning\b"
    rf"|afternoon\b|evening\b|nights?\b)|\.?,? ?(?:-|/|to|through|and|&|or) ?{_DAY}|,? {_DAY}"
)
_ON = re.compile(
    rf"\b(?:on|next|last|this|every|by|until|till|since|from|before"
    rf"|{_DAY}[a-z]*\.?(?: ?-| to| &| and|,)|{_DAY}[a-z]*/) ?\Z",
    re.IGNORECASE,
)
_IN = re.compile(r"\b(?:in|since|until|till|by|last|next|early|mid|late)[ -]\Z", re.IGNORECASE)
_THE = re.compile(r"\b(?:the|our|a|his|her|its|my)\s\Z", re.IGNORECASE)
_DASHED = re.compile(rf"-(?P<last>{_DAY}|{_MONTH})(?![A-Za-z]){STOP}?")


def read_abbreviation(match: re.Match[str]) -> tuple[int, str] | None:
    """Where an abbreviation ends that ``match``, a word, begins, and how it is read."""
    word, stopped = match[0], after(match, 1) == "."
    if word in {"St", "Dr"}:
        return _saint_or_street(match)
    if word.lower() in BEFORE_NUMBER and (found := _before_number(match, stopped=stopped)):
        return found
    if word in STOP_OR_NOT or (stopped and word in STOPPED):
        return _past_stop(match), STOP_OR_NOT.get(word) or STOPPED[word]
    if word in STREETS and _HOUSE.search(before(match, 40)):
        return _past_stop(match), STREETS[word]
    if word in WEEKDAYS:
        return _weekday(match)
    if word in SHORT_MONTHS and _is_month(match):
        return _through(match, SHORT_MONTHS[word])
    return None


def _past_stop(match: re.Match[str]) -> int:
    stop = _STOP.match(match.string, match.end())
    return stop.end() if stop else match.end()


def _before_number(match: re.Match[str], *, stopped: bool) -> tuple[int, str] | None:
    """ "No. 5", "Fig. A", "Apt 4B"."""
    word, key = match[0], match[0].lower()
    if not (stopped or word in WITHOUT_STOP):
        return None
    if key in _UNITS and re.search(r"\d\s?\Z", before(match, 2)):
        return None  # "5 min. 3": a unit
    following = after(match, 8)
    number = _NUMBER_NEXT.match(following)
    letter = key in BEFORE_LETTER and _LETTER_NEXT.match(following)
    if not (number or letter) or (key in {"c", "v", "p"} and not re.match(r"\. ?\d", following)):
        return None
    spoken = BEFORE_NUMBER[key]
    return match.end() + stopped, spoken


def _saint_or_street(match: re.Match[str]) -> tuple[int, str] | None:
    """ "St. John" but "Main St."; "Dr. Smith" but "Sunset Dr."."""
    prefix, suffix = ("Saint", "Street") if match[0] == "St" else ("Doctor", "Drive")
    named = bool(_CAPITAL_NEXT.match(match.string, match.end()))
    street = bool(_STREET_NAMED.search(before(match, 24)))
    if not named and after(match, 1) != ".":
        return (match.end(), suffix) if street or _HOUSE.search(before(match, 40)) else None
    if _HOUSE.search(before(match, 40)):
        return _past_stop(match), suffix
    # "Visit St. Louis": a first word has its capital for another reason.
    first = " " not in before(match, 24).rstrip()
    is_prefix = named and (prefix == "Doctor" or first)
    return _past_stop(match), prefix if is_prefix or not street else suffix


def _weekday(match: re.Match[str]) -> tuple[int, str] | None:
    """ "Tue 5 May", "Thu at noon", "Mon-Fri", but "the Sun at noon"."""
    word, front, behind = match[0], before(match, 16), match.string[match.end() : match.end() + 24]
    stopped = bool(_STOP.match(match.string, match.end()))
    if word in WORDS and not stopped:
        if _THE.search(front) and not _DATED.match(behind[:6]):
            return None
        on = _ON.search(front) and not re.match(r" [a-z]", behind)
        if not (_DATED.match(behind) or on) or (_THE.search(front) and word == "Sun"):
            return None
    return _through(match, WEEKDAYS[word])


def _is_month(match: re.Match[str]) -> bool:
    """Whether it is one without a full stop: "in Feb", "Jan 2020", but "Jan came"."""
    if match[0] != "Jan":
        return True
    return bool(
        re.search(
            r"\b(?:in|since|until|till|by|last|next|early|mid|late)[ -]\Z", before(match, 8), re.I
        )
        or re.match(r"-|,? \d|/", after(match, 3))
    )


def _through(match: re.Match[str], word: str) -> tuple[int, str]:
    """The word, and another of its kind behind a dash."""
    end = _past_stop(match)
    dash = _DASHED.match(match.string, end)
    if not dash:
        return end, word
    last = WEEKDAYS.get(dash["last"]) or MONTH_OF[dash["last"]]
    return dash.end(), f"{word} to {last}"
