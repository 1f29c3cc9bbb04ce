"""Symbols and internet addresses of English."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from voxswap_server.text.english.rules.currencies import CURRENCIES
from voxswap_server.text.english.rules.numerals import mixed
from voxswap_server.text.english.rules.rule import after, before

SYMBOL_RUN = r"(?P<char>[^\w\s.,;:!?'\"()—-]|[_²³])(?>(?P=char)*)"
"""One symbol, or several of the same kind."""

_NAMES: Mapping[str, str] = {
    "&": "and",
    "@": "at",
    "%": "percent",
    "‰": "per mille",
    "+": "plus",
    "=": "equals",
    "°": "degrees",
    "±": "plus or minus",
    "×": "times",
    "÷": "divided by",
    "√": "square root of",
    "∞": "infinity",
    "≈": "approximately",
    "≠": "is not equal to",
    "≤": "less than or equal to",
    "≥": "greater than or equal to",
    "§": "section",
    "¢": "cents",
    "²": "squared",
    "³": "cubed",
    "º": "degrees",
    "˚": "degrees",
    **{symbol: currency.many for symbol, currency in CURRENCIES.items()},
}
# A text that is nothing but the symbol.
_ALONE: Mapping[str, str] = {
    "&": "ampersand",
    "°": "degree",
    "$": "dollar",
    "£": "pound",
    "€": "euro",
}
_BEFORE_NUMBER: Mapping[str, str] = {
    "#": "number",
    "~": "about",
    "<": "less than",
    ">": "more than",
    "^": "to the power of",
    "*": "times",
}
_IN_ADDRESSES: Mapping[str, str] = {
    ".": "dot",
    "/": "slash",
    "-": "dash",
    "_": "underscore",
    "@": "at",
    ":": "colon",
    "?": "question mark",
    "=": "equals",
    "&": "and",
    "#": "hash",
    "~": "tilde",
    "+": "plus",
    "%": "percent",
}
_TOP_LEVEL = (
    "com|org|net|edu|gov|mil|int|info|biz|io|ai|co|me|tv|app|dev|xyz|uk|us|ca|au|nz|de|fr|es|it|nl|"
    "be|ch|at|eu|se|no|dk|fi|pl|cz|ru|ua|jp|cn|kr|in|br|mx|za|ie|pt|gr|tr"
)
ADDRESS = (
    r"(?:https?://|ftp://|www\.)(?=[^\W_²³])[^\s<>\"]*[\w/]"
    r"|(?<![\w.+-])[\w+-][\w.+-]{0,63}+@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}"
    rf"|(?<![\w@-])(?:[a-z0-9][a-z0-9-]{{0,62}}\.){{1,8}}(?:{_TOP_LEVEL})(?![\w-]|\.\w)"
    r"(?:/[^\s<>\"]*[\w/])?"
)
_PART = re.compile(r"\d+|[^\W\d_²³]+|[\W_]")


def read_address(address: str) -> str:
    """ "https://example.com/a-b" -> "example dot com slash a dash b"."""
    plain = re.sub(r"\A\w+://", "", address).removesuffix("/")
    words = []
    for part in _PART.findall(plain):
        if part.isdecimal():
            words.append(mixed(part))
        else:
            words.append(part if part[0].isalnum() else _IN_ADDRESSES.get(part, ""))
    return " ".join(filter(None, words))


def read_symbol(match: re.Match[str]) -> str | None:
    """How a `SYMBOL_RUN` is read: empty if it is left out, None if it is part of a letter."""
    symbol, count = match[0][0], len(match[0])
    if match[0] in _ALONE and match.string.strip() == symbol:
        return _ALONE[symbol]
    if unicodedata.category(symbol)[0] == "M":
        return None
    if symbol == "/":
        return "slash" if count == 1 and _between_words(match) else ""
    if symbol in _BEFORE_NUMBER and re.match(r" ?[-+]?[$£€]?\.?\d", after(match, 5)):
        if count == 1 and (symbol in "#~<>" or _follows_number(match)):
            return _BEFORE_NUMBER[symbol]
        return ""
    if symbol == "#":
        return "hashtag" if count == 1 and after(match, 1).isalpha() else ""
    if count > 2:
        return ""  # A rule or a decoration.
    return " ".join([_NAMES.get(symbol, "")] * (count if symbol == "+" else 1))


def _between_words(match: re.Match[str]) -> bool:
    return before(match, 1).isalnum() and after(match, 1).isalnum()


def _follows_number(match: re.Match[str]) -> bool:
    return bool(re.search(r"[^\W_] ?\Z|\) ?\Z", before(match, 2)))
