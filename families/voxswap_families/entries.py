"""Entries of a stranger's ``engine_config``: whole numbers within bounds, also in lists."""

from __future__ import annotations

from typing import Any, Final

MAX_ENTRIES: Final = 8  # of a list


def whole_numbers(name: str, value: Any, depth: int, bounds: tuple[int, int]) -> Any:
    """``value`` with its lists as tuples, if it is whole numbers nested ``depth`` deep.

    Each from the first of ``bounds`` to the second. Raises `ValueError` that begins with ``name``.
    """
    if depth:
        if not isinstance(value, list | tuple):
            raise ValueError(f"{name} has {shown_entry(value)} where a list belongs")
        if not 1 <= len(value) <= MAX_ENTRIES:
            raise ValueError(f"{name} has a list of {len(value)}; 1 to {MAX_ENTRIES} are taken")
        return tuple(whole_numbers(name, inner, depth - 1, bounds) for inner in value)
    least, most = bounds
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(
            f"{name} has {shown_entry(value)} where a whole number from {least} to {most} belongs"
        )
    return value


def shown_entry(value: Any) -> str:
    """A stranger's value, short enough for a message."""
    if isinstance(value, int) and value.bit_length() > 64:  # Printing it may take long, or fail.
        return f"a number of {value.bit_length()} bits"
    return f"a {type(value).__name__}" if isinstance(value, list | dict) else f"{value!r:.40}"
