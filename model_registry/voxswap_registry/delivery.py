"""How a preset speaks: a voice's own parts, and what its lines are without being asked.

A preset is a version like any other, whose components are those of its base. What else one may
bring of its own, such as words that it says in its own way, belongs beside this.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

from voxswap_registry.controls import CONTROLS
from voxswap_registry.emotions import EMOTIONS, meaning, offered_as
from voxswap_registry.errors import FieldViolation
from voxswap_registry.fields import FROZEN, Absent, Between, Doc, Entries, Length, Line
from voxswap_registry.records import record, shown

MAX_INTENSITY: Final = 2.0
MAX_STYLE_PROMPT_CHARACTERS: Final = 500
MAX_EMOTIONS: Final = 16
_ROUNDING: Final = 1e-6
_MOST_TOLD: Final = 8  # names of what a voice has


@record(may_lack={"emotions", "intensity", "controls", "style_prompt", "fallback"})
@dataclass(frozen=True, slots=True)
class PresetDelivery:
    """What a request to a preset has that says nothing of it; what it says of numbers is on top."""

    emotions: Annotated[
        Mapping[Annotated[str, Line(64, 1)], Annotated[float, Between(0.0, 1.0)]],
        Length(0, MAX_EMOTIONS),
        FROZEN,
        Doc("the share of each emotion; what is left of 1 is neutral"),
    ] = field(default_factory=dict)
    intensity: Annotated[
        float, Between(0.0, MAX_INTENSITY), Doc("of the mixture: 1 is as the voice was trained")
    ] = 1.0
    controls: Annotated[
        Mapping[str, float],
        Entries(
            {
                name: Annotated[float, Between(control.least, control.most)]
                for name, control in CONTROLS.items()
            }
        ),
        FROZEN,
        Doc("numbers of its delivery, which a request's are relative to"),
    ] = field(default_factory=dict)
    style_prompt: Annotated[
        str, Line(MAX_STYLE_PROMPT_CHARACTERS), Doc("a style in words, where the voice takes them")
    ] = ""
    fallback: Annotated[
        Literal["prosody"] | None,
        Absent(),
        Doc("rate, pitch and volume speak emotions that the voice does not list"),
    ] = None


def delivery_faults(
    delivery: PresetDelivery, offered: Collection[str], *, takes_style_prompts: bool
) -> Iterator[FieldViolation]:
    """What a voice with the emotions ``offered`` could not deliver. Its fields are each right."""
    if math.fsum(delivery.emotions.values()) > 1 + _ROUNDING:
        told = "have shares that sum to more than 1; the rest is neutral"
        yield FieldViolation("delivery.emotions", told)
    for name in delivery.emotions:
        if offered_as(name, offered) is None and not (delivery.fallback and is_prosody(name)):
            told = f"have {shown(name)}, which it does not have; it has {told_of(offered)}"
            if not delivery.fallback and is_prosody(name):
                told += "; or add the fallback prosody"
            yield FieldViolation("delivery.emotions", told)
            return
    if delivery.style_prompt and not takes_style_prompts:
        told = "is set, and its engine takes no style in words; leave it out"
        yield FieldViolation("delivery.style_prompt", told)


def is_prosody(name: str) -> bool:
    """Whether rate, pitch, volume and pauses can speak it."""
    return meaning(name) in EMOTIONS


def told_of(names: Collection[str]) -> str:
    """Names for an error, the first of many."""
    first = sorted(names)[:_MOST_TOLD]
    return ", ".join(first) + (" …" if len(names) > _MOST_TOLD else "") if first else "none"
