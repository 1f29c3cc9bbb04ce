"""What the client of a Converse call says, as it is written into the conversation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from voxswap.v1 import speech_pb2
from voxswap_registry.errors import InvalidInputError
from voxswap_server.doors.grpc.status import Context
from voxswap_server.doors.silence import Silence
from voxswap_server.speech.asking import check_fragment
from voxswap_server.speech.conversation import Conversation


async def begun(context: Context) -> speech_pb2.SynthesizeRequest:
    """What the first message starts. Raises `InvalidInputError`."""
    first: Any = await context.read()  # no need to wait: the guard has seen that it is there
    if first is grpc.aio.EOF or first.WhichOneof("part") != "start":
        raise InvalidInputError.one("start", "is missing; the first message carries it")
    start: speech_pb2.SynthesizeRequest = first.start
    return start


async def listen(
    context: Context,
    conversation: Conversation,
    interrupt: Callable[[], Awaitable[object]],
    silence: Silence,
    *,
    max_characters: int,
) -> None:
    """Read what the client says, as there is room; an `InvalidInputError` fails the whole."""
    try:
        while (said := await read(context, silence)) is not None:
            match said.WhichOneof("part"):
                case "text":
                    check_fragment(said.text, max_characters)
                    conversation.push(said.text)
                case "flush":
                    conversation.flush()
                case "interrupt":
                    await interrupt()
                case "start":
                    raise InvalidInputError.one("start", "comes once, in the first message")
                case _:
                    raise InvalidInputError.one("part", "is missing; send text, flush or interrupt")
            await conversation.make_room()
        conversation.end()
    except Exception as error:  # noqa: BLE001 - raised where the conversation is spoken
        conversation.fail(error)


async def read(context: Context, silence: Silence) -> speech_pb2.ConverseRequest | None:
    """The client's next message; None once it has closed its side.

    Raises `ConversationIdleError` when the silence has lasted too long.
    """
    silence.broken()
    # One read, however often it is waited for: what a cancelled one had received would be lost.
    reading: asyncio.Future[Any] = asyncio.ensure_future(context.read())
    try:
        await silence.wait(reading)
        said = reading.result()
    finally:
        reading.cancel()
    return None if said is grpc.aio.EOF else said
