"""Imports a Piper voice: an ``.onnx`` file and the ``.onnx.json`` beside it."""

from __future__ import annotations

from pathlib import Path

from voxswap_families.importing.request import (
    ImportRequest,
    check_symbols,
    find_licence,
    language_tag,
    no_style,
    table_json,
)
from voxswap_families.importing.source import (
    MAX_JSON_BYTES,
    MAX_WEIGHTS_BYTES,
    Fields,
    parse_json,
    read_source,
)
from voxswap_families.vits.architecture import VitsArchitecture
from voxswap_families.vits.checkpoint import canonical_tensors
from voxswap_families.vits.draft import make_draft
from voxswap_families.vits.piper_graph import VitsGraph, check_geometry
from voxswap_registry.controls import DEFAULTS
from voxswap_registry.draft import VoiceDraft
from voxswap_registry.errors import ImportSourceError
from voxswap_registry.fields import is_line
from voxswap_registry.manifest import (
    MAX_SPEAKER_CHARACTERS,
    FrontEndSpec,
    is_espeak_voice,
)
from voxswap_registry.rates import MAX_RATE_HERTZ, MIN_RATE_HERTZ

_LICENCE_LINE = r"^\W*licen[cs]e:?\W*[:\s]\s*(.+)$"


def import_piper(onnx_path: Path, request: ImportRequest) -> VoiceDraft:
    """Convert the voice in ``onnx_path``. Blocks for seconds; raises `ImportSourceError`."""
    no_style(request, onnx_path)
    config_file = read_source(
        onnx_path.with_name(f"{onnx_path.name}.json"),
        limit_bytes=MAX_JSON_BYTES,
        progress=request.progress,
    )
    config = parse_json(config_file)
    front_end = _front_end(config)
    weights = read_source(onnx_path, limit_bytes=MAX_WEIGHTS_BYTES, progress=request.progress)
    graph = VitsGraph(weights)
    tensors, architecture = canonical_tensors(graph.tensors(), where=str(onnx_path))
    check_geometry(architecture, graph.convolutions, where=str(onnx_path))
    symbols = check_symbols(
        config.object("phoneme_id_map"),
        layout="piper",
        n_symbols=architecture.n_symbols,
        required=("_", "^", "$"),
    )
    _cross_check(config, architecture)

    name = onnx_path.name.removesuffix(".onnx")
    audio, inference = config.object("audio"), _optional(config, "inference")
    return make_draft(
        request,
        source=onnx_path.name,
        files=[weights, config_file],
        tensors=tensors,
        architecture=architecture,
        symbols=table_json("piper", symbols),
        sample_rate_hertz=audio.whole("sample_rate", low=MIN_RATE_HERTZ, high=MAX_RATE_HERTZ),
        language=language_tag(
            request.language,
            _optional(config, "language").text("code", ""),
            _optional(config, "espeak").text("voice", ""),
            where=str(config_file.path),
        ),
        front_end=front_end,
        speakers=_speakers(config, architecture),
        defaults={
            name: inference.number(name, default=default, within=DEFAULTS[name])
            for name, default in (("noise_scale", 0.667), ("length_scale", 1.0), ("noise_w", 0.8))
        },
        code_licence="MIT (VITS, Piper)",
        licence=request.licence
        or find_licence(onnx_path.parent, ["MODEL_CARD", f"{name}.MODEL_CARD"], _LICENCE_LINE),
        display_name=" ".join(
            filter(None, (config.text("dataset", ""), audio.text("quality", "")))
        ),
    )


def _optional(config: Fields, key: str) -> Fields:
    return config.object(key) if config.has(key) else Fields({}, f"{config.where}: {key}")


def _front_end(config: Fields) -> FrontEndSpec:
    kind = config.text("phoneme_type", "espeak")
    if kind == "espeak":
        voice = config.object("espeak").text("voice")
        if not is_espeak_voice(voice):
            raise config.fault("espeak.voice", f"is {voice!r}, which is no espeak-ng voice")
        return FrontEndSpec("espeak", {"voice": voice})
    if kind == "text":
        # Piper folds case unless told otherwise; a table without capitals says that it did.
        table = config.object("phoneme_id_map").raw
        return FrontEndSpec("characters", {"lowercase": not any(s != s.lower() for s in table)})
    raise config.fault(
        "phoneme_type", f"is {kind!r}; voxswap reads voices made for 'espeak' and 'text'"
    )


def _cross_check(config: Fields, architecture: VitsArchitecture) -> None:
    """The configuration must be that of these weights: it is easy to pair the wrong files."""
    found = {
        "num_symbols": architecture.n_symbols,
        "hop_length": architecture.hop_length_samples,
        "num_speakers": max(1, architecture.n_speakers),
    }
    for where, key in ((config, "num_symbols"), (config, "num_speakers"), (config, "hop_length"),
                       (config.object("audio"), "hop_length")):  # fmt: skip
        if where.has(key) and where.whole(key, low=0, high=1 << 24) != found[key]:
            raise where.fault(key, f"is {where.raw[key]}, and the weights say {found[key]}")


def _speakers(config: Fields, architecture: VitsArchitecture) -> dict[str, int]:
    """Names and ids of the speakers; numbers for names where there are none. Empty for one."""
    n_speakers = architecture.n_speakers
    if not n_speakers:
        return {}
    table = _optional(config, "speaker_id_map")
    if len(table.raw) > n_speakers:
        raise config.fault("speaker_id_map", f"has more names than the {n_speakers} speakers")
    named = {
        name: table.whole(name, low=0, high=n_speakers - 1)
        for name in table.raw
        if name and is_line(name, MAX_SPEAKER_CHARACTERS)
    }
    return named or {str(i): i for i in range(n_speakers)}


def find_piper(source: Path) -> Path | None:
    """``source`` if it is an ``.onnx``, or the one in that folder with an ``.onnx.json``. Blocks.

    None if there is none. Raises `ImportSourceError` if there are several.
    """
    if not source.is_dir():
        return source if source.suffix == ".onnx" else None
    folder = source
    pairs = sorted(
        path for path in folder.glob("*.onnx") if path.with_name(f"{path.name}.json").exists()
    )
    if len(pairs) > 1:
        names = ", ".join(path.name for path in pairs[:4])
        raise ImportSourceError(
            f"{folder} holds {len(pairs)} Piper voices ({names}); name the .onnx file of one"
        )
    return pairs[0] if pairs else None
