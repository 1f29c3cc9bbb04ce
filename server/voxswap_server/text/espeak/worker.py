"""The inside of an espeak-ng worker: libespeak-ng by ctypes, and texts as clauses of phonemes.

Imported by worker processes alone (and by tests of its pure parts): the library corrupts memory on
some texts, and opens whatever a voice's name leads to. So it is given at most `LONGEST_CALL`
characters at a time, and only identifiers of its own list.

A longer text is read clause by clause, which is exact: espeak-ng remembers nothing from one clause
to the next. A clause that is longer than a call is read in windows that overlap, and put together
where two windows agree. What a word sounds like depends on its neighbours, not on words far away.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final

LONGEST_CALL: Final = 100
"""Characters. Of 110 texts that kill the library none does in pieces of 120, and 33 do with 150."""

#: Code points of phonemes that a request is read to: some more than any voice speaks in one go.
MOST_PHONEMES: Final = 2_000
_OVERLAP: Final = 40  # characters that two windows of a long clause have in common

_RETRIEVAL: Final = 1
_DONT_EXIT: Final = 0x8000
_CHARACTERS_UTF8: Final = 1
_PHONEMES_IPA: Final = 2
# The same, with this between the letters of one phoneme: bit 7, and the character from bit 8 on.
_PHONEMES_TIED: Final = _PHONEMES_IPA | 0x80 | ord("^") << 8

# What the library makes of a text: phonemes, and where each clause begins and ends.
Clauses = list[tuple[str, int, int]]


class _Voice(ctypes.Structure):
    """``espeak_VOICE`` of speak_lib.h, as far as it is read here."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),  # a priority byte and a name, each; a zero ends them
        ("identifier", ctypes.c_char_p),
    )


class _TooMuchError(Exception):
    """More than `MOST_PHONEMES`."""


class Library:
    """This process's libespeak-ng, with its voices. Not thread-safe: a worker has one thread."""

    def __init__(self, library: Any, data: str) -> None:
        """Raises RuntimeError if the data cannot be read."""
        self._library = library
        self._voice = ""
        self._phoneme_mode = _PHONEMES_IPA
        self._read_characters = self._said_phonemes = 0
        library.espeak_Initialize.argtypes = [
            *(ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int)
        ]
        library.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
        library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        library.espeak_TextToPhonemes.argtypes = [
            *(ctypes.POINTER(ctypes.c_void_p), ctypes.c_int, ctypes.c_int)
        ]
        library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        if library.espeak_Initialize(_RETRIEVAL, 0, data.encode(), _DONT_EXIT) < 0:
            raise RuntimeError(f"it cannot read its data in {data}")
        self.voices = self._listed()
        self._identifiers = frozenset(self.voices.values())

    def _listed(self) -> dict[str, str]:
        """Names in lower case, and the identifier that each stands for.

        A voice is named by its identifier ("gmw/en-US"), its file ("en-US"), its name or its
        languages; where several have a name, the more particular kind wins, then the priority that
        the voice gives the language.
        """
        ranked: dict[str, tuple[int, str]] = {}
        listed = self._library.espeak_ListVoices(None)
        place = 0
        while listed[place]:
            voice = listed[place].contents
            identifier = voice.identifier.decode("utf-8", "replace")
            names = [(0, identifier), (1, identifier.rpartition("/")[2])]
            names.append((2, voice.name.decode("utf-8", "replace").strip()))
            names += [(3 + rank, language) for rank, language in _languages(voice.languages)]
            for rank, name in names:
                key = name.lower()
                if key and (key not in ranked or rank < ranked[key][0]):
                    ranked[key] = (rank, identifier)
            place += 1
        return {name: identifier for name, (_, identifier) in ranked.items()}

    def take(self, identifier: str) -> None:
        """Read with this voice from now on. Raises ValueError for one that is not in the list."""
        if identifier not in self._identifiers:
            raise ValueError("this is no identifier of espeak-ng's list")
        if identifier != self._voice:
            self._voice = ""
            if self._library.espeak_SetVoiceByName(identifier.encode()) != 0:
                raise ValueError("espeak-ng does not take this identifier of its own list")
            self._voice = identifier

    def read_all(self, texts: Sequence[str], *, ties: bool = False) -> list[Clauses] | float:
        """Every one of ``texts``; or how many times as much as `MOST_PHONEMES` they say, about.

        With ``ties`` there is a ``^`` between the letters of one phoneme. The library says the
        names of letters that its language does not have: 18 times as many phonemes as of its own.
        """
        self._read_characters = self._said_phonemes = 0
        self._phoneme_mode = _PHONEMES_TIED if ties else _PHONEMES_IPA
        try:
            return [self._read(text) for text in texts]
        except _TooMuchError:
            unread = max(1.0, sum(map(len, texts)) / self._read_characters)
            return unread * self._said_phonemes / MOST_PHONEMES

    def _read(self, text: str) -> Clauses:
        """All of ``text`` by calls of at most `LONGEST_CALL` characters."""
        clauses: Clauses = []
        start = 0
        while start < len(text):
            end = window_end(text, start)
            found = self._shifted(text, start, end)
            if end < len(text):
                # The last one may go on behind the window.
                if len(found) == 1:
                    found = [read_long(partial(self._shifted, text), text, found[0], end)]
                elif found[-1][1] > start:
                    end = found.pop()[1]
            clauses += found
            start = max(end, found[-1][2])
        return clauses

    def _shifted(self, text: str, start: int, end: int) -> Clauses:
        found = self._call(text[start:end])
        self._read_characters += end - start
        self._said_phonemes += sum(len(phonemes) for phonemes, _, _ in found)
        if self._said_phonemes > MOST_PHONEMES:
            raise _TooMuchError
        return [(p, start + a, start + b) for p, a, b in found]

    def _call(self, text: str) -> Clauses:
        """What the library makes of ``text``, to its end."""
        if len(text) > LONGEST_CALL:
            raise ValueError(f"{len(text)} characters for one call")
        # The library reads one or two characters ahead and keeps them for its next call. The space
        # makes sure that these are never characters of the text.
        data = (text + " ").encode()
        buffer = ctypes.create_string_buffer(data)
        base = ctypes.addressof(buffer)
        size = len(data)
        pointer = ctypes.c_void_p(base)
        clauses: Clauses = []
        start = taken = characters = 0
        while taken < size:
            raw = self._library.espeak_TextToPhonemes(
                ctypes.byref(pointer), _CHARACTERS_UTF8, self._phoneme_mode
            )
            now = size if pointer.value is None else pointer.value - base
            characters += len(data[taken:now].decode("utf-8", "replace"))
            stuck = now <= taken
            taken = now
            # The last character taken is looked ahead at: it belongs to the next clause.
            end = max(start, characters - 1)
            clauses.append(((raw or b"").decode("utf-8", "replace"), start, end))
            start = end
            if stuck:
                break
        return clauses


