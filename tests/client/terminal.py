"""What a terminal shows, read back."""

from __future__ import annotations


def unwrapped(text: str) -> list[str]:
    """Lines with their continuations, which are indented by four, joined on again."""
    return text.replace("\n    ", " ").splitlines()
