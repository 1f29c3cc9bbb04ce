"""Money in English: with signs, codes and abbreviations, before a number and behind it."""

from __future__ import annotations

import re

from voxswap_server.text.english.rules.currencies import (
    CODES,
    CURRENCIES,
    LETTERED_BEFORE,
    LETTERED_BEHIND,
    WORDS,
    Currency,
)
from voxswap_server.text.english.rules.numerals import cardinal, number, whole
from voxswap_server.text.english.rules.rule import NUMBER, Rule, any_of, before
from voxswap_server.text.english.rules.units import PER_PATTERN, SCALES, per

CURRENCY = any_of(CURRENCIES)
LETTERS_BEFORE = frozenset(name.rstrip("./") for name in LETTERED_BEFORE) | CODES.keys()
"""Words that may stand for a currency in front of a number."""
_SCALE = rf"(?:\s?(?P<scale>{any_of(SCALES)})(?!\w))?"
_ALL = {**LETTERED_BEHIND, **LETTERED_BEFORE, **CURRENCIES}


def _money(match: re.Match[str]) -> str | None:
    amount, last, scale = match["amount"], match["last"], match["scale"]
    symbol = match["symbol"]
    if symbol in WORDS and not re.search("[.,]", amount):
        return None
    currency = _ALL[symbol]
    sign = {"-": "minus ", "+": "plus "}.get(match["sign"] or "", "")
    adjective = re.search(r"\b[Aa] \Z", before(match, 3))  # "a $5 bill"
    integer, _, decimals = amount.partition(".")
    if len(decimals) == 2 and currency.cent and not (last or scale):
        return sign + _with_cents(currency, integer, decimals) + per(match)
    words = number(amount) + (f" to {number(last)}" if last else "")
    words += f" {SCALES[scale]}" if scale else ""
    one = adjective or (amount == "1" and not (last or scale))
    return f"{sign}{words} {currency.one if one else currency.many}{per(match)}"


def _with_cents(currency: Currency, integer: str, decimals: str) -> str:
    parts = []
    if integer.strip("0, ") or decimals == "00":
        parts.append(f"{whole(integer or '0')} {currency.one if integer == '1' else currency.many}")
    if decimals != "00":
        cents = int(decimals)
        parts.append(f"{cardinal(cents)} {currency.cent if cents == 1 else currency.cents}")
    return " and ".join(parts)


_BEHIND_SIGN = (
    rf"(?P<amount>{NUMBER})(?:\s?-\s?(?P=symbol)?(?P<last>{NUMBER}))?{_SCALE}{PER_PATTERN}"
)

MONEY_RULES = (
    Rule(re.compile(rf"(?P<sign>[+-])?(?P<symbol>{CURRENCY})\s?{_BEHIND_SIGN}"), _money),
    Rule(
        re.compile(
            rf"(?P<sign>[+-])?(?P<amount>{NUMBER})(?:-(?P<last>{NUMBER}))?"
            rf"{_SCALE}\s?(?P<symbol>{CURRENCY})(?!\d){PER_PATTERN}"
        ),
        _money,
    ),
    Rule(
        re.compile(
            rf"(?P<sign>[+-])?(?P<amount>{NUMBER})(?:-(?P<last>{NUMBER}))?"
            rf"{_SCALE}\s?(?P<symbol>{any_of(LETTERED_BEHIND)})(?!\w){PER_PATTERN}"
        ),
        _money,
    ),
)
LETTERED_RULE = Rule(
    re.compile(
        rf"(?P<symbol>{any_of([*LETTERED_BEFORE, *CODES])})\s?(?P<sign>[+-])?{_BEHIND_SIGN}"
    ),
    _money,
)
"""For abbreviations and codes in front of a number: "USD 5", "Rs. 500"."""
