"""Libraries of kernels: what they may use, how they are built, found and refused."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from voxswap_families.errors import KernelsError
from voxswap_families.layers.native import build, library, processor, recipe
from voxswap_families.layers.native.build import TARGETS, compiler, for_tests, here
from voxswap_families.layers.native.library import FOLDER, find, opened, pick
from voxswap_families.layers.native.processor import ISAS, runnable, told
from voxswap_families.layers.native.recipe import checksum, flags

ZEN_4 = (
    "flags\t\t: fpu fxsr sse sse2 pni ssse3 fma sse4_1 sse4_2 popcnt xsave avx f16c bmi2 avx2 "
    "avx512f avx512dq avx512bw avx512vl avx512_bf16 avx512_vnni\n"
)
SAPPHIRE_RAPIDS = ZEN_4.replace("\n", " amx_bf16 amx_tile amx_int8\n")
SKYLAKE = ZEN_4.replace(" avx512_bf16 avx512_vnni", "")
HASWELL = ZEN_4[: ZEN_4.index(" avx512f")] + "\n"
IVY_BRIDGE = "flags\t\t: fpu fxsr sse sse2 pni ssse3 sse4_1 sse4_2 popcnt xsave avx f16c\n"
PICKED = tuple(name for name in ISAS if name not in processor.EMULATED)

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("g++", "clang++"))), reason="needs a C++ compiler"
)


@pytest.fixture
def x86(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "machine", lambda: "x86_64")
    monkeypatch.setattr(processor, "tiles_permitted", lambda: True)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library that only says what it is, and is compiled in no time."""
    folder = tmp_path / "source"
    folder.mkdir()
    shutil.copy(recipe.SOURCE / "about.hpp", folder)
    (folder / recipe.UNIT).write_text('#include "about.hpp"\n')
    monkeypatch.setattr(recipe, "SOURCE", folder)
    return folder


