"""Japanese: figures in kana, since front-ends read no kanji, and as counters change them.

Counters change sounds by rule: いち and ふん are いっぷん. A table has a counter's kana,
those after a doubled consonant, those after さん, and which numbers double it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from voxswap_server.text.english.rules.rule import Rule, any_of
from voxswap_server.text.languages import numerals

_DIGITS: Final = ("ゼロ", "いち", "に", "さん", "よん", "ご", "ろく", "なな", "はち", "きゅう")
_DOUBLED: Final = {
    "いち": "いっ",
    "ろく": "ろっ",
    "はち": "はっ",
    "じゅう": "じゅっ",
    "ひゃく": "ひゃっ",
}
_BEFORE_K: Final = ("いち", "ろく", "はち", "じゅう", "ひゃく")
_BEFORE_S: Final = ("いち", "はち", "じゅう")


class Counter(NamedTuple):
    """``base`` follows a number; ``doubled`` one that ends in っ, ``nasal`` さん."""

    base: str
    doubled: str = ""
    nasal: str = ""
    doubling: tuple[str, ...] = ()
    others: Mapping[int, str] = {}
    tails: Mapping[str, str] = {}


_SHORT_FOUR: Final = {"よん": "よ"}
_CLOCK: Final = {"よん": "よ", "なな": "しち", "きゅう": "く"}
_DAYS: Final = (
    *(
        "ついたち",
        "ふつか",
        "みっか",
        "よっか",
        "いつか",
        "むいか",
        "なのか",
        "ようか",
        "ここのか",
        "とおか",
    ),
)
_THINGS: Final = (
    *(
        "ひとつ",
        "ふたつ",
        "みっつ",
        "よっつ",
        "いつつ",
        "むっつ",
        "ななつ",
        "やっつ",
        "ここのつ",
        "とお",
    ),
)
_DATES: Final = dict(enumerate(_DAYS, 1)) | {
    14: "じゅうよっか",
    20: "はつか",
    24: "にじゅうよっか",
}
_COUNTERS: Final[Mapping[str, Counter]] = {
    "円": Counter("えん", tails=_SHORT_FOUR),
    "年": Counter("ねん", tails=_SHORT_FOUR),
    "年代": Counter("ねんだい"),
    "年間": Counter("ねんかん", tails=_SHORT_FOUR),
    "月": Counter("がつ", tails=_CLOCK | {"よん": "し"}),
    **dict.fromkeys(
        ("か月", "ヶ月", "ヵ月", "カ月", "ケ月"), Counter("かげつ", "かげつ", doubling=_BEFORE_K)
    ),
    "日": Counter("にち", others=_DATES | {1: "いちにち"}),
    "日間": Counter("にちかん", others={n: f"{day}かん" for n, day in _DATES.items() if n > 1}),
    "時": Counter("じ", others={0: "れいじ"}, tails=_CLOCK),
    "対": Counter("たい", "たい", doubling=_BEFORE_S),
    "位": Counter("い"),
    "時間": Counter("じかん", tails=_CLOCK),
    "分": Counter("ふん", "ぷん", "ぷん", _BEFORE_K),
    "分間": Counter("ふんかん", "ぷんかん", "ぷんかん", _BEFORE_K),
    "秒": Counter("びょう"),
    "人": Counter("にん", others={1: "ひとり", 2: "ふたり"}, tails=_SHORT_FOUR),
    "名": Counter("めい"),
    "つ": Counter("つ", others=dict(enumerate(_THINGS, 1))),
    **dict.fromkeys(("個", "ヶ", "コ"), Counter("こ", "こ", doubling=_BEFORE_K)),
    "本": Counter("ほん", "ぽん", "ぼん", _BEFORE_K),
    "匹": Counter("ひき", "ぴき", "びき", _BEFORE_K),
    "杯": Counter("はい", "ぱい", "ばい", _BEFORE_K),
    "階": Counter("かい", "かい", "がい", _BEFORE_K),
    "回": Counter("かい", "かい", doubling=_BEFORE_K),
    "枚": Counter("まい"),
    "台": Counter("だい"),
    **dict.fromkeys(
        ("歳", "才"), Counter("さい", "さい", doubling=_BEFORE_S, others={20: "はたち"})
    ),
    "冊": Counter("さつ", "さつ", doubling=_BEFORE_S),
    "週間": Counter("しゅうかん", "しゅうかん", doubling=_BEFORE_S),
    "頭": Counter("とう", "とう", doubling=_BEFORE_S),
    "点": Counter("てん", "てん", doubling=_BEFORE_S),
    "話": Counter("わ"),
    "度": Counter("ど"),
    "番": Counter("ばん"),
    "番目": Counter("ばんめ"),
    "号": Counter("ごう"),
    "倍": Counter("ばい"),
    "章": Counter("しょう", "しょう", doubling=_BEFORE_S),
    **dict.fromkeys(("%", "％"), Counter("パーセント", "パーセント", doubling=("じゅう",))),
    **dict.fromkeys(("ページ", "頁"), Counter("ページ", "ページ", doubling=("じゅう",))),
    **dict.fromkeys(("°C", "℃"), Counter("ど")),
    "km": Counter("キロメートル"),
    "km/h": Counter("キロメートルまいじ"),
    "m": Counter("メートル"),
    "cm": Counter("センチメートル"),
    "mm": Counter("ミリメートル"),
    "kg": Counter("キログラム"),
    "g": Counter("グラム"),
    **dict.fromkeys(("L", "l"), Counter("リットル")),
    "GB": Counter("ギガバイト"),
    "MB": Counter("メガバイト"),
    "ドル": Counter("ドル"),
    "ユーロ": Counter("ユーロ"),
}
_MONEY: Final = {
    **dict.fromkeys(("¥", "￥"), Counter("えん", tails=_SHORT_FOUR)),
    "$": Counter("ドル"),
    "€": Counter("ユーロ"),
    "£": Counter("ポンド"),
}
_SCALES: Final = {"千": "せん", "万": "まん", "億": "おく", "兆": "ちょう"}
_NUMBER: Final = r"(?:\d{1,3}(?>(?:,\d{3}){1,4})(?![,\d])|\d++)(?:\.\d++)?"
_TO: Final = r" ?[-〜～~] ?"

SYMBOLS: Final[Mapping[str, str]] = {
    "%": "パーセント",
    "&": "アンド",
    "+": "プラス",
    "=": "イコール",
    "@": "アットマーク",
}
CANDIDATE: Final = re.compile(
    rf"(?P<number>(?<![0-9A-Za-z])[+-](?=[¥￥$€£]?\d)|[¥￥$€£] ?(?=\d)|第(?=\d)|\d)"
    rf"|(?P<symbol>[{''.join(SYMBOLS)}])"
)


def _spell(digits: str) -> str:
    return "".join(_DIGITS[int(digit)] for digit in digits)


def _number(text: str) -> str:
    integer, _, decimals = text.replace(",", "").partition(".")
    if len(integer) > numerals.MOST_DIGITS or (len(integer) > 1 and integer[0] == "0"):
        said = _spell(integer)
    else:
        said = numerals.cardinal("ja", int(integer), reading=True)
    return f"{said}てん{_spell(decimals)}" if decimals else said


def _counted(text: str, counter: Counter) -> str:
    if text.isdecimal() and len(text) < 4 and int(text) in counter.others:
        return counter.others[int(text)]
    said = _number(text)
    for tail in counter.doubling:
        if said.endswith(tail):
            return said.removesuffix(tail) + _DOUBLED[tail] + counter.doubled
    for tail, other in counter.tails.items():
        if said.endswith(tail):
            return said.removesuffix(tail) + other + counter.base
    nasal = counter.nasal and (
        said.endswith("さん") or (counter.base[:2] == "ふん" and said.endswith("よん"))
    )
    return said + (counter.nasal if nasal else counter.base)


def _signed(match: re.Match[str], said: str) -> str:
    return {"-": "マイナス", "+": "プラス"}.get(match["sign"] or "", "") + said


def _date(match: re.Match[str]) -> str:
    year, month, day = (str(int(match[name])) for name in ("year", "month", "day"))
    said = _counted(year, _COUNTERS["年"]) + _counted(month, _COUNTERS["月"])
    return said + (_DATES.get(int(day)) or _counted(day, _COUNTERS["日"]))


def _day_of_month(match: re.Match[str]) -> str:
    day = int(match["day"])
    return _counted(str(int(match["month"])), _COUNTERS["月"]) + (
        _DATES.get(day) or _counted(str(day), _COUNTERS["日"])
    )


def _time(match: re.Match[str]) -> str:
    said = _counted(str(int(match["hour"])), _COUNTERS["時"])
    return said + (
        _counted(str(int(match["minute"])), _COUNTERS["分"]) if int(match["minute"]) else ""
    )


def _amount(match: re.Match[str]) -> str:
    counter = _COUNTERS[match["counter"]]
    first = ""
    if match["by"]:
        first = f"{_counted(match['first'], _COUNTERS[match['by']])}から"
    elif match["first"]:
        first = f"{_number(match['first'])}から"
    if match["scale"]:
        said = _number(match["amount"]) + _SCALES[match["scale"]] + counter.base
    else:
        said = _counted(match["amount"], counter)
    nth = "だい" if match["nth"] else ""
    return _signed(match, nth + first + said)


def _money(match: re.Match[str]) -> str:
    counter = _MONEY[match["currency"]]
    if match["scale"]:
        return _signed(match, _number(match["amount"]) + _SCALES[match["scale"]] + counter.base)
    return _signed(match, _counted(match["amount"], counter))


def _groups(match: re.Match[str]) -> str:
    return "の".join(map(_spell, re.findall(r"\d+", match[0])))


def _rule(pattern: str, read: Callable[[re.Match[str]], str | None]) -> Rule:
    return Rule(re.compile(pattern), read)


_SIGN: Final = "(?P<sign>[+-])?"
_SCALE: Final = f"(?P<scale>[{''.join(_SCALES)}])?"
RULES: Final = (
    _rule(
        r"(?P<year>\d{4})(?P<s>[-/.年])(?P<month>\d{1,2})(?:(?P=s)|月)(?P<day>\d{1,2})日?(?!\d)",
        _date,
    ),
    _rule(r"(?P<month>1[0-2]|0?[1-9])(?:月|/)(?P<day>3[01]|[12]\d|0?[1-9])日", _day_of_month),
    _rule(r"(?P<hour>[01]?\d|2[0-4]):(?P<minute>[0-5]\d)(?![\d:])", _time),
    _rule(r"0\d{1,4}-\d{1,4}-\d{3,4}(?!\d)", _groups),
    _rule(rf"{_SIGN}(?P<currency>[¥￥$€£]) ?(?P<amount>{_NUMBER}){_SCALE}", _money),
    _rule(
        rf"{_SIGN}(?P<nth>第)?(?:(?P<first>{_NUMBER})(?P<by>{any_of(_COUNTERS)})?{_TO})?"
        rf"(?P<amount>{_NUMBER}){_SCALE} ?"
        rf"(?P<counter>{any_of(_COUNTERS)})(?![A-Za-z])",
        _amount,
    ),
    _rule(
        rf"{_SIGN}(?P<amount>{_NUMBER})(?P<scale>[{''.join(_SCALES)}])",
        lambda match: _signed(match, _number(match["amount"]) + _SCALES[match["scale"]]),
    ),
    _rule(
        r"(?P<part>\d{1,3})/(?P<whole>\d{1,3})(?![\d/])",
        lambda match: f"{_number(match['whole'])}ぶんの{_number(match['part'])}",
    ),
    _rule(
        rf"(?P<first>{_NUMBER}){_TO}(?P<last>{_NUMBER})(?![\d-])",
        lambda match: f"{_number(match['first'])}から{_number(match['last'])}",
    ),
    _rule(rf"第(?P<amount>{_NUMBER})", lambda match: "だい" + _number(match["amount"])),
    _rule(rf"{_SIGN}(?P<amount>{_NUMBER})", lambda match: _signed(match, _number(match["amount"]))),
)
