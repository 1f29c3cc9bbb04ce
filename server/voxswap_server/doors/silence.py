"""How long a conversation may say nothing."""

from __future__ import annotations

import asyncio

from voxswap_server.speech.errors import ConversationIdleError

# What a call wants it says soon (see the guards), and then something now and then.
IDLE_S = 60.0


class Silence:
    """How long neither side has said anything. Confined to one event loop."""

    def __init__(self, most_s: float | None = None) -> None:
        self.most_s = IDLE_S if most_s is None else most_s
        self._clock = asyncio.get_running_loop().time
        self.broken()

    def broken(self) -> None:
        """Somebody says something: it begins anew."""
        self._since_s = self._clock()

    @property
    def left_s(self) -> float:
        """Until it is too long."""
        return self._since_s + self.most_s - self._clock()

    async def wait(self, said: asyncio.Future[object]) -> None:
        """Wait until ``said`` is done. Raises `ConversationIdleError` if it lasts too long."""
        while not said.done():
            if (left_s := self.left_s) <= 0:
                raise ConversationIdleError(
                    f"nothing came for {self.most_s:g} s; send text, or close your side "
                    "of the conversation"
                )
            await asyncio.wait((said,), timeout=left_s)
