"""What a voice offers to those who ask for it: each asks for what it has, or hears what that is."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from voxswap_registry.errors import FieldViolation, InvalidInputError
from voxswap_registry.families import controls_of, rules_of, style_prompts_of, style_size_of
from voxswap_registry.manifest import Manifest
from voxswap_server.speech.request import SpeechRequest

_MOST_TOLD = 8  # names of what it has
_NAMES = {"en": "English", "zh": "Mandarin"}


def check_offered(request: SpeechRequest, manifest: Manifest) -> None:
    """Raise `InvalidInputError` for what the voice has not: a speaker, a control, an emotion."""
    if faults := list(_faults(request, manifest)):
        raise InvalidInputError(faults)


def nothing_to_speak(manifest: Manifest) -> InvalidInputError:
    """The error of a text of which the voice can say nothing: it tells what the voice reads."""
    tags = sorted(manifest.spoken_languages)
    names = [f"{_NAMES[tag[:2]]} ({tag})" if tag[:2] in _NAMES else tag for tag in tags]
    return InvalidInputError.one(
        "text",
        f"has nothing that this voice can speak; it reads {_told(names, 'no language')}: send "
        "words in that",
    )


def _faults(request: SpeechRequest, manifest: Manifest) -> Iterator[FieldViolation]:
    if request.speaker is not None and request.speaker not in manifest.speakers:
        had = _told(manifest.speakers, "one speaker only; leave the field out")
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
                    f"is none that {manifest.ref} has; it has {_told(controls, 'none')}, so leave "
                    "this one unset",
                )
    emotions = manifest.emotions or ()
    for name in request.emotions:
        if name not in emotions:
            yield FieldViolation(
                "emotion.mixture",
                f"has {name!r}, which is none that {manifest.ref} has; it has "
                f"{_told(emotions, 'none')}",
            )
    rules = rules_of(manifest.engine)
    if request.style_prompt and not (rules and style_prompts_of(rules)):
        yield FieldViolation("style_prompt", f"is none that {manifest.ref} takes; leave it unset")
    if request.style and not (rules and style_size_of(rules)):
        yield FieldViolation("style", f"is none that {manifest.ref} takes; leave it unset")


def _told(names: Collection[str], otherwise: str) -> str:
    first = sorted(names)[:_MOST_TOLD]
    return ", ".join(first) + (" …" if len(names) > _MOST_TOLD else "") if first else otherwise
