"""The one check of a whole manifest: whoever writes, takes, lists or loads one asks here.

What passes can be told in a message, shown on a terminal, and computed with: every number that
reaches arithmetic or the size of a buffer is bounded, every name that reaches a library has the
form of a name, and what the fields say of each other fits. Bytes are not looked at.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from voxswap_registry.errors import FieldViolation, InvalidInputError, ManifestError
from voxswap_registry.families import rules_of
from voxswap_registry.names import MAX_TAGS, check_tag
from voxswap_registry.rates import (
    LEAST_FRAMES_PER_S,
    MAX_RATE_HERTZ,
    MIN_RATE_HERTZ,
    MOST_FRAMES_PER_S,
)

if TYPE_CHECKING:
    from voxswap_registry.manifest import Manifest

# Of a published voice these are 0.7 to 1.5, 0.3 to 1 and 0.6 to 1. A request may ask for a rate of
# a quarter to four times this.
DEFAULTS: Final[Mapping[str, tuple[float, float]]] = {
    "length_scale": (0.1, 10.0),
    "noise_scale": (0.0, 3.0),
    "noise_w": (0.0, 3.0),
}
FRONT_ENDS: Final[Mapping[str, Mapping[str, type]]] = {
    "espeak": {"voice": str},
    "misaki": {"british": bool},
    "characters": {"lowercase": bool},
}
MAX_SPEAKERS: Final = 4_096
MAX_SPEAKER_CHARACTERS: Final = 128
MAX_COMPONENTS: Final = 16
_MAX_COMPONENT_BYTES = 1 << 40
_MAX_SOURCES, _MAX_SOURCE_CHARACTERS = 64, 512
_MAX_TEXTS: Final[Mapping[str, int]] = {
    "display_name": 512,
    "licence": 2_000,
    "provenance.source": 2_000,
    "provenance.tool": 200,
    "provenance.note": 4_000,
    "provenance.code_licence": 2_000,
}
_MAX_FAULTS = 16  # that are told

_ESPEAK_VOICE = re.compile(r"[A-Za-z][A-Za-z0-9_\-]{0,47}(?:\+[A-Za-z0-9_\-]{1,15})?")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,5}")
_ENGINE = re.compile(r"[a-z][a-z0-9_\-]{0,31}")
_ROLE = re.compile(r"[a-z][a-z0-9_]{0,31}")
_BLAKE3 = re.compile(r"[0-9a-f]{64}")
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9.+\-]{0,62}/[a-z0-9][a-z0-9.+\-]{0,62}")
# Left to right and back: a terminal would show the rest of its line otherwise than it is.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

_Faults = Iterator[FieldViolation]


def check_manifest(manifest: Manifest, *, where: str) -> None:
    """Raise `ManifestError` with every fault of ``manifest``, which ``where`` names.

    Pure; takes about 50 us for a usual voice and a few milliseconds for the largest manifest.
    """
    faults = tuple(itertools.islice(manifest_faults(manifest), _MAX_FAULTS))
    if faults:
        raise faulty(faults, where=where)


def faulty(faults: Collection[FieldViolation], *, where: str) -> ManifestError:
    """The error that tells these faults."""
    told = "; ".join(f"{fault.field} {fault.description}" for fault in faults)
    return ManifestError(
        f"{where}: {told}. Import the voice again, or publish a version in which that is right",
        tuple(faults),
    )


def manifest_faults(manifest: Manifest) -> _Faults:
    """What is wrong with it, field by field. Of many alike, the first."""
    yield from _texts(manifest)
    yield from _components(manifest)
    yield from _audio(manifest)
    yield from _defaults(manifest.defaults)
    yield from _speakers(manifest.speakers)
    yield from _front_end(manifest)
    if not _ENGINE.fullmatch(manifest.engine):
        yield fault("engine", f"is {shown(manifest.engine)}, which is no engine's name")
    elif (rules := rules_of(manifest.engine)) is not None:
        # Of an engine that is not here, a manifest is listed, and refused by the loader.
        yield from _roles(manifest, rules.role_limits.keys())
        yield from rules.faults(manifest)


def is_espeak_voice(name: str) -> bool:
    """Whether ``name`` has the form of an espeak-ng voice, which no path has."""
    return _ESPEAK_VOICE.fullmatch(name) is not None


def is_line(text: str, limit: int) -> bool:
    """Whether ``text`` is one line of at most ``limit`` characters that a terminal shows as it is.

    Spaces of any width and what joins letters are text.
    """
    return len(text) <= limit and (text.isprintable() or all(map(_is_shown, text)))


def _is_shown(character: str) -> bool:
    controls = unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}
    return character == "\t" or not (controls or character in _TURNING)


def fault(field: str, description: str) -> FieldViolation:
    """What is wrong with a field, in words that go after its name."""
    return FieldViolation(field, description)


def shown(value: object) -> str:
    """A stranger's value, short enough for a message."""
    if isinstance(value, int) and value.bit_length() > 64:  # Printing it may take long, or fail.
        return f"a number of {value.bit_length()} bits"
    return f"a {type(value).__name__}" if isinstance(value, list | dict) else f"{value!r:.60}"


