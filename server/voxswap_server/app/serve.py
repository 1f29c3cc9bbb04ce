"""A house with its doors open: it listens, until it is told to end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from voxswap_server.app.config import Settings, SettingsError
from voxswap_server.app.grpc_door import grpc_door
from voxswap_server.app.house import House, open_house
from voxswap_server.app.http_door import http_door
from voxswap_server.app.metrics import Metrics
from voxswap_server.app.metrics_port import MetricsPort
from voxswap_server.app.way_down import STEPS_S, WayDown
from voxswap_server.app.wyoming_door import wyoming_door
from voxswap_server.compute.scheduler import Scheduler
from voxswap_server.doors.grpc.server import Server
from voxswap_server.doors.refusals import Refusals
from voxswap_server.doors.shared import Limits, Shared, stream_places
from voxswap_server.doors.under_way import CallsUnderWay

_LOGGER = logging.getLogger(__name__)

# A stop does not wait for their calls: they are short, or never end.
_NOT_WAITED_FOR = (
    *("/grpc.health.v1.Health/", "/grpc.reflection."),
    "/voxswap.v1.ResidencyService/Watch",
    "-",  # those of other doors that say so themselves
)


class Door(Protocol):
    """A door that listens itself, beside gRPC's."""

    async def start(self) -> None:
        """Take connections."""
        ...

    def take_no_more(self) -> None:
        """New connections are refused; those that are there go on."""
        ...

    def cancel(self) -> None:
        """End whatever is under way."""
        ...

    async def close(self) -> None:
        """Leave nothing."""
        ...

    def unbind(self) -> None:
        """Let go of the port, whether it was ever listened at or not."""
        ...


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A house that listens. Addresses are as bound; None where nothing listens.

    ``address`` is gRPC's, Riva's as well; ``http_address`` that of the page, of HTTP and of
    WebSockets.
    """

    house: House
    address: str
    http_address: str | None
    wyoming_address: str | None
    metrics_address: str | None
    _grpc: Server

    async def ended(self) -> None:
        """Wait until no call is taken any more, by whoever's doing."""
        await self._grpc.wait_for_termination()


@contextlib.asynccontextmanager
async def running(
    settings: Settings, way_down: WayDown | None = None
) -> AsyncIterator[RunningServer]:
    """A server that listens as long as the block lasts.

    On leaving: health turns NOT_SERVING, no new call is taken, streams get
    ``shutdown_grace_s`` to end and are cancelled after it, then everything is evicted and closed.
    What hangs is left behind, and ``way_down`` has its name; see there for the times.
    Raises `SettingsError` if an address cannot be had or a device is not there.
    """
    way_down = way_down or WayDown(settings.shutdown_grace_s)
    async with open_house(settings, way_down) as house, contextlib.AsyncExitStack() as stack:
        shared = _shared(house)
        server, address = grpc_door(house, shared, stack)
        doors: dict[str, Door] = {}
        addresses: dict[str, str] = {}
        for name, found in (("HTTP", http_door), ("Wyoming", wyoming_door)):
            if (door_and_address := found(house, shared)) is not None:
                doors[name], addresses[name] = door_and_address
                stack.callback(doors[name].unbind)
        metrics_address = None
        if settings.metrics_listen != "off":
            metrics_port = _serve_metrics(settings.metrics_listen, house.metrics, shared.refusals)
            way_down.closing_on_thread(stack, "metrics", metrics_port.close)
            metrics_address = metrics_port.address
        # What lives from here on lives as long as the process: keep the collector off it.
        gc.collect()
        gc.freeze()
        await server.start()
        for door in doors.values():
            await door.start()
        stopping = (server, doors, shared.calls, house.scheduler, way_down)
        stack.push_async_callback(_stop_serving, *stopping)
        # Watchers end, and need not be waited for.
        stack.callback(house.events.close)
        stack.callback(house.serving.drain)
        stack.callback(way_down.begin)
        yield RunningServer(
            *(house, address, addresses.get("HTTP"), addresses.get("Wyoming")),
            *(metrics_address, server),
        )


def _shared(house: House) -> Shared:
    """What all doors share, as settings have it."""
    settings = house.settings
    limits = Limits(
        most_streams=settings.max_streams,
        first_message_s=settings.first_message_s,
        stalled_write_s=settings.stalled_write_s,
        idle_s=settings.idle_connection_s,
        keepalive_s=settings.keepalive_s,
        max_message_bytes=settings.max_message_bytes,
        max_text_characters=settings.max_text_characters,
    )
    return Shared(
        limits,
        stream_places(limits.most_streams),
        CallsUnderWay(_NOT_WAITED_FOR),
        Refusals(house.metrics.refused),
    )


async def _stop_serving(
    server: Server,
    doors: Mapping[str, Door],
    calls: CallsUnderWay,
    scheduler: Scheduler,
    way_down: WayDown,
) -> None:
    """Take no call any more; those under way have their grace, and end then, whatever hangs."""
    for door in doors.values():
        door.take_no_more()
    stopping = asyncio.ensure_future(server.stop(way_down.left_s()))
    await way_down.grace(calls.ended())
    if way_down.is_hurried:
        server.hang_up()
    way_down.hurry()
    for door in doors.values():
        door.cancel()
    await asyncio.wait([stopping], timeout=STEPS_S)
    if calls.count:
        _LOGGER.warning(
            "%d calls did not end when they were cancelled; steps under way count as stuck",
            calls.count,
        )
        scheduler.abandon()
    server.hang_up()  # Whoever still watches, and does not take the end of it.
    for name, door in doors.items():
        await way_down.within(f"the server of {name}", door.close)
    await way_down.within("the gRPC server", lambda: asyncio.wait([stopping]))


def _serve_metrics(listen: str, metrics: Metrics, refusals: Refusals) -> MetricsPort:
    host, _, port = listen.rpartition(":")
    loop = asyncio.get_running_loop()

    def refused() -> None:
        told = "too many connections at the metrics port; the oldest, which said nothing, went"
        loop.call_soon_threadsafe(refusals.note, "METRICS_BUSY", told)

    try:
        return MetricsPort(
            host.strip("[]"),
            int(port),
            metrics.registry,
            refused=refused,
        )
    except OSError as error:
        raise SettingsError(
            f"metrics_listen: {listen} cannot be had ({error.strerror}); use another port, or 'off'"
        ) from error
