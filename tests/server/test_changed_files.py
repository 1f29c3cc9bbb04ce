"""Files that change under their parts: who fails, who does not, and that the books balance."""

from __future__ import annotations

import asyncio
import ctypes
import hashlib
import itertools
import os
import random
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.fakes.executors import settle
from tests.fakes.family import LEVEL, FakeEngine, FakeHostPart, FakePart, FakeVoice
from tests.fakes.manifests import make_manifest
from tests.fakes.residency import FakeLoader, ResidencyFixture
from tests.registry.drafts import blob_path, make_draft
from tests.server.synthesis_fixture import SynthesisFixture
from voxswap_families.contract import LoadedVoice
from voxswap_families.layers.mapping import map_tensors
from voxswap_families.work import SuspendedError, Work, finished
from voxswap_registry.errors import ComponentChangedError, RegistryError, VoxswapError
from voxswap_registry.manifest import Component, FrontEndSpec, Manifest
from voxswap_registry.storage.verified import VerifiedFile, WatchedFile
from voxswap_registry.store import Registry
from voxswap_server.residency.lease import Lease
from voxswap_server.residency.loader import VoiceLoader
from voxswap_server.residency.upkeep import inspect_files

# The manager, by hand


class MappedPart(FakePart):
    """Pages of a file that the test may write to."""

    file: WatchedFile


class MappingLoader(FakeLoader):
    """Its parts are mapped from files that say what they are."""

    folder: Path

    def path(self, name: str) -> Path:
        return self.folder / name

    def load(self, plan: Any, part: Any, cancelled: Any) -> Any:
        made = super().load(plan, part, cancelled)
        name = plan.manifest.voice_id if part.role == "model" else part.role
        data = name.encode() * part.footprint_bytes
        self.path(name).write_bytes(data)
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        with self.path(name).open("rb") as opened:
            component = Component(part.role, digest, len(data), "x/y")
            mapped = MappedPart(made.resident_bytes)
            object.__setattr__(mapped, "file", VerifiedFile(opened.fileno(), component).watch())
            return mapped


@pytest.fixture
def residency(tmp_path: Path) -> ResidencyFixture:
    loader = MappingLoader()
    loader.folder = tmp_path
    return ResidencyFixture(60, loader=loader)


def spoil(residency: ResidencyFixture, name: str) -> None:
    path = residency.loader.path(name)  # type: ignore[attr-defined]
    path.write_bytes(b"?" * path.stat().st_size)


async def verified(residency: ResidencyFixture, lease: Lease) -> None:
    verifying = asyncio.ensure_future(lease.verify())
    await residency.work()
    await verifying


async def test_a_file_that_was_touched_is_hashed_and_the_voice_stays(
    residency: ResidencyFixture, tmp_path: Path
) -> None:
    lease = await residency.have("a")
    os.utime(tmp_path / "a")
    await verified(residency, lease)
    assert residency.evicted() == []
    lease.release()
    (await residency.have("a")).release()
    assert residency.loader.loads == ["a"]


async def test_a_changed_file_takes_its_voice_out_and_the_next_load_decides(
    residency: ResidencyFixture,
) -> None:
    lease, other = await residency.have("a"), await residency.have("b")
    spoil(residency, "a")
    with pytest.raises(ComponentChangedError, match=r"the model of a@1 .* was changed"):
        await verified(residency, lease)
    assert residency.states() == {"b": residency.states()["b"]}
    assert residency.manager.statistics().evicting_bytes == 10, "charged while somebody holds it"
    anew = await residency.have("a")
    assert residency.loader.loads == ["a", "b", "a"]
    residency.manager.check_integrity()
    with pytest.raises(ComponentChangedError):
        await verified(residency, lease)
    assert residency.evicted() == []
    lease.release()
    await residency.work()
    assert residency.evicted() == [("a@1",)]
    assert residency.events[-1].reason == "changed"
    await verified(residency, anew)
    await verified(residency, other)
    assert residency.manager.statistics().resident_bytes == 20
    for held in (anew, other):
        held.release()


async def test_an_idle_voice_is_found_and_goes_at_once_also_if_it_is_pinned(
    residency: ResidencyFixture,
) -> None:
    for voice in ("a", "b"):
        (await residency.have(voice)).release()
    pinning = asyncio.ensure_future(residency.manager.pin(make_manifest("a", 10)))
    await residency.work()
    assert (await pinning).pinned
    spoil(residency, "a")
    inspecting = asyncio.ensure_future(residency.manager.inspect_files())
    await residency.work()
    await inspecting
    assert list(residency.states()) == ["b"]
    assert residency.evicted() == [("a@1",)]
    assert residency.manager.statistics().resident_bytes == 10


