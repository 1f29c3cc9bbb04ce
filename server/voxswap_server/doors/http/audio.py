"""A stream of audio as the body of an answer."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from http import HTTPStatus

from voxswap_server.doors.http import media
from voxswap_server.doors.http.errors import HttpError
from voxswap_server.doors.http.exchange import Exchange
from voxswap_server.speech.listening import Stream
from voxswap_server.speech.messages import Chunk, Header, Message


@contextlib.asynccontextmanager
async def begun(stream: Stream) -> AsyncIterator[tuple[Header, AsyncIterator[Message]]]:
    """The header, once there is something to hear, and what follows it.

    So whatever goes wrong before the first sound has a status of its own. Raises what reading the
    stream does, and `HttpError` if it was interrupted before it began.
    """
    header = await anext(stream)
    if not isinstance(header, Header):
        raise HttpError(HTTPStatus.CONFLICT, "the line was interrupted before it began")
    first = await anext(stream)

    async def messages() -> AsyncGenerator[Message, None]:
        yield first
        async for message in stream:
            yield message

    async with contextlib.aclosing(messages()) as rest:
        yield header, rest


async def send_audio(
    exchange: Exchange,
    stream: Stream,
    *,
    headers: Callable[[Header], Mapping[str, str]] = lambda header: {},
    trailers: Iterable[str] = (),
    facts: Callable[[Message], Mapping[str, str]] = lambda last: {},
    media_type: str = "",
) -> None:
    """Send the audio of ``stream`` as it is made; ``facts`` of its last message are trailers."""
    last: Message | None = None
    async with begun(stream) as (header, messages):
        await exchange.start(
            media_type or media.media_type(header.encoding, header.sample_rate_hertz),
            headers=headers(header),
            trailers=trailers,
        )
        async for message in messages:
            last = message
            if isinstance(message, Chunk):
                await exchange.write(message.audio)
    await exchange.end(facts(last) if last is not None else {})
