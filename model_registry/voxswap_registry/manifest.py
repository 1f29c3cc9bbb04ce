"""The manifest: the immutable description of one version of a voice, and its JSON form.

Each field is written here, with its type, its bounds and what it is for, and nowhere else; what
several say of each other is checked in `manifest_check`. ``docs/manifest.schema.json`` is made of
this file by ``scripts/gen-schema``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Any, Final, Literal

from voxswap_registry import names
from voxswap_registry.controls import CONTROLS, DEFAULTS
from voxswap_registry.delivery import PresetDelivery
from voxswap_registry.errors import FieldViolation, ManifestError
from voxswap_registry.fields import (
    FROZEN,
    Absent,
    Between,
    Doc,
    Entries,
    Form,
    FrozenMapping,
    Holds,
    Length,
    Line,
)
from voxswap_registry.manifest_check import misfits
from voxswap_registry.rates import LEAST_FRAMES_PER_S, MAX_RATE_HERTZ, MIN_RATE_HERTZ
from voxswap_registry.records import Record, canonical_json, record

SCHEMA_VERSION: Final = 1
# Two thousand speakers with names of eight characters take 40 KB; other voices 2 to 3.
MAX_MANIFEST_BYTES: Final = 64 << 10
MAX_LIST_ENTRIES: Final = 256  # of any list; the longest of real voices have a dozen
MAX_SPEAKER_CHARACTERS: Final = 128
_MAX_COMPONENT_BYTES = 1 << 40

_ESPEAK_VOICE = re.compile(r"[A-Za-z][A-Za-z0-9_\-]{0,47}(?:\+[A-Za-z0-9_\-]{1,15})?")


def is_espeak_voice(name: str) -> bool:
    """Whether ``name`` has the form of an espeak-ng voice, which no path has."""
    return _ESPEAK_VOICE.fullmatch(name) is not None


def _is_instant(text: str) -> bool:
    """Whether it is a time in ISO 8601, with its offset from UTC, that exists in UTC too.

    The first and the last hours of the calendar with an offset may lie outside it in UTC.
    """
    try:
        read = datetime.fromisoformat(text)
        read.astimezone(UTC)
    except (ValueError, OverflowError):
        return False
    return read.tzinfo is not None


VersionNumber = Annotated[int, Between(1, names.MAX_VERSION)]
Digest = Annotated[
    str, Form(names.DIGEST.pattern, "write 'sha256:' and 64 hexadecimal digits in lower case")
]
Language = Annotated[
    str,
    Form(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,5}", "use a tag of BCP 47, for example en-US"),
]
Tag = Annotated[str, Form(names.TAG.pattern, f"it is not one: {names.TAG_RULE}")]


@record(may_lack={"blake3", "form"})
@dataclass(frozen=True, slots=True)
class Component:
    """One content-addressed part of a voice."""

    role: Annotated[
        str,
        Form(r"[a-z][a-z0-9_]{0,31}", "use a-z, 0-9 and '_', 32 characters at most"),
        Doc("what the engine uses it for"),
    ]
    digest: Annotated[Digest, Doc("the SHA-256 of its bytes, which is its name")]
    size_bytes: Annotated[int, Between(1, _MAX_COMPONENT_BYTES), Doc("the length of its bytes")]
    media_type: Annotated[
        str,
        Form(
            r"[a-z0-9][a-z0-9.+\-]{0,62}/[a-z0-9][a-z0-9.+\-]{0,62}",
            "write one such as application/json",
        ),
        Doc("what its bytes are, for people: an engine goes by the role"),
    ]
    blake3: Annotated[
        Annotated[
            str,
            Form(
                "[0-9a-f]{64}",
                "write the 64 hexadecimal digits of the BLAKE3 of its bytes in lower case, or "
                "leave it out",
            ),
        ]
        | None,
        Absent(),
        Doc("of the same bytes; manifests that were written before there was one lack it"),
    ] = None
    form: Annotated[
        Annotated[
            str,
            Form(
                r"[a-z][a-z0-9_]{0,31}",
                "use a-z, 0-9 and '_', 32 characters at most, or leave it out",
            ),
        ]
        | None,
        Absent(),
        Doc("how its bytes are laid out, such as packed; without it, as a role's always were"),
    ] = None

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


@record()
@dataclass(frozen=True, slots=True)
class Audio:
    """The form of the audio that the engine makes, before any resampling. Always mono."""

    sample_rate_hertz: Annotated[
        int, Between(MIN_RATE_HERTZ, MAX_RATE_HERTZ), Doc("samples a second")
    ]
    hop_length_samples: Annotated[
        int,
        Between(1, MAX_RATE_HERTZ // LEAST_FRAMES_PER_S),
        Doc("samples of a frame, which lasts half a millisecond to a tenth of a second"),
    ]


@record()
@dataclass(frozen=True, slots=True)
class FrontEndSpec:
    """Which front-end turns text into symbols, and what it must know beside the symbol table.

    The symbol table is the component with the role ``symbols``.
    """

    kind: Annotated[
        Literal["espeak", "misaki", "characters", "mandarin", "emotivoice"],
        Doc(
            "espeak takes the options voice and alphabet, misaki british, characters lowercase, "
            "mandarin alphabet, emotivoice none"
        ),
    ]
    options: Annotated[
        Mapping[str, Any],
        Entries(
            {
                "voice": Annotated[
                    str,
                    Form(
                        _ESPEAK_VOICE.pattern, "it is no espeak-ng voice; write one such as en-us"
                    ),
                    Doc("the espeak-ng voice"),
                ],
                "british": Annotated[bool, Doc("whether it reads British English")],
                "lowercase": Annotated[bool, Doc("whether capital letters are read as small")],
                "alphabet": Annotated[
                    Literal["misaki", "kantts"],
                    Doc("how phonemes are written: misaki's way, or KAN-TTS's; else its own"),
                ],
            }
        ),
        FROZEN,
    ] = field(default_factory=dict)


@record(may_lack={"code_licence"})
@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a version came from."""

    source: Annotated[str, Line(2_000), Doc("where the original files came from")]
    source_digests: Annotated[
        Mapping[Annotated[str, Line(512)], Annotated[str, Line(512)]],
        Length(0, 64),
        FROZEN,
        Doc("the digests of the original files, by name"),
    ]
    tool: Annotated[str, Line(200), Doc("what imported them")]
    created: Annotated[
        str,
        Holds(_is_instant, "it must be a time such as 2026-01-02T12:00:00Z"),
        Doc("when, in ISO 8601 with the offset from UTC"),
    ]
    note: Annotated[str, Line(4_000), Doc("what else is to be known, for people")] = ""
    code_licence: Annotated[
        str, Line(2_000), Doc("of the code that made the model, not of its weights")
    ] = ""


