"""Measures in English: amounts with units, dimensions, feet and inches, angles."""

from __future__ import annotations

import re

from voxswap_server.text.english.rules.numerals import cardinal, number
from voxswap_server.text.english.rules.quantities import AMOUNT, amount_in_words
from voxswap_server.text.english.rules.rule import NUMBER, STOP, Rule, after, before
from voxswap_server.text.english.rules.units import PER_PATTERN, UNIT, UNITS, per

# What has a number, and perhaps a letter, for its name: "body 2 M", "gate 4L".
_NUMBERED = re.compile(
    r"\b(?:bod(?:y|ies)|systems?|planets?|moons?|sectors?|sections?|stars?|gates?|rooms?|seats?"
    r"|rows?|blocks?|plots?|platforms?|exits?|terminals?|flights?|suites?|units?|apartments?|apt"
    r"|types?|class|models?|vitamin|group|zone|wing|tracks?|route|line|bus|form|grade|number|no"
    r"|asteroid|comet|object|belt|ring|cluster|channel|option|figure|table|exhibit|appendix|step"
    r"|version|part|chapter|volume|lot|box|locker|desk|building|floor|door|house)\.?\s\Z",
    re.IGNORECASE,
)
_NAME_BEFORE = re.compile(r"(?:\A|[^\w.])([A-Z][a-z]{2,}|[A-Z]{2,})(?:[- ][A-Z]+)?\s\Z")
# Words that have a capital for their place alone, or in front of what they measure.
_MEASURED = frozenset(
    re.findall(
        r"\w+",
        "about above add after all almost also and another any around at below between both buy "
        "by carry carries contains cook cut dig drink drive drop each eat exactly every fill find "
        "for from get give go had has have here in jump just lift lifts made make measures mix "
        "move nearly need needs no not of on only open or over pay place pour put roughly run runs "
        "sell send serve some soak sprint stir swim take takes that the then these this those to "
        "total under until up use walk wait weigh weighs weighed when with within you they there "
        "alcohol altitude area battery caffeine calcium calories capacity carbs cholesterol "
        "depth diameter distance dose energy fat fiber fibre fuel height iron length load mass "
        "net output oxygen potassium power protein radius range salt size sodium speed sugar "
        "sugars temperature thickness time uses vitamin volume voltage wattage water weight width "
        "approximately maximum minimum max min average gross bulb heater motor january february "
        "march april may june july august september october november december",
    )
)
_LENGTH = (
    r"(?:[mck]?m|in|ft|yds?|mi|px|inch(?:es)?|f(?:ee|oo)t|yards?|miles?|pixels"
    r"|(?:centi|milli)?meters)"
)
_DIMENSION = rf"{NUMBER}(?:\s?(?:{_LENGTH}(?![\w²³])|\"|'))?"
_DIMENSIONS = rf"{_DIMENSION}(?>(?:\s?[x×]\s?{_DIMENSION}){{1,3}})(?![\w²³])"
_PART = re.compile(rf"({NUMBER})(?:\s?({_LENGTH}|\"|'))?")
_MARKS = {'"': ("inch", "inches"), "'": ("foot", "feet")}


def _stands_as_unit(match: re.Match[str]) -> bool:
    """Whether a letter behind a number is a unit there, and not a name or the next word."""
    written, space = match["unit"], match["space"]
    unit = UNITS.get(written)
    if unit is None:
        return False
    if space == " " and unit.only_joined and not match[0].endswith("."):
        return False
    if len(written) > 1 or not written.isalpha() or space == "-" or "." in match["amount"]:
        return True
    front = before(match, 24)
    if _NUMBERED.search(front):
        return False
    if not space:
        return True
    if written == "M":  # "2 M people" are millions.
        return bool(re.match(r" [a-z]{3,}", after(match, 5)))
    name = _NAME_BEFORE.search(front)
    return name is None or name[1].lower() in _MEASURED


def _measure(match: re.Match[str]) -> str | None:
    if re.fullmatch("[A-Za-z]-", before(match, 2)) or not _stands_as_unit(match):
        return None
    unit = UNITS[match["unit"]]
    amount, last = match["amount"], match["last"]
    words = amount_in_words(amount) + (f" to {amount_in_words(last)}" if last else "")
    if "/" in amount and not re.search("[ -]", amount.lstrip("+-")) and not last:
        words += f" {unit.of}{unit.one}"
    else:
        one = (amount.lstrip("+-") == "1" and not last) or match["space"] == "-"
        words += f" {unit.one if one else unit.many}"
    return words


def _measure_per(match: re.Match[str]) -> str | None:
    measure, rate = _measure(match), per(match)
    return f"{measure} {rate}" if measure and rate else None


def _dimensions(match: re.Match[str]) -> str:
    """ "10x15 cm", "3 × 3 mm", "8.5\" x 11\"", "4x4"."""
    words = []
    for amount, written in _PART.findall(match[0]):
        one = amount == "1"
        if written in _MARKS:
            words.append(f"{number(amount)} {_MARKS[written][0 if one else 1]}")
        elif unit := UNITS.get(written):
            words.append(f"{number(amount)} {unit.one if one else unit.many}")
        elif written:
            words.append(f"{number(amount)} {written}")
        else:
            words.append(number(amount))
    return " by ".join(words)


