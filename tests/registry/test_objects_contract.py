"""What every `Objects` does: a folder's, memory's, a bucket's over HTTP, and the tests' own."""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import os
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from io import FileIO
from pathlib import Path

import pytest

from tests.registry.drafts import make_draft
from tests.registry.faults import (
    ClockedObjects,
    Crash,
    FaultyObjects,
    HookedObjects,
)
from tests.registry.stores import (
    FORBIDDEN,
    KEY_ID,
    REGION,
    SECRET,
    S3Server,
    memory_objects,
    s3_objects,
    without_ambient_settings,
)
from voxswap_registry.errors import InvalidInputError, ObjectMissingError, RegistryError
from voxswap_registry.names import VoiceRef
from voxswap_registry.storage.bucket import BucketObjects
from voxswap_registry.storage.folder import FolderObjects
from voxswap_registry.storage.location import is_bucket, open_objects
from voxswap_registry.storage.objects import Objects
from voxswap_registry.store import Registry

KEY = "voices/npc/smith@/v1.json"
BLOCK = 8 << 20  # as much as a bucket's objects send in one part


@pytest.fixture(params=["folder", "memory", "s3", "faulty", "hooked", "clocked"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    """Every kind there is; the wrappers, while nothing is asked of them, are no other."""
    if request.param == "folder":
        return FolderObjects(tmp_path / "objects")
    if request.param == "s3":
        server: S3Server = request.getfixturevalue("s3")
        return server.objects()
    wrappers: dict[str, Callable[[Objects], Objects]] = {
        "memory": lambda inner: inner,
        "faulty": FaultyObjects,
        "hooked": HookedObjects,
        "clocked": ClockedObjects,
    }
    return wrappers[request.param](memory_objects())


def keys(objects: Objects, folder: str, *, after: str = "") -> list[str]:
    found = sorted(info.key for info in objects.list(folder, after=after))
    if objects.readers == 1 or folder != "journal":  # Or somebody writes meanwhile.
        assert sorted(objects.keys(folder, after=after)) == found
    return found


def blocks(*data: bytes) -> Iterator[memoryview]:
    """Blocks in one buffer that is used again and again, as publishing makes them."""
    buffer = memoryview(bytearray(max(map(len, data), default=1)))
    for block in data:
        buffer[: len(block)] = block
        yield buffer[: len(block)]


def raising(error: BaseException, *data: bytes) -> Iterator[memoryview]:
    yield from blocks(*data)
    raise error


# Reading what was written


def test_what_was_written_is_read(objects: Objects) -> None:
    objects.replace(KEY, b"one")
    assert objects.read(KEY, limit_bytes=10) == b"one"
    assert list(objects.stream(KEY)) == [b"one"]
    info = objects.head(KEY)
    assert info is not None
    assert (info.key, info.size_bytes) == (KEY, 3)
    assert info.modified.tzinfo is not None
    assert list(objects.list("voices")) == [info]


def test_etag_differs_with_the_bytes(objects: Objects) -> None:
    etags = set()
    for data in (b"one", b"two", b"three"):
        objects.replace(KEY, data)
        info = objects.head(KEY)
        assert info is not None
        assert info.etag
        etags.add(info.etag)
    assert len(etags) == 3


def test_times_are_those_of_writing(objects: Objects) -> None:
    if isinstance(objects, ClockedObjects):
        objects.now = datetime.now(UTC)
    before = datetime.now(UTC) - timedelta(seconds=2)  # S3 tells whole seconds.
    objects.replace(KEY, b"one")
    info = objects.head(KEY)
    assert info is not None
    assert before < info.modified < datetime.now(UTC) + timedelta(seconds=2)


@pytest.mark.parametrize(("limit", "found"), [(0, b"1"), (4, b"12345"), (5, b"12345")])
def test_reading_stops_one_byte_above_the_limit(limit: int, found: bytes, objects: Objects) -> None:
    objects.replace(KEY, b"12345")
    assert objects.read(KEY, limit_bytes=limit) == found


def test_empty_object(objects: Objects) -> None:
    assert objects.create(KEY, b"")
    assert objects.read(KEY, limit_bytes=0) == b""
    assert list(objects.stream(KEY)) == []
    objects.upload("blobs/empty", iter([]))
    assert objects.read("blobs/empty", limit_bytes=10) == b""


def test_what_is_not_there(objects: Objects) -> None:
    for _ in range(2):  # Before there is anything at all, and after.
        assert objects.head(KEY) is None
        assert objects.read(KEY, limit_bytes=10) is None
        assert list(objects.list("voices")) == []
        objects.delete(KEY)
        stream = objects.stream(KEY)
        with pytest.raises(ObjectMissingError):
            next(stream)
        objects.replace("journal/000000000001.json", b"x")


def test_folders_are_no_objects(objects: Objects) -> None:
    objects.replace("voices/npc/smith@/v1.json", b"x")
    for key in ("voices", "voices/npc", "voices/npc/smith@"):
        assert objects.head(key) is None
    assert keys(objects, "voices/npc/smith@/v1") == []


@pytest.mark.parametrize("start", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, BLOCK + 3, BLOCK + 4])
def test_stream_from_an_offset(start: int, objects: Objects) -> None:
    data = bytes(BLOCK) + b"end"
    objects.upload("blobs/b", blocks(data))
    assert b"".join(objects.stream("blobs/b", start=start)) == data[start:]


def test_stream_comes_in_blocks(objects: Objects) -> None:
    objects.upload("blobs/b", blocks(bytes(2 * BLOCK + 1)))
    sizes = [len(block) for block in objects.stream("blobs/b")]
    assert sum(sizes) == 2 * BLOCK + 1
    assert max(sizes) <= BLOCK


# Creating


def test_only_the_first_creates(objects: Objects) -> None:
    assert objects.create(KEY, b"first")
    assert not objects.create(KEY, b"second")
    assert objects.read(KEY, limit_bytes=10) == b"first"


def test_equal_bytes_are_no_reason_to_win(objects: Objects) -> None:
    assert objects.create(KEY, b"same")
    assert not objects.create(KEY, b"same")


def test_what_was_deleted_can_be_created(objects: Objects) -> None:
    assert objects.create(KEY, b"1")
    objects.delete(KEY)
    assert objects.create(KEY, b"2")
    objects.replace(KEY, b"3")
    assert not objects.create(KEY, b"4")
    assert objects.read(KEY, limit_bytes=1) == b"3"


@pytest.mark.parametrize("alike", [False, True], ids=["different bytes", "same bytes"])
def test_of_creators_at_once_one_wins(alike: bool, objects: Objects) -> None:
    n = 8
    for round_number in range(5):
        key, gate = f"voices/v@/s{round_number + 1}.json", threading.Barrier(n)

        def create(i: int, key: str = key, gate: threading.Barrier = gate) -> bool:
            gate.wait(30)
            return objects.create(key, b"same" if alike else bytes([i]))

        with concurrent.futures.ThreadPoolExecutor(n) as pool:
            won = [i for i, created in enumerate(pool.map(create, range(n))) if created]
        assert len(won) == 1
        assert objects.read(key, limit_bytes=4) == (b"same" if alike else bytes(won))


def test_creator_whose_answer_was_lost_has_won(s3: S3Server) -> None:
    objects = s3.objects(retries=3)
    asked = []

    def lose_first(method: str, path: str) -> bool:
        if method == "PUT" and path.endswith(KEY):
            asked.append(path)
        return len(asked) == 1

    s3.loses_answer = lose_first
    try:
        assert objects.create(KEY, b"ours")
    finally:
        s3.loses_answer = lambda _method, _path: False
    assert len(asked) == 2
    assert not objects.create(KEY, b"ours")


# Uploading


def test_upload_of_many_blocks(objects: Objects) -> None:
    data = [bytes([i]) * (3 << 20) for i in range(6)] + [b"end"]
    objects.upload("blobs/b", blocks(*data))
    assert b"".join(objects.stream("blobs/b")) == b"".join(data)
    objects.upload("blobs/b", blocks(b"small"))
    assert b"".join(objects.stream("blobs/b")) == b"small"


def test_blocks_may_use_the_objects_themselves(objects: Objects) -> None:
    """As a publisher does, who renews its marker between two blocks."""

    def renewing() -> Iterator[memoryview]:
        for i in range(10):
            objects.replace("publishing/x.json", b"%d" % i)
            yield memoryview(b"block")
            assert objects.head("publishing/x.json")

    objects.upload("blobs/b", renewing())
    assert b"".join(objects.stream("blobs/b")) == b"block" * 10
    assert objects.read("publishing/x.json", limit_bytes=1) == b"9"


@pytest.mark.parametrize("n_blocks", [0, 1, 5])
@pytest.mark.parametrize("error", [RegistryError("torn"), Crash()], ids=repr)
@pytest.mark.parametrize("old", [None, b"old"])
def test_upload_whose_blocks_end_early_changes_nothing(
    n_blocks: int, error: BaseException, old: bytes | None, objects: Objects
) -> None:
    if old is not None:
        objects.replace("blobs/b", old)
    with pytest.raises(type(error)) as caught:
        objects.upload("blobs/b", raising(error, *[bytes(3 << 20)] * n_blocks))
    assert caught.value is error
    assert objects.read("blobs/b", limit_bytes=10) == old
    assert keys(objects, "blobs") == (["blobs/b"] if old else [])
    if isinstance(objects, FolderObjects):
        assert not list(objects.root.glob("tmp/*"))


def reading(file: FileIO, error: BaseException | None = None) -> Iterator[memoryview]:
    """The blocks of ``file``; ``error`` in place of its end."""
    while block := file.read(3):
        yield memoryview(block)
    if error is not None:
        raise error


@pytest.fixture(params=["on its way", "elsewhere"])
def source(request: pytest.FixtureRequest, objects: Objects, tmp_path: Path) -> Iterator[FileIO]:
    """A file that is uploaded: in a folder of the registry's own, or anywhere."""
    with Registry(objects, workdir=tmp_path / "work").workdir() as workdir:
        path = (workdir if request.param == "on its way" else tmp_path) / "file"
        path.write_bytes(b"12345678")
        with path.open("rb", buffering=0) as file:
            yield file


@pytest.mark.parametrize("old", [None, b"old"])
def test_upload_of_a_file(old: bytes | None, objects: Objects, source: FileIO) -> None:
    if old is not None:
        objects.replace("blobs/b", old)
    objects.upload("blobs/b", reading(source), source=source)
    assert objects.read("blobs/b", limit_bytes=10) == b"12345678"
    assert Path(str(source.name)).read_bytes() == b"12345678"  # It is its maker's to remove.
    objects.upload("blobs/b", blocks(b"another"))
    assert Path(str(source.name)).read_bytes() == b"12345678"


@pytest.mark.parametrize("error", [RegistryError("torn"), Crash()], ids=repr)
@pytest.mark.parametrize("old", [None, b"old"])
def test_upload_of_a_file_that_ends_early_changes_nothing(
    error: BaseException, old: bytes | None, objects: Objects, source: FileIO
) -> None:
    if old is not None:
        objects.replace("blobs/b", old)
    with pytest.raises(type(error)) as caught:
        objects.upload("blobs/b", reading(source, error), source=source)
    assert caught.value is error
    assert objects.read("blobs/b", limit_bytes=10) == old
    if isinstance(objects, FolderObjects):
        assert [p for p in objects.root.glob("tmp/*") if not p.name.startswith("import-")] == []


def test_upload_that_ends_early_costs_nothing_afterwards(s3: S3Server) -> None:
    bucket = s3.new_bucket()
    with pytest.raises(Crash):
        s3.objects(bucket).upload("blobs/b", raising(Crash(), *[bytes(3 << 20)] * 5))
    assert b"<Upload>" not in s3.request("GET", f"/{bucket}?uploads")


# Listing and deleting


def test_list_is_nested_and_of_that_folder_alone(objects: Objects) -> None:
    names = ["npc@/v1.json", "npc@/s1.json", "npc/smith@/v1.json", "npc/smith/old@/v1.json"]
    for name in [*names, "npcs@/v1.json", "np@/v1.json"]:
        objects.replace(f"voices/{name}", b"x")
    objects.replace("journal/000000000001.json", b"x")
    assert len(keys(objects, "voices")) == 6
    assert keys(objects, "voices/npc@") == ["voices/npc@/s1.json", "voices/npc@/v1.json"]
    assert keys(objects, "voices/npc") == sorted(f"voices/{name}" for name in names[2:])
    assert keys(objects, "voices/np") == []


def test_list_after(objects: Objects) -> None:
    for number in (1, 2, 9, 10, 11):
        objects.replace(f"journal/{number:012d}.json", b"x")
    listed = keys(objects, "journal", after="journal/000000000009.json")
    assert listed == ["journal/000000000010.json", "journal/000000000011.json"]
    # What it comes after need not be there.
    assert keys(objects, "journal", after="journal/000000000005.json")[0].endswith("9.json")
    assert keys(objects, "journal", after="journal/000000000011.json") == []
    assert len(keys(objects, "journal", after="a")) == 5


def test_list_goes_on_after_a_page(s3: S3Server) -> None:
    bucket = s3.new_bucket()
    everything = [f"journal/{number:012d}.json" for number in range(1, 2502)]
    s3.seed(bucket, everything)
    assert keys(s3.objects(bucket), "journal") == everything
    assert keys(s3.objects(bucket), "journal", after=everything[999]) == everything[1000:]


def test_deleting_takes_that_one_alone(objects: Objects) -> None:
    for name in ("v1.json", "v11.json", "v1.json.sig"):
        objects.replace(f"voices/npc@/{name}", b"x")
    for _ in range(2):
        objects.delete("voices/npc@/v1.json")
    assert keys(objects, "voices") == ["voices/npc@/v1.json.sig", "voices/npc@/v11.json"]


def test_listing_bears_writers_and_deleters(objects: Objects) -> None:
    stays = [f"journal/{number:012d}.json" for number in (1, 500, 999)]
    for key in stays:
        objects.replace(key, b"x")
    stop = threading.Event()

    def come_and_go() -> None:
        for number in itertools.cycle(range(2, 40)):
            objects.replace(f"journal/{number:012d}.json", b"x")
            objects.delete(f"journal/{number:012d}.json")
            if stop.is_set():
                return

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        work = pool.submit(come_and_go)
        try:
            for _ in range(30):
                assert set(stays) <= {info.key for info in objects.list("journal")}
                assert set(stays) <= set(objects.keys("journal"))
        finally:
            stop.set()
        work.result(30)


# Listing a folder in which others have been


def test_folder_lists_links_as_themselves_and_follows_none(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path / "objects")
    objects.replace(KEY, b"one")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "v1.json").write_bytes(b"not ours")
    voices = objects.root / "voices"
    links = {"file": outside / "v1.json", "folder": outside, "nowhere": tmp_path / "nothing"}
    links |= {"itself": voices / "itself", "up": objects.root}
    for name, target in links.items():
        (voices / name).symlink_to(target)
    assert keys(objects, "voices") == sorted([KEY, *(f"voices/{name}" for name in links)])
    assert objects.head("voices/itself") is None
    for name in links:
        with pytest.raises(RegistryError, match="symbolic link"):
            objects.read(f"voices/{name}", limit_bytes=10)


