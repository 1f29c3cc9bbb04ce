"""Presets: voices that are another one's parts with a delivery of their own."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC

from voxswap_registry.clock import Clock
from voxswap_registry.controls import CONTROLS
from voxswap_registry.delivery import (
    MAX_EMOTIONS,
    MAX_INTENSITY,
    MAX_STYLE_PROMPT_CHARACTERS,
    PresetDelivery,
    is_prosody,
    told_of,
)
from voxswap_registry.draft import DraftComponent, VoiceDraft
from voxswap_registry.emotions import EMOTIONS, offered_as
from voxswap_registry.errors import FieldViolation, InvalidInputError
from voxswap_registry.families import controls_of, rules_of, style_prompts_of
from voxswap_registry.fields import is_line
from voxswap_registry.manifest import Manifest, Provenance
from voxswap_registry.names import check_voice_id


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedPreset:
    """What a preset shall say otherwise than its base; None and empty: as that does.

    Emotions or a style in words take the place of both; each control, of the base's same one. A
    name for people it has only if one is given.
    """

    emotions: Mapping[str, float] | None = None
    intensity: float | None = None
    controls: Mapping[str, float] = field(default_factory=dict)
    style_prompt: str | None = None
    display_name: str = ""
    tags: tuple[str, ...] | None = None
    gender: str | None = None

    @property
    def says_nothing(self) -> bool:
        """Whether a line would be delivered as the base delivers it."""
        said = (self.emotions, self.intensity, self.style_prompt)
        return not self.controls and all(each is None for each in said)


def preset(
    base: Manifest, voice_id: str, asked: AskedPreset, *, tool: str, clock: Clock
) -> VoiceDraft:
    """A draft of ``voice_id``, whose parts are those of ``base``. Of a preset, its base's as well.

    Raises `InvalidInputError` with all that ``base`` cannot do, field by field, and with the list
    of what it can.
    """
    check_voice_id(voice_id)
    if faults := list(_faults(base, asked)):
        raise InvalidInputError(faults)
    before = base.delivery or PresetDelivery()
    offered = base.emotions or ()
    if asked.emotions is not None or asked.style_prompt is not None:
        before = dataclasses.replace(before, emotions={}, intensity=1.0, style_prompt="")
    emotions = before.emotions
    if asked.emotions is not None:
        emotions = {offered_as(name, offered) or name: s for name, s in asked.emotions.items()}
    controls = {**before.controls, **asked.controls}
    lacks = any(offered_as(name, offered) is None for name in emotions)
    delivery = PresetDelivery(
        emotions=emotions,
        intensity=before.intensity if asked.intensity is None else asked.intensity,
        controls={n: value for n, value in controls.items() if value != CONTROLS[n].neutral},
        style_prompt=asked.style_prompt or before.style_prompt,
        fallback="prosody" if lacks else None,
    )
    created = clock().astimezone(UTC).replace(microsecond=0, tzinfo=None)
    draft = VoiceDraft.of(base, tuple(map(DraftComponent.stored, base.components)))
    return dataclasses.replace(
        draft,
        voice_id=voice_id,
        delivery=delivery,
        display_name=asked.display_name,
        tags=base.tags if asked.tags is None else asked.tags,
        gender=base.gender if asked.gender is None else asked.gender,
        provenance=Provenance(
            source=f"preset of {base.ref}",
            source_digests={},
            tool=tool,
            created=f"{created.isoformat()}Z",
            note=base.provenance.note,
            code_licence=base.provenance.code_licence,
        ),
    )


def _faults(base: Manifest, asked: AskedPreset) -> Iterator[FieldViolation]:
    if asked.says_nothing:
        yield FieldViolation("delivery", f"says nothing that {base.ref} does not; say something")
    yield from _emotion_faults(base, asked.emotions or {})
    if asked.intensity is not None and not 0 <= asked.intensity <= MAX_INTENSITY:
        yield FieldViolation("intensity", f"is {asked.intensity}; use 0 to {MAX_INTENSITY:g}")
    controls = controls_of(base)
    for name, value in asked.controls.items():
        control = CONTROLS.get(name)
        if control is None or name not in controls:
            told = f"is none that {base.ref} has; it has {told_of(controls)}"
            yield FieldViolation(f"controls.{name[:64]}", told)
        elif not control.least <= value <= control.most:
            told = f"is {value}; use {control.least:g} to {control.most:g}"
            yield FieldViolation(f"controls.{name}", told)
    prompt = asked.style_prompt
    if prompt is None:
        return
    rules = rules_of(base.engine)
    if rules is None or not style_prompts_of(rules):
        told = f"is set, and {base.ref} takes no style in words"
        yield FieldViolation("style_prompt", told)
    elif not is_line(prompt, MAX_STYLE_PROMPT_CHARACTERS) or not any(map(str.isalpha, prompt)):
        told = f"must be one line of up to {MAX_STYLE_PROMPT_CHARACTERS} characters, with a letter"
        yield FieldViolation("style_prompt", told)


def _emotion_faults(base: Manifest, emotions: Mapping[str, float]) -> Iterator[FieldViolation]:
    offered = base.emotions or ()
    if len(emotions) > MAX_EMOTIONS:
        told = f"names {len(emotions)} emotions; {MAX_EMOTIONS} at most are mixed"
        yield FieldViolation("emotion", told)
        return
    for name, share in emotions.items():
        if offered_as(name, offered) is None and not is_prosody(name):
            told = (
                f"has {name[:64]!r}, which is none that {base.ref} has; it has "
                f"{told_of(offered)}, and rate and pitch can speak {', '.join(EMOTIONS)}"
            )
            yield FieldViolation("emotion", told)
        if not 0 <= share <= 1:
            yield FieldViolation("emotion", f"has {name[:64]!r} with {share}; use 0 to 1")
    # Endless ones are refused above, and have no sum.
    if math.fsum(filter(math.isfinite, emotions.values())) > 1 + 1e-6:
        yield FieldViolation("emotion", "has shares that sum to more than 1; the rest is neutral")
    known = [offered_as(name, offered) or name for name in emotions]
    if len(set(known)) < len(known):
        yield FieldViolation("emotion", "names one twice; name each once")
