"""Spanish."""

from __future__ import annotations

import re
from typing import Final

from voxswap_server.text.languages import numerals
from voxswap_server.text.languages.language import Language

_MASCULINE: Final = re.compile(r"(?:problem|sistem|tem|program|planet|clim|idiom|dram|poem)as?\Z")
_WOMEN: Final = re.compile(r"(?:vez|veces|\w+(?:[cs]ión|[cs]iones|dad|dades|tud|tudes))\Z")
_MEN: Final = frozenset(("día", "días", "mapa", "mapas"))
_NO_WOMEN: Final = frozenset(("día", "días", "mapa", "mapas", "para", "a", "la", "las", "hasta"))


def _gender(digits: str, word: str) -> str:
    """Nouns in -a are feminine but for a few; before masculine ones 1 and 21 are shortened."""
    lower = word.lower()
    if _WOMEN.match(lower):
        return "f"
    if lower in _MEN or _MASCULINE.match(lower):
        return "m"
    if re.search(r"as?\Z", lower) and not (_MASCULINE.match(lower) or lower in _NO_WOMEN):
        return "f"
    return "m" if re.search(r"(?:os?|es|[lrndzj])\Z", lower) and len(lower) > 3 else ""


def _numbered(language: Language, value: int, match: re.Match[str]) -> str:
    said = _ORDINALS.get(value) or numerals.ordinal(language.locale, value)
    ending = match["ending"].lstrip(".")
    if ending in ("ª", "a", "as", "ra", "da"):
        return re.sub(r"o\b", "a", said)
    return said[:-1] if ending == "er" and value in (1, 3) else said


_ORDINALS: Final = {11: "undécimo", 12: "duodécimo"} | {
    10 + unit: f"decimo{said}"
    for unit, said in enumerate(
        ("tercero", "cuarto", "quinto", "sexto", "séptimo", "octavo", "noveno"), 3
    )
}


def _clock(language: Language, hour: int, minute: int, before: str) -> str:
    del before
    said = re.sub(r"uno\Z", "una", language.words(hour))
    if not minute:
        return f"{said} en punto"
    return f"{said} y {language.words(minute)}"


def table(locale: str) -> Language:
    """The table of Spanish."""
    return Language(
        locale=locale,
        minus="menos",
        plus="más",
        comma="coma",
        dot="punto",
        to="a",
        ratio="a",
        over="de",
        times="por",
        equals="igual a",
        per="por",
        labels={
            "N.º n.º Nº nº N° n° núm. № #": "número",
            "pág. p.": "página",
            "cap.": "capítulo",
            "aprox.": "aproximadamente",
        },
        months=(
            *("enero", "febrero", "marzo", "abril", "mayo", "junio"),
            *("julio", "agosto", "septiembre", "octubre", "noviembre", "diciembre"),
        ),
        other_months=("setiembre",),
        units={
            "x": "f:vez|veces",
            "km": "m:kilómetro|kilómetros",
            "m": "m:metro|metros",
            "cm": "m:centímetro|centímetros",
            "mm": "m:milímetro|milímetros",
            "km² km2": "m:kilómetro cuadrado|kilómetros cuadrados",
            "m² m2": "m:metro cuadrado|metros cuadrados",
            "m³ m3": "m:metro cúbico|metros cúbicos",
            "ha": "f:hectárea|hectáreas",
            "kg": "m:kilogramo|kilogramos",
            "g": "m:gramo|gramos",
            "mg": "m:miligramo|miligramos",
            "t": "f:tonelada|toneladas",
            "l L": "m:litro|litros",
            "ml": "m:mililitro|mililitros",
            "km/h": "m:kilómetro por hora|kilómetros por hora",
            "m/s": "m:metro por segundo|metros por segundo",
            "h": "f:hora|horas",
            "min": "m:minuto|minutos",
            "s": "m:segundo|segundos",
            "ms": "m:milisegundo|milisegundos",
            "°C": "m:grado Celsius|grados Celsius",
            "°F": "m:grado Fahrenheit|grados Fahrenheit",
            "°": "m:grado|grados",
            "%": "por ciento",
            "kW": "m:kilovatio|kilovatios",
            "W": "m:vatio|vatios",
            "Hz": "m:hercio|hercios",
            "GHz": "m:gigahercio|gigahercios",
            "GB": "m:gigabyte|gigabytes",
            "MB": "m:megabyte|megabytes",
        },
        only_joined=frozenset({"x", "W", "t"}),
        scales=("millones", "millón", "mil millones"),
        currencies={
            "€ EUR": "m:euro|euros;m:céntimo|céntimos",
            "$ USD US$": "m:dólar|dólares;m:centavo|centavos",
            "£ GBP": "f:libra|libras;m:penique|peniques",
            "CHF": "m:franco|francos;m:céntimo|céntimos",
            "¥ JPY": "m:yen|yenes",
            "₽ RUB": "m:rublo|rublos;m:kopek|kopeks",
            "₴ UAH": "f:grivna|grivnas",
            "₺ TRY": "f:lira|liras",
            "zł PLN": "m:esloti|eslotis",
            "Kč CZK": "f:corona|coronas",
            "₩ KRW": "m:won|wones",
            "₹ INR": "f:rupia|rupias",
            "MXN": "m:peso mexicano|pesos mexicanos;m:centavo|centavos",
        },
        symbols={
            "&": "y",
            "@": "arroba",
            "+": "más",
            "=": "igual a",
            "%": "por ciento",
            "±": "más menos",
            "×": "por",
            "÷": "dividido por",
            "§": "párrafo",
            "°": "grados",
        },
        halves={
            "1/2": "un medio",
            "1/3": "un tercio",
            "2/3": "dos tercios",
            "1/4": "un cuarto",
            "3/4": "tres cuartos",
            "+1/2": "y medio",
            "+1/4": "y cuarto",
        },
        date="{day} de {month} de {year}",
        cents="{whole} con {cents} {cent}",
        agreement={
            "m": ((r"veintiuno$", "veintiún"), (r"\buno$", "un")),
            "f": ((r"uno$", "una"), (r"cientos\b", "cientas"), (r"quinientos\b", "quinientas")),
        },
        gender_before=_gender,
        clock=_clock,
        clock_words=r"h|hs|horas|hrs\.",
        numbered=(r"(?P<ending>\.?[ºª]|°|er\b|ro\b|ra\b|do\b|da\b)", _numbered),
        mend=((r"veintiuno (?=mil)", "veintiún "), (r"\buno (?=mil)", "un ")),
    )
