"""Houses in streets: "123 W Main St.", "4521 Oak Ave"."""

from __future__ import annotations

import re

from voxswap_server.text.english.rules.abbreviations import STREET_WORDS
from voxswap_server.text.english.rules.numerals import in_pairs, whole
from voxswap_server.text.english.rules.rule import Rule, any_of

_POINTS = {"N": "North", "S": "South", "E": "East", "W": "West"}
_PARTS = {"N": "north", "S": "south", "E": "east", "W": "west"}
_NAMED = r"(?:(?:[A-Z][\w'-]*|\d{1,3}(?:st|nd|rd|th))\.? ){1,3}"
_STREET = rf"(?={_NAMED}{any_of(STREET_WORDS)}(?!\w))"
_POINT = r"(?P<point>N\.?[EW]|S\.?[EW]|[NSEW])\.?"


def _house(match: re.Match[str]) -> str:
    digits = match["house"]
    words = in_pairs(digits) if len(digits) == 4 else whole(digits)
    point = (match["point"] or "").replace(".", "")
    if not point:
        return words
    first, last = _POINTS[point[0]], _PARTS[point[1]] if len(point) > 1 else ""
    return f"{words} {first}{last}"


ADDRESS_RULES = (
    Rule(re.compile(rf"(?P<house>\d{{1,6}}) {_POINT}(?= {_STREET})"), _house),
    Rule(
        re.compile(r"(?P<house>\d{1,6}) (?P<point>W)\.?(?= [A-Z][a-z]| \d{1,3}(?:st|nd|rd|th))"),
        _house,
    ),
    Rule(re.compile(rf"(?P<house>\d{{4}})(?P<point>)(?= {_STREET})"), _house),
)
