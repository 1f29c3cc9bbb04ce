"""Turkish."""

from __future__ import annotations

import re
from typing import Final

from voxswap_server.text.english.rules.rule import Rule
from voxswap_server.text.languages.amounts import NUMBER, parse
from voxswap_server.text.languages.language import Language, always_singular

_ORDINALS: Final = {
    "sıfır": "sıfırıncı",
    "bir": "birinci",
    "iki": "ikinci",
    "üç": "üçüncü",
    "dört": "dördüncü",
    "beş": "beşinci",
    "altı": "altıncı",
    "yedi": "yedinci",
    "sekiz": "sekizinci",
    "dokuz": "dokuzuncu",
    "on": "onuncu",
    "yirmi": "yirminci",
    "otuz": "otuzuncu",
    "kırk": "kırkıncı",
    "elli": "ellinci",
    "altmış": "altmışıncı",
    "yetmiş": "yetmişinci",
    "seksen": "sekseninci",
    "doksan": "doksanıncı",
    "yüz": "yüzüncü",
    "bin": "bininci",
    "milyon": "milyonuncu",
}
_WORDS: Final = "|".join(
    sorted((*_ORDINALS, "milyar", "trilyon", "katrilyon"), key=len, reverse=True)
)


def _numbered(language: Language, value: int, match: re.Match[str]) -> str | None:
    del match
    *words, last = language.words(value).split()
    return " ".join((*words, _ORDINALS[last])) if last in _ORDINALS else None


def _percent_rule(language: Language) -> tuple[Rule, ...]:
    """ "50%" as "%50" is read: the name of the sign comes first."""
    return (
        Rule(
            re.compile(rf"(?P<amount>{NUMBER}) ?%"),
            lambda match: f"yüzde {language.amount(parse(match['amount']))}",
        ),
    )


def table(locale: str) -> Language:
    """The table of Turkish."""
    return Language(
        locale=locale,
        minus="eksi",
        plus="artı",
        comma="virgül",
        dot="nokta",
        to="ila",
        ratio="",
        over="bölü",
        times="çarpı",
        equals="eşittir",
        per="bölü",
        labels={
            "No. no. № #": "numara",
            "s.": "sayfa",
            "yak.": "yaklaşık",
        },
        months=(
            *("Ocak", "Şubat", "Mart", "Nisan", "Mayıs", "Haziran"),
            *("Temmuz", "Ağustos", "Eylül", "Ekim", "Kasım", "Aralık"),
        ),
        units={
            "x": "kat",
            "km": "kilometre",
            "m": "metre",
            "cm": "santimetre",
            "mm": "milimetre",
            "km² km2": "kilometrekare",
            "m² m2": "metrekare",
            "m³ m3": "metreküp",
            "ha": "hektar",
            "kg": "kilogram",
            "g gr": "gram",
            "mg": "miligram",
            "t": "ton",
            "l L": "litre",
            "ml": "mililitre",
            "km/h km/s km/sa": "kilometre bölü saat",
            "m/s m/sn": "metre bölü saniye",
            "sa": "saat",
            "dk dk.": "dakika",
            "sn sn.": "saniye",
            "ms": "milisaniye",
            "°C": "santigrat derece",
            "°": "derece",
            "kW": "kilovat",
            "Hz": "hertz",
            "GHz": "gigahertz",
            "GB": "gigabayt",
            "MB": "megabayt",
        },
        only_joined=frozenset({"x", "t"}),
        scales=("milyon", "milyar", "bin"),
        currencies={
            "₺ TL TRY": "lira;kuruş",
            "€ EUR": "avro;sent",
            "$ USD US$": "dolar;sent",
            "£ GBP": "sterlin;peni",
            "CHF": "frank",
            "¥ JPY": "yen",
            "₽ RUB": "ruble;kapik",
            "₴ UAH": "grivna",
            "zł PLN": "zloti",
            "Kč CZK": "kron",
            "₩ KRW": "won",
            "₹ INR": "rupi",
        },
        symbols={
            "&": "ve",
            "@": "et",
            "+": "artı",
            "=": "eşittir",
            "%": "yüzde",
            "±": "artı eksi",
            "×": "çarpı",
            "÷": "bölü",
            "§": "paragraf",
            "°": "derece",
        },
        halves={
            "1/2": "yarım",
            "1/3": "üçte bir",
            "2/3": "üçte iki",
            "1/4": "çeyrek",
            "3/4": "dörtte üç",
            "+1/2": "buçuk",
            "+1/4": "çeyrek",
        },
        cents="{whole} {cents} {cent}",
        clock_before="saat",
        forms=always_singular,
        numbered=(r"\.(?= [^\W\d_])|'?[ıiuü]?n?c[ıiuü](?!\w)", _numbered),
        mend=((f"({_WORDS})", r"\1 "), (r"  +", " "), (r"^bir bin\b", "bin")),
        rules=_percent_rule,
    )
