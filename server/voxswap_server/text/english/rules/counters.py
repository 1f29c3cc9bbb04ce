"""Two numbers with a stroke between them: a counter, a rating, or a fraction."""

from __future__ import annotations

import re

from voxswap_server.text.english.rules.numerals import cardinal, fraction, ordinal, whole
from voxswap_server.text.english.rules.rule import INTEGER, Rule, after, before

# What is counted in steps: "Step 2/4", "Ammo 30/120".
_COUNTED_BEFORE = re.compile(
    r"\b(?:steps?|pages?|parts?|level|stage|wave|round|chapter|task|slide|question|item|quest|lap"
    r"|episode|day|lesson|file|batch|test|attempt|try|turn|phase|track|dis[ck]|image|photo|players?"
    r"|health|hp|mp|sp|ap|xp|mana|stamina|energy|shields?|armou?r|ammo|clip|score|progress|li[fv]es?"
    r"|kills?|objectives?|collected|found|completed?|done|unlocked|cleared|loaded|slots?|capacity"
    r"|gold|coins|stars|wolves|keys|party|crew|tries|retry|match|game|set|floor|room|line|section"
    r"|module|unit|week|month|set|rep|reps|boss|checkpoint|message|result|hit)"
    r"(?: (?:is|at|are))?[:=]?\s\Z",
    re.IGNORECASE,
)
_RATED = re.compile(r"\s(?:stars?|points?|rating|score|votes?|marks?|on (?:the|a|my)|from \w+)\b")
_COUNTED_AFTER = re.compile(
    r"\s(?:[a-z]+(?<!s)s|wolves|people|men|women|children|mice|geese|sheep|fish|killed|collected"
    r"|found|defeated|unlocked|online)\b"
)
# Half of these is a measure, and no counter.
_MEASURES = re.compile(
    r"\s(?:cups?|teaspoons?|tablespoons?|tsps?|tbsps?|ounces?|pounds?|miles?|inches|hours?|minutes?"
    r"|seconds?|days?|weeks?|months?|years?|acres?|pints?|quarts?|gallons?|lit(?:er|re)s?|meters?"
    r"|metres?|kilomet(?:er|re)s?|grams?|feet|yards?|turns?|rotations?|times|is|was|as|has|this"
    r"|does|its|sticks?|slices?|degrees?|percents?|miles|dollars|pairs?|across|less|sizes?)\b"
)
_NAMED = frozenset({("50", "50"), ("20", "20"), ("9", "11"), ("7", "11"), ("24", "7")})
_LEAST_CAPACITY = 13


def _counter(match: re.Match[str]) -> str | None:
    """Out of so many, or of so many; None for a fraction."""
    first, last = match["first"], match["last"]
    behind = after(match, 24)
    between = None
    if _RATED.match(behind):
        between = "out of"
    elif _COUNTED_BEFORE.search(before(match, 24)):
        between = "of"
    elif (first, last) in _NAMED or _MEASURES.match(behind):
        return None
    elif first in {last, "0"}:
        between = "out of"
    elif _COUNTED_AFTER.match(behind) and last not in {"0", "1"}:
        between = "of"
    elif int(_plain(last)) >= _LEAST_CAPACITY and int(_plain(first)) <= int(_plain(last)):
        # A share that nobody names in ordinals.
        between = None if last in {"16", "32", "64"} else "out of"
    return between and f"{whole(first)} {between} {whole(last)}"


def _plain(digits: str) -> str:
    return re.sub("[, ]", "", digits)[:9]


def _spelled_fraction(match: re.Match[str]) -> str | None:
    """ "1/4th" -> "one quarter"."""
    first, last = int(match["first"]), int(match["last"])
    if last < 2 or not first:
        return None
    if last in {2, 4} or last > 20:
        return fraction(first, last)
    return f"{cardinal(first)} {ordinal(last)}{'' if first == 1 else 's'}"


COUNTER_RULES = (
    Rule(
        re.compile(r"(?P<first>\d{1,3})/(?P<last>\d{1,3})(?:st|nd|rd|th)s?(?!\w)"),
        _spelled_fraction,
    ),
    Rule(
        re.compile(rf"(?P<first>{INTEGER}) ?/ ?(?P<last>{INTEGER})(?![\w/])(?!\.\d)"),
        _counter,
    ),
)
