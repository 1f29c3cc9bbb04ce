"""What a voice's dictionaries and its configuration say of the rows of its tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from voxswap_families.importing.request import one_line
from voxswap_families.importing.source import Fields, SourceFile
from voxswap_families.sambert.architecture import AcousticArchitecture
from voxswap_families.sambert.dictionaries import (
    KNOWN,
    PAUSES,
    PINYIN,
    SPECIALS,
    check_order,
    emotion_rows,
    read_dictionary,
    rows,
)
from voxswap_registry.errors import ImportSourceError

_SYMBOLS = ("sy", "tone", "syllable_flag", "word_segment")


@dataclass(frozen=True, slots=True)
class Tables:
    """The component ``symbols``, rows of emotions and speakers by name, and of pauses."""

    symbols: Mapping[str, Any]
    emotions: Mapping[str, int]
    speakers: Mapping[str, int]
    pauses: tuple[int, ...]


def read_tables(
    files: Mapping[str, SourceFile], config: Fields, architecture: AcousticArchitecture
) -> Tables:
    """From the dictionaries, or without any those of the voice's language.

    Raises `ImportSourceError` for those that are not of these tables, or of a language that has no
    front-end.
    """
    unit = config.object("linguistic_unit")
    language = unit.text("language", PINYIN)
    if language.lower() != PINYIN.lower():
        raise unit.fault(
            "language", f"is {language!r}; voxswap reads Mandarin voices ({PINYIN}) of this kind"
        )
    listed = _listed(unit)
    names: dict[str, tuple[str, ...]] = {**KNOWN, "speaker": listed}
    wheres = dict.fromkeys(names, f"the table of {PINYIN}")
    wheres["speaker"] = unit.where
    for kind, file in files.items():
        wheres[kind] = str(file.path)
        found = read_dictionary(bytes(file.data), where=wheres[kind])
        check_order(found, names[kind], where=wheres[kind])
        names[kind] = found
    counts = {
        "sy": architecture.n_sy,
        "tone": architecture.n_tone,
        "syllable_flag": architecture.n_syllable_flag,
        "word_segment": architecture.n_word_segment,
        "emotion": architecture.n_emotions,
        **({"speaker": architecture.n_speakers} if architecture.n_speakers else {}),
    }
    all_rows = {
        kind: rows(names[kind], count, table=f"the table {kind!r}", where=wheres[kind])
        for kind, count in counts.items()
    }
    _check_mask(all_rows, names, wheres)
    sy = names["sy"]
    if missing := [pause for pause in PAUSES if pause not in sy]:
        raise ImportSourceError(
            f"{wheres['sy']} lacks {missing[0]}, a pause; the file must be the one the voice was "
            "trained with"
        )
    speakers = {one_line(name): row for row, name in enumerate(names["speaker"])}
    return Tables(
        symbols={"layout": "kantts", **{kind: list(found) for kind, found in all_rows.items()}},
        emotions=emotion_rows(all_rows["emotion"]),
        # One who is alone needs no name.
        speakers=speakers if architecture.n_speakers and len(speakers) > 1 else {},
        pauses=tuple(sy.index(pause) for pause in PAUSES),
    )


def _listed(unit: Fields) -> tuple[str, ...]:
    """The speakers that a configuration lists, in the order of their rows."""
    value = unit.raw.get("speaker_list")
    if not isinstance(value, str) or not value.strip():
        raise unit.fault("speaker_list", "must be names with commas between them")
    return tuple(name.strip() for name in value.strip().split(","))


def _check_mask(
    all_rows: Mapping[str, tuple[str, ...]],
    names: Mapping[str, tuple[str, ...]],
    wheres: Mapping[str, str],
) -> None:
    """A model has the row for masks in all its tables, or in none: else one has a wrong length."""
    behind = {kind: len(found) - len(names[kind]) for kind, found in all_rows.items()}
    usual = max(behind.values(), key=list(behind.values()).count)
    for kind, count in behind.items():
        if count != usual:
            told = "less" if count > usual else "more"
            raise ImportSourceError(
                f"{wheres[kind]} has one name {told} than its table, by all others of the voice: "
                f"{' '.join(SPECIALS[:usual])} stand behind each of them. The file must be the one "
                "the voice was trained with"
            )
