"""Kills processes that write to a registry, each at a random system call, and looks what is left.

``python -m bench.hostile.kills --kills 500 --seed 1`` does it from a terminal. Each round forks a
process that publishes, uploads, moves labels, deletes or collects, and ends itself with SIGKILL
right before one of its writes; sometimes another works beside it. What is then found must be sound,
and the next to come must not have to wait for the dead.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from voxswap_registry import store
from voxswap_registry.collecting import collect
from voxswap_registry.draft import DraftComponent, VoiceDraft
from voxswap_registry.errors import (
    NothingToRollBackError,
    RegistryBusyError,
    RevisionConflictError,
    VersionInUseError,
    VoiceNotFoundError,
)
from voxswap_registry.layout import VOICES, blob_digest, blob_key, voice_object
from voxswap_registry.manifest import Audio, FrontEndSpec, Manifest, Provenance
from voxswap_registry.names import VoiceRef
from voxswap_registry.state import Edit
from voxswap_registry.storage.folder import FolderObjects
from voxswap_registry.store import Registry
from voxswap_registry.upload import Upload

_VOICES = ("npc/smith", "npc/smith/old", "town")
_LABELS = ("stable", "canary")
_WRITES = {
    "os.link", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.utime",
    "os.truncate", "tempfile.mkstemp", "tempfile.mkdtemp",
}  # fmt: skip
_REFUSALS = (
    VoiceNotFoundError,
    VersionInUseError,
    NothingToRollBackError,
    RegistryBusyError,
    RevisionConflictError,
)
_KEPT_STATES = 20  # so that old ones go all the time


class Unsound(Exception):  # noqa: N818 - it is what the registry is
    """What was found after a kill must never be."""


@dataclass
class Kills:
    """What was done: kills by operation, operations that ended before their kill, and checks."""

    kills: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)  # before which processes were killed
    versions: int = 0
    revisions: int = 0


def kill_writers(n: int, *, seed: int, folder: Path) -> Kills:
    """Kill ``n`` writers to a registry in ``folder``, and check it after each. Raises `Unsound`.

    Forks: call it in a process without other threads.
    """
    rng = random.Random(seed)
    registry = Registry(FolderObjects(folder / "registry"))
    found = Kills()
    books = _Books()
    most: Counter[str] = Counter()  # writes of each operation, as far as is known
    for name in ("publish", "edit", "upload", "import", "roll back", "delete", "collect") * 3:
        most[name] = max(
            most[name], _wait(*_fork(registry, folder, name, rng.getrandbits(32), 0)).writes
        )
    with mock.patch.object(store, "KEPT_STATES", _KEPT_STATES):
        while found.kills.total() < n:
            name = rng.choice(list(_OPERATIONS))
            at = rng.randint(1, 1 + most[name])
            beside = rng.choice(list(_OPERATIONS)) if rng.random() < 0.3 else None
            seeds = rng.getrandbits(32), rng.getrandbits(32)
            pipes = [_fork(registry, folder, name, seeds[0], at)]
            if beside is not None:
                pipes.append(_fork(registry, folder, beside, seeds[1], 0))
            ends = [_wait(pid, pipe) for pid, pipe in pipes]
            if ends[0].was_killed:
                found.kills[name] += 1
                found.calls[ends[0].call] += 1
            else:
                found.ended[name] += 1
                most[name] = max(most[name], ends[0].writes)
            if len(ends) > 1 and ends[1].was_killed:
                raise Unsound(f"{beside} beside {name} died of itself")
            books.check(registry)
            _check_nobody_waits(registry, rng, folder, found.kills.total())
    found.versions, found.revisions = len(books.manifests), sum(books.revisions.values())
    return found


# What is done


def _draft(registry: Registry, rng: random.Random, folder: Path) -> VoiceDraft:
    """A voice of two small parts, some of which other voices have too."""
    folder.mkdir(parents=True, exist_ok=True)
    model, symbols = folder / "model", folder / "symbols"
    for path in (model, symbols):
        path.unlink(missing_ok=True)
    model.write_bytes(b"%d" % rng.randrange(40) * 1000)
    symbols.write_bytes(b"%d" % rng.randrange(4))
    return VoiceDraft(
        voice_id=rng.choice(_VOICES),
        engine="other",
        engine_config={},
        components=(
            DraftComponent("model", model, "x/y"),
            DraftComponent("symbols", symbols, "x/y"),
        ),
        audio=Audio(22_050, 256),
        language="en-US",
        front_end=FrontEndSpec("espeak", {}),
        speakers={},
        defaults={"length_scale": 1.0},
        licence="CC0",
        provenance=Provenance("kills", {}, "kills", "2026-01-02T12:00:00Z"),
    )


def _publish(registry: Registry, rng: random.Random, folder: Path) -> None:
    label = rng.choice((None, *_LABELS))
    registry.publish(_draft(registry, rng, folder / f"draft-{os.getpid()}"), label=label)


def _import(registry: Registry, rng: random.Random, folder: Path) -> None:
    """The files lie on the registry's own disk, and are linked."""
    with registry.workdir() as workdir:
        registry.publish(_draft(registry, rng, workdir / "draft"))


