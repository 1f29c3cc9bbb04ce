"""Polish."""

from __future__ import annotations

import re
from typing import Final

from voxswap_server.text.english.rules.rule import Rule, before
from voxswap_server.text.languages import numerals
from voxswap_server.text.languages.language import Amount, Language, next_word, polish

_GENITIVE: Final = {
    "zero": "zera",
    "jeden": "jednego",
    "dwa": "dwóch",
    "trzy": "trzech",
    "cztery": "czterech",
    "pięć": "pięciu",
    "sześć": "sześciu",
    "siedem": "siedmiu",
    "osiem": "ośmiu",
    "dziewięć": "dziewięciu",
    "dziesięć": "dziesięciu",
    "jedenaście": "jedenastu",
    "dwanaście": "dwunastu",
    "trzynaście": "trzynastu",
    "czternaście": "czternastu",
    "piętnaście": "piętnastu",
    "szesnaście": "szesnastu",
    "siedemnaście": "siedemnastu",
    "osiemnaście": "osiemnastu",
    "dziewiętnaście": "dziewiętnastu",
    "dwadzieścia": "dwudziestu",
    "trzydzieści": "trzydziestu",
    "czterdzieści": "czterdziestu",
    **{tens: f"{tens[:-2]}ęciu" for tens in ("pięćdziesiąt", "sześćdziesiąt", "siedemdziesiąt")},
    "osiemdziesiąt": "osiemdziesięciu",
    "dziewięćdziesiąt": "dziewięćdziesięciu",
    "sto": "stu",
    "dwieście": "dwustu",
    "trzysta": "trzystu",
    "czterysta": "czterystu",
    "pięćset": "pięciuset",
    "sześćset": "sześciuset",
    "siedemset": "siedmiuset",
    "osiemset": "ośmiuset",
    "dziewięćset": "dziewięciuset",
    "tysiąc": "tysiąca",
    "tysiące": "tysięcy",
    "milion": "miliona",
    "miliony": "milionów",
}
_ENDINGS: Final = {
    "genitive": (("y", "ego"), ("i", "iego")),
    "locative": (("y", "ym"), ("i", "im")),
    "feminine": (("ci", "cia"), ("y", "a"), ("i", "a")),
    "neuter": (("y", "e"), ("i", "ie")),
    "feminine locative": (("y", "ej"), ("i", "iej")),
}


def _ordinal(value: int, case: str = "") -> str:
    """An ordinal, masculine and in the nominative where nothing else is asked for."""
    words = numerals.ordinal("pl", value).split()
    for place in range(max(0, len(words) - 2), len(words)):
        for ending, other in _ENDINGS.get(case, ()):
            if words[place].endswith(ending) and words[place] not in ("trzy", "cztery"):
                words[place] = words[place].removesuffix(ending) + other
                break
    return " ".join(words)


def _genitive(language: Language, amount: Amount) -> str:
    if amount.decimals:
        return language.amount(amount)
    return " ".join(_GENITIVE.get(word, word) for word in language.amount(amount).split())


def _day(language: Language, day: int, before: str) -> str:
    del language, before
    return _ordinal(day, "genitive")


def _year(language: Language, year: int) -> str:
    if year == 2000:
        return "dwutysięcznego"
    return _ordinal(year, "genitive") if 1000 < year < 2100 else language.words(year)


def _clock(language: Language, hour: int, minute: int, before: str) -> str:
    after = re.search(r"\b(?:o|po|od|do|przed) \Z", before)
    said = _ordinal(hour, "feminine locative" if after else "feminine") if hour else "zero"
    if not minute:
        return said
    return f"{said} {language.words(minute) if minute > 9 else 'zero ' + language.words(minute)}"


def _numbered(language: Language, value: int, match: re.Match[str]) -> str | None:
    del language
    noun = next_word(match)
    if noun[:1].isupper():
        return None  # another sentence
    case = "feminine" if noun.endswith("a") else "neuter" if noun[-1] in "oe" else ""
    return _ordinal(value, case)


def _year_rule(language: Language) -> tuple[Rule, ...]:
    """ "w 2024 roku", "2024 r." and the like: years are ordinals, in the case of the noun."""

    def read(match: re.Match[str]) -> str:
        year, word = int(match["year"]), match["word"]
        within = re.search(r"\b[Ww]e? \Z", before(match, 3))
        case = "locative" if within and word != "rok" else "genitive"
        said = "dwutysięczn" + {"locative": "ym", "genitive": "ego"}[case]
        if year != 2000:
            said = _ordinal(year, "" if word == "rok" else case)
        return f"{said} {'roku' if word == 'r.' else word}"

    del language
    return (Rule(re.compile(r"(?P<year>1\d{3}|20\d\d) (?P<word>roku|rok|r\.)(?!\w)"), read),)


def _gender(digits: str, word: str) -> str:
    if digits == "1":
        if word.endswith("ę"):
            return "accusative"
        return "f" if word.endswith("a") else "n" if word[-1] in "oe" else ""
    return ""


