"""What tests of engines share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tests.families.sambert_directories import Change
from voxswap_families.layers.native import library
from voxswap_families.sambert.fabricate import fabricate_model
from voxswap_families.sambert.variants import VARIANTS

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


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A model of each sort, made once; not to be changed."""
    made: dict[str, Path] = {}

    def model(kind: str) -> Path:
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp(kind)
            fabricate_model(VARIANTS[kind], made[kind], 1, "tiny")
        return made[kind]

    return model


@pytest.fixture
def model(models: Callable[[str], Path], tmp_path: Path) -> Callable[..., Path]:
    """A copy of one, to be spoilt."""

    def copied(kind: str = "sambert", *changes: Change) -> Path:
        folder = tmp_path / kind
        shutil.copytree(models(kind), folder)
        for change in changes:
            change(folder)
        return folder

    return copied
