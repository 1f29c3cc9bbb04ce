"""Italian."""

from __future__ import annotations

import re
from typing import Final

from voxswap_server.text.languages import numerals
from voxswap_server.text.languages.language import Language

_FEMININE: Final = re.compile(r"\w+[^m]a\Z")


def _gender(digits: str, word: str) -> str:
    if digits != "1":
        return ""
    return "f" if _FEMININE.match(word) else "m"


def _day(language: Language, day: int, before: str) -> str:
    del before
    return "primo" if day == 1 else language.words(day)


def _numbered(language: Language, value: int, match: re.Match[str]) -> str:
    said = numerals.ordinal(language.locale, value)
    return f"{said[:-1]}a" if match["ending"] in ("ª", "a") else said


def _clock(language: Language, hour: int, minute: int, before: str) -> str:
    del before
    said = "una" if hour == 1 else language.words(hour)
    return f"{said} e {language.words(minute)}" if minute else said


def table(locale: str) -> Language:
    """The table of Italian."""
    return Language(
        locale=locale,
        minus="meno",
        plus="più",
        comma="virgola",
        dot="punto",
        to="a",
        ratio="a",
        over="su",
        times="per",
        equals="uguale a",
        per="al",
        labels={
            "N.º n.º Nº nº N° n° N. n. № #": "numero",
            "pag. p.": "pagina",
            "cap.": "capitolo",
            "ca.": "circa",
        },
        months=(
            *("gennaio", "febbraio", "marzo", "aprile", "maggio", "giugno"),
            *("luglio", "agosto", "settembre", "ottobre", "novembre", "dicembre"),
        ),
        units={
            "x": "f:volta|volte",
            "km": "m:chilometro|chilometri",
            "m": "m:metro|metri",
            "cm": "m:centimetro|centimetri",
            "mm": "m:millimetro|millimetri",
            "km² km2": "m:chilometro quadrato|chilometri quadrati",
            "m² m2 mq": "m:metro quadrato|metri quadrati",
            "m³ m3": "m:metro cubo|metri cubi",
            "ha": "m:ettaro|ettari",
            "kg": "m:chilogrammo|chilogrammi",
            "g": "m:grammo|grammi",
            "mg": "m:milligrammo|milligrammi",
            "t": "f:tonnellata|tonnellate",
            "l L": "m:litro|litri",
            "ml": "m:millilitro|millilitri",
            "km/h": "m:chilometro all'ora|chilometri all'ora",
            "m/s": "m:metro al secondo|metri al secondo",
            "h": "f:ora|ore",
            "min": "m:minuto|minuti",
            "s": "m:secondo|secondi",
            "ms": "m:millisecondo|millisecondi",
            "°C": "m:grado Celsius|gradi Celsius",
            "°F": "m:grado Fahrenheit|gradi Fahrenheit",
            "%": "per cento",
            "kW": "m:chilowatt",
            "W": "m:watt",
            "Hz": "m:hertz",
            "GHz": "m:gigahertz",
            "GB": "m:gigabyte",
            "MB": "m:megabyte",
        },
        only_joined=frozenset({"x", "W", "t"}),
        scales=("milioni", "miliardi", "milione", "miliardo"),
        currencies={
            "€ EUR": "m:euro;m:centesimo|centesimi",
            "$ USD US$": "m:dollaro|dollari;m:centesimo|centesimi",
            "£ GBP": "f:sterlina|sterline;m:penny|pence",
            "CHF": "m:franco|franchi;m:centesimo|centesimi",
            "¥ JPY": "m:yen",
            "₽ RUB": "m:rublo|rubli;m:copeco|copechi",
            "₴ UAH": "f:grivnia|grivnie",
            "₺ TRY": "f:lira turca|lire turche",
            "zł PLN": "m:zloty",
            "Kč CZK": "f:corona|corone",
            "₩ KRW": "m:won",
            "₹ INR": "f:rupia|rupie",
        },
        symbols={
            "&": "e",
            "@": "chiocciola",
            "+": "più",
            "=": "uguale a",
            "%": "per cento",
            "±": "più o meno",
            "×": "per",
            "÷": "diviso",
            "§": "paragrafo",
            "°": "gradi",
        },
        halves={
            "1/2": "un mezzo",
            "1/3": "un terzo",
            "2/3": "due terzi",
            "1/4": "un quarto",
            "3/4": "tre quarti",
            "+1/2": "e mezzo",
            "+1/4": "e un quarto",
            "+3/4": "e tre quarti",
        },
        cents="{whole} e {cents} {cent}",
        agreement={"m": ((r"^uno$", "un"),), "f": ((r"^uno$", "una"),)},
        gender_before=_gender,
        day=_day,
        clock=_clock,
        clock_before="ore|alle|dalle",
        numbered=(r"(?P<ending>\.?[ºª]|°(?! ?[CF]\b))", _numbered),
    )
