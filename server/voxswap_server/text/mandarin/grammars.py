"""Numbers, dates, times, money and units in words: the grammars of wetext (Apache-2.0).

They are weighted transducers, run here by kaldifst: wetext's own code reads those of English and
Japanese as well, which takes half a second and 150 MB. A tagger tells what the digits are, a
verbalizer says it.

kaldifst is C++. What it is given of a text is a bounded number of characters that the grammars
know; whatever else there is stands as a comma there.
"""

from __future__ import annotations

import importlib.util
import re
import threading
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from voxswap_server.text.mandarin.spelling import Rewrite

# Of what is read in one piece. Tagging takes 0.04 ms a character.
_MOST: Final = 64
_BEFORE, _AFTER = 2, 5  # characters around digits that say what they are
_REMEMBERED: Final = 4096
_BREAK: Final = re.compile(r"[，。！？；：、…\"'“”‘’()（）《》〈〉【】「」『』—\n]")
_UNKNOWN: Final = re.compile("[^\u4e00-\u9fff!-~ ℃°±×÷·²³]")
_TOKEN: Final = re.compile(r'(\w+) \{ ((?:\w+: "(?:[^"\\]|\\.)*" )+)\}')
_FIELD: Final = re.compile(r'(\w+): "((?:[^"\\]|\\.)*)"')
_ESCAPED: Final = re.compile(r"\\(.)")
# The order in which what was written is said.
_ORDERS: Final = {
    "date": ("year", "month", "day"),
    "fraction": ("denominator", "numerator"),
    "measure": ("denominator", "numerator", "value"),
    "money": ("value", "currency"),
    "time": ("noon", "hour", "minute", "second"),
}
_FARTHEST: Final = 3  # characters that a tagger may leave out before what it tells of next


class Grammars:
    """wetext's grammars of Mandarin.

    Thread-safe: ``_lock`` guards both, for nobody promises that a transducer may be run twice at a
    time; a chunk takes half a millisecond. Making them reads 1.6 MB (30 ms). Raises ImportError
    without the packages.
    """

    def __init__(self) -> None:
        import kaldifst

        found = importlib.util.find_spec("wetext")
        if found is None or not found.submodule_search_locations:
            raise ImportError("No module named 'wetext'")
        folder = Path(found.submodule_search_locations[0], "fsts", "zh", "tn")
        self._lock = threading.Lock()
        self._tagger: Any = kaldifst.TextNormalizer(str(folder / "tagger.fst"))
        self._verbalizer: Any = kaldifst.TextNormalizer(str(folder / "verbalizer.fst"))
        self._said = lru_cache(_REMEMBERED)(self._verbalized)

    def rewrites(self, text: str) -> Iterator[Rewrite]:
        """What is said for each number of ``text``, with its unit. Digits in a row stay together.

        Blocks for about half a millisecond a number.
        """
        for start, end in _chunks(text):
            chunk = _UNKNOWN.sub(",", text[start:end])
            with self._lock:
                tagged = str(self._tagger(chunk))
            position = 0
            for name, fields in _TOKEN.findall(tagged):
                told = [(key, _ESCAPED.sub(r"\1", value)) for key, value in _FIELD.findall(fields)]
                first, position = _placed(chunk, position, [value for _, value in told])
                if name == "char":
                    continue
                said = self._said(name, fields)
                if said and said != chunk[first:position]:
                    yield Rewrite(start + first, start + position, said)

    def _verbalized(self, name: str, fields: str) -> str:
        order = _ORDERS.get(name, ())
        parts = [f'{key}: "{value}"' for key, value in _FIELD.findall(fields)]
        keys = [part.split(":")[0] for part in parts]
        ranked = sorted(
            range(len(parts)), key=lambda i: order.index(keys[i]) if keys[i] in order else 9
        )
        with self._lock:
            return str(self._verbalizer(f"{name} {{ {' '.join(parts[i] for i in ranked)} }}"))


def _chunks(text: str) -> Iterator[tuple[int, int]]:
    """Digits with what may belong to them: a few characters around, within their clause."""
    spans: list[list[int]] = []
    for digits in re.finditer(r"\d+", text):
        start = max(0, digits.start() - _BEFORE)
        for mark in _BREAK.finditer(text, start, digits.start()):
            if mark[0] not in ":：" or not text[mark.start() - 1 : mark.start()].isdigit():
                start = mark.end()
        if (
            spans
            and start - _AFTER <= spans[-1][1]
            and digits.end() - spans[-1][0] <= _MOST - _AFTER
        ):
            spans[-1][1] = digits.end()
        else:
            spans.append([max(start, spans[-1][1] if spans else 0), digits.end()])
    for place, (start, end) in enumerate(spans):
        limit = spans[place + 1][0] if place + 1 < len(spans) else len(text)
        limit = min(end + _AFTER, limit)
        after = _BREAK.search(text, end, limit)
        yield start, after.start() if after else limit


def _placed(chunk: str, position: int, values: list[str]) -> tuple[int, int]:
    """Where ``values``, which the tagger took from ``chunk``, stand from ``position`` on."""
    first: int | None = None
    for value in values:
        found = chunk.find(value, position, position + len(value) + _FARTHEST)
        if found < 0:
            continue
        first = found if first is None else first
        position = found + len(value)
    return (position if first is None else first), position
