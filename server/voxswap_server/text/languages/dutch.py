"""Dutch."""

from __future__ import annotations

import re

from voxswap_server.text.languages import numerals
from voxswap_server.text.languages.language import Language


def _numbered(language: Language, value: int, match: re.Match[str]) -> str:
    del match
    return numerals.ordinal(language.locale, value)


def _year(language: Language, year: int) -> str:
    if 1100 <= year <= 1999:
        rest = language.words(year % 100) if year % 100 else "honderd"
        return f"{language.words(year // 100)} {rest}"
    return language.words(year)


def _clock(language: Language, hour: int, minute: int, before: str) -> str:
    del before
    said = f"{language.words(hour)} uur"
    return f"{said} {language.words(minute)}" if minute else said


def table(locale: str) -> Language:
    """The table of Dutch."""
    return Language(
        locale=locale,
        minus="min",
        plus="plus",
        comma="komma",
        dot="punt",
        to="tot",
        ratio="tegen",
        over="van",
        times="keer",
        equals="is",
        per="per",
        labels={
            "Nr. nr. № #": "nummer",
            "blz. p.": "bladzijde",
            "ca.": "circa",
            "hfst.": "hoofdstuk",
        },
        months=(
            *("januari", "februari", "maart", "april", "mei", "juni"),
            *("juli", "augustus", "september", "oktober", "november", "december"),
        ),
        years_in_hundreds=True,
        units={
            "x": "keer",
            "km": "kilometer",
            "m": "meter",
            "cm": "centimeter",
            "mm": "millimeter",
            "km² km2": "vierkante kilometer",
            "m² m2": "vierkante meter",
            "m³ m3": "kubieke meter",
            "ha": "hectare",
            "kg": "kilogram",
            "g": "gram",
            "mg": "milligram",
            "t": "ton",
            "l L": "liter",
            "ml": "milliliter",
            "km/h km/u": "kilometer per uur",
            "m/s": "meter per seconde",
            "h u": "uur",
            "min": "minuut|minuten",
            "s": "seconde|seconden",
            "ms": "milliseconde|milliseconden",
            "°C": "graden Celsius",
            "°F": "graden Fahrenheit",
            "°": "graden",
            "%": "procent",
            "kW": "kilowatt",
            "W": "watt",
            "Hz": "hertz",
            "GHz": "gigahertz",
            "GB": "gigabyte",
            "MB": "megabyte",
            "mln.": "miljoen",
            "mld.": "miljard",
        },
        only_joined=frozenset({"x", "W", "t", "u"}),
        scales=("miljoen", "miljard", "mln.", "mld."),
        currencies={
            "€ EUR": "euro;cent",
            "$ USD US$": "dollar;cent",
            "£ GBP": "pond;penny|pence",
            "CHF": "frank;rappen",
            "¥ JPY": "yen",
            "₽ RUB": "roebel;kopeke",
            "₴ UAH": "grivna",
            "₺ TRY": "lira",
            "zł PLN": "zloty",
            "Kč CZK": "kroon|kronen",
            "₩ KRW": "won",
            "₹ INR": "roepie",
        },
        symbols={
            "&": "en",
            "@": "apenstaartje",
            "+": "plus",
            "=": "is",
            "%": "procent",
            "±": "plusminus",
            "×": "keer",
            "÷": "gedeeld door",
            "§": "paragraaf",
            "°": "graden",
        },
        halves={
            "1/2": "een half",
            "1/3": "een derde",
            "2/3": "twee derde",
            "1/4": "een kwart",
            "3/4": "drie kwart",
            "+1/2": "en een half",
            "+1/4": "en een kwart",
        },
        clock_words="uur|u",
        cents="{whole} {cents}",
        year=_year,
        clock=_clock,
        numbered=(r"(?:e|ste|de)(?!\w)", _numbered),
        mend=((r"duizend(?=\w)", "duizend "),),
    )
