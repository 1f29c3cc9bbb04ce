"""Imports Kokoro voices: a folder with the ONNX model and a file of style packs, or the parts."""

from __future__ import annotations

import io
import re
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxswap_families.importing.request import (
    ImportRequest,
    check_symbols,
    find_licence,
    language_tag,
    no_packing,
    one_line,
    tool_name,
)
from voxswap_families.importing.source import (
    MAX_JSON_BYTES,
    SourceFile,
    parse_json,
    read_source,
)
from voxswap_families.kokoro import format as kokoro
from voxswap_families.onnx_graphs.check import parse_graph, strip_notes
from voxswap_registry.draft import DraftComponent, VoiceDraft
from voxswap_registry.errors import ImportSourceError, InvalidInputError
from voxswap_registry.families import GraphError
from voxswap_registry.manifest import Audio, FrontEndSpec, Provenance
from voxswap_registry.os_errors import as_registry_errors

if TYPE_CHECKING:
    from voxswap_families.kokoro.format import Style

_LICENCE_LINE = r"^licen[cs]e:\s*(.+)$"
# Kokoro's names begin with the language and the gender of whose voice it is: af_heart, bm_george.
_NAME = re.compile(r"(?P<language>[a-z])(?P<gender>[fm])_(?P<name>\w+)")
_GENDERS = {"f": "female", "m": "male"}
# Japanese voices read English: nothing here reads Japanese.
_LANGUAGES = {
    "a": "en-US", "b": "en-GB", "e": "es", "f": "fr-FR", "h": "hi", "i": "it", "j": "en-US",
    "p": "pt-BR", "z": "zh-CN",
}  # fmt: skip
_ESPEAK_VOICES = {"es": "es", "fr": "fr-fr", "hi": "hi", "it": "it", "pt": "pt-br"}
_MAX_PACKS_BYTES = 256 << 20
_MAX_PACKS = 1_000


@dataclass(frozen=True, slots=True)
class KokoroParts:
    """What the voices of one model share: written once, named by all their drafts.

    ``sources`` maps names of original files to digests.
    """

    base: DraftComponent
    symbols: DraftComponent
    sources: Mapping[str, str]


def find_kokoro(path: Path) -> Path | None:
    """The ``.onnx`` at ``path``, a file or a folder, that has style packs beside it. Blocks.

    Not one with an ``.onnx.json``, which is Piper's. Raises `ImportSourceError` if there are
    several.
    """
    folder = path if path.is_dir() else path.parent
    models = [path] if path != folder else sorted(folder.glob("*.onnx"))
    pipers = any(path.with_name(f"{path.name}.json").exists() for path in models)
    if not models or pipers or not _pack_files(folder):
        return None
    return _only(models, folder, "models")


def import_kokoro(onnx_path: Path, request: ImportRequest) -> VoiceDraft:
    """Convert the voice that ``request.style`` names in the folder of ``onnx_path``.

    Without a name, the folder's only style. Blocks for seconds; raises `ImportSourceError`, and
    `InvalidInputError` for a ``dtype``.
    """
    if request.dtype == "bfloat16":
        raise InvalidInputError.one("dtype", "does not apply: a Kokoro model keeps its own types")
    no_packing(request, onnx_path)
    folder = onnx_path.parent
    packs_path = _only(_pack_files(folder), folder, "files of styles")
    packs = read_source(packs_path, limit_bytes=_MAX_PACKS_BYTES, progress=request.progress)
    name, style = _chosen(packs, request.style)
    symbols, table_files = _symbols(folder, request)
    model = read_source(onnx_path, limit_bytes=kokoro.MAX_BASE_BYTES, progress=request.progress)
    base = base_bytes(model)
    parts = write_parts(
        base, symbols, request, {file.path.name: file.digest for file in (model, *table_files)}
    )
    return kokoro_draft(
        request,
        parts,
        name,
        style,
        source=f"{onnx_path.name} with {name} of {packs_path.name}",
        sources={packs_path.name: packs.digest},
        licence=request.licence or find_licence(folder, ["README.md", "MODEL_CARD"], _LICENCE_LINE),
    )


def _pack_files(folder: Path) -> list[Path]:
    return sorted([*folder.glob("*.npz"), *folder.glob("voices*.bin")])


def _only(paths: Sequence[Path], folder: Path, what: str) -> Path:
    if len(paths) > 1:
        names = ", ".join(path.name for path in paths[:4])
        raise ImportSourceError(
            f"{folder} holds {len(paths)} Kokoro {what} ({names}); leave one of them there"
        )
    return paths[0]


