"""Reading style packs: from a folder, from npm's tarball, and from what only looks like one."""

from __future__ import annotations

import gzip
import os
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.families.pack_fakes import CONTENTS, know_fakes, pack, write_packs, write_tarball
from voxswap_families.kokoro import pack_files
from voxswap_families.kokoro.pack_files import chosen_packs, read_packs
from voxswap_families.kokoro.packs import GRADES, PACK_BYTES, PACKS
from voxswap_registry.errors import ImportSourceError, InvalidInputError
from voxswap_registry.progress import NullProgress

ONE = {"af_heart": CONTENTS["af_heart"]}


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    know_fakes(monkeypatch)


def read(source: Path, *patterns: str) -> dict[str, bytes]:
    wanted = chosen_packs(patterns)
    return dict(read_packs(source, patterns, wanted, NullProgress()))


def test_what_is_known_of_all_of_them() -> None:
    assert len(PACKS) == len(set(PACKS.values())) == 54
    assert {name: len(digest) for name, digest in PACKS.items()} == dict.fromkeys(PACKS, 64)
    assert GRADES.keys() == {name for name in PACKS if name[0] in "ab"}
    best = {name for name, grade in GRADES.items() if grade in {"A", "A-", "B-", "C+"}}
    assert len(best) == 10


@pytest.mark.parametrize(
    ("patterns", "count"),
    [((), 54), (("zf_*", "zm_*"), 8), (("z*", "zf_xiaobei"), 8), (("af_heart",), 1), (("*",), 54)],
)
def test_patterns_choose(patterns: tuple[str, ...], count: int) -> None:
    assert len(chosen_packs(patterns)) == count


