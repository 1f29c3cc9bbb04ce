"""What the fields of a manifest say of each other: whoever writes, takes, lists or loads one asks.

Each field by itself is as its type says, see `manifest`. What passes both can be told in a message,
shown on a terminal, and computed with: every number that reaches arithmetic or the size of a buffer
is bounded, and every name that reaches a library has the form of a name. Bytes are not looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from voxswap_registry.delivery import delivery_faults
from voxswap_registry.errors import FieldViolation
from voxswap_registry.families import (
    Rules,
    forms_of,
    optional_roles_of,
    rules_of,
    style_prompts_of,
)
from voxswap_registry.rates import LEAST_FRAMES_PER_S, MOST_FRAMES_PER_S
from voxswap_registry.records import shown

if TYPE_CHECKING:
    from voxswap_registry.manifest import Manifest

# Which options a front-end takes, and which alphabets it can write.
_OPTIONS: Final = {
    "espeak": ("voice", "alphabet"),
    "misaki": ("british",),
    "characters": ("lowercase",),
    "mandarin": ("alphabet",),
    "emotivoice": (),
}
_ALPHABETS: Final = {"espeak": ("misaki",), "mandarin": ("kantts", "misaki")}

_Faults = Iterator[FieldViolation]


def misfits(manifest: Manifest) -> _Faults:
    """What does not fit together in a manifest whose fields are each as they must be.

    Of many alike, the first. Pure.
    """
    yield from _components(manifest)
    yield from _hop(manifest)
    if manifest.language not in manifest.spoken_languages:
        yield FieldViolation(
            "languages", f"lack {manifest.language}, which is its language; add it"
        )
    yield from _front_end(manifest)
    if (rules := rules_of(manifest.engine)) is not None:
        # Of an engine that is not here, a manifest is listed, and refused by the loader.
        yield from _roles(manifest, rules)
        yield from _offers(manifest, "controls", manifest.controls, rules.controls)
        yield from _offers(manifest, "emotions", manifest.emotions, rules.emotions)
        if manifest.delivery is not None:
            yield from delivery_faults(
                manifest.delivery,
                manifest.emotions or (),
                takes_style_prompts=style_prompts_of(rules),
            )
        yield from rules.faults(manifest)


def _front_end(manifest: Manifest) -> _Faults:
    """A front-end has options of its own."""
    kind, options = manifest.front_end.kind, manifest.front_end.options
    taken = _OPTIONS[kind]
    for name in sorted(options.keys() - set(taken)):
        yield FieldViolation(
            f"front_end.options.{name}",
            f"is not known; {kind} takes {' and '.join(taken) or 'none'}",
        )
    alphabets = _ALPHABETS.get(kind, ())
    if alphabets and options.get("alphabet", alphabets[0]) not in alphabets:
        yield FieldViolation(
            "front_end.options.alphabet",
            f"is {shown(options['alphabet'])}; {kind} writes {' or '.join(alphabets)}",
        )


def _components(manifest: Manifest) -> _Faults:
    found = {component.role for component in manifest.components}
    if len(found) < len(manifest.components):
        yield FieldViolation(
            "components", "has two components with the same role; each has its own"
        )
    rules = rules_of(manifest.engine)
    limits: Mapping[str, int] = {} if rules is None else rules.role_limits
    for place, component in enumerate(manifest.components):
        limit = limits.get(component.role)
        if limit is not None and component.size_bytes > limit:
            yield FieldViolation(
                f"components[{place}].size_bytes",
                f"is {component.size_bytes}; a {component.role} of the engine {manifest.engine} "
                f"has 1 to {limit}",
            )
        if (
            component.form is not None
            and rules is not None
            and component.form not in forms_of(rules, component.role)
        ):
            yield FieldViolation(
                f"components[{place}].form",
                f"is {shown(component.form)}, which is not known here of a {component.role} of the "
                f"engine {manifest.engine}; update voxswap to the one that wrote it, or import the "
                "voice again",
            )


def _hop(manifest: Manifest) -> _Faults:
    rate, hop = manifest.audio.sample_rate_hertz, manifest.audio.hop_length_samples
    least, most = -(-rate // MOST_FRAMES_PER_S), rate // LEAST_FRAMES_PER_S
    if not least <= hop <= most:
        yield FieldViolation(
            "audio.hop_length_samples",
            f"is {hop}; at {rate} Hz use {least} to {most}, which is half a millisecond to a tenth "
            "of a second",
        )


def _roles(manifest: Manifest, rules: Rules) -> _Faults:
    """An engine's voice has the parts that it computes with: no other, and each that it must."""
    found = {component.role for component in manifest.components}
    roles, optional = set(rules.role_limits), set(optional_roles_of(rules))
    if not roles - optional <= found <= roles:
        may_have = f", and may have {', '.join(sorted(optional))}" if optional else ""
        yield FieldViolation(
            "components",
            f"have the roles {', '.join(sorted(found))[:200] or 'none'}; a voice of the engine "
            f"{manifest.engine} has {', '.join(sorted(roles - optional))}{may_have}",
        )


def _offers(
    manifest: Manifest, field: str, offered: Collection[str] | None, had: Collection[str]
) -> _Faults:
    """A voice offers nothing that its family could not carry out."""
    for name in offered or ():
        if name not in had:
            yield FieldViolation(
                field,
                f"have {name}; a voice of the engine {manifest.engine} has "
                f"{', '.join(sorted(had)) or 'none'}",
            )
            return