def _upload(registry: Registry, rng: random.Random, folder: Path) -> None:
    draft = _draft(registry, rng, folder / f"draft-{os.getpid()}")
    data = [part.path.read_bytes() for part in draft.components if part.path]
    digests = [f"sha256:{hashlib.sha256(each).hexdigest()}" for each in data]
    with registry.workdir() as workdir:
        raw = json.loads(Registry(workdir / "scratch").publish(draft).to_json())
        shutil.rmtree(workdir / "scratch")
        del raw["version"]
        upload = Upload(registry, json.dumps(raw).encode(), workdir, max_bytes=1 << 20)
        try:
            for digest, each in zip(digests, data, strict=True):
                if digest in upload.missing:
                    upload.write(digest, 0, each)
            upload.publish(label=rng.choice((None, *_LABELS)))
        finally:
            upload.close()


def _edit(registry: Registry, rng: random.Random, folder: Path) -> None:
    voice_id = rng.choice(_VOICES)
    for _ in range(rng.randint(1, 12)):
        version = rng.choice(registry.record(voice_id).versions)
        registry.edit(voice_id, Edit(moves={rng.choice(_LABELS): version}, tags=(f"t{version}",)))


def _roll_back(registry: Registry, rng: random.Random, folder: Path) -> None:
    registry.roll_back(rng.choice(_VOICES))


def _delete(registry: Registry, rng: random.Random, folder: Path) -> None:
    voice_id = rng.choice(_VOICES)
    version = rng.choice(registry.record(voice_id).versions)
    registry.delete(VoiceRef(voice_id, version))


def _collect(registry: Registry, rng: random.Random, folder: Path) -> None:
    collect(registry, grace=timedelta(0))


_OPERATIONS: dict[str, Callable[[Registry, random.Random, Path], None]] = {
    "publish": _publish,
    "import": _import,
    "upload": _upload,
    "edit": _edit,
    "roll back": _roll_back,
    "delete": _delete,
    "collect": _collect,
}


# Processes that die


@dataclass(frozen=True)
class _End:
    was_killed: bool
    writes: int
    call: str


