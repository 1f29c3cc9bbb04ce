"""Small models as ModelScope publishes them, and ways to spoil them."""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from voxswap_families.importing.request import ImportRequest
from voxswap_families.sambert.importer import find_sambert, import_sambert
from voxswap_registry.clock import utc_now
from voxswap_registry.draft import VoiceDraft
from voxswap_registry.errors import ImportSourceError
from voxswap_registry.progress import NullProgress

NAME = "fabricated_emo"
VOICE = f"voices/{NAME}"
AM, VOC = f"{VOICE}/am/ckpt/checkpoint_980000.pth", f"{VOICE}/voc/ckpt/checkpoint_980000.pth"
Change = Callable[[Path], object]


def asked(workdir: Path, **changes: Any) -> ImportRequest:
    request = ImportRequest(
        "zh/new", "auto", None, None, None, workdir / "work", NullProgress(), utc_now
    )
    return dataclasses.replace(request, **changes)


def imported(path: Path, **changes: Any) -> VoiceDraft:
    found = find_sambert(path)
    assert found is not None
    return import_sambert(found, asked(path.parent, **changes))


def refused(path: Path, **changes: Any) -> str:
    """What is told of it."""
    with pytest.raises(ImportSourceError) as raised:
        imported(path, **changes)
    assert str(path) in raised.value.message
    return raised.value.message


def files(draft: VoiceDraft) -> dict[str, Path]:
    return {part.role: part.path for part in draft.components if part.path is not None}


def zipped(folder: Path, prefix: str = "") -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, f"{prefix}{file.relative_to(folder).as_posix()}")
    return path


def edit_weights(path: str, name: str, change: Callable[[torch.Tensor], Any]) -> Change:
    """``name`` as ``change`` gives it; left out if that is None."""

    def edit(folder: Path) -> None:
        checkpoint = torch.load(folder / path, weights_only=True)
        tensors = checkpoint["model"].get("generator", checkpoint["model"])
        changed = change(tensors.pop(name)) if name in tensors else change(torch.zeros(1))
        if changed is not None:
            tensors[name] = changed
        torch.save(checkpoint, folder / path)

    return edit


def edit_yaml(path: str, *keys: str, to: Any) -> Change:
    """The value at ``keys``; left out if it is None."""

    def edit(folder: Path) -> None:
        file = folder / path
        config = inner = yaml.safe_load(file.read_text("utf-8"))
        for key in keys[:-1]:
            inner = inner[key]
        inner.pop(keys[-1], None)
        if to is not None:
            inner[keys[-1]] = to
        file.write_text(yaml.safe_dump(config), "utf-8")

    return edit


def edit_lines(path: str, change: Callable[[list[str]], list[str]]) -> Change:
    def edit(folder: Path) -> None:
        file = folder / path
        lines = change(file.read_text("utf-8").splitlines())
        file.write_text("".join(f"{line}\n" for line in lines), "utf-8")

    return edit


def gone(path: str) -> Change:
    return lambda folder: (folder / path).unlink()


def renamed(path: str, name: str) -> Change:
    return lambda folder: (folder / path).rename((folder / path).with_name(name))


def written(path: str, content: str | bytes) -> Change:
    def write(folder: Path) -> None:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        data = content.encode() if isinstance(content, str) else content
        (folder / path).write_bytes(data)

    return write


def cut_short(path: str) -> Change:
    def cut(folder: Path) -> None:
        data = (folder / path).read_bytes()
        (folder / path).write_bytes(data[: len(data) // 2])

    return cut


def saved(path: str, array: Any) -> Change:
    return lambda folder: np.save(folder / path, array)


def swapped(lines: list[str]) -> list[str]:
    return [lines[1], lines[0], *lines[2:]]
