"""The cache of components: what it keeps, what it fetches again, and that it stays in its bound."""

from __future__ import annotations

import concurrent.futures
import contextlib
import errno
import fcntl
import hashlib
import itertools
import multiprocessing
import os
import random
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from tests.examples import examples
from tests.fakes.gates import Gate
from voxswap_registry.errors import (
    ComponentMissingError,
    DigestMismatchError,
    InvalidInputError,
    RegistryError,
    StorageFullError,
)
from voxswap_registry.manifest import Component
from voxswap_registry.storage.cache import CacheStatistics, ComponentCache
from voxswap_registry.storage.verified import VerifiedFile

DATA = b"the weights of npc/smith"
WRONG = b"THE WEIGHTS OF NPC/SMITH"
BLOCK_BYTES = 4
WAIT_S = 30
_SPAWN = multiprocessing.get_context("spawn")


def made(data: bytes = DATA, **changes: Any) -> Component:
    fields: dict[str, Any] = {
        "role": "model",
        "digest": f"sha256:{hashlib.sha256(data).hexdigest()}",
        "size_bytes": len(data),
        "media_type": "application/octet-stream",
    }
    return Component(**(fields | changes))


class Remote:
    """A `Fetch` over bytes in small blocks. ``at`` runs before the block at an offset is given."""

    def __init__(self, data: bytes = DATA, at: dict[int, Callable[[], None]] | None = None) -> None:
        self.data = data
        self.at = at or {}
        self.starts: list[int] = []

    def __call__(self, start: int) -> Iterator[bytes]:
        self.starts.append(start)
        for n in range(start, len(self.data), BLOCK_BYTES):
            self.at.get(n, lambda: None)()
            yield self.data[n : n + BLOCK_BYTES]


class Box:
    """A cache, the mismatches that it told of, and where a component lies in it."""

    def __init__(self, folder: Path, capacity_bytes: int = 1000, **options: Any) -> None:
        self.cache = ComponentCache(folder, capacity_bytes, **options)
        self.mismatches: list[DigestMismatchError] = []

    def hold(
        self, component: Component, remote: Callable[[int], Iterator[bytes]], **options: Any
    ) -> contextlib.AbstractContextManager[VerifiedFile]:
        options = {"on_mismatch": self.mismatches.append} | options
        return self.cache.hold(component, remote, **options)

    def get(self, data: bytes = DATA, remote: Remote | None = None, **options: Any) -> list[int]:
        """Hold and release; the offsets that the remote was asked for."""
        remote = remote or Remote(data)
        with self.hold(made(data), remote, **options) as file:
            assert os.path.samestat(os.fstat(file.fd), self.finished(data).stat())
            assert file.read_bytes() == data
        return remote.starts

    def finished(self, data: bytes = DATA) -> Path:
        digest = hashlib.sha256(data).hexdigest()
        return self.cache.folder / "sha256" / digest[:2] / digest

    def partial(self, data: bytes = DATA) -> Path:
        return self.cache.folder / "partial" / hashlib.sha256(data).hexdigest()

    def has(self, data: bytes) -> bool:
        return self.finished(data).exists()

    def leave_partial(self, left: bytes, data: bytes = DATA) -> None:
        self.partial(data).parent.mkdir(parents=True, exist_ok=True)
        self.partial(data).write_bytes(left)

    def damage(self, damaged: bytes, data: bytes = DATA) -> None:
        self.finished(data).chmod(0o644)
        self.finished(data).write_bytes(damaged)

    def leftovers(self) -> list[str]:
        """Whatever is neither a finished file nor the lock that stays."""
        folder = self.cache.folder
        files = [path for path in folder.rglob("*") if not path.is_dir()]
        finished = list(folder.glob("sha256/*/*"))
        known = {"locks/cache"} | {str(path.relative_to(folder)) for path in finished}
        known |= {f"uses/{path.name}" for path in finished}
        return sorted({str(path.relative_to(folder)) for path in files} - known)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path / "cache")


def raiser(error: BaseException) -> Callable[[], None]:
    def run() -> None:
        raise error

    return run


# Hits and misses


def test_miss_then_hit(box: Box) -> None:
    assert box.cache.statistics() == CacheStatistics(1000, 0, 0)
    assert not box.cache.folder.exists()
    assert box.get() == [0]
    assert box.get() == []
    assert stat.S_IMODE(box.finished().stat().st_mode) == 0o444
    assert box.cache.statistics() == CacheStatistics(1000, len(DATA), 1)
    assert box.leftovers() == []
    assert box.mismatches == []


