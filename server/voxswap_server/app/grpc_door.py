"""The gRPC door as settings have it: every service, behind its guard."""

from __future__ import annotations

import contextlib

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from voxswap.v1 import (
    recordings_pb2,
    recordings_pb2_grpc,
    residency_pb2,
    residency_pb2_grpc,
    speech_pb2,
    speech_pb2_grpc,
    voices_pb2,
    voices_pb2_grpc,
)
from voxswap_server.app.config import SettingsError
from voxswap_server.app.house import House
from voxswap_server.app.watched import store_threads
from voxswap_server.doors.grpc.guard import Guard
from voxswap_server.doors.grpc.health import HealthServicer
from voxswap_server.doors.grpc.kept_messages import KeptMessages
from voxswap_server.doors.grpc.recordings import RecordingServicer
from voxswap_server.doors.grpc.reflection import add_reflection
from voxswap_server.doors.grpc.residency import ResidencyServicer
from voxswap_server.doors.grpc.riva import servicer as riva
from voxswap_server.doors.grpc.server import ConnectionLimits, Server
from voxswap_server.doors.grpc.speech import SpeechServicer
from voxswap_server.doors.grpc.voices import VoiceServicer
from voxswap_server.doors.shared import Shared

_SERVICES = (
    speech_pb2.DESCRIPTOR.services_by_name["SpeechService"].full_name,
    voices_pb2.DESCRIPTOR.services_by_name["VoiceService"].full_name,
    residency_pb2.DESCRIPTOR.services_by_name["ResidencyService"].full_name,
    recordings_pb2.DESCRIPTOR.services_by_name["RecordingService"].full_name,
    riva.SERVICE,
)


def grpc_door(house: House, shared: Shared, stack: contextlib.AsyncExitStack) -> tuple[Server, str]:
    """The server, bound, and its address. Raises `SettingsError` if that cannot be had."""
    server = _server(house, shared, stack)
    return server, _bind(server, house.settings.listen)


def _server(house: House, shared: Shared, stack: contextlib.AsyncExitStack) -> Server:
    metrics, limits = house.metrics, shared.limits
    guard = Guard(shared, observe_undecodable=metrics.observe_undecodable)
    metrics.show("open_calls", "Calls of any method.", lambda: guard.open_calls)
    server = Server(
        guard,
        ConnectionLimits(
            hello_s=limits.first_message_s,
            idle_s=limits.idle_s,
            keepalive_s=limits.keepalive_s,
            max_message_bytes=limits.max_message_bytes,
        ),
    )
    speech = SpeechServicer(
        house.speaker,
        house.catalog,
        house.residents.ahead,
        max_text_characters=limits.max_text_characters,
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
    recordings_pb2_grpc.add_RecordingServiceServicer_to_server(
        RecordingServicer(house.recordings), server
    )
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    riva.add_to_server(
        riva.RivaServicer(
            house.speaker, house.catalog, max_text_characters=limits.max_text_characters
        ),
        server,
    )
    names = (*_SERVICES, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name)
    add_reflection(server, names, renamed=[riva.RENAMED])
    return server


def _bind(server: grpc.aio.Server, listen: str) -> str:
    try:
        port = server.add_insecure_port(listen)
    except RuntimeError as error:
        raise SettingsError(
            f"listen: {listen} cannot be had; it is taken or not an address of this machine"
        ) from error
    return f"{listen.rpartition(':')[0]}:{port}"
