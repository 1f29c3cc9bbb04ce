"""How long a conversation may be silent: one read, looked at again while something is heard."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from voxswap.v1 import speech_pb2
from voxswap_server.doors.grpc.conversations import read
from voxswap_server.doors.silence import Silence as RealSilence
from voxswap_server.speech.errors import ConversationIdleError


class Client:
    """A call's context whose client says something when it is told to."""

    def __init__(self) -> None:
        self.said: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.reads = 0
        self.reading = asyncio.Event()

    async def read(self) -> Any:
        self.reads += 1
        self.reading.set()
        return await self.said


class Silence(RealSilence):
    """What is left is a script: at each look the next of ``left``; ``then`` is done at the last."""

    def __init__(self, *left_s: float, then: Any = lambda: None) -> None:
        super().__init__(60.0)
        self._script = list(left_s)
        self._then = then

    @property
    def left_s(self) -> float:
        if len(self._script) == 1:
            self._then()
        return self._script.pop(0)


async def test_a_message_that_comes_after_several_looks_is_read_once() -> None:
    client = Client()
    message = speech_pb2.ConverseRequest(text="Hi")
    silence = Silence(0.001, 0.001, 60.0, then=lambda: client.said.set_result(message))
    assert await read(client, silence) == message  # type: ignore[arg-type]
    assert client.reads == 1


async def test_the_end_of_the_clients_side() -> None:
    client = Client()
    client.said.set_result(grpc.aio.EOF)
    assert await read(client, Silence(60.0)) is None  # type: ignore[arg-type]


async def test_too_long_a_silence_ends_theread() -> None:
    client = Client()
    with pytest.raises(ConversationIdleError, match="nothing came for 60 s"):
        await read(client, Silence(0.001, 0.0))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    assert client.said.cancelled()


async def test_a_reader_that_is_cancelled_ends_theread() -> None:
    client = Client()
    reading = asyncio.create_task(read(client, RealSilence(60.0)))  # type: ignore[arg-type]
    await client.reading.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await asyncio.sleep(0)
    assert client.said.cancelled()


async def test_silence_is_counted_from_when_it_was_last_broken() -> None:
    silence = RealSilence(60.0)
    now = [100.0]
    silence._clock = lambda: now[0]
    silence.broken()
    now[0] += 59.0
    assert silence.left_s == 1.0
    silence.broken()
    assert silence.left_s == 60.0
