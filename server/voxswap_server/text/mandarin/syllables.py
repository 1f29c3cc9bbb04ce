"""A syllable of pinyin as models write it: misaki's way, KAN-TTS's, EmotiVoice's; IPA for marks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple

from voxswap_server.text.mandarin.tables import pairs

_INITIALS: Final = pairs(
    "zh=ꭧ ch=ꭧʰ sh=ʂ b=p p=pʰ m=m f=f d=t t=tʰ n=n l=l g=k k=kʰ h=x j=ʨ q=ʨʰ x=ɕ r=ɻ z=ʦ c=ʦʰ s=s"
)
# Of each final: the glide before its vowel, the vowel, and what closes it.
_FINALS: Final = pairs(
    "a=-a- ai=-ai- an=-a-n ang=-a-ŋ ao=-au- e=-ɤ- ei=-ei- en=-ə-n eng=-ə-ŋ er=-ɚ- i=-i- ia=j-a- "
    "ian=j-ɛ-n iang=j-a-ŋ iao=j-au- ie=j-e- in=-i-n ing=-i-ŋ iong=j-ʊ-ŋ iou=j-ou- ong=-ʊ-ŋ ou=-ou- "
    "u=-u- ua=w-a- uai=w-ai- uan=w-a-n uang=w-a-ŋ uei=w-ei- uen=w-ə-n ueng=w-ə-ŋ uo=w-o- v=-y- "
    "ve=ɥ-e- van=ɥ-ɛ-n vn=-y-n o=w-o- ii=-ɨ- ê=-ɛ-"
)
# Said with no vowel, or by themselves. `n`, `ng` and `m` are 嗯, 嗯 and 呣.
_ALONE: Final = MappingProxyType(
    {"m": ("", "m"), "n": ("", "n"), "ng": ("", "ŋ"), "hm": ("h", "m"), "hng": ("h", "ŋ")}
)
_GLIDES: Final = frozenset("jwɥ")
_INTERJECTIONS: Final = MappingProxyType({"o": "ɔ"})
_TONES: Final = MappingProxyType({"1": "→", "2": "↗", "3": "↓", "4": "↘", "5": ""})
_IPA: Final = str.maketrans(
    {"ꭧ": "tʂ", "ʦ": "ts", "ʨ": "tɕ", "→": "˥", "↗": "˧˥", "↓": "˨˩˦", "↘": "˥˩"}
)
# After these initials i is a buzz.
_BUZZING: Final = frozenset(("zh", "ch", "sh", "r", "z", "c", "s"))
_SHORTENED: Final = MappingProxyType({"iu": "iou", "ui": "uei", "un": "uen"})
# What KAN-TTS's table of syllables does not have.
_NEAREST: Final = MappingProxyType(
    {"n": "en", "ng": "en", "m": "mu", "hm": "heng", "hng": "heng", "ê": "ei"}
)


class Syllable(NamedTuple):
    """A syllable as it is spelled, ü as v: ``xiong1`` is x, iong; ``huar1`` h, ua, rhotic.

    ``initial`` may be y or w, which are no sounds, and is empty before a, e and o.
    """

    initial: str
    final: str
    rhotic: bool
    tone: str


@lru_cache(4096)
def parsed(pinyin: str) -> Syllable:
    """``pinyin`` with its tone at the end, 5 for none."""
    base, tone = pinyin[:-1].replace("ü", "v"), pinyin[-1]
    rhotic = base.endswith("r") and base != "er"
    base = base.removesuffix("r") if rhotic else base
    initial = base[:2] if base[:2] in {"zh", "ch", "sh"} else base[:1]
    if not (initial in _INITIALS or initial in {"y", "w"}) or base in _ALONE:
        initial = ""
    final = base[len(initial) :]
    if initial in {"j", "q", "x", "y"} and final.startswith("u"):
        final = f"v{final[1:]}"
    elif initial in {"l", "n"} and final == "ue":
        final = "ve"
    return Syllable(initial, final, rhotic, tone)


@lru_cache(4096)
def misaki(pinyin: str) -> tuple[str, ...]:
    """The phones of a syllable as misaki writes them: initial, glide, vowel with its tone, coda."""
    syllable = parsed(pinyin)
    tone = _TONES.get(syllable.tone, "")
    base = pinyin[:-1]
    if base in _ALONE:
        before, sound = _ALONE[base]
        return tuple(filter(None, (before, sound + tone)))
    if base in _INTERJECTIONS:
        return (_INTERJECTIONS[base] + tone,)
    glide, vowel, coda = _FINALS[_whole_final(syllable)].split("-")
    parts = [_INITIALS.get(syllable.initial, ""), glide, vowel + tone, coda]
    if syllable.rhotic:
        parts.append("ɚ")
    return tuple(filter(None, parts))


def _whole_final(syllable: Syllable) -> str:
    """The final as it sounds: y and w are vowels, iu is iou, and i after z and zh is a buzz."""
    initial, final = syllable.initial, syllable.final
    if initial == "y":
        if final[0] in "iv":
            return final
        return {"ou": "iou", "o": "o"}.get(final, f"i{final}")
    if initial == "w":
        return {"u": "u", "ei": "uei", "en": "uen", "ong": "ong"}.get(final, f"u{final}")
    if final == "i" and initial in _BUZZING:
        return "ii"
    return _SHORTENED.get(final, final)


def ipa(phones: Sequence[str]) -> str:
    """misaki's phones in IPA, tones as Chao's letters."""
    return "".join(phones).translate(_IPA)


class KanttsSyllable(NamedTuple):
    """Two phones of KAN-TTS, initial and final, and its tone; ``ipa`` of each."""

    phones: tuple[str, str]
    ipa: tuple[str, str]
    tone: str


@lru_cache(4096)
def kantts(pinyin: str) -> KanttsSyllable:
    """``pinyin`` in KAN-TTS's phones. A rhotic final is one of its own: ``huar1`` is h_c, uar_c."""
    base = _NEAREST.get(pinyin[:-1], pinyin[:-1])
    syllable = parsed(base + pinyin[-1])
    initial, final = syllable.initial, syllable.final
    if final == "i" and initial in _BUZZING:
        final = "ih" if initial in {"zh", "ch", "sh", "r"} else "ii"
    final = _SHORTENED.get(final, final)
    sound, *ending = misaki(base + pinyin[-1])
    if initial not in _INITIALS and (not initial or sound not in _GLIDES):
        ending = [sound, *ending]
        sound = {"y": "j", "w": "w"}.get(initial, "ʔ")
    first = f"g{final[0]}" if not initial else "xx_c" if initial == "x" else f"{initial}_c"
    return KanttsSyllable(
        (first, f"{final}{'r' if syllable.rhotic else ''}_c"),
        (ipa((sound,)), ipa(ending)),
        syllable.tone,
    )


