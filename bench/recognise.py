"""Speech back to words: how well a small recogniser understands what was spoken."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

RECOGNISER_RATE_HERTZ = 16_000

# The nearest of the recogniser's English sounds, longer ones first. What is not here says nothing:
# stress, length, tones.
_NEAREST = {
    sound: english
    for english, sounds in {
        "AA": "a ɑ ɐ ɒ", "AE": "æ", "AH": "ʌ ə ɤ", "AO": "o ɔ", "AW": "au aʊ", "AY": "ai aɪ",
        "B": "b", "CH": "tʃ tʂʰ ʈʂʰ tɕʰ ʨʰ ꭧʰ c", "D": "d ɖ", "DH": "ð", "EH": "e ɛ ɛ̃",
        "ER": "ɚ ɝ ɜ œ ø", "EY": "ei eɪ", "F": "f", "G": "ɡ g ɣ", "HH": "h x χ ɦ",
        "IH": "ɪ ɨ", "IY": "i", "JH": "dʒ tʂ ʈʂ tɕ ʨ ꭧ ɟ", "K": "k q", "L": "l ɫ", "M": "m",
        "N": "n", "NG": "ŋ", "N Y": "ɲ", "L Y": "ʎ", "OW": "ou oʊ", "OY": "ɔi ɔɪ", "P": "p",
        "R": "r ɾ ɹ ʁ ɻ ʐ ɽ", "S": "s", "SH": "ʃ ʂ ɕ", "T": "t ʈ", "TH": "θ", "UH": "ʊ",
        "UW": "u", "V": "v β ʋ", "W": "w", "Y": "j", "Y UW": "y", "Y W": "ɥ", "Z": "z",
        "ZH": "ʒ ʑ", "T S": "ts tsʰ ʦ ʦʰ", "D Z": "dz ʣ",
    }.items()
    for sound in sounds.split()
}  # fmt: skip
_SOUND = re.compile("|".join(sorted(_NEAREST, key=len, reverse=True)))


def recognise(audio: npt.NDArray[np.float32], sample_rate_hertz: int) -> str:
    """What pocketsphinx hears, in lower case, with its stock English model. Not thread-safe."""
    return _heard(_decoder(), audio, sample_rate_hertz).lower()


def likeliest(
    audio: npt.NDArray[np.float32], sample_rate_hertz: int, readings: Sequence[Sequence[str]]
) -> int:
    """Which of ``readings`` pocketsphinx finds likeliest, by its place; -1 if it hears none.

    A reading is words in IPA, of any language. The recogniser's model is English: of each sound it
    looks for the nearest English one, and tones, stress and length say nothing. Not thread-safe.
    """
    from pocketsphinx import Decoder, get_model_path

    decoder = Decoder(
        samprate=RECOGNISER_RATE_HERTZ,
        loglevel="FATAL",
        hmm=get_model_path("en-us/en-us"),
        lm=None,
        dict=None,
    )
    names: dict[str, str] = {}
    lines = []
    for reading in readings:
        for word in reading:
            if word not in names:
                names[word] = f"w{len(names)}"
                sounds = (_NEAREST[sound] for sound in _SOUND.findall(word))
                decoder.add_word(names[word], " ".join(sounds))
        lines.append(" ".join(names[word] for word in reading))
    alternatives = " | ".join(f"( {line} )" for line in lines)
    decoder.add_jsgf_string("g", f"#JSGF V1.0;\ngrammar g;\npublic <g> = {alternatives};\n")
    decoder.activate_search("g")
    heard = _heard(decoder, audio, sample_rate_hertz)
    return lines.index(heard) if heard in lines else -1


def _heard(decoder: Any, audio: npt.NDArray[np.float32], sample_rate_hertz: int) -> str:
    heard = soxr.resample(audio, sample_rate_hertz, RECOGNISER_RATE_HERTZ)
    silence = np.zeros(RECOGNISER_RATE_HERTZ // 4, np.float32)
    padded = np.concatenate([silence, heard, silence])
    decoder.reinit_feat()  # what it knows of the line before, its level and noise, is forgotten
    decoder.start_utt()
    decoder.process_raw((padded.clip(-1, 1) * 32767).astype("<i2").tobytes(), full_utt=True)
    decoder.end_utt()
    hypothesis = decoder.hyp()
    return hypothesis.hypstr if hypothesis else ""


@functools.cache
def _decoder() -> Any:
    """Made once: reading the model takes as long as listening to a line."""
    from pocketsphinx import Decoder

    return Decoder(samprate=RECOGNISER_RATE_HERTZ, loglevel="FATAL")


def word_error_rate(spoken: Sequence[str], heard: Sequence[str]) -> float:
    """Insertions, deletions and substitutions as a share of the words that were spoken."""
    import jiwer

    return float(jiwer.wer([_plain(line) for line in spoken], [_plain(line) for line in heard]))


def _plain(line: str) -> str:
    return " ".join(re.findall(r"[a-z']+", line.lower()))
