"""Why a call failed, in Pipecat's words."""

from __future__ import annotations

from pipecat.utils.errors import ErrorCategory

from voxswap_client import (
    CallCancelledError,
    DeadlineExceededError,
    FailedPreconditionError,
    IncompleteStreamError,
    InvalidRequestError,
    NotImplementedByServerError,
    ResourceExhaustedError,
    UnavailableError,
    VoiceNotFoundError,
    VoxswapClientError,
)

_CATEGORIES: tuple[tuple[type[VoxswapClientError], ErrorCategory], ...] = (
    (VoiceNotFoundError, ErrorCategory.INVALID_REQUEST),
    (InvalidRequestError, ErrorCategory.INVALID_REQUEST),
    (NotImplementedByServerError, ErrorCategory.INVALID_REQUEST),
    (ResourceExhaustedError, ErrorCategory.RATE_LIMIT),
    (UnavailableError, ErrorCategory.CONNECTIVITY),
    (CallCancelledError, ErrorCategory.CONNECTIVITY),
    (IncompleteStreamError, ErrorCategory.CONNECTIVITY),
    (DeadlineExceededError, ErrorCategory.SERVER),
    (FailedPreconditionError, ErrorCategory.SERVER),
)


def category(error: VoxswapClientError) -> ErrorCategory:
    """A fault of a text alone is the application's: the service may go on with others.

    Any other fault of a request stays until the settings change, and so does an unknown voice.
    """
    fields = {violation.field for violation in error.violations}
    if isinstance(error, InvalidRequestError) and fields == {"text"}:
        return ErrorCategory.APPLICATION
    found = (kind for cls, kind in _CATEGORIES if isinstance(error, cls))
    return next(found, ErrorCategory.SERVER)
