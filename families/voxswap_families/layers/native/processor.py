"""Which instruction sets there are, what each of them needs, and which this machine can run.

One table for the compiler and for the processor: a library may use what its row names and nothing
else, and is run only where processor and system have all of that.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import platform
import subprocess
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_X86, _ARM = "x86_64", "aarch64"
_MACHINES: Final = {"x86_64": _X86, "amd64": _X86, "aarch64": _ARM, "arm64": _ARM}

# The compiler's flag for a feature, and the names in /proc/cpuinfo that must be there for it: those
# of what the flag implies as well.
_AVX = ("sse3", "ssse3", "sse4_1", "sse4_2", "popcnt", "fxsr", "xsave", "avx")
_FEATURES: Final[dict[str, tuple[str, ...]]] = {
    "-mavx2": (*_AVX, "avx2"),
    "-mfma": ("fma",),
    "-mf16c": ("f16c",),
    "-mbmi2": ("bmi2",),
    "-mavx512f": (*_AVX, "avx2", "avx512f"),
    "-mavx512bw": ("avx512bw",),
    "-mavx512vl": ("avx512vl",),
    "-mavx512dq": ("avx512dq",),
    "-mavx512vnni": ("avx512_vnni",),
    "-mavx512bf16": ("avx512_bf16",),
    "-mamx-tile": ("amx_tile",),
    "-mamx-bf16": ("amx_bf16",),
    "-mcpu=generic+bf16": ("bf16",),
}
# Linux calls SSE3 "pni"; macOS and others by its name.
_OTHER_NAMES: Final = {"pni": "sse3", "avx1_0": "avx"}

_PLAIN = ("-mavx2", "-mfma", "-mf16c", "-mbmi2")
_WIDE = (*_PLAIN[1:], "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq")
_ROUNDED = (*_WIDE, "-mavx512vnni", "-mavx512bf16")


@dataclass(frozen=True, slots=True)
class Isa:
    """An instruction set that libraries are built for.

    ``features`` are flags of the compiler, rows of the table above; ``tuning`` are others, which
    let it use no more instructions. ``defines`` are the macros that are 1 rather than 0.
    """

    name: str
    machine: str
    features: tuple[str, ...] = ()
    tuning: tuple[str, ...] = ()
    defines: frozenset[str] = frozenset()
    needs_tiles: bool = False

    @property
    def needs(self) -> frozenset[str]:
        """What /proc/cpuinfo must name: nothing for NEON, which all ARM of 64 bits has."""
        return frozenset(name for flag in self.features for name in _FEATURES[flag])

    @property
    def multiplies_bytes(self) -> bool:
        """Whether weights of int8 are multiplied as such. AMX's tiles of bfloat16 are faster."""
        return "VXK_INT8" in self.defines


_WIDTH = ("-mprefer-vector-width=512",)
#: Best first. What is emulated is for tests, and never picked.
ISAS: Final[dict[str, Isa]] = {
    isa.name: isa
    for isa in (
        Isa(
            "amx",
            _X86,
            (*_ROUNDED, "-mamx-tile", "-mamx-bf16"),
            _WIDTH,
            frozenset({"VXK_BF16", "VXK_AMX"}),
            needs_tiles=True,
        ),
        Isa("avx512_bf16", _X86, _ROUNDED, _WIDTH, frozenset({"VXK_BF16", "VXK_INT8"})),
        Isa("avx512_vnni", _X86, (*_WIDE, "-mavx512vnni"), _WIDTH, frozenset({"VXK_INT8"})),
        Isa("avx512", _X86, _WIDE, _WIDTH),
        Isa("avx2", _X86, _PLAIN),
        Isa("neon_bf16", _ARM, ("-mcpu=generic+bf16",), (), frozenset({"VXK_BF16"})),
        Isa("neon", _ARM),
        Isa(
            "amx_emulated",
            _X86,
            _ROUNDED,
            _WIDTH,
            frozenset({"VXK_BF16", "VXK_AMX", "VXK_AMX_EMULATED"}),
        ),
    )
}
EMULATED: Final = frozenset({"amx_emulated"})
#: All macros that `Isa.defines` chooses from.
MACROS: Final = ("VXK_BF16", "VXK_INT8", "VXK_AMX", "VXK_AMX_EMULATED")


def machine() -> str:
    """``x86_64``, ``aarch64``, or whatever else this process is made for."""
    found = platform.machine().lower()
    # A process of 32 bits on a processor of 64.
    return _MACHINES.get(found, found) if sys.maxsize > 1 << 32 else f"{found} in 32 bits"


@functools.cache
def features() -> frozenset[str]:
    """What the processor has and the system lets us use, in Linux's names; empty if unknown.

    Blocks for some milliseconds, once.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            return told(Path("/proc/cpuinfo").read_text("utf-8", "replace"))
    if sys.platform == "darwin":
        names = ("machdep.cpu.features", "machdep.cpu.leaf7_features")
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            ran = subprocess.run(  # noqa: S603 - the system's own
                ["/usr/sbin/sysctl", "-n", *names],
                capture_output=True,
                text=True,
                timeout=5,
                check=False,
            )
            return told(f"flags: {' '.join(ran.stdout.split())}")
    return frozenset()


def told(cpuinfo: str) -> frozenset[str]:
    """The features that all processors of a /proc/cpuinfo have: a system may mix them."""
    rows = [
        frozenset(value.lower().replace(".", "_").split())
        for name, _, value in (line.partition(":") for line in cpuinfo.splitlines())
        if name.strip() in ("flags", "Features")
    ]
    found = frozenset.intersection(*rows) if rows else frozenset()
    return found | {_OTHER_NAMES[name] for name in found if name in _OTHER_NAMES}


def runnable(having: Collection[str] | None = None) -> tuple[str, ...]:
    """Names of `ISAS` that this machine can run, best first; ``having`` in place of `features`.

    AMX is asked for at the system, which then lets this process use it.
    """
    has = frozenset(features() if having is None else having)
    return tuple(
        isa.name
        for isa in ISAS.values()
        if isa.machine == machine()
        and isa.needs <= has
        and (not isa.needs_tiles or tiles_permitted())
    )


def lacking(name: str) -> str:
    """Why this machine cannot run ``name`` of `ISAS`, in words; empty if it can."""
    isa = ISAS[name]
    if isa.machine != machine():
        return f"it is for {isa.machine}, and this is {machine()}"
    if missing := sorted(isa.needs - features()):
        return f"this processor or its system lacks {', '.join(missing)}"
    return "" if name in runnable() else "the system does not permit AMX's tiles"


@functools.cache
def tiles_permitted() -> bool:
    """Whether Linux lets this process use AMX's tiles, which it must be asked for once."""
    if sys.platform != "linux":
        return False
    arch_prctl, request_permission, tile_data = 158, 0x1023, 18
    refused: int = ctypes.CDLL(None).syscall(arch_prctl, request_permission, tile_data)
    return refused == 0