def _symbols(folder: Path, request: ImportRequest) -> tuple[Mapping[str, int], list[SourceFile]]:
    """The table that lies in ``folder``, or else that of Kokoro-82M."""
    for name in ("config.json", "vocab.json"):
        if (path := folder / name).exists():
            file = read_source(path, limit_bytes=MAX_JSON_BYTES, progress=request.progress)
            table = check_symbols(
                parse_json(file).object("vocab"), layout="piper", n_symbols=kokoro.N_SYMBOLS
            )
            return {symbol: ids[0] for symbol, ids in table.items()}, [file]
    return kokoro.SYMBOLS, []


def _chosen(packs: SourceFile, wanted: str | None) -> tuple[str, Style]:
    names = style_names(packs)
    if wanted is None and len(names) == 1:
        wanted = names[0]
    if wanted not in names:
        found = f"no style {wanted!r}" if wanted else f"{len(names)} styles"
        raise ImportSourceError(
            f"{packs.path} has {found}; choose one with --style: {', '.join(names[:100])}"
        )
    return wanted, read_style(packs, wanted)


def style_names(packs: SourceFile) -> list[str]:
    """The names in a NumPy archive of style packs. Raises `ImportSourceError`."""
    with _archive(packs) as archive:
        names = archive.namelist()
    styles = sorted({name.removesuffix(".npy") for name in names if name.endswith(".npy")})
    if not 0 < len(styles) <= _MAX_PACKS or not all(name.isprintable() for name in styles):
        raise ImportSourceError(f"{packs.path} has no style packs; fetch it from where it came")
    return styles


def read_style(packs: SourceFile, name: str) -> Style:
    """The pack called ``name``, ``(510, 256)`` float32. Raises `ImportSourceError`."""
    import numpy as np

    try:
        # Not by np.load: what an entry claims to hold is not believed.
        with _archive(packs) as archive, archive.open(f"{name}.npy") as entry:
            data = entry.read(kokoro.MAX_STYLE_BYTES + 1)
        if len(data) > kokoro.MAX_STYLE_BYTES:
            raise ValueError(f"has more than {kokoro.MAX_STYLE_BYTES} bytes")
        array: Any = np.load(io.BytesIO(data), allow_pickle=False)
        if array.shape == (kokoro.STYLE_SHAPE[0], 1, kokoro.STYLE_SHAPE[1]):
            array = array[:, 0]
        return kokoro.checked_style(array)
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, NotImplementedError) as error:
        raise ImportSourceError(
            f"{packs.path}: the style {name!r} {str(error)[:200]}; fetch the file again"
        ) from error


def _archive(packs: SourceFile) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(io.BytesIO(packs.data))
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise ImportSourceError(
            f"{packs.path} is no NumPy archive of styles ({error}); fetch it again"
        ) from error


def base_bytes(model: SourceFile) -> bytes:
    """The base component that ``model`` becomes: notes taken out, durations put in, and checked.

    The same model gives the same bytes. Raises `ImportSourceError`.
    """
    try:
        proto = parse_graph(bytes(model.data))
        strip_notes(proto)
        used = {node.domain for node in proto.graph.node}
        kept = [opset for opset in proto.opset_import if opset.domain in used]
        del proto.opset_import[:]
        proto.opset_import.extend(kept)
        _tell_durations(proto.graph)
        kokoro.check_base(proto)
    except GraphError as error:
        raise ImportSourceError(
            f"{model.path} {error}. voxswap takes Kokoro-82M as kokoro-onnx exports it"
        ) from error
    return bytes(proto.SerializeToString(deterministic=True))


def _tell_durations(graph: Any) -> None:
    """Find the frames of each symbol, bound their sum by an input, and make them an output.

    A sum of more is scaled down, with one frame for each symbol at least. One that is not more
    stays as it is, to the bit: a factor of 1 and the floor of whole numbers change nothing.
    """
    from onnx import TensorProto, helper

    predicted = _durations(graph)
    readers = [node for node in graph.node if predicted in node.input]
    for node in readers:
        node.input[:] = [
            kokoro.DURATIONS.name if name == predicted else name for name in node.input
        ]
    most, least = kokoro.MOST_FRAMES.name, "voxswap/least_frames"
    graph.initializer.append(helper.make_tensor(least, TensorProto.FLOAT, [], [1.0]))
    graph.input.append(helper.make_tensor_value_info(most, TensorProto.FLOAT, []))
    sum_, share, shorter, whole = (f"voxswap/{x}" for x in ("sum", "share", "shorter", "whole"))
    bounding = [
        helper.make_node("ReduceSum", [predicted], [sum_], name=sum_, keepdims=0),
        helper.make_node("Div", [most, sum_], [f"{share}_at_most"], name=f"{share}_at_most"),
        helper.make_node("Min", [f"{share}_at_most", least], [share], name=share),
        helper.make_node("Mul", [predicted, share], [shorter], name=shorter),
        helper.make_node("Floor", [shorter], [whole], name=whole),
        helper.make_node("Max", [whole, least], [kokoro.DURATIONS.name], name="voxswap/durations"),
    ]
    after = next(i for i, node in enumerate(graph.node) if predicted in node.output) + 1
    for offset, node in enumerate(bounding):
        graph.node.insert(after + offset, node)
    shape: list[str | int | None] = [1, "sequence_length"]
    graph.output.append(
        helper.make_tensor_value_info(kokoro.DURATIONS.name, TensorProto.FLOAT, shape)
    )


