"""The dictionaries of a KAN-TTS voice: what each row of its tables stands for, in order.

A voice has them as text files in ``dict/``, one name a line, and newer releases leave them out:
then they are those of its language. Behind the names come rows that no text has, `SPECIALS`, of
which the last is missing in some. Nothing in a checkpoint tells the order of its rows; so the names
of a language in another order than KAN-TTS's own are refused rather than mispronounced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from voxswap_families.importing.foreign import read_names
from voxswap_families.symbols import KANTTS_SPECIALS
from voxswap_registry.errors import ImportSourceError

SPECIALS: Final = KANTTS_SPECIALS
PINYIN: Final = "PinYin"
#: Phones that are breaks, from the shortest to the end of a sentence.
PAUSES: Final = ("#1", "#2", "#3", "#4")
MAX_DICTIONARY_BYTES: Final = 1 << 20
_EMOTION: Final = "emotion_"
_NOT_OFFERED: Final = ("none", "placeholder")

# KAN-TTS's names in its order: Mandarin phones, those of English words, Mandarin with erhua.
_PHONES: Final = (
    "a_c ai_c an_c ang_c ao_c b_c c_c ch_c d_c e_c ei_c en_c eng_c er_c f_c g_c h_c i_c ia_c ian_c "
    "iang_c iao_c ie_c ih_c ii_c in_c ing_c io_c iong_c iou_c j_c k_c l_c m_c n_c o_c ong_c ou_c "
    "p_c q_c r_c s_c sh_c t_c u_c ua_c uai_c uan_c uang_c uei_c uen_c ueng_c uo_c v_c van_c ve_c "
    "vn_c xx_c z_c zh_c w_c y_c ga ge go "
    "aa ae ah ao aw ay b ch d dh eh er ey f g hh ih iy jh k l m n ng ow oy p r s sh t th uh uw v w "
    "y z zh "
    "air_c angr_c anr_c aor_c ar_c eir_c engr_c enr_c iangr_c ianr_c iaor_c iar_c ier_c ihr_c "
    "iir_c ingr_c inr_c iongr_c iour_c ir_c ongr_c or_c our_c uair_c uangr_c uanr_c uar_c ueir_c "
    "uenr_c uor_c ur_c vanr_c ver_c vnr_c vr_c pau"
)
_EMOTIONS: Final = (
    "none neutral angry disgust fear happy sad surprise calm gentle relax lyrical serious "
    "disgruntled satisfied disappointed excited anxiety jealousy hate pity pleasure arousal "
    "dominance placeholder1 placeholder2 placeholder3 placeholder4 placeholder5 placeholder6 "
    "placeholder7 placeholder8 placeholder9"
)
#: Of each dictionary but the speakers': the names of Mandarin voices.
KNOWN: Final[Mapping[str, tuple[str, ...]]] = {
    "sy": (*_PHONES.split(), *PAUSES),
    "tone": ("tone1", "tone_none", "tone4", "tone2", "tone3", "tone5", "tone0"),
    "syllable_flag": ("s_begin", "s_end", "s_none", "s_both", "s_middle"),
    "word_segment": ("word_begin", "word_end", "word_middle", "word_both", "word_none"),
    "emotion": tuple(f"{_EMOTION}{name}" for name in _EMOTIONS.split()),
}
#: Of each dictionary: its file, and the table whose rows it names.
FILES: Final[Mapping[str, str]] = {
    "sy": "sy_dict.txt",
    "tone": "tone_dict.txt",
    "syllable_flag": "syllable_flag_dict.txt",
    "word_segment": "word_segment_dict.txt",
    "emotion": "emo_category_dict.txt",
    "speaker": "speaker_dict.txt",
}


def read_dictionary(data: bytes, *, where: str) -> tuple[str, ...]:
    """The lines of a dictionary. Raises `ImportSourceError`."""
    names = read_names(data, where=where)
    for number, name in enumerate(names, 1):
        if name in SPECIALS:
            raise ImportSourceError(
                f"{where}: line {number} is {name!r}, which stands behind every dictionary by "
                "itself; take it out"
            )
    return names


def check_order(names: Sequence[str], known: Sequence[str], *, where: str) -> None:
    """Raise `ImportSourceError` for the names that are known, in another order."""
    if sorted(names) == sorted(known) and list(names) != list(known):
        line = next(i for i, (a, b) in enumerate(zip(names, known, strict=True)) if a != b)
        raise ImportSourceError(
            f"{where} is in another order than the voice was trained with: line {line + 1} is "
            f"{names[line]!r}, where {known[line]!r} belongs. Put back the file that came with the "
            "voice"
        )


def rows(names: Sequence[str], n_rows: int, *, table: str, where: str) -> tuple[str, ...]:
    """Names of all rows of a table that has ``n_rows``: a dictionary's, and those behind them.

    Raises `ImportSourceError` for a dictionary of another length.
    """
    behind = n_rows - len(names)
    if behind not in {len(SPECIALS), len(SPECIALS) - 1}:
        raise ImportSourceError(
            f"{where} has {len(names)} names, and {table} in the checkpoint has {n_rows} rows, "
            f"which is {n_rows - len(SPECIALS) + 1} or {n_rows - len(SPECIALS)} names and those "
            f"behind them ({' '.join(SPECIALS)}); the two must be of one voice"
        )
    return (*names, *SPECIALS[:behind])


def emotion_rows(names: Sequence[str]) -> dict[str, int]:
    """The row of each emotion, by its name without its prefix; not those that mean nothing."""
    plain = {name.removeprefix(_EMOTION): row for row, name in enumerate(names)}
    return {
        name: row
        for name, row in plain.items()
        if name not in SPECIALS and not name.startswith("placeholder")
    }


def offered_emotions(rows_of: Mapping[str, int]) -> tuple[str, ...]:
    """Those that a request may ask for."""
    return tuple(name for name in rows_of if not name.startswith(_NOT_OFFERED))
