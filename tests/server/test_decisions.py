"""A machine decides once what audio sounds like; whatever the file is, the server starts."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from voxswap_families.arithmetic import gains_from_tf32, use_tf32
from voxswap_families.layers.native import library, processor
from voxswap_families.layers.native.recipe import checksum
from voxswap_registry.storage.locks import open_file
from voxswap_server.app import decisions
from voxswap_server.app.computing import decisions_of
from voxswap_server.app.config import Settings, SettingsError
from voxswap_server.app.decisions import Decisions, Machine, decide, maker, settle, this_machine
from voxswap_server.compute.scheduler import Scheduler

HERE = Machine(device="cpu", processor="a", torch="2.0", voxswap="1.0", espeak="")
EXACT = Decisions(arithmetic="float32", tf32=False, front_end="english")
ROUNDED = Decisions(arithmetic="bfloat16", tf32=False, front_end="espeak")
FULL = ROUNDED.model_copy(update={"tf32": True, "kernels": "avx2"})
FILE = "decisions-cpu.json"


def never() -> Decisions:
    raise AssertionError("it was decided already")


def kept(folder: Path, found: Decisions = EXACT) -> dict[str, Any]:
    decide(folder, HERE, lambda: found)
    return json.loads((folder / FILE).read_text())  # type: ignore[no-any-return]


def test_it_is_decided_once_and_every_later_start_finds_it(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there"
    assert decide(folder, HERE, lambda: ROUNDED) == ROUNDED
    assert decide(folder, HERE, never) == ROUNDED
    assert sorted(path.name for path in folder.iterdir()) == [FILE, "decisions-cpu.lock"]


def test_each_device_has_its_own(tmp_path: Path) -> None:
    decide(tmp_path, HERE, lambda: EXACT)
    gpu = HERE.model_copy(update={"device": "cuda:1"})
    decide(tmp_path, gpu, lambda: ROUNDED)
    assert decide(tmp_path, HERE, never) == EXACT
    assert decide(tmp_path, gpu, never) == ROUNDED


@pytest.mark.parametrize("field", sorted(set(Machine.model_fields) - {"device"}))
def test_another_machine_decides_anew_and_says_why(
    tmp_path: Path, field: str, caplog: pytest.LogCaptureFixture
) -> None:
    decide(tmp_path, HERE, lambda: EXACT)
    other = HERE.model_copy(update={field: "another"})
    with caplog.at_level(logging.INFO):
        assert decide(tmp_path, other, lambda: ROUNDED) == ROUNDED
    (record,) = caplog.records
    assert f"{field} was" in record.message
    assert "is another" in record.message
    assert decide(tmp_path, other, never) == ROUNDED


def damaged() -> Iterator[tuple[str, Callable[[dict[str, Any]], bytes]]]:
    def but(**changes: Any) -> Callable[[dict[str, Any]], bytes]:
        return lambda sound: json.dumps(sound | changes).encode()

    def among(part: str, **changes: Any) -> Callable[[dict[str, Any]], bytes]:
        return lambda sound: json.dumps(sound | {part: sound[part] | changes}).encode()

    yield "empty", lambda _: b""
    yield "torn", lambda sound: json.dumps(sound).encode()[:-9]
    yield "binary", lambda _: os.urandom(200)
    yield "a list", lambda _: b"[]"
    yield "another schema", but(schema_version=2)
    yield "a field too many", but(extra=1)
    yield "no decisions", lambda sound: json.dumps({"machine": sound["machine"]}).encode()
    yield "unknown arithmetic", among("decisions", arithmetic="float16")
    yield "a number for a truth", among("decisions", tf32=1)
    yield "unknown front-end", among("decisions", front_end="auto")
    yield "unknown kernels", among("decisions", kernels="sse9")
    yield "a decision too many", among("decisions", extra=True)
    yield "too large", lambda sound: json.dumps(sound).encode() + b" " * (1 << 14)


@pytest.mark.parametrize("spoil", [pytest.param(s, id=name) for name, s in damaged()])
def test_what_voxswap_did_not_write_is_decided_anew(
    tmp_path: Path, spoil: Callable[[dict[str, Any]], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE).write_bytes(spoil(kept(tmp_path)))
    assert decide(tmp_path, HERE, lambda: ROUNDED) == ROUNDED
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "decided anew" in record.message
    assert str(tmp_path) not in record.message
    assert decide(tmp_path, HERE, never) == ROUNDED, "and put right"


def test_what_was_kept_before_there_were_kernels_is_of_a_machine_without(tmp_path: Path) -> None:
    sound = kept(tmp_path)
    del sound["machine"]["kernels"], sound["decisions"]["kernels"]
    (tmp_path / FILE).write_text(json.dumps(sound))
    assert decide(tmp_path, HERE, never) == EXACT
    now = HERE.model_copy(update={"kernels": "avx2 0123456789abcdef"})
    assert decide(tmp_path, now, lambda: FULL) == FULL


def test_kernels_that_are_gone_are_decided_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kept(tmp_path, FULL)
    monkeypatch.setattr(decisions, "fault", {"avx2": ""}.__getitem__)
    assert decide(tmp_path, HERE, never) == FULL
    monkeypatch.setattr(decisions, "fault", {"avx2": "avx2 is not built"}.__getitem__)
    with caplog.at_level(logging.INFO):
        assert decide(tmp_path, HERE, lambda: EXACT) == EXACT
    assert "avx2 is not built" in caplog.text
    assert decide(tmp_path, HERE, never) == EXACT


def test_no_link_is_followed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder, elsewhere = tmp_path / "cache", tmp_path / "elsewhere"
    kept(folder)
    (folder / FILE).rename(elsewhere)
    (folder / FILE).symlink_to(elsewhere)
    before = elsewhere.read_bytes()
    assert decide(folder, HERE, lambda: ROUNDED) == ROUNDED
    assert caplog.records
    assert elsewhere.read_bytes() == before
    assert not (folder / FILE).is_symlink()


def test_a_full_folder_costs_a_warning(tmp_path: Path) -> None:
    """The kernel refuses each byte that a process writes to a file: one of its own, not ours."""
    code = (
        "import logging, resource, sys\n"
        "from pathlib import Path\n"
        "from tests.server.test_decisions import HERE, ROUNDED, decide\n"
        "logging.basicConfig(stream=sys.stdout, format='%(message)s')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "assert decide(Path(sys.argv[1]), HERE, lambda: ROUNDED) == ROUNDED\n"
    )
    ran = subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "-B", "-c", code, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    (line,) = ran.stdout.splitlines()
    assert "cannot be kept" in line
    assert [path.name for path in tmp_path.iterdir()] == ["decisions-cpu.lock"]


def test_a_folder_that_cannot_be_had_costs_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert decide(tmp_path / "file" / "cache", HERE, lambda: ROUNDED) == ROUNDED
    (record,) = caplog.records
    assert "cannot be kept" in record.message


def test_a_folder_that_may_only_be_read_still_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Root may write anywhere, so the refusal is played; the file is read as it is."""
    kept(tmp_path, EXACT)
    opened = open_file

    def read_only(path: Path, flags: int) -> Any:
        if flags & (os.O_RDWR | os.O_CREAT):
            raise OSError(30, "Read-only file system")
        return opened(path, flags)

    monkeypatch.setattr(decisions, "open_file", read_only)
    assert decide(tmp_path, HERE, never) == EXACT
    assert not caplog.records, "nothing had to be kept"