async def test_a_part_that_voices_share_takes_all_of_them_out(residency: ResidencyFixture) -> None:
    leases = [await residency.have(make_manifest(n, 5, base=("base", 5))) for n in "ab"]
    spoil(residency, "base")
    for lease in leases:
        with pytest.raises(ComponentChangedError, match="the base of a@1"):
            await verified(residency, lease)
    assert residency.states() == {}
    for lease in leases:
        lease.release()
    await residency.work()
    assert residency.evicted() == [("a@1", "b@1")]
    (await residency.have(make_manifest("a", 5, base=("base", 5)))).release()
    assert residency.loader.loads == ["a", "base", "b", "base"], "their own parts stayed"


async def test_who_waits_for_another_part_of_its_voice_is_told(residency: ResidencyFixture) -> None:
    first = await residency.have(make_manifest("a", 5, base=("base", 5)))
    waiting = residency.ask(make_manifest("b", 5, base=("base", 5)))
    await settle()
    spoil(residency, "base")
    verifying = asyncio.ensure_future(first.verify())
    await settle()
    for _ in range(2):  # a look at each part, before the load
        residency.executor.run_next(1)
        await settle()
    with pytest.raises(ComponentChangedError):
        await verifying
    assert isinstance(waiting.exception(), ComponentChangedError)
    first.release()
    await residency.work()