def prepare(
    arguments: str, only_read: Callable[[str], None]
) -> tuple[bytes, Callable[[bytes], bytes]]:
    """Open the library; the greeting is its list of voices. As `workers.child` asks for it."""
    path, data = json.loads(arguments)
    opened = ctypes.CDLL(path)
    only_read(data)
    library = Library(opened, data)

    def handle(request: bytes) -> bytes:
        identifier, texts, ties = json.loads(request)
        try:
            library.take(identifier)
        except ValueError as error:
            return json.dumps({"refused": str(error)}).encode()
        return json.dumps({"read": library.read_all(texts, ties=ties)}).encode()

    return json.dumps(library.voices).encode(), handle


def window_end(text: str, start: int) -> int:
    """Where a call that begins at ``start`` ends: at a space, if there is one, or anywhere."""
    end = start + LONGEST_CALL
    if end >= len(text):
        return len(text)
    space = text.rfind(" ", start + 1, end + 1)
    # A space that only parts the text's first letters from the rest would make for small windows.
    return space if space > start + LONGEST_CALL // 2 else end


def read_long(
    call: Callable[[int, int], Clauses], text: str, begun: tuple[str, int, int], end: int
) -> tuple[str, int, int]:
    """All of a clause of which one call, up to ``end``, has read what was ``begun``.

    ``call`` reads ``text[a:b]``.
    """
    groups, start = begun[0].split(), begun[1]
    while end < len(text):
        back = text.rfind(" ", start, max(start, end - _OVERLAP)) + 1
        seam = None
        if back and (after := window_end(text, back)) > end:
            first, *others = call(back, after)
            if not others or first[2] >= end:
                words = len(text[back:end].split())
                seam = where_they_agree(groups, first[0].split(), words)
        if seam is None:
            after = window_end(text, end)
            first, *others = call(end, after)
            seam = (len(groups), 0)
        kept, taken = seam
        groups = groups[:kept] + first[0].split()[taken:]
        end = first[2] if others else after
        if others:
            break
    return " ".join(groups), start, end


def where_they_agree(before: list[str], after: list[str], words: int) -> tuple[int, int] | None:
    """Where to leave ``before`` for ``after``, whose first ``words`` words are the other's last.

    Both are groups of phonemes. A place inside a run that both have; of several ways to lay one
    over the other, the one that makes the overlap as long as it has words. None if they share
    nothing that is long enough to be sure.
    """
    for overlap in sorted(range(2, min(len(before), len(after)) + 1), key=lambda n: abs(n - words)):
        if abs(overlap - words) > words // 2:
            return None
        first = len(before) - overlap
        best = max(_runs(before[first:], after[:overlap]), key=lambda run: run[1] - run[0])
        if best[1] - best[0] >= 2:
            middle = (best[0] + best[1]) // 2
            return first + middle, middle
    return None


def _runs(one: list[str], other: list[str]) -> Iterator[tuple[int, int]]:
    """The runs in which both are the same; an empty one first."""
    yield 0, 0
    began = 0
    for place, (a, b) in enumerate(zip(one, other, strict=True)):
        if a != b:
            began = place + 1
        else:
            yield began, place + 1


def _languages(pointer: int) -> Iterator[tuple[int, str]]:
    while rank := ctypes.string_at(pointer, 1)[0]:
        language = ctypes.string_at(pointer + 1)
        yield rank, language.decode("utf-8", "replace")
        pointer += len(language) + 2
