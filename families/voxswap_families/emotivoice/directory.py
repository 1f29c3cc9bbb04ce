"""Where the files of EmotiVoice lie in its release: its repository with what it fetches.

::

    config/joint/config.yaml
    data/youdao/text/{tokenlist, speaker2, emotion}       a name a line
    data/youdao/text/README.md                            people behind speakers; may be missing
    outputs/prompt_tts_open_source_joint/ckpt/g_N         acoustic model and vocoder
    outputs/style_encoder/ckpt/checkpoint_N
    WangZeJun/simbert-base-chinese/{config.json, vocab.txt}

The highest N is the one that speaks. All else (code, discriminators, pictures) is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from voxswap_families.importing.archive import Files
from voxswap_families.importing.source import SourceFile
from voxswap_registry.errors import ImportSourceError

CONFIG: Final = "config/joint/config.yaml"
TOKENS: Final = "data/youdao/text/tokenlist"
SPEAKERS: Final = "data/youdao/text/speaker2"
EMOTIONS: Final = "data/youdao/text/emotion"
PEOPLE: Final = "data/youdao/text/README.md"
#: How folders of the layout begin, which a zip may hold alone.
FOLDERS: Final = ("config", "data", "outputs", "WangZeJun", "simbert")
_STYLE: Final = "outputs/style_encoder/ckpt"
_MODELS: Final = re.compile(r"(outputs/[\w\-.]{1,80}/ckpt)/g_(\d{1,12})")
_ENCODERS: Final = re.compile(rf"{_STYLE}/checkpoint_(\d{{1,12}})")
_PROMPTS: Final = re.compile(r"((?:[\w\-.]{1,80}/){0,2}simbert[\w\-.]{0,80})/vocab\.txt")
_PERSON: Final = re.compile(
    r"\|\s*(?P<id>[^|]{1,64}?)\s*\|\s*(?P<name>[^|]{1,100}?)\s*\|\s*(?P<sex>[MF])\s*\|"
)
_SEXES: Final = {"M": "male", "F": "female"}


@dataclass(frozen=True, slots=True)
class ReleaseFiles:
    """The files of a release, by name."""

    config: str
    tokens: str
    speakers: str
    emotions: str
    generator: str
    style: str
    style_config: str
    vocabulary: str
    people: str | None


def may_be_release(path: Path) -> bool:
    """Whether a folder is worth going through: it may be anybody's."""
    return any((path / name).exists() for name in (CONFIG, TOKENS, "outputs/style_encoder"))


def is_release(files: Files) -> bool:
    """Whether it looks like one, by the names in it."""
    names = set(files.names)
    return TOKENS in names or (CONFIG in names and any(map(_MODELS.fullmatch, names)))


def release_files(files: Files) -> ReleaseFiles:
    """All that voices are made of. Raises `ImportSourceError` with the first that is missing."""
    names = set(files.names)
    for name in (CONFIG, TOKENS, SPEAKERS, EMOTIONS):
        needed(files, name)
    prompts = sorted({m.group(1) for name in names if (m := _PROMPTS.fullmatch(name))})
    if len(prompts) > 1:
        raise ImportSourceError(
            f"{files.path} holds {prompts[0]} and {prompts[1]}, which both have a vocab.txt; leave "
            "the one that the style encoder was trained with"
        )
    prompt = prompts[0] if prompts else "WangZeJun/simbert-base-chinese"
    return ReleaseFiles(
        config=CONFIG,
        tokens=TOKENS,
        speakers=SPEAKERS,
        emotions=EMOTIONS,
        generator=_generator(files),
        style=_highest(files, _ENCODERS, f"{_STYLE}/checkpoint_N"),
        style_config=needed(files, f"{prompt}/config.json"),
        vocabulary=needed(files, f"{prompt}/vocab.txt"),
        people=PEOPLE if PEOPLE in names else None,
    )


def _generator(files: Files) -> str:
    found = {m.group(1) for name in files.names if (m := _MODELS.fullmatch(name))}
    if len(found) > 1:
        raise ImportSourceError(
            f"{files.path} holds models in {' and '.join(sorted(found)[:2])}; leave the folder of "
            "the one that shall speak"
        )
    return _highest(files, _MODELS, "outputs/prompt_tts_open_source_joint/ckpt/g_N")


def _highest(files: Files, pattern: re.Pattern[str], wanted: str) -> str:
    """The file with the highest number behind its name."""
    numbered = [
        (int(match.groups()[-1]), name)
        for name in files.names
        if (match := pattern.fullmatch(name)) is not None
    ]
    return max(numbered)[1] if numbered else needed(files, wanted)


def needed(files: Files, name: str) -> str:
    """The file; `ImportSourceError` with what lies there in its place."""
    if name in files.names:
        return name
    parent = name.rpartition("/")[0]
    beside = [found for found in files.names if found.rpartition("/")[0] == parent]
    told = (
        f"holds {', '.join(found.rpartition('/')[2] for found in beside[:4])[:120]!a}"
        if beside
        else "is empty, or not there"
    )
    raise ImportSourceError(
        f"{files.path}: {name} is missing ({parent} {told}); fetch it as EmotiVoice's README says, "
        "or give it back that name"
    )


@dataclass(frozen=True, slots=True)
class Person:
    """Who was recorded, as the release tells."""

    name: str
    sex: str


def people_in(file: SourceFile) -> Mapping[str, Person]:
    """The people of a table with their number, name and sex; what is no such line is left out."""
    text = file.data.decode("utf-8", "replace")
    return {
        match["id"]: Person(match["name"], _SEXES[match["sex"]])
        for line in text.splitlines()
        if (match := _PERSON.match(line)) is not None
    }
