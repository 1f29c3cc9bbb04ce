"""The manifest: the immutable description of one version of a voice, and its JSON form."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from voxswap_registry.errors import FieldViolation, InvalidInputError, ManifestError
from voxswap_registry.json_reader import MAX_VERSION, Reader, read_json
from voxswap_registry.manifest_check import check_manifest
from voxswap_registry.names import check_digest, check_voice_id

SCHEMA_VERSION = 1
# Two thousand speakers with names of eight characters take 40 KB; other voices 2 to 3.
MAX_MANIFEST_BYTES = 64 << 10
# What was taken at first: such a manifest cannot be used any more, but what it names is known.
MAX_OLD_MANIFEST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Component:
    """One content-addressed part of a voice. ``role`` says what the engine uses it for.

    ``digest`` is its name. ``blake3`` (64 hexadecimal digits) is of the same bytes, and None in
    manifests that were written before there was one.
    """

    role: str
    digest: str
    size_bytes: int
    media_type: str
    blake3: str | None = None

    @property
    def checked_by(self) -> str:
        """The digest that its bytes are checked by: ``blake3:…`` if there is one, else its name."""
        return self.digest if self.blake3 is None else f"blake3:{self.blake3}"

    @property
    def identity(self) -> str:
        """By this and no less it is the same: a manifest may be wrong about one of its digests."""
        return self.digest if self.blake3 is None else f"{self.digest}+{self.checked_by}"

    def by_name(self) -> Component:
        """The same, to be checked by its name."""
        return dataclasses.replace(self, blake3=None)


@dataclass(frozen=True, slots=True)
class Audio:
    """The form of the audio that the engine makes, before any resampling. Always mono."""

    sample_rate_hertz: int
    hop_length_samples: int


@dataclass(frozen=True, slots=True)
class FrontEndSpec:
    """Which front-end turns text into symbols, and what it must know beside the symbol table.

    ``kind`` is ``espeak`` (``options.voice`` is the espeak-ng voice), ``misaki``
    (``options.british``) or ``characters`` (``options.lowercase``). The symbol table is the
    component with role ``symbols``.
    """

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a version came from. ``source_digests`` maps original file names to digests.

    ``code_licence`` is that of the code that made the model, not of its weights.
    """

    source: str
    source_digests: Mapping[str, str]
    tool: str
    created: str
    note: str = ""
    code_licence: str = ""


