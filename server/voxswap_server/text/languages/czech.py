"""Czech."""

from __future__ import annotations

import re
from typing import Final

from voxswap_server.text.languages.language import Amount, Language, Noun, czech, next_word

_UNITS: Final = (
    *("nultý", "první", "druhý", "třetí", "čtvrtý", "pátý", "šestý", "sedmý", "osmý", "devátý"),
    *("desátý", "jedenáctý", "dvanáctý", "třináctý", "čtrnáctý", "patnáctý", "šestnáctý"),
    *("sedmnáctý", "osmnáctý", "devatenáctý"),
)
_TENS: Final = (
    *("dvacátý", "třicátý", "čtyřicátý", "padesátý"),
    *("šedesátý", "sedmdesátý", "osmdesátý", "devadesátý"),
)

_HOURS: Final = Noun(("hodina", "hodiny", "hodin"), "f")


def _ordinal(value: int) -> str | None:
    """An ordinal below a hundred, which num2words has not."""
    if value < 20:
        return _UNITS[value]
    if value < 100:
        tens = _TENS[value // 10 - 2]
        return f"{tens} {_UNITS[value % 10]}" if value % 10 else tens
    return "stý" if value == 100 else None


def _day(language: Language, day: int, before: str) -> str:
    del language, before
    said = _ordinal(day) or ""
    return re.sub(r"í\b", "ího", re.sub(r"ý\b", "ého", said))


def _numbered(language: Language, value: int, match: re.Match[str]) -> str | None:
    del language
    said = _ordinal(value)
    follows = next_word(match)
    if follows[:1].isupper():
        return None  # another sentence
    if said and follows[-1:] in "aá":
        return re.sub(r"ý\b", "á", said)
    return re.sub(r"ý\b", "é", said) if said and follows[-1:] in "oé" else said


def _year(language: Language, year: int) -> str:
    if 1100 <= year <= 1999:
        rest = f" {language.words(year % 100)}" if year % 100 else ""
        return f"{language.words(year // 100)} set{rest}"
    return language.words(year)


def _clock(language: Language, hour: int, minute: int, before: str) -> str:
    del before
    hours = language.count(_HOURS, Amount(str(hour)))
    if not minute:
        return hours
    return language.time(hour, minute, "")


def _decimals(language: Language, amount: Amount) -> str:
    """ "tři celé čtrnáct"."""
    rest = amount.decimals.lstrip("0")
    zeros = language.spell(amount.decimals[: len(amount.decimals) - len(rest)])
    digits = (language.spell(rest) if len(rest) > 3 else language.words(int(rest))) if rest else ""
    if amount.mark == ".":
        name = language.dot
    else:
        index = 0 if amount.integer in ("0", "1") else czech(Amount(amount.integer))
        name = ("celá", "celé", "celých")[index]
    whole = language.amount(Amount(amount.integer), "f")
    return " ".join(filter(None, (whole, name, zeros, digits)))


def _gender(digits: str, word: str) -> str:
    if digits == "1":
        if word[-1] in "ui":
            return "accusative"
        return "f" if word[-1] in "aá" else "n" if word[-1] in "oeé" else "m"
    return ""


def table(locale: str) -> Language:
    """The table of Czech."""
    return Language(
        locale=locale,
        minus="minus",
        plus="plus",
        comma="čárka",
        dot="tečka",
        to="až",
        ratio="ku",
        over="lomeno",
        times="krát",
        equals="rovná se",
        per="na",
        labels={
            "Č. č. № #": "číslo",
            "str. s.": "strana",
            "kap.": "kapitola",
            "cca": "cirka",
        },
        months=(
            *("ledna", "února", "března", "dubna", "května", "června"),
            *("července", "srpna", "září", "října", "listopadu", "prosince"),
        ),
        dotted_dates=True,
        years_in_hundreds=True,
        units={
            "x": "krát",
            "km": "m:kilometr|kilometry|kilometrů|kilometru",
            "m": "m:metr|metry|metrů|metru",
            "cm": "m:centimetr|centimetry|centimetrů|centimetru",
            "mm": "m:milimetr|milimetry|milimetrů|milimetru",
            "m² m2": "m:metr čtvereční|metry čtvereční|metrů čtverečních|metru čtverečního",
            "m³ m3": "m:metr krychlový|metry krychlové|metrů krychlových|metru krychlového",
            "ha": "m:hektar|hektary|hektarů|hektaru",
            "kg": "m:kilogram|kilogramy|kilogramů|kilogramu",
            "g": "m:gram|gramy|gramů|gramu",
            "mg": "m:miligram|miligramy|miligramů|miligramu",
            "t": "f:tuna|tuny|tun|tuny",
            "l L": "m:litr|litry|litrů|litru",
            "ml": "m:mililitr|mililitry|mililitrů|mililitru",
            "km/h": "m:kilometr za hodinu|kilometry za hodinu|kilometrů za hodinu|"
            "kilometru za hodinu",
            "m/s": "m:metr za sekundu|metry za sekundu|metrů za sekundu|metru za sekundu",
            "h hod. hod": "f:hodina|hodiny|hodin|hodiny",
            "min min.": "f:minuta|minuty|minut|minuty",
            "s sek.": "f:sekunda|sekundy|sekund|sekundy",
            "°C": "m:stupeň Celsia|stupně Celsia|stupňů Celsia|stupně Celsia",
            "°": "m:stupeň|stupně|stupňů|stupně",
            "%": "n:procento|procenta|procent|procenta",
            "kW": "m:kilowatt|kilowatty|kilowattů|kilowattu",
            "Hz": "m:hertz|hertzy|hertzů|hertzu",
            "GHz": "m:gigahertz|gigahertzy|gigahertzů|gigahertzu",
            "GB": "m:gigabajt|gigabajty|gigabajtů|gigabajtu",
            "MB": "m:megabajt|megabajty|megabajtů|megabajtu",
            "tis.": "m:tisíc|tisíce|tisíc|tisíce",
            "mil.": "m:milion|miliony|milionů|milionu",
            "mld.": "f:miliarda|miliardy|miliard|miliardy",
        },
        only_joined=frozenset({"x", "s", "t"}),
        scales=("tis.", "mil.", "mld.", "milion", "milionů"),
        currencies={
            "Kč CZK": "f:koruna|koruny|korun|koruny;m:haléř|haléře|haléřů|haléře",
            "€ EUR": "n:euro|eura|eur|eura;m:cent|centy|centů|centu",
            "$ USD US$": "m:dolar|dolary|dolarů|dolaru;m:cent|centy|centů|centu",
            "£ GBP": "f:libra|libry|liber|libry;f:pence|pence|pencí|pence",
            "CHF": "m:frank|franky|franků|franku",
            "¥ JPY": "m:jen|jeny|jenů|jenu",
            "₽ RUB": "m:rubl|rubly|rublů|rublu",
            "₴ UAH": "f:hřivna|hřivny|hřiven|hřivny",
            "₺ TRY": "f:lira|liry|lir|liry",
            "zł PLN": "m:zlotý|zloté|zlotých|zlotého",
            "₩ KRW": "m:won|wony|wonů|wonu",
            "₹ INR": "f:rupie|rupie|rupií|rupie",
        },
        symbols={
            "&": "a",
            "@": "zavináč",
            "+": "plus",
            "=": "rovná se",
            "%": "procent",
            "±": "plus minus",
            "×": "krát",
            "÷": "děleno",
            "§": "paragraf",
            "°": "stupňů",
        },
        halves={
            "1/2": "jedna polovina",
            "1/3": "jedna třetina",
            "2/3": "dvě třetiny",
            "1/4": "jedna čtvrtina",
            "3/4": "tři čtvrtiny",
            "+1/2": "a půl",
            "+1/4": "a čtvrt",
            "+3/4": "a tři čtvrtě",
        },
        clock_words=r"hod\.|hodin|h",
        cents="{whole} {cents} {cent}",
        forms=czech,
        decimals=_decimals,
        agreement={
            "m": ((r"^jedna$", "jeden"),),
            "f": ((r"^dva$", "dvě"),),
            "accusative": ((r"^jedna$", "jednu"),),
            "n": ((r"^jedna$", "jedno"), (r"^dva$", "dvě")),
        },
        gender_before=_gender,
        day=_day,
        year=_year,
        clock=_clock,
        mend=((r"(dvě|tři|čtyři|pět|šest|sedm|osm|devět)(stě|sta|set)\b", r"\1 \2"),),
        numbered=(r"\.(?= [^\W\d_])", _numbered),
    )
