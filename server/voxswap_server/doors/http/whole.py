"""Answers that are sent once all of them is there: files whose length stands at their beginning."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from starlette.responses import Response

from voxswap_server.audio.encoding import AudioEncoding
from voxswap_server.audio.pcm import wav_header
from voxswap_server.doors.http import media
from voxswap_server.doors.http.exchange import Exchange
from voxswap_server.speech.errors import OverloadedError
from voxswap_server.speech.listening import Stream
from voxswap_server.speech.messages import Chunk, Header, Mark

# Of all whole answers together, from when they are made until they were taken.
_MOST_BYTES = 256 << 20


class Held:
    """Bytes of one answer. Not thread-safe."""

    def __init__(self, whole: Whole) -> None:
        self._whole = whole
        self.parts: list[bytes] = []
        self.size_bytes = 0

    def add(self, data: bytes) -> None:
        """Hold these too. Raises `OverloadedError` if there is no room."""
        self._whole.take(len(data))
        self.size_bytes += len(data)
        self.parts.append(data)


class Spoken:
    """A line that is whole: its header, its audio and its marks."""

    def __init__(self, header: Header, held: Held, marks: list[Mark], samples: int) -> None:
        self.header = header
        self.marks = marks
        self.samples = samples
        self._held = held

    @property
    def audio(self) -> bytes:
        """All of it; of WAV with a header that says how long it is."""
        parts = self._held.parts
        if self.header.encoding is AudioEncoding.WAV:
            unknown = wav_header(self.header.sample_rate_hertz)
            n = len(unknown)
            first, *rest = parts or [unknown]  # one that was interrupted may have no sample
            known = wav_header(self.header.sample_rate_hertz, max(0, self._held.size_bytes - n))
            return b"".join((known, first[n:], *rest))
        return b"".join(parts)


class Whole:
    """What whole answers hold, all together. Confined to one event loop."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self.size_bytes = 0

    def take(self, size_bytes: int) -> None:
        """So many bytes more. Raises `OverloadedError` if there is no room."""
        if self.size_bytes + size_bytes > self._most_bytes:
            raise OverloadedError(
                "too much is being held for answers that are sent whole; ask for a stream, or try "
                "again"
            )
        self.size_bytes += size_bytes

    @contextlib.contextmanager
    def holding(self) -> Iterator[Held]:
        """Room for an answer, as long as the block lasts."""
        held = Held(self)
        try:
            yield held
        finally:
            self.size_bytes -= held.size_bytes

    async def spoken(self, stream: Stream, held: Held) -> Spoken:
        """All of ``stream``. Raises whatever making it raises."""
        header, samples = None, 0
        marks: list[Mark] = []
        async for message in stream:
            match message:
                case Header():
                    header = message
                case Chunk():
                    held.add(message.audio)
                    marks.extend(message.marks)
                    samples = message.start_sample + message.sample_count
        assert header is not None  # noqa: S101 - always the first message
        return Spoken(header, held, marks, samples)

    async def answer(
        self,
        exchange: Exchange,
        stream: Stream,
        *,
        headers: Callable[[Spoken], dict[str, str]] = lambda spoken: {},
    ) -> None:
        """Send all of ``stream`` as one file."""
        with self.holding() as held:
            spoken = await self.spoken(stream, held)
            header = spoken.header
            media_type = media.media_type(header.encoding, header.sample_rate_hertz)
            await exchange.answer(
                Response(spoken.audio, headers=headers(spoken), media_type=media_type)
            )
