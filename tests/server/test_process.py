"""What a server's process is set to."""

from __future__ import annotations

import subprocess
import sys

import pytest

from voxswap_server.compute.process import compute_threads


@pytest.mark.parametrize(
    ("cores", "threads"), [(1, 1), (2, 2), (3, 2), (4, 3), (8, 7), (16, 15), (64, 16)]
)
def test_a_core_is_left_where_there_are_several(cores: int, threads: int) -> None:
    assert compute_threads(0, cores) == threads
    assert compute_threads(5, cores) == 5


def test_freed_memory_is_kept_where_the_allocator_can_be_told() -> None:
    """In a process of its own: blocks that were freed come back without a page fault."""
    program = """
import ctypes, resource
from voxswap_server.compute.process import keep_freed_memory
kept = keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
def touch():
    block = libc.malloc(4 << 20)
    ctypes.memset(block, 1, 4 << 20)
    libc.free(block)
touch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    touch()
print(int(kept), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    found = subprocess.run(  # noqa: S603 - a program of ours
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    kept, faults = map(int, found.stdout.split())
    if not kept:
        pytest.skip("this C library is not glibc")
    assert faults < 100  # 20 blocks have 20,000 pages


def test_as_many_descriptors_are_had_as_may_be_within_reason() -> None:
    """In a process of its own: what is lowered stays so."""
    program = """
import resource
from voxswap_server.compute.process import raise_descriptor_limit
for soft, hard in ((100, 5000), (5000, 5000)):
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    print(raise_descriptor_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""
    found = subprocess.run(  # noqa: S603 - a program of ours
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert found.stdout.splitlines() == ["5000 5000 5000"] * 2