def test_folder_passes_over_what_is_no_object(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path / "objects")
    objects.replace(KEY, b"one")
    for name in (b"\xff", b"a\nb", b"\x7f", "é".encode()):
        folder = os.fsdecode(os.fsencode(objects.root / "voices") + b"/" + name)
        Path(folder).mkdir()
        (Path(folder) / "v1.json").write_bytes(b"x")
    os.mkfifo(objects.root / "voices/pipe")
    assert keys(objects, "voices") == [KEY]
    assert objects.head("voices/pipe") is None  # And nobody waits for its writer.


def test_folder_listing_bears_what_vanishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = FolderObjects(tmp_path / "objects")
    gone, going = objects.root / "voices/gone.json", objects.root / "voices/going@"
    for key in (KEY, "voices/gone.json", "voices/going@/v1.json"):
        objects.replace(key, b"x")
    real = os.scandir

    def scan(path: Path) -> contextlib.nullcontext[list[os.DirEntry[str]]]:
        """What was there a moment ago."""
        entries = list(real(path))
        gone.unlink(missing_ok=True)
        if going.exists():
            going.rename(tmp_path / "moved")
        return contextlib.nullcontext(entries)

    monkeypatch.setattr(os, "scandir", scan)
    assert keys(objects, "voices") == [KEY]