@pytest.mark.parametrize(
    ("pattern", "told"),
    [("af_hart", "af_heart"), ("xx_*", "zf_xiaoxiao"), ("", "zf_xiaoxiao"), ("AF_*", "am_")],
)
def test_a_pattern_that_matches_nothing_is_named(pattern: str, told: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        chosen_packs(["z*", pattern])
    (violation,) = caught.value.violations
    assert violation.field == "only"
    assert repr(pattern) in violation.description
    assert told in violation.description


@pytest.mark.usefixtures("fakes")
def test_a_tarball_is_read(tmp_path: Path) -> None:
    path = write_tarball(tmp_path / "packs.tgz", {**CONTENTS, "af_unknown": pack(0.9)})
    assert read(path) == dict(CONTENTS)
    assert read(path, "zf_*", "af_heart").keys() == {"af_heart", "zf_xiaoxiao"}


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize("below", ["", "voices", "package/voices"])
def test_a_folder_is_read(below: str, tmp_path: Path) -> None:
    write_packs(tmp_path / "packs" / below, CONTENTS)
    assert read(tmp_path / "packs") == dict(CONTENTS)
    assert read(tmp_path / "packs", "ef_*").keys() == {"ef_dora"}


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize("make", [write_packs, write_tarball])
def test_a_source_with_some_of_them(make: Callable[..., Path], tmp_path: Path) -> None:
    some = {name: CONTENTS[name] for name in ("af_heart", "zf_xiaoxiao")}
    source = make(tmp_path / "source", some)
    assert read(source) == some
    assert read(source, "?f_*") == some
    with pytest.raises(ImportSourceError, match=r"source has none of the packs 'ef_\*', such as"):
        read(source, "af_*", "ef_*")


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize("make", [write_packs, write_tarball])
def test_a_source_with_none_of_them(make: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(ImportSourceError, match=r"npm pack kokoro-js@1\.2\.1"):
        read(make(tmp_path / "source", {}))


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize("make", [write_packs, write_tarball])
def test_a_pack_with_other_bytes_is_refused(make: Callable[..., Path], tmp_path: Path) -> None:
    other = {**CONTENTS, "zf_xiaoxiao": pack(0.7)}
    source = make(tmp_path / "source", other)
    with pytest.raises(ImportSourceError, match=r"zf_xiaoxiao\.bin has the SHA-256 .* trusts"):
        read(source)
    assert read(source, "af_heart") == ONE


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize("make", [write_packs, write_tarball])
@pytest.mark.parametrize("size_bytes", [0, PACK_BYTES - 4, PACK_BYTES + 4])
def test_a_pack_of_another_size_is_refused(
    make: Callable[..., Path], size_bytes: int, tmp_path: Path
) -> None:
    source = make(tmp_path / "source", {"af_heart": b"\0" * size_bytes})
    with pytest.raises(ImportSourceError, match=f"af_heart.bin has {size_bytes} bytes"):
        read(source)


def member(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, link
    return found


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize(
    "odd",
    [
        member("package/voices/zm_yunxi.bin", tarfile.SYMTYPE, "/etc/passwd"),
        member("package/voices/zm_yunxi.bin", tarfile.LNKTYPE, "package/voices/af_heart.bin"),
        member("package/voices/zm_yunxi.bin", tarfile.DIRTYPE),
        member("package/voices/zm_yunxi.bin", tarfile.FIFOTYPE),
    ],
    ids=["link", "hard link", "folder", "pipe"],
)
def test_a_member_that_is_no_file(odd: tarfile.TarInfo, tmp_path: Path) -> None:
    path = write_tarball(tmp_path / "packs.tgz", ONE, odd)
    assert read(path, "af_*") == ONE
    with pytest.raises(ImportSourceError, match=r"zm_yunxi\.bin is no file"):
        read(path, "zm_*")


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize(
    "folder", ["../package/voices", "/package/voices", "package/voices/..", "package"]
)
def test_names_that_lead_elsewhere_are_none_of_ours(folder: str, tmp_path: Path) -> None:
    path = write_tarball(tmp_path / "packs.tgz", CONTENTS, folder=folder)
    with pytest.raises(ImportSourceError, match="has none of the packs"):
        read(path)
    assert [each.name for each in tmp_path.iterdir()] == ["packs.tgz"]


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize(
    "spoil",
    [
        lambda whole: b"",
        lambda whole: whole[:1000],
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[: len(whole) // 2] + b"\xff" * 100 + whole[len(whole) // 2 + 100 :],
        lambda whole: b"PK\x03\x04" + whole[4:],
    ],
    ids=["empty", "beginning", "half", "middle", "no gzip"],
)
def test_a_damaged_tarball(spoil: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = write_tarball(tmp_path / "packs.tgz", CONTENTS)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(ImportSourceError, match=r"npm pack kokoro-js@1\.2\.1") as caught:
        read(path)
    assert str(path) in str(caught.value)


@pytest.mark.usefixtures("fakes")
def test_whatever_a_header_says_only_known_bytes_come_of_it(tmp_path: Path) -> None:
    whole = bytearray(gzip.decompress(write_tarball(tmp_path / "packs.tgz", ONE).read_bytes()))
    path = tmp_path / "spoilt.tgz"
    chance = random.Random(16)
    outcomes = set()
    for _ in range(150):
        spoilt = whole.copy()
        spoilt[156] = chance.choice(b"0001235ghgxKLSV")  # what kind of member it is
        for _ in range(chance.randrange(4)):
            spoilt[chance.randrange(512)] = chance.randrange(256)
        # A size as its own field has it: also a negative one.
        spoilt[124:136] = chance.choice((b"00001774000\0", b"\xff" * 12, b"\x80" + b"\xff" * 11))
        spoilt[148:156] = b" " * 8
        spoilt[148:156] = b"%06o\0 " % sum(spoilt[:512])
        path.write_bytes(gzip.compress(bytes(spoilt), 1))
        try:
            assert read(path) == ONE
            outcomes.add("read")
        except ImportSourceError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


@pytest.mark.usefixtures("fakes")
def test_a_tarball_that_unpacks_to_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_tarball(tmp_path / "packs.tgz", {"filling": b"\0" * (4 << 20), **ONE})
    assert read(path) == ONE
    monkeypatch.setattr(pack_files, "_MAX_UNPACKED_BYTES", 4 << 20)
    with pytest.raises(ImportSourceError, match="unpacks to more than 4194304 bytes"):
        read(path)


@pytest.mark.usefixtures("fakes")
def test_a_tarball_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_tarball(tmp_path / "packs.tgz", ONE)
    monkeypatch.setattr(pack_files, "_MAX_TARBALL_BYTES", 100)
    with pytest.raises(ImportSourceError, match="100 at most are read from such a file"):
        read(path)


@pytest.mark.usefixtures("fakes")
def test_what_is_neither_a_tarball_nor_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ImportSourceError, match="there is no such file"):
        read(tmp_path / "absent.tgz")
    os.mkfifo(tmp_path / "pipe.tgz")
    with pytest.raises(ImportSourceError, match="is not a regular file"):
        read(tmp_path / "pipe.tgz")
