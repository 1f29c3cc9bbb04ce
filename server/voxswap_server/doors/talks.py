"""Conversations of any door: what the client says goes in, messages of the stream come out."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

from voxswap_server.doors.errors import PeerGoneError
from voxswap_server.doors.failures import Failure
from voxswap_server.doors.fields import named
from voxswap_server.doors.shared import Shared
from voxswap_server.doors.silence import Silence
from voxswap_server.speech.asking import check_fragment
from voxswap_server.speech.conversation import Conversation
from voxswap_server.speech.listening import Stream
from voxswap_server.speech.messages import Message
from voxswap_server.speech.request import SpeechRequest
from voxswap_server.speech.speaking import Call, Speaker

#: Under which a stop waits for them.
NAME = "/conversation"

Deliver = Callable[[Message], Awaitable[None]]
Fail = Callable[[Failure], Awaitable[None]]


class Services(Protocol):
    """What a conversation asks of whatever is behind its door."""

    @property
    def speaker(self) -> Speaker:
        """Who speaks."""
        ...

    @property
    def max_text_characters(self) -> int:
        """Of a piece of text, and of all that waits to be spoken."""
        ...

    def call(self) -> Call:
        """A request that came just now."""
        ...


class Guard(Protocol):
    """What a conversation asks of its door's guard."""

    @property
    def shared(self) -> Shared:
        """What all doors share."""
        ...


class Talk:
    """One conversation, spoken by a task of its own. Confined to one event loop.

    Text waits here until there is room for it where it is spoken, so that an interruption goes past
    it. `room` is for whoever reads the client: while there is none, it should read nothing more.
    """

    def __init__(
        self,
        services: Services,
        guard: Guard,
        request: SpeechRequest,
        *,
        deliver: Deliver,
        fail: Fail,
        idle_s: float | None = None,
        on_end: Callable[[], object] = lambda: None,
        fields: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """``deliver`` sends a message, and waits until it is on its way; ``fail`` is told the end
        of a conversation that ends with an error. Both may raise `PeerGoneError`, which ends it.
        ``on_end`` hears of any end, last of all. ``fields`` are the client's names of ours.
        """
        self._services = services
        self._guard = guard
        self._request = request
        self._deliver = deliver
        self._fail = fail
        self._on_end = on_end
        self._fields = fields
        self._most_characters = services.max_text_characters
        self._conversation = Conversation(most_waiting=self._most_characters)
        self._silence = Silence(idle_s)
        self._said: deque[str | None] = deque()  # text; None for a flush
        self._waiting = 0  # characters of them; a flush counts for one
        self._has_said = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._is_ending = False
        self._stream: Stream | None = None
        self._interrupt_first = False
        self._task = asyncio.create_task(self._run())
        # Not in the task itself: one that is cancelled before it begins runs nothing of it.
        self._task.add_done_callback(self._ended)

    # What the client says

    def text(self, text: str) -> None:
        """More text. Raises `InvalidInputError`."""
        check_fragment(text, self._most_characters)
        if text:
            self._say(text)

    def flush(self) -> None:
        """Speak what has come so far, even if no sentence is complete."""
        self._say(None)

    def end(self) -> None:
        """No more text will come."""
        self._is_ending = True
        self._has_said.set()

    async def interrupt(self) -> None:
        """Stop speaking what has come so far; the receipt is delivered."""
        self._said.clear()
        self._waiting = 0
        self._note()
        if self._stream is None:
            self._interrupt_first = True
        else:
            await self._stream.interrupt()

    def cancel(self) -> None:
        """Let go of all of it; nothing more is delivered."""
        self._task.cancel()

    async def room(self) -> None:
        """Wait until little enough waits to be spoken, or it has ended."""
        await self._room.wait()

    async def ended(self) -> None:
        """Wait for its end."""
        await asyncio.wait([self._task])

    @property
    def has_ended(self) -> bool:
        """Whether nothing more is delivered."""
        return self._task.done()

    def _say(self, text: str | None) -> None:
        self._said.append(text)
        self._waiting += len(text or "") + 1
        self._silence.broken()
        self._note()

    def _note(self) -> None:
        if self._waiting < self._most_characters or self._task.done():
            self._room.set()
        else:
            self._room.clear()
        if self._said:
            self._has_said.set()

    # How it is spoken

    async def _run(self) -> None:
        try:
            await self._speak()
        except PeerGoneError:
            pass
        except Exception as error:  # noqa: BLE001 - the one boundary where all of them end
            with contextlib.suppress(PeerGoneError):
                await self._fail(self._guard.shared.failure_of(error))

    def _ended(self, _: object) -> None:
        self._room.set()
        self._on_end()

    async def _speak(self) -> None:
        shared, speaker = self._guard.shared, self._services.speaker
        self._conversation.push(self._request.text)
        with named(self._fields), shared.streams.one(), shared.calls.one(NAME):
            call = self._services.call()
            async with speaker.open(self._request, call, script=self._conversation) as stream:
                self._stream = stream
                if self._interrupt_first:
                    await stream.interrupt()
                feeding = asyncio.create_task(self._feed())
                try:
                    async for message in stream:
                        await self._deliver(message)
                        self._silence.broken()
                finally:
                    feeding.cancel()
                    await asyncio.gather(feeding, return_exceptions=True)

    async def _feed(self) -> None:
        """Hand over what was said, as there is room; an error fails the whole."""
        try:
            while True:
                while self._said:
                    text = self._said.popleft()
                    self._waiting -= len(text or "") + 1
                    self._note()
                    if text is None:
                        self._conversation.flush()
                    else:
                        self._conversation.push(text)
                    await self._conversation.make_room()
                if self._is_ending:
                    break
                self._has_said.clear()
                said: asyncio.Future[Any] = asyncio.ensure_future(self._has_said.wait())
                try:
                    await self._silence.wait(said)
                finally:
                    said.cancel()
            self._conversation.end()
        except Exception as error:  # noqa: BLE001 - raised where the conversation is spoken
            self._conversation.fail(error)
