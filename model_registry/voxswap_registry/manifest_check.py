"""What the fields of a manifest say of each other: whoever writes, takes, lists or loads one asks.

Each field by itself is as its type says, see `manifest`. What passes both can be told in a message,
shown on a terminal, and computed with: every number that reaches arithmetic or the size of a buffer
is bounded, and every name that reaches a library has the form of a name. Bytes are not looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from voxswap_registry import kokoro, vits
from voxswap_registry.errors import FieldViolation
from voxswap_registry.rates import LEAST_FRAMES_PER_S, MOST_FRAMES_PER_S
from voxswap_registry.records import shown
from voxswap_registry.vits import VitsArchitecture

if TYPE_CHECKING:
    from voxswap_registry.manifest import Manifest

MAX_TABLE_BYTES: Final = 4 << 20  # a thousand times the table of a Piper voice
# Which option a front-end takes.
_OPTIONS: Final = {"espeak": "voice", "misaki": "british", "characters": "lowercase"}

_Faults = Iterator[FieldViolation]


def misfits(manifest: Manifest) -> _Faults:
    """What does not fit together in a manifest whose fields are each as they must be.

    Of many alike, the first. Pure.
    """
    yield from _components(manifest)
    yield from _hop(manifest)
    kind, options = manifest.front_end.kind, manifest.front_end.options
    for name in options.keys() - {_OPTIONS[kind]}:
        yield _fault(f"front_end.options.{name}", f"is not known; {kind} takes {_OPTIONS[kind]}")
    if manifest.engine in _ENGINES:
        yield from _ENGINES[manifest.engine](manifest)


def _fault(field: str, description: str) -> FieldViolation:
    return FieldViolation(field, description)


def _components(manifest: Manifest) -> _Faults:
    found = {component.role for component in manifest.components}
    if len(found) < len(manifest.components):
        yield _fault("components", "has two components with the same role; each has its own")
    for place, component in enumerate(manifest.components):
        limit = _ROLE_LIMITS.get((manifest.engine, component.role))
        if limit is not None and component.size_bytes > limit:
            yield _fault(
                f"components[{place}].size_bytes",
                f"is {component.size_bytes}; a {component.role} of the engine {manifest.engine} "
                f"has 1 to {limit}",
            )


def _hop(manifest: Manifest) -> _Faults:
    rate, hop = manifest.audio.sample_rate_hertz, manifest.audio.hop_length_samples
    least, most = -(-rate // MOST_FRAMES_PER_S), rate // LEAST_FRAMES_PER_S
    if not least <= hop <= most:
        yield _fault(
            "audio.hop_length_samples",
            f"is {hop}; at {rate} Hz use {least} to {most}, which is half a millisecond to a tenth "
            "of a second",
        )


def _roles(manifest: Manifest, roles: Collection[str]) -> _Faults:
    """An engine's voice has the parts that it computes with: no other, and each of them."""
    found = {component.role for component in manifest.components}
    if found != roles:
        yield _fault(
            "components",
            f"have the roles {', '.join(sorted(found))[:200] or 'none'}; a voice of the engine "
            f"{manifest.engine} has {', '.join(sorted(roles))}",
        )


def _rows(manifest: Manifest, n_speakers: int) -> _Faults:
    """Rows of a table that has ``n_speakers``; of none, the one speaker may have a name."""
    for name, row in manifest.speakers.items():
        if not 0 <= row < max(1, n_speakers):
            yield _fault(
                "speakers",
                f"gives {shown(name)} the row {shown(row)}, and the engine has {n_speakers} rows",
            )
            return


def _vits(manifest: Manifest) -> _Faults:
    yield from _roles(manifest, vits.ROLES)
    try:
        architecture = VitsArchitecture.read(manifest.engine_config)
    except ValueError as error:
        yield _fault("engine_config", str(error))
        return
    if architecture.hop_length_samples != manifest.audio.hop_length_samples:
        yield _fault(
            "audio.hop_length_samples",
            f"is {manifest.audio.hop_length_samples}, and the upsample_rates of the engine_config "
            f"make {architecture.hop_length_samples}",
        )
    yield from _rows(manifest, architecture.n_speakers)


def _kokoro(manifest: Manifest) -> _Faults:
    yield from _roles(manifest, kokoro.ROLES)
    if manifest.engine_config:
        yield _fault("engine_config", "must be empty: all Kokoro voices are of one architecture")
    found = manifest.audio.sample_rate_hertz, manifest.audio.hop_length_samples
    if found != (kokoro.SAMPLE_RATE_HERTZ, kokoro.HOP_LENGTH_SAMPLES):
        yield _fault(
            "audio",
            f"must be {kokoro.HOP_LENGTH_SAMPLES} samples a frame at {kokoro.SAMPLE_RATE_HERTZ} "
            "Hz: a Kokoro voice has no other",
        )
    yield from _rows(manifest, 0)


# A manifest of another engine is listed by a server that lacks it, and refused by its loader.
_ENGINES: Final[Mapping[str, Callable[[Manifest], _Faults]]] = {
    vits.ENGINE: _vits,
    kokoro.ENGINE: _kokoro,
}
_ROLE_LIMITS: Final = {
    (vits.ENGINE, "model"): vits.MAX_MODEL_BYTES,
    (vits.ENGINE, "symbols"): MAX_TABLE_BYTES,
    (kokoro.ENGINE, "base"): kokoro.MAX_BASE_BYTES,
    (kokoro.ENGINE, "style"): kokoro.MAX_STYLE_BYTES,
    (kokoro.ENGINE, "symbols"): MAX_TABLE_BYTES,
}
