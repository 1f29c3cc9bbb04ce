"""Compiles the libraries: ``python -m voxswap_families.layers.native.build``.

With g++ 12 or clang++ 15, or newer; without them with the package ``ziglang``, which is a clang
that compiles for other systems as well. What is there already, of this source and by this compiler,
is left alone. Where nothing can be built everything runs on torch, so a failure is told in a line.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from voxswap_families.errors import KernelsError
from voxswap_families.layers.native import library, recipe
from voxswap_families.layers.native.processor import EMULATED, ISAS, machine, runnable
from voxswap_registry.errors import RegistryError
from voxswap_registry.storage.locks import locked

_OLDEST = {"g++": 12, "clang++": 15}
_PATIENCE_S = 600.0


@dataclass(frozen=True, slots=True)
class Target:
    """A system that libraries are built for: zig's name of it, and how its libraries end."""

    machine: str
    zig: str
    suffix: str


#: What zig compiles for from anywhere. glibc 2.17 is manylinux2014's.
TARGETS: Final[dict[str, Target]] = {
    "linux-x86_64": Target("x86_64", "x86_64-linux-gnu.2.17", ".so"),
    "linux-aarch64": Target("aarch64", "aarch64-linux-gnu.2.17", ".so"),
    "macos-x86_64": Target("x86_64", "x86_64-macos", ".dylib"),
    "macos-aarch64": Target("aarch64", "aarch64-macos", ".dylib"),
    "windows-x86_64": Target("x86_64", "x86_64-windows-gnu", ".dll"),
}
_SYSTEMS = {"linux": "linux", "darwin": "macos", "win32": "windows"}


@dataclass(frozen=True, slots=True)
class Compiler:
    """What is run, and its name with its version."""

    command: tuple[str, ...]
    name: str

    @property
    def is_zig(self) -> bool:
        """It needs nothing of the system that it runs on."""
        return self.name.startswith("zig ")


def here() -> str:
    """The name of this system among `TARGETS`, if it is there."""
    return f"{_SYSTEMS.get(sys.platform, sys.platform)}-{machine()}"


def compiler(target: str | None = None) -> Compiler:
    """What compiles for ``target``, or for this machine. Raises `KernelsError` if nothing does."""
    refused = []
    if target is None:
        for program, oldest in _OLDEST.items():
            found = _version_of(program)
            if found and int(found.partition(".")[0]) >= oldest:
                return Compiler((program,), f"{program} {found}")
            refused += [f"{program} is {found}"] if found else []
    if find_spec("ziglang") is None:
        needed = "g++ 12 or clang++ 15 or later, or `pip install ziglang`"
        raise KernelsError(
            f"there is no C++ compiler ({', '.join(refused) or 'none is on the PATH'}); install "
            + (needed if target is None else "ziglang")
        )
    wanted = TARGETS.get(target or here())
    if wanted is None:
        raise KernelsError(f"ziglang is not told how to compile for {target or here()}")
    command = (sys.executable, "-m", "ziglang", "c++", "-target", wanted.zig)
    return Compiler(command, f"zig {version('ziglang')}")


def wanted_here() -> tuple[str, ...]:
    """What a user's machine needs: the best that it can run, if it can run any.

    And plain floats beside pairs of bfloat16: which is faster is measured (see `fastest`).
    """
    found = tuple(name for name in runnable() if name not in EMULATED)
    return found[:2] if found[:1] in {("avx512_bf16",), ("neon_bf16",)} else found[:1]


def for_tests() -> tuple[str, ...]:
    """What tests run: the best, AVX2, and AMX's tiles emulated where processors have none."""
    can = runnable()
    emulated = () if "amx" in can else tuple(EMULATED)
    return tuple(n for n in can if n in (*wanted_here(), "avx2", *emulated))


def build(
    name: str,
    folder: Path = library.FOLDER,
    *,
    target: str | None = None,
    sanitized: bool = False,
    by: Compiler | None = None,
) -> Path:
    """The library for ``name`` of `ISAS` in ``folder``, compiled if it is not there.

    ``sanitized`` makes one that ends the process at what AddressSanitizer and UBSan find; it gets a
    folder of its own. Of several processes one compiles and the others wait. Blocks for up to a
    minute. Raises `KernelsError`.
    """
    by = by or compiler(target)
    folder = folder / "sanitized" if sanitized else folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / f"{name}.lock", _PATIENCE_S):
            if current(name, folder, by):
                return library.find(name, folder)
            return _made(name, folder, target or here(), by, sanitized=sanitized)
    except (OSError, RegistryError, subprocess.SubprocessError) as error:
        raise KernelsError(f"{name} cannot be built: {error}", detail=str(folder)) from error


def current(name: str, folder: Path, by: Compiler | None) -> bool:
    """Whether ``folder`` has what ``by`` would make; whoever made it will do where that is None."""
    with contextlib.suppress(KernelsError, OSError):
        made_by = library.about(library.find(name, folder))["compiler"]
        return by is None or made_by == by.name
    return False


def compiled(name: str, path: Path, system: str, by: Compiler, *, sanitized: bool = False) -> None:
    """Write the object file of ``name`` for ``system`` to ``path``. Raises `KernelsError`."""
    about = {"ISA": name, "SOURCE": recipe.checksum(name), "COMPILER": by.name}
    _run(
        name,
        by,
        *recipe.flags(name),
        *(() if system.startswith("windows") else ("-fPIC",)),
        *(_SANITIZED if sanitized else ()),
        *(f'-DVXK_{key}="{value}"' for key, value in about.items()),
        *("-c", str(recipe.SOURCE / recipe.UNIT), "-o", str(path)),
    )