@pytest.fixture
def folder(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An install of its own, on a machine that can run AVX2 and AVX-512."""
    assert source == recipe.SOURCE
    monkeypatch.setattr(library, "FUNCTIONS", {})
    monkeypatch.setattr(library, "FOLDER", tmp_path / "built")
    monkeypatch.setattr(library, "runnable", lambda: ("avx512", "avx2"))
    monkeypatch.setattr(library, "lacking", lambda _: "")
    library.load.cache_clear()
    yield tmp_path / "built"
    library.load.cache_clear()


@pytest.mark.usefixtures("x86")
@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        (SAPPHIRE_RAPIDS, ("amx", "avx512_bf16", "avx512_vnni", "avx512", "avx2", "amx_emulated")),
        (ZEN_4, ("avx512_bf16", "avx512_vnni", "avx512", "avx2", "amx_emulated")),
        (ZEN_4.replace("avx512_bf16 ", ""), ("avx512_vnni", "avx512", "avx2")),
        (SKYLAKE, ("avx512", "avx2")),
        (ZEN_4.replace("avx512bw ", ""), ("avx2",)),
        (HASWELL, ("avx2",)),
        (HASWELL + IVY_BRIDGE, ()),
        (IVY_BRIDGE, ()),
        ("Features\t: fp asimd evtstrm\n", ()),
        ("", ()),
    ],
)
def test_a_processor_runs_what_it_has_all_of(cpuinfo: str, expected: tuple[str, ...]) -> None:
    assert runnable(told(cpuinfo)) == expected


@pytest.mark.usefixtures("x86")
def test_tiles_are_the_systems_to_permit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "tiles_permitted", lambda: False)
    assert runnable(told(SAPPHIRE_RAPIDS))[0] == "avx512_bf16"


def test_arm_of_64_bits_has_neon_and_may_have_its_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "machine", lambda: "aarch64")
    assert runnable(told("Features\t: fp asimd\n")) == ("neon",)
    assert runnable(told("Features\t: fp asimd bf16\n")) == ("neon_bf16", "neon")
    assert runnable(told(ZEN_4)) == ("neon",)


@pytest.mark.usefixtures("x86")
def test_a_processor_without_avx2_computes_on_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "features", lambda: told(IVY_BRIDGE))
    library.load.cache_clear()
    assert pick("auto") is pick("torch") is None
    assert library.shown().splitlines()[0] == "torch"
    with pytest.raises(KernelsError, match=r"^avx2 cannot run here: .* lacks avx2, bmi2, fma") as e:
        pick("avx2")
    assert "there are: torch" in str(e.value)
    assert build.main([]) == 0, "there is nothing to build"


@needs_compiler
@pytest.mark.parametrize("name", [n for n in ISAS if ISAS[n].machine == "x86_64"])
def test_the_compiler_uses_nothing_that_is_not_asked_for(name: str) -> None:
    """Each instruction set that the flags switch on has a macro of the compiler's."""
    if processor.machine() != "x86_64":
        pytest.skip("the compiler here is not for this processor")
    command = [*compiler().command, *flags(name), "-dM", "-E", "-x", "c++", os.devnull]
    macros = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
    families = (
        "AVX|FMA|F16C|BMI|AMX|LZCNT|POPCNT|XSAVE|MOVBE|AES|PCLMUL|SSE|SSSE|FXSR|GFNI|VAES|SHA"
    )
    used = {m.lower() for m in re.findall(rf"__((?:{families})[A-Z0-9_]*?)__ ", macros)}
    baseline = {"sse", "sse2", "sse_math", "sse2_math"}  # of every x86-64
    plain = {feature.replace("_", "") for feature in ISAS[name].needs}
    assert {macro.replace("_", "") for macro in used - baseline} <= plain
    assert "avx2" in used


def built(name: str, folder: Path) -> Path:
    return build.build(name, folder)


@needs_compiler
def test_what_is_built_is_found_loaded_and_left_alone(folder: Path) -> None:
    path = built("avx2", folder)
    found = pick("avx2")
    assert found is not None
    assert found.about["source"] == checksum("avx2")
    assert found is pick("avx2"), "a process loads it once"
    before = path.stat().st_mtime_ns
    assert built("avx2", folder) == path
    assert path.stat().st_mtime_ns == before
    assert sorted(p.name for p in folder.iterdir()) == sorted((path.name, "avx2.lock"))


@needs_compiler
@pytest.mark.skipif("avx2" not in runnable(), reason="needs AVX2")
def test_the_best_that_is_there_is_picked_and_what_would_be_better_is_told(folder: Path) -> None:
    with pytest.raises(
        KernelsError, match=r"^avx2 is not built; there are: torch; python -m .* makes"
    ):
        pick("avx2")
    assert pick("auto") is None
    built("avx2", folder)
    best, reasons = library.best()
    assert best is not None
    assert (best.isa, best) == ("avx2", pick("auto"))
    assert reasons == ("avx512 is not built",)
    assert library.shown().startswith("avx2, by ")
    assert max(map(len, library.shown().splitlines())) < 100
    with pytest.raises(KernelsError, match="there are: avx2, torch"):
        pick("avx512")
    with pytest.raises(KernelsError, match="'sse9' are none that there are"):
        pick("sse9")


def spoiled(path: Path, data: bytes) -> Path:
    """The same library with other bytes, and the name that they would have."""
    path.unlink()
    other = path.with_name(library.file_name("avx2", data, ".so"))
    other.write_bytes(data)
    return other


@needs_compiler
def test_a_truncated_file_is_refused_before_the_system_sees_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = built("avx2", folder)
    whole = path.read_bytes()
    monkeypatch.setattr(library, "opened", None)
    for length in (0, 1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(KernelsError, match=r"^avx2-\w+.so is refused: it is cut off"):
            pick("avx2")
        assert pick("auto") is None


@needs_compiler
@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"isa=avx2;", b"isa=avx9;", "is of isa avx9 and not avx2"),
        (b"abi=1;", b"abi=7;", "is of abi 7 and not 1"),
        (b"abi=1;", b"ab =1;", "is no library of kernels"),
        (rb"source=\w+", b"source=0123456789abcdef", "is of source 0123456789abcdef and not"),
    ],
)
def test_another_library_is_refused(folder: Path, old: bytes, new: bytes, reason: str) -> None:
    path = built("avx2", folder)
    spoiled(path, re.sub(old, new, path.read_bytes()))
    with pytest.raises(KernelsError, match=reason):
        pick("avx2")
    built("avx2", folder)
    assert pick("avx2") is not None, "and is replaced by a build"
    assert len(list(folder.glob("*.so"))) == 1


