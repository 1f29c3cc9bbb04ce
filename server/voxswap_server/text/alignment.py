"""Which word each phoneme of a clause belongs to, when the clause was read as a whole.

A front-end that reads a clause at once joins words ("of the" is ʌvðə) and takes others apart
("forty-two"), so its phonemes do not say where words begin. Reading every word alone does, with
slightly other phonemes; an edit-distance alignment of the two carries the borders over.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest
from typing import Final

_MARKS: Final = frozenset("ˈˌːˑ")
_VOWELS: Final = frozenset("aeiouyæɐɑɒɔəɘɚɛɜɝɞɤɨɪɯɵøœɶʉʊʌʏᵻ")

_GAP: Final = 2
_RELATED: Final = 1  # vowel for vowel, consonant for consonant
_UNRELATED: Final = 3
_BAND: Final = 48  # letters that two readings may be apart; keeps the cost linear in long clauses
_NARROWEST_BAND, _MOST_CELLS = 4, 60_000  # of a line; a cell takes 0.15 us
_NEVER: Final = 1 << 30


def band_for(letters: int) -> int:
    """How far apart two readings may be where a line has so many ``letters`` to be aligned.

    Speech has a few hundred. Signs that are read by their names may come to ten thousand, and
    which of them belongs to what then matters less than how long it takes to find out.
    """
    return max(_NARROWEST_BAND, min(_BAND, _MOST_CELLS // max(1, 2 * letters)))


def align(
    phonemes: str, alone: Sequence[tuple[str, int]], *, band: int = _BAND
) -> list[int | None]:
    """The word of each code point of ``phonemes``; None for spaces.

    ``alone`` has the phonemes of each word read by itself, and the word's index, in order. A word
    may come more than once in a row. Every word that has phonemes of its own gets some here too
    unless there are fewer than there are words. Time and memory are linear in the clause's length,
    about 0.02 ms for each code point between the first and the last that differ; less with a
    smaller ``band``.
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
    found = _fair(_matched(letters, said, words, band), words)
    for i, word in zip(heard, found, strict=True):
        owners[i] = word
    _own_marks(phonemes, owners)
    return owners


def _skipped(symbol: str) -> bool:
    return symbol.isspace() or symbol in _MARKS


def _matched(
    heard: Sequence[str], said: Sequence[str], words: Sequence[int], band: int
) -> list[int]:
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
        band,
    )
    return [*words[:head], *middle, *words[len(words) - tail :]]


def _edited(
    heard: Sequence[str], said: Sequence[str], words: Sequence[int], before: int, band: int
) -> list[int]:
    """Edit distance in a band around the diagonal, then the cheapest way back through it.

    A row's band goes from its own place on the diagonal to the next row's: neighbours always have
    some columns in common, however much longer one side is, and all bands together are as long as
    both sides.
    """
    letters = ["", *said]
    vowels = [letter in _VOWELS for letter in letters]
    rows = [[_GAP * j for j in range(min(len(said), band + _diagonal(1, heard, said)) + 1)]]
    lows = [0]
    for i, letter in enumerate(heard, 1):
        low = max(0, _diagonal(i, heard, said) - band)
        after = min(len(said), _diagonal(i + 1, heard, said) + band) + 1
        above, offset = rows[-1], low - lows[-1]
        slanting = above[offset - 1 :] if offset else [_NEVER, *above]
        vowel = letter in _VOWELS
        row: list[int] = []
        left = _NEVER
        for up, slant, other, other_vowel in zip_longest(
            above[offset:],
            slanting[: after - low],
            letters[low:after],
            vowels[low:after],
            fillvalue=_NEVER,
        ):
            cost = slant
            if other != letter:
                cost += _RELATED if other_vowel is vowel else _UNRELATED
            cost = min(cost, up + _GAP, left + _GAP)
            row.append(cost)
            left = cost
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


def _diagonal(row: int, heard: Sequence[str], said: Sequence[str]) -> int:
    return min(row, len(heard)) * len(said) // max(1, len(heard))


def _difference(one: str, other: str) -> int:
    if one == other:
        return 0
    return _RELATED if (one in _VOWELS) == (other in _VOWELS) else _UNRELATED


def _fair(found: list[int], words: Sequence[int]) -> list[int]:
    """Gives a word that got nothing a letter of its neighbour that has more than one.

    ``found`` is in order, and stays so.
    """
    count = Counter(found)
    for word in dict.fromkeys(words):
        if count[word]:
            continue
        after = bisect_left(found, word)
        for place in (after - 1, after):
            if 0 <= place < len(found) and count[found[place]] > 1:
                count[found[place]] -= 1
                count[word] = 1
                found[place] = word
                break
    return found


def _own_marks(phonemes: str, owners: list[int | None]) -> None:
    """Stress marks go with the letter after them, length marks with the one before."""
    for i in range(len(phonemes) - 1, -1, -1):
        if phonemes[i] in "ˈˌ" and i + 1 < len(phonemes):
            owners[i] = owners[i + 1]
    for i, symbol in enumerate(phonemes):
        if symbol in _MARKS and owners[i] is None and i:
            owners[i] = owners[i - 1]
