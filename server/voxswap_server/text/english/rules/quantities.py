"""Money, measures, ranges, fractions and every other number in English."""

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
from voxswap_server.text.english.rules.rule import (
    INTEGER,
    NUMBER,
    STOP,
    Rule,
    after,
    any_of,
    before,
)
from voxswap_server.text.english.rules.units import CURRENCIES, PER, SCALES, UNITS, Currency

# A fraction of these is said as one; of others as two numbers: "24/7", "9/11".
_DENOMINATORS = frozenset({2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 32, 64})
_FRACTION = r"(?:(?:\d{1,9}[ -])?\d{1,3}/\d{1,3}(?![\d/]))"
_AMOUNT = rf"(?:{_FRACTION}|{NUMBER})"
_SIGNED = rf"[+-]?{_AMOUNT}"
CURRENCY = any_of(CURRENCIES)
_SCALE = rf"(?:\s?(?P<scale>{any_of(SCALES)})(?!\w))?"
_UNIT = any_of(UNITS)
_PER = rf"(?:/(?P<per>{any_of(PER)})(?!\w))?"


def _amount(text: str) -> str:
    """ "2 1/2", "3/4", "-1,200.5": a number as it may stand before a unit."""
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


def _is_one(text: str) -> bool:
    return text.lstrip("+-") == "1"


def _money(match: re.Match[str]) -> str:
    amount, last, scale = match["amount"], match["last"], match["scale"]
    currency = CURRENCIES[match["symbol"]]
    sign = {"-": "minus ", "+": "plus "}.get(match["sign"] or "", "")
    adjective = re.search(r"\b[Aa] \Z", before(match, 3))  # "a $5 bill"
    integer, _, decimals = amount.partition(".")
    if len(decimals) == 2 and currency.cent and not (last or scale):
        return sign + _with_cents(currency, integer, decimals) + _per(match)
    words = number(amount) + (f" to {number(last)}" if last else "")
    words += f" {SCALES[scale]}" if scale else ""
    one = adjective or (amount == "1" and not (last or scale))
    return f"{sign}{words} {currency.one if one else currency.many}{_per(match)}"


def _with_cents(currency: Currency, integer: str, decimals: str) -> str:
    parts = []
    if integer.strip("0,") or decimals == "00":
        parts.append(f"{whole(integer or '0')} {currency.one if integer == '1' else currency.many}")
    if decimals != "00":
        cents = int(decimals)
        parts.append(f"{cardinal(cents)} {currency.cent if cents == 1 else currency.cents}")
    return " and ".join(parts)


def _measure(match: re.Match[str]) -> str | None:
    unit = UNITS[match["unit"]]
    spaced = match["space"] and not match[0].endswith(".")
    if re.fullmatch("[A-Za-z]-", before(match, 2)) or (spaced and unit.only_joined):
        return None
    amount, last = match["amount"], match["last"]
    words = _amount(amount) + (f" to {_amount(last)}" if last else "")
    if "/" in amount and not re.search("[ -]", amount.lstrip("+-")) and not last:
        words += f" {unit.of}{unit.one}"
    else:
        one = (_is_one(amount) and not last) or match["space"] == "-"
        words += f" {unit.one if one else unit.many}"
    return words + _per(match)


def _per(match: re.Match[str]) -> str:
    return f" per {PER[match['per']]}" if match["per"] else ""


def _feet_and_inches(match: re.Match[str]) -> str:
    return f"{cardinal(int(match['feet']))} foot {cardinal(int(match['inches']))}"


def _ordinal(match: re.Match[str]) -> str:
    return ordinal(int(match["number"].replace(",", "")))


def _range(match: re.Match[str]) -> str:
    first, last = match["first"], match["last"]
    minus = after(match, 2).lstrip()[:1] == "="
    if first == last:
        return f"{number(first)} {number(last)}"  # "50-50"
    if match["space"] and not minus:
        minus = _value(first) > _value(last)
    return f"{number(first)} {'minus' if minus else 'to'} {number(last)}"


def _value(text: str) -> tuple[int, str]:
    """Orders integers of any length without making them numbers."""
    integer = text.replace(",", "").partition(".")[0].lstrip("0")
    return len(integer), integer


def _by(match: re.Match[str]) -> str:
    return " by ".join(number(part) for part in re.findall(NUMBER, match[0]))


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


def _resolution(match: re.Match[str]) -> str:
    """ "1080p" -> "ten eighty p"."""
    return f"{cardinal(int(match['hundreds']))} {cardinal(int(match['rest']))} p"


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
MONEY_RULES = (
    _rule(
        rf"(?P<sign>[+-])?(?P<symbol>{CURRENCY})\s?(?P<amount>{NUMBER})"
        rf"(?:\s?-\s?(?P=symbol)?(?P<last>{NUMBER}))?{_SCALE}{_PER}",
        _money,
    ),
    _rule(
        rf"(?P<sign>[+-])?(?P<amount>{NUMBER})(?:-(?P<last>{NUMBER}))?"
        rf"{_SCALE}\s?(?P<symbol>{CURRENCY})(?!\d){_PER}",
        _money,
    ),
)
QUANTITY_RULES = (
    _rule(r"(?P<hundreds>\d{1,2})(?P<rest>[1-9]0)p(?!\w)", _resolution),
    _rule(r"""(?P<feet>\d{1,2})'\s?(?P<inches>\d{1,2})(?:"|''|(?![\d'\w]))""", _feet_and_inches),
    _rule(
        rf"(?P<amount>{_SIGNED})(?:%(?=\s?-))?(?:\s?-\s?(?P<last>{_AMOUNT}))?(?P<space>[\s-])?"
        rf"(?P<unit>{_UNIT})(?![\w²³°]){STOP}?{_PER}",
        _measure,
    ),
    _rule(r"(?P<number>\d{1,3}(?:,\d{3}){1,4}|\d{1,15})(?:st|nd|rd|th)(?!\w)", _ordinal),
    _rule(rf"{NUMBER}(?>(?:\s?[x×]\s?{NUMBER})+)", _by),
    _rule(r"\d++(?>(?:\.\d++){2,})", _dotted),
    _rule(rf"(?P<base>[+-]?{NUMBER})[eE](?P<power>[+-]?\d{{1,3}})(?!\w)", _scientific),
    _rule(rf"[+-]?{_FRACTION}", lambda match: _amount(match[0])),
    _rule(rf"(?P<first>{INTEGER}):(?P<last>{INTEGER})(?![\d:])", _ratio),
)
RANGE_RULE = _rule(
    rf"(?P<first>[+-]?{NUMBER})(?P<space>\s)?-(?(space)\s)(?P<last>{NUMBER})(?![\w-])", _range
)
PLAIN_RULE = _rule(rf"[+-]?{NUMBER}", _plain)
