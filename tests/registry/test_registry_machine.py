"""Any sequence of operations, with processes that die in their midst, against a plain model.

The model knows no revisions of objects, no keys and no blobs: only what somebody who uses the
registry has been told. After each step all that can be asked is compared with it.
"""

from __future__ import annotations

import copy
import hashlib
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.examples import examples
from tests.registry.drafts import make_draft
from tests.registry.faults import ClockedObjects, Crash, FaultyObjects
from tests.registry.stores import (
    S3Server,
    check_collected,
    check_sound,
    memory_objects,
    records,
)
from voxswap_registry.catalog.catalog import Catalog
from voxswap_registry.collecting import collect
from voxswap_registry.draft import VoiceDraft
from voxswap_registry.errors import (
    NothingToRollBackError,
    VersionExistsError,
    VersionInUseError,
    VoiceNotFoundError,
    VoxswapError,
)
from voxswap_registry.names import VoiceRef
from voxswap_registry.state import Edit
from voxswap_registry.storage.folder import FolderObjects
from voxswap_registry.storage.objects import Objects
from voxswap_registry.store import Registry

VOICES = ("npc/smith", "npc")
LABELS = ("stable", "canary")
DATA = (b"one", b"two", b"three")
DEATH = timedelta(hours=2)  # after which a marker is dead


@dataclass
class Voice:
    """A voice of the model: ``past`` is what each label named before, the latest last."""

    data: dict[int, bytes] = field(default_factory=dict)
    spent: set[int] = field(default_factory=set)
    labels: dict[str, int] = field(default_factory=dict)
    past: dict[str, list[int]] = field(default_factory=dict)
    traffic: dict[int, int] = field(default_factory=dict)
    revision: int = 0

    def publish(self, data: bytes, version: int | None) -> None:
        number = version or max(self.spent, default=0) + 1
        if number in self.spent:
            raise RefusedError(VersionExistsError)
        self.spent.add(number)
        self.data[number] = data

    def move(self, label: str, version: int | None) -> None:
        if not self.data or (version is not None and version not in self.data):
            raise RefusedError(VoiceNotFoundError)
        before = self.labels.pop(label, None)
        if version is not None:
            self.labels[label] = version
        if before != version:
            self.revision += 1
            if before is not None:
                self.past.setdefault(label, []).append(before)

    def split(self, traffic: dict[int, int]) -> None:
        if not self.data or not traffic.keys() <= self.data.keys():
            raise RefusedError(VoiceNotFoundError)
        self.revision += self.traffic != traffic
        self.traffic = traffic

    def roll_back(self, label: str) -> None:
        if not self.data:
            raise RefusedError(VoiceNotFoundError)
        past = [version for version in self.past.get(label, []) if version in self.data]
        while past and past[-1] == self.labels.get(label):
            past.pop()
        if not past:
            raise RefusedError(NothingToRollBackError)
        self.labels[label] = past.pop()
        self.past[label] = past
        self.revision += 1

    def delete(self, versions: set[int]) -> None:
        if not self.data or not versions <= self.data.keys():
            raise RefusedError(VoiceNotFoundError)
        if versions & {*self.labels.values(), *self.traffic}:
            raise RefusedError(VersionInUseError)
        for version in versions:
            del self.data[version]
        self.revision += 1


class RefusedError(Exception):
    """What the model does not do, and the error that the registry must raise then."""

    def __init__(self, error: type[VoxswapError]) -> None:
        super().__init__(error.__name__)
        self.error = error


Model = dict[str, Voice]
Step = Callable[[Voice], None]

# Most of what happens, happens to one label of one voice: so its past is long.
voices = st.sampled_from(VOICES[:1] * 4 + VOICES)
labels = st.sampled_from(LABELS[:1] * 2 + LABELS)
picks = st.integers(0, 7)
data = st.sampled_from(DATA)
versions = st.integers(1, 5)
# None: nobody dies. Else at which write, and whether it had its effect.
crashes = st.none() | st.none() | st.tuples(st.integers(1, 9), st.booleans())


