"""Where a conversation's messages go: to a socket, or to the next one after a break."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from voxswap_server.doors.http.native import told
from voxswap_server.doors.http.sockets import Socket, SocketGoneError
from voxswap_server.doors.talks import Talk
from voxswap_server.speech.errors import StreamNotFoundError
from voxswap_server.speech.messages import Chunk, Header, Message

#: How long a conversation waits for its client to come back.
PARKED_S = 5.0
_MOST_PARKED = 64
# What was sent last is kept, as much as two seconds of 16-bit audio at 48 kHz and more in any other
# form: a socket that broke may have had it under way.
_KEPT_BYTES = 256 << 10
_LAST = frozenset({"trailer", "error"})


@dataclass(frozen=True, slots=True)
class _Sent:
    """A message as it is sent; ``end_sample`` is one past its last, or None."""

    content: dict[str, Any]
    audio: bytes | None
    end_sample: int | None

    @property
    def size_bytes(self) -> int:
        """What keeping it takes, roughly."""
        return 512 + len(self.audio or b"")


class Parked:
    """Conversations that may be gone on with, by stream id. Confined to one event loop."""

    def __init__(self) -> None:
        self._outlets: dict[str, Outlet] = {}

    def add(self, stream_id: str, outlet: Outlet) -> None:
        """It may be resumed from now on. Where there are too many, the oldest may no longer be."""
        if len(self._outlets) >= _MOST_PARKED:
            del self._outlets[next(iter(self._outlets))]
        self._outlets[stream_id] = outlet

    def remove(self, stream_id: str) -> None:
        """It may not be resumed any more; again does nothing."""
        self._outlets.pop(stream_id, None)

    def taken(self, stream_id: str) -> Outlet:
        """The one of that id. Raises `StreamNotFoundError`."""
        outlet = self._outlets.get(stream_id)
        if outlet is None:
            raise StreamNotFoundError(
                "no conversation with this stream_id waits to be resumed; begin it anew, and say "
                "what was not heard"
            )
        return outlet


class Outlet:
    """Sends the messages of one conversation, in order, to the socket that it is attached to.

    Of one that may be resumed, the latest are kept, and it waits for a while when its socket goes.
    Confined to one event loop.
    """

    talk: Talk

    def __init__(self, parked: Parked, *, is_resumable: bool) -> None:
        self.is_resumable = is_resumable
        self._parked = parked
        self._most_kept_bytes = _KEPT_BYTES if is_resumable else 0
        self._kept: deque[_Sent] = deque()
        self._kept_bytes = 0
        self._first = 0  # the number of the first that is kept
        self._next = 0  # the number of the next that is to be sent
        self._sending = asyncio.Lock()
        self._socket: Socket | None = None
        self._name = ""
        self._detached: Callable[[], object] = lambda: None
        self._is_attached = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._stream_id = ""
        self._has_ended = False
        self._resumed: dict[str, Any] | None = None  # what a new socket is told before all else
        self.frames_taken = 0  # of what the client said after its start

    def attach(self, socket: Socket, name: str, detached: Callable[[], object]) -> None:
        """Messages go to ``socket`` as ``name``, which is free once ``detached`` is called."""
        self._detach()
        self._socket, self._name, self._detached = socket, name, detached
        self._is_attached.set()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._has_ended:
            self._wait_for_client()

    def leave(self, socket: Socket) -> None:
        """``socket`` is gone: the conversation ends, or waits for another one."""
        if self._socket is not socket:
            return
        self._detach()
        if not self.is_resumable or not self._stream_id:
            self.talk.cancel()
        elif self._timer is None:
            self._wait_for_client()

    def rewind(self, sample: int) -> None:
        """Send again from ``sample`` on. Raises `StreamNotFoundError` if that is not kept."""
        # What was said after this never came, and is to be said again.
        self._resumed = {"type": "resumed", "frames_taken": self.frames_taken}
        place = self._first
        for number, sent in enumerate(self._kept, start=self._first):
            if sent.end_sample is not None and sent.end_sample <= sample:
                place = number + 1
        earliest = next((s for s in self._kept if s.end_sample is not None), None)
        begins = 0 if earliest is None else int(earliest.content.get("start_sample", 0))
        if self._first and sample < begins:
            raise StreamNotFoundError(
                f"what came before sample {begins} is not kept any more; resume from there, or "
                "begin anew"
            )
        self._next = min(place, self._next)

    async def catch_up(self) -> None:
        """Send what the new socket has not had. Raises `SocketGoneError`."""
        if not self._sending.locked():
            async with self._sending:
                await self._pump()
        if self._has_ended:
            self._detach()

    async def deliver(self, message: Message) -> None:
        """Send ``message``, and wait until it is on its way."""
        if isinstance(message, Header) and self.is_resumable:
            self._stream_id = message.stream_id
            self._parked.add(message.stream_id, self)
        content = told.message(message, with_audio=False)
        if isinstance(message, Chunk):
            end = message.start_sample + message.sample_count
            await self._put(_Sent(content, message.audio, end))
        else:
            await self._put(_Sent(content, None, None))

    async def send(self, content: dict[str, Any]) -> None:
        """Send what is no message of the stream."""
        await self._put(_Sent(content, None, None))

    def ended(self) -> None:
        """Nothing more will be delivered."""
        self._has_ended = True
        if self.is_resumable and self._stream_id and self._timer is None:
            self._wait_for_client()
        self._detach()

    async def _put(self, sent: _Sent) -> None:
        self._kept.append(sent)
        self._kept_bytes += sent.size_bytes
        async with self._sending:
            await self._pump()
        while self._first < self._next and self._kept_bytes > self._most_kept_bytes:
            self._kept_bytes -= self._kept.popleft().size_bytes
            self._first += 1

    async def _pump(self) -> None:
        while self._resumed is not None or self._next < self._first + len(self._kept):
            await self._is_attached.wait()
            socket = self._socket
            if socket is None:
                continue
            if self._resumed is not None:
                told, self._resumed = self._resumed, None
                await socket.send({**told, "conversation": self._name})
                continue
            number = self._next
            sent = self._kept[number - self._first]
            if sent.content["type"] in _LAST:
                self._let_go()  # of the name, or who has read this might be told that it is in use
            try:
                await socket.send({**sent.content, "conversation": self._name}, sent.audio)
            except SocketGoneError:
                if not self.is_resumable:
                    raise
                self.leave(socket)
                continue
            if self._socket is socket and self._next == number:
                self._next += 1

    def _detach(self) -> None:
        self._socket = None
        self._is_attached.clear()
        self._let_go()

    def _let_go(self) -> None:
        detached, self._detached = self._detached, lambda: None
        detached()

    def _wait_for_client(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(PARKED_S, self._give_up)

    def _give_up(self) -> None:
        self._parked.remove(self._stream_id)
        self.talk.cancel()
