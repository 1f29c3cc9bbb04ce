"""Voices that come over the wire: how many at a time, how long they may be silent, their end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterable, AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

from voxswap.v1 import voices_pb2
from voxswap_registry.errors import EngineError, InvalidInputError, ManifestError
from voxswap_registry.manifest import Manifest
from voxswap_registry.store import Registry
from voxswap_registry.upload import Upload
from voxswap_server.rpc import voice_messages as messages
from voxswap_server.rpc.errors import TooManyUploadsError, UploadStalledError

_SILENCE_S = 60.0

_T = TypeVar("_T")
_Messages = AsyncIterable[voices_pb2.RegisterVoiceRequest]
_Stream = AsyncIterator[voices_pb2.RegisterVoiceRequest]


class Uploads:
    """Takes uploads in. Confined to one event loop; disk and store are used on worker threads.

    Whatever ends an upload (an error, a client that went away, a full disk) nothing of it stays
    but a version that was published whole. ``check`` raises if no engine here can speak a manifest.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        check: Callable[[Manifest], object],
        max_bytes: int,
        max_uploads: int,
        must_be_signed: bool = False,
        silence_s: float = _SILENCE_S,
    ) -> None:
        self._registry = registry
        self._check = check
        self._max_bytes = max_bytes
        self._max_uploads = max_uploads
        self._must_be_signed = must_be_signed
        self._silence_s = silence_s
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
                stack.push_async_callback(_to_the_end, folder.close)
                workdir = await _to_the_end(lambda: folder.enter_context(self._registry.workdir()))
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
        upload = await _to_the_end(
            lambda: Upload(self._registry, first.manifest_json, workdir, max_bytes=self._max_bytes)
        )
        stack.callback(upload.close)
        try:
            self._check(upload.manifest)
        except (EngineError, ManifestError) as error:
            raise InvalidInputError.one("manifest_json", error.message) from error
        while (message := await self._next(incoming)) is not None:
            if message.WhichOneof("part") != "component":
                raise InvalidInputError.one("component", "is not set; send pieces of components")
            piece = message.component
            await _to_the_end(
                lambda piece=piece: upload.write(  # type: ignore[misc]
                    piece.digest, piece.offset_bytes, piece.data
                )
            )
        return await _to_the_end(lambda: upload.publish(version=version, label=label, actor=actor))

    async def _next(self, incoming: _Stream) -> voices_pb2.RegisterVoiceRequest | None:
        try:
            async with asyncio.timeout(self._silence_s):
                return await anext(incoming, None)
        except TimeoutError:
            raise UploadStalledError(
                f"nothing came for {self._silence_s:g} s, so the upload was given up; send it again"
            ) from None


async def _to_the_end(work: Callable[[], _T]) -> _T:
    """Run ``work`` on a thread, and wait for its end even if cancelled: it uses the folder."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):  # However often.
                await asyncio.wait([task])
        if not task.cancelled():
            task.exception()
        raise
