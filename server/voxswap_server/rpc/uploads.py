"""Voices that come over the wire: how many at a time, how slow they may be, their end."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from voxswap.v1 import voices_pb2
from voxswap_registry.errors import EngineError, InvalidInputError, ManifestError
from voxswap_registry.manifest import Manifest
from voxswap_registry.store import Registry
from voxswap_registry.upload import Upload
from voxswap_server.rpc import voice_messages as messages
from voxswap_server.rpc.calls import StoreCalls
from voxswap_server.rpc.errors import TooManyUploadsError, UploadStalledError

_SILENCE_S = 60.0
_MIN_PIECE_BYTES = 64 << 10
_HEAD_START_S = 60.0
_MIN_BYTES_PER_S = 16 << 10
_MAX_VERSION_GAP = 1000

_T = TypeVar("_T")
_Messages = AsyncIterable[voices_pb2.RegisterVoiceRequest]
_Stream = AsyncIterator[voices_pb2.RegisterVoiceRequest]


class Uploads:
    """Takes uploads in. Confined to one event loop; disk and store are used on ``store``'s threads.

    Whatever ends an upload (an error, a client that went away, a full disk) nothing of it stays
    but a version that was published whole. ``check`` raises if no engine here can speak a manifest;
    ``check_graphs``, which blocks on the store, if it brings a program that no operator trusts.
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
        self._running = 0

    async def receive(self, incoming: _Messages) -> tuple[Manifest, bool]:
        """Take one upload in; its manifest, and whether it made a new version."""
        if self._running >= self._max_uploads:
            raise TooManyUploadsError(
                f"{self._running} voices are being uploaded, the most that this server takes at a "
                "time; try again when one has ended"
            )
        self._running += 1
        try:
            async with contextlib.AsyncExitStack() as stack:
                folder = contextlib.ExitStack()
                stack.push_async_callback(_to_the_end, self._store.finish, folder.close)
                workdir = await self._call(lambda: folder.enter_context(self._registry.workdir()))
                return await self._receive(aiter(incoming), workdir, stack)
        finally:
            self._running -= 1

    async def _receive(
        self, incoming: _Stream, workdir: Path, stack: contextlib.AsyncExitStack
    ) -> tuple[Manifest, bool]:
        first = await self._next(incoming)
        if first is None or first.WhichOneof("part") != "manifest_json":
            raise InvalidInputError.one("manifest_json", "is missing; send it in the first message")
        version, label, actor = messages.upload_options(first)
        if label is not None and self._must_be_signed:
            raise InvalidInputError.one(
                "label",
                "cannot be given yet, for this server speaks with signed versions alone; register "
                "without it, sign the version, then promote it",
            )
        upload = await self._call(
            lambda: Upload(self._registry, first.manifest_json, workdir, max_bytes=self._max_bytes)
        )
        stack.callback(upload.close)
        try:
            self._check(upload.manifest)
        except (EngineError, ManifestError) as error:
            raise InvalidInputError.one("manifest_json", error.message) from error
        await self._call(lambda: self._check_graphs(upload.manifest))
        if version is not None:
            await self._call(lambda: self._check_number(upload.manifest.voice_id, version))
        sizes = {c.digest: c.size_bytes for c in upload.manifest.components}
        pace = _Pace(self._clock)
        while (message := await pace.timed(self._next(incoming))) is not None:
            if message.WhichOneof("part") != "component":
                raise InvalidInputError.one("component", "is not set; send pieces of components")
            piece = message.component
            _check_length(piece, sizes.get(piece.digest, 0))
            pace.check(len(piece.data))
            await self._call(
                lambda piece=piece: upload.write(  # type: ignore[misc]
                    piece.digest, piece.offset_bytes, piece.data
                )
            )
        return await self._call(lambda: upload.publish(version=version, label=label, actor=actor))

    async def _call(self, work: Callable[[], _T]) -> _T:
        return await _to_the_end(self._store.run, work)

    def _check_number(self, voice_id: str, version: int) -> None:
        """Numbers are never used again, so nobody may use them all up at once."""
        highest = self._registry.look(voice_id).highest_number
        if version > highest + _MAX_VERSION_GAP:
            raise InvalidInputError.one(
                "version",
                f"is {version}, and the highest of {voice_id} so far is {highest}; use "
                f"{highest + _MAX_VERSION_GAP} at most, or leave it unset for the next",
            )

    async def _next(self, incoming: _Stream) -> voices_pb2.RegisterVoiceRequest | None:
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


def _check_length(piece: voices_pb2.ComponentBytes, component_bytes: int) -> None:
    """Very many very small pieces would cost far more than their bytes."""
    n = len(piece.data)
    if not n or (n < _MIN_PIECE_BYTES and piece.offset_bytes + n < component_bytes):
        raise InvalidInputError.one(
            "component.data",
            f"has {n} bytes; send {_MIN_PIECE_BYTES} at a time at least, fewer only at the end of "
            "a component",
        )


async def _to_the_end(
    call: Callable[[Callable[[], _T]], Coroutine[Any, Any, _T]], work: Callable[[], _T]
) -> _T:
    """``call`` with ``work``, and wait for its end even if cancelled: it uses the folder."""
    task = asyncio.ensure_future(call(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):  # However often.
                await asyncio.wait([task])
        if not task.cancelled():
            task.exception()
        raise
