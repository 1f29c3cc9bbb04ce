"""What a terminal shows, read back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Capsys = pytest.CaptureFixture[str]
#: Makes clients, of a server's address or of the fixture's; all have the face of an `AsyncClient`.
Connect = Callable[..., Any]
#: Runs a command: its exit code, and the lines of stdout and stderr.
Voxswap = Callable[..., tuple[int, list[str], list[str]]]


def unwrapped(text: str) -> list[str]:
    """Lines with their continuations, which are indented by four, joined on again."""
    return text.replace("\n    ", " ").splitlines()
