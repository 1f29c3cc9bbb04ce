"""Emotions as people write them in a flag or a cell: ``angry=0.7, sad=0.2``, or ``auto``."""

from __future__ import annotations

#: In place of an emotion's name: what each sentence says.
AUTO = "auto"


def emotion_in(text: str) -> str | dict[str, float]:
    """``angry=0.7, sad=0.2`` as shares by name, ``sad`` alone being all of it; or ``auto``.

    Raises `ValueError` for anything else.
    """
    if text.strip().lower() == AUTO:
        return AUTO
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, sign, share = (word.strip() for word in part.partition("="))
        if not name or name in shares or name.lower() == AUTO:
            raise ValueError(f"{text!r} names no emotions, each once; write angry=0.7, sad=0.2")
        try:
            shares[name] = float(share) if sign else 1.0
        except ValueError:
            raise ValueError(f"{part.strip()!r} has no number; write {name}=0.7") from None
    return shares
