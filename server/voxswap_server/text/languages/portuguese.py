"""Portuguese, of Portugal and of Brazil."""

from __future__ import annotations

import re
from typing import Final

from voxswap_server.text.languages import numerals
from voxswap_server.text.languages.language import Language, singular_below_two

_MASCULINE: Final = re.compile(r"(?:dia|mapa|\w+(?:em|am|gram|ist)a)s?\Z")
_NO_NOUN: Final = frozenset(("a", "as", "para", "na", "nas", "da", "das", "cada"))


def _gender(digits: str, word: str) -> str:
    """Nouns in -a are feminine but for a few."""
    del digits
    lower = word.lower()
    if lower in _NO_NOUN or _MASCULINE.match(lower):
        return ""
    return "f" if re.search(r"(?:as?|ãs?|ção|ções|dades?|vez|vezes)\Z", lower) else ""


def _day(language: Language, day: int, before: str) -> str:
    del before
    return "primeiro" if day == 1 else language.words(day)


def _numbered(language: Language, value: int, match: re.Match[str]) -> str:
    said = numerals.ordinal(language.locale, value)
    return re.sub(r"o\b", "a", said) if match["ending"].strip(".") in ("ª", "a") else said


def _clock(language: Language, hour: int, minute: int, before: str) -> str:
    del before
    said = language.words(hour)
    for pattern, replacement in language.agreement["f"]:
        said = re.sub(pattern, replacement, said)
    return f"{said} e {language.words(minute)}" if minute else f"{said} hora{'s' * (hour > 1)}"


def table(locale: str) -> Language:
    """The table of Portuguese."""
    return Language(
        locale=locale,
        minus="menos",
        plus="mais",
        comma="vírgula",
        dot="ponto",
        to="a",
        ratio="a",
        over="de",
        times="vezes",
        equals="igual a",
        per="por",
        labels={
            "N.º n.º Nº nº N° n° № #": "número",
            "pág. p.": "página",
            "cap.": "capítulo",
        },
        months=(
            *("janeiro", "fevereiro", "março", "abril", "maio", "junho"),
            *("julho", "agosto", "setembro", "outubro", "novembro", "dezembro"),
        ),
        units={
            "x": "f:vez|vezes",
            "km": "m:quilómetro|quilómetros" if locale == "pt" else "m:quilômetro|quilômetros",
            "m": "m:metro|metros",
            "cm": "m:centímetro|centímetros",
            "mm": "m:milímetro|milímetros",
            "km² km2": "m:quilómetro quadrado|quilómetros quadrados",
            "m² m2": "m:metro quadrado|metros quadrados",
            "m³ m3": "m:metro cúbico|metros cúbicos",
            "ha": "m:hectare|hectares",
            "kg": "m:quilograma|quilogramas" if locale == "pt" else "m:quilo|quilos",
            "g": "m:grama|gramas",
            "mg": "m:miligrama|miligramas",
            "t": "f:tonelada|toneladas",
            "l L": "m:litro|litros",
            "ml mL": "m:mililitro|mililitros",
            "km/h": (
                "m:quilómetro por hora|quilómetros por hora"
                if locale == "pt"
                else "m:quilômetro por hora|quilômetros por hora"
            ),
            "m/s": "m:metro por segundo|metros por segundo",
            "h": "f:hora|horas",
            "min": "m:minuto|minutos",
            "s": "m:segundo|segundos",
            "ms": "m:milissegundo|milissegundos",
            "°C": "m:grau Celsius|graus Celsius",
            "°F": "m:grau Fahrenheit|graus Fahrenheit",
            "%": "por cento",
            "kW": "m:quilowatt|quilowatts",
            "W": "m:watt|watts",
            "Hz": "m:hertz",
            "GHz": "m:gigahertz",
            "GB": "m:gigabyte|gigabytes",
            "MB": "m:megabyte|megabytes",
        },
        only_joined=frozenset({"x", "W", "t"}),
        scales=("milhões", "milhão", "bilhões", "bilhão", "mil milhões"),
        currencies={
            "€ EUR": "m:euro|euros;m:cêntimo|cêntimos",
            "R$ BRL": "m:real|reais;m:centavo|centavos",
            "$ USD US$": "m:dólar|dólares;m:cêntimo|cêntimos",
            "£ GBP": "f:libra|libras;m:penny|pence",
            "CHF": "m:franco|francos;m:cêntimo|cêntimos",
            "¥ JPY": "m:iene|ienes",
            "₽ RUB": "m:rublo|rublos;m:copeque|copeques",
            "₴ UAH": "f:grívnia|grívnias",
            "₺ TRY": "f:lira|liras",
            "zł PLN": "m:zlóti|zlótis",
            "Kč CZK": "f:coroa|coroas",
            "₩ KRW": "m:won|wons",
            "₹ INR": "f:rupia|rupias",
        },
        symbols={
            "&": "e",
            "@": "arroba",
            "+": "mais",
            "=": "igual a",
            "%": "por cento",
            "±": "mais ou menos",
            "×": "vezes",
            "÷": "dividido por",
            "§": "parágrafo",
            "°": "graus",
        },
        halves={
            "1/2": "um meio",
            "1/3": "um terço",
            "2/3": "dois terços",
            "1/4": "um quarto",
            "3/4": "três quartos",
            "+1/2": "e meio",
            "+1/4": "e um quarto",
            "+3/4": "e três quartos",
        },
        date="{day} de {month} de {year}",
        cents="{whole} e {cents} {cent}",
        forms=singular_below_two,
        agreement={
            "f": (
                (r"\bum$", "uma"),
                (r"\bdois$", "duas"),
                (r"entos\b", "entas"),
            )
        },
        gender_before=_gender,
        day=_day,
        clock=_clock,
        clock_words="h|horas",
        numbered=(r"(?P<ending>\.?[ºª]|°(?! ?[CF]\b))", _numbered),
    )
