"""The index on this disk: what the store said last about each voice, in one SQLite file.

It is a cache: deleting the file loses nothing, and a file that is damaged is made anew. Readers see
whole refreshes or none. Several processes may share one.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import tempfile
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxswap_registry.errors import RegistryError
from voxswap_registry.storage.locks import locked

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS voice (
  voice_id TEXT PRIMARY KEY,
  fingerprint BLOB NOT NULL,
  newest INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  languages TEXT NOT NULL,
  engine TEXT NOT NULL,
  gender TEXT NOT NULL,
  tags TEXT NOT NULL,
  words TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS object (
  voice_id TEXT NOT NULL,
  name TEXT NOT NULL,
  etag TEXT NOT NULL,
  data BLOB NOT NULL,
  problem TEXT NOT NULL,
  PRIMARY KEY (voice_id, name)
);
"""
_LAYOUT = 3
_BUSY_S = 10.0  # how long one waits for another process that opens or writes the file


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object of a voice as it was read: its bytes, or else why they cannot be used."""

    name: str
    etag: str
    data: bytes
    problem: str = ""


@dataclass(frozen=True, slots=True)
class IndexedVoice:
    """What the index says of one voice, and what it may be filtered by.

    ``newest`` is its newest version, 0 if all are deleted; ``revision`` that of its state.
    """

    voice_id: str
    fingerprint: bytes
    newest: int
    revision: int
    languages: tuple[str, ...]
    engine: str
    gender: str
    tags: tuple[str, ...]
    display_name: str


@dataclass(frozen=True, slots=True)
class VoiceFilter:
    """Which voices are wanted; what is empty takes all. ``en`` takes ``en-US`` too.

    Each word of ``search`` is to be in a voice's id, its name or a tag, in any case of letters.
    """

    prefix: str = ""
    language: str = ""
    engine: str = ""
    gender: str = ""
    tags: tuple[str, ...] = ()
    search: str = ""


class Index:
    """The file. Thread-safe: whoever reads takes a connection of its own; one writes at a time.

    All methods block on this machine's disk, for well under a millisecond if it is in the page
    cache; a reader never waits for a writer. They raise `RegistryError` where the disk fails.
    """

    def __init__(self, folder: Path | None, store: str) -> None:
        """Open or make the file for ``store`` in ``folder``; in a private one if that is None."""
        self._private = None if folder else tempfile.TemporaryDirectory(prefix="voxswap-catalog-")
        base = folder or Path(self._private.name if self._private else "")
        name = hashlib.sha256(store.encode()).hexdigest()[:16]
        self.path = base / f"catalog-{_LAYOUT}-{name}.sqlite3"
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._idle: list[sqlite3.Connection] = []  # as many as ever read at once
        self._local = threading.local()  # the reader of a `moment`
        with self._errors():
            base.mkdir(parents=True, exist_ok=True)
            # One opens it at a time: changing its journal's mode, SQLite waits for nobody, and
            # tells who meets it there "locked", at once and whatever the timeout. And who removes a
            # damaged file must not remove what another has just made in its place.
            with locked(self.path.with_suffix(".lock"), _BUSY_S):
                try:
                    self._writer = self._made()
                except sqlite3.DatabaseError as error:
                    if isinstance(error, sqlite3.OperationalError):
                        raise
                    self._remove()  # It is no database, or a damaged one.
                    self._writer = self._made()

    # Reading

    @contextlib.contextmanager
    def moment(self) -> Iterator[None]:
        """Whatever this thread reads inside the block is of one moment. May be nested."""
        if getattr(self._local, "reader", None) is not None:
            yield
            return
        with self._reader() as connection:
            with self._errors():
                connection.execute("BEGIN")
            self._local.reader = connection
            try:
                yield
            finally:
                self._local.reader = None
                with self._errors():
                    connection.rollback()

    def generation(self) -> int:
        """Rises whenever anything in the index changes."""
        return self.meta("generation")

    def meta(self, name: str) -> int:
        """A number that was kept; 0 if none was."""
        rows = self._query("SELECT value FROM meta WHERE name = ?", (name,))
        return int(rows[0][0]) if rows else 0

    def fingerprints(self) -> dict[str, bytes]:
        """The fingerprint of every voice."""
        return dict(self._query("SELECT voice_id, fingerprint FROM voice", ()))

    def voice(self, voice_id: str) -> IndexedVoice | None:
        """One voice; None if it is not there."""
        rows = self._query("SELECT * FROM voice WHERE voice_id = ?", (voice_id,))
        return _voice(rows[0]) if rows else None

    def names(self, voice_id: str) -> dict[str, str]:
        """The ETags of a voice's objects, by name."""
        sql = "SELECT name, etag FROM object WHERE voice_id = ?"
        return dict(self._query(sql, (voice_id,)))

    def stored(self, voice_id: str, name: str) -> StoredObject | None:
        """One object; None if it is not there."""
        sql = "SELECT name, etag, data, problem FROM object WHERE voice_id = ? AND name = ?"
        rows = self._query(sql, (voice_id, name))
        return StoredObject(*rows[0]) if rows else None

    def page(self, wanted: VoiceFilter, *, after: str, limit: int) -> list[IndexedVoice]:
        """The first ``limit`` voices above ``after`` that are wanted and have a version."""
        clauses, values = ["voice_id > ?", "newest > 0"], [after]
        if wanted.prefix:
            clauses.append("voice_id >= ? AND substr(voice_id, 1, length(?)) = ?")
            values += [wanted.prefix] * 3
        if wanted.language:
            clauses.append("(instr(languages, ?) > 0 OR instr(languages, ?) > 0)")
            values += [f",{wanted.language.lower()}{end}" for end in ",-"]
        for column, value in (("engine", wanted.engine), ("gender", wanted.gender)):
            if value:
                clauses.append(f"{column} = ?")
                values.append(value)
        for tag in wanted.tags:
            clauses.append("instr(tags, ?) > 0")
            values.append(f",{tag},")
        for word in wanted.search.casefold().split():
            clauses.append("instr(substr(words, instr(words, char(10))), ?) > 0")
            values.append(word)
        sql = f"SELECT * FROM voice WHERE {' AND '.join(clauses)} ORDER BY voice_id LIMIT ?"  # noqa: S608 - no value is in it
        return [_voice(row) for row in self._query(sql, (*values, limit))]

    def near(self, voice_id: str, *, limit: int) -> list[str]:
        """Some ids that begin as ``voice_id`` does."""
        start = voice_id.rpartition("/")[0] or voice_id[:1]
        sql = "SELECT voice_id FROM voice WHERE voice_id >= ? AND newest > 0 ORDER BY 1 LIMIT ?"
        return [found for (found,) in self._query(sql, (start, limit)) if found.startswith(start)]

    def count(self) -> int:
        """How many voices have a version."""
        return int(self._query("SELECT count(*) FROM voice WHERE newest > 0", ())[0][0])

    # Writing

    def write(
        self,
        voices: Iterable[tuple[IndexedVoice, Iterable[StoredObject], Iterable[str]]],
        *,
        gone: Iterable[str] = (),
        meta: dict[str, int] | None = None,
    ) -> None:
        """One refresh: voices with their new objects and the names of those that went."""
        with self._writing, self._errors(), self._writer as db:
            for voice, objects, lost in voices:
                db.execute(
                    "INSERT OR REPLACE INTO voice VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        voice.voice_id, voice.fingerprint, voice.newest, voice.revision,
                        _joined(voice.languages), voice.engine, voice.gender, _joined(voice.tags),
                        _words(voice),
                    ),
                )  # fmt: skip
                db.executemany(
                    "INSERT OR REPLACE INTO object VALUES (?, ?, ?, ?, ?)",
                    ((voice.voice_id, o.name, o.etag, o.data, o.problem) for o in objects),
                )
                db.executemany(
                    "DELETE FROM object WHERE voice_id = ? AND name = ?",
                    ((voice.voice_id, name) for name in lost),
                )
            for voice_id in gone:
                db.execute("DELETE FROM voice WHERE voice_id = ?", (voice_id,))
                db.execute("DELETE FROM object WHERE voice_id = ?", (voice_id,))
            db.execute(
                "INSERT INTO meta VALUES ('generation', 1) "
                "ON CONFLICT (name) DO UPDATE SET value = value + 1"
            )
            for name, value in (meta or {}).items():
                db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    def keep(self, name: str, value: int) -> None:
        """Keep a number that says nothing of any voice; see `meta`."""
        with self._writing, self._errors(), self._writer as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    def close(self) -> None:
        """Close the file. No method may be called afterwards or meanwhile."""
        with self._writing:
            self._close_all()
        if self._private is not None:
            self._private.cleanup()

    def _query(self, sql: str, values: tuple[object, ...]) -> list[Any]:
        with self._reader() as connection, self._errors():
            return connection.execute(sql, values).fetchall()

    @contextlib.contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        reader: sqlite3.Connection | None = getattr(self._local, "reader", None)
        if reader is not None:
            yield reader
            return
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            with self._errors():
                connection = self._connected()
        try:
            yield connection
        finally:
            with self._lock:
                self._idle.append(connection)

    def _made(self) -> sqlite3.Connection:
        connection = self._connected()
        try:
            connection.execute("PRAGMA journal_mode = WAL")  # The file remembers it.
            connection.executescript(_SCHEMA)
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise sqlite3.DatabaseError(verdict)
        except BaseException:
            connection.close()
            raise
        return connection

    def _connected(self) -> sqlite3.Connection:
        # Used by one thread at a time, but not always by the same one.
        connection = sqlite3.connect(self.path, timeout=_BUSY_S, check_same_thread=False)
        # A loss of power may cost the latest refresh, which the next one repeats.
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    def _close_all(self) -> None:
        self._writer.close()
        with self._lock:
            while self._idle:
                self._idle.pop().close()

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise RegistryError(
                "the catalog's file cannot be used; free space there, or remove the file, or "
                "choose another cache_dir",
                detail=f"{self.path}: {error}",
            ) from error


def _voice(row: tuple[Any, ...]) -> IndexedVoice:
    voice_id, fingerprint, newest, revision, languages, engine, gender, tags, words = row
    return IndexedVoice(
        *(voice_id, fingerprint, newest, revision, _parted(languages), engine, gender),
        tags=_parted(tags),
        display_name=words.partition("\n")[0],
    )


def _words(voice: IndexedVoice) -> str:
    """What is searched in, in its second line; the first has the name as it is written."""
    name = voice.display_name.replace("\n", " ")
    return f"{name}\n{' '.join((voice.voice_id, name, *voice.tags)).casefold()}"


def _joined(words: tuple[str, ...]) -> str:
    return f",{','.join(words)}," if words else ""


def _parted(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.split(",") if word)
