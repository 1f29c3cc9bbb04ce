"""What tests of engines share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch

from voxswap_families.layers.native import library

# scripts/sanitize has libraries of its own, which tests may ask for while they are collected.
if os.environ.get("KERNELS") == "sanitized":
    setattr(library, "FOLDER", library.FOLDER / "sanitized")  # noqa: B010 - it is final elsewhere


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Compute as a server does: teams of threads part the rows of products."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
