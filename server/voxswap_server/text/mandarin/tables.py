"""Tables that are written as text."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType


def names(listing: str) -> frozenset[str]:
    """What stands between blanks."""
    return frozenset(listing.split())


def pairs(listing: str) -> Mapping[str, str]:
    """``name=meaning`` between blanks; the last = of each parts them."""
    return MappingProxyType(
        {name: meaning for name, _, meaning in (pair.rpartition("=") for pair in listing.split())}
    )
