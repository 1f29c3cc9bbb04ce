"""Texts that are hard to cut into sentences, drawn by hypothesis or repeated without end."""

from __future__ import annotations

from hypothesis import strategies as st

# One line a kind; units are parted by a stroke.
_UNITS = """
Hello|lower|a|x|I|I'm|In|IV|V|5|12|3.|é|e\u0301|你|３|①|🎉|_|word
Dr.|e.g.|U.S.|3.14|etc.|p.m.|No.|A.|Sgt.|Then|Monday|Oktober|The old man left
he said|Mary said|Mary Jane asked|said|asks
!|?|...|…|。|！|．|‽|.|. .
"|“|”|'|»|\u00a0»|« Non ! »|「|」|(|)|[1]|[12|*|,|;|：|-|—|•|- |1. |12)\u0020|--|–|%|the
"""
UNITS = [unit for line in _UNITS.strip("\n").split("\n") for unit in line.split("|")]
# As often as all the rest, since nothing ends without them.
_GAPS = [" ", " ", " ", " ", "  ", "\n", "\n\n", "\r\n", "\r", "\u2028", "\x0c", "\u00a0"]
# Longer than what the rules look at.
_RUNS = [" " * 1001, "\n" * 1000, "." * 401, "-" * 405, '"' * 402, ". " * 203, "[12]" * 21]


def _joined(units: st.SearchStrategy[str], most: int) -> st.SearchStrategy[str]:
    return st.lists(units, max_size=most).map("".join)


_PLAIN = st.sampled_from(UNITS) | st.sampled_from(_GAPS)
TEXTS = st.text() | _joined(_PLAIN, 40)
TEXTS_WITH_RUNS = _joined(_PLAIN | st.sampled_from(_RUNS), 8)

ADVERSARIAL = {
    "prose": 'Dr. No paid $3.50 at 3 p.m. and left. "Was it enough?" she asked. ',
    "dots": "....…",
    "initials": "a.b.c.d",
    "spaced initials": "A. ",
    "quotes": '"',
    "stops and quotes": '." ',
    "stops and brackets": ". (",
    "brackets": "([{",
    "spaces": " ",
    "line breaks": "\n",
    "blank lines": "a\n \n",
    "letters": "x",
    "marks": "\u0301",
    "clauses": "a,",
    "guillemets": "..\u00a0»",
    "spaced dots": ". ",
    "citations": ".[1]",
}
