"""Fractions, ranges, ratios, telephone numbers and every other number in English."""

from __future__ import annotations

import re
from collections.abc import Callable

from voxswap_server.text.english.rules.numerals import (
    cardinal,
    fraction,
    mixed,
    number,
    ordinal,
    spell,
    whole,
)
from voxswap_server.text.english.rules.rule import INTEGER, NUMBER, Rule, after, before

# A fraction of these is said as one; of others as two numbers: "24/7", "9/11".
_DENOMINATORS = frozenset({2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 32, 64})
_FRACTION = r"(?:(?:\d{1,9}[ -])?\d{1,3}/\d{1,3}(?![\d/]))"
AMOUNT = rf"(?:{_FRACTION}|{NUMBER})"
"""A number, or a fraction, as it may stand before a unit."""


def amount_in_words(text: str) -> str:
    """ "2 1/2", "3/4", "-1,200.5": an `AMOUNT` with its sign."""
    if "/" not in text:
        return number(text)
    sign = {"-": "minus ", "+": "plus "}.get(text[0], "")
    *integer, last = re.split("[ -]", text.lstrip("+-"))
    numerator, denominator = (int(part) for part in last.split("/"))
    words = _as_fraction(numerator, denominator)
    if not integer:
        return sign + words
    if numerator == 1:
        words = words.replace("one ", "a ", 1)
    return f"{sign}{whole(integer[0])} and {words}"


def _as_fraction(numerator: int, denominator: int) -> str:
    improper = numerator > denominator and numerator <= 9 and denominator <= 4
    if denominator in _DENOMINATORS and (numerator < denominator or improper) and numerator:
        return fraction(numerator, denominator)
    between = " out of " if denominator in {10, 100} and numerator <= denominator else " "
    return f"{cardinal(numerator)}{between}{cardinal(denominator)}"


def _ordinal(match: re.Match[str]) -> str:
    return ordinal(int(match["number"].replace(",", "")))


_SCORED = re.compile(
    r"\b(?:scores?|won|lost|beat \w+|lead|led|result|final|tied)(?: is| was|:)? \Z", re.I
)


def _range(match: re.Match[str]) -> str:
    first, last = match["first"], match["last"]
    minus = after(match, 2).lstrip()[:1] == "="
    if first == last:
        return f"{number(first)} {number(last)}"  # "50-50"
    if match["space"] and not minus and not _SCORED.search(before(match, 16)):
        minus = _value(first) > _value(last)
    return f"{number(first)} {'minus' if minus else 'to'} {number(last)}"


def _value(text: str) -> tuple[int, str]:
    """Orders integers of any length without making them numbers."""
    integer = re.sub("[, ]", "", text).partition(".")[0].lstrip("0")
    return len(integer), integer


def _ratio(match: re.Match[str]) -> str:
    return f"{whole(match['first'])} to {whole(match['last'])}"


def _digit_groups(match: re.Match[str]) -> str:
    plus = "plus " if match[0].startswith("+") else ""
    return plus + ", ".join(spell(group) for group in re.findall(r"\d+", match[0]))


def _phone_abroad(match: re.Match[str]) -> str | None:
    return _digit_groups(match) if sum(map(str.isdigit, match[0])) >= 7 else None


def read_version(digits: str) -> str:
    """ "1.2.10" -> "version one point two point ten"."""
    return "version " + " point ".join(map(whole, digits.split(".")))


def _dotted(match: re.Match[str]) -> str:
    parts = match[0].split(".")
    if len(parts) == 4:  # An internet address.
        return " dot ".join(map(spell, parts))
    return " point ".join(map(whole, parts))


def _thousands(match: re.Match[str]) -> str | None:
    """ "100k followers", but "a 10k run", "4K"."""
    race = re.match(r"[ -](?:runs?|races?|walk|loop|resolution|res|video|TVs?)\b", after(match, 12))
    name = match["letter"] == "K" and (len(match["amount"]) < 2 or before(match, 1) == "-")
    return None if race or name else f"{number(match['amount'])} thousand"


def _scientific(match: re.Match[str]) -> str:
    power = number(match["power"].lstrip("+"))
    return f"{number(match['base'])} times ten to the {power}"


def _plain(match: re.Match[str]) -> str:
    return number(match[0])


def _rule(pattern: str, read: Callable[[re.Match[str]], str | None]) -> Rule:
    return Rule(re.compile(pattern), read)


MIXED_RULE = _rule(r"\d+", lambda match: mixed(match[0]))
"""For digits that directly follow a letter."""

PHONE_RULES = (
    _rule(r"\+\d{1,3}(?:[ .-]?\(?\d{1,5}\)?){1,6}(?!\d)", _phone_abroad),
    _rule(r"(?:1[ .-])?\(\d{3}\)[ .-]?\d{3}[ .-]\d{4}(?!\d)", _digit_groups),
    _rule(r"(?:1[ .-])?\d{3}[ .-]\d{3}[ .-]\d{4}(?![\d-])", _digit_groups),
    _rule(r"0\d{2,4}(?:[ -]\d{3,4}){1,2}(?![\d-])", _digit_groups),
    _rule(r"[2-9]\d{2}-\d{4}(?![\d-])", _digit_groups),
    _rule(r"\d+(?>(?:-\d+){2,})", _digit_groups),
)
QUANTITY_RULES = (
    _rule(rf"(?P<amount>{NUMBER})(?P<letter>[kK])(?!\w)", _thousands),
    _rule(r"(?P<number>\d{1,3}(?:,\d{3}){1,4}|\d{1,15})(?:st|nd|rd|th)(?!\w)", _ordinal),
    _rule(r"\d++(?>(?:\.\d++){2,})", _dotted),
    _rule(rf"(?P<base>[+-]?{NUMBER})[eE](?P<power>[+-]?\d{{1,3}})(?!\w)", _scientific),
    _rule(rf"[+-]?{_FRACTION}", lambda match: amount_in_words(match[0])),
    _rule(rf"(?P<first>{INTEGER}):(?P<last>{INTEGER})(?![\d:])", _ratio),
)
RANGE_RULE = _rule(
    rf"(?P<first>[+-]?{NUMBER})(?P<space>\s)?-(?(space)\s)(?P<last>{NUMBER})(?![\w-])", _range
)
PLAIN_RULE = _rule(rf"[+-]?{NUMBER}", _plain)