@needs_compiler
def test_a_library_for_another_isa_under_this_name_is_refused(folder: Path) -> None:
    data = built("avx512", folder).read_bytes()
    (folder / library.file_name("avx2", data, ".so")).write_bytes(data)
    with pytest.raises(KernelsError, match="is of isa avx512 and not avx2"):
        pick("avx2")


def test_what_is_no_library_is_refused_although_it_says_so(folder: Path) -> None:
    """Its bytes pass for one until the system is asked to load them."""
    folder.mkdir()
    data = b"abi=1;isa=avx2;source=%s;compiler=a hand\0" % checksum("avx2").encode()
    (folder / library.file_name("avx2", data, ".so")).write_bytes(data)
    with pytest.raises(KernelsError, match="avx2 cannot be loaded: "):
        pick("avx2")
    assert pick("auto") is None


@needs_compiler
def test_a_library_that_lacks_a_function_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built("avx2", folder)
    monkeypatch.setattr(library, "FUNCTIONS", {"vxk_of_tomorrow": (None, ())})
    with pytest.raises(KernelsError, match=r"avx2 cannot be loaded: .*vxk_of_tomorrow"):
        pick("avx2")


def test_every_file_of_the_source_and_each_flag_is_in_the_checksum(source: Path) -> None:
    found = {checksum(name) for name in ISAS}
    assert len(found) == len(ISAS)
    (source / "more.hpp").touch()
    found.add(checksum("avx2"))
    for path in sorted(source.iterdir()):
        path.write_bytes(path.read_bytes() + b"\n")
        found.add(checksum("avx2"))
    (source / "more.hpp").rename(source / "renamed.hpp")
    found.add(checksum("avx2"))
    assert len(found) == len(ISAS) + 5
    (source / "notes.txt").write_text("nobody includes this")
    assert checksum("avx2") in found


def test_a_source_that_is_gone_costs_the_kernels_alone(folder: Path, source: Path) -> None:
    folder.mkdir()
    (folder / library.file_name("avx2", b"", ".so")).touch()
    shutil.rmtree(source)
    assert pick("auto") is None
    with pytest.raises(KernelsError, match="avx2"):
        pick("avx2")