def test_folder_needs_no_obstore() -> None:
    """A native library for buckets, which costs a start that a folder does not owe."""
    code = "import sys, voxswap_registry.store; sys.exit('obstore' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603


# Paths


def test_path_is_where_the_bytes_lie(objects: Objects) -> None:
    objects.upload("blobs/b", blocks(b"bytes"))
    path = objects.path("blobs/b")
    if isinstance(objects, FolderObjects):
        assert path == objects.root / "blobs/b"
        assert path.read_bytes() == b"bytes"
        with pytest.raises(ObjectMissingError):
            objects.path("blobs/a")
        with pytest.raises(RegistryError, match="no regular file"):
            objects.path("blobs")
    else:
        assert path is None
        assert objects.path("blobs/a") is None


# What goes wrong

CALLS: dict[str, Callable[[Objects], object]] = {
    "list": lambda objects: list(objects.list("voices")),
    "head": lambda objects: objects.head(KEY),
    "read": lambda objects: objects.read(KEY, limit_bytes=10),
    "stream": lambda objects: list(objects.stream(KEY)),
    "create": lambda objects: objects.create(KEY, b"x"),
    "replace": lambda objects: objects.replace(KEY, b"x"),
    "upload": lambda objects: objects.upload(KEY, blocks(b"x")),
    "delete": lambda objects: objects.delete(KEY),
}


