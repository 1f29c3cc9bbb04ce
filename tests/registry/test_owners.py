"""Whether a marker's or a folder's process still runs, and what is done when it does not."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.registry.drafts import make_draft
from tests.registry.faults import ClockedObjects
from tests.registry.stores import check_sound, memory_objects
from voxswap_registry import owners
from voxswap_registry.collecting import collect
from voxswap_registry.errors import RegistryBusyError
from voxswap_registry.layout import COLLECTING, PUBLISHING
from voxswap_registry.markers import LIFETIME, LONGEST_LIFETIME, Marker, collecting, uptime_s
from voxswap_registry.owners import Owner
from voxswap_registry.storage.folder import FolderObjects
from voxswap_registry.store import Registry

NONE, MOMENT = timedelta(0), timedelta(microseconds=1)
OURS = Owner.this_process()
needs_proc = pytest.mark.skipif(not OURS.boot, reason="the system does not tell of processes")
pytestmark = needs_proc


@pytest.fixture
def zombie() -> Iterator[Owner]:
    """A process that has ended, and that nobody has waited for yet."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    state = owners._status(process.pid)
    assert state is not None
    owner = dataclasses.replace(OURS, pid=process.pid, started=state[1])
    assert not owner.is_known_dead
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert owners._status(process.pid) == ("Z", state[1])
    yield owner
    process.communicate()


def ended() -> Owner:
    """A process that is gone."""

    def tell(connection: object) -> None:
        connection.send_bytes(Owner.this_process().to_json())  # type: ignore[attr-defined]

    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=tell, args=(theirs,))
    process.start()
    owner = Owner.from_json(ours.recv_bytes())
    process.join(30)
    assert owner is not None
    return owner


def test_a_living_process_is_not_dead() -> None:
    assert OURS.is_here
    assert not OURS.is_known_dead
    assert Owner.from_json(OURS.to_json()) == OURS


def test_a_process_that_is_gone_is_dead() -> None:
    assert ended().is_known_dead


def test_a_process_that_nobody_waited_for_is_dead(zombie: Owner) -> None:
    assert zombie.is_known_dead


def test_a_pid_that_was_given_again_is_not_the_owner() -> None:
    assert dataclasses.replace(OURS, started=OURS.started + 1).is_known_dead


@pytest.mark.parametrize("change", [{"host": "other"}, {"boot": "other"}, {"namespace": "other"}])
def test_of_other_machines_and_containers_nothing_is_known(
    change: dict[str, str], tmp_path: Path
) -> None:
    elsewhere = dataclasses.replace(ended(), **change)  # type: ignore[arg-type]
    assert not elsewhere.is_here
    assert not elsewhere.is_known_dead


def test_where_the_system_tells_nothing_nobody_is_known_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = ended()
    monkeypatch.setattr(owners, "_PROC", tmp_path)
    blind = Owner.this_process()
    assert (blind.boot, blind.namespace, blind.started) == ("", "", 0)
    assert Owner.from_json(blind.to_json()) is None
    assert not dead.is_known_dead


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b"\xff", b"[" * 4000, b'{"host": "vm", "pid": 1}'],
)
def test_what_is_no_owner_is_none(data: bytes) -> None:
    assert Owner.from_json(data) is None


@pytest.mark.parametrize("change", [{"pid": "1"}, {"pid": -1}, {"pid": True}, {"boot": None}])
def test_an_owner_with_a_wrong_field_is_none(change: dict[str, Any]) -> None:
    data = json.dumps(dataclasses.asdict(OURS) | change).encode()
    assert Owner.from_json(data) is None


def test_a_pid_beyond_all_is_no_error() -> None:
    assert not dataclasses.replace(OURS, pid=1 << 62).is_known_dead


# Markers


@pytest.fixture
def clocked() -> ClockedObjects:
    return ClockedObjects(memory_objects())


def leave_marker(objects: ClockedObjects, folder: str, owner: Owner) -> str:
    key = f"{folder}/{'0' * 32}.json"
    raw = {**dataclasses.asdict(owner), "lifetime_s": int(LIFETIME.total_seconds())}
    objects.replace(key, json.dumps(raw).encode())
    return key


def test_nobody_waits_for_a_collector_that_was_killed_here(
    clocked: ClockedObjects, tmp_path: Path
) -> None:
    """Publishing would wait for a minute, and then fail."""
    leave_marker(clocked, COLLECTING, ended())
    began = uptime_s()
    Registry(clocked).publish(make_draft(tmp_path))
    assert uptime_s() - began < 30


def test_a_collection_runs_at_once_after_publishers_were_killed_here(
    clocked: ClockedObjects, tmp_path: Path
) -> None:
    registry = Registry(clocked)
    registry.publish(make_draft(tmp_path))
    left = leave_marker(clocked, PUBLISHING, ended())
    assert collect(registry, grace=NONE).leftovers == 1
    assert clocked.head(left) is None
    check_sound(registry)