@needs_compiler
def test_builds_at_the_same_time_make_one(folder: Path, source: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from voxswap_families.layers.native import build, "
        "recipe; recipe.SOURCE = Path(sys.argv[1]); sys.exit(build.main(sys.argv[2:]))"
    )
    words = (str(source), "--isa", "avx2", "--folder", str(folder))
    command = [sys.executable, "-c", program, *words]
    racers = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603
        for _ in range(4)
    ]
    said = [racer.communicate(timeout=120)[0] for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * 4, said
    assert len(list(folder.iterdir())) == 2
    assert pick("avx2") is not None


def test_without_a_compiler_it_is_said_in_a_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(build, "find_spec", lambda _: None)
    assert build.main(["--isa", "avx2", "--folder", str(folder)]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert build.main(["--check", "--isa", "avx2", "--folder", str(folder)]) == 0
    assert capsys.readouterr().out == f"{line}\n", "and nothing is tried"
    assert "there is no C++ compiler" in line
    assert "pip install ziglang" in line
    assert line.endswith("everything runs on torch")
    assert build.main(["--needs-compiler", "--isa", "avx2", "--folder", str(folder)]) == 0
    assert not folder.exists()


@needs_compiler
def test_without_a_compiler_what_was_built_will_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    built("avx2", folder)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(build, "find_spec", lambda _: None)
    for flag in ([], ["--check"]):
        assert build.main([*flag, "--isa", "avx2", "--folder", str(folder)]) == 0
    assert capsys.readouterr().out == "kernels: avx2 as they were\n"
    assert build.main(["--needs-compiler", "--isa", "avx2", "--folder", str(folder)]) == 1


def program(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        ({"g++": "g++ (Debian 12.2.0-14+deb12u1) 12.2.0"}, "g++ 12.2.0"),
        ({"g++": "g++ (GCC) 11.4.0", "clang++": "Debian clang version 15.0.6"}, "clang++ 15.0.6"),
        ({"g++": "g++ (GCC) 11.4.0"}, "no C++ compiler (g++ is 11.4.0)"),
        ({"g++": "Apple clang version 16.0.0 (clang-1600)"}, "g++ 16.0.0"),
        ({"g++": "no compiler at all", "clang++": ""}, "none is on the PATH"),
    ],
)
def test_compilers_are_taken_by_their_age(
    says: dict[str, str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in says.items():
        program(tmp_path / "bin", name, f"echo '{text}'")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(build, "find_spec", lambda _: None)
    try:
        found = compiler().name
    except KernelsError as error:
        found = error.message
    assert expected in found


def test_a_compiler_that_fails_is_told_in_a_line_and_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = 'case "$*" in --version) echo "g++ (GCC) 13.1.0";; *) echo "x.h: fatal error: gone" >&2'
    program(folder.parent / "bin", "g++", f"{text}; exit 1;; esac")
    monkeypatch.setenv("PATH", str(folder.parent / "bin"))
    assert build.main(["--isa", "avx2", "--folder", str(folder)]) == 1
    _, line = capsys.readouterr().out.splitlines()
    assert "avx2 does not compile with g++ 13.1.0: x.h: fatal error: gone" in line
    assert [p.name for p in folder.iterdir()] == ["avx2.lock"]


@needs_compiler
def test_a_read_only_install_is_told_in_a_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Root may write anywhere, so the refusal is played."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert build.main(["--isa", "avx2", "--folder", str(folder)]) == 1
    _, line = capsys.readouterr().out.splitlines()
    assert "avx2 cannot be built: [Errno 30] Read-only file system" in line


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ziglang") is None, reason="needs ziglang")
@pytest.mark.parametrize("target", list(TARGETS))
def test_zig_compiles_for_other_systems(target: str, tmp_path: Path) -> None:
    """Linux's are linked as well; others take zig minutes to link, and nobody has tried them."""
    name = next(n for n in PICKED[::-1] if ISAS[n].machine == TARGETS[target].machine)
    if target.startswith("linux"):
        path = build.build(name, tmp_path, target=target)
        assert target != here() or opened(path, name).about["compiler"].startswith("zig ")
    else:
        build.compiled(name, tmp_path / "library.o", target, compiler(target))
        assert (tmp_path / "library.o").stat().st_size > 0


@needs_compiler
def test_a_sanitized_library_has_a_folder_of_its_own(folder: Path) -> None:
    path = build.build("avx2", folder, sanitized=True)
    assert path.parent == folder / "sanitized"
    assert b"__asan" in path.read_bytes()
    with pytest.raises(KernelsError, match="is not built"):
        find("avx2", folder)


@pytest.mark.skipif("VOXSWAP_CI" not in os.environ, reason="a desk may have none")
def test_ci_has_built_what_the_tests_run() -> None:
    assert for_tests()
    for name in for_tests():
        assert find(name, FOLDER)
