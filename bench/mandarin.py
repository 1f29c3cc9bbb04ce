"""Mandarin: polyphones that are read right, beside pypinyin alone, and what a sentence takes.

``python -m bench.mandarin FILE…`` reads further lines, in tables like those of
`tests/text/mandarin`, and prints each that is misread.
"""

from __future__ import annotations

import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.hostile.texts import texts
from bench.report import Report
from tests.text.mandarin.tables import kantts_table
from voxswap_families.kokoro.format import SYMBOLS, symbol_table_json
from voxswap_families.symbols import SymbolTable
from voxswap_families.text import FrontEnd, LongReadingError
from voxswap_registry.manifest import FrontEndSpec
from voxswap_server.speech.reader import read_segment
from voxswap_server.text.frontends import make_front_end
from voxswap_server.text.mandarin.reader import shared_reader
from voxswap_server.text.normalization import normalize
from voxswap_server.text.segmentation.segments import segment

_LINES = Path(__file__).parents[1] / "tests" / "text" / "mandarin"
_ROW = re.compile(r"\| ([^▁|]*)▁(.)▁([^▁|]*) \| (\w+) \|")
_SENTENCES = """\
今天天气真好，我们一起去公园散步吧。
他得到了3个苹果，价格是12.5元。
会议定于2026年11月30日下午3:30在302室举行。
请拨打010-62345678，或者发邮件到a@b.com。
城墙外面传来了马蹄声，守夜的士兵举起火把，朝黑暗里看了很久。
这款手机的屏幕有6.7英寸，售价¥5,999，比去年便宜了12.5%。
老人慢慢地站起来，把那封信还给了我，一句话也没说。
GPT-4和iPhone 15 Pro都是2023年发布的。
東京是日本的首都，人口約1,400萬。
别着急，慢慢来，我们还得等他一会儿呢！""".splitlines()
_REPEATS = 50
_HOSTILE = 400


def lines(path: Path) -> Iterator[tuple[str, int, str]]:
    """Each line of a table, the place of the character, and its reading."""
    for row in path.read_text(encoding="utf-8").splitlines():
        if found := _ROW.fullmatch(row.strip()):
            before, character, after, reading = found.groups()
            yield before + character + after, len(before), reading


def ours(text: str) -> list[str]:
    """A syllable for each character, where one is read."""
    spoken = shared_reader().read(normalize(text, "zh-CN"), english=False)
    syllables = list(text)
    for word in spoken.han:
        syllables[word.start : word.end] = word.syllables
    return syllables


def pypinyins(text: str) -> list[str]:
    """What pypinyin gives for each run of Han characters by itself."""
    from pypinyin import Style, lazy_pinyin

    alone: Any = list  # what is no Han character, character by character; it is typed otherwise
    return lazy_pinyin(text, style=Style.TONE3, neutral_tone_with_five=True, errors=alone)


def misread(path: Path, read: Callable[[str], list[str]]) -> tuple[list[str], int]:
    """The lines that are misread, and how many there are in all."""
    misses, count = [], 0
    for text, place, reading in lines(path):
        count += 1
        if (found := read(text)[place]) != reading:
            misses.append(f"{text} {text[place]} is {reading}, read as {found}")
    return misses, count


def milliseconds(front_end: FrontEnd) -> list[float]:
    """Of each sentence, warm, with its normalisation."""
    taken = []
    for n in range(_REPEATS + 1):
        for text in _SENTENCES:
            began = time.perf_counter()
            read_segment(text, "zh-CN", front_end)
            if n:
                taken.append((time.perf_counter() - began) * 1e3)
    return taken


def hostile_milliseconds(front_end: FrontEnd) -> float:
    """The longest that a segment takes of a text which was made to be hard."""
    longest = 0.0
    for text in texts(_HOSTILE, seed=1):
        for part in segment(text):
            began = time.perf_counter()
            try:
                read_segment(part.text, "zh-CN", front_end)
            except LongReadingError:
                continue
            longest = max(longest, (time.perf_counter() - began) * 1e3)
    return longest


def run(report: Report, *, device: str) -> None:
    """Measure, and report."""
    del device  # text is read on processors
    began = time.perf_counter()
    table = SymbolTable.from_json(symbol_table_json(SYMBOLS))
    misaki = make_front_end(FrontEndSpec("mandarin", {"alphabet": "misaki"}), table, "zh-CN")
    report.add("first front-end of the process", time.perf_counter() - began, "s")
    kantts = make_front_end(
        FrontEndSpec("mandarin", {"alphabet": "kantts"}), kantts_table(), "zh-CN"
    )
    for name in ("everyday.md", "polyphones.md"):
        misses, count = misread(_LINES / name, ours)
        alone, _ = misread(_LINES / name, pypinyins)
        print(*misses, sep="\n")
        report.add(
            f"polyphones of {name}, of {count}",
            1 - len(misses) / count,
            "share",
            0.95,
            sense="at_least",
            peer=1 - len(alone) / count,
        )
    for what, front_end in (("Kokoro", misaki), ("KAN-TTS", kantts)):
        taken = milliseconds(front_end)
        report.add(f"a sentence for {what}, median", statistics.median(taken), "ms")
        report.add(f"a sentence for {what}, 95 of 100", statistics.quantiles(taken, n=20)[18], "ms")
        report.add(f"the slowest hostile segment for {what}", hostile_milliseconds(front_end), "ms")


def main() -> int:
    """Read the files that are named; 0 if 95 % of the lines of each are read right."""
    good = True
    for name in sys.argv[1:]:
        misses, count = misread(Path(name), ours)
        print(*misses, f"{name}: {count - len(misses)} of {count} read right", sep="\n")
        good = good and len(misses) <= 0.05 * count
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
