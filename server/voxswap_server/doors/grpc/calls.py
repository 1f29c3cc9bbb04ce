"""What servicers do around their work: errors become statuses."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc

from voxswap_server.doors.grpc.status import Context, abort
from voxswap_server.speech.asking import TENANT_KEY

_TELLING_S = 0.05

# Ways in which a call ends that are grpc's to deal with.
ENDS = (asyncio.CancelledError, grpc.aio.AbortError, grpc.aio.BaseError)

_Method = TypeVar("_Method", bound=Callable[..., Awaitable[Any]])


def mapped(method: _Method) -> _Method:
    """Turn whatever ``method(self, request, context)`` raises into a status with details."""

    @functools.wraps(method)
    async def call(self: object, request: object, context: Context) -> Any:
        # No context manager: its frame would keep the error's frames, and those a voice, while the
        # client takes its time with the status.
        try:
            return await method(self, request, context)
        except ENDS:
            raise
        except Exception as error:  # noqa: BLE001 - the one boundary where all of them end
            await abort(context, error)

    return call  # type: ignore[return-value]


def patience_s(context: Context) -> float | None:
    """How long to wait for something: a little less than the client, so that it learns why not."""
    remaining_s = context.time_remaining()
    return None if remaining_s is None else remaining_s - min(_TELLING_S, 0.1 * remaining_s)


def tenant_of(context: Context) -> str:
    """On whose behalf the call is made, by its metadata."""
    for key, value in context.invocation_metadata() or ():
        if key == TENANT_KEY:
            return value if isinstance(value, str) else ""
    return ""
