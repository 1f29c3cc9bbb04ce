"""What the answers of the standard health service (grpc.health.v1) mean, for both clients."""

from __future__ import annotations

from voxswap_client.errors import (
    DeadlineExceededError,
    NotImplementedByServerError,
    UnavailableError,
    VoxswapClientError,
)

POLL_S = 0.1


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
