"""What the system says of a process."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

from bench.servers import BenchServer

_SIZE = 8 << 20


def test_own_memory_is_anonymous_and_of_the_files_that_are_named(tmp_path: Path) -> None:
    ours = BenchServer("", os.getpid())
    weights, library = tmp_path / "registry" / "weights", tmp_path / "library"
    weights.parent.mkdir()
    for path in (weights, library):
        path.write_bytes(bytes(_SIZE))
    before = ours.own_bytes(weights.parent)
    with weights.open("rb") as a, library.open("rb") as b:
        maps = [mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) for file in (a, b)]
        for mapped in maps:
            assert not any(mapped[:: mmap.PAGESIZE])
        grown = ours.own_bytes(weights.parent) - before
        assert abs(grown - _SIZE) < _SIZE / 2, "the library is the system's to drop"
        held = mmap.mmap(-1, _SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for at in range(0, _SIZE, mmap.PAGESIZE):
            held[at] = 1
        grown = ours.own_bytes(weights.parent) - before
        assert abs(grown - 2 * _SIZE) < _SIZE / 2
        for mapped in (*maps, held):
            mapped.close()


def test_own_memory_is_the_systems_sum_where_no_folder_is_named() -> None:
    ours = BenchServer("", os.getpid())
    assert abs(ours.own_bytes() - ours.memory_bytes("Anonymous")) < 4 << 20
