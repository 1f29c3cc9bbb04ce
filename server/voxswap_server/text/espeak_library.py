"""libespeak-ng by ctypes: text to clauses of phonemes, and the symbol that ends each for Piper.

The build that espeakng-loader ships tells the phonemes of a clause but not how the clause ended, so
that is read off the text: the library says how far it has read.
"""

from __future__ import annotations

import ctypes
import threading
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from voxswap_registry.errors import FrontEndError

# The characters at which espeak-ng 1.52 ends a clause, and the symbol that Piper writes for each.
# Found by asking piper-tts 1.8.0 for every code point. The last line ends a clause too (some of
# them without a space after), but Piper writes nothing for it.
TERMINATORS: Final = {
    character: symbol
    for symbol, characters in {
        ".": ".۔܁܄።᙮᠃᠉⳹⳾⸳⸼꓿꘎꛳︒﹒｡",
        ",": ",՝،܂߸༔፣᠂᠈⸲⸴⹁꓾꘍꛵︐︑﹐﹑､",
        ":": ":܆܇፥፦᠄⦂꛴︓﹕",
        ";": ";\u0387؛܈፤–—⁏⸵⸺⸻꛶︔︱︲﹔",
        "?": "?\u037e؟܉፧᥅⁇❓❔⳺⳻꘏꛷︖﹖",
        "!": "!܃߹᥄‼❕❗❢❣︕﹗",
        "": "¡¿᠁…⋮⋯⋰⋱、︙，：；։܀।॥෴།༎჻፨。！．？",
    }.items()
    for character in characters
}
_UNREADABLE: Final = frozenset(("Cc", "Cs", "Co", "Cn", "Zs", "Zl", "Zp"))

_RETRIEVAL: Final = 1
_DONT_EXIT: Final = 0x8000
_CHARACTERS_UTF8: Final = 1
_PHONEMES_IPA: Final = 2


class Clause(NamedTuple):
    """What espeak-ng makes of ``text[start:end]``, and the symbol that Piper ends it with."""

    phonemes: str
    start: int
    end: int
    terminator: str


class EspeakLibrary:
    """The process's one libespeak-ng. Thread-safe: every call is made with ``_lock`` held.

    The library keeps its state in globals of its own, so one instance serves every front-end. It is
    opened by the first that needs it, and the voice is changed (about 0.1 ms) only when another
    front-end spoke last.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._library: ctypes.CDLL | None = None
        self._voice = ""

    @contextmanager
    def speaking(self, voice: str) -> Iterator[Callable[[str], list[Clause]]]:
        """Holds the library with this voice set, and gives what turns text into clauses.

        Blocks while another thread holds it, about 0.1 ms a sentence. Raises `FrontEndError`.
        """
        with self._lock:
            if self._library is None:
                self._library = _open()
            if voice != self._voice:
                self._voice = ""
                if self._library.espeak_SetVoiceByName(voice.encode("utf-8", "replace")) != 0:
                    raise FrontEndError(
                        f"espeak-ng has no voice {voice!r}; name one of those that "
                        "`espeak-ng --voices` lists, such as 'en-us'",
                        metadata={"espeak_voice": voice},
                    )
                self._voice = voice
            yield self._clauses

    def _clauses(self, text: str) -> list[Clause]:
        """Clause by clause. Characters that mean something else to the library become spaces."""
        assert self._library is not None  # noqa: S101 - only reached through `speaking`
        text = _readable(text)
        # The library reads one or two characters ahead and keeps them for its next call. The space
        # makes sure that these are never characters of the text.
        data = (text + " ").encode()
        buffer = ctypes.create_string_buffer(data)
        base = ctypes.addressof(buffer)
        size = len(data)
        pointer = ctypes.c_void_p(base)
        clauses: list[Clause] = []
        start = taken = characters = 0
        while taken < size:
            raw = self._library.espeak_TextToPhonemes(
                ctypes.byref(pointer), _CHARACTERS_UTF8, _PHONEMES_IPA
            )
            now = size if pointer.value is None else pointer.value - base
            characters += len(data[taken:now].decode("utf-8", "replace"))
            stuck = now <= taken
            taken = now
            # The last character taken is looked ahead at: it belongs to the next clause.
            end = max(start, characters - 1)
            clauses.append(
                Clause(
                    (raw or b"").decode("utf-8", "replace"),
                    start,
                    end,
                    _terminator(text[start:end]),
                )
            )
            start = end
            if stuck:
                break
        return clauses


ESPEAK: Final = EspeakLibrary()


def _open() -> ctypes.CDLL:
    try:
        import espeakng_loader
    except ImportError as error:
        raise FrontEndError(
            "This voice needs espeak-ng, which is not installed; pip install 'voxswap[espeak]' "
            "(GPL-3.0)",
            metadata={"extra": "espeak"},
        ) from error
    try:
        library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path()
    except (OSError, RuntimeError) as error:
        raise FrontEndError(
            f"The package espeakng-loader is installed, but its espeak-ng cannot be opened "
            f"({error}); reinstall it with pip install --force-reinstall espeakng-loader",
            metadata={"extra": "espeak"},
        ) from error
    library.espeak_Initialize.argtypes = [
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_int,
    ]
    library.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
    library.espeak_TextToPhonemes.argtypes = [
        ctypes.POINTER(ctypes.c_void_p),
        ctypes.c_int,
        ctypes.c_int,
    ]
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    if library.espeak_Initialize(_RETRIEVAL, 0, data.encode(), _DONT_EXIT) < 0:
        raise FrontEndError(
            f"espeak-ng cannot read its data in {data}; reinstall it with "
            "pip install --force-reinstall espeakng-loader",
            metadata={"extra": "espeak"},
        )
    return library


def _readable(text: str) -> str:
    """The same text, as many characters long, with nothing that is a command to the library."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        " " if unicodedata.category(character) in _UNREADABLE else character for character in text
    )


def _terminator(clause: str) -> str:
    """The symbol that ended a clause: the first of the punctuation marks that close it.

    Three dots or more are an ellipsis, for which Piper writes nothing; and a clause without a
    letter or digit has no terminator.
    """
    body = clause.rstrip()
    run = len(body)
    while run and body[run - 1] in TERMINATORS:
        run -= 1
    if run == len(body) or body.startswith("...", run) or not any(map(str.isalnum, body)):
        return ""
    return TERMINATORS[body[run]]