def refusal(objects: Objects, call: str) -> str:
    """What the error that ``call`` raises says: one line, no secret; where, as detail alone."""
    with pytest.raises(RegistryError) as caught:
        CALLS[call](objects)
    message = str(caught.value)
    assert objects.name in caught.value.detail
    assert objects.name not in caught.value.message
    assert "\n" not in message
    assert "Debug source" not in message
    assert len(message) < 800
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    return message


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of this machine that is taken, and where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.mark.parametrize("call", CALLS)
def test_endpoint_that_cannot_be_reached(call: str, closed_port: int) -> None:
    objects = s3_objects(f"http://127.0.0.1:{closed_port}", "bucket")
    assert "can be reached" in refusal(objects, call)


@pytest.mark.parametrize("call", ["list", "create", "replace", "upload"])
def test_bucket_that_is_not_there(call: str, s3: S3Server) -> None:
    message = refusal(s3.objects("nobody-made-it"), call)
    assert "check that the store is there" in message
    assert "NoSuchBucket" in message


def test_voice_of_a_bucket_that_is_not_there_is_not_said_to_be_unknown(s3: S3Server) -> None:
    with pytest.raises(RegistryError, match="NoSuchBucket"):
        Registry(s3.objects("nobody-made-it")).resolve(VoiceRef("npc/smith"))


