"""Reading a feeling off a text, by `lexicon`'s few sure words: `felt_in`.

A text is read clause by clause. What stands in quotation marks is somebody else's, unless all of it
does. A cry ("Ugh, …") and a call ("How dare you!") say a feeling; so does a state that somebody has
("I'm so happy"), but not in a question, nor in a clause with a negation, nor of anybody else.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from voxswap_server.text.feelings.lexicon import LEXICONS, Lexicon

#: How much there is of what was found, and where somebody raises the voice for it.
SURE, EMPHATIC = 0.7, 1.0

_PAIRS: Final = ('""', "\u201c\u201d", "\u201e\u201c", "\u00ab\u00bb", "\u300c\u300d")
_QUOTED: Final = re.compile(
    "|".join(f"{re.escape(a)}[^{re.escape(a + b)}]*{re.escape(b)}" for a, b in _PAIRS)
)
_CLAUSE: Final = re.compile("([^,.;:!?¡¿…—()，。；：！？、]+)([,.;:!?…—()，。；：！？、]*)")
_APOSTROPHES: Final = str.maketrans("\u2019\u02bc", "''")


@dataclass(frozen=True, slots=True)
class _Patterns:
    cry: re.Pattern[str]
    call: re.Pattern[str]
    state: re.Pattern[str]
    negated: re.Pattern[str]
    emotions: Mapping[str, str]  # of each word that is found


def readable(languages: Iterable[str] = tuple(LEXICONS)) -> list[str]:
    """Those of ``languages`` in which a feeling is read off a text, by the first part of a tag."""
    parts = (language.replace("_", "-").partition("-")[0].lower() for language in languages)
    return list(dict.fromkeys(part for part in parts if part in LEXICONS))


def felt_in(text: str, languages: Iterable[str]) -> dict[str, float]:
    """The share of each emotion that ``text`` says; together 1 at most.

    Empty where it says none, or nobody can read it.
    """
    found: Counter[str] = Counter()
    is_emphatic = False
    clauses = [(c.strip(), end) for c, end in _CLAUSE.findall(_own_words(text)) if c.strip()]
    for language in readable(languages):
        patterns = _patterns(language)
        for clause, end in clauses:
            if word := _feeling(clause, end, patterns):
                found[patterns.emotions[word]] += 1
                is_emphatic = is_emphatic or "!" in end or "\uff01" in end
    share = (EMPHATIC if is_emphatic else SURE) / max(1, found.total())
    return {emotion: count * share for emotion, count in found.items()}


def _feeling(clause: str, end: str, patterns: _Patterns) -> str | None:
    """The word of a clause that says a feeling."""
    match = patterns.call.fullmatch(clause) or patterns.cry.match(clause)
    if match is None and not ("?" in end or "\uff1f" in end or patterns.negated.search(clause)):
        match = patterns.state.match(clause)
    return None if match is None else match[1]


def _own_words(text: str) -> str:
    """Small letters, one space at a time, and nobody else's words."""
    words = " ".join(text.lower().translate(_APOSTROPHES).split())
    if (quoted := _QUOTED.fullmatch(words.strip(" .!?"))) is not None:
        return quoted[0][1:-1]
    return _QUOTED.sub(" , ", words)


@functools.cache
def _patterns(language: str) -> _Patterns:
    lexicon = LEXICONS[language]
    tables = lexicon.cries, lexicon.calls, lexicon.states
    emotions = {
        word: name for table in tables for name, line in table.items() for word in line.split("|")
    }
    return _Patterns(
        cry=re.compile(f"({_any_of(lexicon.cries)}){_end(lexicon)}"),
        call=re.compile(f"({_any_of(lexicon.calls)})"),
        state=re.compile(
            f"(?:{_words(lexicon.openers, lexicon)})*{_words(lexicon.selves, lexicon)}"
            f"(?:{_words(lexicon.fillers, lexicon)})*({_any_of(lexicon.states)}){_end(lexicon)}"
        ),
        negated=re.compile(_negation(lexicon)),
        emotions=emotions,
    )


def _any_of(table: Mapping[str, str]) -> str:
    return _alternatives("|".join(table.values()))


def _alternatives(words: str) -> str:
    # The longest first: what one begins with may be another.
    return "|".join(map(re.escape, sorted(words.split("|"), key=len, reverse=True)))


def _words(words: str, lexicon: Lexicon) -> str:
    return f"(?:{_alternatives(words)}){' ' if lexicon.spaced else ''}"


def _end(lexicon: Lexicon) -> str:
    return r"(?!\w)" if lexicon.spaced else ""


def _negation(lexicon: Lexicon) -> str:
    if not lexicon.spaced:
        return _alternatives(lexicon.negators)
    return rf"(?<!\w)(?:{_alternatives(lexicon.negators)})(?!\w)"
