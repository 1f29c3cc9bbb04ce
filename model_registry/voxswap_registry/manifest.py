"""The manifest: the immutable description of one version of a voice, and its JSON form."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeVar

from voxswap_registry.errors import InvalidInputError, ManifestError
from voxswap_registry.names import check_digest, check_voice_id

SCHEMA_VERSION = 1
MAX_MANIFEST_BYTES = 1 << 20
_MAX_INTEGER = 1 << 53  # what every JSON reader holds exactly

_T = TypeVar("_T")


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

    ``kind`` is ``espeak`` (``options.voice`` is the espeak-ng voice) or ``characters``
    (``options.lowercase``). The symbol table is the component with role ``symbols``.
    """

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a version came from. ``source_digests`` maps original file names to digests."""

    source: str
    source_digests: Mapping[str, str]
    tool: str
    created: str
    note: str = ""


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
        if len(data) > MAX_MANIFEST_BYTES:
            raise ManifestError(
                f"{where}: {len(data)} bytes; a manifest has {MAX_MANIFEST_BYTES} at most"
            )
        try:
            raw = json.loads(data)
            # What cannot be written again is not taken: infinities, half surrogate pairs.
            json.dumps(raw, ensure_ascii=False, allow_nan=False).encode()
        except (ValueError, RecursionError) as error:
            raise ManifestError(f"{where}: not JSON ({error}); publish the version anew") from error
        return _Reader(where).manifest(raw)


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


class _Reader:
    """Typed access to foreign JSON; every fault names the manifest and the key."""

    def __init__(self, where: str) -> None:
        self.where = where

    def fault(self, message: str) -> ManifestError:
        return ManifestError(f"{self.where}: {message}")

    def take(self, raw: Mapping[str, Any], key: str, kind: type[_T]) -> _T:
        value = raw.get(key)
        # bool is an int to Python, not to a manifest.
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.fault(f"{key!r} must be {kind.__name__}, found {type(value).__name__}")
        return value

    def positive(self, raw: Mapping[str, Any], key: str) -> int:
        value = self.take(raw, key, int)
        if value <= 0:
            raise self.fault(f"{key!r} must be above 0, found {value}")
        if value > _MAX_INTEGER:
            raise self.fault(f"{key!r} must be {_MAX_INTEGER} at most, found more")
        return value

    def frozen(self, raw: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        return MappingProxyType(dict(self.take(raw, key, dict)))

    def items(self, raw: Mapping[str, Any], key: str, kind: type[_T]) -> Mapping[str, _T]:
        found = self.take(raw, key, dict)
        return MappingProxyType({str(name): self.take(found, name, kind) for name in found})

    def numbers(self, raw: Mapping[str, Any], key: str) -> Mapping[str, float]:
        found = self.take(raw, key, dict)
        for name, value in found.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise self.fault(f"{key}.{name} must be a number, found {value!r}")
            # Compared, not converted: float() of a huge integer raises OverflowError.
            if not -_MAX_INTEGER <= value <= _MAX_INTEGER:
                raise self.fault(f"{key}.{name} must be within +-{_MAX_INTEGER}")
        return MappingProxyType({str(name): float(value) for name, value in found.items()})

    def component(self, raw: object) -> Component:
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

    def manifest(self, raw: object) -> Manifest:
        if not isinstance(raw, dict):
            raise self.fault("a manifest is a JSON object")
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
            version=self.positive(raw, "version"),
            engine=self.take(raw, "engine", str),
            engine_config=self.frozen(raw, "engine_config"),
            components=components,
            audio=Audio(
                sample_rate_hertz=self.positive(audio, "sample_rate_hertz"),
                hop_length_samples=self.positive(audio, "hop_length_samples"),
            ),
            language=self.take(raw, "language", str),
            front_end=FrontEndSpec(
                kind=self.take(front_end, "kind", str), options=self.frozen(front_end, "options")
            ),
            speakers=self.items(raw, "speakers", int),
            defaults=self.numbers(raw, "defaults"),
            licence=self.take(raw, "licence", str),
            provenance=Provenance(
                source=self.take(provenance, "source", str),
                source_digests=self.items(provenance, "source_digests", str),
                tool=self.take(provenance, "tool", str),
                created=self.take(provenance, "created", str),
                note=self.take(provenance, "note", str),
            ),
            display_name=self.take(raw, "display_name", str),
        )