@pytest.mark.parametrize("call", CALLS)
def test_unknown_credentials(call: str, s3: S3Server) -> None:
    objects = s3_objects(s3.endpoint, s3.new_bucket(), key_id="AKIANOBODY")
    message = refusal(objects, call)
    assert "the credentials in the environment" in message
    assert call in {"head", "stream"} or "InvalidAccessKeyId" in message


@pytest.mark.parametrize("call", CALLS)
def test_forbidden_bucket(call: str, s3: S3Server) -> None:
    message = refusal(s3.objects(FORBIDDEN), call)
    # obstore does not tell a refused listing from another that failed.
    assert "AccessDenied" in message if call == "list" else "give them the right" in message


# Locations


@pytest.mark.parametrize(
    ("location", "remedy"),
    [
        ("ftp://host/path", "unknown kind 'ftp'"),
        ("S3://bucket", "unknown kind 'S3'"),
        ("http://user:pa55word@host/path", "unknown kind 'http'"),
        ("://bucket", "unknown kind ''"),
        ("s3://", "names no bucket"),
        ("s3:///path", "names no bucket"),
        ("gs://", "names no bucket"),
        ("s3://AKIA:pa55word@bucket/path", "credentials come from the environment"),
        ("s3://pa55word@bucket", "credentials come from the environment"),
        ("s3://:pa55word@bucket", "credentials come from the environment"),
        ("abfs://container:pa55word@account/path", "credentials come from the environment"),
        ("s3://bucket?secret=pa55word", "credentials come from the environment"),
        ("s3://bucket/path#pa55word", "credentials come from the environment"),
        ("az://container", "cannot be opened: .*Account must be specified"),
        ("s3://[bucket", "cannot be opened"),
        ("s3://buc\0ket", "cannot be opened"),
        ("", "is empty"),
        ("file://", "is empty"),
    ],
)
def test_bad_location(location: str, remedy: str) -> None:
    with without_ambient_settings(), pytest.raises(InvalidInputError, match=remedy) as caught:
        open_objects(location)
    assert "pa55word" not in "".join(traceback.format_exception(caught.value))
    assert {violation.field for violation in caught.value.violations} == {"registry"}


