"""How characters with several readings are read where a dictionary of words does not tell.

`polyphone_rules.txt` has lines for the readings of a character: the character, the reading, and
patterns of what stands around it, ``before_after``, both regular expressions over the spoken text.
The first line that fits tells. ``!`` behind the reading: also within a word that the dictionary
has. A line that begins with = has readings for characters of which no other line fits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final, NamedTuple

_BEFORE: Final = 10  # characters that a pattern may look back over
_MACROS: Final = MappingProxyType(
    {
        "{n}": "一二三四五六七八九十百千万亿两几半零",  # within brackets
        "{p}": "我你他她它您咱谁",  # within brackets
        "{end}": '(?:$|[，。！？；：、“”"…（）《》,.!?;:()])',
        "{begin}": '(?:^|[，。！？；：、“”"…（）《》,.!?;:()])',
        "{more}": "(?:很|太|多|更|最|较|挺|真|越|够|极|好|么|非常|十分|特别|有点|有些)",
        "{verb}": "(?:走|去|来|回|看|想|说|做|吃|喝|睡|起|赶|快|先|再|给|让|把|跟|和|对|在|靠|用"
        "|找|问|等|买|卖|花|付|交|学|写|读|听|干|打|拿|带|好好|马上|小心|注意|努力|早|晚|上|下|进"
        "|出|开|关|坐|站|住|换|改|加|有|承认|感谢|亲自|自己|立刻|尽快|尽早|多(?!少)|准备|休息|工作"
        "|告诉|完成|办|帮|叫|请|搬|修|洗|练|考虑|记|忍|认|罚|重新)",
    }
)

_MACRO: Final = re.compile("|".join(map(re.escape, _MACROS)))


class _Rule(NamedTuple):
    """``before`` ends at the character, ``after`` begins behind it; none: by itself."""

    reading: str
    always: bool
    contexts: Sequence[tuple[re.Pattern[str], re.Pattern[str]]]

    def fits(self, text: str, place: int) -> bool:
        return not self.contexts or any(
            before.search(text, max(0, place - _BEFORE), place) and after.match(text, place + 1)
            for before, after in self.contexts
        )


@lru_cache(1)
def _lines() -> Mapping[str, Sequence[str]]:
    """The lines of each character, as they are written."""
    found: dict[str, list[str]] = {}
    table = files(__package__).joinpath("polyphone_rules.txt").read_text(encoding="utf-8")
    otherwise: list[str] = []
    for line in table.splitlines():
        if line.startswith("="):
            otherwise += line[1:].split()
        elif not line.startswith("#"):
            found.setdefault(line[0], []).append(line[1:])
    for reading in otherwise:
        found.setdefault(reading[0], []).append(reading[1:])
    return found


@lru_cache(1024)
def _rules(character: str) -> Sequence[_Rule]:
    """Compiled when the character is met first: all of them would take half a second."""
    rules = []
    for line in _lines().get(character, ()):
        reading, *patterns = line.split()
        contexts = []
        for pattern in patterns:
            before, after = _MACRO.sub(lambda name: _MACROS[name[0]], pattern).split("_")
            contexts.append((re.compile(f"(?:{before})\\Z"), re.compile(f"(?:{after})")))
        rules.append(_Rule(reading.rstrip("!"), reading.endswith("!"), contexts))
    return rules


def reading_at(text: str, place: int, *, in_word: bool) -> str | None:
    """How ``text[place]`` is read there, as pinyin with its tone; None if no rule tells.

    ``in_word``: it stands in a word whose reading a dictionary tells, so only the rules that know
    better do.
    """
    for rule in _rules(text[place]):
        if (rule.always or not in_word) and rule.fits(text, place):
            return rule.reading
    return None