@dataclass(frozen=True, kw_only=True)
class VoiceDescription:
    """All that a version says of itself but its number and its bytes."""

    voice_id: Annotated[
        str,
        Form(
            names.VOICE_ID.pattern,
            f"it is not a voice id: {names.VOICE_ID_RULE}",
            names.MAX_VOICE_ID_CHARACTERS,
        ),
        Doc("the name of the voice"),
    ]
    engine: Annotated[
        str,
        Form(r"[a-z][a-z0-9_\-]{0,31}", "it is no engine's name; write one such as vits"),
        Doc("what computes it: the model family"),
    ]
    engine_config: Annotated[
        FrozenMapping[str, Any],
        Doc("the architecture, which the engine alone reads"),
    ]
    audio: Audio
    language: Annotated[Language, Doc("what it speaks, as BCP 47 has it")]
    front_end: FrontEndSpec
    speakers: Annotated[
        Mapping[Annotated[str, Line(MAX_SPEAKER_CHARACTERS, 1)], int],
        Length(0, 4_096),
        FROZEN,
        Doc("names of speakers, each with its row of the model's table"),
    ]
    defaults: Annotated[
        Mapping[str, float],
        Entries(
            {
                "length_scale": Annotated[
                    float,
                    Between(*DEFAULTS["length_scale"]),
                    Doc("how long it takes for what it says: 1 is as it was trained"),
                ],
                "noise_scale": Annotated[
                    float, Between(*DEFAULTS["noise_scale"]), Doc("how much its sound varies")
                ],
                "noise_w": Annotated[
                    float, Between(*DEFAULTS["noise_w"]), Doc("how much its durations vary")
                ],
            }
        ),
        FROZEN,
        Doc("the model's own settings, where a request names none"),
    ]
    licence: Annotated[str, Line(2_000), Doc("of the weights")]
    provenance: Provenance
    display_name: Annotated[str, Line(512), Doc("a name for people")] = ""
    tags: Annotated[
        tuple[Tag, ...], Length(0, names.MAX_TAGS), Doc("what voices are listed and found by")
    ] = ()
    gender: Annotated[
        str,
        Form(f"(?:{names.TAG.pattern})?", f"it is not one: {names.TAG_RULE}"),
        Doc("as a tag has it; empty if nothing is said"),
    ] = ""
    languages: Annotated[
        Annotated[tuple[Language, ...], Length(1, 64)] | None,
        Absent(),
        Doc("all that it speaks, if that is more than its language, which is one of them"),
    ] = None
    controls: Annotated[
        Annotated[
            tuple[
                Annotated[str, Form("|".join(CONTROLS), f"use some of {', '.join(CONTROLS)}")],
                ...,
            ],
            Length(0, len(CONTROLS)),
        ]
        | None,
        Absent(),
        Doc("what a request may change of its delivery; older manifests leave it to the family"),
    ] = None
    emotions: Annotated[
        Annotated[tuple[Annotated[str, Line(64, 1)], ...], Length(1, 64)] | None,
        Absent(),
        Doc("the names of those that it can mix, if there are any"),
    ] = None

    fabricated: Annotated[
        Literal[True] | None,
        Absent(),
        Doc("its weights are random numbers: for tests and benches, and not to be served"),
    ] = None
    delivery: Annotated[
        PresetDelivery | None,
        Absent(),
        Doc("of a preset: how its lines are delivered where a request says nothing else"),
    ] = None

    def described(self) -> dict[str, Any]:
        """These fields by name, for another class that has them."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(VoiceDescription)}


@record(may_lack={"tags", "gender", "languages", "controls", "emotions", "fabricated", "delivery"})
@dataclass(frozen=True, kw_only=True)
class Manifest(VoiceDescription):
    """One immutable version of a voice."""

    version: Annotated[VersionNumber, Doc("the number of the version")]
    components: Annotated[
        tuple[Component, ...], Length(0, 16), Doc("its parts, each with a role of its own")
    ]
    schema_version: Annotated[
        int, Between(SCHEMA_VERSION, SCHEMA_VERSION), Doc("of this form of a manifest")
    ] = SCHEMA_VERSION

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
    def spoken_languages(self) -> tuple[str, ...]:
        """All that it speaks."""
        return self.languages or (self.language,)

    @property
    def size_bytes(self) -> int:
        """Bytes of all components together."""
        return sum(component.size_bytes for component in self.components)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of its canonical form, in hexadecimal digits. Computed when first asked for."""
        return hashlib.sha256(self.to_json()).hexdigest()

    @cached_property
    def kind(self) -> str:
        """Engine and config: equal for voices that cost alike. Computed when first asked for."""
        return json.dumps([self.engine, self.engine_config], sort_keys=True, default=dict)

    def to_json(self) -> bytes:
        """The canonical JSON form."""
        return canonical_json(self)

    @classmethod
    def from_json(cls, data: bytes, *, where: str) -> Manifest:
        """Read a manifest and check all of it; ``where`` names it in errors.

        Raises `ManifestError` with every fault: of fields first, and if they are right of what they
        say of each other.
        """
        manifest = MANIFEST.read(data, where=where)
        if faults := tuple(misfits(manifest)):
            raise MANIFEST.error(faults, where=where)
        return manifest

    def faults(self) -> tuple[FieldViolation, ...]:
        """What is wrong with it, however it was made. Pure; takes about 0.1 ms for a usual one."""
        return MANIFEST.faults(self) or tuple(misfits(self))

    def check(self, *, where: str) -> None:
        """Raise `ManifestError` with every fault; ``where`` names it."""
        if faults := self.faults():
            raise MANIFEST.error(faults, where=where)


MANIFEST: Final = Record(
    Manifest,
    limit_bytes=MAX_MANIFEST_BYTES,
    most_entries=MAX_LIST_ENTRIES,
    schema_version=SCHEMA_VERSION,
    remedy="Import the voice again, or publish a version in which that is right",
)
