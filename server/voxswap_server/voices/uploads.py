"""Voices that come over the wire: how many at a time, how slow they may be, their end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from voxswap_registry.errors import EngineError, InvalidInputError, ManifestError
from voxswap_registry.manifest import Manifest
from voxswap_registry.store import Registry
from voxswap_registry.upload import Upload
from voxswap_server.voices.errors import StoreClosedError, TooManyUploadsError, UploadStalledError
from voxswap_server.voices.store_calls import StoreCalls

_LOGGER = logging.getLogger(__name__)

_SILENCE_S = 60.0
_LAST_WAIT_S = 2.0
# grpc gives a stream's end, and in a later turn of the loop that it was a cancelled call's.
_TURNS = 3
_MIN_PIECE_BYTES = 64 << 10
_HEAD_START_S = 60.0
_MIN_BYTES_PER_S = 16 << 10
_MAX_VERSION_GAP = 1000

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Opening:
    """What an upload begins with: the manifest, and what is to become of the version.

    ``version`` None is the next number. ``label`` moves to it once it has spoken.
    """

    manifest_json: bytes
    version: int | None = None
    label: str | None = None
    actor: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of a component."""

    digest: str
    offset_bytes: int
    data: bytes


class Commit:
    """The client says that the upload is whole."""


class Blank:
    """A message that says nothing."""


UploadEvent: TypeAlias = Opening | Piece | Commit | Blank
_Stream = AsyncIterator[UploadEvent]


@dataclass(frozen=True, slots=True)
class Received:
    """What came in and is published, and the label that it shall get."""

    manifest: Manifest
    created: bool
    label: str | None
    actor: str


class Uploads:
    """Takes uploads in. Confined to one event loop; disk and store are used on ``store``'s threads.

    An upload is published if its client says that it is whole, with a commit. Whatever else ends
    it (an end without one, an error, a client that went away, a full disk, a server that stops)
    nothing of it stays, up to the moment when the version is made; from then on it is there, whole.
    ``check`` raises if no engine here can speak a manifest; ``check_graphs``, which blocks on the
    store, if it brings a program that no operator trusts.
    """

    def __init__(
        self,
        registry: Registry,
        store: StoreCalls,
        *,
        check: Callable[[Manifest], object],
        check_graphs: Callable[[Manifest], object],
        max_bytes: int,
        max_uploads: int,
        must_be_signed: bool = False,
        silence_s: float = _SILENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._store = store
        self._check = check
        self._check_graphs = check_graphs
        self._max_bytes = max_bytes
        self._max_uploads = max_uploads
        self._must_be_signed = must_be_signed
        self._silence_s = silence_s
        self._clock = clock
        self._running: set[_Threads] = set()
        self._closed = asyncio.Event()

    def check_label(self, label: str | None) -> None:
        """Raise `InvalidInputError` for one that a new version cannot be given."""
        if label is not None and self._must_be_signed:
            raise InvalidInputError.one(
                "label",
                "cannot be given yet, for this server speaks with signed versions alone; register "
                "without it, sign the version, then promote it",
            )

    async def receive(self, incoming: AsyncIterator[UploadEvent]) -> Received:
        """Take one upload in and publish it, without its label. Raises `TooManyUploadsError`."""
        if len(self._running) >= self._max_uploads:
            raise TooManyUploadsError(
                f"{len(self._running)} voices are being uploaded, the most that this server takes "
                "at a time; try again when one has ended"
            )
        threads = _Threads(self._store, self._closed)
        self._running.add(threads)
        try:
            async with contextlib.AsyncExitStack() as stack:
                folder = contextlib.ExitStack()
                stack.push_async_callback(_removed, folder, threads)
                workdir = await threads.run(lambda: folder.enter_context(self._registry.workdir()))
                return await self._receive(incoming, workdir, stack, threads)
        finally:
            self._running.discard(threads)
            threads.left.set()

    async def close(self) -> None:
        """Give up what is running, before the store is closed.

        Waits until the threads are through, for a moment: one that hangs with its disk is left
        behind, with its folder.
        """
        running = tuple(self._running)
        for threads in running:
            threads.given_up.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WAIT_S):
                for threads in running:
                    await threads.left.wait()
        self._closed.set()

    async def _receive(
        self,
        incoming: _Stream,
        workdir: Path,
        stack: contextlib.AsyncExitStack,
        threads: _Threads,
    ) -> Received:
        first = await self._next(incoming)
        if not isinstance(first, Opening):
            raise InvalidInputError.one("manifest_json", "is missing; send it in the first message")
        version, label = first.version, first.label
        self.check_label(label)
        upload = await threads.run(
            lambda: Upload(self._registry, first.manifest_json, workdir, max_bytes=self._max_bytes)
        )
        stack.callback(upload.close)
        try:
            self._check(upload.manifest)
        except (EngineError, ManifestError) as error:
            raise InvalidInputError.one("manifest_json", error.message) from error
        await threads.run(lambda: self._check_graphs(upload.manifest))
        if version is not None:
            await threads.run(lambda: self._check_number(upload.manifest.voice_id, version))
        await self._take_components(incoming, upload, threads)
        manifest, created = await threads.run(
            lambda: upload.publish(version=version, cancelled=threads.given_up.is_set)
        )
        return Received(manifest, created, label, first.actor)

    async def _take_components(self, incoming: _Stream, upload: Upload, threads: _Threads) -> None:
        """All bytes up to the commit, and nothing after it."""
        sizes = {c.digest: c.size_bytes for c in upload.manifest.components}
        pace = _Pace(self._clock)
        while (piece := await pace.timed(self._next(incoming))) is not None:
            if isinstance(piece, Commit):
                break
            if not isinstance(piece, Piece):
                raise InvalidInputError.one(
                    "component", "is not set; send pieces of components, then a commit"
                )
            _check_length(piece, sizes.get(piece.digest, 0))
            pace.check(len(piece.data))
            await threads.run(
                lambda piece=piece: upload.write(  # type: ignore[misc]
                    piece.digest, piece.offset_bytes, piece.data
                )
            )
        else:
            raise InvalidInputError.one(
                "commit",
                "is missing: the upload ended, its client did not say that it is whole, and "
                "nothing was published; send a commit last. A client that never does is older than "
                "this server: update it",
            )
        if await self._next(incoming) is not None:
            raise InvalidInputError.one("commit", "comes last; close your side of the call then")
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    def _check_number(self, voice_id: str, version: int) -> None:
        """Numbers are never used again, so nobody may use them all up at once."""
        highest = self._registry.look(voice_id).highest_number
        if version > highest + _MAX_VERSION_GAP:
            raise InvalidInputError.one(
                "version",
                f"is {version}, and the highest of {voice_id} so far is {highest}; use "
                f"{highest + _MAX_VERSION_GAP} at most, or leave it unset for the next",
            )

    async def _next(self, incoming: _Stream) -> UploadEvent | None:
        try:
            async with asyncio.timeout(self._silence_s):
                return await anext(incoming, None)
        except TimeoutError:
            raise UploadStalledError(
                f"nothing came for {self._silence_s:g} s, so the upload was given up; send it again"
            ) from None


