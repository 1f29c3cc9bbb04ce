"""How a library is compiled, and the checksum that tells whether one was compiled so.

It is over the names and bytes of all files of source/ and the flags, and not over the compiler:
whoever has the package can tell, without one, whether a library is of this source.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from voxswap_families.layers.native.processor import ISAS, MACROS

SOURCE: Final = Path(__file__).with_name("source")
#: The file that includes all others.
UNIT: Final = "library.cpp"

# Multiplications and additions are fused where the source says so, so that all places where a sum
# is written give the same bits. C++ has no runtime here: no exceptions, no `new`, no guards.
_COMMON = (
    *("-O3", "-std=c++17", "-fvisibility=hidden"),
    *("-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off", "-Wno-psabi"),
    *("-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics"),
)


def flags(name: str) -> tuple[str, ...]:
    """The compiler's flags for ``name`` of `ISAS`, but for those that say where and for whom."""
    isa = ISAS[name]
    macros = (f"-D{macro}={int(macro in isa.defines)}" for macro in MACROS)
    return (*_COMMON, *isa.features, *isa.tuning, *macros)


def checksum(name: str) -> str:
    """What a library for ``name`` must say that it is of: 16 hexadecimal digits.

    Raises `OSError` if the source cannot be read.
    """
    found = hashlib.sha256("\0".join(flags(name)).encode())
    for path in sorted(path for path in SOURCE.iterdir() if path.suffix in (".hpp", ".cpp")):
        data = path.read_bytes()
        found.update(f"\0{path.name}\0{len(data)}\0".encode() + data)
    return found.hexdigest()[:16]
