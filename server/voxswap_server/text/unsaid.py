"""What of a text nobody says, for front-ends that leave out what they cannot read."""

from __future__ import annotations

import dataclasses
from collections import Counter

from voxswap_families.text import NormalizedText, SymbolSequence


def with_unsaid(text: NormalizedText, symbols: SymbolSequence) -> SymbolSequence:
    """``symbols`` with the letters and digits of each word that has no phone among the unknown."""
    said = {phone.word for phone in symbols.phones}
    unsaid = Counter(
        char
        for index, word in enumerate(text.words)
        if index not in said
        for char in text.text[word.start : word.end]
        if char.isalnum()
    )
    if not unsaid:
        return symbols
    return dataclasses.replace(symbols, unknown=dict(Counter(symbols.unknown) + unsaid))
