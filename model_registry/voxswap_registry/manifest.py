"""The manifest: the immutable description of one version of a voice, and its JSON form."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from voxswap_registry.errors import InvalidInputError, ManifestError
from voxswap_registry.json_reader import MAX_VERSION, Reader, read_json
from voxswap_registry.names import check_digest, check_tag, check_voice_id

SCHEMA_VERSION = 1
MAX_MANIFEST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Component:
    """One content-addressed part of a voice. ``role`` says what the engine uses it for."""

    role: str
    digest: str
    size_bytes: int
    media_type: str


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


@dataclass(frozen=True, slots=True)
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

    def to_json(self) -> bytes:
        """The canonical JSON form: sorted keys, UTF-8, a newline at the end."""
        return (
            json.dumps(_plain(self), ensure_ascii=False, sort_keys=True, indent=1).encode() + b"\n"
        )

    @classmethod
    def from_json(cls, data: bytes, *, where: str) -> Manifest:
        """Read and check a manifest; ``where`` names it in errors. Raises `ManifestError`."""
        return _ManifestReader(where).manifest(
            read_json(data, where=where, limit_bytes=MAX_MANIFEST_BYTES)
        )


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


class _ManifestReader(Reader):
    """Reads a manifest."""

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
        )

    def tags(self, raw: Mapping[str, Any]) -> tuple[str, ...]:
        """Tags; none if the manifest is older than they are."""
        found = self.strings({"tags": [], **raw}, "tags")
        return tuple(self.checked(tag, "tags") for tag in found)

    def gender(self, raw: Mapping[str, Any]) -> str:
        """Gender; empty if it is not stated, or the manifest is older."""
        found = self.take({"gender": "", **raw}, "gender", str)
        return self.checked(found, "gender") if found else ""

    def checked(self, tag: str, key: str) -> str:
        """A tag that is well formed."""
        try:
            return check_tag(tag, field=key)
        except InvalidInputError as error:
            raise self.fault(str(error)) from error

    def speakers(self, raw: Mapping[str, Any]) -> Mapping[str, int]:
        """Rows of the speaker table by name."""
        found = self.items(raw, "speakers", int)
        if not all(0 <= index < 1 << 31 for index in found.values()):
            raise self.fault("'speakers' must map names to rows from 0")
        return found

    def manifest(self, raw: Mapping[str, Any]) -> Manifest:
        """The whole."""
        schema = self.take(raw, "schema_version", int)
        if schema != SCHEMA_VERSION:
            raise self.fault(
                f"schema_version {schema} is not known here (this build reads {SCHEMA_VERSION}); "
                "serve it with the voxswap that wrote it"
            )
        try:
            voice_id = check_voice_id(self.take(raw, "voice_id", str))
        except InvalidInputError as error:
            raise self.fault(str(error)) from error
        components = tuple(self.component(item) for item in self.take(raw, "components", list))
        if len({component.role for component in components}) != len(components):
            raise self.fault("two components have the same role")
        audio = self.take(raw, "audio", dict)
        front_end = self.take(raw, "front_end", dict)
        provenance = self.take(raw, "provenance", dict)
        return Manifest(
            voice_id=voice_id,
            version=self.positive(raw, "version", limit=MAX_VERSION),
            engine=self.take(raw, "engine", str),
            engine_config=self.frozen(raw, "engine_config"),
            components=components,
            audio=Audio(
                sample_rate_hertz=self.positive(audio, "sample_rate_hertz", limit=1_000_000),
                hop_length_samples=self.positive(audio, "hop_length_samples", limit=1_000_000),
            ),
            language=self.take(raw, "language", str),
            front_end=FrontEndSpec(
                kind=self.take(front_end, "kind", str), options=self.frozen(front_end, "options")
            ),
            speakers=self.speakers(raw),
            defaults=self.numbers(raw, "defaults"),
            licence=self.take(raw, "licence", str),
            provenance=Provenance(
                source=self.take(provenance, "source", str),
                source_digests=self.items(provenance, "source_digests", str),
                tool=self.take(provenance, "tool", str),
                created=self.instant(provenance, "created"),
                note=self.take(provenance, "note", str),
                code_licence=self.take({"code_licence": "", **provenance}, "code_licence", str),
            ),
            display_name=self.take(raw, "display_name", str),
            tags=self.tags(raw),
            gender=self.gender(raw),
        )
