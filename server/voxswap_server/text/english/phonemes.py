"""misaki's English phonemes as espeak-ng spells them, which is what Piper's voices were trained on.

The rules were found by comparing the two on 4,659 words, weighted by how often running text has
them. What is left differs mostly in the colour of a weak vowel or the degree of a stress;
`bench/front_ends.py` measures it.
"""

from __future__ import annotations

import re
from typing import Final

_VOWELS: Final = "aæɐɑɒɔəɚɛɜɪʊʌᵻiueo"
_VOWEL_SET: Final = frozenset(_VOWELS)
_NUCLEUS: Final = f"(?:eɪ|aɪ|oʊ|əʊ|aʊ|ɔɪ|[{_VOWELS}]ː?)"
_CONSONANT: Final = f"[^{_VOWELS}ˈˌ ]"
_BEFORE_VOWEL: Final = f"(?=[ˈˌ]?[{_VOWELS}])"
# misaki has letters of its own for diphthongs, affricates and the flapped t.
IPA_OF_LETTERS: Final = str.maketrans(
    {
        "A": "eɪ",
        "I": "aɪ",
        "O": "oʊ",
        "Q": "əʊ",
        "W": "aʊ",
        "Y": "ɔɪ",
        "ʤ": "dʒ",
        "ʧ": "tʃ",
        "T": "ɾ",
    }
)