def test_who_holds_the_lock_for_ever_stops_no_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (tmp_path / "decisions-cpu.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert decide(tmp_path, HERE, lambda: ROUNDED, lock_s=0.02) == ROUNDED
    (record,) = caplog.records
    assert "another process has had" in record.message
    assert not (tmp_path / FILE).exists(), "who decides meanwhile is asked, and not overwritten"


def test_what_measuring_raises_is_raised_and_nothing_is_kept(tmp_path: Path) -> None:
    def fail() -> Decisions:
        raise RuntimeError("no such device")

    with pytest.raises(RuntimeError, match="no such device"):
        decide(tmp_path, HERE, fail)
    assert decide(tmp_path, HERE, lambda: EXACT) == EXACT


RACER = """
import sys
from pathlib import Path
from voxswap_server.app.decisions import Decisions
from voxswap_server.app.decisions import Machine
from voxswap_server.app.decisions import decide
sys.stdin.read(1)
mine = Decisions(arithmetic="float32", tf32=False, front_end=sys.argv[2])
here = Machine(device="cpu", processor="a", torch="2.0", voxswap="1.0", espeak="")
print(decide(Path(sys.argv[1]), here, lambda: mine).front_end)
"""


def test_servers_that_start_together_agree(tmp_path: Path) -> None:
    """On a damaged file, which each of them would replace."""
    (tmp_path / FILE).write_text("damaged")
    pipe = subprocess.PIPE
    racers = [
        subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-c", RACER, str(tmp_path), wish], stdin=pipe, stdout=pipe, text=True
        )
        for wish in ("espeak", "english") * 3
    ]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("!")
        racer.stdin.flush()
    found = {racer.communicate(timeout=120)[0].strip() for racer in racers}
    assert all(racer.returncode == 0 for racer in racers)
    assert found in ({"espeak"}, {"english"})


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ({}, FULL),
        ({"arithmetic": "float32"}, ROUNDED.model_copy(update={"arithmetic": "float32"})),
        ({"arithmetic": "bfloat16"}, FULL),
        (
            {"front_end": "english"},
            FULL.model_copy(update={"front_end": "english"}),
        ),
        ({"kernels": "torch"}, FULL.model_copy(update={"kernels": "torch"})),
        ({"kernels": "avx512"}, FULL.model_copy(update={"kernels": "avx512"})),
    ],
)
def test_settings_go_before(named: dict[str, str], expected: Decisions) -> None:
    """float32 means that, and neither TF32 nor native kernels are."""
    assert FULL.named_by(Settings.model_validate(named)) == expected