def _fork(registry: Registry, folder: Path, name: str, seed: int, at: int) -> tuple[int, int]:
    """A process that does ``name`` and dies before its ``at``-th write; its id, and its pipe."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    status = 1
    try:
        os.close(reading)
        writes = _die_at(at, writing)
        with contextlib.suppress(*_REFUSALS):
            _OPERATIONS[name](Registry(registry.objects), random.Random(seed), folder)
        status = 0
        _say(writing, {"writes": writes()})
    except Exception:  # noqa: BLE001 - a forked process tells it itself
        traceback.print_exc()
    finally:
        os._exit(status)


def _die_at(at: int, pipe: int) -> Callable[[], int]:
    """Die before the ``at``-th write of this process from now on; 0 is never. Counts them."""
    writes = 0
    write = os.write

    def count(call: str) -> None:
        nonlocal writes
        writes += 1
        if writes == at:
            write(pipe, json.dumps({"call": call}).encode())
            os.kill(os.getpid(), signal.SIGKILL)

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _WRITES:
            count(event)

    def counted(name: str) -> None:
        real = getattr(os, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            count(f"os.{name}")
            return real(*args, **kwargs)

        setattr(os, name, call)

    sys.addaudithook(audit)
    for name in ("write", "fsync", "fchmod"):
        counted(name)
    return lambda: writes


def _say(pipe: int, what: dict[str, Any]) -> None:
    os.write(pipe, json.dumps(what).encode())


def _wait(pid: int, pipe: int) -> _End:
    with os.fdopen(pipe, "rb") as told:
        said = told.read()
    _, status = os.waitpid(pid, 0)
    was_killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    if not was_killed and status:
        raise Unsound(f"an operation failed with the status {status}")
    found = json.loads(said) if said else {}
    return _End(was_killed, found.get("writes", 0), found.get("call", ""))


# What must be so


class _Books:
    """What was seen so far, and may never be otherwise again."""

    def __init__(self) -> None:
        self.manifests: dict[tuple[str, int], bytes] = {}
        self.revisions: dict[str, int] = {}
        self._gone: set[tuple[str, int]] = set()
        self._states: dict[tuple[str, int], bytes] = {}

    def check(self, registry: Registry) -> None:
        """Raises `Unsound`."""
        named = (voice_object(info.key) for info in registry.objects.list(VOICES))
        for voice_id in {found.voice_id for found in named if found}:
            self._check_versions(registry, voice_id)
            self._check_revisions(registry, voice_id)

    def _check_versions(self, registry: Registry, voice_id: str) -> None:
        record = registry.look(voice_id)
        there = {(voice_id, version) for version in record.versions}
        for ref in [known for known in self.manifests if known[0] == voice_id]:
            if ref not in there and ref[1] not in record.state.deleted:
                raise Unsound(f"{ref} has vanished")
        self._gone |= {(voice_id, version) for version in record.state.deleted}
        if back := there & self._gone:
            raise Unsound(f"{back} were deleted and are there again")
        if lost := {*record.state.labels.values()} - {*record.versions}:
            raise Unsound(f"labels of {voice_id} name {lost}, which are not there")
        for version in record.versions:
            manifest = registry.read(voice_id, version)
            data = manifest.to_json()
            if self.manifests.setdefault((voice_id, version), data) != data:
                raise Unsound(f"{voice_id}@{version} has changed")
            _check_whole(registry, manifest)

    def _check_revisions(self, registry: Registry, voice_id: str) -> None:
        history = list(registry.history(voice_id))
        numbers = [state.revision for state in history]
        newest = numbers[0] if numbers else 0
        if numbers != list(range(newest, newest - len(numbers), -1)):
            raise Unsound(f"revisions of {voice_id} are {numbers}")
        if newest < self.revisions.get(voice_id, 0):
            raise Unsound(f"{voice_id} went back to revision {newest}")
        self.revisions[voice_id] = newest
        for state in history:
            data = state.to_json()
            if self._states.setdefault((voice_id, state.revision), data) != data:
                raise Unsound(f"revision {state.revision} of {voice_id} has changed")


def _check_whole(registry: Registry, manifest: Manifest) -> None:
    for component in manifest.components:
        key = blob_key(component.digest)
        data = b"".join(registry.objects.stream(key))
        if f"sha256:{hashlib.sha256(data).hexdigest()}" != component.digest:
            raise Unsound(f"{key} of {manifest.ref} is damaged")
        path = registry.objects.path(key)
        if path is not None and path.stat().st_mode & 0o777 != 0o444:
            raise Unsound(f"{key} may be written to")


def _check_nobody_waits(registry: Registry, rng: random.Random, folder: Path, n: int) -> None:
    """Who comes after a kill is not kept waiting by the dead, and can do what it wants."""
    began = time.monotonic()
    if n % 3 == 0:
        collect(registry, grace=timedelta(0))  # RegistryBusyError if a dead publisher counts.
        markers = (*registry.objects.list("publishing"), *registry.objects.list("collecting"))
        if left := [info.key for info in markers]:
            raise Unsound(f"markers of the dead are left: {left}")
        stray = {blob_digest(info.key) for info in registry.objects.list("blobs")} - {
            component.digest
            for voice_id in _VOICES
            for version in registry.versions(voice_id)
            for component in registry.read(voice_id, version).components
        }
        if stray:
            raise Unsound(f"blobs that nobody names are left: {stray}")
        folders = [path.name for path in (folder / "registry/tmp").glob("import-*")]
        if folders:
            raise Unsound(f"folders of the dead are left: {folders}")
    elif n % 3 == 1:
        registry.publish(_draft(registry, rng, folder / "after"))
    if time.monotonic() - began > 30:
        raise Unsound("somebody waited for the dead")


def main() -> None:
    """For a terminal: kill, and say what was done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = kill_writers(options.kills, seed=options.seed, folder=Path(folder))
    print(f"{found.kills.total()} kills in {time.monotonic() - began:.0f} s, nothing unsound")
    print(f"by operation: {dict(found.kills)}")
    print(f"before: {dict(found.calls)}")
    print(f"ended before their kill: {dict(found.ended)}")
    print(f"{found.versions} versions seen, {found.revisions} revisions")


if __name__ == "__main__":
    main()
