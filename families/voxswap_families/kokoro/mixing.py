"""Mixes Kokoro voices: styles are vectors, and a weighted sum of them is a voice in between."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

from voxswap_families.importing.request import tool_name
from voxswap_families.kokoro import format as kokoro
from voxswap_registry.clock import Clock, utc_now
from voxswap_registry.draft import DraftComponent, VoiceDraft
from voxswap_registry.errors import EngineError, FieldViolation, InvalidInputError
from voxswap_registry.manifest import Component, Manifest, Provenance
from voxswap_registry.names import VoiceRef, check_voice_id
from voxswap_registry.os_errors import as_registry_errors
from voxswap_registry.store import Registry

if TYPE_CHECKING:
    from voxswap_families.kokoro.format import Style

MOST_VOICES = 8
_TOLERANCE = 1e-3  # of the sum of weights: three thirds may be written 0.333


@dataclass(frozen=True, slots=True)
class Share:
    """A voice in a mix, and its weight in it, from 0 to 1."""

    ref: VoiceRef
    weight: float


def mix(
    registry: Registry,
    voice_id: str,
    shares: Sequence[Share],
    *,
    workdir: Path,
    clock: Clock = utc_now,
) -> VoiceDraft:
    """The voice of which ``shares`` are the parts, ready to be published in ``registry``.

    Its base and symbols are theirs, by digest; its style is the weighted sum of theirs, with the
    weights scaled to a sum of exactly 1. What is said of a voice beside that comes from the one
    with the greatest weight. The order of ``shares`` makes no difference to the style.

    Blocks on the store. Raises `InvalidInputError` naming the field for weights or voices that do
    not go together, `VoiceNotFoundError`, and `RegistryError`; `EngineError` for a damaged style.
    """
    check_voice_id(voice_id)
    _check_shares(shares)
    manifests = [registry.resolve(share.ref) for share in shares]
    _check_kindred(manifests)
    total = math.fsum(share.weight for share in shares)
    recipe = sorted(
        (
            (manifest, share.weight / total)
            for manifest, share in zip(manifests, shares, strict=True)
        ),
        key=lambda part: (-part[1], part[0].ref),
    )
    style = _sum(registry, recipe)
    path = workdir / "style.safetensors"
    with as_registry_errors("write", path):
        path.write_bytes(kokoro.style_to_bytes(style))
    main = recipe[0][0]
    written = ", ".join(f"{weight:.4g} {manifest.ref}" for manifest, weight in recipe)
    created = clock().astimezone(UTC).replace(microsecond=0, tzinfo=None)
    return dataclasses.replace(
        VoiceDraft.of(main, tuple(_component(part, path) for part in main.components)),
        voice_id=voice_id,
        licence="; ".join(dict.fromkeys(manifest.licence for manifest, _ in recipe)),
        provenance=Provenance(
            source=f"style vectors added up: {written}",
            source_digests={
                manifest.ref: manifest.component("style").digest for manifest, _ in recipe
            },
            tool=tool_name(),
            created=f"{created.isoformat()}Z",
            code_licence=main.provenance.code_licence,
        ),
        display_name="",
        tags=(),
        gender=main.gender if len({manifest.gender for manifest, _ in recipe}) == 1 else "",
    )


def _component(component: Component, style: Path) -> DraftComponent:
    if component.role == "style":
        return DraftComponent("style", style, component.media_type)
    return DraftComponent.stored(component)


def _check_shares(shares: Sequence[Share]) -> None:
    faults: list[FieldViolation] = []
    if not 2 <= len(shares) <= MOST_VOICES:
        faults.append(
            FieldViolation("of", f"names {len(shares)} voices; a mix has 2 to {MOST_VOICES}")
        )
    seen: set[str] = set()
    for place, share in enumerate(shares):
        if share.ref.voice_id in seen:
            faults.append(
                FieldViolation(
                    f"of[{place}]",
                    f"names {share.ref.voice_id} a second time; give it one weight",
                )
            )
        seen.add(share.ref.voice_id)
        if not 0 <= share.weight <= 1:  # NaN is not, either
            faults.append(
                FieldViolation(
                    f"of[{place}].weight", f"is {share.weight:g}; a weight is from 0 to 1"
                )
            )
    total = math.fsum(share.weight for share in shares)
    if not faults and abs(total - 1) > _TOLERANCE:
        faults.append(
            FieldViolation("of", f"has weights with the sum {total:.4g}; make it 1, within 0.001")
        )
    if faults:
        raise InvalidInputError(faults)


def _check_kindred(manifests: Sequence[Manifest]) -> None:
    """All must be styles of one base: the same numbers mean something else to another."""
    first = manifests[0]
    for place, manifest in enumerate(manifests):
        if manifest.engine != kokoro.ENGINE:
            raise InvalidInputError.one(
                f"of[{place}]",
                f"{manifest.ref} is a {manifest.engine} voice; only Kokoro voices can be mixed",
            )
        for role in ("base", "symbols"):
            if manifest.component(role).digest != first.component(role).digest:
                raise InvalidInputError.one(
                    f"of[{place}]",
                    f"{manifest.ref} does not share its {role} with {first.ref}; mix voices that "
                    "were imported from one model",
                )


def _sum(registry: Registry, recipe: Sequence[tuple[Manifest, float]]) -> Style:
    import numpy as np

    total = np.zeros(kokoro.STYLE_SHAPE, np.float64)
    for manifest, weight in recipe:
        total += weight * _style(registry, manifest)
    return total.astype(np.float32)


def _style(registry: Registry, manifest: Manifest) -> Style:
    component = manifest.component("style")
    if component.size_bytes > kokoro.MAX_STYLE_BYTES:
        raise EngineError(
            f"{manifest.ref}: its style has {component.size_bytes} bytes, more than the "
            f"{kokoro.MAX_STYLE_BYTES} of any; import it again"
        )
    try:
        with registry.components.hold(component) as file:
            return kokoro.style_from_bytes(file.read_bytes())
    except ValueError as error:
        raise EngineError(f"{manifest.ref}: its style {error}; import it again") from error
