"""Contexts: conversations of one socket, by the names that its client gave them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from voxswap_server.doors.failures import Failure
from voxswap_server.doors.http.guard import Guard, Problem, problem_with
from voxswap_server.doors.http.services import Services
from voxswap_server.doors.http.sockets import Socket
from voxswap_server.doors.talks import Talk
from voxswap_server.speech.messages import Message
from voxswap_server.speech.request import SpeechRequest


class Context(Protocol):
    """One of them. It calls ``free`` right before its last message: who has read that may use the
    name anew.
    """

    talk: Talk
    free: Callable[[], None]

    async def deliver(self, message: Message) -> None:
        """Send a message of the stream in the words of the protocol."""
        ...


_C = TypeVar("_C", bound=Context)


def begin(
    contexts: dict[str, _C],
    name: str,
    context: _C,
    request: SpeechRequest,
    *,
    socket: Socket,
    services: Services,
    guard: Guard,
    tell: Callable[[Problem], object],
    fields: Mapping[str, str],
    idle_s: float | None = None,
    on_end: Callable[[], object] = lambda: None,
) -> None:
    """Have ``request`` spoken as ``context``, which is among ``contexts`` until it ends.

    ``tell`` makes the message of an error, ``fields`` are the client's names of ours, ``on_end``
    hears of any end.
    """

    def free() -> None:
        if contexts.get(name) is context:
            del contexts[name]

    def ended() -> None:
        on_end()
        socket.end()
        free()

    async def fail(failure: Failure) -> None:
        free()
        await socket.send(tell(problem_with(failure)))

    socket.begin()
    context.free = free
    context.talk = Talk(
        *(services, guard, request),
        deliver=context.deliver,
        fail=fail,
        idle_s=idle_s,
        on_end=ended,
        fields=fields,
    )
    contexts[name] = context
