"""What may change of a voice: labels, traffic split, metadata, and which versions are deleted.

A state is never changed either: each change makes the next one, numbered, by a create-only write.
So of two changes made at once one wins and the other looks again, on every kind of store; and all
of a voice's labels, split and deletions change together. Everything here is pure.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Final

from voxswap_registry.errors import (
    FieldViolation,
    InvalidInputError,
    NothingToRollBackError,
    VersionInUseError,
    VoiceNotFoundError,
)
from voxswap_registry.fields import Between, Form, FrozenMapping, ReadAs
from voxswap_registry.manifest import VersionNumber
from voxswap_registry.names import MAX_TAGS, VERSION, check_label, check_tag
from voxswap_registry.records import Record, canonical_json, record

SCHEMA_VERSION = 1
MAX_STATE_BYTES = 1 << 18
MAX_WEIGHT = 1_000_000
MAX_LABELS, MAX_SHARES = 32, 32
MAX_DELETED = 100_000
MAX_NAME_CHARACTERS, MAX_ACTOR_CHARACTERS, MAX_NOTE_CHARACTERS = 128, 128, 500
_TRAIL = 16  # roll-backs in a row
_TRAILS = 256  # labels; above, those that name nothing now are forgotten
STABLE = "stable"


@record()
@dataclass(frozen=True, slots=True)
class Change:
    """What made a state. ``time`` is informative: revisions, not clocks, order the changes."""

    action: str = ""
    actor: str = ""
    time: str = ""
    note: str = ""


def _weights(written: Mapping[str, int]) -> Mapping[int, int]:
    return MappingProxyType({int(version): weight for version, weight in written.items()})


def _ranges(numbers: frozenset[int]) -> list[list[int]]:
    """Numbers as first and last of each run: deletions are many and come in runs."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return runs


def _members(runs: Iterable[tuple[int, int]]) -> frozenset[int]:
    """What `_ranges` told. Raises ValueError."""
    found: set[int] = set()
    before = 0
    for first, last in runs:
        # Rising, and their sum is bounded: a short text must not become long work or a long set.
        if not before < first <= last or len(found) + last - first >= MAX_DELETED:
            raise ValueError("not rising, or too many")
        found.update(range(first, last + 1))
        before = last
    return frozenset(found)


