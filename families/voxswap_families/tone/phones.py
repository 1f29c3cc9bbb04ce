"""What each symbol sounds like: formants, noise and length.

The formants of vowels are the averages of 33 men in Peterson and Barney, "Control methods used in a
study of the vowels" (1952), table II. Consonants are given the class that they belong to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Phone:
    """One symbol. ``voice`` and ``noise`` are amplitudes from 0 to 1, the noise around a frequency.

    ``frames`` of 10 ms is how long it lasts at the usual rate.
    """

    formants_hertz: tuple[int, int, int] = (500, 1_500, 2_500)
    frames: int = 8
    voice: float = 1.0
    noise: float = 0.0
    noise_hertz: int = 4_000


def _vowel(first: int, second: int, third: int) -> Phone:
    return Phone((first, second, third), frames=10)


_I, _IH, _EH = _vowel(270, 2290, 3010), _vowel(390, 1990, 2550), _vowel(530, 1840, 2480)
_AE, _AH, _AA = _vowel(660, 1720, 2410), _vowel(640, 1190, 2390), _vowel(730, 1090, 2440)
_AO, _UH, _U = _vowel(570, 840, 2410), _vowel(440, 1020, 2240), _vowel(300, 870, 2240)
_ER = _vowel(490, 1350, 1690)
_SCHWA = Phone(frames=5)
_NASAL = Phone((280, 1_200, 2_300), frames=7, voice=0.6)
_LIQUID = Phone((360, 1_100, 2_600), frames=6, voice=0.8)
_GLIDE = Phone((300, 1_600, 2_600), frames=5, voice=0.8)
_STOP = Phone(frames=5, voice=0.0, noise=0.3)
_VOICED_STOP = Phone((300, 1_400, 2_400), frames=5, voice=0.4, noise=0.1)
_PAUSE = Phone(frames=6, voice=0.0)
_MARK = Phone(frames=0, voice=0.0)


def _hiss(hertz: int, *, voice: float = 0.0) -> Phone:
    return Phone((300, 1_600, 2_600), frames=8, voice=voice, noise=0.5, noise_hertz=hertz)


#: A symbol's id is its place. IPA as espeak-ng writes it, letters, and punctuation.
PHONES: Final[Mapping[str, Phone]] = MappingProxyType(
    {
        "i": _I, "ɪ": _IH, "ɛ": _EH, "e": _EH, "æ": _AE, "a": _AE, "ʌ": _AH, "ɐ": _AH, "ɑ": _AA,
        "ɒ": _AA, "ɔ": _AO, "o": _AO, "ʊ": _UH, "u": _U, "ɜ": _ER, "ɚ": _ER, "ə": _SCHWA,
        "ᵻ": _IH, "m": _NASAL, "n": _NASAL, "ŋ": _NASAL, "l": _LIQUID, "ɹ": _LIQUID,
        "r": _LIQUID, "ɾ": _LIQUID, "w": _GLIDE, "j": _GLIDE, "y": _GLIDE, "p": _STOP,
        "t": _STOP, "k": _STOP, "c": _STOP, "q": _STOP, "ʔ": _STOP, "b": _VOICED_STOP,
        "d": _VOICED_STOP, "ɡ": _VOICED_STOP, "g": _VOICED_STOP, "f": _hiss(5_000),
        "θ": _hiss(5_500), "s": _hiss(6_000), "x": _hiss(3_000), "ʃ": _hiss(3_000),
        "h": _hiss(1_500), "v": _hiss(5_000, voice=0.4), "ð": _hiss(5_500, voice=0.4),
        "z": _hiss(6_000, voice=0.4), "ʒ": _hiss(3_000, voice=0.4), " ": _PAUSE,
        ",": Phone(frames=15, voice=0.0), ";": Phone(frames=15, voice=0.0),
        ":": Phone(frames=15, voice=0.0), ".": Phone(frames=25, voice=0.0),
        "!": Phone(frames=25, voice=0.0), "?": Phone(frames=25, voice=0.0), "'": _MARK,
        "-": _PAUSE, "ˈ": _MARK, "ˌ": _MARK, "ː": Phone(frames=4, voice=0.0),
    }
)  # fmt: skip
