"""Imports EmotiVoice's release, as a folder or a zip: a voice for each of its speakers.

They share acoustic model, vocoder, style encoder, vocabulary and symbols; a speaker's own is a row
of the table of speakers.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from voxswap_families import reading
from voxswap_families.contract import Importer
from voxswap_families.emotivoice.config import (
    ACOUSTIC,
    CONTROLS,
    EMOTIONS,
    ENGINE,
    NEUTRAL,
    PROMPTS,
    SPEAKER,
    STYLE,
    VOCABULARY,
    VOCODER,
    EmotiVoiceConfig,
)
from voxswap_families.emotivoice.configuration import (
    acoustic_architecture,
    style_architecture,
    vocoder_architecture,
)
from voxswap_families.emotivoice.directory import (
    FOLDERS,
    SPEAKERS,
    Person,
    ReleaseFiles,
    is_release,
    may_be_release,
    needed,
    people_in,
    release_files,
)
from voxswap_families.emotivoice.shapes import acoustic_shapes, style_shapes, vocoder_shapes
from voxswap_families.emotivoice.tokens import EDGE
from voxswap_families.emotivoice.wordpiece import MAX_VOCABULARY_BYTES, WordPiece
from voxswap_families.importing.archive import Files, opened
from voxswap_families.importing.checkpoints import check_checkpoint
from voxswap_families.importing.foreign import MAX_YAML_BYTES, parse_yaml, read_names
from voxswap_families.importing.request import (
    FABRICATED,
    UNKNOWN_LICENCE,
    ImportRequest,
    language_tag,
    no_packing,
    one_line,
    tool_name,
)
from voxswap_families.importing.source import MAX_WEIGHTS_BYTES, SourceFile, parse_json
from voxswap_families.importing.weights import write_safetensors
from voxswap_registry.draft import DraftComponent, VoiceDraft
from voxswap_registry.errors import EngineError, ImportSourceError, InvalidInputError
from voxswap_registry.manifest import Audio, FrontEndSpec, Provenance
from voxswap_registry.os_errors import as_registry_errors
from voxswap_registry.progress import NullProgress

if TYPE_CHECKING:
    import torch

_SAFETENSORS: Final = "application/vnd.safetensors"
_MAX_PEOPLE_BYTES: Final = 1 << 20
_MOST_TOLD: Final = 20
_LANGUAGES: Final = ("zh-CN", "en-US")
_REMEDY: Final = "The files must be those of one release, as they were published; fetch them again"


def find_emotivoice(path: Path) -> Path | None:
    """``path`` if it is such a folder or zip. Blocks; raises `ImportSourceError`."""
    if path.is_dir() and not may_be_release(path):
        return None
    with opened(path, kept=FOLDERS) as files:
        return path if files is not None and is_release(files) else None


def emotivoice_members(path: Path) -> Sequence[str]:
    """The names of all speakers. Blocks; raises `ImportSourceError`."""
    with opened(path, kept=FOLDERS) as files:
        if files is None:
            return ()
        name = needed(files, SPEAKERS)
        return _speakers(files.read(name, limit_bytes=MAX_YAML_BYTES, progress=NullProgress()))


def import_emotivoice(path: Path, request: ImportRequest) -> VoiceDraft:
    """Convert the speaker that ``request.style`` names; without a name, the only one.

    Blocks for seconds; raises `ImportSourceError`, and `InvalidInputError` for what does not apply.
    """
    names = emotivoice_members(path)
    if request.style is None and len(names) > 1:
        raise ImportSourceError(f"{path} has {len(names)} speakers; {_choose(names)}")
    wanted = names[0] if request.style is None else request.style
    (draft,) = import_speakers(path, request, {wanted: request.voice_id})
    return draft


def import_speakers(
    path: Path, request: ImportRequest, voices: Mapping[str, str]
) -> Iterator[VoiceDraft]:
    """Convert the speakers that are the keys of ``voices``, each to a voice with that id.

    What they share is converted once, and has one path. Raises as `import_emotivoice`.
    """
    if request.dtype == "bfloat16":
        told = "does not apply: durations of an EmotiVoice voice are those of float32 alone"
        raise InvalidInputError.one("dtype", told)
    no_packing(request, path)
    with opened(path, kept=FOLDERS) as files:
        if files is None:
            raise ImportSourceError(f"{path} is neither a folder nor a zip; check the path")
        release = _Release(files, release_files(files), request)
        names = _speakers(release.read(release.there.speakers))
        for name in voices:
            if name not in names:
                raise ImportSourceError(
                    f"{path} has no speaker {name[:64]!r}; {_choose(names)}, or leave --style out "
                    "for all of them"
                )
        shared = release.shared(names)
        for name, voice_id in voices.items():
            yield shared.voice(name, names.index(name), voice_id)


def _speakers(file: SourceFile) -> tuple[str, ...]:
    return read_names(bytes(file.data), where=str(file.path))


def _choose(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_TOLD} more" if len(names) > _MOST_TOLD else ""
    return f"choose one with --style: {', '.join(names[:_MOST_TOLD])}{more}"


@dataclass(frozen=True, slots=True)
class _Release:
    """The files of a release on their way into components."""

    files: Files
    there: ReleaseFiles
    request: ImportRequest
    digests: dict[str, str] = field(default_factory=dict)

    def read(self, name: str, limit_bytes: int = MAX_YAML_BYTES) -> SourceFile:
        """A file, whose digest is kept for the provenance."""
        progress = self.request.progress if limit_bytes == MAX_WEIGHTS_BYTES else NullProgress()
        file = self.files.read(name, limit_bytes=limit_bytes, progress=progress)
        self.digests[one_line(name)] = file.digest
        return file

    def shared(self, names: Sequence[str]) -> _Shared:
        """All that its speakers, which are ``names``, have in common, written and checked."""
        from voxswap_families.emotivoice.checkpoint import (
            SYMBOL_TABLE,
            joint_tensors,
            style_tensors,
        )

        there = self.there
        config = parse_yaml(self.read(there.config))
        vocoder = vocoder_architecture(config)
        style = style_architecture(parse_json(self.read(there.style_config)))
        tokens = self.read(there.tokens)
        symbols = read_names(bytes(tokens.data), where=str(tokens.path))
        if EDGE not in symbols:
            raise ImportSourceError(
                f"{tokens.path} has no {EDGE}, which begins and ends a line. {_REMEDY}"
            )
        emotions = _emotions(self.read(there.emotions))
        vocabulary = self.read(there.vocabulary, MAX_VOCABULARY_BYTES)
        _check_vocabulary(vocabulary, style.vocabulary, emotions)
        acoustic = acoustic_architecture(config, n_symbols=len(symbols))
        try:
            EmotiVoiceConfig.read(
                architectures := {
                    ACOUSTIC: acoustic.to_config(),
                    VOCODER: vocoder.to_config(),
                    STYLE: style.to_config(),
                    "emotions": emotions,
                }
            )
        except ValueError as error:
            raise ImportSourceError(f"{self.files.path}: it {error}. {_REMEDY}") from error
        file = self.read(there.generator, MAX_WEIGHTS_BYTES)
        joint = joint_tensors(file)
        rows = joint.speakers
        _check_rows(joint.acoustic.get(SYMBOL_TABLE), symbols, file, tokens.path, "tokens")
        _check(acoustic_shapes(acoustic), joint.acoustic, file, there.config)
        _check(vocoder_shapes(vocoder), joint.vocoder, file, there.config)
        _check_rows(rows, names, file, self.files.path / there.speakers, "speakers")
        if rows is None or tuple(rows.shape) != (len(names), acoustic.speaker_units):
            raise ImportSourceError(
                f"{file.path} has no table of speakers with {acoustic.speaker_units} numbers each, "
                f"as {there.config} describes it. {_REMEDY}"
            )
        file = self.read(there.style, MAX_WEIGHTS_BYTES)
        encoder = style_tensors(file)
        _check(style_shapes(style), encoder, file, there.style_config)
        folder = self._written(
            {ACOUSTIC: joint.acoustic, VOCODER: joint.vocoder, STYLE: encoder}, vocabulary, symbols
        )
        return _Shared(
            release=self,
            folder=folder,
            engine_config=architectures,
            audio=Audio(vocoder.sample_rate_hertz, vocoder.hop_samples),
            emotions=tuple(name for name in EMOTIONS if name in emotions),
            speakers=rows,
            people=self._people(),
        )

    def _people(self) -> Mapping[str, Person]:
        """Who speaks, if that is told; a courtesy, so its absence is no fault."""
        if self.there.people is None:
            return {}
        return people_in(self.read(self.there.people, _MAX_PEOPLE_BYTES))

    def _written(
        self,
        weights: Mapping[str, Mapping[str, torch.Tensor]],
        vocabulary: SourceFile,
        symbols: Sequence[str],
    ) -> Path:
        """A folder with the components that voices share."""
        from voxswap_families.layers.stored import as_stored

        request = self.request
        with as_registry_errors("write into", request.workdir):
            request.workdir.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix="emotivoice-", dir=request.workdir))
        for role, tensors in weights.items():
            path = folder / f"{role}.safetensors"
            write_safetensors(as_stored(tensors), path, progress=request.progress)
        table = {
            "layout": "piper",
            "pad": None,
            "bos": EDGE,
            "eos": EDGE,
            "symbols": {token: [row] for row, token in enumerate(symbols)},
        }
        with as_registry_errors("write into", folder):
            (folder / "vocab.txt").write_bytes(vocabulary.data)
            (folder / "symbols.json").write_bytes(
                json.dumps(table, ensure_ascii=False, separators=(",", ":")).encode()
            )
        return folder


@dataclass(frozen=True, slots=True)
class _Shared:
    """What the voices of a release have in common, and the rows that are each one's own."""

    release: _Release
    folder: Path
    engine_config: Mapping[str, Any]
    audio: Audio
    emotions: tuple[str, ...]
    speakers: torch.Tensor
    people: Mapping[str, Person]

    def voice(self, name: str, row: int, voice_id: str) -> VoiceDraft:
        """That of the speaker ``name``, whose row is ``row``."""
        request, files = self.release.request, self.release.files
        path = self.folder / f"speaker-{row}.safetensors"
        # A part of a table shares its storage: `clone` leaves the rest behind.
        vector = {SPEAKER: self.speakers[row].clone()}
        write_safetensors(vector, path, progress=NullProgress())
        language = language_tag(request.language, _LANGUAGES[0], where=str(files.path))
        person = self.people.get(name)
        created = request.clock().astimezone(UTC).replace(microsecond=0, tzinfo=None)
        return VoiceDraft(
            voice_id=voice_id,
            engine=ENGINE,
            engine_config=self.engine_config,
            components=(
                *(
                    DraftComponent(role, self.folder / f"{role}.safetensors", _SAFETENSORS)
                    for role in (ACOUSTIC, VOCODER, STYLE)
                ),
                DraftComponent(VOCABULARY, self.folder / "vocab.txt", "text/plain"),
                DraftComponent(reading.ROLE, self.folder / "symbols.json", "application/json"),
                DraftComponent(SPEAKER, path, _SAFETENSORS),
            ),
            audio=self.audio,
            language=language,
            languages=tuple(dict.fromkeys((language, *_LANGUAGES))),
            front_end=FrontEndSpec("emotivoice"),
            speakers={},
            defaults={},
            controls=CONTROLS,
            emotions=self.emotions or None,
            licence=request.licence or UNKNOWN_LICENCE,
            provenance=Provenance(
                source=one_line(f"speaker {name} of {files.path.name}"),
                source_digests=self.release.digests,
                tool=tool_name(),
                created=f"{created.isoformat()}Z",
                code_licence=request.code_licence or "Apache-2.0 (EmotiVoice)",
            ),
            display_name=one_line(person.name if person else f"EmotiVoice {name}"),
            gender=person.sex if person else "",
            fabricated=True if FABRICATED in files.names else None,
        )


