"""Each way in which a directory of ModelScope's can be wrong has an error that says so."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.families.sambert_directories import (
    refused,
)
from tests.families.sambert_faults import FAULTS


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_what_is_wrong_is_told(
    model: Callable[..., Path], fault: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kind, change, message = FAULTS[fault]
    monkeypatch.chdir(tmp_path)
    folder = model(kind, change)
    told = refused(folder)
    assert re.search(message, told, re.DOTALL), told
    assert not (tmp_path / "was_run").exists()
    # Nothing was written for a voice that is none.
    assert not (tmp_path / "work").exists()
