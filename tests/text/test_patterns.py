"""What regular expressions of ours must not use."""

from __future__ import annotations

import re
from pathlib import Path

import voxswap_server.text

_POSSESSIVE_GROUP = re.compile(r"\)(?:[+*?]|\{\{?[\d,]+\}?\})\+")


def test_no_group_is_repeated_possessively() -> None:
    """Python before 3.11.5, as in Debian 12, matches them wrongly (cpython issue 106052).

    Atomic groups, ``(?>(?:…)+)``, mean the same and are right everywhere.
    """
    folder = Path(voxswap_server.text.__file__).parent
    found = [
        f"{path.name}:{number}"
        for path in sorted(folder.rglob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if 'r"' in line or 'rf"' in line
        if _POSSESSIVE_GROUP.search(line)
    ]
    assert not found
