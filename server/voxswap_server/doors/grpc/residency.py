"""ResidencyService: what is in memory, and how to steer it."""

from __future__ import annotations

import contextlib

from voxswap.v1 import residency_pb2, residency_pb2_grpc
from voxswap_server.doors.grpc.calls import mapped, patience_s
from voxswap_server.doors.grpc.status import Context
from voxswap_server.doors.grpc.translate import residency as messages
from voxswap_server.residency.snapshot import Resident
from voxswap_server.residency.steering import Steering


class ResidencyServicer(residency_pb2_grpc.ResidencyServiceServicer):
    """Translates, both ways. Holds no state."""

    def __init__(self, steering: Steering) -> None:
        self._steering = steering

    @mapped
    async def ListResidents(  # noqa: N802
        self, request: residency_pb2.ListResidentsRequest, context: Context
    ) -> residency_pb2.ListResidentsResponse:
        """Residents, components and ledgers of one instant."""
        return messages.overview(self._steering.overview(), self._steering.instant())

    @mapped
    async def Load(  # noqa: N802
        self, request: residency_pb2.LoadRequest, context: Context
    ) -> residency_pb2.LoadResponse:
        """Load, and let go again: it stays as long as nobody needs its memory."""
        found = await self._steering.load(request.voice, timeout_s=patience_s(context))
        return residency_pb2.LoadResponse(resident=self._told(found))

    @mapped
    async def Unload(  # noqa: N802
        self, request: residency_pb2.UnloadRequest, context: Context
    ) -> residency_pb2.UnloadResponse:
        """Evict, and answer when that is done."""
        return residency_pb2.UnloadResponse(freed_bytes=await self._steering.unload(request.voice))

    @mapped
    async def Pin(  # noqa: N802
        self, request: residency_pb2.PinRequest, context: Context
    ) -> residency_pb2.PinResponse:
        """Load, and keep."""
        found = await self._steering.pin(request.voice, timeout_s=patience_s(context))
        return residency_pb2.PinResponse(resident=self._told(found))

    @mapped
    async def Unpin(  # noqa: N802
        self, request: residency_pb2.UnpinRequest, context: Context
    ) -> residency_pb2.UnpinResponse:
        """Keep no longer."""
        found = self._steering.unpin(request.voice)
        return residency_pb2.UnpinResponse(resident=self._told(found))

    @mapped
    async def Explain(  # noqa: N802
        self, request: residency_pb2.ExplainRequest, context: Context
    ) -> residency_pb2.ExplainResponse:
        """Say what `Load` would do."""
        found = await self._steering.explain(request.voice)
        return messages.explanation(found, self._steering.instant())

    @mapped
    async def Watch(  # type: ignore[override]  # noqa: N802
        self, request: residency_pb2.WatchRequest, context: Context
    ) -> None:
        """Write events as they come; flow control makes a slow reader's stream wait, and no other.

        Ends when the server stops.
        """
        after = request.after_sequence if request.HasField("after_sequence") else None
        watching = self._steering.watch(after, request.epoch)
        async with contextlib.aclosing(watching) as events:
            async for event in events:
                await context.write(messages.event(event, self._steering.epoch))

    @mapped
    async def SetBudget(  # noqa: N802
        self, request: residency_pb2.SetBudgetRequest, context: Context
    ) -> residency_pb2.SetBudgetResponse:
        """Change the budget."""
        return residency_pb2.SetBudgetResponse(
            ledger=messages.ledger(self._steering.set_budget(request.budget_bytes))
        )

    def _told(self, found: Resident | None) -> residency_pb2.Resident | None:
        return None if found is None else messages.resident(found, self._steering.instant())