# What EmotiVoice's table of finals does not have.
_NEAREST_TOKENS: Final = MappingProxyType(
    {"n": "en", "ng": "eng", "m": "mu", "hm": "heng", "hng": "heng", "ê": "ei", "wong": "weng"}
)
_WITH_GLIDE: Final = frozenset(("a", "an", "ang", "ao", "e", "ong", "ou"))


@lru_cache(4096)
def emotivoice(pinyin: str) -> tuple[tuple[str, str], ...]:
    """``pinyin`` as EmotiVoice's tokens, each with its IPA: an initial, if it has one, and a final.

    y and w are part of the final, as in ``iou3``, but in yue, which voices learned as ``y ve4``.
    """
    pinyin = _NEAREST_TOKENS.get(pinyin[:-1], pinyin[:-1]) + pinyin[-1]
    syllable = parsed(pinyin)
    initial, final = syllable.initial, _SHORTENED.get(syllable.final, syllable.final)
    if initial == "y" and final in _WITH_GLIDE:
        initial, final = "", f"i{final}"
    elif initial == "y" and final[0] in "iv" and final != "ve":
        initial = ""
    elif initial == "w":
        initial, final = "", final if final == "u" else f"u{syllable.final}"
    elif final == "i" and initial in _BUZZING:
        final = "iii" if initial in {"zh", "ch", "sh"} else "ii"
    token = f"{final}{'r' if syllable.rhotic else ''}{syllable.tone}"
    sound, *ending = misaki(pinyin)
    if not initial:
        return ((token, ipa((sound, *ending))),)
    return ((initial, ipa((sound,))), (token, ipa(ending)))