def test_empty_component(box: Box) -> None:
    assert box.get(b"") == []
    assert box.get(b"") == []


def test_other_files_are_not_counted(box: Box) -> None:
    box.get()
    (box.finished().parent / "README").write_bytes(bytes(5000))
    (box.cache.folder / "sha256" / "file").write_bytes(bytes(5000))
    assert box.cache.statistics() == CacheStatistics(1000, len(DATA), 1)
    assert box.get(b"x" * 900) == [0]


def test_bad_digest_reaches_no_path(box: Box) -> None:
    with pytest.raises(InvalidInputError):
        with box.hold(made(digest="sha256:../../etc/passwd"), Remote()):
            pass
    assert not box.cache.folder.exists()


class Recorder:
    def __init__(self) -> None:
        self.said: list[tuple[Any, ...]] = []

    def start(self, label: str, total_bytes: int) -> None:
        self.said.append((label, total_bytes))

    def advance(self, n_bytes: int) -> None:
        self.said.append((n_bytes,))

    def finish(self) -> None:
        self.said.append(())


def test_progress(box: Box) -> None:
    box.leave_partial(DATA[:16])
    recorder = Recorder()
    box.get(progress=recorder)
    assert recorder.said == [("fetch model", 24), (16,), (4,), (4,), ()]


# The bound


def counting_clock() -> Callable[[], int]:
    return itertools.count(1_000_000_000).__next__


def test_least_recently_held_goes_first(tmp_path: Path) -> None:
    box = Box(tmp_path, 40, clock_ns=counting_clock())
    a, b, c, d, e = (name * 10 for name in (b"a", b"b", b"c", b"d", b"e"))
    for data in (a, b, c, d):
        box.get(data)
    box.get(a)
    box.get(b)
    box.get(e)
    assert [box.has(data) for data in (a, b, c, d, e)] == [True, True, False, True, True]
    box.get(b"f" * 15)  # One is not enough; a third is not needed.
    assert [box.has(data) for data in (a, b, d, e)] == [False, True, False, True]
    assert box.cache.statistics().used_bytes == 35


def test_order_survives_a_disk_that_takes_no_times(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "utime", fail)
    assert box.get() == [0]


def test_held_file_is_not_evicted(tmp_path: Path) -> None:
    box = Box(tmp_path, 40, clock_ns=counting_clock())
    a, b = b"a" * 20, b"b" * 20
    with box.hold(made(a), Remote(a)) as held:
        box.get(b)
        box.get(b"c" * 20)  # b was held later than a, and goes all the same.
        assert held.read_bytes() == a
        assert not box.has(b)
        with pytest.raises(StorageFullError, match="1 of its 40 bytes too many are in use") as full:
            box.get(b"d" * 21)
        assert "cache_bytes" in full.value.message
        assert full.value.metadata == {"digest": made(b"d" * 21).digest}
        assert box.has(b"c" * 20)  # Nothing goes where all would not suffice.
    assert box.get(b"d" * 21) == [0]
    assert box.leftovers() == []


def test_component_larger_than_the_cache_is_refused_at_once(tmp_path: Path) -> None:
    box = Box(tmp_path / "cache", 23)
    remote = Remote()
    with pytest.raises(StorageFullError, match=r"has 24 bytes .* only 23; raise cache_bytes"):
        box.get(remote=remote)
    assert remote.starts == []
    assert not box.cache.folder.exists()


def test_lowered_bound_holds_from_the_next_download_on(tmp_path: Path) -> None:
    box = Box(tmp_path, 100)
    for name in (b"a", b"b", b"c", b"d"):
        box.get(name * 25)
    lower = Box(tmp_path, 30)
    lower.get(b"e" * 10)
    assert lower.cache.statistics().used_bytes <= 30


def test_leftover_of_a_broken_download_makes_room(tmp_path: Path) -> None:
    box = Box(tmp_path, 40)
    box.leave_partial(b"x" * 30, b"x" * 40)
    box.get(b"a" * 20)
    assert box.leftovers() == []
    assert box.has(b"a" * 20)


