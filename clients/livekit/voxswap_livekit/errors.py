"""Errors of the client as LiveKit's own, which say whether it is any use to try again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from livekit.agents import APIConnectionError, APIError, APIStatusError, APITimeoutError

from voxswap_client import (
    CallCancelledError,
    DataLossError,
    DeadlineExceededError,
    FailedPreconditionError,
    IncompleteStreamError,
    InvalidRequestError,
    NotImplementedByServerError,
    ResourceExhaustedError,
    TooLateError,
    UnavailableError,
    VersionExistsError,
    VoiceNotFoundError,
    VoxswapClientError,
)

_STATUS: tuple[tuple[type[VoxswapClientError], int, bool], ...] = (
    (InvalidRequestError, 400, False),
    (VoiceNotFoundError, 404, False),
    (VersionExistsError, 409, False),
    (FailedPreconditionError, 412, False),
    (ResourceExhaustedError, 429, True),
    (NotImplementedByServerError, 501, False),
    (DataLossError, 500, False),
)
_CONNECTION = (UnavailableError, CallCancelledError, IncompleteStreamError)


@contextmanager
def livekit_errors() -> Iterator[None]:
    """Raises `APIError` for each `VoxswapClientError` of the block."""
    try:
        yield
    except VoxswapClientError as error:
        raise api_error(error) from error


def api_error(error: VoxswapClientError) -> APIError:
    """The same in LiveKit's words. ``body`` has the reason, the fields, and when to try again.

    A line that came too late is not tried again: it would be later still.
    """
    if isinstance(error, DeadlineExceededError):
        return APITimeoutError(error.message, retryable=not isinstance(error, TooLateError))
    if isinstance(error, _CONNECTION):
        return APIConnectionError(error.message)
    found = (row for row in _STATUS if isinstance(error, row[0]))
    _, status, retryable = next(found, (VoxswapClientError, 500, True))
    body = {
        "reason": error.reason or error.code,
        "violations": [violation._asdict() for violation in error.violations],
        "retry_after_s": error.retry_after_s,
    }
    return APIStatusError(error.message, status_code=status, body=body, retryable=retryable)
