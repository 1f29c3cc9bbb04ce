"""French."""

from __future__ import annotations

import re

from voxswap_server.text.languages import numerals
from voxswap_server.text.languages.language import Amount, Language, noun, singular_below_two


def _day(language: Language, day: int, before: str) -> str:
    del before
    return "premier" if day == 1 else language.words(day)


def _numbered(language: Language, value: int, match: re.Match[str]) -> str:
    if value == 1:
        said = "première" if match["ending"].startswith(("r", "è")) else "premier"
    elif match["ending"].startswith("n"):
        said = "seconde" if match["ending"].startswith("nde") else "second"
    else:
        said = numerals.ordinal(language.locale, value)
    return said + "s" * match["ending"].endswith("s")


def _clock(language: Language, hour: int, minute: int, before: str) -> str:
    del before
    said = language.count(noun("f:heure|heures"), Amount(str(hour)))
    return f"{said} {language.words(minute)}" if minute else said


def table(locale: str) -> Language:
    """The table of French."""
    return Language(
        locale=locale,
        minus="moins",
        plus="plus",
        comma="virgule",
        dot="point",
        to="à",
        ratio="à",
        over="sur",
        times="fois",
        equals="égale",
        per="par",
        labels={
            "N° n° Nº nº № #": "numéro",
            "p.": "page",
            "chap.": "chapitre",
            "env.": "environ",
        },
        months=(
            *("janvier", "février", "mars", "avril", "mai", "juin"),
            *("juillet", "août", "septembre", "octobre", "novembre", "décembre"),
        ),
        units={
            "x": "f:fois",
            "km": "kilomètre|kilomètres",
            "m": "mètre|mètres",
            "cm": "centimètre|centimètres",
            "mm": "millimètre|millimètres",
            "km² km2": "kilomètre carré|kilomètres carrés",
            "m² m2": "mètre carré|mètres carrés",
            "m³ m3": "mètre cube|mètres cubes",
            "ha": "hectare|hectares",
            "kg": "kilogramme|kilogrammes",
            "g": "gramme|grammes",
            "mg": "milligramme|milligrammes",
            "t": "f:tonne|tonnes",
            "l L": "litre|litres",
            "ml mL": "millilitre|millilitres",
            "cl cL": "centilitre|centilitres",
            "km/h": "kilomètre à l'heure|kilomètres à l'heure",
            "m/s": "mètre par seconde|mètres par seconde",
            "h": "f:heure|heures",
            "min": "f:minute|minutes",
            "s": "f:seconde|secondes",
            "ms": "f:milliseconde|millisecondes",
            "°C": "degré Celsius|degrés Celsius",
            "°F": "degré Fahrenheit|degrés Fahrenheit",
            "°": "degré|degrés",
            "%": "pour cent",
            "kW": "kilowatt|kilowatts",
            "W": "watt|watts",
            "kWh": "kilowattheure|kilowattheures",
            "Hz": "hertz",
            "MHz": "mégahertz",
            "GHz": "gigahertz",
            "Go": "gigaoctet|gigaoctets",
            "Mo": "mégaoctet|mégaoctets",
            "GB": "gigaoctet|gigaoctets",
            "MB": "mégaoctet|mégaoctets",
        },
        only_joined=frozenset({"x", "W", "t"}),
        scales=("millions", "milliards", "million", "milliard"),
        currencies={
            "€ EUR": "euro|euros;centime|centimes",
            "M€": "million d'euros|millions d'euros",
            "Md€": "milliard d'euros|milliards d'euros",
            "$ USD US$": "dollar|dollars;cent|cents",
            "£ GBP": "f:livre|livres;penny|pence",
            "CHF": "franc|francs;centime|centimes",
            "¥ JPY": "yen|yens",
            "₽ RUB": "rouble|roubles;kopeck|kopecks",
            "₴ UAH": "f:hryvnia|hryvnias",
            "₺ TRY": "f:livre turque|livres turques",
            "zł PLN": "zloty|zlotys",
            "Kč CZK": "f:couronne|couronnes",
            "₩ KRW": "won|wons",
            "₹ INR": "f:roupie|roupies",
        },
        symbols={
            "&": "et",
            "@": "arobase",
            "+": "plus",
            "=": "égale",
            "%": "pour cent",
            "±": "plus ou moins",
            "×": "fois",
            "÷": "divisé par",
            "§": "paragraphe",
            "°": "degré",
        },
        halves={
            "1/2": "un demi",
            "1/3": "un tiers",
            "2/3": "deux tiers",
            "1/4": "un quart",
            "3/4": "trois quarts",
            "+1/2": "et demi",
            "+1/4": "un quart",
        },
        cents="{whole} {cents}",
        forms=singular_below_two,
        agreement={"f": ((r"\bun$", "une"),)},
        day=_day,
        clock=_clock,
        numbered=(
            r"(?P<ending>(?:ers?|res?|ères?|nde?s?|ièmes?|èmes?|es?))(?!\w)",
            _numbered,
        ),
    )