def _emotions(file: SourceFile) -> dict[str, str]:
    """The prompts of emotions that a release has, by our names for them."""
    named = {prompt: name for name, prompt in PROMPTS.items()}
    found = {}
    for prompt in read_names(bytes(file.data), where=str(file.path)):
        if prompt not in named:
            raise ImportSourceError(
                f"{file.path} has {prompt!r:.40}, which is none of EmotiVoice's emotions "
                f"({', '.join(named)}); take it out, and ask for it as a style in words"
            )
        found[named[prompt]] = prompt
    if NEUTRAL not in found:
        raise ImportSourceError(
            f"{file.path} has no {PROMPTS[NEUTRAL]}, by which text is read that nobody feels for. "
            f"{_REMEDY}"
        )
    return {name: prompt for name, prompt in PROMPTS.items() if name in found}


def _check_vocabulary(file: SourceFile, rows: int, emotions: Mapping[str, str]) -> None:
    """That each of an encoder's rows is a piece's, and that emotions are known to it."""
    try:
        pieces = WordPiece.from_bytes(bytes(file.data))
    except EngineError as error:
        raise ImportSourceError(f"{file.path}: {error.message}") from error
    if len(pieces) != rows:
        raise ImportSourceError(
            f"{file.path} has {len(pieces)} pieces, and the style encoder's table {rows} rows. "
            f"{_REMEDY}"
        )
    for prompt in emotions.values():
        if pieces.unknown in pieces.ids(prompt):
            raise ImportSourceError(
                f"{file.path} has no pieces for {prompt}, one of EmotiVoice's emotions. {_REMEDY}"
            )


def _check_rows(
    table: torch.Tensor | None, names: Sequence[str], file: SourceFile, listed: Path, what: str
) -> None:
    if table is not None and len(table) != len(names):
        raise ImportSourceError(
            f"{listed} has {len(names)} {what}, and the table in {file.path.name} has "
            f"{len(table)} rows. {_REMEDY}"
        )


def _check(
    expected: Mapping[str, tuple[int, ...]],
    tensors: Mapping[str, torch.Tensor],
    file: SourceFile,
    config: str,
) -> None:
    remedy = f"It is not the checkpoint that {config} describes; fetch both again from one place"
    check_checkpoint(expected, tensors, file, remedy=remedy)


IMPORTERS: Final = (
    Importer(
        "EmotiVoice's repository with its models (a folder or zip, with data/youdao and outputs)",
        find_emotivoice,
        import_emotivoice,
        emotivoice_members,
        import_speakers,
    ),
)