@record(may_lack={"display_name", "tags", "gender"})
@dataclass(frozen=True, slots=True)
class VoiceState:
    """The state of a voice after ``revision`` changes. None of the metadata: as the manifest says.

    ``trail`` holds, for each label, the versions that it named before, the latest last.
    """

    revision: VersionNumber = 0
    labels: FrozenMapping[str, VersionNumber] = field(default_factory=dict)
    trail: FrozenMapping[str, tuple[VersionNumber, ...]] = field(default_factory=dict)
    traffic: Annotated[
        Mapping[int, int],
        ReadAs(
            Mapping[
                Annotated[str, Form(VERSION.pattern, "")], Annotated[int, Between(1, MAX_WEIGHT)]
            ],
            _weights,
            f"it must map versions to weights from 1 to {MAX_WEIGHT}",
        ),
    ] = field(default_factory=dict)
    deleted: Annotated[
        frozenset[int],
        ReadAs(
            tuple[tuple[VersionNumber, VersionNumber], ...],
            _members,
            "it must have rising runs of version numbers, not too many",
        ),
    ] = frozenset()
    display_name: str | None = None
    tags: tuple[str, ...] | None = None
    gender: str | None = None
    change: Change = Change()

    def to_json(self) -> bytes:
        """The canonical JSON form."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return canonical_json(
            {**fields, "schema_version": SCHEMA_VERSION, "deleted": _ranges(self.deleted)}
        )

    @classmethod
    def from_json(cls, data: bytes, *, where: str) -> VoiceState:
        """Read and check a state; ``where`` names it in errors. Raises `ManifestError`."""
        return _STATE.read(data, where=where)


_STATE: Final = Record(
    VoiceState,
    limit_bytes=MAX_STATE_BYTES,
    schema_version=SCHEMA_VERSION,
    remedy="Remove it: the state before it then counts",
)


@dataclass(frozen=True, slots=True)
class VoiceRecord:
    """A voice as it is in the store: versions that are there and not deleted, and its state."""

    voice_id: str
    versions: tuple[int, ...]
    state: VoiceState

    def labels_of(self, version: int) -> tuple[str, ...]:
        """The labels that name ``version``, in order."""
        return tuple(sorted(k for k, named in self.state.labels.items() if named == version))

    @property
    def highest_number(self) -> int:
        """The highest version number that was ever used; 0 if none was."""
        return max((*self.versions, *self.state.deleted), default=0)


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of a voice. What is None or empty stays as it is.

    ``moves`` gives labels a version, or takes them away with None; ``exact_labels`` are all labels
    that one version shall have. ``traffic`` maps versions to weights; an empty one ends the split.
    """

    moves: Mapping[str, int | None] = field(default_factory=dict)
    exact_labels: tuple[int, frozenset[str]] | None = None
    traffic: Mapping[int, int] | None = None
    display_name: str | None = None
    tags: tuple[str, ...] | None = None
    gender: str | None = None

    def applied(self, record: VoiceRecord) -> VoiceState:
        """The state after the edit, at the same revision still.

        Raises `InvalidInputError` naming every bad field, and `VoiceNotFoundError` for a version
        that is not there.
        """
        self._check()
        state = record.state
        moves = dict(self.moves)
        if self.exact_labels is not None:
            version, wanted = self.exact_labels
            _require(record, version)
            moves |= {label: None for label in record.labels_of(version) if label not in wanted}
            moves |= dict.fromkeys(sorted(wanted), version)
        actions = []
        for label, target in moves.items():
            if state.labels.get(label) != target:
                state = _moved(record, state, label, target)
                actions.append(f"promote {label} {target}" if target else f"withdraw {label}")
        if len(state.labels) > MAX_LABELS:
            raise InvalidInputError.one("labels", f"are more than {MAX_LABELS}; withdraw some")
        if self.traffic is not None and dict(self.traffic) != dict(state.traffic):
            for version in self.traffic:
                _require(record, version)
            state = dataclasses.replace(state, traffic=dict(sorted(self.traffic.items())))
            shares = " ".join(f"{v}={w}" for v, w in sorted(self.traffic.items()))
            actions.append(f"traffic {shares}" if shares else "end traffic split")
        if self.display_name is not None and self.display_name != state.display_name:
            state = dataclasses.replace(state, display_name=self.display_name)
            actions.append("update display_name")
        if self.tags is not None and self.tags != state.tags:
            state = dataclasses.replace(state, tags=self.tags)
            actions.append("update tags")
        if self.gender is not None and self.gender != state.gender:
            state = dataclasses.replace(state, gender=self.gender)
            actions.append("update gender")
        return dataclasses.replace(state, change=Change(", ".join(actions)))

    def _check(self) -> None:
        faults: list[FieldViolation] = []
        wanted = self.exact_labels[1] if self.exact_labels else ()
        checks: list[Callable[[], object]] = [
            *(functools.partial(check_label, label, field="labels") for label in self.moves),
            *(functools.partial(check_label, label, field="labels") for label in wanted),
            *(functools.partial(check_tag, tag, field="tags") for tag in self.tags or ()),
            lambda: check_text("display_name", self.display_name or "", MAX_NAME_CHARACTERS),
            lambda: _check_traffic(self.traffic or {}),
        ]
        if self.gender:
            checks.append(functools.partial(check_tag, self.gender, field="gender"))
        for check in checks:
            try:
                check()
            except InvalidInputError as error:
                faults.extend(error.violations)
        if len(self.tags or ()) > MAX_TAGS:
            faults.append(FieldViolation("tags", f"are more than {MAX_TAGS}; leave some out"))
        if faults:
            raise InvalidInputError(faults)


