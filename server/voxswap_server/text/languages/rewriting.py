"""Finds what a language writes in figures, and says how it is read aloud."""

from __future__ import annotations

import importlib
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from voxswap_server.text.english.normalization import Rewrite
from voxswap_server.text.english.rules.rule import Rule, any_of
from voxswap_server.text.languages import numerals
from voxswap_server.text.languages.amounts import amount_rules, currency_pattern, spellings
from voxswap_server.text.languages.calendar import date_rules, time_rules
from voxswap_server.text.languages.language import Language, noun
from voxswap_server.text.languages.minus import minus_rewrites

_TABLES: Final = {
    "de": "german",
    "fr": "french",
    "es": "spanish",
    "it": "italian",
    "pt": "portuguese",
    "pl": "polish",
    "ru": "russian",
    "uk": "ukrainian",
    "nl": "dutch",
    "tr": "turkish",
    "cs": "czech",
    "sv": "swedish",
    "ja": "japanese",
    "ko": "korean",
}

_AFTER_THE_END: Final = re.compile(r"[\s\"'()]+")


@dataclass(frozen=True, slots=True)
class Reader:
    """What may be read otherwise than it is written, and the rules that say how."""

    candidate: re.Pattern[str]
    rules: tuple[Rule, ...]
    symbols: dict[str, str]


def rewrites_of(text: str, language: str) -> Iterator[Rewrite]:
    """What to read otherwise than it is written, in order and without overlap.

    ``text`` is clean (`CleanText`), ``language`` a tag such as "pt-BR". What has no rule is left
    alone, and so is everything but a minus in languages without a table. Takes linear time.
    """
    reader = reader_of(language)
    if reader is None:
        yield from minus_rewrites(text, language.replace("_", "-").lower().partition("-")[0])
        return
    position = 0
    while match := reader.candidate.search(text, position):
        position = match.end() or position + 1
        if match["symbol"]:
            name = reader.symbols.get(match[0])
            if name:
                position = _past_marks(text, position)
                yield Rewrite(match.start(), position, name)
            continue
        start = match.start()
        for rule in reader.rules:
            found = rule.pattern.match(text, start)
            if found and (spoken := rule.read(found)) is not None:
                position = _past_marks(text, found.end())
                if found[0].endswith(".") and not _AFTER_THE_END.sub("", text[position:]):
                    spoken += "."  # of an abbreviation, and of the sentence
                yield Rewrite(start, position, spoken)
                break
        else:
            position = start + 1


def _past_marks(text: str, position: int) -> int:
    while unicodedata.category(text[position : position + 1] or " ")[0] == "M":
        position += 1
    return position


def reader_of(tag: str) -> Reader | None:
    """The reader of a language by its tag; None where there is no table. Takes 30 ms at first."""
    primary, *subtags = tag.replace("_", "-").lower().split("-")
    if primary not in _TABLES:
        return None
    regional = f"{primary}_{subtags[0].upper()}" if subtags else primary
    return _reader(primary, regional if numerals.knows(regional) else primary)


@cache
def _reader(primary: str, locale: str) -> Reader:
    table = importlib.import_module(f"voxswap_server.text.languages.{_TABLES[primary]}")
    if primary in ("ja", "ko"):
        candidate, rules, symbols = table.CANDIDATE, table.RULES, table.SYMBOLS
        return Reader(candidate, rules, symbols)
    language: Language = table.table(locale)
    currencies = currency_pattern(language)
    labels = spellings(language.labels)
    label = rf"{any_of(labels)} ?(?=\d)"
    candidate = re.compile(
        rf"(?P<number>(?<!\w)(?:[+-](?=(?:{currencies} ?)?\d)|{label})"
        rf"|(?:(?<!\w){currencies}|[€$£¥₽₴₺₩₹₱₦]) ?(?=\d)|[½⅓⅔¼¾]|\d)"
        r"|(?P<symbol>[^\w\s.,;:!?'\"()-])"
    )
    names = {
        symbol: noun(said.partition(";")[0]).forms[-1]
        for symbol, said in spellings(language.currencies).items()
    }
    return Reader(
        candidate,
        (
            *language.rules(language),
            Rule(re.compile(label), lambda match: labels[match[0].strip()]),
            *date_rules(language),
            *time_rules(language),
            *amount_rules(language),
        ),
        names | dict(language.symbols),
    )
