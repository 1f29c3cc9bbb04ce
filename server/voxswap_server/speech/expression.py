"""From what a request says of an emotion to what a voice is given for it. Pure.

An emotion is spoken in one of two ways. ``NATIVE``: the voice lists it, and its model speaks it.
``PROSODY``: the voice does not, and rate, pitch, volume and pauses stand in, if whoever asks or the
operator said so. Nothing is taken in another's place unsaid: the header says which, and what.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping

from voxswap_registry.controls import CONTROLS, RATE
from voxswap_registry.emotions import AFFECT, meaning, mixture_of, offered_as
from voxswap_registry.errors import FieldViolation
from voxswap_registry.families import controls_of
from voxswap_registry.manifest import Manifest
from voxswap_server.speech.prosody_table import FACTORS, PARTS, PROSODY
from voxswap_server.speech.request import EmotionFallback, Expression, SpeechRequest
from voxswap_server.text.feelings.reading import felt_in, readable

_MOST_TOLD = 8  # names of what it has


def best_of(manifest: Manifest) -> Expression:
    """The best that a voice can do for an emotion."""
    return Expression.NATIVE if manifest.emotions else Expression.PROSODY


def faults(request: SpeechRequest, manifest: Manifest) -> Iterator[FieldViolation]:
    """What is asked for that this voice cannot speak, not even by the request's fallback."""
    if request.if_it_can:
        return
    offered = manifest.emotions or ()
    falls_back = request.fallback is EmotionFallback.PROSODY
    if request.from_text:
        yield from _unreadable(manifest)
        if not (offered or falls_back):
            yield FieldViolation("emotion.from_text", f"is set, and {_lacks_all(manifest)}")
    if request.affect is not None and not falls_back:
        if not offered:
            yield FieldViolation("emotion.valence", f"is set, and {_lacks_all(manifest)}")
        elif any(request.affect) and not _by_affect(request, offered):
            yield FieldViolation(
                "emotion.valence",
                f"and arousal are near no emotion of {manifest.ref}; it has {told_of(offered)}",
            )
    lacked = [name for name in request.emotions if offered_as(name, offered) is None]
    for name in lacked:
        if not falls_back or meaning(name) not in PROSODY:
            yield _lacking(name, manifest, falls_back=falls_back)


def settled(request: SpeechRequest, manifest: Manifest, text: str | None = None) -> SpeechRequest:
    """The request as this voice speaks it; it has no `faults`.

    Its emotions are those that the model is given, its rate and controls what is computed with, and
    ``expression`` and ``spoken`` what the header says. One whose emotion is read off the text stays
    as it is without a ``text``: each segment of it is settled when it is read.
    """
    if request.from_text and text is None:
        return request
    asked = dataclasses.replace(
        request, affect=None, from_text=False, intensity=1.0, fallback=None, emotions={}
    )
    asked = dataclasses.replace(asked, if_it_can=False)
    if not _feels(request):
        return asked
    offered = manifest.emotions or ()
    falls_back = request.fallback is EmotionFallback.PROSODY
    amounts = _amounts(request, manifest, text or "")
    native = {offered_as(name, offered): amount for name, amount in amounts.items()}
    if not amounts:
        return asked
    if None not in native:
        emotions = {name: native[name] for name in native if name is not None}
        return dataclasses.replace(
            asked, emotions=emotions, expression=Expression.NATIVE, spoken=emotions
        )
    assert falls_back  # noqa: S101 - else there were faults
    spoken = {meaning(name): amount for name, amount in amounts.items()}
    rate, controls = _by_prosody(spoken, asked, _carried(manifest))
    return dataclasses.replace(
        asked, rate=rate, controls=controls, expression=Expression.PROSODY, spoken=spoken
    )


def told_of(names: Collection[str], otherwise: str = "none") -> str:
    """Names for an error, the first of many."""
    first = sorted(names)[:_MOST_TOLD]
    return ", ".join(first) + (" …" if len(names) > _MOST_TOLD else "") if first else otherwise


def _feels(request: SpeechRequest) -> bool:
    return bool(request.emotions or request.affect or request.from_text)


def _carried(manifest: Manifest) -> Collection[str]:
    """Those of PROSODY's controls that are carried out for the voice: all, but for rate of some."""
    return {*controls_of(manifest)}.intersection(PARTS)


def _amounts(request: SpeechRequest, manifest: Manifest, text: str) -> Mapping[str, float]:
    """How much there is of each emotion, by the names of whoever asked, or of the vocabulary."""
    if request.affect is None and not request.from_text:
        return request.emotions
    offered = manifest.emotions or ()
    falls_back = request.fallback is EmotionFallback.PROSODY
    if request.affect is not None:
        # By the model where that can, by the fallback where it cannot.
        shares = _by_affect(request, offered)
        if not shares and falls_back:
            shares = mixture_of(*request.affect, AFFECT)
    else:
        shares = felt_in(text, manifest.spoken_languages)
        if not falls_back:
            shares = {n: share for n, share in shares.items() if offered_as(n, offered)}
    amounts = {name: share * request.intensity for name, share in shares.items()}
    return {name: amount for name, amount in amounts.items() if amount}


def _by_affect(request: SpeechRequest, offered: Collection[str]) -> dict[str, float]:
    assert request.affect is not None  # noqa: S101 - whoever asks has looked
    return mixture_of(*request.affect, {meaning(name) for name in offered})


def _by_prosody(
    amounts: Mapping[str, float], request: SpeechRequest, carried: Collection[str]
) -> tuple[float, dict[str, float]]:
    """Rate and controls, what was asked for among them; within the bounds that anybody has."""
    values = {**request.controls, RATE.name: request.rate}
    for name in carried:
        control = CONTROLS[name]
        assert control.neutral is not None  # noqa: S101 - of each in the table
        value = values.get(name, control.neutral)
        for emotion, amount in sorted(amounts.items()):
            step = PROSODY[emotion][name]
            value = value * step**amount if name in FACTORS else value + step * amount
        values[name] = min(max(value, control.least), control.most)
    rate = values.pop(RATE.name)
    return rate, {n: v for n, v in values.items() if v != CONTROLS[n].neutral}


def _unreadable(manifest: Manifest) -> Iterator[FieldViolation]:
    languages = manifest.spoken_languages
    if not readable(languages):
        yield FieldViolation(
            "emotion.from_text",
            f"is set, and no emotion is read off a text in {told_of(languages)} here; there are "
            f"{told_of(readable())}: name the emotion",
        )


def _lacks_all(manifest: Manifest) -> str:
    return f"{manifest.ref} has no emotion; set emotion.fallback to PROSODY, or leave it out"


def _lacking(name: str, manifest: Manifest, *, falls_back: bool) -> FieldViolation:
    told = (
        f"has {name!r}, which is none that {manifest.ref} has; it has "
        f"{told_of(manifest.emotions or ())}"
    )
    if falls_back:
        told += f", and PROSODY has {told_of(PROSODY)}"
    elif meaning(name) in PROSODY:
        told += "; or set emotion.fallback to PROSODY, which says it by rate, pitch and volume"
    return FieldViolation("emotion.mixture", told)
