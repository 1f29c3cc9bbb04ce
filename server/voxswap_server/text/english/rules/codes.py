"""Numbers that are names: codes, PINs, versions, models, hexadecimal."""

from __future__ import annotations

import re

from voxswap_server.text.english.rules.numerals import cardinal, in_pairs, spell, whole
from voxswap_server.text.english.rules.rule import Rule, before

_CODE = re.compile(
    r"\b(?:pins?|codes?|passcode|password|otp|zip|postcode|combination|serial|account|confirmation"
    r"|tracking|reference|ref|invoice|ticket|order number|order no\.?|order #|flight number|id|card"
    r"|ending in|room code|ssn|iban|imei|isbn)"
    r"(?: (?:numbers?|no\.?|code|id))?(?: (?:is|was|of|are))?(?: now)?[:=]? ?#?\"?'?\Z",
    re.IGNORECASE,
)
_STATE_BEFORE = re.compile(r",? [A-Z]{2} \Z")
_VERSIONED = re.compile(
    r"\b(?:[Vv]ersion|[Rr]elease|[Bb]uild|[Pp]atch|[Uu]pdate|Python|Java|Node|Node\.js|Ubuntu|Debian"
    r"|Android|iOS|macOS|iPadOS|OS X|Windows|Chrome|Firefox|Safari|Kubernetes|Postgres(?:QL)?|MySQL"
    r"|Ruby|Rails|PHP|Perl|Rust|Go|Swift|Kotlin|Django|Bluetooth|HTTP|TLS|USB|HDMI|Wi-?Fi|CUDA"
    r"|OpenGL|DirectX|Vulkan|[Vv]\.?|[Vv]er\.?)\s?\Z"
)
_MODEL = re.compile(
    r"\b(?:RTX|GTX|RX|GT|Ryzen \d|Core i\d|Core Ultra \d|Radeon|GeForce|Xeon|Threadripper|Arc|EOS"
    r"|LaserJet|OfficeJet|ThinkPad|Latitude|XPS|Boeing|Airbus|Porsche|Peugeot|Nokia)\s\Z"
)


def _code(match: re.Match[str]) -> str | None:
    if not _CODE.search(before(match, 32)):
        return None
    return ", ".join(spell(group) for group in re.findall(r"\d+", match[0]))


def _zip(match: re.Match[str]) -> str | None:
    if not _STATE_BEFORE.search(before(match, 5)):
        return None
    return ", ".join(spell(group) for group in re.findall(r"\d+", match[0]))


def _version(match: re.Match[str]) -> str | None:
    if not _VERSIONED.search(before(match, 16)):
        return None
    return " point ".join(map(_version_part, match[0].split(".")))


def _version_part(digits: str) -> str:
    if len(digits) == 2 and digits[0] == "0" and digits != "00":
        return f"oh {cardinal(int(digits[1]))}"
    return whole(digits)


def _model(match: re.Match[str]) -> str | None:
    return in_pairs(match[0]) if _MODEL.search(before(match, 16)) else None


def _hexadecimal(match: re.Match[str]) -> str:
    return f"zero x {_characters(match['digits'])}"


def _characters(text: str) -> str:
    """Letters and digits one by one."""
    return " ".join(spell(char) if char.isdecimal() else char.upper() for char in text)


CODE_RULES = (
    Rule(re.compile(r"0[xX](?P<digits>[0-9A-Fa-f]{1,32})(?!\w)"), _hexadecimal),
    Rule(re.compile(r"\d{3,12}(?>(?:[ -]\d{2,6}){0,5})(?![\w.,]\d|\w)"), _code),
    Rule(re.compile(r"\d{5}(?:-\d{4})?(?![\w-])"), _zip),
    Rule(
        re.compile(r"\d{1,2}(?>(?:\.\d{1,4}){1,3})(?![\w.]*\d|\s?(?:[km]?[smgx]|[kMG]B|%|h)\b)"),
        _version,
    ),
    Rule(re.compile(r"\d{3,4}(?!\d|[.,]\d)"), _model),
)
COLOR = re.compile(r"#(?=[0-9A-Fa-f]*[A-Fa-f])([0-9A-Fa-f]{6}|[0-9A-Fa-f]{3})(?!\w)")


def read_color(match: re.Match[str]) -> str:
    """ "#FF0000" -> "hash F F zero zero zero zero"."""
    return f"hash {_characters(match[1])}"
