"""Ukrainian."""

from __future__ import annotations

import re
from typing import Final

from voxswap_server.text.english.rules.rule import Rule
from voxswap_server.text.languages import numerals
from voxswap_server.text.languages.language import Amount, Language, east_slavic
from voxswap_server.text.languages.slavic import Parts, decimals_as_parts

_PARTS: Final = Parts(
    ("ціла", "цілих"), (("десята", "десятих"), ("сота", "сотих"), ("тисячна", "тисячних"))
)
# How ordinals in -ий and in -ій end, in the nominative masculine, and elsewhere.
_ENDINGS: Final = {
    "masculine": ("ий", "ій"),
    "feminine": ("а", "я"),
    "neuter": ("е", "є"),
    "genitive": ("ого", "ього"),
    "locative": ("ому", "ьому"),
    "feminine locative": ("ій", "ій"),
    "feminine genitive": ("ої", "ьої"),
    "accusative feminine": ("у", "ю"),
    "plural": ("і", "і"),
    "genitive plural": ("их", "іх"),
}
_WRITTEN: Final = {
    **dict.fromkeys(("й", "ий", "ій"), "masculine"),
    **dict.fromkeys(("а", "я"), "feminine"),
    **dict.fromkeys(("е", "є", "ге", "те", "ше"), "neuter"),
    **dict.fromkeys(("го", "ого"), "genitive"),
    **dict.fromkeys(("му", "ому"), "locative"),
    **dict.fromkeys(("у", "ю"), "accusative feminine"),
    **dict.fromkeys(("і", "ті", "ні", "ві", "мі", "ші"), "plural"),
    **dict.fromkeys(("х", "их"), "genitive plural"),
}
_YEAR_CASES: Final = {"рік": "masculine", "року": "genitive", "році": "locative"}


def _ordinal(value: int, form: str) -> str:
    said = numerals.ordinal("uk", value).removeprefix("одна ")
    hard, soft = _ENDINGS[form]
    if said.endswith("ій"):
        return said.removesuffix("ій") + soft
    return said.removesuffix("ий") + hard


def _gender(digits: str, word: str) -> str:
    if digits[-1] == "1" and digits[-2:] != "11" and len(word) > 2:
        if word[-1] in "ую":
            return "accusative"
        return "f" if word[-1] in "ая" else "n" if word[-1] in "ое" else ""
    return ""


def _day(language: Language, day: int, before: str) -> str:
    del language, before
    return _ordinal(day, "genitive")


def _year(language: Language, year: int) -> str:
    del language
    return f"{_ordinal(year, 'genitive')} року"


def _clock(language: Language, hour: int, minute: int, before: str) -> str:
    form = "feminine"
    if found := re.search(r"\b(?:(о|об)|з|із|від|до|після|близько) \Z", before):
        form = "feminine locative" if found[1] else "feminine genitive"
    said = language.words(0)
    if hour:
        said = _ordinal(hour, form)
    if not minute:
        return said
    zero = f"{language.words(0)} " if minute < 10 else ""
    return f"{said} {zero}{language.amount(Amount(str(minute)), 'f')}"


def _numbered(language: Language, value: int, match: re.Match[str]) -> str | None:
    del language
    form = _WRITTEN.get(match["ending"])
    return _ordinal(value, form) if form else None


def _genitive(language: Language, amount: Amount) -> str:
    if amount.decimals or len(amount.integer) > numerals.MOST_DIGITS:
        return language.amount(amount)
    return numerals.cardinal("uk", int(amount.integer), case="genitive")


def _year_rules(language: Language) -> tuple[Rule, ...]:
    """ "у 2024 році", "12 травня 2024 р.": years are ordinals, in the case of the noun."""

    def read(match: re.Match[str]) -> str:
        word = "року" if match["word"] == "р." else match["word"]
        return f"{_ordinal(int(match['year']), _YEAR_CASES[word])} {word}"

    def dated(match: re.Match[str]) -> str:
        day = _ordinal(int(match["day"]), "genitive")
        return f"{day} {match['month']} {_year(language, int(match['year']))}"

    months = "|".join(language.months)
    return (
        Rule(re.compile(r"(?P<year>1\d{3}|20\d\d) ?(?P<word>рік|року|році|р\.)(?!\w)"), read),
        Rule(
            re.compile(
                rf"(?P<day>[12]\d|3[01]|[1-9]) (?P<month>{months}) (?P<year>1\d{{3}}|20\d\d)"
                r"(?: ?(?:року|р\.))?(?!\w)"
            ),
            dated,
        ),
    )


