"""Which word each phoneme of a clause belongs to, when the clause was read as a whole.

A front-end that reads a clause at once joins words ("of the" is ʌvðə) and takes others apart
("forty-two"), so its phonemes do not say where words begin. Reading every word alone does, with
slightly other phonemes; an edit-distance alignment of the two carries the borders over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_MARKS: Final = frozenset("ˈˌːˑ")
_VOWELS: Final = frozenset("aeiouyæɐɑɒɔəɘɚɛɜɝɞɤɨɪɯɵøœɶʉʊʌʏᵻ")

_GAP: Final = 2
_RELATED: Final = 1  # vowel for vowel, consonant for consonant
_UNRELATED: Final = 3
_BAND: Final = 48  # letters that two readings may be apart; keeps the cost linear in long clauses
_NEVER: Final = 1 << 30


def align(phonemes: str, alone: Sequence[tuple[str, int]]) -> list[int | None]:
    """The word of each code point of ``phonemes``; None for spaces.

    ``alone`` has the phonemes of each word read by itself, and the word's index, in order. A word
    may come more than once in a row. Every word that has phonemes of its own gets some here too
    unless there are fewer than there are words. Time and memory are linear in the clause's length,
    about 0.03 ms for each code point between the first and the last that differ.
    """
    heard = [i for i, symbol in enumerate(phonemes) if not _skipped(symbol)]
    said: list[str] = []
    words: list[int] = []
    for reading, word in alone:
        letters = [symbol for symbol in reading if not _skipped(symbol)]
        said += letters
        words += [word] * len(letters)
    owners: list[int | None] = [None] * len(phonemes)
    if not words:
        if not alone:
            return owners
        words = [alone[0][1]]
        said = [""]
    letters = [phonemes[i] for i in heard]
    found = _fair(_matched(letters, said, words), words)
    for i, word in zip(heard, found, strict=True):
        owners[i] = word
    _own_marks(phonemes, owners)
    return owners


def _skipped(symbol: str) -> bool:
    return symbol.isspace() or symbol in _MARKS


def _matched(heard: Sequence[str], said: Sequence[str], words: Sequence[int]) -> list[int]:
    """The word of each heard letter, in order: equal ends first, the rest by edit distance."""
    shorter = min(len(heard), len(said))
    head = 0
    while head < shorter and heard[head] == said[head]:
        head += 1
    tail = 0
    while tail < shorter - head and heard[-1 - tail] == said[-1 - tail]:
        tail += 1
    middle = _edited(
        heard[head : len(heard) - tail],
        said[head : len(said) - tail],
        words[head : len(words) - tail],
        words[head - 1] if head else words[0],
    )
    return [*words[:head], *middle, *words[len(words) - tail :]]


def _edited(
    heard: Sequence[str], said: Sequence[str], words: Sequence[int], before: int
) -> list[int]:
    """Edit distance in a band around the diagonal, then the cheapest way back through it."""
    rows: list[list[int]] = []
    lows: list[int] = []
    for i in range(len(heard) + 1):
        middle = i * len(said) // max(1, len(heard))
        low, high = max(0, middle - _BAND), min(len(said), middle + _BAND)
        row: list[int] = []
        for j in range(low, high + 1):
            cost = 0 if i == j == 0 else _NEVER
            if i:
                above, k = rows[-1], j - lows[-1]
                if k < len(above):
                    cost = above[k] + _GAP
                if 0 < k <= len(above):
                    cost = min(cost, above[k - 1] + _difference(heard[i - 1], said[j - 1]))
            if row:
                cost = min(cost, row[-1] + _GAP)
            row.append(cost)
        rows.append(row)
        lows.append(low)
    found = [before] * len(heard)
    i, j = len(heard), len(said)
    while i:
        cost = rows[i][j - lows[i]]
        above, k = rows[i - 1], j - lows[i - 1]
        if 0 < k <= len(above) and cost == above[k - 1] + _difference(heard[i - 1], said[j - 1]):
            i, j = i - 1, j - 1
            found[i] = words[j]
        elif k < len(above) and cost == above[k] + _GAP:
            i -= 1
            found[i] = words[j - 1] if j else before
        else:
            j -= 1
    return found


def _difference(one: str, other: str) -> int:
    if one == other:
        return 0
    return _RELATED if (one in _VOWELS) == (other in _VOWELS) else _UNRELATED


def _fair(found: list[int], words: Sequence[int]) -> list[int]:
    """Gives a word that got nothing a letter of its neighbour that has more than one."""
    for word in dict.fromkeys(words):
        if word in found:
            continue
        place = sum(other < word for other in found)
        if place and found.count(found[place - 1]) > 1:
            found[place - 1] = word
        elif place < len(found) and found.count(found[place]) > 1:
            found[place] = word
    return found


def _own_marks(phonemes: str, owners: list[int | None]) -> None:
    """Stress marks go with the letter after them, length marks with the one before."""
    for i in range(len(phonemes) - 1, -1, -1):
        if phonemes[i] in "ˈˌ" and i + 1 < len(phonemes):
            owners[i] = owners[i + 1]
    for i, symbol in enumerate(phonemes):
        if symbol in _MARKS and owners[i] is None and i:
            owners[i] = owners[i - 1]