def _feet_and_inches(match: re.Match[str]) -> str:
    inches = match["inches"]
    words = f"{cardinal(int(match['feet']))} foot {number(inches)}"
    return f"{words} {'inch' if inches == '1' else 'inches'}" if match["named"] else words


def _feet_or_inches(match: re.Match[str]) -> str | None:
    """ "6' tall", "a 12\" pizza", but '"I have 5"'."""
    mark = match["mark"]
    front = before(match, _LONGEST_QUOTE)
    is_open = front.count('"') % 2 if mark == '"' else re.search(r"(?<!\w)'(?:\S|\Z)", front)
    if is_open:
        return None
    one, many = _MARKS[mark[0]] if len(mark) == 1 else _MARKS['"']
    amount, described = match["amount"], re.search(r"\b[Aa]n? \Z", before(match, 3))
    words = amount_in_words(amount)
    if "/" in amount and not re.search("[ -]", amount) and not described:
        return f"{words} of {'an' if one == 'inch' else 'a'} {one}"
    return f"{words} {one if amount == '1' or described else many}"


_LONGEST_QUOTE = 400
_SIDES = {"N": "north", "S": "south", "E": "east", "W": "west"}


def _angle(match: re.Match[str]) -> str:
    """ "40°26'46\"N" in degrees, minutes and seconds."""
    words = [
        f"{number(amount)} {name}{'' if amount == '1' else 's'}"
        for name in ("degree", "minute", "second")
        if (amount := match[name])
    ]
    if side := match["side"]:
        words.append(_SIDES[side])
    return " ".join(words)


def _resolution(match: re.Match[str]) -> str:
    """ "1080p" -> "ten eighty p"."""
    return f"{cardinal(int(match['hundreds']))} {cardinal(int(match['rest']))} p"


DIMENSION_RULES = (
    Rule(
        re.compile(
            rf"(?P<degree>-?{NUMBER})\s?[°º˚]\s?(?P<minute>{NUMBER})\s?'"
            rf"(?:\s?(?P<second>{NUMBER})\s?(?:\"|''))?(?:\s?(?P<side>[NSEW])(?!\w))?"
        ),
        _angle,
    ),
    Rule(
        re.compile(
            r"(?P<feet>\d{1,3})(?:'|\s?(?:ft|feet|foot)\.?,?)[\s-]?"
            r"(?P<inches>\d{1,2}(?:\.\d)?)(?:\"|''|(?P<named>\s?(?:in|inch|inches)(?!\w))"
            r"|(?![\d'\w]))"
        ),
        lambda match: _feet_and_inches(match) if "'" in match[0] or match["named"] else None,
    ),
    Rule(re.compile(_DIMENSIONS), _dimensions),
    Rule(
        re.compile(rf"(?P<amount>{AMOUNT})(?P<mark>''|['\"])(?![\w'\":`])"),
        _feet_or_inches,
    ),
)
_MEASURE = (
    rf"(?P<amount>[+-]?{AMOUNT})(?:%(?=\s?-))?(?:\s?-\s?(?P<last>{AMOUNT}))?"
    rf"(?P<space>[\s-])?(?P<unit>{UNIT})"
)
_SCALES = {"C": "Celsius", "F": "Fahrenheit"}
_WARM_BEFORE = re.compile(
    r"\b(?:it's|it is|below|above|oven to|(?:heat|cool|set|rise|drop|fall)(?:s|ed)? (?:it )?to"
    r"|temperature (?:of|is)|bake at)\s\Z",
    re.IGNORECASE,
)
_WARM_AFTER = re.compile(
    r"\s(?:outside|inside|today|tonight|tomorrow|and (?:sunny|rain|cloudy|clear|windy|hot|cold)"
    r"|in the (?:shade|sun)|heat|weather)"
)


def _temperature(match: re.Match[str]) -> str | None:
    """ "20C outside", but not "seat 20C"."""
    if not (_WARM_BEFORE.search(before(match, 20)) or _WARM_AFTER.match(after(match, 16))):
        return None
    amount = match["amount"]
    one = amount.lstrip("+-") == "1"
    return f"{number(amount)} degree{'' if one else 's'} {_SCALES[match['scale']]}"


MEASURE_RULES = (
    Rule(re.compile(rf"(?P<amount>[+-]?{NUMBER})\s?(?P<scale>[CF])(?![\w°])"), _temperature),
    Rule(re.compile(r"(?P<hundreds>\d{1,2})(?P<rest>[1-9]0)p(?!\w)"), _resolution),
    Rule(re.compile(rf"{_MEASURE}{PER_PATTERN}"), _measure_per),
    Rule(re.compile(rf"{_MEASURE}(?![\w°²³]){STOP}?"), _measure),
)
