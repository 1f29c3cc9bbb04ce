"""Imports Sambert-HiFiGAN voices: a directory of ModelScope's, or a zip of it, as published."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from voxswap_families import reading
from voxswap_families.contract import Importer
from voxswap_families.importing.archive import Files, opened
from voxswap_families.importing.checkpoints import check_checkpoint
from voxswap_families.importing.foreign import (
    MAX_ARRAY_BYTES,
    MAX_YAML_BYTES,
    parse_yaml,
    read_array,
)
from voxswap_families.importing.request import (
    FABRICATED,
    UNKNOWN_LICENCE,
    ImportRequest,
    language_tag,
    no_packing,
    one_line,
    tool_name,
)
from voxswap_families.importing.source import MAX_WEIGHTS_BYTES, Fields, SourceFile
from voxswap_families.importing.weights import write_safetensors
from voxswap_families.sambert.architecture import AcousticArchitecture
from voxswap_families.sambert.config import ACOUSTIC, CONTROLS, EMOTIONS, SPEAKER, VOCODER
from voxswap_families.sambert.configuration import architecture_of
from voxswap_families.sambert.directory import (
    FOLDERS,
    VoiceFiles,
    is_model,
    voice_files,
    voice_names,
)
from voxswap_families.sambert.shapes import acoustic_shapes
from voxswap_families.sambert.tables import Tables, read_tables
from voxswap_families.sambert.vocoder_architecture import GeneratorArchitecture, checkpoint_shapes
from voxswap_families.sambert.vocoder_config import generator_architecture
from voxswap_registry.draft import DraftComponent, VoiceDraft
from voxswap_registry.errors import ImportSourceError, InvalidInputError
from voxswap_registry.manifest import Audio, FrontEndSpec, Provenance
from voxswap_registry.os_errors import as_registry_errors
from voxswap_registry.progress import NullProgress
from voxswap_registry.rates import MAX_RATE_HERTZ, MIN_RATE_HERTZ

if TYPE_CHECKING:
    import torch

ENGINE: Final = "sambert"
_SAFETENSORS: Final = "application/vnd.safetensors"
_LICENCE_LINE: Final = re.compile(rb"^licen[cs]e:\s*(.+)$", re.MULTILINE | re.IGNORECASE)
_MAX_CARD_BYTES: Final = 1 << 20
_REMEDY: Final = "The files must be those of one voice, as they were published; fetch them again"
# Nobody says which emotions a voice learned; of those that did, the names say so.
_IS_EMOTIONAL: Final = re.compile(r"(?:^|[_\-])emo(?:$|[_\-])", re.IGNORECASE)


def find_sambert(path: Path) -> Path | None:
    """``path`` if it is such a directory or zip. Blocks; raises `ImportSourceError`."""
    # A folder of somebody else's may hold anything, and is not gone through.
    if path.is_dir() and not any(
        any(path.glob(name)) for name in ("configuration.json", "voices", "basemodel*", "am")
    ):
        return None
    with opened(path, kept=FOLDERS) as files:
        return path if files is not None and is_model(files) else None


def sambert_members(path: Path) -> Sequence[str]:
    """The names of all voices in it. Blocks; raises `ImportSourceError`."""
    with opened(path, kept=FOLDERS) as files:
        return () if files is None else voice_names(files)


def import_sambert(path: Path, request: ImportRequest) -> VoiceDraft:
    """Convert the voice that ``request.style`` names; without a name, the only one.

    Blocks for seconds; raises `ImportSourceError`, and `InvalidInputError` for a ``dtype``.
    """
    if request.dtype == "bfloat16":
        told = "does not apply: durations of a Sambert voice are those of float32 alone"
        raise InvalidInputError.one("dtype", told)
    no_packing(request, path)
    with opened(path, kept=FOLDERS) as files:
        if files is None:
            raise ImportSourceError(f"{path} is neither a folder nor a zip; check the path")
        return _Import(files, request).draft(_chosen(files, request))


def _chosen(files: Files, request: ImportRequest) -> str:
    names = voice_names(files)
    wanted = request.style if request.style is not None or len(names) > 1 else names[0]
    if wanted not in names:
        found = f"no voice {wanted!r}" if wanted else f"{len(names)} voices"
        raise ImportSourceError(
            f"{files.path} has {found}; choose one with --style: {', '.join(names[:100])}"
        )
    return wanted


@dataclass(frozen=True, slots=True)
class _Import:
    """One voice on its way out of the files of its model."""

    files: Files
    request: ImportRequest
    digests: dict[str, str] = field(default_factory=dict)

    def read(self, name: str, limit_bytes: int) -> SourceFile:
        """A file, whose digest is kept for the voice's provenance."""
        progress = self.request.progress if limit_bytes == MAX_WEIGHTS_BYTES else NullProgress()
        file = self.files.read(name, limit_bytes=limit_bytes, progress=progress)
        self.digests[one_line(name)] = file.digest
        return file

    def config(self, name: str) -> Fields:
        """A YAML file."""
        return parse_yaml(self.read(name, MAX_YAML_BYTES))

    def draft(self, name: str) -> VoiceDraft:
        """Everything of it."""
        there = voice_files(self.files, name)
        acoustic_config, vocoder_config = (
            self.config(there.acoustic_config),
            self.config(there.vocoder_config),
        )
        audio_config = self.config(there.audio) if there.audio else None
        rate = _one_rate([audio_config, acoustic_config, vocoder_config], where=self._where(name))
        vocoder, vocoder_weights = self._vocoder(there, vocoder_config, rate)
        hop = _one([audio_config, acoustic_config, vocoder_config], "hop_length")
        if hop is not None and hop[0] != vocoder.hop_samples:
            raise ImportSourceError(
                f"{hop[1]}: 'hop_length' is {hop[0]}, and the vocoder makes {vocoder.hop_samples} "
                f"samples of a frame. {_REMEDY}"
            )
        acoustic, weights = self._acoustic(there, acoustic_config)
        if acoustic.mels != vocoder.columns:
            raise ImportSourceError(
                f"{self._where(name)}: its acoustic model makes {acoustic.mels} numbers a frame, "
                f"and its vocoder takes {vocoder.columns}. {_REMEDY}"
            )
        tables = read_tables(
            {kind: self.read(path, MAX_YAML_BYTES) for kind, path in there.dictionaries.items()},
            acoustic_config,
            acoustic,
        )
        speaker = self._speaker(there, acoustic)
        return self._described(
            name,
            components={ACOUSTIC: weights, VOCODER: vocoder_weights, **speaker},
            tables=tables,
            architectures={ACOUSTIC: acoustic.to_config(), VOCODER: vocoder.to_config()},
            audio=Audio(rate, vocoder.hop_samples),
        )

    def _where(self, name: str) -> str:
        return f"{self.files.path}: {name}"

    def _vocoder(
        self, there: VoiceFiles, config: Fields, rate: int
    ) -> tuple[GeneratorArchitecture, dict[str, torch.Tensor]]:
        from voxswap_families.sambert.checkpoint import vocoder_tensors
        from voxswap_families.sambert.vocoder_weights import stored_tensors

        params = config.object("Model").object("Generator").object("params")
        architecture = generator_architecture(
            params.raw, where=params.where, sample_rate_hertz=rate
        )
        file = self.read(there.vocoder, MAX_WEIGHTS_BYTES)
        tensors = vocoder_tensors(file)
        _check(checkpoint_shapes(architecture), tensors, file, there.vocoder_config)
        return architecture, stored_tensors(tensors, architecture)

    def _acoustic(
        self, there: VoiceFiles, config: Fields
    ) -> tuple[AcousticArchitecture, dict[str, torch.Tensor]]:
        from voxswap_families.layers.stored import as_stored
        from voxswap_families.sambert.checkpoint import acoustic_tensors

        params = config.object("Model").object("KanTtsSAMBERT").object("params")
        file = self.read(there.acoustic, MAX_WEIGHTS_BYTES)
        tensors = acoustic_tensors(file)
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        try:
            architecture = architecture_of(params.raw, shapes, self._pitch(there))
        except ValueError as error:
            raise ImportSourceError(f"{params.where}: {error}") from error
        _check(acoustic_shapes(architecture), tensors, file, there.acoustic_config)
        return architecture, as_stored(tensors)

    def _pitch(self, there: VoiceFiles) -> tuple[float, float] | None:
        """Mean and deviation, if they lie there."""
        if there.pitch is None:
            return None
        file = self.read(there.pitch, MAX_ARRAY_BYTES)
        mean, deviation = map(float, read_array(file, size=2))
        if not deviation > 0:
            raise ImportSourceError(
                f"{file.path} has the deviation {deviation:g}, which must be above 0. {_REMEDY}"
            )
        return mean, deviation

    def _speaker(
        self, there: VoiceFiles, acoustic: AcousticArchitecture
    ) -> dict[str, dict[str, torch.Tensor]]:
        """The vector of a voice that has one in place of a table."""
        if acoustic.n_speakers:
            return {}
        if there.speaker is None:
            raise ImportSourceError(
                f"{self._where(there.name)}: its speaker is a vector (SE: true), and there is no "
                "se.npy beside its configuration. A base model speaks as whom it is given the "
                "vector of: put that there"
            )
        import torch

        values = read_array(self.read(there.speaker, MAX_ARRAY_BYTES), size=acoustic.speaker_units)
        return {SPEAKER: {SPEAKER: torch.from_numpy(values)}}

    def _described(
        self,
        name: str,
        *,
        components: Mapping[str, Mapping[str, torch.Tensor]],
        tables: Tables,
        architectures: Mapping[str, Any],
        audio: Audio,
    ) -> VoiceDraft:
        """The draft; its components are written below the request's folder."""
        request = self.request
        with as_registry_errors("write into", request.workdir):
            request.workdir.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix="sambert-", dir=request.workdir))
        for role, tensors in components.items():
            write_safetensors(tensors, folder / f"{role}.safetensors", progress=request.progress)
        symbols = folder / "symbols.json"
        with as_registry_errors("write", symbols):
            symbols.write_bytes(
                json.dumps(tables.symbols, ensure_ascii=False, separators=(",", ":")).encode()
            )
        offered = tuple(e for e in EMOTIONS if e in tables.emotions)
        created = request.clock().astimezone(UTC).replace(microsecond=0, tzinfo=None)
        return VoiceDraft(
            voice_id=request.voice_id,
            engine=ENGINE,
            engine_config={
                **architectures,
                "emotions": tables.emotions,
                "pauses": list(tables.pauses),
            },
            components=(
                *(
                    DraftComponent(role, folder / f"{role}.safetensors", _SAFETENSORS)
                    for role in components
                ),
                DraftComponent(reading.ROLE, symbols, "application/json"),
            ),
            audio=audio,
            language=language_tag(request.language, "zh-CN", where=self._where(name)),
            front_end=FrontEndSpec("mandarin", {"alphabet": "kantts"}),
            speakers=tables.speakers,
            defaults={},
            controls=CONTROLS,
            emotions=offered if offered and _IS_EMOTIONAL.search(name) else None,
            licence=request.licence or self._licence(),
            provenance=Provenance(
                source=one_line(f"{name} of {self.files.path.name}"),
                source_digests=self.digests,
                tool=tool_name(),
                created=f"{created.isoformat()}Z",
                code_licence=request.code_licence or "MIT (KAN-TTS)",
            ),
            display_name=one_line(name.replace("_", " ").title()),
            fabricated=True if FABRICATED in self.files.names else None,
        )

    def _licence(self) -> str:
        """What the model's card says."""
        if "README.md" not in self.files.names:
            return UNKNOWN_LICENCE
        card = self.files.read("README.md", limit_bytes=_MAX_CARD_BYTES, progress=NullProgress())
        match = _LICENCE_LINE.search(card.data)
        if match is None:
            return UNKNOWN_LICENCE
        return one_line(match.group(1).decode("utf-8", "replace").strip().strip("\"'"))[:200]


