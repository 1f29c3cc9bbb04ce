"""What a preset's delivery makes of a request. Pure.

What a request says of emotions and style goes before the preset's. Its numbers are on top of the
preset's, for a preset's own rate and pitch are what neutral is to whoever asks for it: a client
that moves a slider away from neutral and back hears no jump.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from voxswap_registry.controls import CONTROLS, RATE
from voxswap_registry.delivery import PresetDelivery
from voxswap_registry.manifest import Manifest
from voxswap_server.speech.prosody_table import FACTORS
from voxswap_server.speech.request import EmotionFallback, SpeechRequest


def as_preset(request: SpeechRequest, manifest: Manifest) -> SpeechRequest:
    """``request`` with what the voice's preset adds; itself where the voice is none.

    To be asked before the operator's fallback is filled in, which the preset's goes before.
    """
    delivery = manifest.delivery
    if delivery is None:
        return request
    asked = dataclasses.replace(
        request,
        rate=_on_top(RATE.name, request.rate, delivery.controls.get(RATE.name)),
        controls=_controls(request.controls, delivery.controls),
        fallback=request.fallback or _fallback(delivery),
    )
    if _has_own_style(request):
        return asked
    # With no mixture of its own, a request's intensity is of the preset's.
    intensity = delivery.intensity if request.intensity == 1.0 else request.intensity
    amounts = {name: share * intensity for name, share in delivery.emotions.items()}
    return dataclasses.replace(
        asked,
        emotions={name: amount for name, amount in amounts.items() if amount},
        style_prompt=delivery.style_prompt,
    )


def _has_own_style(request: SpeechRequest) -> bool:
    return bool(
        request.emotions
        or request.affect is not None
        or request.from_text
        or request.style
        or request.style_prompt
    )


def _fallback(delivery: PresetDelivery) -> EmotionFallback | None:
    return None if delivery.fallback is None else EmotionFallback(delivery.fallback)


def _controls(asked: Mapping[str, float], own: Mapping[str, float]) -> dict[str, float]:
    """All but the rate."""
    found = dict(asked)
    for name, value in own.items():
        if name != RATE.name:
            found[name] = _on_top(name, asked.get(name), value)
    return {name: value for name, value in found.items() if value != CONTROLS[name].neutral}


def _on_top(name: str, asked: float | None, own: float | None) -> float:
    """A preset's own value, and what is asked for on top of it; within the bounds of all."""
    control = CONTROLS[name]
    if own is None or asked is None or control.neutral is None:
        # What has no neutral value is no change of anything.
        value = asked if asked is not None else own
        assert value is not None  # noqa: S101 - one of the two says something
        return value
    value = own * asked if name in FACTORS else own + asked
    return min(max(value, control.least), control.most)
