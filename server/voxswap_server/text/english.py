"""English phonemes without espeak-ng, for the same voices: hibari-tts's Apache-2.0 front-end.

hibari reads English as misaki does. Its phonemes are rewritten here as espeak-ng spells them, which
is what Piper's voices were trained on. The rules below were found by comparing the two on 4,659
words of running text (lexicon words, weighted by frequency); ``bench/front_ends.py`` repeats the
comparison.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

from voxswap_registry.errors import FrontEndError

from voxswap_server.text.symbols import STRESS_MARKS, Symbol, SymbolTable
from voxswap_server.text.types import NormalizedText, SymbolSequence, Word

_MARKS: Final = frozenset(".,:;?!")
_MARK_OF: Final = {"…": ",", "—": ";", "–": ";", "。": ".", "、": ",", "，": ",", "？": "?", "！": "!"}
_PLAIN: Final = str.maketrans(
    {character: " " for character in '"“”„‟«»‹›()[]{}<>*_`|~^\\\u00ad\u200b\u200d'}
    | {"’": "'", "‘": "'", "‒": "-", "―": "—", "\u00a0": " "}
)

_VOWELS: Final = "aæɐɑɒɔəɚɛɜɪʊʌᵻiueo"
_NUCLEUS: Final = f"(?:eɪ|aɪ|oʊ|əʊ|aʊ|ɔɪ|[{_VOWELS}]ː?)"
_CONSONANT: Final = f"[^{_VOWELS}ˈˌ ]"
_BEFORE_VOWEL: Final = f"(?=[ˈˌ]?[{_VOWELS}])"
_LETTERS: Final = str.maketrans(
    {"A": "eɪ", "I": "aɪ", "O": "oʊ", "Q": "əʊ", "W": "aʊ", "Y": "ɔɪ", "ʤ": "dʒ", "ʧ": "tʃ", "T": "ɾ"}
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
        ("[^aeiou]e", f"^({_CONSONANT})ə(?={_CONSONANT}+ˈ)", r"\1ᵻ"),
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


class _Piece(NamedTuple):
    """A run of phonemes without spaces, or a mark; where its token begins in the text."""

    text: str
    start: int
    end: int


class _Readers:
    """The process's hibari readers, American and British: about 150 MB each, made once.

    Thread-safe: ``_lock`` guards the making (about 0.4 s; other threads wait). The readers
    themselves only look things up and need no lock.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers: dict[bool, Any] = {}

    def get(self, *, british: bool) -> Any:
        with self._lock:
            if british not in self._readers:
                try:
                    from hibari.g2p import G2P

                    reader = G2P(british=british)
                    reader.oov("voxswap")  # opens the network for unknown words now, not mid-stream
                except ImportError as error:
                    raise FrontEndError(
                        f"English text needs the package hibari-tts ({error}); "
                        "pip install 'voxswap[server]'.",
                        metadata={"package": "hibari-tts"},
                    ) from error
                self._readers[british] = reader
            return self._readers[british]


_READERS: Final = _Readers()


class EnglishFrontEnd:
    """English for Piper's espeak-trained voices, by hibari-tts. Holds no state of its own.

    Thread-safe. `symbols` takes about 2 ms a sentence. Making the first one of an accent loads its
    lexicon (about 0.4 s). Raises `FrontEndError` if hibari-tts is not installed.
    """

    def __init__(self, table: SymbolTable, *, british: bool = False) -> None:
        self._table = table
        self._british = british
        self._reader = _READERS.get(british=british)

    def __repr__(self) -> str:
        return f"EnglishFrontEnd(british={self._british})"

    def symbols(self, text: NormalizedText) -> SymbolSequence:
        """Symbols of one segment; each phone knows its word.

        Marks stand where Piper has them: after a word, a space only after ``, : ;``. Of several
        marks in a row the first counts, and marks before the first word are left out.
        """
        spoken: list[Symbol] = []
        glued = True
        for piece, following in pairwise([*self._pieces(text.text), _Piece(".", 0, 0)]):
            if piece.text in _MARKS:
                if spoken and spoken[-1].word is not None:
                    spoken.append(Symbol(piece.text, None))
                    if piece.text in ",:;":
                        spoken.append(Symbol(" ", None))
                    glued = True
                continue
            if not glued:
                spoken.append(Symbol(" ", None))
            said = piece.text
            if not self._british and following.text.lstrip(STRESS_MARKS)[0] in _VOWELS:
                for ending, linked in _LINKED:
                    said = ending.sub(linked, said)
            word = _word_at(text.words, piece)
            spoken += (Symbol(symbol, word) for symbol in said)
            glued = False
        return self._table.sequence(spoken)

    def _pieces(self, text: str) -> Iterator[_Piece]:
        plain = text.translate(_PLAIN)
        position = 0
        for token in self._reader.phonemize_tokens(self._reader.tokenize(plain)):
            found = plain.find(token.text, position)
            start = position if found < 0 else found
            end = start + len(token.text)
            position = end if found >= 0 else position
            if any(map(str.isalnum, token.text)):
                lower = token.text.lower()
                for phonemes in (token.phonemes or "").split():
                    said = self._spelled(phonemes, lower)
                    if said:
                        yield _Piece(said, start, end)
            else:
                mark = token.text[:1]
                if token.text.startswith(("...", "..")):
                    mark = "…"
                mark = _MARK_OF.get(mark, mark)
                if mark in _MARKS:
                    yield _Piece(mark, start, end)

    def _spelled(self, phonemes: str, spelling: str) -> str:
        phonemes = "".join(symbol for symbol in phonemes if symbol not in _PUNCTUATION)
        return to_espeak(phonemes, spelling, british=self._british)


_PUNCTUATION: Final = frozenset(';:,.!?—…"“”()')


def to_espeak(phonemes: str, spelling: str = "", *, british: bool = False) -> str:
    """misaki's phonemes of one word as espeak-ng writes them; ``spelling`` in lower case helps."""
    phonemes = phonemes.translate(_LETTERS)
    for pattern, replacement in _BRITISH if british else _AMERICAN:
        phonemes = pattern.sub(replacement, phonemes)
    if british:
        return phonemes
    for spelled, weak, replacement in _SPELLED:
        if spelled.match(spelling):
            phonemes = weak.sub(replacement, phonemes)
    return _SMALL_WORDS.get(phonemes, phonemes)


def _word_at(words: Sequence[Word], piece: _Piece) -> int | None:
    for index, word in enumerate(words):
        if word.start < piece.end and piece.start < word.end:
            return index
    return None