def table(locale: str) -> Language:
    """The table of Polish."""
    return Language(
        locale=locale,
        minus="minus",
        plus="plus",
        comma="przecinek",
        dot="kropka",
        to="do",
        ratio="do",
        over="łamane przez",
        times="razy",
        equals="równa się",
        per="na",
        labels={
            "Nr nr № #": "numer",
            "str. s.": "strona",
            "godz. Godz.": "godzina",
            "rozdz.": "rozdział",
            "ok.": "około",
        },
        months=(
            *("stycznia", "lutego", "marca", "kwietnia", "maja", "czerwca"),
            *("lipca", "sierpnia", "września", "października", "listopada", "grudnia"),
        ),
        dotted_dates=True,
        units={
            "x": "raz|razy|razy|raza",
            "km": "kilometr|kilometry|kilometrów|kilometra",
            "m": "metr|metry|metrów|metra",
            "cm": "centymetr|centymetry|centymetrów|centymetra",
            "mm": "milimetr|milimetry|milimetrów|milimetra",
            "km² km2": "kilometr kwadratowy|kilometry kwadratowe|kilometrów kwadratowych|"
            "kilometra kwadratowego",
            "m² m2": "metr kwadratowy|metry kwadratowe|metrów kwadratowych|metra kwadratowego",
            "m³ m3": "metr sześcienny|metry sześcienne|metrów sześciennych|metra sześciennego",
            "ha": "hektar|hektary|hektarów|hektara",
            "kg": "kilogram|kilogramy|kilogramów|kilograma",
            "g": "gram|gramy|gramów|grama",
            "mg": "miligram|miligramy|miligramów|miligrama",
            "t": "f:tona|tony|ton|tony",
            "l L": "litr|litry|litrów|litra",
            "ml": "mililitr|mililitry|mililitrów|mililitra",
            "km/h": "kilometr na godzinę|kilometry na godzinę|kilometrów na godzinę|"
            "kilometra na godzinę",
            "m/s": "metr na sekundę|metry na sekundę|metrów na sekundę|metra na sekundę",
            "h godz.": "f:godzina|godziny|godzin|godziny",
            "min min.": "f:minuta|minuty|minut|minuty",
            "s sek.": "f:sekunda|sekundy|sekund|sekundy",
            "ms": "f:milisekunda|milisekundy|milisekund|milisekundy",
            "°C": "stopień Celsjusza|stopnie Celsjusza|stopni Celsjusza|stopnia Celsjusza",
            "°": "stopień|stopnie|stopni|stopnia",
            "%": "procent|procent|procent|procent",
            "kW": "kilowat|kilowaty|kilowatów|kilowata",
            "Hz": "herc|herce|herców|herca",
            "GHz": "gigaherc|gigaherce|gigaherców|gigaherca",
            "GB": "gigabajt|gigabajty|gigabajtów|gigabajta",
            "MB": "megabajt|megabajty|megabajtów|megabajta",
            "tys.": "tysiąc|tysiące|tysięcy|tysiąca",
            "mln": "milion|miliony|milionów|miliona",
            "mld": "miliard|miliardy|miliardów|miliarda",
        },
        only_joined=frozenset({"x", "t"}),
        scales=("mln", "mld", "tys.", "milion", "miliard"),
        currencies={
            "zł PLN": "złoty|złote|złotych|złotego;grosz|grosze|groszy|grosza",
            "€ EUR": "euro;cent|centy|centów|centa",
            "$ USD US$": "dolar|dolary|dolarów|dolara;cent|centy|centów|centa",
            "£ GBP": "funt|funty|funtów|funta;pens|pensy|pensów|pensa",
            "CHF": "frank|franki|franków|franka;rappen|rappeny|rappenów|rappena",
            "¥ JPY": "jen|jeny|jenów|jena",
            "₽ RUB": "rubel|ruble|rubli|rubla;f:kopiejka|kopiejki|kopiejek|kopiejki",
            "₴ UAH": "f:hrywna|hrywny|hrywien|hrywny",
            "₺ TRY": "f:lira|liry|lir|liry",
            "Kč CZK": "f:korona|korony|koron|korony",
            "₩ KRW": "won|wony|wonów|wona",
            "₹ INR": "f:rupia|rupie|rupii|rupii",
        },
        symbols={
            "&": "i",
            "@": "małpa",
            "+": "plus",
            "=": "równa się",
            "%": "procent",
            "±": "plus minus",
            "×": "razy",
            "÷": "podzielić przez",
            "§": "paragraf",
            "°": "stopni",
        },
        halves={
            "1/2": "jedna druga",
            "1/3": "jedna trzecia",
            "2/3": "dwie trzecie",
            "1/4": "jedna czwarta",
            "3/4": "trzy czwarte",
            "+1/2": "i pół",
            "+1/4": "i jedna czwarta",
            "+3/4": "i trzy czwarte",
        },
        cents="{whole} {cents} {cent}",
        forms=polish,
        agreement={
            "f": ((r"^jeden$", "jedna"), (r"\bdwa$", "dwie")),
            "n": ((r"^jeden$", "jedno"),),
            "accusative": ((r"^jeden$", "jedną"),),
        },
        gender_before=_gender,
        between="od",
        in_range=_genitive,
        day=_day,
        year=_year,
        clock=_clock,
        clock_before="godz\\.|o|godzinie",
        numbered=(r"\.(?= [^\W\d_])", _numbered),
        rules=_year_rule,
    )
