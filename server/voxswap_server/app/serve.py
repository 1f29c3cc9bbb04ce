"""A house with its doors open: it listens, until it is told to end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from voxswap.v1 import (
    residency_pb2,
    residency_pb2_grpc,
    speech_pb2,
    speech_pb2_grpc,
    voices_pb2,
    voices_pb2_grpc,
)
from voxswap_server.app.config import Settings, SettingsError
from voxswap_server.app.house import House, open_house
from voxswap_server.app.metrics import Metrics
from voxswap_server.app.metrics_port import MetricsPort
from voxswap_server.app.watched import store_threads
from voxswap_server.app.way_down import STEPS_S, WayDown
from voxswap_server.compute.scheduler import Scheduler
from voxswap_server.doors.grpc.guard import Guard, Limits
from voxswap_server.doors.grpc.health import HealthServicer
from voxswap_server.doors.grpc.kept_messages import KeptMessages
from voxswap_server.doors.grpc.reflection import add_reflection
from voxswap_server.doors.grpc.residency import ResidencyServicer
from voxswap_server.doors.grpc.server import ConnectionLimits, Server
from voxswap_server.doors.grpc.speech import SpeechServicer
from voxswap_server.doors.grpc.voices import VoiceServicer
from voxswap_server.doors.refusals import Refusals
from voxswap_server.doors.under_way import CallsUnderWay

_LOGGER = logging.getLogger(__name__)

_SERVICES = (
    speech_pb2.DESCRIPTOR.services_by_name["SpeechService"].full_name,
    voices_pb2.DESCRIPTOR.services_by_name["VoiceService"].full_name,
    residency_pb2.DESCRIPTOR.services_by_name["ResidencyService"].full_name,
)
# A stop does not wait for their calls: they are short, or never end.
_NOT_WAITED_FOR = (
    *("/grpc.health.v1.Health/", "/grpc.reflection."),
    "/voxswap.v1.ResidencyService/Watch",
)


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A house that listens. ``address`` and ``metrics_address`` are as bound."""

    house: House
    address: str
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
        refusals = Refusals(house.metrics.refused)
        calls = CallsUnderWay(_NOT_WAITED_FOR)
        server = _server(house, refusals, calls, stack)
        address = _bind(server, settings.listen)
        metrics_address = None
        if settings.metrics_listen != "off":
            metrics_port = _serve_metrics(settings.metrics_listen, house.metrics, refusals)
            way_down.closing_on_thread(stack, "metrics", metrics_port.close)
            metrics_address = metrics_port.address
        # What lives from here on lives as long as the process: keep the collector off it.
        gc.collect()
        gc.freeze()
        await server.start()
        stack.push_async_callback(_stop_serving, server, calls, house.scheduler, way_down)
        # Watchers end, and need not be waited for.
        stack.callback(house.events.close)
        stack.callback(house.serving.drain)
        stack.callback(way_down.begin)
        yield RunningServer(house, address, metrics_address, server)


def _server(
    house: House, refusals: Refusals, calls: CallsUnderWay, stack: contextlib.AsyncExitStack
) -> Server:
    """gRPC's server, with every service, and the guard before them."""
    settings, metrics = house.settings, house.metrics
    guard = Guard(
        Limits(settings.max_streams, settings.first_message_s, settings.stalled_write_s),
        refusals,
        under_way=calls,
        observe_undecodable=metrics.observe_undecodable,
    )
    metrics.show("open_calls", "Calls of any method.", lambda: guard.open_calls)
    server = Server(
        guard,
        ConnectionLimits(
            hello_s=settings.first_message_s,
            idle_s=settings.idle_connection_s,
            keepalive_s=settings.keepalive_s,
            max_message_bytes=settings.max_message_bytes,
        ),
    )
    speech = SpeechServicer(
        house.speaker,
        house.catalog,
        house.residents.ahead,
        max_text_characters=settings.max_text_characters,
    )
    kept_messages = KeptMessages()
    metrics.watch_beside("messages", lambda: kept_messages.size_bytes)
    voices = VoiceServicer(house.catalog, house.store, house.changes, kept_messages)
    residency = ResidencyServicer(house.steering)
    health = HealthServicer(
        house.catalog, house.serving, _SERVICES, executor=store_threads(stack, 2, "health")
    )
    speech_pb2_grpc.add_SpeechServiceServicer_to_server(speech, server)
    voices_pb2_grpc.add_VoiceServiceServicer_to_server(voices, server)
    residency_pb2_grpc.add_ResidencyServiceServicer_to_server(residency, server)
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    add_reflection(server, (*_SERVICES, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name))
    return server


async def _stop_serving(
    server: Server, calls: CallsUnderWay, scheduler: Scheduler, way_down: WayDown
) -> None:
    """Take no call any more; those under way have their grace, and end then, whatever hangs."""
    stopping = asyncio.ensure_future(server.stop(way_down.left_s()))
    await way_down.grace(calls.ended())
    if way_down.is_hurried:
        server.hang_up()
    way_down.hurry()
    await asyncio.wait([stopping], timeout=STEPS_S)
    if calls.count:
        _LOGGER.warning(
            "%d calls did not end when they were cancelled; steps under way count as stuck",
            calls.count,
        )
        scheduler.abandon()
    server.hang_up()  # Whoever still watches, and does not take the end of it.
    await way_down.within("the gRPC server", lambda: asyncio.wait([stopping]))


def _bind(server: grpc.aio.Server, listen: str) -> str:
    try:
        port = server.add_insecure_port(listen)
    except RuntimeError as error:
        raise SettingsError(
            f"listen: {listen} cannot be had; it is taken or not an address of this machine"
        ) from error
    return f"{listen.rpartition(':')[0]}:{port}"


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
