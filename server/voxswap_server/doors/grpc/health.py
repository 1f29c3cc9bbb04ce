"""grpc.health.v1 for the server, for its services, and for each voice (``voices/<id>``)."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from concurrent.futures import Executor
from dataclasses import dataclass

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

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
from voxswap_server.doors.grpc.status import Context
from voxswap_server.speech.serving import Serving

_KEPT_ANSWERS = 1024
VOICE_PREFIX = "voices/"

_Status = health_pb2.HealthCheckResponse
_SERVING, _NOT_SERVING = int(_Status.SERVING), int(_Status.NOT_SERVING)
_UNKNOWN = int(_Status.SERVICE_UNKNOWN)


@dataclass(frozen=True, slots=True)
class _Sound:
    """A version that nothing is known against."""

    ref: str
    engine: str


_Found = _Sound | int


class HealthServicer(health_pb2_grpc.HealthServicer):  # type: ignore[misc]
    """Answers from `Serving`, for the server (``""``) and its services, and for voices.

    A voice is SERVING if the server serves, its manifest can be read, its components are there, it
    is not barred, and there is a thread for its steps; whether it is in memory makes no difference.
    NOT_SERVING: it is registered, and something of that is not so. NOT_FOUND: it is not registered,
    or its name is none. While the store fails, a voice that was not known to be damaged counts as
    sound: those in memory or in the cache go on speaking. What the store says is good for
    ``poll_s``; it is asked on ``executor``.

    Watchers hold nothing while they write: one whose client does not read waits alone, and gets the
    latest when it reads on. They end once the server is about to. Confined to one event loop.
    """

    def __init__(
        self,
        catalog: Catalog,
        serving: Serving,
        services: Collection[str] = (),
        *,
        poll_s: float = 1.0,
        most_watchers: int = 1024,
        executor: Executor | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalog = catalog
        self._components = catalog.registry.components
        self._serving = serving
        self._services = frozenset(("", *services))
        self._poll_s = poll_s
        self._most_watchers = most_watchers
        self._watchers = 0
        self._executor = executor
        self._clock = clock
        self._answers: OrderedDict[str, tuple[float, _Found]] = OrderedDict()

    async def Check(  # noqa: N802
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> health_pb2.HealthCheckResponse:
        """One answer."""
        status = await self.status(request.service)
        if status == _UNKNOWN:
            await context.abort(
                grpc.StatusCode.NOT_FOUND,
                f"{request.service[:128]!r} is neither a service nor a voice of this server; ask "
                f"for '', a service's full name, or {VOICE_PREFIX}ID",
            )
        return _Status(status=status)

    async def Watch(  # noqa: N802
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> None:
        """An answer now, and another one whenever it changes, until the server is about to end."""
        if self._watchers >= self._most_watchers:
            await context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"{self._watchers} watch health already, the most that this server lets watch",
            )
        self._watchers += 1
        try:
            await self._watch(request.service, context)
        finally:
            self._watchers -= 1

    async def _watch(self, service: str, context: Context) -> None:
        last = None
        while True:
            is_last, seen = self._serving.is_draining, self._serving.changes
            status = await self.status(service)
            if status != last:
                await context.write(_Status(status=status))
                last = status
            if is_last:
                return
            # Only of voices there is news that nobody tells.
            poll_s = self._poll_s if service.startswith(VOICE_PREFIX) else None
            await self._serving.news(seen, poll_s)

    async def status(self, service: str) -> int:
        """What there is to say of ``service`` now, as a ``ServingStatus``."""
        if service in self._services:
            return _SERVING if self._serving.serves else _NOT_SERVING
        if not service.startswith(VOICE_PREFIX):
            return _UNKNOWN
        if self._serving.is_draining:
            return _NOT_SERVING
        found = await self._find(service.removeprefix(VOICE_PREFIX))
        if not isinstance(found, _Sound):
            return found
        serves = self._serving.serves_voice(found.ref, found.engine)
        return _SERVING if serves else _NOT_SERVING

    async def _find(self, voice: str) -> _Found:
        now = self._clock()
        known = self._answers.get(voice)
        if known is not None and now - known[0] < self._poll_s:
            return known[1]
        loop = asyncio.get_running_loop()
        before = known[1] if known else _Sound(voice, "")
        found = await loop.run_in_executor(self._executor, self._look, voice, before)
        self._answers[voice] = (now, found)
        self._answers.move_to_end(voice)
        while len(self._answers) > _KEPT_ANSWERS:
            self._answers.popitem(last=False)
        return found

    def _look(self, voice: str, before: _Found) -> _Found:
        """Whether the voice is sound, or else what to say of it. Blocks on the store."""
        try:
            manifest = self._catalog.resolve(VoiceRef.parse(voice))
            for component in manifest.components:
                self._components.check_present(component)
        except VoiceNotFoundError:
            return _UNKNOWN
        except (ManifestError, ComponentMissingError, DigestMismatchError):
            return _NOT_SERVING
        except RegistryError:
            return before  # The store fails, and says nothing of this voice.
        except VoxswapError as error:
            return _NOT_SERVING if error.reason != "INVALID_INPUT" else _UNKNOWN
        return _Sound(manifest.ref, manifest.engine)