def rolled_back(record: VoiceRecord, label: str) -> VoiceState:
    """The state with ``label`` back at the version that it named before.

    Deleted versions are passed over. Raises `NothingToRollBackError`.
    """
    check_label(label)
    state = record.state
    now = state.labels.get(label)
    trail = [version for version in state.trail.get(label, ()) if version in record.versions]
    while trail and trail[-1] == now:
        trail.pop()
    if not trail:
        names = f"names {now}" if now else "is not set"
        raise NothingToRollBackError(
            f"{record.voice_id}: the label {label!r} {names}, and no other version that it named "
            f"is still there; see: voxswap voices history {record.voice_id}",
            metadata={"voice": record.voice_id, "label": label},
        )
    target = trail.pop()
    return dataclasses.replace(
        state,
        labels={**state.labels, label: target},
        trail={**state.trail, label: tuple(trail)},
        change=Change(f"roll back {label} from {now} to {target}"),
    )


def deleted(record: VoiceRecord, versions: Iterable[int]) -> VoiceState:
    """The state without ``versions``.

    Raises `VoiceNotFoundError` for one that is not there, `VersionInUseError` for one that a label
    or the traffic split names.
    """
    gone = sorted(set(versions))
    state = record.state
    for version in gone:
        _require(record, version)
        users = [f"the label {label!r}" for label in record.labels_of(version)]
        users += ["the traffic split"] if version in state.traffic else []
        if users:
            raise VersionInUseError(
                f"{record.voice_id}@{version} is named by {' and '.join(users)}; first move "
                f"{'that' if len(users) == 1 else 'those'} to another version, or take it away",
                metadata={"voice": record.voice_id, "version": str(version)},
            )
    action = f"delete {' '.join(map(str, gone))}"
    if len(action) > MAX_NOTE_CHARACTERS:
        action = f"delete {len(gone)} versions"
    return dataclasses.replace(state, deleted=state.deleted.union(gone), change=Change(action))


def check_text(name: str, text: str, limit: int) -> str:
    """``text`` if it is a line of ``limit`` characters or less; else raise `InvalidInputError`."""
    if len(text) > limit or not text.isprintable():
        raise InvalidInputError.one(
            name, f"is longer than {limit} characters or has control characters; write one line"
        )
    return text


def _moved(record: VoiceRecord, state: VoiceState, label: str, target: int | None) -> VoiceState:
    labels, trail = dict(state.labels), dict(state.trail)
    before = labels.pop(label, None)
    if target is not None:
        _require(record, target)
        labels[label] = target
    if before is not None:
        trail[label] = (*trail.get(label, ()), before)[-_TRAIL:]
        if len(trail) > _TRAILS:
            trail = {name: past for name, past in trail.items() if name in (*labels, label)}
    return dataclasses.replace(state, labels=labels, trail=trail)


def _require(record: VoiceRecord, version: int) -> None:
    if version not in record.versions:
        raise version_not_found(record, version)


def version_not_found(record: VoiceRecord, version: int) -> VoiceNotFoundError:
    """The error for a version that a voice does not have."""
    if version in record.state.deleted:
        message = f"{record.voice_id}@{version} was deleted"
    else:
        message = f"the voice {record.voice_id!r} has no version {version}"
    newest = ", ".join(map(str, record.versions[-8:])) or "none"
    return VoiceNotFoundError(
        f"{message}; it has {'... ' if len(record.versions) > 8 else ''}{newest}",
        metadata={"voice": record.voice_id, "version": str(version)},
    )


def _check_traffic(traffic: Mapping[int, int]) -> None:
    if len(traffic) > MAX_SHARES:
        raise InvalidInputError.one("traffic", f"has more than {MAX_SHARES} shares")
    for version, weight in traffic.items():
        if not 1 <= weight <= MAX_WEIGHT:
            raise InvalidInputError.one(
                "traffic",
                f"gives version {version} the weight {weight}; use 1 to {MAX_WEIGHT}, and leave "
                "versions without a share out",
            )
