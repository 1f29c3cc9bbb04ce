"""grpc.health.v1 for the server, for its services, and for each voice (``voices/<id>``)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio as health_aio

from voxswap_registry.catalog.catalog import Catalog
from voxswap_registry.errors import VoiceNotFoundError, VoxswapError
from voxswap_registry.names import VoiceRef
from voxswap_server.rpc.status import Context

VOICE_PREFIX = "voices/"

_Status = health_pb2.HealthCheckResponse


class HealthServicer(health_aio.HealthServicer):  # type: ignore[misc]
    """The standard servicer, which also answers for voices.

    A voice is SERVING if its manifest can be read and its components are there; whether it is in
    memory makes no difference. NOT_SERVING: it is registered and damaged. NOT_FOUND: it is not
    registered, or its name is none.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        poll_s: float = 1.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__()
        self._catalog = catalog
        self._poll_s = poll_s
        self._sleep = sleep
        self._leaving = False

    async def Check(  # noqa: N802
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> health_pb2.HealthCheckResponse:
        """One answer."""
        if not request.service.startswith(VOICE_PREFIX):
            return await super().Check(request, context)
        status = await self._voice_status(request.service)
        if status == _Status.SERVICE_UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no voice {request.service!r}")
        return _Status(status=status)

    async def Watch(  # noqa: N802
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> None:
        """An answer now, and another one whenever it changes (seen within a second)."""
        if not request.service.startswith(VOICE_PREFIX):
            await super().Watch(request, context)
            return
        last = None
        while True:
            status = await self._voice_status(request.service)
            if status != last:
                await context.write(_Status(status=status))
                last = status
            await self._sleep(self._poll_s)

    async def enter_graceful_shutdown(self) -> None:
        """NOT_SERVING from now on, for everything."""
        self._leaving = True
        await super().enter_graceful_shutdown()

    async def _voice_status(self, service: str) -> int:
        if self._leaving:
            return int(_Status.NOT_SERVING)
        return await asyncio.to_thread(self._look, service.removeprefix(VOICE_PREFIX))

    def _look(self, voice: str) -> int:
        try:
            manifest = self._catalog.resolve(VoiceRef.parse(voice))
            for component in manifest.components:
                self._catalog.registry.components.check_present(component)
        except VoiceNotFoundError:
            return int(_Status.SERVICE_UNKNOWN)
        except VoxswapError as error:
            known = error.reason != "INVALID_INPUT"
            return int(_Status.NOT_SERVING if known else _Status.SERVICE_UNKNOWN)
        return int(_Status.SERVING)
