"""espeak-ng in worker processes: texts to clauses of phonemes, and how each clause ends for Piper.

libespeak-ng is never loaded into this process: there are texts that a player can type which make it
overwrite its memory. `espeak_worker` is the other side.

The build that espeakng-loader ships tells the phonemes of a clause but not how the clause ended, so
that is read off the text: the library says how far it has read.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from voxswap_families.text import LongReadingError
from voxswap_registry.errors import (
    FieldViolation,
    FrontEndBusyError,
    FrontEndError,
    UnreadableTextError,
)
from voxswap_server.compute.workers.barred import Barred
from voxswap_server.compute.workers.errors import NoWorkerError, RequestKillsError, WorkerStartError
from voxswap_server.compute.workers.pool import PoolStatistics, WorkerPool
from voxswap_server.compute.workers.worker import Program

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

_BARRED_S: Final = 60.0
_MOST_BARRED: Final = 1024
# Some signs are read by their names. What is longer than this was never read.
_MOST_PHONEMES: Final = 200


class Clause(NamedTuple):
    """What espeak-ng makes of ``text[start:end]``, and the symbol that Piper ends it with."""

    phonemes: str
    start: int
    end: int
    terminator: str


class Espeak:
    """espeak-ng in ``workers`` processes. Thread-safe; making one costs nothing.

    The processes begin with `start` or the first use, within 0.1 s, and end with `close`. A text
    that ends its worker is barred for a minute, so that whoever tries again ends no other one;
    `_lock` guards the making of the pool.
    """

    def __init__(self, *, workers: int = 2, clock: Callable[[], float] = time.monotonic) -> None:
        self._workers = workers
        self._lock = threading.Lock()
        self._pool: WorkerPool | None = None
        self._closed = False
        self._voices: Mapping[str, str] | None = None
        # By the digest of a text.
        self._barred = Barred(clock, for_s=_BARRED_S, most=_MOST_BARRED)

    def start(self) -> None:
        """Begin to start the processes. Raises `FrontEndError` if espeak-ng is not installed."""
        self._started().start()

    def close(self) -> None:
        """End the processes; whoever still reads gets a `FrontEndBusyError`."""
        with self._lock:
            self._closed, pool = True, self._pool
        if pool is not None:
            pool.close()

    def resident_bytes(self) -> int:
        """Of its processes."""
        found = self.statistics()
        return 0 if found is None else found.resident_bytes

    def statistics(self) -> PoolStatistics | None:
        """The processes now; None before the start."""
        pool = self._pool
        return None if pool is None else pool.statistics()

    def pids(self) -> tuple[int, ...]:
        """The processes that live, for whoever looks from outside."""
        pool = self._pool
        return () if pool is None else pool.pids()

    def _started(self) -> WorkerPool:
        with self._lock:
            if self._closed:
                raise FrontEndBusyError("espeak-ng has been ended with its server; try again later")
            if self._pool is None:
                self._pool = WorkerPool(_program(), size=self._workers)
            return self._pool

    def voice(self, name: str) -> str:
        """The identifier of the voice that espeak-ng lists as ``name``, in any case.

        Blocks until the processes are up. Raises `FrontEndError` for a name that is not in the
        list, `FrontEndBusyError`.
        """
        if self._voices is None:
            pool = self._started()
            try:
                self._voices = json.loads(pool.greeting())
            except NoWorkerError as error:
                raise _unavailable(error) from error
        assert self._voices is not None  # noqa: S101 - see above
        identifier = self._voices.get(name.lower())
        if identifier is None:
            raise FrontEndError(
                f"espeak-ng has no voice {name!r:.80}; name one of those that "
                "`espeak-ng --voices` lists, such as 'en-us'",
                metadata={"espeak_voice": name},
            )
        return identifier

    def read(
        self, identifier: str, texts: Sequence[str], *, of: str, ties: bool = False
    ) -> list[list[Clause]]:
        """The clauses of each of ``texts``, which are all from the line ``of``.

        With ``ties`` there is a ``^`` between the letters of one phoneme, as in ``t^ʃ``.

        Blocks for 0.2 ms and about 0.005 ms a character; at most for two seconds. Characters that
        mean something else to the library become spaces. Raises `UnreadableTextError` if they end a
        worker, or ``of`` did so a while ago; `FrontEndBusyError` if no worker answers;
        `LongReadingError` if they say more than any voice speaks in one go.
        """
        digest = hashlib.blake2b(f"{identifier}\0{of}".encode("utf-8", "replace")).digest()
        if digest in self._barred:
            raise _unreadable()
        readable = [_readable(text) for text in texts]
        request = json.dumps([identifier, readable, ties]).encode()
        try:
            found = self._started().call(
                request, lambda answer: _clauses(answer, readable), key=identifier
            )
        except RequestKillsError as error:
            self._barred.add(digest)
            raise _unreadable() from error
        except NoWorkerError as error:
            raise _unavailable(error) from error
        if isinstance(found, float):
            raise LongReadingError(found)
        return found


def _program() -> Program:
    try:
        import espeakng_loader
    except ImportError as error:
        raise FrontEndError(
            "This voice needs espeak-ng, which is not installed; pip install 'voxswap[espeak]' "
            "(GPL-3.0)",
            metadata={"extra": "espeak"},
        ) from error
    try:
        paths = [espeakng_loader.get_library_path(), espeakng_loader.get_data_path()]
    except (OSError, RuntimeError) as error:
        raise FrontEndError(
            f"The package espeakng-loader is installed, but its data are not there ({error}); "
            "reinstall it with pip install --force-reinstall espeakng-loader",
            metadata={"extra": "espeak"},
        ) from error
    return Program("espeak-ng", "voxswap_server.text.espeak.worker", json.dumps(paths))


def _unreadable() -> UnreadableTextError:
    violation = FieldViolation(
        "text", "cannot be read: espeak-ng fails over it; leave out what is no words, or respell it"
    )
    return UnreadableTextError([violation])


def _unavailable(error: NoWorkerError) -> FrontEndError | FrontEndBusyError:
    if isinstance(error, WorkerStartError):
        return FrontEndError(
            "The package espeakng-loader is installed, but its espeak-ng cannot be used (the "
            "server's log has the reason); reinstall it with pip install --force-reinstall "
            "espeakng-loader",
            metadata={"extra": "espeak"},
        )
    return FrontEndBusyError(error.message)


def _clauses(answer: bytes, texts: Sequence[str]) -> list[list[Clause]] | float:
    """What a worker says, believed as far as it can be true. Raises ValueError beyond that."""
    match json.loads(answer):
        case {"read": float(excess)} if 1.0 < excess < _MOST_PHONEMES * sum(map(len, texts)):
            return excess
        case {"read": [*read]} if len(read) == len(texts):
            return [_checked(clauses, text) for clauses, text in zip(read, texts, strict=True)]
    raise ValueError("a worker's answer is none")


def _checked(clauses: object, text: str) -> list[Clause]:
    checked: list[Clause] = []
    after = 0
    if not isinstance(clauses, list) or len(clauses) > len(text) + 1:
        clauses = [None]
    for clause in clauses:
        match clause:
            case [str(phonemes), int(start), int(end)] if after <= start <= end <= len(
                text
            ) and len(phonemes) <= _MOST_PHONEMES * (end - start + 1):
                phonemes.encode()  # raises ValueError if it is no text
                checked.append(Clause(phonemes, start, end, _terminator(text[start:end])))
                after = end
            case _:
                raise ValueError("a worker's clause is none")
    return checked


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
