"""Worker processes that crash, hang, grow, are killed and lie; and what they cannot reach."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from voxswap_server.compute.workers.errors import (
    NoWorkerError,
    RequestKillsError,
    WorkerEnd,
    WorkerStartError,
)
from voxswap_server.compute.workers.pool import WorkerPool
from voxswap_server.compute.workers.worker import Program

ON_LINUX = sys.platform.startswith("linux")
PROGRAM = "tests.server.worker_program"


def program(folder: Path | str) -> Program:
    return Program("a test", PROGRAM, str(folder), memory_bytes=64 << 20)


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[WorkerPool]:
    pool = WorkerPool(program(tmp_path))
    pool.start()
    until_ready(pool)
    yield pool
    pool.close()
    assert pool.pids() == ()
    assert not any(keeper.is_alive() for keeper in pool._keepers)


def until_ready(pool: WorkerPool, size: int = 2) -> None:
    with pool._changed:
        assert pool._changed.wait_for(lambda: pool._ready == size, 60)


def ask(pool: WorkerPool, request: str, **limits: float) -> str:
    """With time enough for a busy machine; what a test lets run out it names."""
    return pool.call(request.encode(), bytes.decode, **{"wait_s": 60.0, **limits})


def until_replaced(pool: WorkerPool, end: WorkerEnd, count: int) -> None:
    with pool._changed:
        assert pool._changed.wait_for(lambda: pool._restarts[end] >= count, 60)
    until_ready(pool)
    assert pool.statistics().restarts[end] == count


def test_it_answers(pool: WorkerPool) -> None:
    assert pool.greeting() == b"ready"
    assert ask(pool, "echo " + "hällo" * 1000) == "hällo" * 1000
    assert int(ask(pool, "pid")) in pool.pids()
    found = pool.statistics()
    assert (found.size, found.ready, found.calls) == (2, 2, 2)
    assert found.resident_bytes > 2 << 20 or not ON_LINUX
    assert repr(pool) == "WorkerPool('a test', 2 of 2 ready)"


def test_the_same_one_is_asked_for_the_same_again(pool: WorkerPool) -> None:
    one, other = "one", "other"
    pids = dict.fromkeys((one, other), b"")
    together = threading.Barrier(2)

    def first(key: str) -> None:
        def parse(answer: bytes) -> bytes:
            together.wait(60)  # the worker is not given back before the other one is taken
            return answer

        pids[key] = pool.call(b"pid", parse, key=key, wait_s=60)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(first, pids))
    assert pids[one] != pids[other]
    for key in (one, other, other, one, one):
        assert pool.call(b"pid", bytes, key=key, wait_s=60) == pids[key]


@pytest.mark.parametrize(
    ("request_", "end"),
    [
        ("crash", WorkerEnd.DIED),
        (f"die {signal.SIGABRT.value}", WorkerEnd.DIED),
        (f"die {signal.SIGALRM.value}", WorkerEnd.HUNG),
        ("fault", WorkerEnd.DIED),
        ("flood", WorkerEnd.DIED),
        (f"take {1 << 30}", WorkerEnd.MEMORY),
        ("spin", WorkerEnd.HUNG),
    ],
)
def test_a_request_that_ends_its_worker_is_told_and_not_repeated(
    pool: WorkerPool, request_: str, end: WorkerEnd
) -> None:
    before = pool.pids()
    with pytest.raises(RequestKillsError) as raised:
        ask(pool, request_)
    assert raised.value.end is end
    assert ask(pool, "echo on") == "on"
    until_replaced(pool, end, 1)
    assert len(set(before) & set(pool.pids())) == 1, "the other one was left alone"


def test_an_answer_that_is_none_ends_whoever_gave_it(pool: WorkerPool) -> None:
    def refuse(answer: bytes) -> str:
        raise ValueError(answer)

    with pytest.raises(RequestKillsError):
        pool.call(b"echo nonsense", refuse, wait_s=60)
    until_replaced(pool, WorkerEnd.DIED, 1)


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGUSR1])
def test_who_is_killed_by_somebody_costs_no_request(pool: WorkerPool, sent: signal.Signals) -> None:
    """Whether it was idle, or had been asked already: it stands still until it dies."""
    for pid in pool.pids():
        os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(2) as threads:
        answers = [threads.submit(ask, pool, "echo still there") for _ in range(2)]
        with pool._changed:
            assert pool._changed.wait_for(lambda: not pool._idle, 60)
        for pid in pool.pids():
            os.kill(pid, sent)
            os.kill(pid, signal.SIGCONT)
        assert [answer.result(60) for answer in answers] == ["still there"] * 2
    until_replaced(pool, WorkerEnd.DIED, 2)


def test_who_stands_still_is_replaced_and_nobody_is_blamed(pool: WorkerPool) -> None:
    with pool._changed:
        assert pool._changed.wait_for(lambda: pool._ready == 2, 60)
    for pid in pool.pids():
        os.kill(pid, signal.SIGSTOP)
    # On a fast machine the first that is replaced is there in time.
    with contextlib.suppress(NoWorkerError):
        assert ask(pool, "echo hello", wait_s=0.1) == "hello"
    with pool._changed:
        assert pool._changed.wait_for(lambda: pool._restarts[WorkerEnd.HUNG] >= 1, 60)
    for pid in pool.pids():
        os.kill(pid, signal.SIGCONT)
    assert ask(pool, "echo hello") == "hello"


def test_all_that_wait_get_their_turn(pool: WorkerPool) -> None:
    with ThreadPoolExecutor(16) as threads:
        asked = [f"echo {n}" for n in range(400)]
        assert list(threads.map(lambda request: ask(pool, request), asked)) == [
            request.removeprefix("echo ") for request in asked
        ]
    assert not pool._line
    assert pool.statistics().calls == 400


def test_who_waits_in_vain_leaves_the_line(pool: WorkerPool) -> None:
    taken = threading.Barrier(3)
    done = threading.Event()

    def hold(answer: bytes) -> bytes:
        taken.wait(60)
        assert done.wait(60)
        return answer

    with ThreadPoolExecutor(2) as threads:
        held = [threads.submit(pool.call, b"pid", hold, wait_s=60) for _ in range(2)]
        taken.wait(60)
        with pytest.raises(NoWorkerError):
            ask(pool, "echo late", wait_s=0.05)
        assert not pool._line
        done.set()
        assert all(future.result(60) for future in held)


def test_what_cannot_start_says_why_and_is_tried_again_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pool = WorkerPool(program("fail: no such thing here"), size=1)
    with pytest.raises(WorkerStartError, match="no such thing here"):
        pool.greeting()
    with pytest.raises(WorkerStartError, match="no such thing here"):
        ask(pool, "echo hello")
    pool.close()
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1, "told once, however often it is tried"


def test_closing_ends_calls_under_way(pool: WorkerPool) -> None:
    with ThreadPoolExecutor(3) as threads:
        asked = [threads.submit(ask, pool, "sleep 600") for _ in range(3)]
        with pool._changed:
            assert pool._changed.wait_for(lambda: not pool._idle and pool._line, 60)
        pool.close()
        for future in asked:
            with pytest.raises(NoWorkerError):
                future.result(60)
    with pytest.raises(NoWorkerError):
        ask(pool, "echo too late")


def test_closing_before_they_are_up(tmp_path: Path) -> None:
    pool = WorkerPool(program(tmp_path))
    pool.start()
    pool.close()
    assert not any(keeper.is_alive() for keeper in pool._keepers)
    WorkerPool(program(tmp_path)).close()


@pytest.mark.skipif(not ON_LINUX, reason="PR_SET_PDEATHSIG and /proc")
def test_they_end_with_a_server_that_is_killed_even_if_they_stand_still(tmp_path: Path) -> None:
    server = (
        "import os, signal, sys\n"
        "from tests.server.test_workers import PROGRAM, program, until_ready\n"
        "from voxswap_server.compute.workers.pool import WorkerPool\n"
        "pool = WorkerPool(program(sys.argv[1])); pool.start(); until_ready(pool)\n"
        "os.kill(pool.pids()[0], signal.SIGSTOP)\n"
        "print(*pool.pids(), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ran = subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "-c", server, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        timeout=120,
        check=False,
    )
    assert ran.returncode == -signal.SIGKILL
    pids = ran.stdout.split()
    assert len(pids) == 2
    for pid in map(int, pids):
        with contextlib.suppress(ProcessLookupError):
            process = os.pidfd_open(pid)
            assert select.select([process], [], [], 60)[0], "it lives on"
            os.close(process)


@pytest.mark.skipif(not ON_LINUX, reason="Linux confines them")
def test_what_they_cannot_reach(pool: WorkerPool, tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", Path(__file__)
    inside.write_bytes(b"data")
    refused = "refused: Operation not permitted"
    assert ask(pool, "socket") == refused
    assert ask(pool, "fork") == refused
    assert ask(pool, "run /bin/true") == refused
    assert ask(pool, f"kill {os.getpid()}") == refused
    assert ask(pool, f"write {inside}") == refused
    assert ask(pool, f"read {inside}") == "done"
    assert inside.read_bytes() == b"data"
    if _has_landlock():
        assert ask(pool, f"read {outside}") == "refused: Permission denied"


def _has_landlock() -> bool:
    return int(ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1)) > 0


@pytest.mark.skipif(not ON_LINUX, reason="/proc")
def test_what_they_get_of_the_server(pool: WorkerPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    for pid in pool.pids():
        os.kill(pid, signal.SIGKILL)
    until_replaced(pool, WorkerEnd.DIED, 2)
    environment, on_sigterm = ask(pool, "look").rsplit(", ", 1)
    assert "AWS" not in environment
    assert "SIG_IGN" in on_sigterm
    for pid in pool.pids():
        assert "secret" not in Path(f"/proc/{pid}/environ").read_text()
        opened = [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()]
        assert sorted(name.partition(":")[0] for name in opened) == [*["/dev/null"] * 3, "socket"]


def test_without_waitid_they_are_replaced_as_well(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("voxswap_server.compute.workers.worker._STAYS_A_ZOMBIE", False)
    monkeypatch.delattr(os, "waitid", raising=False)
    pool = WorkerPool(program(tmp_path))
    with pytest.raises(RequestKillsError):
        ask(pool, "crash")
    until_replaced(pool, WorkerEnd.DIED, 1)
    assert ask(pool, "echo on") == "on"
    pool.close()
    assert pool.pids() == ()
