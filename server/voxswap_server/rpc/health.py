"""grpc.health.v1 for the server, for its services, and for each voice (``voices/<id>``)."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor

import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio as health_aio

from voxswap_registry.catalog.catalog import Catalog
from voxswap_registry.errors import (
    ComponentMissingError,
    DigestMismatchError,
    ManifestError,
    RegistryError,
    VoiceNotFoundError,
    VoxswapError,
)
from voxswap_registry.names import VoiceRef
from voxswap_server.rpc.status import Context

_KEPT_ANSWERS = 1024
VOICE_PREFIX = "voices/"

_Status = health_pb2.HealthCheckResponse


class HealthServicer(health_aio.HealthServicer):  # type: ignore[misc]
    """The standard servicer, which also answers for voices.

    A voice is SERVING if its manifest can be read and its components are there; whether it is in
    memory makes no difference. NOT_SERVING: it is registered and damaged. NOT_FOUND: it is not
    registered, or its name is none. While the store fails, a voice that was not known to be damaged
    counts as SERVING: those in memory or in the cache go on speaking. An answer is good for
    ``poll_s``; the store is asked on ``executor``.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        poll_s: float = 1.0,
        executor: Executor | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__()
        self._catalog = catalog
        self._poll_s = poll_s
        self._executor = executor
        self._clock = clock
        self._answers: OrderedDict[str, tuple[float, int]] = OrderedDict()
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
        voice, now = service.removeprefix(VOICE_PREFIX), self._clock()
        known = self._answers.get(voice)
        if known is not None and now - known[0] < self._poll_s:
            return known[1]
        loop = asyncio.get_running_loop()
        before = known[1] if known else int(_Status.SERVING)
        status = await loop.run_in_executor(self._executor, self._look, voice, before)
        self._answers[voice] = (now, status)
        self._answers.move_to_end(voice)
        while len(self._answers) > _KEPT_ANSWERS:
            self._answers.popitem(last=False)
        return status

    def _look(self, voice: str, before: int) -> int:
        try:
            manifest = self._catalog.resolve(VoiceRef.parse(voice))
            for component in manifest.components:
                self._catalog.registry.components.check_present(component)
        except VoiceNotFoundError:
            return int(_Status.SERVICE_UNKNOWN)
        except (ManifestError, ComponentMissingError, DigestMismatchError):
            return int(_Status.NOT_SERVING)
        except RegistryError:
            return before  # The store fails, and says nothing of this voice.
        except VoxswapError as error:
            known = error.reason != "INVALID_INPUT"
            return int(_Status.NOT_SERVING if known else _Status.SERVICE_UNKNOWN)
        return int(_Status.SERVING)
