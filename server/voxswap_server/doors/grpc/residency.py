"""ResidencyService: what is in memory, and how to steer it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping

from voxswap.v1 import residency_pb2, residency_pb2_grpc
from voxswap_registry.catalog.catalog import Catalog
from voxswap_registry.errors import InvalidInputError
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_server.doors.grpc.calls import mapped, patience_s
from voxswap_server.doors.grpc.status import Context
from voxswap_server.doors.grpc.translate import residency as messages
from voxswap_server.residency.estimates import Tier
from voxswap_server.residency.events import EventLog
from voxswap_server.residency.host_tier import HostTier
from voxswap_server.residency.manager import ModelManager
from voxswap_server.residency.outlook import explain

MIN_BUDGET_BYTES, MAX_BUDGET_BYTES = 1 << 20, 1 << 50


class ResidencyServicer(residency_pb2_grpc.ResidencyServiceServicer):
    """Shows the manager's books, and passes on what operators want. Holds no state."""

    def __init__(
        self,
        catalog: Catalog,
        manager: ModelManager,
        events: EventLog,
        *,
        host_tier: HostTier | None = None,
        beside: Callable[[], Mapping[str, int]] = dict,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._catalog = catalog
        self._manager = manager
        self._events = events
        self._host_tier = host_tier
        self._beside = beside
        self._wall_clock = wall_clock

    @mapped
    async def ListResidents(  # noqa: N802
        self, request: residency_pb2.ListResidentsRequest, context: Context
    ) -> residency_pb2.ListResidentsResponse:
        """Residents, components and ledgers of one instant."""
        instant = self._instant()
        ledgers = [self._ledger()]
        if self._host_tier is not None:
            ledgers.append(messages.ledger(self._host_tier.statistics(), "host", tier=Tier.HOST))
        return residency_pb2.ListResidentsResponse(
            residents=[messages.resident(r, instant) for r in self._manager.residents()],
            components=[messages.component(p, instant) for p in self._manager.resident_parts()],
            ledgers=ledgers,
            last_sequence=self._events.last_sequence,
            epoch=self._events.epoch,
            beside=[
                residency_pb2.Beside(what=what, size_bytes=size_bytes)
                for what, size_bytes in self._beside().items()
            ],
        )

    @mapped
    async def Load(  # noqa: N802
        self, request: residency_pb2.LoadRequest, context: Context
    ) -> residency_pb2.LoadResponse:
        """Load, and let go again: it stays as long as nobody needs its memory."""
        manifest = self._resolve(request.voice)
        timeout_s = patience_s(context)
        (await self._manager.acquire(manifest, timeout_s=timeout_s, insist=True)).release()
        found = self._manager.find(manifest)
        response = residency_pb2.LoadResponse()
        if found is not None:
            response.resident.CopyFrom(messages.resident(found, self._instant()))
        return response

    @mapped
    async def Unload(  # noqa: N802
        self, request: residency_pb2.UnloadRequest, context: Context
    ) -> residency_pb2.UnloadResponse:
        """Evict, and answer when that is done."""
        freed = await self._manager.unload(self._resolve(request.voice))
        return residency_pb2.UnloadResponse(freed_bytes=freed)

    @mapped
    async def Pin(  # noqa: N802
        self, request: residency_pb2.PinRequest, context: Context
    ) -> residency_pb2.PinResponse:
        """Load, and keep."""
        manifest = self._resolve(request.voice)
        found = await self._manager.pin(manifest, timeout_s=patience_s(context))
        return residency_pb2.PinResponse(resident=messages.resident(found, self._instant()))

    @mapped
    async def Unpin(  # noqa: N802
        self, request: residency_pb2.UnpinRequest, context: Context
    ) -> residency_pb2.UnpinResponse:
        """Keep no longer."""
        found = self._manager.unpin(self._resolve(request.voice))
        response = residency_pb2.UnpinResponse()
        if found is not None:
            response.resident.CopyFrom(messages.resident(found, self._instant()))
        return response

    @mapped
    async def Explain(  # noqa: N802
        self, request: residency_pb2.ExplainRequest, context: Context
    ) -> residency_pb2.ExplainResponse:
        """Say what `Load` would do."""
        found = await explain(self._manager, self._resolve(request.voice))
        return messages.explanation(found, self._instant())

    @mapped
    async def Watch(  # type: ignore[override]  # noqa: N802
        self, request: residency_pb2.WatchRequest, context: Context
    ) -> None:
        """Write events as they come; flow control makes a slow reader's stream wait, and no other.

        Ends when the server stops. Raises `InvalidInputError`.
        """
        after = request.after_sequence if request.HasField("after_sequence") else None
        if after is not None and after < 0:
            raise InvalidInputError.one("after_sequence", f"is {after}; use 0 or above")
        async with contextlib.aclosing(self._events.watch(after, request.epoch)) as events:
            async for event in events:
                await context.write(messages.event(event, self._events.epoch))

    @mapped
    async def SetBudget(  # noqa: N802
        self, request: residency_pb2.SetBudgetRequest, context: Context
    ) -> residency_pb2.SetBudgetResponse:
        """Change the budget. Raises `InvalidInputError`."""
        if not MIN_BUDGET_BYTES <= request.budget_bytes <= MAX_BUDGET_BYTES:
            raise InvalidInputError.one(
                "budget_bytes",
                f"is {request.budget_bytes}; use {MIN_BUDGET_BYTES} (1 MiB) or more, and "
                f"{MAX_BUDGET_BYTES} (1 PiB) at most",
            )
        self._manager.set_budget(request.budget_bytes)
        return residency_pb2.SetBudgetResponse(ledger=self._ledger())

    def _resolve(self, voice: str) -> Manifest:
        return self._catalog.resolve(VoiceRef.parse(voice))

    def _instant(self) -> messages.Instant:
        return messages.Instant(self._manager.clock(), self._wall_clock())

    def _ledger(self) -> residency_pb2.Ledger:
        device = self._manager.device
        books = self._manager.statistics()
        return messages.ledger(books, device.name, held_bytes=device.held_bytes())