def _texts(manifest: Manifest) -> _Faults:
    for field, limit in _MAX_TEXTS.items():
        inner = field.removeprefix("provenance.")
        text = getattr(manifest if inner == field else manifest.provenance, inner)
        if not is_line(text, limit):
            yield fault(field, _no_line(limit))
    sources = manifest.provenance.source_digests
    if len(sources) > _MAX_SOURCES:
        yield fault("provenance.source_digests", f"has more than {_MAX_SOURCES} entries")
    elif not all(
        is_line(text, _MAX_SOURCE_CHARACTERS) for item in sources.items() for text in item
    ):
        yield fault("provenance.source_digests", _no_line(_MAX_SOURCE_CHARACTERS))
    if not _LANGUAGE.fullmatch(manifest.language):
        yield fault(
            "language", f"is {shown(manifest.language)}; use a tag of BCP 47, for example en-US"
        )
    if len(manifest.tags) > MAX_TAGS:
        yield fault("tags", f"are more than {MAX_TAGS}; leave some out")
    for field, tags in (("tags", manifest.tags), ("gender", filter(None, [manifest.gender]))):
        try:
            for tag in tags:
                check_tag(tag, field=field)
        except InvalidInputError as error:
            yield from error.violations


def _no_line(limit: int) -> str:
    return f"is longer than {limit} characters or has control characters; write one line"


def _components(manifest: Manifest) -> _Faults:
    found = {component.role for component in manifest.components}
    if len(found) < len(manifest.components):
        yield fault("components", "has two components with the same role; each has its own")
    if len(manifest.components) > MAX_COMPONENTS:
        yield fault("components", f"are more than {MAX_COMPONENTS}")
        return
    rules = rules_of(manifest.engine)
    limits: Mapping[str, int] = {} if rules is None else rules.role_limits
    for place, component in enumerate(manifest.components):
        if not _ROLE.fullmatch(component.role):
            yield fault(
                f"components[{place}].role",
                f"is {shown(component.role)}; use a-z, 0-9 and '_', 32 characters at most",
            )
        if not _MEDIA_TYPE.fullmatch(component.media_type):
            yield fault(
                f"components[{place}].media_type",
                f"is {shown(component.media_type)}; write one such as application/json",
            )
        if component.blake3 is not None and not _BLAKE3.fullmatch(component.blake3):
            yield fault(
                f"components[{place}].blake3",
                f"is {shown(component.blake3)}; write the 64 hexadecimal digits of the BLAKE3 of "
                "its bytes in lower case, or leave it out",
            )
        limit = limits.get(component.role, _MAX_COMPONENT_BYTES)
        if not 0 < component.size_bytes <= limit:
            yield fault(
                f"components[{place}].size_bytes",
                f"is {shown(component.size_bytes)}; a {component.role[:32]} of the engine "
                f"{manifest.engine[:32]} has 1 to {limit}",
            )


def _audio(manifest: Manifest) -> _Faults:
    rate, hop = manifest.audio.sample_rate_hertz, manifest.audio.hop_length_samples
    if not MIN_RATE_HERTZ <= rate <= MAX_RATE_HERTZ:
        yield fault(
            "audio.sample_rate_hertz",
            f"is {shown(rate)}; use {MIN_RATE_HERTZ} to {MAX_RATE_HERTZ}",
        )
    elif not rate <= hop * MOST_FRAMES_PER_S <= rate * MOST_FRAMES_PER_S // LEAST_FRAMES_PER_S:
        least, most = -(-rate // MOST_FRAMES_PER_S), rate // LEAST_FRAMES_PER_S
        yield fault(
            "audio.hop_length_samples",
            f"is {shown(hop)}; at {rate} Hz use {least} to {most}, which is half a millisecond to "
            "a tenth of a second",
        )


def _defaults(defaults: Mapping[str, float]) -> _Faults:
    for name, value in defaults.items():
        if name not in DEFAULTS:
            yield fault(
                f"defaults.{name[:32]}", f"is not known; there are {', '.join(sorted(DEFAULTS))}"
            )
            continue
        low, high = DEFAULTS[name]
        if not low <= value <= high:  # NaN is not, either
            yield fault(f"defaults.{name}", f"is {shown(value)}; use {low:g} to {high:g}")


def _speakers(speakers: Mapping[str, int]) -> _Faults:
    if len(speakers) > MAX_SPEAKERS:
        yield fault("speakers", f"are {len(speakers)}; {MAX_SPEAKERS} at most can be named")
    for name in speakers:
        if not name or not is_line(name, MAX_SPEAKER_CHARACTERS):
            yield fault(
                "speakers",
                f"has the name {shown(name)}; use 1 to {MAX_SPEAKER_CHARACTERS} characters of one "
                "line",
            )
            return


def _front_end(manifest: Manifest) -> _Faults:
    kind, options = manifest.front_end.kind, manifest.front_end.options
    if kind not in FRONT_ENDS:
        yield fault(
            "front_end.kind",
            f"is {shown(kind)}; this voxswap has {', '.join(sorted(FRONT_ENDS))}",
        )
        return
    known = FRONT_ENDS[kind]
    for name, value in itertools.islice(options.items(), 8):
        field = f"front_end.options.{name[:32]}"
        if name not in known:
            yield fault(field, f"is not known; {kind} takes {', '.join(sorted(known))}")
        elif type(value) is not known[name]:
            yield fault(field, f"is {shown(value)}; it must be {known[name].__name__}")
        elif isinstance(value, str) and not is_espeak_voice(value):
            yield fault(
                field, f"is {shown(value)}, which is no espeak-ng voice; write one such as en-us"
            )


def _roles(manifest: Manifest, roles: Collection[str]) -> _Faults:
    """An engine's voice has the parts that it computes with: no other, and each of them."""
    found = {component.role for component in manifest.components}
    if found != roles:
        yield fault(
            "components",
            f"have the roles {', '.join(sorted(role[:32] for role in found))[:200] or 'none'}; a "
            f"voice of the engine {manifest.engine} has {', '.join(sorted(roles))}",
        )
