"""Where the files of each voice lie in a directory as ModelScope publishes it.

::

    configuration.json
    voices/voices.json                       {"voices": ["zhitian_emo", …]}
    voices/<voice>/audio_config.yaml
    voices/<voice>/am/{config.yaml, mvn.npy, se.npy, ckpt/checkpoint_N.pth}
    voices/<voice>/voc/{config.yaml, ckpt/checkpoint_N.pth}
    voices/<voice>/dict/*_dict.txt
    basemodel_16k/{sambert,hifigan}/…        a base model, in place of am and voc

The highest N is the one that speaks. All else (resource.zip, pictures, cards) is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from voxswap_families.importing.archive import Files
from voxswap_families.importing.source import MAX_JSON_BYTES, SourceFile, parse_json
from voxswap_families.sambert.dictionaries import FILES
from voxswap_registry.errors import ImportSourceError
from voxswap_registry.progress import NullProgress

_VOICES: Final = "voices/voices.json"
_CHECKPOINT: Final = re.compile(r"checkpoint_(\d{1,12})\.pth")
_BASE: Final = re.compile(r"basemodel_?\w*")
_VOICE_NAME: Final = re.compile(r"[\w\-.]{1,64}")
_MAX_VOICES: Final = 1_000
_MARK: Final = "sambert"
#: How folders of the layout begin, which a zip may hold alone.
FOLDERS: Final = ("voices", "basemodel")


@dataclass(frozen=True, slots=True)
class VoiceFiles:
    """The files of one voice, by name; None for those that it may lack."""

    name: str
    audio: str | None
    acoustic_config: str
    acoustic: str
    pitch: str | None
    speaker: str | None
    vocoder_config: str
    vocoder: str
    dictionaries: Mapping[str, str]


def is_model(files: Files) -> bool:
    """Whether it looks like such a directory, by what lies in it."""
    names = set(files.names)
    if _VOICES in names or _is_voice(names, ""):
        return True
    if any(_base_of(name) and name.endswith("sambert/config.yaml") for name in names):
        return True
    # A directory whose voices.json is gone is still one, and then that is what is told.
    if "configuration.json" not in names:
        return any(name.startswith("voices/") and "/am/" in name for name in names)
    file = files.read("configuration.json", limit_bytes=MAX_JSON_BYTES, progress=NullProgress())
    return _MARK.encode() in file.data


def voice_names(files: Files) -> tuple[str, ...]:
    """Those of voices.json, or of base models where there are no others.

    Raises `ImportSourceError` if what is listed and what lies there are not the same.
    """
    names = set(files.names)
    if _VOICES not in names:
        if _is_voice(names, ""):
            return (files.path.stem,)
        if bases := sorted({base for name in names if (base := _base_of(name))}):
            return tuple(bases)
        raise ImportSourceError(
            f"{files.path} has no {_VOICES}, which lists its voices; fetch the whole model again"
        )
    listed = _listed(files.read(_VOICES, limit_bytes=MAX_JSON_BYTES, progress=NullProgress()))
    there = {name.split("/")[1] for name in names if name.count("/") > 1 and name[:7] == "voices/"}
    if missing := [name for name in listed if name not in there]:
        raise ImportSourceError(
            f"{files.path}: {_VOICES} lists {missing[0]!r}, and there is no folder "
            f"voices/{missing[0]}; fetch it, or take it off the list"
        )
    if surplus := sorted(there - set(listed)):
        raise ImportSourceError(
            f"{files.path}: voices/{surplus[0]!a:.64} is not listed in {_VOICES}; add it to the "
            "list, or take the folder away"
        )
    return listed


def _listed(file: SourceFile) -> tuple[str, ...]:
    config = parse_json(file)
    voices = config.raw.get("voices")
    if not isinstance(voices, list) or not 0 < len(voices) <= _MAX_VOICES:
        raise config.fault("voices", f"must be a list of 1 to {_MAX_VOICES} names")
    for name in voices:
        if not isinstance(name, str) or not _VOICE_NAME.fullmatch(name) or set(name) == {"."}:
            raise config.fault("voices", f"has {name!r:.40}, which is no name of a voice")
    if len(set(voices)) != len(voices):
        raise config.fault("voices", "has a name twice")
    return tuple(voices)


def voice_files(files: Files, name: str) -> VoiceFiles:
    """The files of the voice that `voice_names` gave. Raises `ImportSourceError`."""
    names = set(files.names)
    if _BASE.fullmatch(name) and not _is_voice(names, f"voices/{name}/"):
        folder, acoustic, vocoder = f"{name}/", "sambert", "hifigan"
    else:
        folder = "" if _VOICES not in names else f"voices/{name}/"
        acoustic, vocoder = "am", "voc"
    here = _Here(files, names, folder)
    return VoiceFiles(
        name=name,
        audio=here.only(r"audio_config\w*\.yaml"),
        acoustic_config=here.needed(f"{acoustic}/config.yaml"),
        acoustic=here.checkpoint(f"{acoustic}/ckpt"),
        pitch=here.perhaps(f"{acoustic}/mvn.npy"),
        speaker=here.perhaps(f"{acoustic}/se.npy"),
        vocoder_config=here.needed(f"{vocoder}/config.yaml"),
        vocoder=here.checkpoint(f"{vocoder}/ckpt"),
        dictionaries=here.dictionaries(),
    )


@dataclass(frozen=True, slots=True)
class _Here:
    """The folder of one voice."""

    files: Files
    names: set[str]
    folder: str

    def perhaps(self, name: str) -> str | None:
        """The file, if it is there."""
        return f"{self.folder}{name}" if f"{self.folder}{name}" in self.names else None

    def needed(self, name: str) -> str:
        """The file; `ImportSourceError` with what lies there in its place."""
        if (found := self.perhaps(name)) is not None:
            return found
        parent = f"{self.folder}{name}".rpartition("/")[0]
        beside = self._in(parent)
        told = f"holds {', '.join(beside[:4])[:120]}" if beside else "is empty, or not there"
        raise ImportSourceError(
            f"{self.files.path}: {self.folder}{name} is missing ({parent or 'the folder'} {told}); "
            "fetch it, or give it back that name"
        )

    def _in(self, folder: str) -> list[str]:
        """Names of the files in ``folder``, not below."""
        prefix = f"{folder}/" if folder else ""
        inner = (name.removeprefix(prefix) for name in self.names if name.startswith(prefix))
        return sorted(name for name in inner if "/" not in name)

    def only(self, pattern: str) -> str | None:
        """The file with such a name, if there is one; `ImportSourceError` for several."""
        found = [name for name in self._in(self.folder.rstrip("/")) if re.fullmatch(pattern, name)]
        if len(found) > 1:
            raise ImportSourceError(
                f"{self.files.path}: {self.folder or 'the folder'} holds "
                f"{' and '.join(found)[:120]}; leave the one that the voice was trained with"
            )
        return f"{self.folder}{found[0]}" if found else None

    def checkpoint(self, folder: str) -> str:
        """The highest checkpoint; `ImportSourceError` where there is none, or what is not one."""
        beside = [name for name in self._in(f"{self.folder}{folder}") if name.endswith(".pth")]
        numbered = {int(m.group(1)): name for name in beside if (m := _CHECKPOINT.fullmatch(name))}
        if others := [name for name in beside if name not in numbered.values()]:
            raise ImportSourceError(
                f"{self.files.path}: {self.folder}{folder}/{others[0]!a:.64} is no "
                "checkpoint_N.pth: nobody could tell which of them speaks; give it its number "
                "back, or take it away"
            )
        if not numbered:
            return self.needed(f"{folder}/checkpoint_N.pth")
        return f"{self.folder}{folder}/{numbered[max(numbered)]}"

    def dictionaries(self) -> dict[str, str]:
        """The file of each dictionary; none, or all. `ImportSourceError` for anything else."""
        beside = self._in(f"{self.folder}dict")
        if not beside:
            return {}
        # A voice whose speaker is a vector has no table of them.
        if missing := {name for kind, name in FILES.items() if kind != "speaker"} - set(beside):
            self.needed(f"dict/{min(missing)}")
        if surplus := [name for name in beside if name not in FILES.values()]:
            raise ImportSourceError(
                f"{self.files.path}: {self.folder}dict/{surplus[0]!a:.64} is no dictionary of "
                f"KAN-TTS's ({', '.join(FILES.values())}); take it away"
            )
        return {kind: f"{self.folder}dict/{name}" for kind, name in FILES.items() if name in beside}


def _is_voice(names: set[str], folder: str) -> bool:
    return {f"{folder}am/config.yaml", f"{folder}voc/config.yaml"} <= names


def _base_of(name: str) -> str | None:
    """The base model that the file ``name`` is of."""
    first, slash, _ = name.partition("/")
    return first if slash and _BASE.fullmatch(first) else None
