"""Parts a sentence that is too long to be spoken in one go."""

from __future__ import annotations

import re
import unicodedata

# More marks than this on one letter are decoration, and may be parted from it.
_MOST_MARKS = 8

_WHITESPACE = re.compile(r"\s++")
_CLAUSE_END = re.compile(r"""[,;:)\]–.…]["'”’»]?(?=\s)|[—，；：、､،؛]""")
# Between two Han characters, behind a particle that ends a word or a phrase.
_PARTICLE_END = re.compile(
    "(?:[吗吧呢啊呀嘛们]|[了過过](?![解不然结却程度来去])|着(?![急火凉迷手陆重想眼])|的(?![确士话]))"
    "(?=[\u4e00-\u9fff])"
)


def enough(longest: int) -> int:
    """Characters of a sentence that decide where its first piece ends, whatever follows them."""
    return 2 * longest


def cut(text: str, start: int, end: int, longest: int) -> int:
    """Where the first piece of ``text[start:end]`` ends, which is longer than ``longest``.

    At a clause, else at a space, else behind a particle of Chinese, else anywhere; near ``longest``
    if much is left after it, else where the pieces come out alike.
    """
    length = min(end - start, enough(longest))
    count = -(-length // longest)
    target = start + -(-length // count)
    low, high = start + (target - start) // 2, start + longest
    cuts = [match.end() for match in _CLAUSE_END.finditer(text, low, high)]
    if not cuts:
        gaps = _WHITESPACE.finditer(text, max(low, start + 1), high + 1)
        cuts = [gap.start() for gap in gaps]
    if not cuts:
        cuts = [match.end() for match in _PARTICLE_END.finditer(text, low, high)]
    if cuts:
        return min(cuts, key=lambda place: abs(place - target))
    place = target
    while unicodedata.combining(text[place]) and target - place < _MOST_MARKS and place > start + 1:
        place -= 1
    return place