class RegistryMachine(RuleBasedStateMachine):
    """Runs over the objects that ``make`` gives, in a folder of its own."""

    @classmethod
    def make(cls, folder: Path) -> Objects:
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="voxswap-machine-"))
        self.drafts: dict[tuple[str, bytes], VoiceDraft] = {
            (voice, data): make_draft(self.folder / f"{i}{j}", voice, data)
            for i, voice in enumerate(VOICES)
            for j, data in enumerate(DATA)
        }
        self.objects = ClockedObjects(type(self).make(self.folder / "objects"))
        self.registry = Registry(self.objects)
        self.catalog = Catalog(self.registry)
        self.model: Model = {voice: Voice() for voice in VOICES}
        self.was: dict[tuple[str, int], bytes] = {}

    def teardown(self) -> None:
        self.catalog.close()
        shutil.rmtree(self.folder)

    def run(
        self,
        voice: str,
        act: Callable[[Registry], object],
        crash: tuple[int, bool] | None,
        *steps: Step,
    ) -> None:
        """Do ``act``, which is these ``steps`` to the model; it may die before or after each."""
        at, late = crash or (0, False)
        allowed, refusal = [self.model], None
        for step in steps:
            after = copy.deepcopy(allowed[-1])
            try:
                step(after[voice])
            except RefusedError as refused:
                refusal = refused.error
                break
            allowed.append(after)
        raised: type[VoxswapError] | None = None
        try:
            act(Registry(FaultyObjects(self.objects, at, late=late)))
        except Crash:
            self.objects.pass_time(DEATH)
            self.registry = Registry(self.objects)
            found = {voice: self.found(voice) for voice in VOICES}
            (self.model,) = [m for m in allowed if {v: seen(m[v]) for v in VOICES} == found]
            return
        except VoxswapError as error:
            raised = type(error)
        assert raised is refusal
        self.model = allowed[-1]

    def found(self, voice: str) -> Any:
        """What the registry shows of a voice, as `seen` shows it of the model."""
        record = self.registry.look(voice)
        return (
            record.versions,
            dict(record.state.labels),
            dict(record.state.traffic),
            record.state.revision,
        )

    def picked(self, voice: str, pick: int) -> int:
        """Mostly a version that is there; else one that was deleted, or never was."""
        model = self.model[voice]
        there, gone = sorted(model.data), sorted(model.spent - model.data.keys())
        if pick < 6 and there:
            return there[pick % len(there)]
        return gone[-1] if pick == 6 and gone else 99

    # Operations

    @rule(voice=voices, data=data, label=st.none() | labels, crash=crashes)
    def publish(
        self, voice: str, data: bytes, label: str | None, crash: tuple[int, bool] | None
    ) -> None:
        steps: list[Step] = [lambda v: v.publish(data, None)]
        if label is not None:
            steps.append(lambda v: v.move(label, max(v.data)))
        draft = self.drafts[voice, data]
        self.run(voice, lambda registry: registry.publish(draft, label=label), crash, *steps)

    @rule(voice=voices, data=data, version=versions, crash=crashes)
    def publish_number(
        self, voice: str, data: bytes, version: int, crash: tuple[int, bool] | None
    ) -> None:
        self.run(
            voice,
            lambda registry: registry.publish(self.drafts[voice, data], version=version),
            crash,
            lambda v: v.publish(data, version),
        )

    @rule(voice=voices, data=data)
    def publish_if_new(self, voice: str, data: bytes) -> None:
        newest = max(self.model[voice].data, default=0)
        same = newest and self.model[voice].data[newest] == data

        def act(registry: Registry) -> None:
            manifest, is_new = registry.publish_if_new(self.drafts[voice, data])
            assert is_new == (not same)
            assert not same or manifest.version == newest

        self.run(voice, act, None, *([] if same else [lambda v: v.publish(data, None)]))

    @rule(voice=voices, label=labels, pick=picks, crash=crashes)
    def promote(self, voice: str, label: str, pick: int, crash: tuple[int, bool] | None) -> None:
        version = self.picked(voice, pick)
        self.run(
            voice,
            lambda registry: registry.edit(voice, Edit(moves={label: version})),
            crash,
            lambda v: v.move(label, version),
        )

    @rule(voice=voices, label=labels, crash=crashes)
    def withdraw(self, voice: str, label: str, crash: tuple[int, bool] | None) -> None:
        self.run(
            voice,
            lambda registry: registry.edit(voice, Edit(moves={label: None})),
            crash,
            lambda v: v.move(label, None),
        )

    @rule(
        voice=voices,
        weights=st.dictionaries(picks, st.integers(1, 9), max_size=2),
        crash=crashes,
    )
    def split(self, voice: str, weights: dict[int, int], crash: tuple[int, bool] | None) -> None:
        traffic = {self.picked(voice, pick): weight for pick, weight in weights.items()}
        self.run(
            voice,
            lambda registry: registry.edit(voice, Edit(traffic=traffic)),
            crash,
            lambda v: v.split(traffic),
        )

    @rule(voice=voices, label=labels, crash=crashes)
    def roll_back(self, voice: str, label: str, crash: tuple[int, bool] | None) -> None:
        before = self.model[voice].labels.get(label, 0)

        def act(registry: Registry) -> None:
            left, now = registry.roll_back(voice, label)
            assert (left, now) == (before, registry.look(voice).state.labels[label])

        self.run(voice, act, crash, lambda v: v.roll_back(label))

    @rule(voice=voices, pick=picks, crash=crashes)
    def delete(self, voice: str, pick: int, crash: tuple[int, bool] | None) -> None:
        version = self.picked(voice, pick)
        self.run(
            voice,
            lambda registry: registry.delete(VoiceRef(voice, version)),
            crash,
            lambda v: v.delete({version}),
        )

    @rule(voice=voices, crash=crashes)
    def delete_voice(self, voice: str, crash: tuple[int, bool] | None) -> None:
        self.run(
            voice,
            lambda registry: registry.delete(VoiceRef(voice)),
            crash,
            lambda v: v.delete(set(v.data)),
        )

    @rule(crash=crashes)
    def collect(self, crash: tuple[int, bool] | None) -> None:
        def act(registry: Registry) -> None:
            collect(registry, grace=timedelta(0))
            check_collected(self.registry)

        self.run(VOICES[0], act, crash)

    # What is always true

    @invariant()
    def everything_is_as_the_model_says(self) -> None:
        for voice in VOICES:
            assert self.found(voice) == seen(self.model[voice])
        assert set(records(self.registry)) <= set(VOICES)

    @invariant()
    def everything_visible_is_whole(self) -> None:
        check_sound(self.registry, self.catalog)

    @invariant()
    def no_number_is_ever_used_again(self) -> None:
        for voice in VOICES:
            for version, data in self.model[voice].data.items():
                assert self.was.setdefault((voice, version), data) == data

    @invariant()
    def every_reference_is_right(self) -> None:
        for name in VOICES:
            voice = self.model[name]
            newest = max(voice.data, default=None)
            default = {voice.labels.get("stable", newest)} if newest is not None else set()
            self.means(VoiceRef(name), set(voice.traffic) or default)
            for label in LABELS:
                named = voice.labels.get(label)
                self.means(VoiceRef(name, label=label), {named} if named else set())
            gone = voice.spent - voice.data.keys()
            for version in {*sorted(voice.data)[::3], *sorted(gone)[-1:], 99}:
                self.means(VoiceRef(name, version), {version} & voice.data.keys())

    def means(self, ref: VoiceRef, allowed: set[int]) -> None:
        """``ref`` is one of these versions, the same for each request of a session; or nothing."""
        if not allowed:
            with pytest.raises(VoiceNotFoundError):
                self.registry.resolve(ref)
            return
        manifest = self.registry.resolve(ref, session_id="session")
        assert manifest.version in allowed
        if len(allowed) > 1:
            assert manifest == self.registry.resolve(ref, session_id="session")
        data = self.model[ref.voice_id].data[manifest.version]
        digest = hashlib.sha256(data).hexdigest()
        assert manifest.component("model").digest == f"sha256:{digest}"


def seen(voice: Voice) -> Any:
    """What can be seen of a voice of the model."""
    return (tuple(sorted(voice.data)), voice.labels, voice.traffic, voice.revision)


class InMemory(RegistryMachine):
    @classmethod
    def make(cls, folder: Path) -> Objects:
        return memory_objects()


class InFolder(RegistryMachine):
    @classmethod
    def make(cls, folder: Path) -> Objects:
        return FolderObjects(folder)


_UNHURRIED = {
    "suppress_health_check": [HealthCheck.too_slow],
}
TestInMemory = InMemory.TestCase
TestInMemory.settings = examples(25, stateful_step_count=40, **_UNHURRIED)
TestInFolder = pytest.mark.usefixtures("quick_disk")(InFolder.TestCase)
TestInFolder.settings = examples(12, stateful_step_count=40, **_UNHURRIED)


def test_over_http(s3: S3Server) -> None:
    class OverHttp(RegistryMachine):
        @classmethod
        def make(cls, folder: Path) -> Objects:
            return s3.objects()

    run_state_machine_as_test(OverHttp, settings=examples(3, stateful_step_count=8, **_UNHURRIED))
