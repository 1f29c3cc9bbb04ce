"""German."""

from __future__ import annotations

import re
from typing import Final

from voxswap_server.text.english.rules.rule import Rule, before
from voxswap_server.text.languages import numerals
from voxswap_server.text.languages.language import Language, decimals_one_by_one, next_word

_WEAK_BEFORE: Final = re.compile(r"\b(?:am|vom|zum|beim|im|dem|den|des|bis|ab|seit) \Z")
_ARTICLE_BEFORE: Final = re.compile(r"\b(?:der|die|das) \Z")


# Words that begin a sentence: "Ich habe 2. Er hat 3."
_BEGINNINGS: Final = frozenset(
    (
        *("Ich", "Du", "Er", "Sie", "Es", "Wir", "Ihr", "Der", "Die", "Das", "Ein", "Eine", "Und"),
        *("Aber", "Dann", "Da", "Dort", "Hier", "Jetzt", "Nun", "Wenn", "Als", "Doch", "So", "Was"),
    )
)
_NOT_FEMININE: Final = frozenset(
    ("Junge", "Name", "Hase", "Löwe", "Affe", "Riese", "Drache", "Käse", "Ende", "Auge", "Gebäude")
)
_FEMININE: Final = re.compile(r"\w+(?:e|ung|heit|keit|schaft|ion|tät|ei|ik|ur)\Z")


def _ordinal(language: Language, value: int, seen: str) -> str:
    """ "dritte" with the ending of what stands before it; "dritter" by itself."""
    said = numerals.ordinal(language.locale, value)
    if _WEAK_BEFORE.search(seen):
        return f"{said}n"
    return said if _ARTICLE_BEFORE.search(seen) else f"{said}r"


def _numbered(language: Language, value: int, match: re.Match[str]) -> str | None:
    if next_word(match) in _BEGINNINGS:
        return None
    said = _ordinal(language, value, before(match, 24).lower())
    return said.removesuffix("r") if _is_feminine(next_word(match)) else said


def _is_feminine(word: str) -> bool:
    return bool(_FEMININE.match(word)) and word not in _NOT_FEMININE


def _decades(language: Language) -> tuple[Rule, ...]:
    """ "die 90er": an adjective that never changes."""

    def read(match: re.Match[str]) -> str:
        return f"{_year(language, int(match['number']))}er"

    return (Rule(re.compile(r"(?P<number>(?:1\d|20)?\d0|[1-9]\d?)er(?!\w)"), read),)


def _year(language: Language, year: int) -> str:
    if 1100 <= year <= 1999:
        rest = language.words(year % 100) if year % 100 else ""
        return f"{language.words(year // 100)}hundert{rest}"
    return language.words(year)


def _clock(language: Language, hour: int, minute: int, before: str) -> str:
    del before
    said = "ein" if hour == 1 else language.words(hour)
    return f"{said} Uhr {language.words(minute)}" if minute else f"{said} Uhr"


def _gender(digits: str, word: str) -> str:
    """Nouns begin with a capital, and most in -e are feminine."""
    if digits != "1" or not word[0].isupper():
        return ""
    return "f" if _is_feminine(word) else "n"


def table(locale: str) -> Language:
    """The table of German."""
    return Language(
        locale=locale,
        minus="minus",
        plus="plus",
        comma="Komma",
        dot="Punkt",
        to="bis",
        ratio="zu",
        over="von",
        times="mal",
        equals="ist gleich",
        per="pro",
        labels={
            "Nr. nr. № #": "Nummer",
            "S.": "Seite",
            "Kap.": "Kapitel",
            "Abs.": "Absatz",
            "ca.": "circa",
        },
        months=(
            *("Januar", "Februar", "März", "April", "Mai", "Juni"),
            *("Juli", "August", "September", "Oktober", "November", "Dezember"),
        ),
        other_months=("Jänner", "Feber"),
        dotted_dates=True,
        years_in_hundreds=True,
        units={
            "km": "m:Kilometer",
            "m": "m:Meter",
            "dm": "m:Dezimeter",
            "cm": "m:Zentimeter",
            "mm": "m:Millimeter",
            "km² km2": "m:Quadratkilometer",
            "m² m2 qm": "m:Quadratmeter",
            "cm² cm2": "m:Quadratzentimeter",
            "m³ m3": "m:Kubikmeter",
            "cm³ cm3": "m:Kubikzentimeter",
            "ha": "m:Hektar",
            "kg": "n:Kilogramm",
            "g": "n:Gramm",
            "mg": "n:Milligramm",
            "t": "f:Tonne|Tonnen",
            "l L": "m:Liter",
            "ml": "m:Milliliter",
            "km/h": "m:Kilometer pro Stunde",
            "m/s": "m:Meter pro Sekunde",
            "h Std.": "f:Stunde|Stunden",
            "min Min.": "f:Minute|Minuten",
            "s Sek.": "f:Sekunde|Sekunden",
            "ms": "f:Millisekunde|Millisekunden",
            "°C": "n:Grad Celsius",
            "°F": "n:Grad Fahrenheit",
            "°": "n:Grad",
            "%": "n:Prozent",
            "‰": "n:Promille",
            "kW": "n:Kilowatt",
            "W": "n:Watt",
            "kWh": "f:Kilowattstunde|Kilowattstunden",
            "V": "n:Volt",
            "Hz": "n:Hertz",
            "MHz": "n:Megahertz",
            "GHz": "n:Gigahertz",
            "GB": "n:Gigabyte",
            "MB": "n:Megabyte",
            "KB kB": "n:Kilobyte",
            "TB": "n:Terabyte",
            "Mio.": "f:Million|Millionen",
            "Mrd.": "f:Milliarde|Milliarden",
            "Uhr": "n:Uhr",
            "x": "mal",
        },
        only_joined=frozenset({"W", "V", "t", "x"}),
        scales=("Mio.", "Mrd.", "Millionen", "Milliarden", "Million", "Milliarde"),
        currencies={
            "€ EUR": "m:Euro;m:Cent",
            "$ USD US$": "m:Dollar;m:Cent",
            "£ GBP": "n:Pfund;Penny|Pence",
            "CHF": "m:Franken;Rappen",
            "¥ JPY": "m:Yen",
            "₽ RUB": "m:Rubel;f:Kopeke|Kopeken",
            "₴ UAH": "m:Hrywnja",
            "₺ TRY": "f:Lira|Lira",
            "zł PLN": "m:Zloty",
            "Kč CZK": "f:Krone|Kronen",
            "₩ KRW": "m:Won",
            "₹ INR": "f:Rupie|Rupien",
        },
        symbols={
            "&": "und",
            "@": "ät",
            "+": "plus",
            "=": "ist gleich",
            "%": "Prozent",
            "±": "plus minus",
            "×": "mal",
            "÷": "geteilt durch",
            "§": "Paragraf",
            "°": "Grad",
        },
        halves={
            "1/2": "ein halb",
            "1/3": "ein Drittel",
            "2/3": "zwei Drittel",
            "1/4": "ein Viertel",
            "3/4": "drei Viertel",
            "+1/2": "-einhalb",
        },
        clock_words="Uhr|h",
        date="{day} {month} {year}",
        cents="{whole} {cents}",
        decimals=decimals_one_by_one,
        agreement={
            "m": ((r"\beins$", "ein"),),
            "n": ((r"\beins$", "ein"),),
            "f": ((r"\beins$", "eine"),),
        },
        gender_before=_gender,
        day=_ordinal,
        year=_year,
        clock=_clock,
        rules=_decades,
        numbered=(r"\.(?= [^\W\d_])", _numbered),
    )
