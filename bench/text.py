"""How texts are read: the cases and the corpus, what a line takes, and what the slowest text does.

``python -m bench text --only english`` reads one language's corpus alone.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator

from bench.hostile.texts import texts
from bench.report import Report
from tests.text.cases import CASES, CORPUS, misread, rows
from voxswap_server.text.normalization import normalize
from voxswap_server.text.segmentation.segments import segment

_LINE, _REPEATS = 90, 5
_FUZZED, _QUICK = 20_000, 1_000
_LONGEST_FUZZED = 400
# Tags of the languages that the corpus names.
_TAGS = {
    "english": "en-US",
    "german": "de",
    "french": "fr",
    "spanish": "es",
    "italian": "it",
    "portuguese": "pt",
    "polish": "pl",
    "russian": "ru",
    "ukrainian": "uk",
    "dutch": "nl",
    "turkish": "tr",
    "czech": "cs",
    "swedish": "sv",
    "mandarin": "zh",
    "japanese": "ja",
    "korean": "ko",
}
FIGURES = tuple(_TAGS)
_PIECES = (
    *(
        "1",
        "12",
        "1999",
        "2 000",
        "3.5",
        "0x1F",
        "007",
        "$",
        "€",
        "S$",
        "%",
        "°",
        "C",
        "km",
        "m/s²",
    ),
    *("-", "–", "—", "...", " ", " ", " ", " ", "\n", ".", ",", "!", "'", '"', "(", "*", "/", ":"),
    *("st", "th", "h", "m", "x", "am", "p.m.", "Dr.", "St.", "Mk.", "May", "Tue", "Henry", "VIII"),
    *("W-w-", "Mmm", "oooo", "sighs", "IT", "US", "MOVE", "1h30m", "2/4", "10x15", "USD", "A-Z"),
    *("#ff8800", "https://", "a.b", "&amp;", "w/o", "½", "e\u0301", "🎉", "\u200b", "中", "№", "I"),
)


def fuzzed(count: int, seed: int) -> Iterator[str]:
    """Texts of what rules look for, in any order, and of what is made to be hard."""
    yield from texts(count // 10, seed=seed)
    drawn = random.Random(seed)
    for _ in range(count - count // 10):
        some = drawn.sample(_PIECES, drawn.randint(1, 6))
        text = "".join(drawn.choices(some, k=drawn.randint(1, 120)))
        yield text[:_LONGEST_FUZZED]


def milliseconds(text: str, tag: str) -> float:
    """Of the processor, for cutting a text and reading the slowest of its segments."""
    slowest = 0.0
    began = time.thread_time()
    parts = segment(text)
    cut = (time.thread_time() - began) / max(1, len(parts))
    for part in parts:
        began = time.thread_time()
        normalize(part.text, tag)
        slowest = max(slowest, time.thread_time() - began)
    return (cut + slowest) * 1e3


def run(report: Report, *, device: str, quick: bool = False, only: str = "") -> None:
    """Measure, and report."""
    del device  # text is read on processors
    misses, count = misread(CASES)
    print(*misses, sep="\n")
    report.add(
        f"cases read right, of {count}", 1 - len(misses) / count, "share", 1.0, sense="at_least"
    )
    right = total = 0
    written: list[str] = []
    for path in sorted(CORPUS.glob("*.md")):
        if only and path.stem != only:
            continue
        misses, count = misread(path, _TAGS[path.stem])
        print(*misses, sep="\n")
        right, total = right + count - len(misses), total + count
        if path.stem == "english":
            written = [row[0] for row in rows(path)]
    report.add(f"corpus read right, of {total}", right / total, "share", 0.98, sense="at_least")
    if not written:
        return
    lines = [" ".join(written[i:])[:_LINE] for i in range(len(written) - _REPEATS)]
    taken = [min(milliseconds(line, "en-US") for _ in range(_REPEATS)) for line in lines]
    report.add(f"an English line of {_LINE} characters, median", statistics.median(taken), "ms")
    report.add("  the slowest of them", max(taken), "ms")
    slowest = (0.0, "")
    for text in fuzzed(_QUICK if quick else _FUZZED, seed=18):
        if (first := milliseconds(text, "en-US")) > slowest[0]:
            # Again, for the machine has other things to do as well.
            slowest = max(slowest, (min(first, milliseconds(text, "en-US")), text))
    print(f"slowest: {slowest[1]!r}")
    report.add("the slowest segment of a fuzzed text", slowest[0], "ms")
