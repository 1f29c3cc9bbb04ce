"""What doors share, for a door that is tested alone."""

from __future__ import annotations

from collections.abc import Callable

from voxswap_server.doors.refusals import Refusals
from voxswap_server.doors.shared import Limits, Shared, stream_places
from voxswap_server.doors.under_way import CallsUnderWay


def shared(
    limits: Limits | None = None, *, refused: Callable[[str], object] = lambda reason: None
) -> Shared:
    limits = limits or Limits()
    return Shared(limits, stream_places(limits.most_streams), CallsUnderWay("-"), Refusals(refused))
