"""Symbol tables to write with: Kokoro's, and such as are made of KAN-TTS's and EmotiVoice's."""

from __future__ import annotations

from typing import Final

from voxswap_families.emotivoice.tokens import EDGE, made_up_tokens
from voxswap_families.kokoro.format import SYMBOLS, symbol_table_json
from voxswap_families.symbols import KANTTS_SPECIALS, SymbolTable
from voxswap_families.text import SymbolSequence

KOKORO: Final = SymbolTable.from_json(symbol_table_json(SYMBOLS))
EMOTIVOICE: Final = SymbolTable.piper(
    {token: [row] for row, token in enumerate(made_up_tokens())}, pad=None, bos=EDGE, eos=EDGE
)
_LETTERS: Final = {index: symbol for symbol, index in SYMBOLS.items()}

_INITIALS = "b c ch d f g h j k l m n p q r s sh t w xx y z zh"
_FINALS = (
    "a ai an ang ao e ei en eng er i ia ian iang iao ie ih ii in ing iong iou o ong ou u ua uai"
    " uan uang uei uen ueng uo v van ve vn air angr anr aor ar eir engr enr iangr ianr iaor iar"
    " ier ihr iir ingr inr iongr iour ir ongr or our uair uangr uanr uar ueir uenr uor ur vanr ver"
    " vnr vr"
)
_ENGLISH = (
    "aa ae ah ao aw ay b ch d dh eh er ey f g hh ih iy jh k l m n ng ow oy p r s sh t th uh uw v w"
    " y z zh"
)
_MANDARIN = [f"{name}_c" for name in (_INITIALS + " " + _FINALS).split()] + ["ga", "ge", "go"]
_TONES = ["tone1", "tone_none", "tone4", "tone2", "tone3", "tone5", "tone0"]
_PLACES = ["s_begin", "s_end", "s_none", "s_both", "s_middle"]
_WHOLES = ["word_begin", "word_end", "word_middle", "word_both", "word_none"]
_BREAKS = ["#1", "#2", "#3", "#4"]


def _phones(*, english: bool, without: str) -> list[str]:
    phones = [*_MANDARIN, *(_ENGLISH.split() if english else ()), *_BREAKS]
    return [phone for phone in phones if phone != without]


def kantts_table(*, english: bool = True, without: str = "") -> SymbolTable:
    """The four tables of a voice, which may lack a phone."""
    rows = (_phones(english=english, without=without), _TONES, _PLACES, _WHOLES)
    return SymbolTable.kantts([[*names, *KANTTS_SPECIALS] for names in rows])


def tokens(sequence: SymbolSequence, *, english: bool = True) -> list[str]:
    """The tokens as KAN-TTS writes them, without emotion and speaker."""
    tables = (_phones(english=english, without=""), _TONES, _PLACES, _WHOLES)
    written = []
    for symbol in sequence.ids:
        left, names = symbol, []
        for table in tables:
            left, row = divmod(left, len(table) + len(KANTTS_SPECIALS))
            names.append(table[row])
        written.append("$".join(names))
    return written


def phonemes(sequence: SymbolSequence) -> str:
    """The ids as Kokoro's own letters, without the boundaries around them."""
    assert sequence.ids[0] == sequence.ids[-1] == 0
    return "".join(_LETTERS[i] for i in sequence.ids[1:-1])


def emotivoice_tokens(sequence: SymbolSequence) -> str:
    """The ids as EmotiVoice's tokens."""
    return " ".join(made_up_tokens()[row] for row in sequence.ids)