def _made(name: str, folder: Path, system: str, by: Compiler, *, sanitized: bool) -> Path:
    suffix = TARGETS[system].suffix if system in TARGETS else ".so"
    with tempfile.TemporaryDirectory(dir=folder, prefix=".building-") as workdir:
        compiled_to, linked_to = Path(workdir, "library.o"), Path(workdir, f"library{suffix}")
        compiled(name, compiled_to, system, by, sanitized=sanitized)
        how = _SANITIZED if sanitized else _linking(system, by)
        _run(name, by, "-shared", str(compiled_to), "-o", str(linked_to), *how)
        path = folder / library.file_name(name, linked_to.read_bytes(), suffix)
        linked_to.replace(path)
    for old in folder.glob(f"{name}-*{suffix}"):
        if old != path:
            old.unlink(missing_ok=True)
    return library.find(name, folder)


def _linking(system: str, by: Compiler) -> tuple[str, ...]:
    """Against the C library alone. Zig would build C++'s runtime first, for more than a minute."""
    if not system.startswith("linux"):
        return ("-nostdlib++",)
    return ("-nostdlib", "-lm", "-lc", "-Wl,-z,defs", *(() if by.is_zig else ("-lgcc",)))


def _run(name: str, by: Compiler, *words: str) -> None:
    ran = subprocess.run(  # noqa: S603 - a compiler, on files of ours
        [*by.command, *words],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=600,
        check=False,
    )
    if ran.returncode:
        said = [x for x in ran.stderr.splitlines() if "error" in x.lower() or "undefined" in x]
        raise KernelsError(
            f"{name} does not compile with {by.name}: {(said or ['it gave no reason'])[0]:.200}"
        )


# Not optimised: compiling takes a fifth of the time, and what they run is small.
_SANITIZED = (
    *("-O0", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
    "-fno-omit-frame-pointer",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. 0 if all that was asked for is there, 1 if not."""
    options = _options(arguments)
    names = _names(options)
    try:
        by: Compiler | None = compiler(options.target)
    except KernelsError as error:
        by, refused = None, error.message
    folder = options.folder / "sanitized" if options.sanitized else options.folder
    missing = [name for name in names if not current(name, folder, by)]
    if options.needs_compiler:
        return 0 if missing and by is None else 1
    if options.check and (by or not missing):
        return 1 if missing else 0
    if not missing:
        as_they_were = f"{', '.join(names)} as they were"
        print(f"kernels: {as_they_were if names else 'none for this processor, so torch computes'}")
        return 0
    if by is None:
        print(f"kernels: {refused}. Without kernels everything runs on torch")
        return 0 if options.check else 1
    return _build_all(missing, by, options)


def _names(options: argparse.Namespace) -> Sequence[str]:
    if options.all:
        processor = TARGETS[options.target].machine if options.target else machine()
        return [n for n, isa in ISAS.items() if isa.machine == processor and n not in EMULATED]
    return for_tests() if options.tests else options.isa or wanted_here()


def _build_all(names: Sequence[str], by: Compiler, options: argparse.Namespace) -> int:
    def timed(name: str) -> str:
        began = time.monotonic()
        build(name, options.folder, target=options.target, sanitized=options.sanitized, by=by)
        return f"{name} in {time.monotonic() - began:.0f} s"

    print(f"kernels: compiling {', '.join(names)} with {by.name} …", flush=True)
    status, done = 0, list[str]()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for made in [pool.submit(timed, name) for name in names]:
            try:
                done.append(made.result())
            except KernelsError as error:
                print(f"kernels: {error.message}. What else is built computes, or torch")
                status = 1
    if done:
        print(f"kernels: made {', '.join(done)}")
    return status


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m voxswap_families.layers.native.build",
        description="Compile the native kernels: by default the best that this processor can run.",
        allow_abbrev=False,
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--isa", action="append", choices=list(ISAS), help="these instead")
    what.add_argument("--all", action="store_true", help="all of the processor's kind")
    what.add_argument("--tests", action="store_true", help="those that the tests run")
    parser.add_argument("--target", choices=list(TARGETS), help="for another system, with ziglang")
    parser.add_argument("--sanitized", action="store_true", help="with AddressSanitizer and UBSan")
    parser.add_argument("--folder", type=Path, default=library.FOLDER, help="where they go")
    ask = parser.add_mutually_exclusive_group()
    ask.add_argument(
        "--check", action="store_true", help="build nothing; 1 if there is something to build"
    )
    ask.add_argument(
        "--needs-compiler", action="store_true", help="build nothing; 0 if a compiler would help"
    )
    return parser.parse_args(arguments)


def _version_of(program: str) -> str:
    """Of g++ or clang++, such as 12.2.0; empty if it is not there or says none."""
    try:
        ran = subprocess.run(  # noqa: S603 - by its name, wherever the PATH has it
            [program, "--version"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    found = re.search(r"(?:clang version|\)) (\d+\.\d+(?:\.\d+)?)", ran.stdout)
    return found.group(1) if found and ran.returncode == 0 else ""


if __name__ == "__main__":
    sys.exit(main())
