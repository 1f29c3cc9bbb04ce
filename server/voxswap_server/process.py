"""What a process of this server is set to before it speaks: its allocator and its threads.

**Allocator.** A step of compute takes some megabytes and frees them. glibc gives those back to the
system each time, and the next step faults them in again, a thousand pages of it: a tenth to a fifth
of the time to the first sound. So freed memory is kept, up to a bound that the workspace covers.

**Threads.** libgomp lets threads wait for each other by spinning as long as there are no more of
them than cores, and lets them sleep at once if there are, which a product of fifty microseconds
notices. Every thread that makes a parallel product gets a team of its own. So the compute thread is
the only one: everywhere else torch computes alone.
"""

from __future__ import annotations

import ctypes
import os
import sys

# mallopt(3)
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_KEPT_BYTES, _PADDING_BYTES, _LARGEST_ON_HEAP = 128 << 20, 16 << 20, 32 << 20

# Beyond this many, products as small as ours gain nothing more.
_MOST_COMPUTE_THREADS = 8


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


def tame_openmp() -> None:
    """Let OpenMP's threads spin for microseconds, not milliseconds, while they wait for each other.

    libgomp's default assumes that nothing else wants a core. Where something does, each of a
    thousand barriers a line then costs a time slice, and a line takes thirty times as long
    (``docs/performance.md``). Must come before torch is imported; the operator's choice stands.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "500")


def compute_threads(asked: int, cores: int | None = None) -> int:
    """Threads of one computation: those ``asked`` for, or what suits the machine if that is 0.

    On one or two cores all of them; on more, one is left to the event loop, loading and encoding.
    """
    cores = cores or len(os.sched_getaffinity(0))
    return asked or max(min(cores, 2), min(cores - 1, _MOST_COMPUTE_THREADS))
