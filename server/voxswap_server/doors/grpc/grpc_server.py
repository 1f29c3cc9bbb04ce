"""grpc's asyncio server, mended where one call of a stranger could end it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, cast

import grpc
from grpc._cython import cygrpc
from grpc.aio import _server

_LOGGER = logging.getLogger(__name__)


def new_server(
    *,
    options: Sequence[tuple[str, Any]],
    maximum_concurrent_rpcs: int | None,
) -> grpc.aio.Server:
    """As `grpc.aio.server`, but registered methods alone are served, and others refused here.

    grpc decodes the path of a call as UTF-8, in the task that takes calls in. A path that is none
    ends that task and with it the server, while the process lives on. It does so for paths alone
    that nobody has registered, and those never get there any more.
    """
    logging.getLogger(cygrpc.__name__).addFilter(is_a_servers_fault)
    return cast("grpc.aio.Server", _Server(options, maximum_concurrent_rpcs))


class _Server(_server.Server):
    """grpc's own with another core."""

    def __init__(
        self,
        options: Sequence[tuple[str, Any]],
        maximum_concurrent_rpcs: int | None,
    ) -> None:
        # Instead of what super() does: a core that is made and never started cannot be let go.
        self._loop = cygrpc.get_working_loop()
        arguments = _server._augment_channel_arguments(options, None)
        self._server = _Core(self._loop, None, (), (), arguments, maximum_concurrent_rpcs)


class _Core(cygrpc.AioServer):  # type: ignore[misc]
    """Overrides one method of grpc's own, which is there since registered methods are."""

    def _make_request_call_future(self, method: bytes | None) -> asyncio.Future[Any]:
        """The next call of ``method``; None: of any that nobody registered, and it never comes."""
        if method is not None:
            return super()._make_request_call_future(method)  # type: ignore[no-any-return]
        return asyncio.get_running_loop().create_task(self._refuse_unknown_methods())

    async def _refuse_unknown_methods(self) -> None:
        refusals: set[asyncio.Task[None]] = set()
        while True:
            refusal = asyncio.create_task(_refuse(await self._request_call()))
            refusals.add(refusal)
            refusal.add_done_callback(refusals.discard)


def is_a_servers_fault(record: logging.LogRecord) -> bool:
    """Whether a record of grpc's own tells of one; a filter for its logger.

    It logs two kinds with a traceback that any caller may cause at will: metadata that is no UTF-8,
    which it then takes as Latin-1, and a status that cannot be sent, because the caller is gone.
    """
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, UnicodeDecodeError | cygrpc.ExecuteBatchError)


async def _refuse(call: Any) -> None:
    context = cygrpc._ServicerContext(call, None, None, asyncio.get_running_loop())
    try:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "this server has no such method")
    except (grpc.aio.AbortError, grpc.aio.BaseError):
        _LOGGER.debug("refused a call of an unknown method")
