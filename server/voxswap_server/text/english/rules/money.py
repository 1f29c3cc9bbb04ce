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

_SINGLE = "".join(sign for sign in CURRENCIES if len(sign) == 1 and sign not in "$¥£")
CURRENCY = rf"(?:(?:[A-Z]{{1,3}}|Mex)?[$¥£]|(?:GH)?[{_SINGLE}])"
"""What looks like a currency's sign; `CURRENCIES` has those that are."""
LETTERS_BEFORE = frozenset(name.rstrip("./") for name in LETTERED_BEFORE) | CODES.keys()
"""Words that may stand for a currency in front of a number."""
_SCALE = rf"(?:\s?(?P<scale>{any_of(SCALES)})(?!\w))?"
_ALL = {**LETTERED_BEHIND, **LETTERED_BEFORE, **CURRENCIES}
_BEHIND = any_of(LETTERED_BEHIND.keys() - CODES.keys())
_BEFORE = any_of(LETTERED_BEFORE)


def _money(match: re.Match[str]) -> str | None:
    amount, last, scale = match["amount"], match["last"], match["scale"]
    symbol = match["symbol"]
    currency = _ALL.get(symbol)
    if currency is None or (symbol in WORDS and not re.search("[.,]", amount)):
        return None
    sign = {"-": "minus ", "+": "plus "}.get(match["sign"] or "", "")
    adjective = re.search(r"\b[Aa] \Z", before(match, 3))  # "a $5 bill"
    integer, _, decimals = amount.partition(".")
    if len(decimals) == 2 and currency.cent and not (last or scale):
        return sign + _with_cents(currency, integer, decimals)
    words = number(amount) + (f" to {number(last)}" if last else "")
    words += f" {SCALES[scale]}" if scale else ""
    one = adjective or (amount == "1" and not (last or scale))
    return f"{sign}{words} {currency.one if one else currency.many}"


def _money_per(match: re.Match[str]) -> str | None:
    money, rate = _money(match), per(match)
    return f"{money} {rate}" if money and rate else None


def _with_cents(currency: Currency, integer: str, decimals: str) -> str:
    parts = []
    if integer.strip("0, ") or decimals == "00":
        parts.append(f"{whole(integer or '0')} {currency.one if integer == '1' else currency.many}")
    if decimals != "00":
        cents = int(decimals)
        parts.append(f"{cardinal(cents)} {currency.cent if cents == 1 else currency.cents}")
    return " and ".join(parts)


_AFTER_SIGN = rf"(?P<amount>{NUMBER})(?:\s?-\s?(?P=symbol)?(?P<last>{NUMBER}))?{_SCALE}"
_BEFORE_SIGN = rf"(?P<sign>[+-])?(?P<amount>{NUMBER})(?:-(?P<last>{NUMBER}))?{_SCALE}"
_SIGNED = rf"(?P<sign>[+-])?(?P<symbol>{CURRENCY})\s?{_AFTER_SIGN}"
_LETTERED = rf"(?P<symbol>{_BEFORE}|[A-Z]{{3}}(?![A-Z]))(?:\s(?P<sign>[+-])?)?{_AFTER_SIGN}"


def _rules(*patterns: str) -> tuple[Rule, ...]:
    return tuple(
        rule
        for pattern in patterns
        for rule in (
            Rule(re.compile(pattern + PER_PATTERN), _money_per),
            Rule(re.compile(pattern), _money),
        )
    )


MONEY_RULES = _rules(
    _SIGNED,
    rf"{_BEFORE_SIGN}\s?(?P<symbol>{CURRENCY})(?!\d)",
    rf"{_BEFORE_SIGN}\s?(?P<symbol>{_BEHIND}|[A-Z]{{3}})(?!\w)",
)
LETTERED_RULES = _rules(_LETTERED)
"""For abbreviations and codes in front of a number: "USD 5", "Rs. 500"."""
