"""The tokens of a made-up voice: as many as EmotiVoice's own, and of the same kinds.

A voice that was imported has those of its tokenlist, in the order of that.
"""

from __future__ import annotations

from typing import Final

#: What begins and ends a line.
EDGE: Final = "<sos/eos>"
_COUNT: Final = 502
_VOWELS: Final = "AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW"
_CONSONANTS: Final = "B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH"
_INITIALS: Final = "b c ch d f g h j k l m n p q r s sh t x y z zh"
_FINALS: Final = (
    "a ai an ang ao e ei en eng er i ia ian iang iao ie ii iii in ing iong iou o ong ou u ua uai "
    "uan uang uei uen ueng uo v van ve vn"
)
_PAUSES: Final = "sp0 sp1 sp2 sp3 sp4 engsp0 engsp1 engsp2 engsp4 cn_eng_sp eng_cn_sp"


def made_up_tokens() -> tuple[str, ...]:
    """One for each row of the table, a filling first, and names that no text has at the end."""
    known = [
        "_",
        EDGE,
        *(f"[{vowel}{stress}]" for vowel in _VOWELS.split() for stress in "012"),
        *(f"[{consonant}]" for consonant in _CONSONANTS.split()),
        *_INITIALS.split(),
        *(f"{final}{tone}" for final in _FINALS.split() for tone in "12345"),
        *_PAUSES.split(),
    ]
    return (*known, *(f"unused{place}" for place in range(_COUNT - len(known))))
