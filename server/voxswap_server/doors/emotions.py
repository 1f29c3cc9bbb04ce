"""Emotions in one word or line, for protocols that have no more room: ``angry=0.7, sad=0.2``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from voxswap_registry.emotions import EMOTIONS, NEUTRAL, meaning
from voxswap_server.speech.asking import MAX_EMOTIONS

_SHARE: Final = re.compile(r"\s*([^=,;]{1,64}?)\s*(?:=\s*([+-]?[0-9.eE+-]{1,20}|nan|inf))?\s*")
#: What is said where the emotion is to be read off the text.
AUTO: Final = "auto"


def mixture_in(text: str) -> list[tuple[str, float]] | None:
    """The shares of ``angry=0.7, sad=0.2``, one without a number being 1; None for other texts."""
    parts = text.split(",", maxsplit=MAX_EMOTIONS)
    found = [_SHARE.fullmatch(part) for part in parts]
    try:
        return [(m[1], float(m[2] or 1.0)) for m in found]  # type: ignore[index] # see below
    except (TypeError, ValueError):
        return None


def is_vocabulary(mixture: Sequence[tuple[str, float]]) -> bool:
    """Whether each of its emotions means the same on every voice."""
    return all(meaning(name) in (*EMOTIONS, NEUTRAL) for name, _ in mixture)
