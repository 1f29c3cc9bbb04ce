"""What the system says of a process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.servers import BenchServer

_SIZE = 8 << 20

# In a process of its own: in that of the tests others take and give back memory meanwhile.
_TAKER = f"""
import mmap, sys
maps = []
for line in sys.stdin:
    path = line.strip()
    if path == "anonymous":
        maps.append(mmap.mmap(-1, {_SIZE}, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
        for at in range(0, {_SIZE}, mmap.PAGESIZE):
            maps[-1][at] = 1
    elif path != "nothing":
        with open(path, "rb") as file:
            maps.append(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))
        assert not any(maps[-1][:: mmap.PAGESIZE])
    print("taken", flush=True)
"""


def test_own_memory_is_anonymous_and_of_the_files_that_are_named(tmp_path: Path) -> None:
    weights, library = tmp_path / "registry" / "weights", tmp_path / "library"
    weights.parent.mkdir()
    for path in (weights, library):
        path.write_bytes(bytes(_SIZE))
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", _TAKER], text=True, **pipes) as taker:  # noqa: S603
        theirs, stdin, stdout = BenchServer("", taker.pid), taker.stdin, taker.stdout
        assert stdin is not None
        assert stdout is not None

        def own_bytes_with(what: object) -> int:
            stdin.write(f"{what}\n")
            stdin.flush()
            assert stdout.readline() == "taken\n"
            return theirs.own_bytes(weights.parent)

        before = own_bytes_with("nothing")
        own_bytes_with(weights)
        grown = own_bytes_with(library) - before
        assert abs(grown - _SIZE) < _SIZE / 2, "the library is the system's to drop"
        grown = own_bytes_with("anonymous") - before
        assert abs(grown - 2 * _SIZE) < _SIZE / 2


def test_own_memory_is_the_systems_sum_where_no_folder_is_named() -> None:
    ours = BenchServer("", os.getpid())
    assert abs(ours.own_bytes() - ours.memory_bytes("Anonymous")) < 4 << 20
