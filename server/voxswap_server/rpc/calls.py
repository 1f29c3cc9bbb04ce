"""What every servicer does around its work: errors become statuses, work leaves the event loop."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc

from voxswap_registry.errors import NotBuiltError
from voxswap_server.rpc.status import Context, abort

_Method = TypeVar("_Method", bound=Callable[..., Awaitable[Any]])


def mapped(method: _Method) -> _Method:
    """Turn whatever ``method(self, request, context)`` raises into a status with details."""

    @functools.wraps(method)
    async def call(self: object, request: object, context: Context) -> Any:
        try:
            return await method(self, request, context)
        except (asyncio.CancelledError, grpc.aio.AbortError, grpc.aio.BaseError):
            raise
        except Exception as error:  # noqa: BLE001 - the one boundary where all of them end
            await abort(context, error)

    return call  # type: ignore[return-value]


def not_built(method: str) -> NotBuiltError:
    """The error of a method that is on the wire and not in this server."""
    return NotBuiltError(f"{method} is not carried out by this server yet")
