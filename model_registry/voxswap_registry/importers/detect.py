"""Finds out which foreign format lies at a path, and hands it to its importer."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from voxswap_registry.arithmetic import Dtype
from voxswap_registry.clock import Clock, utc_now
from voxswap_registry.draft import VoiceDraft
from voxswap_registry.errors import ImportSourceError, InvalidInputError
from voxswap_registry.importers.huggingface_vits import import_huggingface_vits
from voxswap_registry.importers.kokoro import find_kokoro, import_kokoro
from voxswap_registry.importers.piper import find_piper, import_piper
from voxswap_registry.importers.vits_draft import ImportRequest
from voxswap_registry.names import check_voice_id
from voxswap_registry.progress import NullProgress, Progress

_ACCEPTED = (
    "voxswap imports a Piper voice (name.onnx with name.onnx.json beside it), a folder with one "
    "such pair, a Hugging Face VITS folder (config.json with model_type 'vits'), or Kokoro (a "
    "folder with its .onnx and a .npz of styles)"
)


def import_voice(
    source: Path,
    voice_id: str,
    *,
    dtype: Dtype | Literal["auto"] = "float32",
    licence: str | None = None,
    code_licence: str | None = None,
    language: str | None = None,
    style: str | None = None,
    workdir: Path,
    progress: Progress | None = None,
    clock: Clock = utc_now,
) -> VoiceDraft:
    """Convert the voice at ``source`` to components below ``workdir``, ready to be published.

    ``dtype`` is what the feed-forward layers of the text encoder, the flow and the generator are
    stored as; "auto" is what this machine computes fastest in, by measurement. Everything else
    always stays float32. ``licence`` (of the weights), ``code_licence`` (of the
    code that made them) and ``language`` go before what the files say. ``style`` chooses one of
    several in a Kokoro folder. The same source and dtype give the same component bytes.

    Blocks, for seconds. Nothing in the source is ever run. ``workdir`` is the caller's, to remove
    after publishing. Raises `InvalidInputError` for a bad ``voice_id``, `ImportSourceError` for a
    source that is not taken, and `RegistryError` where ``workdir`` cannot be written.
    """
    check_voice_id(voice_id)
    if dtype not in {"auto", "float32", "bfloat16"}:
        raise InvalidInputError.one(
            "dtype", f"is {dtype!r}; choose 'auto', 'float32' or 'bfloat16'"
        )
    request = ImportRequest(
        voice_id,
        dtype,
        licence,
        code_licence,
        language,
        workdir,
        progress or NullProgress(),
        clock,
        style,
    )
    try:
        is_folder, is_there = source.is_dir(), source.exists()
    except (OSError, RuntimeError) as error:
        raise ImportSourceError(f"cannot read {source}: {error}; check the path") from error
    if not is_folder and source.suffix != ".onnx":
        found = f"{source} is no .onnx file" if is_there else f"{source} does not exist"
        raise ImportSourceError(f"{found}; {_ACCEPTED}")
    try:
        return _import(source, request, is_folder=is_folder)
    except OSError as error:
        raise ImportSourceError(
            f"cannot read {source}: {error.strerror or error}; give this user the right to read it"
        ) from error


def _import(source: Path, request: ImportRequest, *, is_folder: bool) -> VoiceDraft:
    piper = find_piper(source) if is_folder else source
    has_json = piper is not None and piper.with_name(f"{piper.name}.json").exists()
    if not has_json and (model := find_kokoro(source)) is not None:
        return import_kokoro(model, request)
    if request.style is not None:
        raise InvalidInputError.one("style", f"is for Kokoro voices, and {source} holds none")
    if piper is not None:
        return import_piper(piper, request)
    if (source / "config.json").exists():
        return import_huggingface_vits(source, request)
    raise ImportSourceError(f"{source} holds no voice; {_ACCEPTED}")
