"""A file from its hash to its use: other files at its path do not matter, writes into it show."""

from __future__ import annotations

import gc
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from blake3 import blake3

from voxswap_registry.errors import DigestMismatchError, RegistryError
from voxswap_registry.manifest import Component
from voxswap_registry.storage.verified import VerifiedFile

DATA = b"the weights of npc/smith" * 100
WRONG = DATA.replace(b"weights", b"WEIGHTS")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "blob"
    found.write_bytes(DATA)
    return found


@pytest.fixture(params=[None, blake3(DATA).hexdigest()], ids=["sha256", "blake3"])
def file(request: pytest.FixtureRequest, path: Path) -> Iterator[VerifiedFile]:
    digest = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
    component = Component("model", digest, len(DATA), "x/y", request.param)
    with path.open("rb") as opened:
        found = VerifiedFile(opened.fileno(), component)
        found.verify(go_on)
        yield found


def go_on() -> None:
    pass


def overwrite(path: Path, data: bytes = WRONG) -> None:
    """In place, with the time of modification set back."""
    before = path.stat()
    with path.open("r+b") as target:
        target.write(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path: Path) -> None:
    path.with_name("new").write_bytes(WRONG)
    path.with_name("new").replace(path)


def exchange_hard_links(path: Path) -> None:
    path.with_name("link").hardlink_to(path)
    path.with_name("link").unlink()


HARMLESS: list[Callable[[Path], object]] = [
    replace,
    exchange_hard_links,
    os.utime,
    Path.unlink,
    lambda path: path.chmod(0o444),
    lambda path: overwrite(path, DATA),
]
HARMFUL: list[Callable[[Path], object]] = [
    overwrite,
    lambda path: os.truncate(path, 10),
    lambda path: path.write_bytes(DATA + b"!"),
    lambda path: path.write_bytes(b""),
]


@pytest.mark.parametrize("change", HARMLESS)
def test_what_changes_no_byte_is_looked_into_and_forgiven(
    path: Path, file: VerifiedFile, change: Callable[[Path], object]
) -> None:
    watched = file.watch()
    assert file.is_unchanged()
    assert watched.is_unchanged()
    change(path)
    assert not watched.is_unchanged()
    assert file.read_bytes() == DATA
    assert watched.verify()
    assert watched.is_unchanged()
    file.verify(go_on)
    assert file.is_unchanged()


@pytest.mark.parametrize("change", HARMFUL)
def test_what_changes_bytes_is_found_wrong_and_stays_so(
    path: Path, file: VerifiedFile, change: Callable[[Path], object]
) -> None:
    watched = file.watch()
    change(path)
    assert not file.is_unchanged()
    assert not watched.is_unchanged()
    if path.stat().st_size > len(DATA):
        assert file.read_bytes() == DATA, "what was appended is not read"
    else:
        with pytest.raises(DigestMismatchError):
            file.read_bytes()
    with pytest.raises(DigestMismatchError):
        file.verify(go_on)
    assert not watched.verify()
    path.write_bytes(DATA)
    assert not watched.is_unchanged()
    assert not watched.verify()
    file.verify(go_on)
    assert file.read_bytes() == DATA, "another load takes it up"


def test_it_is_hashed_again_if_it_is_written_to_meanwhile(path: Path, file: VerifiedFile) -> None:
    writes = iter([WRONG, DATA])

    def check() -> None:
        if (data := next(writes, None)) is not None:
            overwrite(path, data)

    assert file.difference(check) is None
    assert file.is_unchanged()
    with pytest.raises(RegistryError, match="is being written to; try again"):
        file.difference(lambda: overwrite(path, DATA))


def test_a_watch_that_never_finds_it_at_rest_gives_it_up(
    path: Path, file: VerifiedFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched, real = file.watch(), os.preadv

    def preadv(*args: object) -> int:
        os.utime(path)
        return real(*args)  # type: ignore[arg-type]

    os.utime(path)
    monkeypatch.setattr(os, "preadv", preadv)
    assert not watched.verify()


def test_a_watch_has_one_descriptor_for_as_long_as_it_lives(file: VerifiedFile) -> None:
    def n_open() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    gc.collect()
    before = n_open()
    watches = [file.watch() for _ in range(10)]
    assert n_open() == before + 10
    watches.clear()
    assert n_open() == before


def test_a_descriptor_that_cannot_be_looked_at_is_no_unchanged_file(
    file: VerifiedFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stale(*_: object) -> None:
        raise OSError(116, "Stale file handle")

    watched = file.watch()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", stale)
        assert not watched.is_unchanged()
    assert watched.verify()


def test_a_file_of_just_now_is_given_time_to_show_the_next_change(
    path: Path, file: VerifiedFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two writes in one tick of the clock leave the same times."""
    slept: list[float] = []
    changed_ns = path.stat().st_ctime_ns
    now_ns = changed_ns + 5_000_000

    def sleep(seconds: float) -> None:
        nonlocal now_ns
        slept.append(seconds)
        now_ns += round(seconds * 1e9)

    monkeypatch.setattr("voxswap_registry.storage.verified.time.time_ns", lambda: now_ns)
    monkeypatch.setattr("voxswap_registry.storage.verified.time.sleep", sleep)
    VerifiedFile(file.fd, file.component, settled=True)
    assert slept == []
    VerifiedFile(file.fd, file.component)
    assert slept == [pytest.approx(0.007)]
    VerifiedFile(file.fd, file.component)
    now_ns = changed_ns - 3_600 * 10**9  # a clock that was set back cannot be waited for
    VerifiedFile(file.fd, file.component)
    assert len(slept) == 1


def test_what_is_no_regular_file_is_refused(tmp_path: Path, file: VerifiedFile) -> None:
    for name in (tmp_path, Path("/dev/zero")):
        descriptor = os.open(name, os.O_RDONLY)
        try:
            with pytest.raises(RegistryError, match="no regular file"):
                VerifiedFile(descriptor, file.component)
        finally:
            os.close(descriptor)
