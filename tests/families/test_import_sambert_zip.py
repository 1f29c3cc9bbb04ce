"""Zips of models: what leads elsewhere, lies or is damaged."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.families.sambert_directories import (
    AM,
    VOICE,
    Change,
    refused,
    written,
    zipped,
)
from voxswap_families.sambert.importer import find_sambert
from voxswap_registry.errors import ImportSourceError


def member(name: str, data: bytes = b"x", **changes: Any) -> Change:
    def write(path: Path) -> None:
        info = zipfile.ZipInfo(name)
        for key, value in changes.items():
            setattr(info, key, value)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(info, data)

    return write


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (member("../outside"), "leads out of the folder"),
        (member("voices/../../outside"), "leads out of the folder"),
        (member("/etc/cron.d/voice"), "leads out of the folder"),
        (member("C:/voice"), "leads out of the folder"),
        (member("voices\\voice"), "characters that no file"),
        (member("voices/\x1b[31m"), "characters that no file"),
        (member("a/" * 20 + "x"), "too long a name"),
        (member("x" * 600), "too long a name"),
        (member("link", b"/etc/passwd", external_attr=(stat.S_IFLNK | 0o777) << 16), "is a link"),
    ],
)
def test_members_that_lead_elsewhere_are_refused(
    model: Callable[..., Path], change: Change, message: str
) -> None:
    path = zipped(model())
    change(path)
    with pytest.raises(ImportSourceError, match=message):
        find_sambert(path)


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_a_member_that_is_there_twice_is_refused(model: Callable[..., Path]) -> None:
    path = zipped(model())
    member("voices/voices.json", b'{"voices": ["other"]}')(path)
    with pytest.raises(ImportSourceError, match=r"'voices/voices.json' is there twice"):
        find_sambert(path)


def test_a_member_that_unpacks_to_more_than_is_read_is_refused(model: Callable[..., Path]) -> None:
    folder = model("sambert", written(f"{VOICE}/am/config.yaml", b"#" * (64 << 20)))
    path = zipped(folder)
    assert path.stat().st_size < 4 << 20
    assert "unpacks to more than the 262144 bytes" in refused(path)


def test_a_zip_that_is_cut_short_is_refused(model: Callable[..., Path]) -> None:
    path = zipped(model())
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(ImportSourceError, match="is no zip"):
        find_sambert(path)


def test_a_zip_whose_bytes_were_changed_is_refused(model: Callable[..., Path]) -> None:
    path = zipped(model())
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(AM)
    middle = info.header_offset + info.compress_size // 2
    data[middle : middle + 64] = bytes(64)
    path.write_bytes(data)
    assert "cannot be unpacked" in refused(path)


def test_folders_of_others_are_not_gone_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        (tmp_path / f"{number}.wav").touch()
    monkeypatch.setattr("voxswap_families.importing.archive._MAX_FILES", 10)
    assert find_sambert(tmp_path) is None
    (tmp_path / "voices").mkdir()
    with pytest.raises(ImportSourceError, match="holds more than 10 files"):
        find_sambert(tmp_path)
