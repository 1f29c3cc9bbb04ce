"""Decoding of VITS voices, whatever computes them here, put in a test's hands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from voxswap_families.vits.native_voice import NativeVitsUtterance
from voxswap_families.vits.voice import VitsUtterance

#: Of an utterance and the frames that are asked for.
Decode = Callable[[Any, int, int], Any]


def patch_decode(monkeypatch: pytest.MonkeyPatch, wrap: Callable[[Decode], Decode]) -> None:
    """Decode by what ``wrap`` makes of each kind's own way."""
    for kind in (VitsUtterance, NativeVitsUtterance):
        monkeypatch.setattr(kind, "decode", wrap(kind.decode))
