"""The lease: a held right to use a resident voice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future

from voxswap_families.contract import LoadedVoice


class Lease:
    """While it is held, its voice stays resident. A context manager; release it on the event loop.

    ``cold`` says whether the voice had to be loaded for it, ``wait_s`` how long that took.
    """

    def __init__(
        self,
        loaded: LoadedVoice,
        on_release: Callable[[], None],
        *,
        cold: bool = False,
        wait_s: float = 0.0,
        verify: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """``verify`` is what `verify` does."""
        self._verify = verify
        self._loaded: LoadedVoice | None = loaded
        self._on_release: Callable[[], None] | None = on_release
        self._used_until: Future[None] | None = None
        self.cold = cold
        self.wait_s = wait_s

    @property
    def loaded(self) -> LoadedVoice:
        """The voice. Do not keep it beyond the lease: its bytes would outlive their accounting.

        Raises RuntimeError once it is released.
        """
        if self._loaded is None:
            raise RuntimeError("this lease has been released")
        return self._loaded

    @property
    def released(self) -> bool:
        """Whether it was given back."""
        return self._loaded is None

    async def verify(self) -> None:
        """A file that the voice is mapped from has changed, or so it seems: hash it again.

        Returns if its bytes are sound. Raises `ComponentChangedError` if they are not; then the
        voice is out of service, and nothing may compute with it any more.
        """
        if self._verify is not None:
            await self._verify()

    def used_until(self, done: Future[None]) -> None:
        """Something computes with the voice until ``done``, whatever becomes of who asked for it.

        So the voice stays resident until then, even if it is given back before.
        """
        self._used_until = done

    def release(self) -> None:
        """Give the voice back. Calling it again does nothing."""
        if self._on_release is None:
            return
        # Both are let go of: a lease that somebody keeps must not keep a voice's bytes.
        on_release, self._on_release, self._loaded = self._on_release, None, None
        self._verify = None
        if self._used_until is None or self._used_until.done():
            on_release()
        else:
            asyncio.wrap_future(self._used_until).add_done_callback(lambda _: on_release())

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"Lease({'released' if self._loaded is None else self._loaded.ref})"
