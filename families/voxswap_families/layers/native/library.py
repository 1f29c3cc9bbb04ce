"""The library that computes here: found, checked, loaded, its functions declared.

A file is named after its instruction set and the digest of its bytes. All that can be told from the
bytes is checked before the system loads them, for a file that lost its end may end the process;
and what it says of itself is asked before anything else of it is called.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from voxswap_families.errors import KernelsError
from voxswap_families.layers.native.processor import EMULATED, ISAS, lacking, runnable
from voxswap_families.layers.native.recipe import checksum
from voxswap_families.layers.native.structures import FUNCTIONS
from voxswap_registry.errors import EngineError

#: What computes, as the setting names it; "torch" is no library.
Kernels = Literal[
    "torch", "amx", "avx512_bf16", "avx512_vnni", "avx512", "avx2", "neon_bf16", "neon"
]

#: Where libraries are: of this checkout, or of this wheel.
FOLDER: Final = Path(__file__).with_name("built")
#: What makes them.
BUILD: Final = "python -m voxswap_families.layers.native.build"
#: Of the calls and their arguments. It is source/about.hpp's.
ABI: Final = "1"

_MOST_BYTES = 1 << 26
_ABOUT = re.compile(rb"abi=\d+;isa=[ -~]+?;source=[0-9a-f]{16};compiler=[ -~]*\0")


@dataclass(frozen=True, slots=True)
class Library:
    """A library that is loaded, for the process's life. ``functions`` has those of `FUNCTIONS`."""

    isa: str
    about: Mapping[str, str]
    functions: ctypes.CDLL


def pick(kernels: str = "auto") -> Library | None:
    """The library for ``kernels``: ``auto`` (the best that is here), ``torch`` (None), or a name.

    None for ``auto`` where there is none. Blocks for some milliseconds, the first time. Raises
    `KernelsError` for a name that this machine cannot run, or that is not built.
    """
    if kernels == "torch":
        return None
    if kernels == "auto":
        return best()[0]
    try:
        return load(kernels)
    except KernelsError as error:
        there = [name for name in runnable() if name not in EMULATED and not fault(name)]
        remedy = f"; {BUILD} --isa {kernels} makes it" if kernels in runnable() else ""
        raise KernelsError(
            f"{error.message}; there are: {', '.join([*there, 'torch'])}{remedy}",
            detail=error.detail,
        ) from error


def best() -> tuple[Library | None, tuple[str, ...]]:
    """The best library that is here, and why each that would be better is not used, in words."""
    reasons: list[str] = []
    for name in runnable():
        if name not in EMULATED:
            try:
                return load(name), tuple(reasons)
            except KernelsError as error:
                reasons.append(error.message)
    return None, tuple(reasons)


def usable() -> list[Library]:
    """All that are here and that this processor runs, but those for tests."""
    return [load(name) for name in runnable() if name not in EMULATED and not fault(name)]


def shown() -> str:
    """What this machine would use, in lines for people: its name is the first word."""
    library, reasons = best()
    names = " or ".join(found.isa for found in usable())
    lines = ["torch" if library is None else f"{names}, by {library.about['compiler']}"]
    if library is None and not reasons:
        lines += ["this processor has none of the instructions that kernels are built for"]
    lines += [*reasons, f"{BUILD} makes the best"] if reasons else []
    return "\n  ".join(lines)


def fault(name: str) -> str:
    """Why ``name`` cannot be loaded, in words; empty if it can."""
    try:
        load(name)
    except KernelsError as error:
        return error.message
    return ""


@functools.cache
def load(name: str) -> Library:
    """The library for ``name`` of `ISAS`; the same one at every call. Raises `KernelsError`."""
    if name not in ISAS:
        raise KernelsError(f"{name!r:.40} are none that there are")
    if reason := lacking(name):
        raise KernelsError(f"{name} cannot run here: {reason}")
    try:
        return opened(find(name), name)
    except OSError as error:
        raise KernelsError(f"{name} cannot be looked for: {error}") from error


def find(name: str, folder: Path | None = None) -> Path:
    """The file for ``name`` in `FOLDER`, its bytes checked. Raises `KernelsError`."""
    reason = f"{name} is not built"
    for path in sorted((folder or FOLDER).glob(f"{name}-*.*")):
        if path.suffix in (".so", ".dylib", ".dll"):
            found = _fault_of(path, name)
            if not found:
                return path
            reason = f"{path.name} is refused: it {found}"
    raise KernelsError(reason, detail=str(folder or FOLDER))


def opened(path: Path, name: str) -> Library:
    """Load a file that `find` has checked. Raises `KernelsError`."""
    try:
        functions = ctypes.CDLL(str(path))
        functions.vxk_about.restype, functions.vxk_about.argtypes = ctypes.c_char_p, ()
        about = _pairs(functions.vxk_about())
        if wrong := _contradiction(about, name):
            raise KernelsError(f"{path.name} is refused: it {wrong}")
        for function, (result, arguments) in FUNCTIONS.items():
            declared = getattr(functions, function)
            declared.restype, declared.argtypes = result, arguments
            declared.errcheck = _not_refused
    except (OSError, AttributeError) as error:
        raise KernelsError(f"{name} cannot be loaded: {error}", detail=str(path)) from error
    return Library(name, about, functions)


# As `source/library.cpp` numbers them.
_REFUSALS: Final = {
    -1: "a segment is too long for kernels, or has nothing in it",
    -2: "it has no kernels for weights of this shape",
    -3: "there is no memory left for the weights",
}


def _not_refused(result: int, function: Any, _arguments: Any) -> int:
    """What a function gave, unless that is a refusal."""
    if result < 0:
        raise EngineError(f"{function.__name__} refuses what it was given: {_REFUSALS[result]}")
    return result


def about(path: Path) -> dict[str, str]:
    """What a file says of itself, read and not run; empty if it says nothing. Raises `OSError`."""
    with path.open("rb") as file:
        return _about(file.read(_MOST_BYTES))


def file_name(name: str, data: bytes, suffix: str) -> str:
    """What a library for ``name`` with these bytes is called."""
    return f"{name}-{hashlib.sha256(data).hexdigest()[:16]}{suffix}"


def _fault_of(path: Path, name: str) -> str:
    """What is wrong with a file, in words that follow its name; empty if nothing is."""
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if path.name != file_name(name, data, path.suffix):
        return "is cut off, or was changed since it was built"
    return _contradiction(_about(data), name)


def _contradiction(found: Mapping[str, str], name: str) -> str:
    """How that differs from what a library for ``name`` must say."""
    if not found:
        return "is no library of kernels"
    wanted = {"abi": ABI, "isa": name, "source": checksum(name)}
    return ", ".join(_differences(found, wanted))


def _differences(found: Mapping[str, str], wanted: Mapping[str, str]) -> Iterator[str]:
    for key, value in wanted.items():
        if found[key] != value:
            yield f"is of {key} {found[key]} and not {value}"


def _about(data: bytes) -> dict[str, str]:
    match = _ABOUT.search(data)
    return _pairs(match.group()[:-1]) if match else {}


def _pairs(text: bytes) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in text.decode("ascii", "replace").split(";"))
    return {key: value for key, _, value in pairs}
