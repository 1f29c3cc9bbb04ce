"""Russian."""

from __future__ import annotations

import re
from typing import Any, Final

from voxswap_server.text.english.rules.rule import Rule, before
from voxswap_server.text.languages import numerals
from voxswap_server.text.languages.language import Amount, Language, Noun, east_slavic, next_word
from voxswap_server.text.languages.slavic import Parts, decimals_as_parts

_PARTS: Final = Parts(
    ("целая", "целых"),
    (("десятая", "десятых"), ("сотая", "сотых"), ("тысячная", "тысячных")),
)
_HOURS: Final = Noun(("час", "часа", "часов"))
_MASCULINE_IN_A: Final = frozenset(("мужчина", "папа", "дядя", "юноша", "дедушка", "судья"))
_CASES: Final = {"год": "n", "года": "g", "году": "p", "годом": "i"}
# Their genitives are not what words are made of: девяностолетний.
_IN_COMPOUNDS: Final = {"девяноста": "девяносто", "ста": "сто", "тысячи": "тысяче"}
# Case and gender of an ordinal by the letters that are written behind its figures.
_ENDINGS: Final = {
    **dict.fromkeys(("й", "ый", "ий", "ой"), ("n", "m")),
    **dict.fromkeys(("я", "ая", "ья"), ("n", "f")),
    **dict.fromkeys(("е", "ое", "ье"), ("n", "n")),
    **dict.fromkeys(("го", "ого", "его"), ("g", "m")),
    **dict.fromkeys(("му", "ому"), ("d", "m")),
    **dict.fromkeys(("м", "ом", "ем"), ("p", "m")),
    **dict.fromkeys(("ю", "ую"), ("a", "f")),
}


def _ordinal(value: int, **forms: Any) -> str:
    said = numerals.ordinal("ru", value, **forms)
    return said.removeprefix("одна ")


def _gender(digits: str, word: str) -> str:
    """By the ending of the noun: одна машина, одно окно, две книги."""
    lower = word.lower()
    if lower in _MASCULINE_IN_A:
        return ""
    if digits[-1] == "1" and digits[-2:] != "11":
        if lower[-1] in "ую" and len(lower) > 2:
            return "accusative"
        return "f" if lower[-1] in "ая" and len(lower) > 2 else "n" if lower[-1] in "оё" else ""
    if digits[-1] == "2" and digits[-2:] != "12":
        return "f" if lower[-1] in "ыи" and len(lower) > 2 else ""
    return ""


def _day(language: Language, day: int, before: str) -> str:
    del language
    if re.search(r"\bна \Z", before):
        return _ordinal(day, case="n", gender="n")
    return _ordinal(day, case="g", gender="n")


def _year(language: Language, year: int) -> str:
    del language
    return f"{_ordinal(year, case='g', gender='m')} года"


def _clock(language: Language, hour: int, minute: int, before: str) -> str:
    if re.search(r"\b(?:с|со|до|от|после|около) \Z", before):
        hours = _genitive(language, Amount(str(hour)))
        if not minute:
            return f"{hours} {'часа' if hour == 1 else 'часов'}"
        return f"{hours} {_genitive(language, Amount(str(minute)))}"
    return language.time(hour, minute, "") if minute else language.count(_HOURS, Amount(str(hour)))


def _numbered(language: Language, value: int, match: re.Match[str]) -> str | None:
    ending = match["ending"]
    if ending in ("х", "ых", "их"):
        return _ordinal(value, case="g", plural=True)
    if ending in ("е", "ые", "ие") and next_word(match) in ("годы", "гг"):
        return _ordinal(value, case="n", plural=True)
    if len(ending) > 3:
        parts = ("одно",) if value == 1 else (_genitive(language, Amount(str(value))).split())
        return "".join(_IN_COMPOUNDS.get(part, part) for part in parts) + ending
    if ending not in _ENDINGS:
        return None
    case, gender = _ENDINGS[ending]
    return _ordinal(value, case=case, gender=gender)


def _genitive(language: Language, amount: Amount) -> str:
    if amount.decimals or len(amount.integer) > numerals.MOST_DIGITS:
        return language.amount(amount)
    return numerals.cardinal("ru", int(amount.integer), case="g")


def _year_rules(language: Language) -> tuple[Rule, ...]:
    """ "в 2024 году", "12 мая 2024 г.": years are ordinals, in the case of the noun."""

    def read(match: re.Match[str]) -> str:
        word = match["word"]
        if word == "г.":
            within = re.search(r"\b[Вв] \Z", before(match, 2))
            word = "году" if within else "год" if match.start() == 0 else "года"
        said = _ordinal(int(match["year"]), case=_CASES[word], gender="m")
        return f"{said} {word}"

    def dated(match: re.Match[str]) -> str:
        day = _day(language, int(match["day"]), before(match, 4).lower())
        return f"{day} {match['month']} {_year(language, int(match['year']))}"

    months = "|".join(language.months)
    return (
        Rule(re.compile(r"(?P<year>1\d{3}|20\d\d) ?(?P<word>годом|года|году|год|г\.)(?!\w)"), read),
        Rule(
            re.compile(
                rf"(?P<day>[12]\d|3[01]|[1-9]) (?P<month>{months}) (?P<year>1\d{{3}}|20\d\d)"
                r"(?: ?(?:года|г\.))?(?!\w)"
            ),
            dated,
        ),
    )


