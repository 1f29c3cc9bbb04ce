"""What can go wrong with a stream beside its voice and its text.

::

    VoxswapError                   (voxswap_registry.errors)
    ├── OverloadedError            OVERLOADED      as much to compute as can be, in time
    ├── TooLateError               TOO_LATE        the line cannot start by its start_by_ms
    ├── TooFarBehindError          TOO_FAR_BEHIND  it shares audio with streams that read faster
    ├── StreamNotFoundError        STREAM_NOT_FOUND
    ├── StylesUnknownError         STYLES_UNKNOWN  too few styles are published to find one in
    └── ConversationIdleError      CONVERSATION_IDLE   a Converse that says nothing
"""

from __future__ import annotations

from voxswap_registry.errors import VoxswapError


class OverloadedError(VoxswapError):
    """The device has as much to do as it can do in time. Waiting helps: see ``retry_s``."""

    reason = "OVERLOADED"


class TooLateError(VoxswapError):
    """A line would start, or did not start, later than it is of use."""

    reason = "TOO_LATE"


class TooFarBehindError(VoxswapError):
    """What others of its audio have read already cannot be held for a stream any longer."""

    reason = "TOO_FAR_BEHIND"


class StreamNotFoundError(VoxswapError):
    """No stream has this id, or no longer."""

    reason = "STREAM_NOT_FOUND"


class StylesUnknownError(VoxswapError):
    """Of a voice's model no style is published of which it is known how it sounds."""

    reason = "STYLES_UNKNOWN"


class ConversationIdleError(VoxswapError):
    """A Converse call did not say in time what it wants, or hangs in the middle."""

    reason = "CONVERSATION_IDLE"


def too_late(start_by_s: float, estimate_s: float | None) -> TooLateError:
    """The error of a line that is of no use any more; None: it became late in the queue."""
    message = (
        f"the line was to start within {start_by_s * 1e3:.0f} ms and did not; it was dropped"
        if estimate_s is None
        else f"the line is to start within {start_by_s * 1e3:.0f} ms and would take "
        f"{estimate_s * 1e3:.0f} ms; send it earlier, or leave start_by_ms unset"
    )
    metadata = {} if estimate_s is None else {"estimated_start_ms": f"{estimate_s * 1e3:.0f}"}
    return TooLateError(message, metadata=metadata)
