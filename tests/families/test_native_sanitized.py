"""AddressSanitizer and UBSan over each kernel and over a whole voice, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from voxswap_families.errors import KernelsError
from voxswap_families.layers.native import build
from voxswap_families.layers.native.build import compiler, wanted_here
from voxswap_families.layers.native.processor import runnable


def _has_gnu() -> bool:
    try:
        return compiler().name.startswith("g++")
    except KernelsError:
        return False


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("VOXSWAP_CI" not in os.environ and not _has_gnu(), reason="needs g++ 12"),
    pytest.mark.skipif("avx2" not in runnable(), reason="needs a processor with AVX2"),
]

NAMES = sorted({"avx2", *wanted_here()[:1]})
_HERE = Path(__file__).parent
_TESTS = """
import sys
from pathlib import Path
import pytest
from voxswap_families.layers.native import library
folder, names, *arguments = sys.argv[1:]
library.FOLDER = Path(folder)
from tests.families.native_kernels import TRIED
assert sorted(TRIED) == names.split(), TRIED
sys.exit(pytest.main(arguments))
"""
# A row of input is missing.
_FAULT = """
import ctypes, sys
from pathlib import Path
import numpy as np
from voxswap_families.layers.native import library, structures
library.FOLDER = Path(sys.argv[1])
call = library.load("avx2").functions
weights, x, y = (np.zeros(10_000, np.uint8) for _ in range(3))
product = structures.Product(weights.ctypes.data, None, 16, 1, 16, 0)
memory = np.zeros(call.vxk_linear_bytes(product, 157), np.uint8)
call.vxk_linear(product, 157, x.ctypes.data, y.ctypes.data, memory.ctypes.data)
"""
# Python keeps much until it ends, and torch's own libraries are none of ours.
_ASAN = "detect_leaks=0:halt_on_error=1:detect_odr_violation=0"
_REPORTS = ("AddressSanitizer", "runtime error:")


def _runtime(name: str) -> str:
    """Where g++ keeps a library that must be there before all others."""
    found = subprocess.run(  # noqa: S603 - the compiler that is there
        ["g++", f"-print-file-name={name}"],  # noqa: S607
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return found.stdout.strip()


def _preloaded(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    # The last one because AddressSanitizer looks for C++'s exceptions when it begins.
    libraries = ("libasan.so", "libubsan.so", "libstdc++.so.6")
    environment = {k: v for k, v in os.environ.items() if k != "VOXSWAP_CI"} | {
        "LD_PRELOAD": " ".join(map(_runtime, libraries)),
        "ASAN_OPTIONS": _ASAN,
        "UBSAN_OPTIONS": "halt_on_error=1",
    }
    return subprocess.run(  # noqa: S603 - Python, on code of ours
        [sys.executable, "-c", code, *arguments],
        env=environment, capture_output=True, text=True, check=False, cwd=_HERE.parents[1],
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the libraries are. Processes that share the tests share them too."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    by = compiler()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        made = pool.map(lambda name: build.build(name, shared, sanitized=True, by=by), NAMES)
        return next(iter(made)).parent


def test_what_is_written_beside_its_place_is_noticed(folder: Path) -> None:
    ran = _preloaded(_FAULT, str(folder))
    assert ran.returncode != 0
    assert "ERROR: AddressSanitizer" in ran.stderr


@pytest.mark.parametrize("tests", ["kernels", "bytes", "vits_kernels"])
def test_sanitizers_find_nothing(folder: Path, tests: str) -> None:
    # What is printed is not captured, or a report would go with the process.
    options = ("-q", "-s", "-x", "-p", "no:cacheprovider", "-p", "no:xdist")
    path = str(_HERE / f"test_native_{tests}.py")
    ran = _preloaded(_TESTS, str(folder), " ".join(NAMES), *options, path)
    said = ran.stdout + ran.stderr
    assert ran.returncode == 0, said[-6000:]
    assert not [report for report in _REPORTS if report in said], said[-6000:]