@dataclass(frozen=True)
class Manifest:
    """One immutable version of a voice. ``engine_config`` is read by the engine alone."""

    voice_id: str
    version: int
    engine: str
    engine_config: Mapping[str, Any]
    components: tuple[Component, ...]
    audio: Audio
    language: str
    front_end: FrontEndSpec
    speakers: Mapping[str, int]
    defaults: Mapping[str, float]
    licence: str
    provenance: Provenance
    display_name: str = ""
    tags: tuple[str, ...] = ()
    gender: str = ""
    schema_version: int = SCHEMA_VERSION

    def component(self, role: str) -> Component:
        """The component with this role; `ManifestError` if there is none."""
        for component in self.components:
            if component.role == role:
                return component
        raise ManifestError(f"{self.ref}: the manifest has no component with the role {role!r}")

    @property
    def ref(self) -> str:
        """``voice@version``, as clients write it."""
        return f"{self.voice_id}@{self.version}"

    @property
    def size_bytes(self) -> int:
        """Bytes of all components together."""
        return sum(component.size_bytes for component in self.components)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of its canonical form, in hexadecimal digits. Computed when first asked for."""
        return hashlib.sha256(self.to_json()).hexdigest()

    def to_json(self) -> bytes:
        """The canonical JSON form: sorted keys, UTF-8, a newline at the end."""
        return (
            json.dumps(_plain(self), ensure_ascii=False, sort_keys=True, indent=1).encode() + b"\n"
        )

    @classmethod
    def from_json(cls, data: bytes, *, where: str) -> Manifest:
        """Read a manifest and check all of it; ``where`` names it in errors.

        Raises `ManifestError` with every fault: of types first, and if they are right of values.
        """
        manifest = _ManifestReader(where).manifest(
            read_json(data, where=where, limit_bytes=MAX_MANIFEST_BYTES)
        )
        check_manifest(manifest, where=where)
        return manifest


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value):
        fields = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))
        return {name: _plain(inner) for name, inner in fields if inner is not None}
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


def named_digests(data: bytes, *, voice_id: str, version: int, where: str) -> frozenset[str]:
    """The digests of the components of a version's manifest, whatever else is wrong with it.

    For whoever must not remove them. Raises `ManifestError` if they cannot be told.
    """
    raw, reader = (
        read_json(data, where=where, limit_bytes=MAX_OLD_MANIFEST_BYTES),
        _ManifestReader(where),
    )
    reader.check_schema(raw)
    if (raw.get("voice_id"), raw.get("version")) != (voice_id, version):
        raise reader.fault("says that it is another voice or version; put the file back")
    return frozenset(component.digest for component in reader.components(raw))


class _ManifestReader(Reader):
    """Reads a manifest."""

    def check_schema(self, raw: Mapping[str, Any]) -> None:
        """Raise if it is written in a way that this build does not know."""
        schema = self.take(raw, "schema_version", int)
        if schema != SCHEMA_VERSION:
            raise self.fault(
                f"schema_version {schema} is not known here (this build reads {SCHEMA_VERSION}); "
                "serve it with the voxswap that wrote it"
            )

    def manifest(self, raw: Mapping[str, Any]) -> Manifest:
        """The whole."""
        self._read({"schema_version": _ManifestReader.check_schema}, raw)
        return Manifest(**self._read(_FIELDS, raw))

    def _read(self, fields: _Fields, raw: Mapping[str, Any]) -> dict[str, Any]:
        """Each of ``fields``; raises with all that cannot be read."""
        found: dict[str, Any] = {}
        faults = []
        for name, read in fields.items():
            try:
                found[name] = read(self, raw)
            except ManifestError as error:
                faults.append(FieldViolation(name, error.message.removeprefix(f"{self.where}: ")))
        if faults:
            told = "; ".join(fault.description for fault in faults)
            raise ManifestError(f"{self.where}: {told}", faults)
        return found

    def voice_id(self, raw: Mapping[str, Any]) -> str:
        """The id."""
        try:
            return check_voice_id(self.take(raw, "voice_id", str))
        except InvalidInputError as error:
            raise self.fault(str(error)) from error

    def components(self, raw: Mapping[str, Any]) -> tuple[Component, ...]:
        """All components."""
        found = self.take(raw, "components", list)
        return tuple(
            self.inside(f"components[{place}]").component(item) for place, item in enumerate(found)
        )

    def component(self, raw: object) -> Component:
        """One component."""
        if not isinstance(raw, dict):
            raise self.fault("'components' must be a list of objects")
        try:
            digest = check_digest(self.take(raw, "digest", str))
        except InvalidInputError as error:
            raise self.fault(str(error)) from error
        return Component(
            role=self.take(raw, "role", str),
            digest=digest,
            size_bytes=self.positive(raw, "size_bytes"),
            media_type=self.take(raw, "media_type", str),
            blake3=self.take(raw, "blake3", str) if "blake3" in raw else None,
        )

    def audio(self, raw: Mapping[str, Any]) -> Audio:
        """The form of the audio."""
        audio, inner = self.take(raw, "audio", dict), self.inside("audio")
        return Audio(
            sample_rate_hertz=inner.positive(audio, "sample_rate_hertz"),
            hop_length_samples=inner.positive(audio, "hop_length_samples"),
        )

    def front_end(self, raw: Mapping[str, Any]) -> FrontEndSpec:
        """The front-end."""
        front_end, inner = self.take(raw, "front_end", dict), self.inside("front_end")
        return FrontEndSpec(
            kind=inner.take(front_end, "kind", str), options=inner.frozen(front_end, "options")
        )

    def provenance(self, raw: Mapping[str, Any]) -> Provenance:
        """Where it came from."""
        found, inner = self.take(raw, "provenance", dict), self.inside("provenance")
        return Provenance(
            source=inner.take(found, "source", str),
            source_digests=inner.items(found, "source_digests", str),
            tool=inner.take(found, "tool", str),
            created=inner.instant(found, "created"),
            note=inner.take(found, "note", str),
            code_licence=inner.take({"code_licence": "", **found}, "code_licence", str),
        )


_Fields = Mapping[str, Callable[[_ManifestReader, Mapping[str, Any]], Any]]


def _text(key: str) -> Callable[[_ManifestReader, Mapping[str, Any]], str]:
    return lambda reader, raw: reader.take(raw, key, str)


# What is younger than the first manifests may be absent.
_FIELDS: _Fields = {
    "voice_id": _ManifestReader.voice_id,
    "version": lambda reader, raw: reader.positive(raw, "version", limit=MAX_VERSION),
    "engine": _text("engine"),
    "engine_config": lambda reader, raw: reader.frozen(raw, "engine_config"),
    "components": _ManifestReader.components,
    "audio": _ManifestReader.audio,
    "language": _text("language"),
    "front_end": _ManifestReader.front_end,
    "speakers": lambda reader, raw: reader.items(raw, "speakers", int),
    "defaults": lambda reader, raw: reader.numbers(raw, "defaults"),
    "licence": _text("licence"),
    "provenance": _ManifestReader.provenance,
    "display_name": _text("display_name"),
    "tags": lambda reader, raw: reader.strings({"tags": [], **raw}, "tags"),
    "gender": lambda reader, raw: reader.take({"gender": "", **raw}, "gender", str),
}
