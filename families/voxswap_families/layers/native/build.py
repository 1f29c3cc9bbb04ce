"""Compiles the libraries: ``python -m voxswap_families.layers.native.build``.

With g++ 12 or clang++ 15, or newer; without them with the package ``ziglang``, which is a clang
that compiles for other systems as well. What is there already, of this source and by this compiler,
is left alone. Where nothing can be built everything runs on torch, so a failure is told in a line.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
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
from pathlib import Path
from typing import Final

from voxswap_families.errors import KernelsError
from voxswap_families.layers.native import library
from voxswap_families.layers.native.processor import EMULATED, ISAS, machine, runnable
from voxswap_families.layers.native.recipe import SOURCE, UNIT, checksum, flags
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
    if importlib.util.find_spec("ziglang") is None:
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
    """What a user's machine needs: the best that it can run, if it can run any."""
    return tuple(name for name in runnable() if name not in EMULATED)[:1]


def tested_here() -> tuple[str, ...]:
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
            return _compiled(name, folder, target, by, sanitized=sanitized)
    except (OSError, RegistryError, subprocess.SubprocessError) as error:
        raise KernelsError(f"{name} cannot be built: {error}", detail=str(folder)) from error


def current(name: str, folder: Path, by: Compiler | None) -> bool:
    """Whether ``folder`` has what ``by`` would make; whoever made it will do where that is None."""
    with contextlib.suppress(KernelsError, OSError):
        made_by = library.about(library.find(name, folder))["compiler"]
        return by is None or made_by == by.name
    return False


def _compiled(
    name: str, folder: Path, target: str | None, by: Compiler, *, sanitized: bool
) -> Path:
    suffix = TARGETS[target or here()].suffix if (target or here()) in TARGETS else ".so"
    about = {"ISA": name, "SOURCE": checksum(name), "COMPILER": by.name}
    with tempfile.TemporaryDirectory(dir=folder, prefix=".building-") as workdir:
        made = Path(workdir, f"made{suffix}")
        command = [
            *by.command,
            *flags(name),
            *([] if suffix == ".dll" else ["-fPIC"]),
            *(_SANITIZED if sanitized else ()),
            *(f'-DVXK_{key}="{value}"' for key, value in about.items()),
            *(str(SOURCE / UNIT), "-o", str(made)),
        ]
        ran = subprocess.run(  # noqa: S603 - a compiler, on files of ours
            command, capture_output=True, text=True, errors="replace", timeout=600, check=False
        )
        if ran.returncode:
            said = [line for line in ran.stderr.splitlines() if "error" in line] or ["no word"]
            raise KernelsError(f"{name} does not compile with {by.name}: {said[0]:.200}")
        data = made.read_bytes()
        path = folder / library.file_name(name, data, suffix)
        made.replace(path)
    for old in folder.glob(f"{name}-*{suffix}"):
        if old != path:
            old.unlink(missing_ok=True)
    return library.find(name, folder)


_SANITIZED = (
    *("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
    "-fno-omit-frame-pointer",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. 0 if all that was asked for is there, 1 if not."""
    options = _options(arguments)
    if options.all:
        processor = TARGETS[options.target].machine if options.target else machine()
        names = [n for n, isa in ISAS.items() if isa.machine == processor and n not in EMULATED]
    elif options.tests:
        names = list(tested_here())
    else:
        names = options.isa or list(wanted_here())
    if not names:
        print("kernels: none for this processor; everything runs on torch")
        return 0
    try:
        by: Compiler | None = compiler(options.target)
    except KernelsError as error:
        by, refused = None, error.message
    folder = options.folder / "sanitized" if options.sanitized else options.folder
    missing = [name for name in names if not current(name, folder, by)]
    if options.check:
        return 1 if missing else 0
    if not missing:
        print(f"kernels: {', '.join(names)} as they were")
        return 0
    if by is None:
        print(f"kernels: {refused}. Without them everything runs on torch")
        return 1
    return _build_all(missing, by, options)


def _build_all(names: Sequence[str], by: Compiler, options: argparse.Namespace) -> int:
    def timed(name: str) -> str:
        began = time.monotonic()
        build(name, options.folder, target=options.target, sanitized=options.sanitized, by=by)
        return f"{name} in {time.monotonic() - began:.0f} s"

    print(f"kernels: compiling {', '.join(names)} with {by.name} …", flush=True)
    status, done = 0, list[str]()
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for made in [pool.submit(timed, name) for name in names]:
            try:
                done.append(made.result())
            except KernelsError as error:
                print(f"kernels: {error.message}. Without it something else computes")
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
    parser.add_argument(
        "--check", action="store_true", help="build nothing; 1 if something is to be built"
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