def _durations(graph: Any) -> str:
    """The tensor with the frames of each symbol: divided by the speed, rounded, 1 at least."""
    found = {kokoro.SPEED.name}
    for op_type in ("Div", "Round", "Clip"):
        found = {
            node.output[0]
            for node in graph.node
            if node.op_type == op_type and found.intersection(node.input)
        }
    if len(found) != 1:
        raise GraphError("shows no durations (a quotient by 'speed' that is rounded and clipped)")
    return str(found.pop())


def write_parts(
    base: bytes, symbols: Mapping[str, int], request: ImportRequest, sources: Mapping[str, str]
) -> KokoroParts:
    """Write what voices share below ``request.workdir``. Raises `RegistryError`."""
    path = _folder(request) / "base.onnx"
    request.progress.start("write base.onnx", len(base))
    try:
        with as_registry_errors("write", path):
            path.write_bytes(base)
        request.progress.advance(len(base))
    finally:
        request.progress.finish()
    component = DraftComponent("base", path, kokoro.BASE_MEDIA_TYPE)
    return with_symbols(component, symbols, request, sources)


def with_symbols(
    base: DraftComponent,
    symbols: Mapping[str, int],
    request: ImportRequest,
    sources: Mapping[str, str],
) -> KokoroParts:
    """``base`` and a table, written below ``request.workdir``. Raises `RegistryError`."""
    path = _folder(request) / "symbols.json"
    with as_registry_errors("write", path):
        path.write_bytes(kokoro.symbol_table_json(symbols))
    return KokoroParts(base, DraftComponent("symbols", path, "application/json"), sources)


def kokoro_draft(
    request: ImportRequest,
    parts: KokoroParts,
    name: str,
    style: Style,
    *,
    source: str,
    sources: Mapping[str, str],
    licence: str,
    code_licence: str = "Apache-2.0 (Kokoro), MIT (kokoro-onnx)",
    note: str = "",
) -> VoiceDraft:
    """The voice with this style. Its name says what it speaks, unless ``request`` does.

    Raises `ImportSourceError` for a language that is not read, and `RegistryError` if the disk
    refuses.
    """
    known = _NAME.fullmatch(name)
    usual = _LANGUAGES.get(known["language"], "en-US") if known else "en-US"
    language = language_tag(request.language, usual, where=name)
    path = _folder(request) / "style.safetensors"
    with as_registry_errors("write", path):
        path.write_bytes(kokoro.style_to_bytes(style))
    created = request.clock().astimezone(UTC).replace(microsecond=0, tzinfo=None)
    return VoiceDraft(
        voice_id=request.voice_id,
        engine=kokoro.ENGINE,
        engine_config={},
        components=(
            parts.base,
            DraftComponent("style", path, kokoro.STYLE_MEDIA_TYPE),
            parts.symbols,
        ),
        audio=Audio(kokoro.SAMPLE_RATE_HERTZ, kokoro.HOP_LENGTH_SAMPLES),
        language=language,
        front_end=_front_end(language),
        speakers={},
        defaults={},
        controls=kokoro.CONTROLS,
        licence=licence,
        provenance=Provenance(
            source=one_line(source),
            source_digests={one_line(k): v for k, v in {**parts.sources, **sources}.items()},
            tool=tool_name(),
            created=f"{created.isoformat()}Z",
            note=note,
            code_licence=request.code_licence or code_licence,
        ),
        display_name=known["name"].replace("_", " ").title() if known else one_line(name),
        gender=_GENDERS[known["gender"]] if known else "",
    )


def _front_end(language: str) -> FrontEndSpec:
    """What reads ``language`` to the phonemes that Kokoro was trained on."""
    primary = language.partition("-")[0]
    if primary == "en":
        return FrontEndSpec("misaki", {"british": language == "en-GB"})
    if primary == "zh":
        return FrontEndSpec("mandarin", {"alphabet": "misaki"})
    if (voice := _ESPEAK_VOICES.get(primary)) is not None:
        return FrontEndSpec("espeak", {"voice": voice, "alphabet": "misaki"})
    raise ImportSourceError(
        f"voxswap reads Kokoro voices text in en, {', '.join(_ESPEAK_VOICES)} and zh, not in "
        f"{language}; leave --language out"
    )


def _folder(request: ImportRequest) -> Path:
    with as_registry_errors("write into", request.workdir):
        request.workdir.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="kokoro-", dir=request.workdir))
