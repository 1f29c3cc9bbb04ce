"""What the client of a Converse call says, as it is written into the conversation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc

from voxswap.v1 import speech_pb2
from voxswap_registry.errors import InvalidInputError
from voxswap_server.rpc import translate
from voxswap_server.rpc.status import Context
from voxswap_server.speech.conversation import Conversation
from voxswap_server.speech.errors import ConversationIdleError

# A call says what it wants within this, and then something now and then.
START_WITHIN_S, IDLE_S = 10.0, 60.0


async def begun(context: Context) -> speech_pb2.SynthesizeRequest:
    """What the first message starts. Raises `InvalidInputError`, `ConversationIdleError`."""
    first = await _read(context, START_WITHIN_S)
    if first is None or first.WhichOneof("part") != "start":
        raise InvalidInputError.one("start", "is missing; the first message carries it")
    return first.start


async def listen(
    context: Context,
    conversation: Conversation,
    interrupt: Callable[[], object],
    *,
    max_characters: int,
) -> None:
    """Read what the client says, as far as there is room for it. Faults are the conversation's."""
    try:
        while (said := await _read(context, IDLE_S)) is not None:
            match said.WhichOneof("part"):
                case "text":
                    for description in translate.fragment_faults(said.text, max_characters):
                        raise InvalidInputError.one("text", description)
                    conversation.push(said.text)
                case "flush":
                    conversation.flush()
                case "interrupt":
                    interrupt()
                case "start":
                    raise InvalidInputError.one("start", "comes once, in the first message")
                case _:
                    raise InvalidInputError.one("part", "is missing; send text, flush or interrupt")
            await conversation.make_room()
        conversation.end()
    except Exception as error:  # noqa: BLE001 - raised where the conversation is spoken
        conversation.fail(error)


async def _read(context: Context, within_s: float) -> speech_pb2.ConverseRequest | None:
    """The client's next message; None once it has closed its side."""
    try:
        async with asyncio.timeout(within_s):
            said: Any = await context.read()
    except TimeoutError as error:
        raise ConversationIdleError(
            f"nothing came for {within_s:g} s; send text, or close your side of the call"
        ) from error
    return None if said is grpc.aio.EOF else said