@pytest.mark.parametrize(
    ("location", "bucket"),
    [
        ("s3://bucket", True),
        ("s3a://bucket/some/path", True),
        ("gs://bucket/path", True),
        ("abfss://container@account.dfs.core.windows.net/path", True),
        ("/srv/voices", False),
        ("voices", False),
        ("file:///srv/voices", False),
    ],
)
def test_good_location(location: str, bucket: bool) -> None:
    assert is_bucket(location) == bucket
    with without_ambient_settings():
        objects = open_objects(location)
    assert isinstance(objects, BucketObjects if bucket else FolderObjects)
    assert objects.name == (
        location if bucket else str(Path(location.removeprefix("file://")).absolute())
    )
    assert repr(objects) == f"{type(objects).__name__}({objects.name!r})"


def test_folder_may_be_given_as_a_path(tmp_path: Path) -> None:
    assert open_objects(tmp_path / "x").name == str(tmp_path / "x")


def test_bucket_by_its_url_with_credentials_of_the_environment(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = s3.new_bucket()
    with without_ambient_settings():
        for name, value in {
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL": s3.endpoint,
            "AWS_REGION": REGION,
        }.items():
            monkeypatch.setenv(name, value)
        registry = Registry.open(f"s3://{bucket}/some/path", cache_dir=tmp_path / "cache")
    manifest = registry.publish(make_draft(tmp_path, data=b"weights"))
    with registry.components.hold(manifest.component("model")) as file:
        assert file.read_bytes() == b"weights"
    assert any(p.read_bytes() == b"weights" for p in (tmp_path / "cache").rglob("sha256/*/*"))
    assert keys(s3.objects(bucket), "some/path/voices") == ["some/path/voices/npc/smith@/v1.json"]
    assert SECRET not in repr(registry) + repr(registry.objects)
