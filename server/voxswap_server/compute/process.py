"""What a process of this server is set to before it speaks: allocator, threads, open files.

**Allocator.** A step of compute takes some megabytes and frees them. glibc gives those back to the
system each time, and the next step faults them in again, a thousand pages of it: a tenth to a fifth
of the time to the first sound. So freed memory is kept, up to a bound that the workspace covers.

**Descriptors.** Each component that is mapped keeps its file open, so that a change to it is seen.
Many systems give a process 1,024 descriptors and let it have many more for the asking.

**Threads.** Each step of compute is one thread's; torch's teams of threads are not used. A
team hands over some hundred times in a line, each time one thread waits for another, and on a
machine that has anything else to do one of them is late: see ``docs/performance.md``.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys

# mallopt(3)
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_KEPT_BYTES, _PADDING_BYTES, _LARGEST_ON_HEAP = 128 << 20, 16 << 20, 32 << 20

# Enough for any number of voices, and few enough for whoever closes all that there may be.
_MOST_DESCRIPTORS = 1 << 16

# Each of them needs Python now and then, which one thread has at a time.
_MOST_THREADS = 16


def keep_freed_memory() -> bool:
    """Whether the allocator could be told to; only glibc's can. Call it early."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = {
        _M_TRIM_THRESHOLD: _KEPT_BYTES,
        _M_TOP_PAD: _PADDING_BYTES,
        _M_MMAP_THRESHOLD: _LARGEST_ON_HEAP,
    }
    taken = [mallopt(option, value) for option, value in settings.items()]
    return all(taken)


def raise_descriptor_limit() -> int:
    """Let the process open as many files as it may, within reason; how many these are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MOST_DESCRIPTORS)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError):  # Some systems have a further limit, which they do not tell.
        return soft
    return most


def compute_threads(asked: int, cores: int | None = None) -> int:
    """How many threads compute: those ``asked`` for, or what suits the machine if that is 0.

    On one or two cores all of them; on more, one is left to the event loop, loading and encoding.
    """
    cores = cores or len(os.sched_getaffinity(0))
    return asked or max(min(cores, 2), min(cores - 1, _MOST_THREADS))
