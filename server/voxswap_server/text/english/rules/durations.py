"""Spans of time as games and interfaces write them: "2h 34m", "56m remaining"."""

from __future__ import annotations

import re
from itertools import pairwise

from voxswap_server.text.english.rules.numerals import number
from voxswap_server.text.english.rules.rule import NUMBER, STOP, Rule, after, any_of, before

# The longest first: a span goes from long units to short ones.
_UNITS = (
    ("year", "years year yrs yr y"),
    ("month", "months month mos mo"),
    ("week", "weeks week wks wk w"),
    ("day", "days day d"),
    ("hour", "hours hour hrs hr h"),
    ("minute", "minutes minute mins min m"),
    ("second", "seconds second secs sec s"),
    ("millisecond", "ms"),
)
_ORDER = {form: rank for rank, (_, forms) in enumerate(_UNITS) for form in forms.split()}
_PART = re.compile(rf"({NUMBER})\s?({any_of(_ORDER)})")
_SPAN = (
    rf"[+-]?{NUMBER}\s?{any_of(_ORDER)}"
    rf"(?>(?:\.?(?:,? and |,? ?){NUMBER}\s?{any_of(_ORDER)}(?![A-Za-z])){{1,6}})(?!\w){STOP}?"
)
_AFTER = re.compile(
    r"\s(?:ago|remaining|remains?|left|later|elapsed|to go|until|till|cooldown|delay|timer|timeout"
    r"|break|long|hence|from now|earlier|overdue|late|of (?:playtime|footage|video|audio|silence)"
    r"|old|each|duration|ETA|wait|session|video|episode|songs?|tracks?|runtime|playtime|uptime)\b"
)
_BEFORE = re.compile(
    r"\b(?:every|eta|wait|cooldown|timer|timeout|last|past|next|duration|playtime|uptime|length"
    r"|runtime|elapsed|remaining|time left|after|expires in|starts? in|ends? in|back in|due in)"
    r"(?: is)?:?\s\Z",
    re.IGNORECASE,
)
_IN = re.compile(r"\bin\s\Z", re.IGNORECASE)
_ENDS = re.compile(r"\s*(?:[.,;!?)]|\Z)")


def _part(amount: str, rank: int) -> str:
    one = amount.lstrip("+-") == "1"
    return f"{number(amount)} {_UNITS[rank][0]}{'' if one else 's'}"


def _span(match: re.Match[str]) -> str | None:
    parts = [(amount, _ORDER[unit]) for amount, unit in _PART.findall(match[0])]
    ranks = [rank for _, rank in parts]
    if any(first >= second for first, second in pairwise(ranks)):
        return None
    sign = {"-": "minus ", "+": "plus "}.get(match[0][0], "")
    words = [_part(amount, rank) for amount, rank in parts]
    return sign + " ".join(words)


def _hours_and_minutes(match: re.Match[str]) -> str | None:
    """ "1h30", but "at 17h30" is a time of day."""
    if re.search(r"\b(?:at|by|until|till|from|before|after|since)\s\Z", before(match, 8), re.I):
        return None
    return f"{_part(match['hours'], 4)} {_part(match['minutes'].lstrip('0') or '0', 5)}"


def _single(match: re.Match[str]) -> str | None:
    """ "5m" where it is a time: 5 m is a length elsewhere, and 3d may be anything."""
    cued = (
        _AFTER.match(after(match, 24))
        or _BEFORE.search(before(match, 16))
        or (_IN.search(before(match, 4)) and _ENDS.match(after(match, 4)))
    )
    if not cued:
        return None
    rank = _ORDER[match["unit"]]
    if not match["last"]:
        return _part(match["amount"], rank)
    return f"{number(match['amount'])} to {_part(match['last'], rank)}"


DURATION_RULES = (
    Rule(re.compile(_SPAN), _span),
    Rule(re.compile(r"(?P<hours>\d{1,2})h(?P<minutes>[0-5]\d)(?!\w)"), _hours_and_minutes),
    Rule(
        re.compile(
            rf"(?P<amount>{NUMBER})(?:-(?P<last>{NUMBER}))?(?P<unit>mo|[ywdhms])(?!\w){STOP}?"
        ),
        _single,
    ),
)