@pytest.mark.parametrize(
    ("age", "lives"), [(NONE, True), (LIFETIME, True), (LIFETIME + MOMENT, False)]
)
def test_a_marker_from_elsewhere_dies_of_age(
    age: timedelta, lives: bool, clocked: ClockedObjects, tmp_path: Path
) -> None:
    leave_marker(clocked, PUBLISHING, dataclasses.replace(ended(), host="elsewhere"))
    clocked.pass_time(age)
    if lives:
        with pytest.raises(RegistryBusyError):
            collect(Registry(clocked), grace=NONE)
    else:
        assert collect(Registry(clocked), grace=NONE).leftovers == 1


@pytest.mark.parametrize(
    ("age", "lives"),
    [(LIFETIME + MOMENT, True), (LONGEST_LIFETIME, True), (LONGEST_LIFETIME + MOMENT, False)],
)
def test_a_marker_of_an_earlier_version_lives_for_an_hour(
    age: timedelta, lives: bool, clocked: ClockedObjects
) -> None:
    """It is renewed every ten minutes only."""
    clocked.replace(f"{PUBLISHING}/old.json", b'{"host": "vm", "pid": 1}')
    clocked.pass_time(age)
    if lives:
        with pytest.raises(RegistryBusyError):
            collect(Registry(clocked), grace=NONE)
    else:
        assert collect(Registry(clocked), grace=NONE).leftovers == 1


def test_a_living_owner_of_an_old_marker_does_not_keep_it_alive(clocked: ClockedObjects) -> None:
    """It stood still: what it thinks of the store may not be true any more."""
    Marker(clocked, PUBLISHING, uptime_s)
    clocked.pass_time(LIFETIME + MOMENT)
    with collecting(clocked):
        pass


# Folders of files on their way


def test_the_name_of_a_folder_says_whose_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Owner.from_name(OURS.to_name()) == OURS
    for name in ("", "kepkbw0g", f"x{OURS.to_name()}", f"{OURS.to_name()}1" * 9):
        assert Owner.from_name(name) is None
    elsewhere = dataclasses.replace(OURS, host="elsewhere")
    assert Owner.from_name(elsewhere.to_name()) is None


def left_by(owner: Owner | None, objects: FolderObjects) -> Path:
    """A folder as ``owner`` left it, or an earlier version; with a file deep in it."""
    with objects.workdir():
        pass  # Makes tmp/.
    name = "import-kepkbw0g" if owner is None else f"import-{owner.to_name()}-kepkbw0g"
    folder = objects.root / "tmp" / name
    (folder / "deep").mkdir(parents=True)
    (folder / "deep/part").write_bytes(b"x")
    return folder


def test_a_folder_stays_as_long_as_its_process_lives(tmp_path: Path) -> None:
    """An upload may take days; the time of a folder stands still while a file in it grows."""
    objects = FolderObjects(tmp_path / "objects")
    with objects.workdir() as folder:
        (folder / "part").write_bytes(b"x")
        for path in (*folder.iterdir(), folder):
            os.utime(path, (0, 0))
        assert objects.sweep(before_s=1e12, dry_run=False) == 0
        assert (folder / "part").exists()
    assert not folder.exists()


def test_a_folder_of_a_dead_process_goes_at_once(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path / "objects")
    folder = left_by(ended(), objects)
    assert objects.sweep(before_s=0, dry_run=True) == 1
    assert folder.exists()
    assert objects.sweep(before_s=0, dry_run=False) == 1
    assert not folder.exists()


@pytest.mark.parametrize("whose", ["elsewhere", "older version"])
def test_the_age_of_a_folder_is_that_of_what_was_written_last(whose: str, tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path / "objects")
    owner = dataclasses.replace(ended(), host=whose) if whose == "elsewhere" else None
    folder = left_by(owner, objects)
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (100, 100))
    os.utime(folder / "deep/part", (200, 200))
    assert objects.sweep(before_s=200, dry_run=False) == 0
    assert objects.sweep(before_s=201, dry_run=False) == 1


def test_an_upload_to_a_bucket_leaves_the_folders_of_others_alone(tmp_path: Path) -> None:
    registry = Registry(memory_objects(), workdir=tmp_path)
    with registry.workdir() as long:
        for path in (*long.iterdir(), long):
            os.utime(path, (0, 0))
        (tmp_path / "import-dead").mkdir()
        os.utime(tmp_path / "import-dead", (0, 0))
        (tmp_path / "catalog-1").mkdir()
        os.utime(tmp_path / "catalog-1", (0, 0))
        with registry.workdir() as other:
            left = sorted(path.name for path in tmp_path.iterdir())
            assert left == sorted(["catalog-1", long.name, other.name])
