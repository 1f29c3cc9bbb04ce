"""Korean: Chinese numbers for figures, Korean ones before what is counted by the piece."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from voxswap_server.text.english.rules.rule import Rule, any_of
from voxswap_server.text.languages import numerals

_DIGITS: Final = "영일이삼사오육칠팔구"
_UNITS: Final = ("", "한", "두", "세", "네", "다섯", "여섯", "일곱", "여덟", "아홉")
_TENS: Final = ("", "열", "스물", "서른", "마흔", "쉰", "예순", "일흔", "여든", "아흔")
_MONTHS: Final = {6: "유월", 10: "시월"}
_BY_PIECE: Final = (
    *("시간", "시", "개월", "개", "명", "사람", "살", "마리", "번째", "번", "권", "병", "잔", "장"),
    *("대", "채", "벌", "쌍", "송이", "그루", "가지", "군데", "달", "켤레", "자루", "조각", "배"),
)
_CHINESE: Final[Mapping[str, str]] = {
    **{said: said for said in ("년", "월", "일", "분", "초", "원", "층", "호", "도", "세", "주")},
    **{said: said for said in ("퍼센트", "점", "인분", "미터", "킬로미터", "킬로그램", "유로")},
    **{said: said for said in ("위", "회", "학년", "반", "쪽", "페이지", "호선", "단계", "달러")},
    "%": "퍼센트",
    "°C": "도",
    "℃": "도",
    "km": "킬로미터",
    "km/h": "킬로미터 퍼 아워",
    "m": "미터",
    "cm": "센티미터",
    "mm": "밀리미터",
    "kg": "킬로그램",
    "g": "그램",
    "L": "리터",
    "ml": "밀리리터",
    "GB": "기가바이트",
    "MB": "메가바이트",
}
_MONEY: Final = {"₩": "원", "$": "달러", "€": "유로", "£": "파운드", "¥": "엔"}
_SCALES: Final = ("천", "만", "억", "조", "백만", "천만")
_NUMBER: Final = r"(?:\d{1,3}(?>(?:,\d{3}){1,4})(?![,\d])|\d++)(?:\.\d++)?"
_TO: Final = r" ?[-~〜～] ?"

SYMBOLS: Final[Mapping[str, str]] = {
    "%": "퍼센트",
    "&": "앤드",
    "+": "플러스",
    "=": "는",
    "@": "골뱅이",
}
CANDIDATE: Final = re.compile(
    r"(?P<number>(?<![0-9A-Za-z])[+-](?=[₩$€£¥]?\d)|[₩$€£¥] ?(?=\d)|\d)"
    rf"|(?P<symbol>[{''.join(SYMBOLS)}])"
)


def _spell(digits: str, zero: str = "영") -> str:
    return "".join(zero if digit == "0" else _DIGITS[int(digit)] for digit in digits)


def _number(text: str) -> str:
    integer, _, decimals = text.replace(",", "").partition(".")
    if len(integer) > numerals.MOST_DIGITS or (len(integer) > 1 and integer[0] == "0"):
        said = _spell(integer)
    else:
        said = numerals.cardinal("ko", int(integer))
    return f"{said} 점 {_spell(decimals)}" if decimals else said


def _korean(value: int) -> str:
    """A number below a hundred as it stands before what is counted."""
    return "스무" if value == 20 else _TENS[value // 10] + _UNITS[value % 10]


def _counted(text: str, counter: str) -> str:
    plain = text.isdecimal() and len(text) < 3 and int(text) > 0
    if counter == "월" and plain and int(text) in _MONTHS:
        return _MONTHS[int(text)]
    if counter == "개월":
        return f"{_number(text)}개월"
    if counter in _BY_PIECE and plain and not (counter == "시" and int(text) > 12):
        if counter == "번째" and int(text) == 1:
            return "첫 번째"
        return f"{_korean(int(text))} {counter}"
    said = _CHINESE.get(counter, counter)
    return f"{_number(text)}{'' if counter in ('년', '월', '일') else ' '}{said}"


def _signed(match: re.Match[str], said: str) -> str:
    return {"-": "마이너스 ", "+": "플러스 "}.get(match["sign"] or "", "") + said


def _date(match: re.Match[str]) -> str:
    parts = (
        (match["year"], "년"),
        (str(int(match["month"])), "월"),
        (str(int(match["day"])), "일"),
    )
    return " ".join(_counted(text, counter) for text, counter in parts)


def _time(match: re.Match[str]) -> str:
    said = _counted(str(int(match["hour"])), "시")
    return said + (f" {_number(str(int(match['minute'])))} 분" if int(match["minute"]) else "")


def _amount(match: re.Match[str]) -> str:
    first = ""
    if match["by"]:
        first = f"{_counted(match['first'], match['by'])}에서 "
    elif match["first"]:
        first = f"{_number(match['first'])}에서 "
    counter = match["counter"]
    if match["sign"] == "-" and counter in ("°C", "℃", "도"):
        return f"영하 {_counted(match['amount'], counter)}"
    return _signed(match, first + _counted(match["amount"], counter))


def _money(match: re.Match[str]) -> str:
    scale = match["scale"] or ""
    said = f"{_number(match['amount'])}{scale} {_MONEY[match['currency']]}"
    return _signed(match, said)


def _groups(match: re.Match[str]) -> str:
    return " ".join(_spell(group, "공") for group in re.findall(r"\d+", match[0]))


def _rule(pattern: str, read: Callable[[re.Match[str]], str | None]) -> Rule:
    return Rule(re.compile(pattern), read)


_SIGN: Final = "(?P<sign>[+-])?"
_COUNTER: Final = any_of((*_BY_PIECE, *_CHINESE))
_SCALE: Final = any_of(_SCALES)
RULES: Final = (
    _rule(
        r"(?P<year>\d{4})(?P<s>[-/.])(?P<month>1[0-2]|0?[1-9])(?P=s)(?P<day>3[01]|[12]\d|0?[1-9])(?!\d)",
        _date,
    ),
    _rule(r"(?P<hour>[01]?\d|2[0-4]):(?P<minute>[0-5]\d)(?![\d:])", _time),
    _rule(r"0\d{1,3}-\d{3,4}-\d{4}(?!\d)", _groups),
    _rule(
        rf"{_SIGN}(?P<currency>[₩$€£¥]) ?(?P<amount>{_NUMBER}) ?(?P<scale>{any_of(_SCALES)})?",
        _money,
    ),
    _rule(
        rf"{_SIGN}(?:(?P<first>{_NUMBER}) ?(?P<by>{_COUNTER})?{_TO})?(?P<amount>{_NUMBER}) ?"
        rf"(?P<counter>{_COUNTER})(?![A-Za-z])",
        _amount,
    ),
    _rule(
        r"(?P<first>\d{1,3}):(?P<last>\d{1,3})(?![\d:])",
        lambda match: f"{_number(match['first'])} 대 {_number(match['last'])}",
    ),
    _rule(
        r"(?P<part>\d{1,3})/(?P<whole>\d{1,3})(?![\d/])",
        lambda match: f"{_number(match['whole'])}분의 {_number(match['part'])}",
    ),
    _rule(
        rf"(?P<first>{_NUMBER}){_TO}(?P<last>{_NUMBER})(?![\d-])",
        lambda match: f"{_number(match['first'])}에서 {_number(match['last'])}",
    ),
    _rule(rf"{_SIGN}(?P<amount>{_NUMBER})", lambda match: _signed(match, _number(match["amount"]))),
)
