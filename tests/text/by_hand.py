"""Normalised text made by hand, Piper's symbol table, and what every sequence must hold to."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from voxswap_families.symbols import SymbolTable
from voxswap_families.text import NormalizedText, SymbolSequence, Word

GOLDEN: dict[str, Any] = json.loads(
    Path(__file__).with_name("piper_ids.json").read_text(encoding="utf-8")
)
PIPER = SymbolTable.piper(GOLDEN["symbols"])


def by_hand(text: str) -> NormalizedText:
    """One word for each run of non-space, nothing rewritten."""
    words = (Word(found[0], *found.span(), *found.span()) for found in re.finditer(r"\S+", text))
    return NormalizedText(text, tuple(words))


def said(sequence: SymbolSequence) -> str:
    """All phones as one string."""
    return "".join(phone.text for phone in sequence.phones)


def said_by_word(text: NormalizedText, sequence: SymbolSequence) -> dict[str, str]:
    """The phones of each word, by its text."""
    words: dict[str, str] = {}
    for phone in sequence.phones:
        if phone.word is not None:
            word = text.words[phone.word].text
            words[word] = words.get(word, "") + phone.text
    return words


def check(text: NormalizedText, sequence: SymbolSequence) -> None:
    """The promises of `SymbolSequence`, and words in the order of the text."""
    after = 0
    for phone in sequence.phones:
        assert after <= phone.first < phone.last <= len(sequence.ids)
        assert phone.text
        after = phone.last
    words = [phone.word for phone in sequence.phones if phone.word is not None]
    assert words == sorted(words)
    assert all(0 <= word < len(text.words) for word in words)
    assert all(count > 0 for count in sequence.unknown.values())
