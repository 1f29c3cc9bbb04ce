"""One worker process as the server sees it: started, asked, ended."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from voxswap_server.compute.workers.child import FAILED, HEADER, OUT_OF_MEMORY, framed
from voxswap_server.compute.workers.errors import WorkerEnd, WorkerError, WorkerStartError

_LOOK_S: Final = 0.05  # how often a worker that does not answer is looked at
_LAST_BREATH_S: Final = 1.0  # from closing its socket to having ended

# How a process ends that cannot go on. By other signals somebody ends it.
_FATAL: Final = frozenset(
    getattr(signal, name)
    for name in ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSYS", "SIGTRAP")
)
# Not on macOS before Python 3.13.
_STAYS_A_ZOMBIE: Final = hasattr(os, "waitid")
_BOOT: Final = (
    "import sys; sys.path += sys.argv.pop(1).split('\\n'); "
    "from voxswap_server.compute.workers.child import main; main()"
)


@dataclass(frozen=True, slots=True)
class Program:
    """What a worker runs: a module as `workers.child` describes it, and what it is told.

    ``name`` is for logs and messages. A worker whose answer is longer than ``answer_bytes`` is not
    in its right mind.
    """

    name: str
    module: str
    arguments: str
    memory_bytes: int = 128 << 20
    answer_bytes: int = 4 << 20


class LostError(WorkerError):
    """A worker did not answer, and is no more. ``by_request``: and it is the request's doing."""

    reason = "WORKER_LOST"

    def __init__(self, end: WorkerEnd, *, by_request: bool) -> None:
        super().__init__(f"a worker process {end.value}")
        self.end = end
        self.by_request = by_request