class _Pace:
    """How fast a client sends. Its time alone counts, not what the server takes for its pieces."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._waited_s = 0.0
        self._bytes = 0

    async def timed(self, message: Awaitable[_T]) -> _T:
        """``message``, with the time that it took."""
        began = self._clock()
        try:
            return await message
        finally:
            self._waited_s += self._clock() - began

    def check(self, size_bytes: int) -> None:
        """Count what came. Raises `UploadStalledError` if all of it is too little by now."""
        self._bytes += size_bytes
        if self._waited_s > max(_HEAD_START_S, self._bytes / _MIN_BYTES_PER_S):
            raise UploadStalledError(
                f"{self._bytes} bytes came in {self._waited_s:.0f} s, fewer than "
                f"{_MIN_BYTES_PER_S} a second, so the upload was given up; send it again over a "
                "faster connection, or import the voice on the server's machine"
            )


def _check_length(piece: Piece, component_bytes: int) -> None:
    """Very many very small pieces would cost far more than their bytes."""
    n = len(piece.data)
    if not n or (n < _MIN_PIECE_BYTES and piece.offset_bytes + n < component_bytes):
        raise InvalidInputError.one(
            "component.data",
            f"has {n} bytes; send {_MIN_PIECE_BYTES} at a time at least, fewer only at the end of "
            "a component",
        )


class _Threads:
    """The store's threads at work for one upload. Confined to one event loop, but for a flag.

    What a thread has begun it ends, whatever becomes of the call: it uses the upload's folder.
    Once nobody waits for it any more ``given_up`` is set, for threads to look at.
    """

    def __init__(self, store: StoreCalls, closed: asyncio.Event) -> None:
        self._store = store
        self._closed = closed
        self.given_up = threading.Event()
        self.left = asyncio.Event()

    async def run(self, work: Callable[[], _T]) -> _T:
        """What ``work`` gives. If cancelled, wait until its thread is through with it."""
        return await self._to_the_end(self._store.run(work))

    async def tidy_up(self, work: Callable[[], object]) -> None:
        """As `run`, however busy the store is."""
        await self._to_the_end(self._store.finish(work))

    async def _to_the_end(self, call: Coroutine[Any, Any, _T]) -> _T:
        task = asyncio.ensure_future(call)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self.given_up.set()
            closed = asyncio.ensure_future(self._closed.wait())
            while not task.done() and not self._closed.is_set():
                with contextlib.suppress(asyncio.CancelledError):  # However often.
                    await asyncio.wait([task, closed], return_when=asyncio.FIRST_COMPLETED)
            closed.cancel()
            if not task.done():
                task.cancel()  # A thread that hangs: nobody waits for it.
            elif not task.cancelled():
                task.exception()
            raise


async def _removed(folder: contextlib.ExitStack, threads: _Threads) -> None:
    try:
        await threads.tidy_up(folder.close)
    except StoreClosedError:
        _LOGGER.warning(
            "the folder of an upload stays in the registry's tmp, for its disk did not answer "
            "before the server had to end; `voxswap registry gc` removes it when it is a day old"
        )
