"""Speaking a line: the one use case behind every door."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

from voxswap_registry.catalog.catalog import Catalog
from voxswap_server.metrics import Metrics
from voxswap_server.speech.cache.cache import AudioCache
from voxswap_server.speech.cache.listener import Terms
from voxswap_server.speech.errors import StreamNotFoundError
from voxswap_server.speech.listening import Stream
from voxswap_server.speech.making import Maker
from voxswap_server.speech.parts import Parts, Receipt
from voxswap_server.speech.pipeline import Synthesis
from voxswap_server.speech.request import SpeechRequest
from voxswap_server.speech.script import Script


@dataclass(frozen=True, slots=True)
class Call:
    """When a request came, and by when it must be answered, if only with an error; None: any time.

    Both on the speaker's clock, in seconds.
    """

    arrived_s: float
    deadline_s: float | None = None


class Speaker:
    """Resolves, asks the cache, admits, leases, speaks and counts. Knows no wire.

    Confined to one event loop.
    """

    def __init__(
        self, catalog: Catalog, maker: Maker, audio_cache: AudioCache, metrics: Metrics
    ) -> None:
        self.clock = maker.clock
        self._catalog = catalog
        self._maker = maker
        self._audio_cache = audio_cache
        self._metrics = metrics
        self._streams: dict[str, Stream] = {}

    @contextlib.asynccontextmanager
    async def open(
        self, request: SpeechRequest, call: Call, *, script: Script | None = None
    ) -> AsyncIterator[Stream]:
        """The stream of ``request``; with a ``script``, of a conversation that is still written.

        Raises `VoiceNotFoundError` before the block; everything else is raised where the stream is
        read. Leaving the block, for whatever reason, ends what only this stream wants, waits for
        a step under way, and gives everything back.
        """

        def left_s() -> float | None:
            return None if call.deadline_s is None else call.deadline_s - self.clock()

        with self._metrics.stream(left_s) as seen:
            # No thread: the catalog answers from this machine's page cache.
            manifest = self._catalog.resolve(request.voice, session_id=request.session_id)
            seen.characters = len(request.text)

            make = partial(self._maker.parts, manifest, arrived_s=call.arrived_s, seen=seen)
            made: Parts
            if script is None:
                made = self._audio_cache.parts(
                    *(request, manifest, make),
                    arrived_s=call.arrived_s,
                    until_s=call.deadline_s,
                )
            else:  # What is being written is never in the cache.
                terms = Terms(call.deadline_s, request.start_by_s)

                def begun(synthesis: Synthesis) -> None:
                    stream.begun(synthesis)

                made = make(request, lambda: terms, script=script, begun=begun)
            stream = Stream(
                *(secrets.token_urlsafe(12), made, seen),
                arrived_s=call.arrived_s,
                clock=self.clock,
                start_by_s=request.start_by_s,
                script=script,
            )
            async with contextlib.aclosing(made):
                self._streams[stream.id] = stream
                try:
                    yield stream
                finally:
                    del self._streams[stream.id]

    async def interrupt(self, stream_id: str) -> Receipt:
        """See `Stream.interrupt`. Raises `StreamNotFoundError`: whoever has the id may do it."""
        stream = self._streams.get(stream_id)
        if stream is None:
            raise StreamNotFoundError("no stream has this stream_id; it may have ended")
        return await stream.interrupt()