def table(locale: str) -> Language:
    """The table of Russian."""
    return Language(
        locale=locale,
        minus="минус",
        plus="плюс",
        comma="запятая",
        dot="точка",
        to="до",
        ratio="на",
        over="дробь",
        times="на",
        equals="равно",
        per="на",
        labels={
            "№ #": "номер",
            "стр.": "страница",
            "гл.": "глава",
            "кв.": "квартира",
            "ок.": "около",
            "д.": "дом",
        },
        months=(
            *("января", "февраля", "марта", "апреля", "мая", "июня"),
            *("июля", "августа", "сентября", "октября", "ноября", "декабря"),
        ),
        dotted_dates=True,
        units={
            "x х": "раз|раза|раз",
            "км": "километр|километра|километров",
            "м": "метр|метра|метров",
            "см": "сантиметр|сантиметра|сантиметров",
            "мм": "миллиметр|миллиметра|миллиметров",
            "км² км2": "квадратный километр|квадратных километра|квадратных километров",
            "м² м2 кв.м": "квадратный метр|квадратных метра|квадратных метров",
            "м³ м3": "кубический метр|кубических метра|кубических метров",
            "га": "гектар|гектара|гектаров",
            "кг": "килограмм|килограмма|килограммов",
            "г": "грамм|грамма|граммов",
            "мг": "миллиграмм|миллиграмма|миллиграммов",
            "т": "f:тонна|тонны|тонн",
            "л": "литр|литра|литров",
            "мл": "миллилитр|миллилитра|миллилитров",
            "км/ч": "километр в час|километра в час|километров в час",
            "м/с": "метр в секунду|метра в секунду|метров в секунду",
            "ч ч.": "час|часа|часов",
            "мин мин.": "f:минута|минуты|минут",
            "с сек сек.": "f:секунда|секунды|секунд",
            "мс": "f:миллисекунда|миллисекунды|миллисекунд",
            "°C °С": "градус Цельсия|градуса Цельсия|градусов Цельсия",
            "°": "градус|градуса|градусов",
            "%": "процент|процента|процентов",
            "кВт": "киловатт|киловатта|киловатт",
            "Гц": "герц|герца|герц",
            "ГГц": "гигагерц|гигагерца|гигагерц",
            "ГБ": "гигабайт|гигабайта|гигабайт",
            "МБ": "мегабайт|мегабайта|мегабайт",
            "тыс.": "f:тысяча|тысячи|тысяч",
            "млн": "миллион|миллиона|миллионов",
            "млрд": "миллиард|миллиарда|миллиардов",
        },
        only_joined=frozenset({"x", "х", "с", "т"}),
        scales=("млн", "млрд", "тыс."),
        currencies={
            "₽ руб. RUB": "рубль|рубля|рублей;f:копейка|копейки|копеек",
            "€ EUR": "евро;цент|цента|центов",
            "$ USD US$": "доллар|доллара|долларов;цент|цента|центов",
            "£ GBP": "фунт|фунта|фунтов;пенс|пенса|пенсов",
            "CHF": "франк|франка|франков;сантим|сантима|сантимов",
            "¥ JPY": "f:иена|иены|иен",
            "₴ UAH": "f:гривна|гривны|гривен;f:копейка|копейки|копеек",
            "₺ TRY": "f:лира|лиры|лир",
            "zł PLN": "злотый|злотых|злотых",
            "Kč CZK": "f:крона|кроны|крон",
            "₩ KRW": "f:вона|воны|вон",
            "₹ INR": "f:рупия|рупии|рупий",
        },
        symbols={
            "&": "и",
            "@": "собака",
            "+": "плюс",
            "=": "равно",
            "%": "процентов",
            "±": "плюс-минус",
            "×": "на",
            "÷": "разделить на",
            "§": "параграф",
            "°": "градусов",
        },
        halves={
            "1/2": "одна вторая",
            "1/3": "одна треть",
            "2/3": "две трети",
            "1/4": "одна четверть",
            "3/4": "три четверти",
            "+1/2": "с половиной",
            "+1/4": "с четвертью",
        },
        cents="{whole} {cents} {cent}",
        forms=east_slavic,
        decimals=decimals_as_parts(_PARTS),
        agreement={
            "f": ((r"\bодин$", "одна"), (r"\bдва$", "две")),
            "n": ((r"\bодин$", "одно"),),
            "accusative": ((r"\bодин$", "одну"),),
        },
        gender_before=_gender,
        between="от",
        in_range=_genitive,
        day=_day,
        year=_year,
        clock=_clock,
        numbered=(r"-(?P<ending>[а-яё]{1,20})(?![\w-])", _numbered),
        mend=((r"^одна тысяча\b", "тысяча"),),
        rules=_year_rules,
    )
