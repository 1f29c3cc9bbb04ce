"""Counts the calls that a stop waits for."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Collection
from typing import Any

import grpc


class CallsUnderWay(grpc.aio.ServerInterceptor):
    """Calls from their handler's begin to its end, but for those of the methods that are exempt.

    grpc.aio's own `stop` waits for connections too, silent ones among them, and for watchers that
    never end. Confined to one event loop.
    """

    def __init__(self, exempt: Collection[str]) -> None:
        """``exempt`` are prefixes of methods, such as ``/grpc.health.v1.Health/``."""
        self._exempt = tuple(exempt)
        self._count = 0
        self._none = asyncio.Event()
        self._none.set()

    @property
    def count(self) -> int:
        """How many there are. (A length would make it false at first, and grpc pass it over.)"""
        return self._count

    async def ended(self) -> None:
        """Wait until there is none."""
        await self._none.wait()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """See `grpc.aio.ServerInterceptor`."""
        handler = await continuation(handler_call_details)
        if handler is None or handler_call_details.method.startswith(self._exempt):
            return handler
        kind = ("stream" if handler.request_streaming else "unary") + (
            "_stream" if handler.response_streaming else "_unary"
        )
        return handler._replace(**{kind: self._counted(getattr(handler, kind))})

    def _counted(self, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(method)
        async def call(request: object, context: object) -> Any:
            self._count += 1
            self._none.clear()
            try:
                return await method(request, context)
            finally:
                self._count -= 1
                if not self._count:
                    self._none.set()

        return call