def test_a_setting_is_not_kept(tmp_path: Path) -> None:
    named = {"arithmetic": "float32", "front_end": "english", "cache_dir": tmp_path}
    machine = this_machine("cpu")
    decide(tmp_path, machine, lambda: ROUNDED)
    found = settle(Settings.model_validate(named))
    assert (found.arithmetic, found.front_end) == ("float32", "english")
    assert decide(tmp_path, machine, never) == ROUNDED


def test_this_machine_settles_it_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings.model_validate({"cache_dir": tmp_path})
    with caplog.at_level(logging.INFO):
        found = settle(settings)
    assert f"arithmetic {found.labels()['arithmetic']}, tf32 false" in caplog.text
    assert f"kernels {found.kernels}" in caplog.text
    assert decide(tmp_path, this_machine("cpu"), never) == found == settle(settings)
    assert this_machine("cpu").processor


def test_without_espeak_it_is_said_what_that_means(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(decisions, "espeak_is_installed", lambda: False)
    assert settle(Settings.model_validate({"cache_dir": tmp_path})).front_end == "english"
    assert "hibari-tts" in caplog.text
    assert "pip install 'voxswap[espeak]'" in caplog.text
    caplog.clear()
    settle(Settings.model_validate({"cache_dir": tmp_path, "front_end": "english"}))
    assert not caplog.records, "who said so knows it"


def test_each_decision_is_in_the_name_of_the_maker() -> None:
    changes: list[dict[str, object]] = [
        {"arithmetic": "bfloat16"},
        {"tf32": True},
        {"front_end": "espeak"},
        {"kernels": "avx2"},
    ]
    assert {name for change in changes for name in change} == set(Decisions.model_fields)
    found = {maker(EXACT.model_copy(update=change), "cpu") for change in [{}, *changes]}
    assert len(found | {maker(EXACT, "cuda:0")}) == len(changes) + 2
    assert maker(EXACT, "cuda:0") == maker(EXACT, "cuda:1")


def test_native_kernels_are_told_as_bfloat16_and_name_their_source() -> None:
    """What torch computes in where they do not is still a part of the maker's name."""
    native = EXACT.model_copy(update={"kernels": "avx2"})
    assert native.labels() == EXACT.labels() | {"kernels": "avx2", "arithmetic": "bfloat16"}
    assert "arithmetic float32" in maker(native, "cpu")
    assert maker(native, "cpu").endswith(f"kernels avx2 {checksum('avx2')}")
    rounded = native.model_copy(update={"arithmetic": "bfloat16"})
    assert maker(native, "cpu") != maker(rounded, "cpu")


async def test_kernels_that_are_named_and_not_there_end_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before anything is computed."""
    monkeypatch.setattr(processor, "features", frozenset)
    library.load.cache_clear()
    settings = Settings.model_validate({"kernels": "avx2"})
    scheduler = Scheduler(threads=1)
    try:
        with pytest.raises(SettingsError, match=r"^kernels: avx2 cannot run here: .*: torch$"):
            await decisions_of(settings, scheduler)
    finally:
        scheduler.close()


def test_trying_tf32_leaves_it_off() -> None:
    try:
        use_tf32(on=True)
        assert torch.backends.cudnn.allow_tf32
        assert gains_from_tf32("cpu") in (True, False)
        assert not torch.backends.cudnn.allow_tf32
        assert not torch.backends.cuda.matmul.allow_tf32
    finally:
        use_tf32(on=False)