def _check(
    expected: Mapping[str, tuple[int, ...]],
    tensors: Mapping[str, torch.Tensor],
    file: SourceFile,
    config: str,
) -> None:
    remedy = (
        f"It is not the checkpoint that {config} describes, or no KAN-TTS model that "
        "voxswap knows; fetch both again from one place"
    )
    check_checkpoint(expected, tensors, file, remedy=remedy)


def _one(configs: Sequence[Fields | None], key: str) -> tuple[int, str] | None:
    """What all that say so say of their audio, and one of them. Raises `ImportSourceError`."""
    found: tuple[int, str] | None = None
    for config in configs:
        if config is None or not config.has("audio_config"):
            continue
        audio = config.object("audio_config")
        if not audio.has(key):
            continue
        value = audio.whole(key, low=1, high=1 << 24)
        if found is not None and found[0] != value:
            raise ImportSourceError(
                f"{audio.where}: {key!r} is {value}, and {found[0]} in {found[1]}: an acoustic "
                f"model and a vocoder of different audio do not speak together. {_REMEDY}"
            )
        found = found or (value, audio.where)
    return found


def _one_rate(configs: Sequence[Fields | None], *, where: str) -> int:
    """The sample rate of a voice, in Hertz."""
    found = _one(configs, "sampling_rate")
    if found is None:
        raise ImportSourceError(
            f"{where}: no configuration says the sampling_rate of its audio (audio_config.yaml); "
            "fetch that file too"
        )
    rate, said = found
    if not MIN_RATE_HERTZ <= rate <= MAX_RATE_HERTZ:
        raise ImportSourceError(
            f"{said}: 'sampling_rate' is {rate}; {MIN_RATE_HERTZ} to {MAX_RATE_HERTZ} are spoken"
        )
    return rate


IMPORTERS: Final = (
    Importer(
        "a Sambert-HiFiGAN model of ModelScope (its folder or zip, with voices/voices.json)",
        find_sambert,
        import_sambert,
        sambert_members,
    ),
)
