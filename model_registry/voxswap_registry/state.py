"""What may change of a voice: labels, traffic split, metadata, and which versions are deleted.

A state is never changed either: each change makes the next one, numbered, by a create-only write.
So of two changes made at once one wins and the other looks again, on every kind of store; and all
of a voice's labels, split and deletions change together. Everything here is pure.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from voxswap_registry.errors import (
    FieldViolation,
    InvalidInputError,
    NothingToRollBackError,
    VersionInUseError,
    VoiceNotFoundError,
)
from voxswap_registry.json_reader import MAX_VERSION, Reader, read_json
from voxswap_registry.names import MAX_TAGS, check_label, check_tag

SCHEMA_VERSION = 1
MAX_STATE_BYTES = 1 << 18
MAX_WEIGHT = 1_000_000
MAX_LABELS, MAX_SHARES = 32, 32
MAX_DELETED = 100_000
MAX_NAME_CHARACTERS, MAX_ACTOR_CHARACTERS, MAX_NOTE_CHARACTERS = 128, 128, 500
_TRAIL = 16  # roll-backs in a row
_TRAILS = 256  # labels; above, those that name nothing now are forgotten
STABLE = "stable"


@dataclass(frozen=True, slots=True)
class Change:
    """What made a state. ``time`` is informative: revisions, not clocks, order the changes."""

    action: str = ""
    actor: str = ""
    time: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class VoiceState:
    """The state of a voice after ``revision`` changes. None of the metadata: as the manifest says.

    ``trail`` holds, for each label, the versions that it named before, the latest last.
    """

    revision: int = 0
    labels: Mapping[str, int] = field(default_factory=dict)
    trail: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    traffic: Mapping[int, int] = field(default_factory=dict)
    deleted: frozenset[int] = frozenset()
    display_name: str | None = None
    tags: tuple[str, ...] | None = None
    gender: str | None = None
    change: Change = Change()

    def to_json(self) -> bytes:
        """The canonical JSON form."""
        raw = {
            "schema_version": SCHEMA_VERSION,
            "revision": self.revision,
            "labels": dict(self.labels),
            "trail": {label: list(versions) for label, versions in self.trail.items()},
            "traffic": {str(version): weight for version, weight in self.traffic.items()},
            "deleted": _ranges(self.deleted),
            "display_name": self.display_name,
            "tags": None if self.tags is None else list(self.tags),
            "gender": self.gender,
            "change": dataclasses.asdict(self.change),
        }
        return json.dumps(raw, ensure_ascii=False, sort_keys=True, indent=1).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes, *, where: str) -> VoiceState:
        """Read and check a state; ``where`` names it in errors. Raises `ManifestError`."""
        raw = read_json(data, where=where, limit_bytes=MAX_STATE_BYTES)
        reader = Reader(where)
        schema = reader.take(raw, "schema_version", int)
        if schema != SCHEMA_VERSION:
            raise reader.fault(
                f"schema_version {schema} is not known here (this build reads {SCHEMA_VERSION}); "
                "read it with the voxswap that wrote it"
            )
        change = reader.take(raw, "change", dict)
        labels = reader.items(raw, "labels", int)
        reader.check_versions(labels.values(), "labels")
        trail = {
            label: tuple(reader.integers(versions, "trail"))
            for label, versions in reader.items(raw, "trail", list).items()
        }
        reader.check_versions(itertools.chain.from_iterable(trail.values()), "trail")
        return cls(
            revision=reader.positive(raw, "revision", limit=MAX_VERSION),
            labels=labels,
            trail=trail,
            traffic=reader.traffic(raw, max_weight=MAX_WEIGHT),
            deleted=_members(reader, raw),
            display_name=reader.optional(raw, "display_name"),
            gender=reader.optional(raw, "gender"),
            tags=None if raw.get("tags") is None else reader.strings(raw, "tags"),
            change=Change(*(reader.take(change, f.name, str) for f in dataclasses.fields(Change))),
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
    """Return a text for people, if it is one line of at most ``limit`` characters; else raise."""
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


def _ranges(numbers: frozenset[int]) -> list[list[int]]:
    """Numbers as first and last of each run: deletions are many and come in runs."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return runs


def _members(reader: Reader, raw: Mapping[str, object]) -> frozenset[int]:
    found: set[int] = set()
    before = 0
    for run in reader.take(raw, "deleted", list):
        first, last = (*reader.integers(run, "deleted"), 0, 0)[:2]
        # Rising, and their sum is bounded: a short text must not become long work or a long set.
        rising = before < first <= last <= MAX_VERSION
        if not rising or len(found) + last - first >= MAX_DELETED:
            raise reader.fault("'deleted' must be rising runs of version numbers, not too many")
        found.update(range(first, last + 1))
        before = last
    return frozenset(found)