def table(locale: str) -> Language:
    """The table of Ukrainian."""
    return Language(
        locale=locale,
        minus="мінус",
        plus="плюс",
        comma="кома",
        dot="крапка",
        to="до",
        ratio="на",
        over="дріб",
        times="на",
        equals="дорівнює",
        per="на",
        labels={
            "№ #": "номер",
            "стор. с.": "сторінка",
            "розд.": "розділ",
            "кв.": "квартира",
            "бл.": "близько",
        },
        months=(
            *("січня", "лютого", "березня", "квітня", "травня", "червня"),
            *("липня", "серпня", "вересня", "жовтня", "листопада", "грудня"),
        ),
        dotted_dates=True,
        units={
            "x х": "раз|рази|разів|раза",
            "км": "кілометр|кілометри|кілометрів|кілометра",
            "м": "метр|метри|метрів|метра",
            "см": "сантиметр|сантиметри|сантиметрів|сантиметра",
            "мм": "міліметр|міліметри|міліметрів|міліметра",
            "м² м2": "квадратний метр|квадратні метри|квадратних метрів|квадратного метра",
            "м³ м3": "кубічний метр|кубічні метри|кубічних метрів|кубічного метра",
            "га": "гектар|гектари|гектарів|гектара",
            "кг": "кілограм|кілограми|кілограмів|кілограма",
            "г": "грам|грами|грамів|грама",
            "мг": "міліграм|міліграми|міліграмів|міліграма",
            "т": "f:тонна|тонни|тонн|тонни",
            "л": "літр|літри|літрів|літра",
            "мл": "мілілітр|мілілітри|мілілітрів|мілілітра",
            "км/год": "кілометр на годину|кілометри на годину|кілометрів на годину|"
            "кілометра на годину",
            "м/с": "метр на секунду|метри на секунду|метрів на секунду|метра на секунду",
            "год год.": "f:година|години|годин|години",
            "хв хв.": "f:хвилина|хвилини|хвилин|хвилини",
            "с сек сек.": "f:секунда|секунди|секунд|секунди",
            "°C °С": "градус Цельсія|градуси Цельсія|градусів Цельсія|градуса Цельсія",
            "°": "градус|градуси|градусів|градуса",
            "%": "відсоток|відсотки|відсотків|відсотка",
            "кВт": "кіловат|кіловати|кіловат|кіловата",
            "Гц": "герц|герци|герц|герца",
            "ГБ": "гігабайт|гігабайти|гігабайтів|гігабайта",
            "МБ": "мегабайт|мегабайти|мегабайтів|мегабайта",
            "тис.": "f:тисяча|тисячі|тисяч|тисячі",
            "млн": "мільйон|мільйони|мільйонів|мільйона",
            "млрд": "мільярд|мільярди|мільярдів|мільярда",
        },
        only_joined=frozenset({"x", "х", "с", "т"}),
        scales=("млн", "млрд", "тис."),
        currencies={
            "₴ грн. грн UAH": "f:гривня|гривні|гривень|гривні;f:копійка|копійки|копійок|копійки",
            "€ EUR": "євро;цент|центи|центів|цента",
            "$ USD US$": "долар|долари|доларів|долара;цент|центи|центів|цента",
            "£ GBP": "фунт|фунти|фунтів|фунта;пенс|пенси|пенсів|пенса",
            "CHF": "франк|франки|франків|франка",
            "¥ JPY": "f:єна|єни|єн|єни",
            "₽ RUB": "рубль|рублі|рублів|рубля;f:копійка|копійки|копійок|копійки",
            "₺ TRY": "f:ліра|ліри|лір|ліри",
            "zł PLN": "злотий|злоті|злотих|злотого",
            "Kč CZK": "f:крона|крони|крон|крони",
            "₩ KRW": "f:вона|вони|вон|вони",
            "₹ INR": "f:рупія|рупії|рупій|рупії",
        },
        symbols={
            "&": "і",
            "@": "равлик",
            "+": "плюс",
            "=": "дорівнює",
            "%": "відсотків",
            "±": "плюс-мінус",
            "×": "на",
            "÷": "поділити на",
            "§": "параграф",
            "°": "градусів",
        },
        halves={
            "1/2": "одна друга",
            "1/3": "одна третина",
            "2/3": "дві третини",
            "1/4": "одна чверть",
            "3/4": "три чверті",
            "+1/2": "з половиною",
            "+1/4": "з чвертю",
        },
        cents="{whole} {cents} {cent}",
        forms=east_slavic,
        decimals=decimals_as_parts(_PARTS),
        agreement={
            "f": ((r"\bодин$", "одна"), (r"\bдва$", "дві")),
            "n": ((r"\bодин$", "одне"),),
            "accusative": ((r"\bодин$", "одну"),),
        },
        gender_before=_gender,
        between="від",
        in_range=_genitive,
        day=_day,
        year=_year,
        clock=_clock,
        numbered=(r"-(?P<ending>[а-яіїє]{1,3})(?!\w)", _numbered),
        mend=((r"^одна тисяча\b", "тисяча"),),
        rules=_year_rules,
    )
