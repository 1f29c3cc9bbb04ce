"""What a voice offers to those who ask for it: each asks for what it has, or hears what that is."""

from __future__ import annotations

from collections.abc import Iterator

from voxswap_registry.errors import FieldViolation, InvalidInputError
from voxswap_registry.families import controls_of, rules_of, style_prompts_of, style_size_of
from voxswap_registry.manifest import Manifest
from voxswap_server.speech import expression
from voxswap_server.speech.expression import told_of
from voxswap_server.speech.request import SpeechRequest
from voxswap_server.speech.styles import style_faults

_NAMES = {"en": "English", "zh": "Mandarin"}


def check_offered(request: SpeechRequest, manifest: Manifest) -> None:
    """Raise `InvalidInputError` for what the voice has not: a speaker, a control, an emotion."""
    if faults := list(_faults(request, manifest)):
        raise InvalidInputError(faults)


def takes_style_prompts(manifest: Manifest) -> bool:
    """Whether a voice takes a style in words."""
    rules = rules_of(manifest.engine)
    return rules is not None and style_prompts_of(rules)


def reads_style(manifest: Manifest) -> bool:
    """Whether a voice has a style space, so that it takes what was read off a recording."""
    rules = rules_of(manifest.engine)
    return rules is not None and style_size_of(rules) > 0


def nothing_to_speak(manifest: Manifest) -> InvalidInputError:
    """The error of a text of which the voice can say nothing: it tells what the voice reads."""
    tags = sorted(manifest.spoken_languages)
    names = [f"{_NAMES[tag[:2]]} ({tag})" if tag[:2] in _NAMES else tag for tag in tags]
    return InvalidInputError.one(
        "text",
        f"has nothing that this voice can speak; it reads {told_of(names, 'no language')}: send "
        "words in that",
    )


def _faults(request: SpeechRequest, manifest: Manifest) -> Iterator[FieldViolation]:
    if request.speaker is not None and request.speaker not in manifest.speakers:
        had = told_of(manifest.speakers, "one speaker only; leave the field out")
        yield FieldViolation(
            "speaker", f"{manifest.ref} has no speaker {request.speaker[:64]!r}; it has {had}"
        )
    asked = list(request.controls) if request.rate == 1.0 else ["rate", *request.controls]
    if asked:
        controls = controls_of(manifest)
        for name in asked:
            if name not in controls:
                yield FieldViolation(
                    f"controls.{name}",
                    f"is none that {manifest.ref} has; it has {told_of(controls)}, so leave this "
                    "one unset",
                )
    yield from expression.faults(request, manifest)
    if request.style_prompt and not takes_style_prompts(manifest):
        told = f"{manifest.ref} takes no style in words; name an emotion, or leave it unset"
        yield FieldViolation("style_prompt", told)
    if request.style:
        yield from style_faults(request.style, manifest)
