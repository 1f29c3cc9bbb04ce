"""A vocoder's config.yaml: what voxswap computes of what it may ask for, and its architecture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from voxswap_families.sambert.vocoder_architecture import GeneratorArchitecture
from voxswap_registry.errors import ImportSourceError

# KAN-TTS's own defaults, where a configuration leaves one out.
_DEFAULTS: Final[Mapping[str, Any]] = {
    "in_channels": 80,
    "channels": 512,
    "kernel_size": 7,
    "upsample_scales": (8, 8, 2, 2),
    "upsample_kernal_sizes": (16, 16, 4, 4),
    "resblock_kernel_sizes": (3, 7, 11),
    "resblock_dilations": ((1, 3, 5), (1, 3, 5), (1, 3, 5)),
    "causal": True,
}
# What a configuration may say and voxswap computes in one way alone.
_FIXED: Final[Mapping[str, Any]] = {
    "out_channels": 1,
    "repeat_upsample": True,
    "bias": True,
    "nonlinear_activation": "LeakyReLU",
    "nonlinear_activation_params": {"negative_slope": 0.1},
}
_NAMES: Final[Mapping[str, str]] = {
    "in_channels": "mels",
    "channels": "channels",
    "kernel_size": "kernel",
    "upsample_scales": "rates",
    "upsample_kernal_sizes": "kernels",
    "resblock_kernel_sizes": "resblock_kernels",
    "resblock_dilations": "resblock_dilations",
    "causal": "causal",
}
_REMEDY: Final = "the file must be the one that the vocoder was trained with"


def generator_architecture(
    params: Mapping[str, Any], *, where: str, sample_rate_hertz: int
) -> GeneratorArchitecture:
    """The architecture that ``Model.Generator.params`` describe, for audio of that rate.

    ``where`` names them in errors. Raises `ImportSourceError` for what voxswap does not compute.
    """
    known = {*_DEFAULTS, *_FIXED, "use_weight_norm", "nsf_params"}
    if unknown := sorted(str(key) for key in params.keys() - known):
        raise ImportSourceError(
            f"{where}: {unknown[0]!r:.60} is no parameter of KAN-TTS's generator; {_REMEDY}"
        )
    for key, value in _FIXED.items():
        if params.get(key, value) != value:
            raise ImportSourceError(
                f"{where}: {key!r} is {str(params[key])[:60]}, and voxswap computes {value} alone; "
                "choose a vocoder of another kind"
            )
    config = {ours: params.get(theirs, _DEFAULTS[theirs]) for theirs, ours in _NAMES.items()}
    harmonics = _harmonics(params.get("nsf_params"), where, sample_rate_hertz)
    try:
        return GeneratorArchitecture.read(
            {**config, "harmonics": harmonics, "sample_rate_hertz": sample_rate_hertz}
        )
    except ValueError as error:
        raise ImportSourceError(f"{where}: {error}; {_REMEDY}") from error


def _harmonics(nsf: object, where: str, sample_rate_hertz: int) -> int:
    """Sines of the source: the fundamental and its harmonics; 0 without a source."""
    if nsf is None:
        return 0
    if not isinstance(nsf, Mapping):
        raise ImportSourceError(f"{where}: 'nsf_params' must be an object; {_REMEDY}")
    rate, harmonics = nsf.get("sampling_rate"), nsf.get("nb_harmonics")
    if rate != sample_rate_hertz:
        raise ImportSourceError(
            f"{where}: 'nsf_params' have the sampling_rate {str(rate)[:20]}, and the audio of the "
            f"vocoder has {sample_rate_hertz}; {_REMEDY}"
        )
    if not isinstance(harmonics, int) or isinstance(harmonics, bool) or harmonics < 0:
        raise ImportSourceError(
            f"{where}: 'nb_harmonics' is {str(harmonics)[:20]}, which is no whole number; {_REMEDY}"
        )
    return harmonics + 1
