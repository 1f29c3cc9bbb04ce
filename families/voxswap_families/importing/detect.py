"""Finds out which foreign format lies at a path, and hands it to its importer."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from voxswap_families.arithmetic import Dtype
from voxswap_families.importing.request import Form, ImportRequest
from voxswap_families.register import families
from voxswap_registry.clock import Clock, utc_now
from voxswap_registry.draft import VoiceDraft
from voxswap_registry.errors import ImportSourceError, InvalidInputError
from voxswap_registry.names import check_voice_id
from voxswap_registry.progress import NullProgress, Progress


def import_voice(
    source: Path,
    voice_id: str,
    *,
    dtype: Dtype | Literal["auto"] = "float32",
    licence: str | None = None,
    code_licence: str | None = None,
    language: str | None = None,
    style: str | None = None,
    form: Form = "auto",
    workdir: Path,
    progress: Progress | None = None,
    clock: Clock = utc_now,
) -> VoiceDraft:
    """Convert the voice at ``source`` to components below ``workdir``, ready to be published.

    ``dtype`` is what the feed-forward layers of the text encoder, the flow and the generator are
    stored as; "auto" is bfloat16 if they are packed, else what this machine computes fastest in, by
    measurement. Of plain weights everything else stays float32. ``licence`` (of the weights),
    ``code_licence`` (of the code that made them) and ``language`` go before what the files say.
    ``style`` chooses one of several in a Kokoro folder. ``form`` is how weights are laid out, see
    `request.Form`. The same source, dtype and form give the same component bytes.

    Blocks, for seconds. Nothing in the source is ever run. ``workdir`` is the caller's, to remove
    after publishing. Raises `InvalidInputError` for a bad ``voice_id``, `ImportSourceError` for a
    source that is not taken, and `RegistryError` where ``workdir`` cannot be written.
    """
    check_voice_id(voice_id)
    if form not in get_args(Form):
        forms = "'auto', 'plain', 'packed' or 'packed_int8'"
        raise InvalidInputError.one("form", f"is {form!r}; choose {forms}")
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
        form,
    )
    importers = [each for family in families().values() for each in family.importers]
    accepted = ", or ".join(importer.description for importer in importers)
    try:
        is_folder, is_there = source.is_dir(), source.exists()
    except (OSError, RuntimeError) as error:
        raise ImportSourceError(f"cannot read {source}: {error}; check the path") from error
    try:
        for importer in importers:
            if (found := importer.find(source)) is not None:
                return importer.convert(found, request)
    except OSError as error:
        raise ImportSourceError(
            f"cannot read {source}: {error.strerror or error}; give this user the right to read it"
        ) from error
    if is_folder:
        what = "holds no voice"
    else:
        what = "is no file of a voice" if is_there else "does not exist"
    raise ImportSourceError(f"{source} {what}; voxswap imports {accepted}")
