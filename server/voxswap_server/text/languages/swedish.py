"""Swedish."""

from __future__ import annotations

import re
from typing import Final

from voxswap_server.text.languages import numerals
from voxswap_server.text.languages.language import Language

_NEUTER: Final = frozenset(
    ("år", "barn", "hus", "kilo", "poäng", "rum", "steg", "mål", "liv", "brev")
)


def _gender(digits: str, word: str) -> str:
    """Three nouns of four are of the common gender."""
    return "c" if digits == "1" and word not in _NEUTER else ""


def _day(language: Language, day: int, before: str) -> str:
    del before
    return numerals.ordinal(language.locale, day)


def _numbered(language: Language, value: int, match: re.Match[str]) -> str:
    del match
    return numerals.ordinal(language.locale, value)


def _year(language: Language, year: int) -> str:
    if 1100 <= year <= 1999:
        rest = language.words(year % 100) if year % 100 else ""
        return f"{language.words(year // 100)}hundra{rest}"
    return language.words(year)


def _clock(language: Language, hour: int, minute: int, before: str) -> str:
    del before
    return language.time(hour, minute, "") if minute else language.words(hour)


def table(locale: str) -> Language:
    """The table of Swedish."""
    return Language(
        locale=locale,
        minus="minus",
        plus="plus",
        comma="komma",
        dot="punkt",
        to="till",
        ratio="till",
        over="av",
        times="gånger",
        equals="är lika med",
        per="per",
        labels={
            "Nr. nr. Nr nr № #": "nummer",
            "kl. Kl.": "klockan",
            "s.": "sidan",
            "kap.": "kapitel",
            "ca": "cirka",
        },
        months=(
            *("januari", "februari", "mars", "april", "maj", "juni"),
            *("juli", "augusti", "september", "oktober", "november", "december"),
        ),
        years_in_hundreds=True,
        units={
            "x": "c:gång|gånger",
            "km": "c:kilometer",
            "m": "c:meter",
            "cm": "c:centimeter",
            "mm": "c:millimeter",
            "km² km2": "c:kvadratkilometer",
            "m² m2": "c:kvadratmeter",
            "m³ m3": "c:kubikmeter",
            "ha": "n:hektar",
            "kg": "n:kilogram",
            "g": "n:gram",
            "mg": "n:milligram",
            "t": "n:ton",
            "l L": "c:liter",
            "dl": "c:deciliter",
            "ml": "c:milliliter",
            "km/h": "c:kilometer i timmen",
            "m/s": "c:meter per sekund",
            "h": "c:timme|timmar",
            "min": "c:minut|minuter",
            "s": "c:sekund|sekunder",
            "ms": "c:millisekund|millisekunder",
            "°C": "c:grad Celsius|grader Celsius",
            "°F": "c:grad Fahrenheit|grader Fahrenheit",
            "°": "c:grad|grader",
            "%": "n:procent",
            "kW": "n:kilowatt",
            "W": "n:watt",
            "Hz": "n:hertz",
            "GHz": "n:gigahertz",
            "GB": "n:gigabyte",
            "MB": "n:megabyte",
        },
        only_joined=frozenset({"x", "W", "t"}),
        scales=("miljoner", "miljarder", "miljon", "miljard"),
        currencies={
            "kr SEK": "c:krona|kronor;n:öre",
            "€ EUR": "c:euro;c:cent",
            "$ USD US$": "c:dollar;c:cent",
            "£ GBP": "n:pund;c:penny|pence",
            "CHF": "c:franc;c:rappen",
            "¥ JPY": "c:yen",
            "₽ RUB": "c:rubel;c:kopek",
            "₴ UAH": "c:hryvnja",
            "₺ TRY": "c:lira",
            "zł PLN": "c:zloty",
            "Kč CZK": "c:tjeckisk krona|tjeckiska kronor",
            "₩ KRW": "c:won",
            "₹ INR": "c:rupie|rupier",
        },
        symbols={
            "&": "och",
            "@": "snabel-a",
            "+": "plus",
            "=": "är lika med",
            "%": "procent",
            "±": "plus minus",
            "×": "gånger",
            "÷": "delat med",
            "§": "paragraf",
            "°": "grader",
        },
        halves={
            "1/2": "en halv",
            "1/3": "en tredjedel",
            "2/3": "två tredjedelar",
            "1/4": "en fjärdedel",
            "3/4": "tre fjärdedelar",
            "+1/2": "och en halv",
            "+1/4": "och en kvart",
        },
        clock_before="kl\\.|klockan|kl",
        cents="{whole} och {cents} {cent}",
        agreement={"c": ((r"ett$", "en"),)},
        gender_before=_gender,
        day=_day,
        year=_year,
        clock=_clock,
        numbered=(r":(?:a|e|dje|de|te)(?!\w)", _numbered),
        mend=(("ttt", "tt"), (r"miljonett", "miljon ett"), (r"^etttusen", "ettusen")),
    )
