"""A connection's end that lets its last words be heard.

Who closes a socket on which something is unread resets it, and the system of the other side then
throws away what it had received: the reason why. So this side says first that no more comes, and
takes what still arrives, to nobody, until the other side has closed too, or had its time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from typing_extensions import override

#: For the other side to take what was said, and to end.
GOODBYE_S = 1.0


class PartingTransport(asyncio.Transport):
    """A transport that is closed in this way where ``more_may_come``, and plainly elsewhere."""

    def __init__(self, inner: asyncio.Transport, more_may_come: Callable[[], bool]) -> None:
        super().__init__()
        self._inner = inner
        self._is_parting = False
        #: Asked at the end. Another protocol that takes the connection over sets its own.
        self.more_may_come = more_may_come

    @override
    def close(self) -> None:
        if self.is_closing():
            return
        if not (self._inner.can_write_eof() and self.more_may_come()):
            self._inner.close()
            return
        self._is_parting = True
        late = asyncio.get_running_loop().call_later(GOODBYE_S, self._inner.abort)
        self._inner.set_protocol(_Deaf(self._inner.get_protocol(), late))
        self._inner.resume_reading()
        self._inner.write_eof()

    @override
    def is_closing(self) -> bool:
        return self._is_parting or self._inner.is_closing()

    @override
    def write(self, data: Any) -> None:
        if not self._is_parting:
            self._inner.write(data)

    @override
    def writelines(self, list_of_data: Iterable[Any]) -> None:
        self.write(b"".join(list_of_data))

    @override
    def pause_reading(self) -> None:
        if not self._is_parting:
            self._inner.pause_reading()

    @override
    def resume_reading(self) -> None:
        self._inner.resume_reading()

    @override
    def is_reading(self) -> bool:
        return self._inner.is_reading()

    @override
    def abort(self) -> None:
        self._inner.abort()

    @override
    def can_write_eof(self) -> bool:
        return self._inner.can_write_eof()

    @override
    def write_eof(self) -> None:
        self._inner.write_eof()

    @override
    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._inner.get_extra_info(name, default)

    @override
    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._inner.set_protocol(protocol)

    @override
    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._inner.get_protocol()

    @override
    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._inner.set_write_buffer_limits(high, low)

    @override
    def get_write_buffer_size(self) -> int:
        return self._inner.get_write_buffer_size()

    @override
    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._inner.get_write_buffer_limits()


class _Deaf(asyncio.Protocol):
    """In the place of a protocol that has said its last."""

    def __init__(self, before: asyncio.BaseProtocol, late: asyncio.TimerHandle) -> None:
        self._before = before
        self._late = late

    @override
    def pause_writing(self) -> None:
        self._before.pause_writing()

    @override
    def resume_writing(self) -> None:
        self._before.resume_writing()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._late.cancel()
        self._before.connection_lost(exc)
