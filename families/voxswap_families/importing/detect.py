"""Finds out which foreign format lies at a path, and hands it to its importer."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

from voxswap_families.arithmetic import Dtype
from voxswap_families.contract import Importer
from voxswap_families.importing.request import FABRICATED, Form, ImportRequest
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
    ``style`` chooses one of several: a style of a Kokoro folder, or one of `members`. ``form`` is
    how weights are laid out, see `request.Form`. What lies beside `request.FABRICATED` is marked as
    made up. The same source, dtype and form give the same component bytes.

    Blocks, for seconds. Nothing in the source is ever run. ``workdir`` is the caller's, to remove
    after publishing. Raises `InvalidInputError` for a bad ``voice_id``, `ImportSourceError` for a
    source that is not taken, and `RegistryError` where ``workdir`` cannot be written.
    """
    (draft,) = import_voices(
        source,
        {style: voice_id},
        dtype=dtype,
        licence=licence,
        code_licence=code_licence,
        language=language,
        form=form,
        workdir=workdir,
        progress=progress,
        clock=clock,
    )
    return draft


def import_voices(
    source: Path,
    voices: Mapping[str | None, str],
    *,
    dtype: Dtype | Literal["auto"] = "float32",
    licence: str | None = None,
    code_licence: str | None = None,
    language: str | None = None,
    form: Form = "auto",
    workdir: Path,
    progress: Progress | None = None,
    clock: Clock = utc_now,
) -> Iterator[VoiceDraft]:
    """Convert several voices at ``source``: ids by style, which is None for the only one there is.

    Where they share what takes long, that is converted once: a component of several has one path.
    Else as `import_voice`, and each when it is asked for. Raises `InvalidInputError` and what else
    that raises, when the first is asked for.
    """
    for voice_id in voices.values():
        check_voice_id(voice_id)
    if form not in get_args(Form):
        forms = "'auto', 'plain', 'packed' or 'packed_int8'"
        raise InvalidInputError.one("form", f"is {form!r}; choose {forms}")
    if dtype not in {"auto", "float32", "bfloat16"}:
        raise InvalidInputError.one(
            "dtype", f"is {dtype!r}; choose 'auto', 'float32' or 'bfloat16'"
        )
    requests = [
        ImportRequest(
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
        for style, voice_id in voices.items()
    ]
    with _readable(source):
        if (taken := _taken(source)) is None:
            raise _nobodys(source)
        importer, found = taken
        named = {style: voice_id for style, voice_id in voices.items() if style is not None}
        if importer.convert_members is not None and len(named) == len(requests) > 1:
            drafts = importer.convert_members(found, requests[0], named)
        else:
            drafts = (importer.convert(found, request) for request in requests)
        is_fabricated = _is_fabricated(found)
        for draft in drafts:
            yield dataclasses.replace(draft, fabricated=True) if is_fabricated else draft


def members(source: Path) -> Sequence[str]:
    """The names of the voices at ``source`` that each stand for themselves, if it is of several.

    Each of them is a ``style`` for `import_voice`. Blocks; raises `ImportSourceError` for a source
    that is damaged. What nobody takes has none.
    """
    with _readable(source):
        if (taken := _taken(source)) is None:
            return ()
        importer, found = taken
        return () if importer.members is None else importer.members(found)


def _is_fabricated(found: Path) -> bool:
    folder = found if found.is_dir() else found.parent
    return (folder / FABRICATED).exists()


@contextlib.contextmanager
def _readable(source: Path) -> Iterator[None]:
    """What the disk refuses leaves the block as `ImportSourceError`."""
    try:
        yield
    except OSError as error:
        raise ImportSourceError(
            f"cannot read {source}: {error.strerror or error}; give this user the right to read it"
        ) from error


def _importers() -> list[Importer]:
    return [each for family in families().values() for each in family.importers]


def _taken(source: Path) -> tuple[Importer, Path] | None:
    """The importer that takes what lies at ``source``, and where that is; None if there is none."""
    try:
        source.is_dir()
    except (OSError, RuntimeError) as error:  # links that go round in a circle, among others
        raise ImportSourceError(f"cannot read {source}: {error}; check the path") from error
    for importer in _importers():
        if (found := importer.find(source)) is not None:
            return importer, found
    return None


def _nobodys(source: Path) -> ImportSourceError:
    """What is told of a source that no importer takes."""
    if source.is_dir():
        what = "holds no voice"
    else:
        what = "is no file of a voice" if source.exists() else "does not exist"
    accepted = ", or ".join(importer.description for importer in _importers())
    return ImportSourceError(f"{source} {what}; voxswap imports {accepted}")