# In order: later rules see what earlier ones wrote.
_AMERICAN: Final = tuple(
    (re.compile(pattern), spelling)
    for pattern, spelling in (
        (f"ɜɹ{_BEFORE_VOWEL}", "ɜːɹ"),
        ("ɜɹ", "ɜː"),
        (r"(?<=ˈɛv)əɹ(?=i\b|əl\b|ᵊl\b)|(?<=ˈɪf|ˈɛf)əɹ(?=ən|ᵊn)|(?<=sˈɛp)əɹ(?=ət)", "ɹ"),
        (f"əɹ(?!{_BEFORE_VOWEL[3:]}", "ɚ"),
        (r"\bdəɹ(?=ˈ)", "dᵻɹ"),
        ("əɹ", "ɚɹ"),
        (r"kᵊli\b", "kli"),
        ("ᵊl(?=[ɚɪ])", "l"),
        (f"(?<=[{_VOWELS}])tᵊ?n(?![ˈˌ{_VOWELS}])", "ʔn̩"),
        ("ᵊ", "ə"),
        ("ɑ", "ɑː"),
        (r"ɔ(?![ɪŋfsɡ]|θ\b|l[ts]\b)", "ɔː"),
        ("u", "uː"),
        ("([ˈˌ])i", r"\1iː"),
        (r"\b([^ˈˌ ]?)i(?=[ˈˌ])", r"\1iː"),
        ("i(?=ˌ)", "ɪ"),
        ("j[əʊ]l", "jʊl"),
        ("jə(?=[mtw])w?", "juː"),
        ("(?<=[ʒʃ])əw", "uː"),
        ("n(?=[ˈˌ]?[kɡ])", "ŋ"),
        (r"əɾi\b", "ᵻɾi"),
        (r"əɾɪv\b", "ətˌɪv"),
        (f"(ˈ{_NUCLEUS}{_CONSONANT}*)ˌ", r"\1"),
        (f"ˌ({_NUCLEUS}{_CONSONANT}*ˈ)", r"\1"),
    )
)
_BRITISH: Final = tuple(
    (re.compile(pattern), spelling)
    for pattern, spelling in (
        ("ᵊ", "ə"),
        (r"(?<=[ʃb])l\b", "əl"),
        ("a(?![ɪʊ])", "æ"),
        ("ɛː", "eə"),
        ("(?<!a)ɪə", "iə"),
        (r"əɹi\b", "əɹɪ"),
        ("([ˈˌ])i(?!ː|ə)", r"\1iː"),
        (r"(?<!^)(?<!^.)i\b", "ɪ"),
        (r"(?<!^)(?<!^.)(?<![eiɪʊ])ə\b", "ɐ"),
        (r"^ə(?=[^ˈˌ])", "ɐ"),
        ("u(?!ː)", "uː"),
        ("jʊ(?=[əmtw])", "juː"),
        ("n(?=[ˈˌ]?[kɡ])", "ŋ"),
        (f"(ˈ{_NUCLEUS}{_CONSONANT}*)ˌ", r"\1"),
        (f"ˌ({_NUCLEUS}{_CONSONANT}*ˈ)", r"\1"),
    )
)
# Weak vowels that the spelling tells apart and misaki does not.
_SPELLED: Final = tuple(
    (re.compile(spelling), re.compile(pattern), replacement)
    for spelling, pattern, replacement in (
        ("a", "^ə(?![ˈˌ])", "ɐ"),
        ("e", f"^[əɪ](?=[nŋmkɡs]{_CONSONANT})", "ɛ"),
        ("e", "^ə", "ɪ"),
        ("[bdrs]e", f"^({_CONSONANT})ə(?={_CONSONANT}+ˈ)", r"\1ᵻ"),
        (".*[ei]ts?$", "ə(?=ts?$)", "ɪ"),
        (".*(?:ice|is)$", "ə(?=s$)", "ɪ"),
        (".*ible$", "ə(?=bəl$)", "ᵻ"),
        (".*[aei]ble$", "(?<=ɑːs)ə(?=bəl$)", "ᵻ"),
    )
)
# Small words as espeak-ng says them within a sentence: mostly with less stress.
_SMALL_WORDS: Final = {
    "ði": "ðɪ",
    "ðən": "ðɐn",
    "ðˌɪs": "ðɪs",
    "ðiz": "ðiːz",
    "ðˌiːz": "ðiːz",
    "ðˌɛɹ": "ðɛɹ",
    "ðˌæt": "ðæt",
    "bi": "biː",
    "hi": "hiː",
    "hˌiː": "hiː",
    "ʃi": "ʃiː",
    "ʃˌiː": "ʃiː",
    "wi": "wiː",
    "wˌiː": "wiː",
    "jˌuː": "juː",
    "ˌaɪ": "aɪ",
    "ˌɪt": "ɪt",
    "ˌɪf": "ɪf",
    "wˌɛn": "wɛn",
    "bˌaɪ": "baɪ",
    "fˌɔːɹ": "fɔːɹ",
    "hæz": "hɐz",
    "ˈɔːɹ": "ɔːɹ",
    "ˈænd": "ænd",
    "ˌɔːn": "ˌɔn",
    "dˈʌz": "dʌz",
    "ˈɛni": "ˌɛni",
    "ˈʌndɚ": "ˌʌndɚ",
    "ˈɪntuː": "ˌɪntʊ",
    "wɪðˈaʊt": "wɪðˌaʊt",
    "bᵻfˈɔːɹ": "bᵻfˌɔːɹ",
    "ɐbˈaʊt": "ɐbˌaʊt",
    "bˈiːɪŋ": "bˌiːɪŋ",
}
# How a word ends when a vowel follows it.
_LINKED: Final = (
    (re.compile("ɚ$"), "ɚɹ"),
    (re.compile("^(ɪ|æ)t$"), r"\1ɾ"),
    (re.compile("^tə$"), "tʊ"),
)


def to_espeak(phonemes: str, spelling: str = "", *, british: bool = False) -> str:
    """misaki's phonemes of one word as espeak-ng writes them; ``spelling`` in lower case helps."""
    phonemes = phonemes.translate(IPA_OF_LETTERS)
    for pattern, replacement in _BRITISH if british else _AMERICAN:
        phonemes = pattern.sub(replacement, phonemes)
    if british:
        return phonemes
    for spelled, weak, replacement in _SPELLED:
        if spelled.match(spelling):
            phonemes = weak.sub(replacement, phonemes)
    return _SMALL_WORDS.get(phonemes, phonemes)


def linked(phonemes: str, following: str) -> str:
    """An American word as it ends before ``following``: ɚ gets its ɹ before a vowel, and so on."""
    if following.lstrip("ˈˌ")[:1] in _VOWEL_SET:
        for ending, link in _LINKED:
            phonemes = ending.sub(link, phonemes)
    return phonemes
