"""Reads the corpus: lines of sixteen languages, each with what is to be spoken for it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from voxswap_families.text import NormalizedText
from voxswap_server.text.normalization import normalize

_FOLDER = Path(__file__).with_name("corpus")
_TAGS = {"en": "en-US", "english": "en-US", "zh": "zh-CN"}


def lines(name: str) -> list[tuple[str, str, str]]:
    """The language, what is written and what is spoken, of each line of a file.

    "[pt-BR] " in front of a line is another tag than the file's.
    """
    found = []
    for line in (_FOLDER / f"{name}.md").read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            tag, rest = re.fullmatch(r"(?:\[([a-z]{2}-[A-Z]{2})\] )?(.*)", line).groups()
            written, spoken = rest.rsplit(" | ", 1)
            found.append((tag or _TAGS.get(name, name), written.strip(), spoken.strip()))
    return found


NAMES = sorted(path.stem for path in _FOLDER.glob("*.md"))
LINES = [line for name in NAMES for line in lines(name)]


def read(language: str, written: str) -> NormalizedText:
    text = normalize(written, language)
    if language != "zh-CN":
        return text
    pytest.importorskip("kaldifst", reason="needs the extra mandarin")
    from voxswap_server.text.mandarin.reader import shared_reader

    return shared_reader().read(text, english=False).text
