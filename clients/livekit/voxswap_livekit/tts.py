"""The plugin: one connection to a server, and the voice that speaks next."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Coroutine
from typing import Any, Literal, Unpack

from livekit.agents import APIConnectOptions, tts
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS

from voxswap_client import AsyncClient, Encoding, InterruptReceipt, MarkKind, VoxswapClientError
from voxswap_client.channel import DEFAULT_ADDRESS
from voxswap_client.request import SpeechOptions
from voxswap_livekit.log import logger
from voxswap_livekit.streams import ChunkedStream, Line, SynthesizeStream


class TTS(tts.TTS[Literal["interrupted"]]):
    """Speaks with a voice of a voxswap server. For one event loop.

    ``interrupted`` is emitted for each stream that is closed while it speaks, with the
    `InterruptReceipt` that says which word was the last to be sent.
    """

    def __init__(
        self,
        *,
        voice: str,
        address: str = DEFAULT_ADDRESS,
        sample_rate: int = 24_000,
        client: AsyncClient | None = None,
        **options: Unpack[SpeechOptions],
    ) -> None:
        """``voice`` is an id, or ``id@version``; ``options`` are those of every line.

        `SpeechOptions` says which there are: ``rate``, ``speaker``, ``start_by_ms``, ``line_class``
        and more; encoding and marks are the plugin's own. ``client`` is used instead of a
        connection to ``address``, and is its maker's to close.
        """
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=True, aligned_transcript=True),
            sample_rate=sample_rate,
            num_channels=1,
        )
        self._voice = voice
        self._options = options
        self._address = address
        self._own_client: AsyncClient | None = None
        self._client = client
        self._streams: weakref.WeakSet[SynthesizeStream] = weakref.WeakSet()
        self._preparing: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def model(self) -> str:
        """The voice."""
        return self._voice

    @property
    def provider(self) -> str:
        """Who speaks."""
        return "voxswap"

    @property
    def client(self) -> AsyncClient:
        """The one connection, made when it is first asked for."""
        if self._client is None:
            self._client = self._own_client = AsyncClient(self._address)
        return self._client

    @property
    def line(self) -> Line:
        """What the next line is asked for with."""
        options = SpeechOptions(**self._options)
        options["encoding"] = Encoding.PCM_S16LE
        options["sample_rate_hertz"] = self.sample_rate
        options["marks"] = [MarkKind.WORD]
        return Line(self._voice, options)

    def update_options(self, *, voice: str | None = None, **options: Unpack[SpeechOptions]) -> None:
        """Another voice, or other options, for lines that begin from now on."""
        self._options.update(options)
        if voice is not None and voice != self._voice:
            self._voice = voice
            self.prewarm()

    def prewarm(self) -> None:
        """Connect, and have the voice loaded; returns at once. Whatever fails is tried again."""
        if self._preparing is None or self._preparing.done():
            self._preparing = self.begin(self._prepare())

    async def _prepare(self) -> None:
        try:
            await self.client.prepare([self._voice])
        except VoxswapClientError as error:
            logger.warning("voxswap could not prepare %s: %s", self._voice, error)

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> ChunkedStream:
        """Speak a text that is there."""
        return ChunkedStream(tts=self, input_text=text, conn_options=conn_options)

    def stream(
        self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> SynthesizeStream:
        """Speak a text that is being written. The voice is loaded while its first words come."""
        self.prewarm()
        stream = SynthesizeStream(tts=self, conn_options=conn_options)
        self._streams.add(stream)
        return stream

    def interrupted(self, receipt: InterruptReceipt) -> None:
        """Tell whoever listens that a stream was closed while it spoke."""
        self.emit("interrupted", receipt)

    def begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do ``work`` beside everything else; `aclose` waits for it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def aclose(self) -> None:
        """Close all streams, and the connection if it is this plugin's own."""
        for stream in list(self._streams):
            await stream.aclose()
        if self._preparing is not None:
            self._preparing.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._own_client is not None:
            await self._own_client.close()
            self._client = self._own_client = None
