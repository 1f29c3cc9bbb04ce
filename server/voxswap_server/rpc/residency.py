"""ResidencyService: what is in memory."""

from __future__ import annotations

import time
from typing import NoReturn

from voxswap.v1 import residency_pb2, residency_pb2_grpc
from voxswap_server.residency.manager import ModelManager
from voxswap_server.rpc import translate
from voxswap_server.rpc.calls import mapped, not_built
from voxswap_server.rpc.status import Context


class ResidencyServicer(residency_pb2_grpc.ResidencyServiceServicer):
    """Shows the manager's books."""

    def __init__(self, manager: ModelManager, device: str) -> None:
        self._manager = manager
        self._device = device

    @mapped
    async def ListResidents(  # noqa: N802
        self, request: residency_pb2.ListResidentsRequest, context: Context
    ) -> residency_pb2.ListResidentsResponse:
        """Residents and ledger of one instant."""
        return translate.residents(
            self._manager.residents(),
            self._manager.statistics(),
            self._device,
            now_s=self._manager.now(),
            wall_s=time.time(),
        )

    @mapped
    async def Load(self, request: residency_pb2.LoadRequest, context: Context) -> NoReturn:  # noqa: N802
        """Not built yet."""
        raise not_built("ResidencyService.Load")

    @mapped
    async def Unload(self, request: residency_pb2.UnloadRequest, context: Context) -> NoReturn:  # noqa: N802
        """Not built yet."""
        raise not_built("ResidencyService.Unload")

    @mapped
    async def Pin(self, request: residency_pb2.PinRequest, context: Context) -> NoReturn:  # noqa: N802
        """Not built yet."""
        raise not_built("ResidencyService.Pin")

    @mapped
    async def Unpin(self, request: residency_pb2.UnpinRequest, context: Context) -> NoReturn:  # noqa: N802
        """Not built yet."""
        raise not_built("ResidencyService.Unpin")

    @mapped
    async def Explain(self, request: residency_pb2.ExplainRequest, context: Context) -> NoReturn:  # noqa: N802
        """Not built yet."""
        raise not_built("ResidencyService.Explain")

    @mapped
    async def Watch(  # type: ignore[override]  # noqa: N802
        self, request: residency_pb2.WatchRequest, context: Context
    ) -> NoReturn:
        """Not built yet."""
        raise not_built("ResidencyService.Watch")
