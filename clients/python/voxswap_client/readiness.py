"""The standard health service (grpc.health.v1), called without grpcio-health-checking."""

from __future__ import annotations

from functools import cache
from typing import Any

from voxswap_client.errors import (
    DeadlineExceededError,
    NotImplementedByServerError,
    UnavailableError,
    VoxswapClientError,
)
from voxswap_client.wire import Field, message_classes

HEALTH_CHECK = "/grpc.health.v1.Health/Check"
POLL_S = 0.1

_SERVING = 1


@cache
def _messages() -> dict[str, Any]:
    # An enum is on the wire what an int32 is.
    return message_classes(
        "voxswap_client.health",
        {
            "HealthCheckRequest": {"service": Field(1, "string")},
            "HealthCheckResponse": {"status": Field(1, "int32")},
        },
    )


def health_request(service: str) -> bytes:
    """A serialized HealthCheckRequest; "" asks for the server as a whole."""
    data: bytes = _messages()["HealthCheckRequest"](service=service).SerializeToString()
    return data


def is_serving(response: bytes) -> bool:
    """Whether a serialized HealthCheckResponse says SERVING."""
    status: int = _messages()["HealthCheckResponse"].FromString(response).status
    return status == _SERVING


def may_become_ready(error: VoxswapClientError) -> bool:
    """What a failed check means. True: ask again. False: ready, as far as this server can say.

    A server without a health service is ready once it answers at all. What is neither that, nor a
    broken connection, nor the end of the time is raised: waiting does not mend it.
    """
    if isinstance(error, NotImplementedByServerError):
        return False
    if isinstance(error, UnavailableError | DeadlineExceededError):
        return True
    raise error


def not_ready(address: str, timeout_s: float, *, answered: bool) -> DeadlineExceededError:
    """The error for a server that was not ready in time."""
    what = "answers, but says that it is not serving yet" if answered else "does not answer"
    remedy = (
        "give it longer, or read its log"
        if answered
        else "check the address, and that `voxswap serve` runs there"
    )
    return DeadlineExceededError(
        f"{address} {what} after {timeout_s:g} s; {remedy}", code="DEADLINE_EXCEEDED"
    )