def test_file_that_comes_into_use_while_eviction_is_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Box(tmp_path, 40, clock_ns=counting_clock())
    a, b, c = b"a" * 20, b"b" * 20, b"c" * 20
    box.get(a)
    box.get(b)
    real = box.cache._remove
    with contextlib.ExitStack() as held:

        def remove(path: Path, *, dry: bool) -> bool:
            free = real(path, dry=dry)
            if dry and path == box.finished(a) and free:
                held.enter_context(box.hold(made(a), Remote(a)))
            return free

        monkeypatch.setattr(box.cache, "_remove", remove)
        box.get(c)
        assert [box.has(data) for data in (a, b, c)] == [True, False, True]


def test_file_that_is_evicted_before_it_is_locked(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.get()
    real, calls = fcntl.flock, []

    def flock(file: Any, kind: int) -> None:
        calls.append(kind)
        if len(calls) == 1:
            box.finished().unlink()
        real(file, kind)

    monkeypatch.setattr(fcntl, "flock", flock)
    assert box.get() == [0]


# Resuming


@pytest.mark.parametrize(
    ("left", "starts"),
    [
        (b"", [0]),
        (DATA[:1], [1]),
        (DATA[:10], [10]),
        (DATA, []),
        (WRONG[:10], [10, 0]),  # What was left is at fault, not the remote.
        (WRONG, [0]),
        (DATA + b"more", [0]),
    ],
)
def test_download_is_continued(box: Box, left: bytes, starts: list[int]) -> None:
    box.leave_partial(left)
    assert box.get() == starts
    assert box.leftovers() == []


def test_what_is_continued_is_counted_once(tmp_path: Path) -> None:
    box = Box(tmp_path, 40)
    box.get(b"a" * 16)
    box.leave_partial(DATA[:20])
    assert box.get() == [20]
    assert box.has(b"a" * 16)


def test_leftover_that_is_too_long_goes_before_the_download(tmp_path: Path) -> None:
    box = Box(tmp_path, 40)
    box.leave_partial(bytes(1000))
    seen = []
    box.get(cancelled=lambda: bool(seen.append(box.cache.statistics().used_bytes)))
    assert max(seen) <= 40


@pytest.mark.parametrize(
    ("error", "kind"),
    [(OSError("reset by peer"), OSError), (RegistryError("gone"), RegistryError)],
)
def test_remote_that_fails_midway(box: Box, error: Exception, kind: type[Exception]) -> None:
    remote = Remote(at={12: raiser(error)})
    with pytest.raises(kind) as caught:
        box.get(remote=remote)
    assert caught.value is error
    assert box.partial().read_bytes() == DATA[:12]
    assert box.leftovers() == [f"partial/{box.partial().name}"]
    assert box.cache.statistics() == CacheStatistics(1000, 12, 0)
    assert box.get() == [12]
    assert box.cache.statistics() == CacheStatistics(1000, 24, 1)


def test_remote_that_has_nothing_leaves_nothing(box: Box) -> None:
    error = ComponentMissingError("gone")
    with pytest.raises(ComponentMissingError):
        box.get(remote=Remote(at={0: raiser(error)}))
    with pytest.raises(ComponentMissingError):
        with box.hold(made(), lambda _: (_ for _ in ()).throw(error)):
            pass
    assert box.leftovers() == []


def test_stream_is_closed_when_the_disk_fails(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    order = []

    def stream(_: int) -> Iterator[bytes]:
        try:
            yield DATA
        finally:
            order.append("closed")

    def fail(*_: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    streams = [stream(0)]
    monkeypatch.setattr(os, "write", fail)
    with pytest.raises(RegistryError, match="Input/output error"):
        with box.hold(made(), lambda _: streams[0]):
            pass
    assert order == ["closed"]


@pytest.mark.parametrize(
    ("sent", "finding"),
    [
        (WRONG, "reads as sha256:"),
        (DATA + b"+", "has more than 24 bytes"),
        (DATA * 9, "has more than 24 bytes"),
        (DATA[:-1], "has 23 bytes, not 24"),
        (b"", "has 0 bytes, not 24"),
    ],
)
@pytest.mark.parametrize("left", [b"", DATA[:8], WRONG])
def test_wrong_remote_bytes(box: Box, sent: bytes, finding: str, left: bytes) -> None:
    if left:
        box.leave_partial(left)
    remote = Remote(sent)
    with pytest.raises(DigestMismatchError, match=f"{finding}.* as the registry gave it") as caught:
        box.get(remote=remote)
    assert caught.value.metadata == {"digest": made().digest}
    assert remote.starts == ([8, 0] if left == DATA[:8] else [0])
    assert box.leftovers() == []
    assert box.cache.statistics() == CacheStatistics(1000, 0, 0)
    assert box.mismatches == []
    assert box.get() == [0]


def test_never_more_than_the_size_is_written(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: written.append(len(data)) or real(fd, data))
    with pytest.raises(DigestMismatchError):
        with box.hold(made(), lambda _: iter([DATA[:10], b"x" * 10_000_000])):
            pass
    assert written == [10]


# Damage on the disk


@pytest.mark.parametrize("damaged", [WRONG, b"", DATA[:-1], DATA + b"+"])
def test_damaged_file_is_told_of_and_fetched_again(box: Box, damaged: bytes) -> None:
    box.get()
    box.damage(damaged)
    assert box.get() == [0]
    (told,) = box.mismatches
    assert "it is fetched again. Check the disk" in told.message
    assert str(box.cache.folder) in told.detail
    assert str(box.cache.folder) not in told.message
    assert box.get() == []
    assert box.leftovers() == []


def test_damaged_file_goes_though_others_hold_it(box: Box) -> None:
    with box.hold(made(), Remote()) as file:
        box.damage(WRONG)
        assert box.get() == [0]
        assert not file.is_unchanged()
        with pytest.raises(DigestMismatchError):
            file.read_bytes()  # it has the damaged one
    assert len(box.mismatches) == 1


def test_damaged_file_and_a_remote_that_fails(box: Box) -> None:
    box.get()
    box.damage(WRONG)
    with pytest.raises(OSError, match="reset by peer"):
        box.get(remote=Remote(at={0: raiser(OSError("reset by peer"))}))
    assert not box.has(DATA)
    box.leave_partial(b"")
    assert box.get() == [0]


def test_file_that_the_disk_cannot_read(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box.get()
    real, faults = os.preadv, [OSError(errno.EIO, "Input/output error")]

    def preadv(*args: Any) -> int:
        if faults:
            raise faults.pop()
        return real(*args)

    monkeypatch.setattr(os, "preadv", preadv)
    assert box.get() == [0]
    assert "cannot be read (Input/output error)" in box.mismatches[0].message


def test_sound_file_that_took_the_place_of_a_damaged_one_stays(box: Box) -> None:
    box.get()
    box.damage(WRONG)

    def repair(_: DigestMismatchError) -> None:
        box.finished().unlink()
        box.finished().write_bytes(DATA)

    assert box.get(on_mismatch=repair) == []


def test_manifest_that_lies_about_a_size_removes_nothing(box: Box) -> None:
    box.get()
    with pytest.raises(DigestMismatchError, match="has 24 bytes, not 25 as the manifest says"):
        with box.hold(made(size_bytes=25), Remote()):
            pass
    assert box.mismatches == []
    assert box.get() == []


# Cancelling and waiting


def test_cancelled_while_downloading(box: Box) -> None:
    cancel = threading.Event()
    remote = Remote(at={8: cancel.set})
    with pytest.raises(concurrent.futures.CancelledError):
        box.get(remote=remote, cancelled=cancel.is_set)
    assert box.partial().read_bytes() == DATA[:8]
    assert box.leftovers() == [f"partial/{box.partial().name}"]
    assert box.get() == [8]


def test_cancelled_before_anything(box: Box) -> None:
    remote = Remote()
    with pytest.raises(concurrent.futures.CancelledError):
        box.get(remote=remote, cancelled=lambda: True)
    assert remote.starts == []
    assert box.leftovers() == []


def test_cancelled_while_hashing_a_hit(box: Box) -> None:
    box.get()
    with pytest.raises(concurrent.futures.CancelledError):
        box.get(cancelled=lambda: True)
    assert box.mismatches == []
    assert box.get() == []


def test_one_downloads_and_the_others_wait(tmp_path: Path) -> None:
    gate, waiting = Gate(), threading.Semaphore(0)
    box = Box(tmp_path, pause=waiting.release)
    remote, unasked = Remote(at={8: gate}), Remote()
    with ThreadPoolExecutor(5) as pool:
        first = pool.submit(box.get, remote=remote)
        gate.wait_reached()
        others = [pool.submit(box.get, remote=unasked) for _ in range(4)]
        for _ in range(50):
            assert waiting.acquire(timeout=WAIT_S)
        gate.open()
        assert first.result(WAIT_S) == [0]
        assert [other.result(WAIT_S) for other in others] == [[]] * 4
    assert box.leftovers() == []


def test_cancelled_while_waiting_for_the_download_of_another(tmp_path: Path) -> None:
    gate, cancel = Gate(), threading.Event()
    box = Box(tmp_path, pause=cancel.set)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(box.get, remote=Remote(at={8: gate}))
        gate.wait_reached()
        unasked = Remote()
        with pytest.raises(concurrent.futures.CancelledError):
            box.get(remote=unasked, cancelled=cancel.is_set)
        assert unasked.starts == []
        gate.open()
        assert first.result(WAIT_S) == [0]
    assert box.leftovers() == []


def test_one_who_waits_takes_over_from_one_who_fails(tmp_path: Path) -> None:
    gate = Gate()
    box = Box(tmp_path, pause=gate.open)

    def fail() -> None:
        gate()
        raise OSError("reset by peer")

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(box.get, remote=Remote(at={8: fail}))
        gate.wait_reached()
        assert box.get() == [8]
        with pytest.raises(OSError, match="reset by peer"):
            first.result(WAIT_S)


def test_lock_file_that_went_away_is_not_a_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One ends its download, and another begins, between the opening of the lock and its having."""
    real, others = fcntl.flock, list[Any]()
    paused: list[bool] = []

    def pause() -> None:
        paused.append(True)
        others.pop().close()

    box = Box(tmp_path, pause=pause)
    lock = tmp_path / "locks" / box.partial().name

    def flock(file: Any, kind: int) -> None:
        if not others and not paused and lock.exists():
            lock.unlink()
            others.append(lock.open("w"))
            real(others[0], fcntl.LOCK_EX)
        real(file, kind)

    monkeypatch.setattr(fcntl, "flock", flock)
    assert box.get() == [0]
    assert paused == [True]


def test_download_that_breaks_off_while_room_is_made_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, box = Gate(), Box(tmp_path, 60)
    theirs, ours = b"t" * 60, b"o" * 30
    remote = Remote(theirs, {4: gate, 40: raiser(OSError("reset by peer"))})
    real = box.cache._files.all
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(box.get, theirs, remote)
        gate.wait_reached()

        def files() -> Any:
            found = list(real())
            if not first.done():
                gate.open()
                assert isinstance(first.exception(WAIT_S), OSError)
            return found

        monkeypatch.setattr(box.cache._files, "all", files)
        assert box.get(ours) == [0]
    assert box.cache.statistics().used_bytes <= 60


# Other processes


def download_and_stand(folder: str, capacity_bytes: int, data: bytes, at: int, line: Any) -> None:
    """Download, and at an offset tell the parent and wait for its word."""

    def stand() -> None:
        line.send("standing")
        line.recv()

    box = Box(Path(folder), capacity_bytes)
    with box.hold(made(data), Remote(data, {at: stand})):
        line.send("holding")
        line.recv()


@contextlib.contextmanager
def other_process(folder: Path, capacity_bytes: int, data: bytes, at: int) -> Iterator[Any]:
    line, end = _SPAWN.Pipe()
    process = _SPAWN.Process(
        target=download_and_stand, args=(str(folder), capacity_bytes, data, at, end)
    )
    process.start()
    try:
        assert line.poll(WAIT_S)
        assert line.recv() == "standing"
        yield process, line
    finally:
        process.kill()
        process.join()


def test_process_killed_in_a_download_is_taken_over_from(tmp_path: Path) -> None:
    with other_process(tmp_path, 1000, DATA, 12) as (process, _):
        paused: list[Any] = []

        def pause() -> None:
            if not paused:
                process.kill()
                process.join()
            paused.append(True)

        box = Box(tmp_path, pause=pause)
        assert box.get() == [12]
    assert paused  # It waited for the other, as long as that lived.
    assert box.leftovers() == []
    assert box.mismatches == []


def test_downloads_of_two_processes_fit_together(tmp_path: Path) -> None:
    theirs, ours = b"t" * 60, b"o" * 60
    with other_process(tmp_path, 100, theirs, 4) as (process, line):
        box = Box(tmp_path, 100)
        box.get(b"a" * 40)
        with pytest.raises(StorageFullError, match="20 of its 100 bytes too many"):
            box.get(ours)  # Theirs has 4 bytes so far, and 60 are booked.
        assert box.has(b"a" * 40)

        line.send("go on")
        assert line.poll(WAIT_S)
        assert line.recv() == "holding"
        with pytest.raises(StorageFullError):
            box.get(ours)
        process.kill()
        process.join()
        box.get(b"a" * 40)
        assert box.get(ours) == [0]
    assert box.cache.statistics() == CacheStatistics(100, 100, 2)


def hold_many(folder: str, seed: int, n: int, line: Any) -> None:
    """Hold random components; tell the most bytes ever seen, and how many were fetched."""
    box, dice = Box(Path(folder), 100), random.Random(seed)
    most_bytes = n_fetched = 0

    def look() -> None:
        nonlocal most_bytes
        # With the lock of the books: else files of two moments would be added up.
        with (box.cache.folder / "locks" / "cache").open("rb") as books:
            fcntl.flock(books, fcntl.LOCK_EX)
            most_bytes = max(most_bytes, sum(sizes(box.cache.folder)))

    line.recv()
    for _ in range(n):
        data = bytes([dice.randrange(8)]) * dice.choice([10, 20, 30, 45])
        remote = Remote(data, dict.fromkeys(range(0, 45, BLOCK_BYTES), look))
        with contextlib.suppress(StorageFullError):
            with box.hold(made(data), remote) as file:
                assert file.read_bytes() == data
                look()
        n_fetched += len(remote.starts)
    assert not box.mismatches
    line.send((most_bytes, n_fetched))


def sizes(folder: Path) -> Iterator[int]:
    for path in (*folder.glob("partial/*"), *folder.glob("sha256/*/*")):
        with contextlib.suppress(FileNotFoundError):
            yield path.stat().st_size


def test_two_processes_at_once_stay_in_the_bound(tmp_path: Path) -> None:
    lines, processes = [], []
    for seed in range(2):
        line, end = _SPAWN.Pipe()
        process = _SPAWN.Process(target=hold_many, args=(str(tmp_path), seed, 150, end))
        process.start()
        lines.append(line)
        processes.append(process)
    for line in lines:
        line.send("go")
    told = [line.recv() for line in lines if line.poll(4 * WAIT_S)]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert all(most_bytes <= 100 for most_bytes, _ in told)
    assert all(n_fetched > 20 for _, n_fetched in told)
    box = Box(tmp_path, 100)
    assert box.leftovers() == []
    assert box.cache.statistics().used_bytes <= 100


# Faults of the disk


@pytest.mark.parametrize(
    "call", ["write", "fsync", "replace", "fchmod", "open", "mkdir", "listdir"]
)
@pytest.mark.parametrize(
    ("code", "remedy"), [(errno.ENOSPC, "free space"), (errno.EIO, "disk reports a fault")]
)
@pytest.mark.parametrize("left", [b"", DATA[:8]])
def test_disk_fault_is_a_registry_error_and_leaves_nothing_torn(
    *, box: Box, call: str, code: int, remedy: str, left: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    if left:
        box.leave_partial(left)
    with monkeypatch.context() as patched:

        def fail(*_: Any, **__: Any) -> Any:
            raise OSError(code, os.strerror(code))

        patched.setattr(os, call, fail)
        with pytest.raises(RegistryError, match=remedy) as caught:
            box.get()
    assert isinstance(caught.value, StorageFullError) == (code == errno.ENOSPC)
    assert caught.value.metadata == {"errno": errno.errorcode[code]}
    if call in {"write", "fsync", "replace", "fchmod"}:
        assert box.leftovers() == []  # Full disks get their bytes back.
    if box.has(DATA):
        assert box.finished().read_bytes() == DATA
    assert box.get() in ([], [0], [8])
    assert box.leftovers() == []


def test_disk_that_fills_up_midway(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    real, room = os.write, 10

    def write(descriptor: int, data: memoryview) -> int:
        nonlocal room
        if not room:
            raise OSError(errno.ENOSPC, "No space left on device")
        n = real(descriptor, data[:room])  # Half a block goes in, as on a real disk.
        room -= n
        return n

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", write)
        with pytest.raises(StorageFullError, match="No space left on device"):
            box.get()
    assert box.leftovers() == []
    assert box.get() == [0]


def test_bytes_are_on_the_disk_before_they_have_their_name(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[Any] = []
    real_fsync, real_replace = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        order.append(("fsync", os.fstat(descriptor).st_size))
        real_fsync(descriptor)

    def replace(source: Path, target: Path) -> None:
        order.append("replace")
        # Nobody could evict it between its naming and its first use.
        with target.parent.joinpath(source).open("rb") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        real_replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    box.get()
    assert order == [("fsync", 24), "replace"]


def test_links_are_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_bytes(b"precious")
    for name in ("finished", "partial"):
        box = Box(tmp_path / name)
        link = getattr(box, name)()
        link.parent.mkdir(parents=True)
        link.symlink_to(elsewhere / "file")
        with pytest.raises(RegistryError, match="symbolic link"):
            box.get()
    for name in ("sha256", "partial", "locks", "uses"):
        box = Box(tmp_path / f"folder-{name}")
        box.cache.folder.mkdir()
        (box.cache.folder / name).symlink_to(elsewhere)
        with pytest.raises(RegistryError, match="symbolic link"):
            box.get()
    assert [path.name for path in elsewhere.iterdir()] == ["file"]
    assert (elsewhere / "file").read_bytes() == b"precious"
    (tmp_path / "link").symlink_to(elsewhere)
    assert Box(tmp_path / "link").get() == [0]  # The folder itself may be one.


@pytest.mark.parametrize("name", ["finished", "partial"])
def test_link_that_appears_after_the_look_is_not_followed(
    box: Box, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "precious").write_bytes(DATA)
    link = getattr(box, name)()
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "precious")
    monkeypatch.setattr(os.path, "realpath", str)
    with pytest.raises(RegistryError, match="symbolic link is in the way"):
        box.get()
    assert (tmp_path / "precious").read_bytes() == DATA


@pytest.mark.parametrize("name", ["finished", "partial"])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_refused(box: Box, name: str, make: Callable[[Path], None]) -> None:
    path = getattr(box, name)()
    path.parent.mkdir(parents=True)
    make(path)
    with pytest.raises(RegistryError, match=r"no regular file|Is a directory"):
        box.get()
    assert path.exists()


def test_evictor_that_looks_at_a_file_delays_its_holder(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.get()
    with box.finished().open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        box.cache._files._pause = lambda: fcntl.flock(file, fcntl.LOCK_UN)
        assert box.get() == []


# Who maps a file, and who may write it


def times(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_ctime_ns


def test_a_finished_file_is_never_touched_by_its_use(box: Box) -> None:
    """Whoever maps it looks at its times, and would take that for a change."""
    with box.hold(made(), Remote()) as file:
        watched = file.watch()
    before = times(box.finished())
    for _ in range(3):
        assert box.get() == []
    assert times(box.finished()) == before
    assert watched.is_unchanged()
    box.damage(WRONG)
    assert not watched.is_unchanged()
    assert not watched.verify()


def test_a_file_that_is_mapped_may_be_evicted_and_stays_what_it_was(tmp_path: Path) -> None:
    box = Box(tmp_path, 40)
    for _ in range(2):  # fetched just now, and found
        with box.hold(made(), Remote()) as file:
            watched = file.watch()
            with pytest.raises(StorageFullError):
                box.get(b"x" * 40)
        box.get(b"x" * 40)
        assert not box.has(DATA)
        assert watched.verify()


def test_caches_of_older_versions_are_evicted_by_the_times_of_their_files(tmp_path: Path) -> None:
    box = Box(tmp_path, 40, clock_ns=counting_clock())
    a, b = b"a" * 20, b"b" * 20
    for data, used_ns in ((a, 2_000_000_000), (b, 1_000_000_000)):
        box.get(data)
        (box.cache.folder / "uses" / box.finished(data).name).unlink()
        os.utime(box.finished(data), ns=(used_ns, used_ns))
    box.get(b"c" * 20)
    assert [box.has(data) for data in (a, b)] == [True, False]
    assert box.leftovers() == ["uses/" + box.finished(a).name] or box.leftovers() == []


@pytest.fixture
def private(tmp_path: Path) -> Box:
    box = Box(tmp_path / "dir" / "cache")
    box.cache.make_private()
    return box


def test_a_private_cache_is_this_users_alone(private: Box, tmp_path: Path) -> None:
    for folder in (tmp_path / "dir", private.cache.folder):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    private.get()
    assert stat.S_IMODE(private.finished().stat().st_mode) == 0o444
    private.cache.folder.chmod(0o755)
    private.cache.make_private()
    assert stat.S_IMODE(private.cache.folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o702])
def test_a_folder_above_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    above = tmp_path / "above"
    above.mkdir()
    above.chmod(mode)
    with pytest.raises(RegistryError, match=r"may be written by others.*chmod go-w"):
        ComponentCache(above / "components", 100).make_private()
    above.chmod(mode | stat.S_ISVTX)  # as /tmp: nobody removes or renames what is another's
    ComponentCache(above / "components", 100).make_private()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    for name in ("above", "above/components"):
        (tmp_path / name).mkdir(mode=0o700)
    cache = ComponentCache(tmp_path / "above" / "components", 100)
    for name in ("above", "above/components"):
        os.chown(tmp_path / name, 12345, 12345)
        with pytest.raises(RegistryError, match="belongs to another user"):
            cache.make_private()
        os.chown(tmp_path / name, 0, 0)
    cache.make_private()


def test_a_file_that_others_could_write_is_fetched_anew(private: Box) -> None:
    private.get()
    private.finished().chmod(0o646)
    assert private.get() == [0]
    assert stat.S_IMODE(private.finished().stat().st_mode) == 0o444
    assert private.mismatches == []
    data = b"others"
    private.leave_partial(data[:3], data)
    private.partial(data).chmod(0o666)
    with private.partial(data).open("r+b") as planted:
        assert private.get(data) == [0], "nothing is continued that others could write"
        planted.write(b"X" * 6)
    assert private.get(data) == []


# Any interleaving

_PARTS = [bytes([i]) * size for i, size in enumerate((7, 12, 20, 25, 30, 41))]
_INDEX = st.integers(0, len(_PARTS) - 1)


class CacheMachine(RuleBasedStateMachine):
    """Holds, releases, broken downloads and damage, against the model of who holds what."""

    held = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
        self.stack = contextlib.ExitStack()
        folder = self.stack.enter_context(tempfile.TemporaryDirectory())
        self.box = Box(Path(folder), 60, clock_ns=counting_clock())
        self.holding: list[tuple[int, VerifiedFile]] = []

    def fits(self, i: int) -> bool:
        others = {j for j, _ in self.holding} - {i}
        return sum(len(_PARTS[j]) for j in others) + len(_PARTS[i]) <= 60

    @rule(target=held, i=_INDEX)
    def hold(self, i: int) -> Any:
        stack, remote = contextlib.ExitStack(), Remote(_PARTS[i])
        finished = self.box.finished(_PARTS[i])
        sound = finished.exists() and finished.read_bytes() == _PARTS[i]
        try:
            file = stack.enter_context(self.box.hold(made(_PARTS[i]), remote))
        except StorageFullError:
            assert not sound
            assert not self.fits(i)
            return None
        assert sound or self.fits(i)
        assert not (sound and remote.starts)
        entry = (i, file)
        self.holding.append(entry)
        return stack, entry

    @rule(handle=consumes(held))
    def release(self, handle: Any) -> None:
        if handle is not None:
            stack, entry = handle
            self.holding.remove(entry)
            stack.close()

    @rule(i=_INDEX, blocks=st.integers(0, 10))
    def break_off(self, i: int, blocks: int) -> None:
        remote = Remote(_PARTS[i], {blocks * BLOCK_BYTES: raiser(OSError("reset by peer"))})
        with contextlib.suppress(OSError, StorageFullError):
            with self.box.hold(made(_PARTS[i]), remote):
                pass

    @rule(i=_INDEX)
    def damage(self, i: int) -> None:
        if self.box.has(_PARTS[i]) and i not in {j for j, _ in self.holding}:
            self.box.damage(b"?" * len(_PARTS[i]), _PARTS[i])

    @rule(i=_INDEX, n=st.integers(1, 6))
    def damage_partial(self, i: int, n: int) -> None:
        partial = self.box.partial(_PARTS[i])
        if partial.exists():
            partial.write_bytes(b"?" * min(n, partial.stat().st_size))

    @invariant()
    def is_in_its_bound(self) -> None:
        statistics = self.box.cache.statistics()
        assert statistics.used_bytes <= statistics.capacity_bytes
        assert statistics.used_bytes == sum(sizes(self.box.cache.folder))

    @invariant()
    def has_what_is_held(self) -> None:
        for i, file in self.holding:
            assert file.read_bytes() == _PARTS[i]

    def teardown(self) -> None:
        self.stack.close()


TestCacheMachine = CacheMachine.TestCase
TestCacheMachine.settings = examples(60, stateful_step_count=30)
