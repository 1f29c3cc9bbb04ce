"""What an asyncio call that sends a stream of messages ended with."""

from __future__ import annotations

import grpc
import grpc.aio


class Statuses:
    """Every status that a call takes on, one after the other. For one event loop.

    If the server ends a call while a message is being written, grpc.aio makes it INTERNAL before or
    after the true status is there: without details, while our server's INTERNAL has some.
    """

    def __init__(self, call: grpc.aio.Call) -> None:
        self._found: list[grpc.aio.AioRpcError] = []
        call.add_done_callback(lambda _: self._found.extend(_status_now(call)))

    def servers_own(self, raised: grpc.RpcError) -> grpc.RpcError:
        """The status that the server gave, among them and ``raised``, which is the last one."""
        for status in (*self._found, raised):
            if status.code() is not grpc.StatusCode.INTERNAL or status.trailing_metadata():
                return status
        return raised

    @property
    def ended_with(self) -> grpc.RpcError | None:
        """What a call that is over ended with; None if that was well."""
        failures = [s for s in self._found if s.code() is not grpc.StatusCode.OK]
        return self.servers_own(failures[-1]) if failures else None


def _status_now(call: grpc.aio.Call) -> list[grpc.aio.AioRpcError]:
    """The status of a call that has just been given one. It may be another one soon."""
    reading = _status(call)
    try:
        reading.send(None)
    except StopIteration as end:
        return [end.value]
    reading.close()
    return []  # it would have had to wait


async def _status(call: grpc.aio.Call) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(
        await call.code(),
        trailing_metadata=await call.trailing_metadata(),
        details=await call.details(),
    )
