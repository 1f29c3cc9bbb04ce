"""Digits and signs that the grammars would misread, each kind by a rule, before they see them.

A rule writes words, or digits in a form that the grammars read well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from voxswap_server.text.mandarin.characters import HAN
from voxswap_server.text.mandarin.numerals import MOST_DIGITS, cardinal, digits
from voxswap_server.text.mandarin.spelling import Spelling
from voxswap_server.text.mandarin.tables import pairs

_Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], str | None]]

_CURRENCIES: Final = pairs(
    "¥=元 ￥=元 RMB=元 CNY=元 $=美元 US$=美元 USD=美元 HK$=港元 HKD=港元 NT$=新台币 TWD=新台币 "
    "A$=澳元 C$=加元 S$=新加坡元 R$=雷亚尔 €=欧元 EUR=欧元 £=英镑 GBP=英镑 JP¥=日元 JPY=日元 "
    "₩=韩元 ₹=卢比 ₽=卢布 ฿=泰铢 ₱=比索 ₫=越南盾 ₦=奈拉 ₿=比特币"
)
_UNITS: Final = pairs(
    "mmHg=毫米汞柱 mAh=毫安时 kWh=千瓦时 kW=千瓦 MW=兆瓦 W=瓦 kV=千伏 V=伏 mA=毫安 Hz=赫兹 "
    "kHz=千赫兹 MHz=兆赫兹 GHz=吉赫兹 dB=分贝 kPa=千帕 Pa=帕 kJ=千焦 J=焦 kcal=千卡 cal=卡 "
    "℉=华氏度 w=万 m³=立方米 m²=平方米 μm=微米 nm=纳米 μg=微克 rpm=转每分钟 lx=勒克斯 lm=流明 "
    "t=吨 N=牛 mol=摩尔 °=度 °F=华氏度 K=千 k=千"
)
_SIGNS: Final = pairs(
    "%=百分号 ‰=千分号 &=和 @=艾特 +=加 ==等于 ±=正负 ×=乘 ÷=除以 ≥=大于等于 ≤=小于等于 ≠=不等于 "
    "≈=约等于 <=小于 >=大于 ℃=摄氏度 ℉=华氏度 °=度 √=根号 ∞=无穷大 №=第 ¥=元 ￥=元 $=美元 €=欧元 "
    "£=英镑 #=井号 α=阿尔法 β=贝塔 γ=伽马 δ=德尔塔 λ=兰姆达 μ=缪 π=派 σ=西格玛 φ=斐 ω=欧米伽 "
    "Ω=欧姆 θ=西塔 ²=平方 ³=立方 →=到"
)
_ALONE: Final = frozenset("&@%±≥≤≠≈℃℉°√∞№¥￥$€£#‰²³αβγδλμπσφωΩθ")
_NUMBER: Final = r"(\d[\d,]*(?:\.\d+)?)"
_WRITTEN: Final = re.compile("[一-鿿A-Za-z0-9]")


def _any(names: Mapping[str, str]) -> str:
    return "|".join(map(re.escape, sorted(names, key=len, reverse=True)))


def _address(found: re.Match[str]) -> str:
    text = re.sub(r"\A[a-z]+://", "", found[0])
    names = {".": "点", "@": "艾特", "/": "斜杠", "_": "下划线", "-": "杠", ":": "冒号"}
    said = "".join(
        names.get(character, digits(character) if character.isdigit() else character)
        for character in text.rstrip("/")
    )
    return re.sub(r"[^\w]", "", said)


def _telephone(found: re.Match[str]) -> str:
    country = "加" if found[0].startswith("+") else ""
    return country + digits(found[0], telephone=True)


def _number_of(found: re.Match[str]) -> str:
    """Of a telephone, an account, a room or a train: digit by digit."""
    mark = found["mark"] or ""
    return ("，" if mark in {":", "："} else mark) + digits(found[0], telephone=True)


def _money(found: re.Match[str]) -> str:
    """The sign after the number, and no zeros at its end: 12.50 is twelve and a half."""
    number = found["number"].replace(",", "")
    if "." in number:
        number = number.rstrip("0").rstrip(".")
    return f"{number}{found['myriads']}{_CURRENCIES[found['sign'].upper()]}"


def _hours(found: re.Match[str]) -> str:
    hour = int(found["hour"])
    if hour > 24:
        return found[0]
    minute = found["minute"]
    said = ("两" if hour == 2 else cardinal(found["hour"])) + "点"
    if minute is not None:
        said += ("零" if len(minute) == 2 and minute[0] == "0" else "") + cardinal(minute) + "分"
    return said


def _noon(found: re.Match[str]) -> str:
    return ("上午" if found[2] in "aA" else "下午") + found[1] + ("" if ":" in found[1] else "点")


def _dotted(found: re.Match[str]) -> str:
    parts = found[1].split(".")
    say = digits if len(parts) == 4 else cardinal  # an address, or a version
    return "点".join(map(say, parts))


def _model(found: re.Match[str]) -> str:
    """Three digits or more behind letters, one by one; fewer are left to the grammars."""
    is_vehicle = found["after"] in {"次", "航", "列"}
    return found["letters"] + digits(found["number"], telephone=is_vehicle)


def _wide(found: re.Match[str]) -> str:
    return digits(found[0].replace(",", ""))


# In the order in which they are tried.
_RULES: Final[tuple[_Rule, ...]] = (
    (
        re.compile(
            r"(?<![\w.])(?:https?://[^\s一-鿿，。]+|www\.[\w./-]+|[\w.+-]+@[\w-]+\.[\w.-]*\w"
            r"|(?:[A-Za-z][\w-]*\.)+(?:com|cn|net|org|io|gov|edu|cc|top)(?:/[\w./-]*)?(?![\w.]))",
            re.ASCII,
        ),
        _address,
    ),
    (
        re.compile(
            r"(?<![\d.])(?:(?:\+|00)?86[- ]?)?(?:1[3-9]\d[- ]?\d{4}[- ]?\d{4}"
            r"|0\d{2,3}[- ]\d{3,4}[- ]?\d{4}(?:-\d{1,5})?|400[- ]?\d{3,4}[- ]?\d{3,4}"
            r"|(?<!\d)95\d{3}|12[0-9]{3}(?=电话|热线))(?![\d.])"
        ),
        _telephone,
    ),
    (re.compile(r"\+\d{1,3}[- ]\d{1,4}[- ]?\d{3,4}[- ]?\d{3,4}(?!\d)"), _telephone),
    (
        re.compile(
            r"(?<=电话|手机|号码|热线|密码|拨打|微信|尾号|编号|账号|帐号|卡号|工号|学号|单号|证号|代码|证码"
            r"|QQ|房间)(?P<mark>[:：是为]?)\s?\d[\d -]{1,}\d(?![\d.%点年月日号元块个人位次台部])"
            r"|\d{3,4}(?=[房室]|教室|病房|包间|包厢|路公交|路车|班机|航班|次列车|次航班)"
        ),
        _number_of,
    ),
    (
        re.compile(
            rf"(?P<sign>{_any(_CURRENCIES)})\s?(?P<number>\d[\d,]*(?:\.\d+)?)"
            r"(?P<myriads>[百千万亿]{0,2})(?:元整?|块钱?|美元|美金|欧元|英镑|港元|港币|日元)?",
            re.IGNORECASE | re.ASCII,
        ),
        _money,
    ),
    (re.compile(r"(\d{1,2}(?:[:：]\d{2})?)\s?([AaPp])\.?[Mm]\b\.?"), _noon),
    (re.compile(r"(?<=\d)：(?=\d)"), lambda found: ":"),
    (
        re.compile(r"(?:(?<=比分)|(?<=[以为是]))(\D{0,2})(\d{1,3})[-:](\d{1,3})(?![:\d年月])"),
        lambda found: f"{found[1]}{cardinal(found[2])}比{cardinal(found[3])}",
    ),
    (
        re.compile(r"(?<![\d.:])(?P<hour>\d{1,2})点(?:(?P<minute>\d{1,2})分)?(?![\d.])"),
        _hours,
    ),
    (
        re.compile(r"第(\d+)[-~—–～至到](\d+)"),
        lambda found: f"第{cardinal(found[1])}到{cardinal(found[2])}",
    ),
    (re.compile(r"第\s?(\d+)(?![\d.])"), lambda found: "第" + cardinal(found[1])),
    (re.compile(r"\bN[oO]\.?\s?(\d+)"), lambda found: "第" + cardinal(found[1])),
    (re.compile(r"#(\d+)(?!\d)"), lambda found: cardinal(found[1]) + "号"),
    (re.compile(r"(\d+)x\b"), lambda found: f"{found[1]}倍"),
    (
        re.compile(r"(?<!\d)((?:1[5-9]|20)\d\d)\s?[-~—–～]\s?((?:1[5-9]|20)\d\d)(?!\d|[-./]\d)"),
        lambda found: f"{digits(found[1])}到{digits(found[2])}",
    ),
    (
        re.compile(r"(?<!\d)(?:0\d|9\d)(?=年(?![代前后内间来的了]|级))"),
        lambda found: digits(found[0]),
    ),
    (
        re.compile(r"(?<![\d年月/.-])(\d{4})/(\d{1,2})(?![\d/])"),
        lambda found: f"{found[1]}年{found[2]}月",
    ),
    (
        re.compile(
            r"(?<![\d.])(\d{1,2})[·.](\d{1,2})(?![\d.])(?=事件|大?地震|运动|起义|购物|大促|惨案|事变"
            r"|讲话|晚会|革命|活动|年中)|(?<![\d.])(\d{1,2})·(\d{1,2})(?![\d.])"
        ),
        lambda found: digits(found[0]),
    ),
    (
        re.compile(r"(?<![\d.])((?:19|20)\d\d)[./](1?\d|0\d)[./]([12]\d|3[01]|0?\d)(?![\d.])"),
        lambda found: f"{found[1]}年{int(found[2])}月{int(found[3])}日",
    ),
    (re.compile(r"\b[vV]?(?<![\d.])(\d+(?:\.\d+){2,})(?![\d.]*\d)"), _dotted),
    (
        re.compile(r"(?<![\d.=+*/×-])(\d{1,9})\s?[-–]\s?(\d{1,9})(?![\d.=+*/×:%-])"),
        lambda found: f"{found[1]}到{found[2]}" if int(found[1]) < int(found[2]) else None,
    ),
    (
        re.compile(r"(?<=[\d%℃°个号日月年天岁])\s?[-—–~～]{1,2}\s?(?=\d+(?:\.\d+)?[%℃°‰])"),
        lambda found: "到",
    ),
    (re.compile(r"(?<=[A-Za-z])[-–](?=\d)"), lambda found: " "),
    (
        re.compile(
            r"(?<![A-Za-z\d])(?P<letters>[A-Z]{1,4})\s?(?P<number>\d{3,4})(?![\d.])(?=(?P<after>.?))"
        ),
        _model,
    ),
    (
        re.compile(rf"(?<![A-Za-z\d.])(\d[\d.,]*)\s?({_any(_UNITS)})(?![A-Za-z²³/\d])"),
        lambda found: found[1] + _UNITS[found[2]],
    ),
    (re.compile(r"(?<=\d)\+(?![\d\s=+])"), lambda found: "多"),
    (re.compile(r"(?<!\d)((?:1[5-9]|20)\d0)'?s\b"), lambda found: digits(found[1]) + "年代"),
    (re.compile(rf"(?<!\d)(?<!\d[,.])\d{{{MOST_DIGITS + 1},}}(?!\d)"), _wide),
)
_PERMILLE: Final = re.compile(rf"{_NUMBER}‰")
_RANGE: Final = re.compile(r"(?<=[一-鿿\d])\s?[~～]\s?(?=[\d零一二三四五六七八九十两])")
_SPACED: Final = re.compile(rf"(?<=[{HAN}])\s+(?=[\w+¥$#])|(?<=[\w%℃])\s+(?=[{HAN}])")
_SIGN: Final = re.compile("[" + "".join(map(re.escape, _SIGNS)) + "]")
_HAS_FIGURES: Final = re.compile(r"[\d@]|[A-Za-z]\.[A-Za-z]")


def has_figures(text: str) -> bool:
    """Whether `mended` might change anything."""
    return bool(_HAS_FIGURES.search(text))


def close(spelling: Spelling) -> Spelling:
    """Without the blanks that are set between Han characters and letters or digits."""
    return spelling.substituted(_SPACED, lambda found: "")


def mended(spelling: Spelling) -> Spelling:
    """With the kinds of figures in words, or in a form, that the grammars would misread."""
    for pattern, spoken in _RULES:
        spelling = spelling.substituted(pattern, spoken)
    spelling = spelling.substituted(_PERMILLE, lambda found: f"千分之{found[1]}")
    return spelling.substituted(_RANGE, lambda found: "到")


def signs_in_words(spelling: Spelling) -> Spelling:
    """Signs that are read aloud by their names: some anywhere, some between what is written."""
    return spelling.substituted(_SIGN, lambda found: _named(found, spelling.text))


def _named(found: re.Match[str], text: str) -> str | None:
    sign = found[0]
    if sign in _ALONE:
        return _SIGNS[sign]
    before, after = text[: found.start()].rstrip()[-1:], text[found.end() :].lstrip()[:1]
    if _WRITTEN.match(before) and _WRITTEN.match(after):
        return _SIGNS[sign]
    return None
