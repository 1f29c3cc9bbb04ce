"""How both clients connect, and what their calls take for granted."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from voxswap_client.version import __version__

DEFAULT_ADDRESS = "127.0.0.1:50051"
DEFAULT_TIMEOUT_S = 60.0

MAX_RECEIVE_BYTES = 16 << 20

OPTIONS: Sequence[tuple[str, Any]] = (
    ("grpc.max_receive_message_length", MAX_RECEIVE_BYTES),
    ("grpc.primary_user_agent", f"voxswap-client/{__version__}"),
    # A peer that is gone is noticed within 80 seconds, and only while a call waits for it. A server
    # with gRPC's own defaults bears this for minutes of silence, far beyond any call here.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 0),
    # gRPC waits a second after a refused connection and fails every call meanwhile: longer than all
    # of our own tries take. These follow the retry policy instead. (The third option of the family,
    # "min", is the time that one connection attempt may take, and stays as it is.)
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)

# `time.monotonic` and `random.random`, or a test's own.
Clock = Callable[[], float]
Random = Callable[[], float]


def effective_timeout_s(call_s: float | None, client_s: float | None) -> float | None:
    """The call's own timeout, else the client's. ``math.inf`` means that there is no deadline."""
    timeout_s = client_s if call_s is None else call_s
    return None if timeout_s is None or timeout_s == math.inf else timeout_s