class Worker:
    """A process that answers one request at a time.

    Thread-safe, but `ask` is for whoever has borrowed it. `greet`, `ask`, `wait` and `reap` block,
    without the interpreter's lock. REQUIRES: one thread makes it, and `wait`s for its end, for the
    process dies with the thread that made it.
    """

    def __init__(self, program: Program) -> None:
        """Start it. Raises `WorkerStartError` if the system has no process for it."""
        self.key: object = None  # what it was asked for last; the pool's
        self._answer_bytes = program.answer_bytes
        self._life = threading.Lock()  # guards the process's id: gone once it is reaped
        self._reaped = False
        self._killed: WorkerEnd | None = None
        self._ended = threading.Event()
        self._in_use = threading.Lock()  # held while the socket is used, so that nobody closes it
        ours, theirs = socket.socketpair()
        self._channel = ours
        roots = dict.fromkeys(map(_root, (__name__, program.module)))
        command = [sys.executable, "-I", "-S", "-c", _BOOT, "\n".join(roots)]
        command += [str(theirs.fileno()), str(os.getpid()), program.module, program.arguments]
        command.append(str(program.memory_bytes))
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                # An interpreter may need it to find its own library.
                env={k: v for k, v in os.environ.items() if k == "LD_LIBRARY_PATH"},
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise WorkerStartError(
                f"a process for {program.name} cannot be started ({error.strerror}); see the "
                "limits of processes and memory of the server"
            ) from error
        finally:
            theirs.close()

    def __repr__(self) -> str:
        return f"Worker(pid={self.pid}, key={self.key!r})"

    @property
    def pid(self) -> int:
        """The process's id; another's perhaps, once it is reaped."""
        return self._process.pid

    def greet(self, within_s: float) -> bytes:
        """The greeting, once it is ready. Raises `WorkerStartError` with what the program says."""
        try:
            with self._in_use:
                well, data = self._receive(time.monotonic() + within_s)
        except (OSError, ValueError) as error:
            self.kill(WorkerEnd.HUNG if isinstance(error, TimeoutError) else WorkerEnd.DIED)
            raise WorkerStartError(f"its process did not come up ({error})") from error
        if not well:
            raise WorkerStartError(data.decode("utf-8", "replace"))
        return data

    def ask(self, request: bytes, *, compute_s: float, until: float) -> bytes:
        """Its answer. Raises `LostError`; then the process is no more, or about to go.

        After any other exception it must be killed: its answer would be the next one's.

        It may compute for ``compute_s``: more is the request's fault. It may be without an answer
        ``until`` a time of `time.monotonic`: that alone may be anybody's, on a busy machine.
        """
        try:
            with self._in_use:
                began_s = self._computed_s()
                # Short, and goes into the socket's buffer.
                self._channel.settimeout(max(_LOOK_S, until - time.monotonic()))
                self._channel.sendall(framed(request))
                return self._receive(until, most_computed_s=began_s + compute_s)[1]
        except TimeoutError as error:
            self.kill(WorkerEnd.HUNG)
            raise LostError(WorkerEnd.HUNG, by_request=isinstance(error, _EndlessError)) from None
        except ValueError:
            self.kill(WorkerEnd.DIED)  # it is no longer itself
            raise LostError(WorkerEnd.DIED, by_request=True) from None
        except OSError:
            # It closed its end, so it dies.
            if not self._ended.wait(_LAST_BREATH_S):
                self.kill(WorkerEnd.DIED)
                self._ended.wait(_LAST_BREATH_S)
            raise self._loss() from None

    def _loss(self) -> LostError:
        code = self._exit_code()
        by_request = -code in _FATAL or -code == signal.SIGALRM or code in (FAILED, OUT_OF_MEMORY)
        return LostError(self._end(), by_request=by_request)

    def _receive(
        self, until: float, *, most_computed_s: float = float("inf")
    ) -> tuple[bool, bytes]:
        well, size = HEADER.unpack(self._exactly(HEADER.size, until, most_computed_s))
        if size > self._answer_bytes:
            raise ValueError(f"an answer of {size} bytes")
        return bool(well), self._exactly(size, until, most_computed_s)

    def _exactly(self, size: int, until: float, most_computed_s: float) -> bytes:
        data = bytearray()
        while len(data) < size:
            self._channel.settimeout(_LOOK_S)
            try:
                block = self._channel.recv(size - len(data))
            except TimeoutError:
                if self._computed_s() > most_computed_s:
                    raise _EndlessError from None
                if time.monotonic() > until:
                    raise
                continue
            if not block:
                raise ConnectionResetError("it ended")
            data += block
        return bytes(data)

    def _computed_s(self) -> float:
        """Processor time that it has had so far; elsewhere than on Linux, the time."""
        if not sys.platform.startswith("linux"):
            return time.monotonic()
        with self._life:
            if self._reaped:
                return 0.0
            # CPUCLOCK_SCHED of a process, as clock_getcpuclockid(3) makes it.
            return time.clock_gettime((~self.pid << 3) | 2)

    def resident_bytes(self) -> int:
        """What it has in memory, shared pages too; 0 where the system does not tell."""
        with self._life, contextlib.suppress(OSError):
            if not self._reaped:
                pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
                return int(pages) * os.sysconf("SC_PAGE_SIZE")
        return 0

    def kill(self, end: WorkerEnd) -> None:
        """End it, now, if it has not ended; ``end`` says why."""
        with self._life:
            if not self._reaped and not self._ended.is_set():
                self._killed = self._killed or end
                os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> WorkerEnd:
        """Why it ended. Blocks until then; it stays a zombie until `reap`, so that its number is
        nobody else's when it is killed.
        """
        if _STAYS_A_ZOMBIE:
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        else:
            self._process.wait()
        self._ended.set()
        return self._end()

    def _end(self) -> WorkerEnd:
        code = self._exit_code()
        if code == OUT_OF_MEMORY:
            return WorkerEnd.MEMORY
        return self._killed or (WorkerEnd.HUNG if -code == signal.SIGALRM else WorkerEnd.DIED)

    def _exit_code(self) -> int:
        """As of `subprocess.Popen`. 0 if it lives on; REQUIRES that it was waited for."""
        with self._life:
            if (code := self._process.returncode) is not None:
                return code
            if not self._ended.is_set():
                return 0
            found = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            assert found is not None  # noqa: S101 - it has ended
            return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status

    def reap(self) -> None:
        """Let its number go, and close the socket. After `wait`."""
        with self._life:
            self._process.wait()
            self._reaped = True
        with self._in_use:
            self._channel.close()


def _root(module: str) -> str:
    """The folder that has to be looked in for ``module``, by its full name."""
    spec = importlib.util.find_spec(module)
    assert spec is not None  # noqa: S101 - a program of ours
    assert spec.origin is not None  # noqa: S101
    return str(Path(spec.origin).parents[module.count(".")])


class _EndlessError(TimeoutError):
    """It computed for longer than it may."""
