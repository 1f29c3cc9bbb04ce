"""What a worker process takes from itself before it meets a text.

Everywhere: limits of memory, processes, files written and core dumps. On Linux also: it dies with
the thread that made it; of the file system it reads one folder (Landlock, kernel 5.13 and later);
and of the system calls it keeps those that computing needs (seccomp, on x86-64 and ARM64), so that
it has no network, starts nothing, writes to no file and sends no signal but to itself. None of it
needs privileges. What the system does not have is left out: see docs/operations.md.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
import signal
import struct
import sys
from typing import Final

_LINUX: Final = sys.platform.startswith("linux")

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_LANDLOCK_CREATE_RULESET, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT_SELF = 444, 445, 446
_LANDLOCK_PATH_BENEATH: Final = 1
_EVERY_FILE_RIGHT: Final = (1 << 13) - 1  # of Landlock's first version
_READ_FILE, _READ_DIRECTORY = 1 << 2, 1 << 3
_O_PATH: Final = 0o10000000

# Numbers on x86-64 and on ARM64, which does not have the older ones.
_CALLS: Final = """
read 0 63, write 1 64, close 3 57, lseek 8 62, pread64 17 67, readv 19 65, writev 20 66,
stat 4 -, fstat 5 80, lstat 6 -, newfstatat 262 79, statx 332 291, access 21 -, fcntl 72 25,
sendto 44 206, recvfrom 45 207, mmap 9 222, mprotect 10 226, munmap 11 215, mremap 25 216,
madvise 28 233, brk 12 214, futex 202 98, getrandom 318 278, rt_sigaction 13 134,
rt_sigprocmask 14 135, rt_sigreturn 15 139, sigaltstack 131 132, restart_syscall 219 128,
sched_yield 24 124, alarm 37 -, setitimer 38 103, nanosleep 35 101, clock_gettime 228 113,
clock_nanosleep 230 115, gettimeofday 96 169, getpid 39 172, gettid 186 178, rseq 334 293,
exit 60 93, exit_group 231 94
"""
# open and openat, and which argument has the flags.
_OPEN: Final = ((2, None, 1), (257, 56, 2))
_TGKILL: Final = (234, 131)  # abort(3) sends itself a signal
_SECCOMP: Final = (317, 277)
_ARCHITECTURES: Final = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}

_SET_MODE_FILTER, _FLAG_TSYNC = 1, 1  # for every thread of the process
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050001  # EPERM
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_WRITES: Final = os.O_ACCMODE | os.O_CREAT | os.O_TRUNC
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16  # in struct seccomp_data


def limit_resources(memory_bytes: int, *, parent: int) -> None:
    """Bound what this process may take, and let it end with the process ``parent``."""
    limits = {
        resource.RLIMIT_DATA: memory_bytes,
        resource.RLIMIT_AS: 4 * memory_bytes,  # shared libraries and what malloc only reserves
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
    }
    for limit, value in limits.items():
        # macOS has not all of them.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(limit, (value, value))
    if _LINUX:
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        if os.getppid() != parent:  # it died before we could ask to be told
            os._exit(0)


def only_read(folder: str) -> None:
    """From now on this thread, and those it begins, open files below ``folder`` alone."""
    if not _LINUX:
        return
    libc = ctypes.CDLL(None)
    rights = ctypes.c_uint64(_EVERY_FILE_RIGHT)
    ruleset = libc.syscall(_LANDLOCK_CREATE_RULESET, ctypes.byref(rights), ctypes.c_size_t(8), 0)
    if ruleset < 0:
        return  # an older kernel, or one without Landlock
    root = os.open(folder, _O_PATH | os.O_CLOEXEC)
    rule = ctypes.create_string_buffer(struct.pack("=Qi", _READ_FILE | _READ_DIRECTORY, root))
    libc.syscall(_LANDLOCK_ADD_RULE, ruleset, _LANDLOCK_PATH_BENEATH, rule, 0)
    libc.syscall(_LANDLOCK_RESTRICT_SELF, ruleset, 0)
    os.close(root)
    os.close(ruleset)


def drop_system_calls() -> None:
    """From now on every thread of this process can compute, read, and answer; no more."""
    # Root is not held by it; for others it holds where seccomp is not to be had.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    machine = _ARCHITECTURES.get(platform.machine())
    if not _LINUX or machine is None:
        return

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    index, architecture = machine
    code = _filter(index, architecture, os.getpid())
    instructions = ctypes.create_string_buffer(code)
    program = Program(len(code) // 8, ctypes.addressof(instructions))
    # Refused where another filter does not allow it: then that one has to do.
    ctypes.CDLL(None).syscall(_SECCOMP[index], _SET_MODE_FILTER, _FLAG_TSYNC, ctypes.byref(program))


def _filter(index: int, architecture: int, pid: int) -> bytes:
    """The classic BPF program: a call that is not allowed fails with EPERM."""

    def step(code: int, value: int, then: int = 0, other: int = 0) -> bytes:
        return struct.pack("=HBBI", code, then, other, value)

    allow, refuse = step(_RETURN, _ALLOW), step(_RETURN, _REFUSE)
    steps = [step(_LOAD, _ARCHITECTURE_AT), step(_EQUAL, architecture, 1), refuse]
    steps.append(step(_LOAD, _NUMBER_AT))
    for call in _CALLS.split(","):
        if (number := call.split()[1 + index]) != "-":
            steps += [step(_EQUAL, int(number), 0, 1), allow]
    for *opens, place in _OPEN:
        if (opened := opens[index]) is not None:
            flags = step(_LOAD, _ARGUMENTS_AT + 8 * place)
            steps += [step(_EQUAL, opened, 0, 4), flags, step(_ANY_BIT, _WRITES, 1), allow, refuse]
    steps += [
        step(_EQUAL, _TGKILL[index], 0, 4),
        step(_LOAD, _ARGUMENTS_AT),
        *(step(_EQUAL, pid, 0, 1), allow, refuse),
        refuse,
    ]
    return b"".join(steps)
