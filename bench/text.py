"""How texts are read: the cases and the corpus, what a line takes, and what the slowest text does.

``python -m bench text --only en`` reads one language's corpus alone.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator

from bench.hostile.texts import texts
from bench.report import Report
from tests.text import cases
from tests.text import corpus_lines as corpus
from voxswap_server.text.normalization import normalize
from voxswap_server.text.segmentation.segments import segment

_LINE, _REPEATS = 90, 5
_FUZZED, _QUICK = 20_000, 1_000
_LONGEST_FUZZED = 400
FIGURES = tuple(corpus.NAMES)
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
    wrong, count = cases.misread(), len(cases.cases())
    print(*wrong, sep="\n")
    report.add(
        f"cases read right, of {count}", 1 - len(wrong) / count, "share", 1, sense="at_least"
    )
    rows = [row for name in corpus.NAMES if only in {"", name} for row in corpus.lines(name)]
    misread = [
        f"{written!r} is {spoken!r}, read as {said!r}"
        for tag, written, spoken in rows
        if (said := corpus.read(tag, written).text) != spoken
    ]
    print(*misread, sep="\n")
    share = 1 - len(misread) / len(rows)
    report.add(f"corpus read right, of {len(rows)}", share, "share", 0.98, sense="at_least")
    written = [row[1] for row in rows if row[0].startswith("en")]
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