async def test_who_asks_meanwhile_waits_for_the_same_look(
    residency: ResidencyFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    leases = [await residency.have("a") for _ in range(3)]
    spoil(residency, "a")
    looks = [asyncio.ensure_future(lease.verify()) for lease in leases]
    await settle()
    assert len(residency.executor.waiting) == 1
    looks[0].cancel()  # and its going away does not end it for the others
    await residency.work()
    for look in looks[1:]:
        assert isinstance(look.exception(), ComponentChangedError)
    for lease in leases:
        lease.release()
    await residency.work()


async def test_closing_waits_for_who_holds_a_withdrawn_voice(residency: ResidencyFixture) -> None:
    lease = await residency.have(make_manifest("a", 5, base=("base", 5)))
    spoil(residency, "base")
    with pytest.raises(ComponentChangedError):
        await verified(residency, lease)
    closing = asyncio.ensure_future(residency.manager.close())
    await residency.work()
    assert not closing.done()
    lease.release()
    await residency.work()
    await closing
    assert residency.manager.statistics().charged_bytes == 0


async def test_upkeep_looks_every_minute() -> None:
    looks: list[bool] = []

    class Looked:
        async def inspect_files(self) -> None:
            looks.append(True)

    async def sleep(seconds: float) -> None:
        assert seconds == 60
        if len(looks) == 2:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await inspect_files(Looked(), sleep=sleep)  # type: ignore[arg-type]
    assert looks == [True, True]


# Work and the stream


def counting(answers: list[bool]) -> tuple[Work[int], list[int]]:
    taken: list[int] = []

    def steps() -> Any:
        for n in range(3):
            taken.append(n)
            yield
        return len(taken)

    return Work(steps(), guard=lambda: answers.pop(0) if answers else True), taken


def test_a_step_is_not_taken_while_the_guard_objects_and_nothing_is_lost() -> None:
    work, taken = counting([True, False, False])
    work.step()
    for _ in range(2):
        work.step()
        assert work.is_done
        with pytest.raises(SuspendedError):
            work.result()
        assert taken == [0]
    work.step()
    assert not work.is_done
    assert finished(work) == 3


def test_of_works_that_go_together_only_those_go_whose_guard_lets_them() -> None:
    from voxswap_families.work import Call

    together: list[list[int]] = []

    def call(inputs: Any) -> Any:
        together.append(list(inputs))
        return inputs

    def made(n: int, answers: list[bool]) -> Work[int]:
        def steps() -> Any:
            return (yield Call("key", n, call))

        return Work(steps(), guard=lambda: answers.pop(0))

    works = [made(0, [True, True]), made(1, [True, False, True]), made(2, [True, True])]
    for work in works:
        work.step()
    Work.step_together(works)
    assert together == [[0, 2]]
    assert [work.is_done for work in works] == [True, True, True]
    with pytest.raises(SuspendedError):
        works[1].result()
    works[1].step()
    assert [work.result() for work in works] == [0, 1, 2]
    refused = [made(3, [True, False]), made(4, [True, False])]
    for work in refused:
        work.step()
    Work.step_together(refused)
    assert len(together) == 2


class GuardedVoice(FakeVoice):
    """Its first step is not taken until ``sound`` says so; then one after its last is looked at."""

    def __init__(self, looks: list[bool]) -> None:
        super().__init__()
        self.looks = looks

    def prepare(self, ids: Any, delivery: Any) -> Any:
        inner = super().prepare(ids, delivery)

        def steps() -> Any:
            return finished(inner)
            yield

        return Work(steps(), guard=lambda: self.looks.pop(0) if self.looks else True)


@pytest.mark.parametrize("looks", [[False], [True, False], [False, True, False]])
@pytest.mark.parametrize("sound", [True, False])
async def test_a_stream_goes_on_when_its_voice_was_found_sound_and_else_fails(
    looks: list[bool], *, sound: bool
) -> None:
    fixture, asked = SynthesisFixture(), []

    async def verify() -> None:
        asked.append(True)
        if not sound:
            raise ComponentChangedError("was changed")

    wanted = looks.count(False) if sound else 1
    plain = fixture.voice(LEVEL)
    guarded = GuardedVoice(list(looks))
    loaded = LoadedVoice("a@1", guarded, plain.front_end)
    lease = Lease(loaded, lambda: None, verify=verify)
    if sound:
        heard = await fixture.heard(lease)
        assert np.all(heard >= 0)
    else:
        with pytest.raises(ComponentChangedError):
            await fixture.heard(lease)
    assert len(asked) == wanted
    fixture.compute.close()


# The loader, while somebody exchanges files


class MappingEngine(FakeEngine):
    """Maps tensors, as the VITS engine does."""

    def taken_up(self, manifest: Manifest, file: VerifiedFile) -> Any:
        return FakeMapped(map_tensors(file), file.watch())

    def assemble(self, manifest: Manifest, parts: Mapping[str, Any]) -> Any:
        raise AssertionError("nobody speaks here")


class FakeMapped(FakeHostPart):
    allocated_bytes = 0

    def __init__(self, tensors: dict[str, torch.Tensor], file: WatchedFile) -> None:
        super().__init__(0)
        self.tensors, self.file = tensors, file
        self.resident_bytes = sum(t.nbytes for t in tensors.values())

    def place(self) -> Any:
        return self


def exchange(a: Path, b: Path) -> None:
    """Swap two files in one step (Linux)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(-100, os.fsencode(a), -100, os.fsencode(b), 2):
        raise OSError(ctypes.get_errno(), "renameat2")


def test_no_load_that_succeeds_has_other_bytes_whatever_is_at_the_path(tmp_path: Path) -> None:
    sound, other = tmp_path / "sound", tmp_path / "other"
    for path, value in ((sound, 1.0), (other, 2.0)):
        save_file({"a": torch.full((1 << 20,), value)}, path)
    registry = Registry(tmp_path / "registry")
    manifest = registry.publish(
        make_draft(
            tmp_path / "draft",
            data=sound.read_bytes(),
            engine="fake",
            front_end=FrontEndSpec("characters"),
        )
    )
    blob = blob_path(registry, manifest.component("model"))
    swapped = blob.with_name("swapped")
    swapped.write_bytes(other.read_bytes())
    try:
        exchange(blob, swapped)
        exchange(blob, swapped)
    except (OSError, AttributeError):
        pytest.skip("this system cannot exchange two files")
    loader = VoiceLoader(registry.components, {"fake": MappingEngine()})
    plan = loader.plan(manifest)
    dice, ends = random.Random(7), threading.Event()

    def swap() -> None:
        while not ends.wait(dice.uniform(0, 0.06)):
            exchange(blob, swapped)

    outcomes: dict[str, int] = {"sound": 0, "refused": 0}
    with ThreadPoolExecutor(1) as pool:
        swapping = pool.submit(swap)
        try:
            for _ in range(60):
                try:
                    part: Any = loader.load(plan, plan.parts[0], lambda: False)
                except RegistryError:  # wrong, or never at rest
                    outcomes["refused"] += 1
                    continue
                assert bool((part.tensors["a"] == 1.0).all())
                assert part.file.verify()
                outcomes["sound"] += 1
        finally:
            ends.set()
        swapping.result()
    assert outcomes["sound"], outcomes
    assert outcomes["refused"], outcomes


def test_sound_bytes_that_are_sent_again_fail_nobodys_load(tmp_path: Path) -> None:
    """Another file with the same bytes takes the path, again and again."""
    registry = Registry(tmp_path / "registry")
    save_file({"a": torch.ones(1 << 18)}, tmp_path / "model")
    data = (tmp_path / "model").read_bytes()
    draft = make_draft(
        tmp_path / "draft", data=data, engine="fake", front_end=FrontEndSpec("characters")
    )
    manifest = registry.publish(draft)
    blob = blob_path(registry, manifest.component("model"))
    loader = VoiceLoader(registry.components, {"fake": MappingEngine()})
    plan, ends = loader.plan(manifest), threading.Event()

    def send_again() -> int:
        for n in itertools.count():
            if ends.is_set():
                return n
            blob.with_name("again").write_bytes(data)
            blob.with_name("again").replace(blob)
        raise AssertionError

    failed: list[VoxswapError] = []
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send_again)
        try:
            for _ in range(40):
                try:
                    loader.load(plan, plan.parts[0], lambda: False)
                except VoxswapError as error:
                    failed.append(error)
        finally:
            ends.set()
        assert sending.result() > 1
    assert failed == []
