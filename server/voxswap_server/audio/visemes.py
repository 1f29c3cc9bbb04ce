"""The mouth shape of a phone: IPA, or plain letters, to the 15 shapes that game engines use.

The set is Oculus's OVR LipSync, in the same order as OpenXR's. One phone is one shape: a diphthong
takes that of its first element, since the mouth is on its way to the next phone before the glide is
seen to end. A glide that begins a phone gives way to its vowel, as in Mandarin's finals (uang).
Rounded front vowels take the shape of their lips (ø is ``oh``), except ``y``, which is a letter of
many alphabets before it is a sound. Glottal sounds have no shape of their own and take ``kk``, the
jaw half open and the lips at rest.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from types import MappingProxyType
from typing import Final, Literal

VISEMES: Final = (
    *("sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR"),
    *("aa", "E", "ih", "oh", "ou"),
)

_SHAPES: Final = MappingProxyType(
    {
        letter: shape
        for shape, letters in {
            "PP": "pbmɓʙʘɱⱱ",
            "FF": "fvɸβʋ",
            "TH": "θðþ",
            "DD": "tdʈɖɗǀǂǃ",
            "kk": "kɡgqcxɟɠɢʛŋɴɣχħʕʡʢʜʔhɦɰɧʄ",
            "CH": "ʃʒʂʐɕʑçʝʧʤʨʥ",
            "SS": "szßſʦʣ",
            "nn": "nlɳɲɭɫɬɮʎʟłǁ",
            "RR": "rɹɺɻɽɾʀʁɚɝ",
            "aa": "aɑæɐʌ",
            "E": "eɛεəɘɜɤ",
            "ih": "iɪɨᵻıyj",
            "oh": "oɔɒøœɵɞɶ",
            "ou": "uʊwʍɯʉʏɥ",
        }.items()
        for letter in letters
    }
)
_FORMS: Final[tuple[Literal["NFC", "NFD", "NFKD"], ...]] = ("NFC", "NFD", "NFKD")
_AFFRICATES: Final = frozenset(("tʃ", "dʒ", "tɕ", "dʑ", "tʂ", "dʐ", "ʈʂ", "ɖʐ"))
_GLIDES: Final = frozenset("jwɥ")
_VOWELS: Final = frozenset("aeouɑɛəɔʊ")
_ROMAN_PAIRS: Final = MappingProxyType({"sh": "CH", "ch": "CH", "zh": "CH", "th": "TH", "ph": "FF"})


@lru_cache(maxsize=4096)
def viseme(phone_text: str) -> str:
    """The shape of a phone with its modifiers, one of `VISEMES`; ``sil`` for pauses and marks.

    Stress, length, tones and diacritics change nothing. A letter of another script takes the shape
    of the sound that its Unicode name begins with, and one without such a name ``E``: an open mouth
    is less wrong than a shut one while there is sound.
    """
    # ç is a letter of its own; ä is an a; ʲ, a modifier alone, is a j.
    for form in _FORMS:
        letters = _letters(unicodedata.normalize(form, phone_text))
        if letters[:2] in _AFFRICATES:
            return "CH"
        if letters[:1] in _GLIDES and letters[1:2] in _VOWELS:
            return _SHAPES[letters[1]]
        if letters[:1] in _SHAPES:
            return _SHAPES[letters[0]]
    return _foreign(letters[0]) if letters else "sil"


def _letters(text: str) -> str:
    return "".join(c for c in text.lower() if unicodedata.category(c) in ("Ll", "Lu", "Lt", "Lo"))


def _foreign(letter: str) -> str:
    sound = unicodedata.name(letter, "").rpartition(" ")[2].lower()
    if not sound.isalpha():
        return "E"
    if len(sound) == 2 and sound[0] == "e":  # Cyrillic el, em, en, er, es, ef
        sound = sound[1]
    return _ROMAN_PAIRS.get(sound[:2]) or _SHAPES.get(sound[0], "E")
