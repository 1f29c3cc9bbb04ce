"""The one exception tree of the clients.

::

    VoxswapClientError                code                 what it says
    ├── InvalidRequestError           INVALID_ARGUMENT     ``violations`` names each field at fault
    │   └── UnusableClipError         (CLIP_UNUSABLE)      a recording that is of no use
    ├── VoiceNotFoundError            NOT_FOUND            no such voice, or no such version of it
    ├── VersionExistsError            ALREADY_EXISTS       the number of a new version is taken
    ├── RevisionConflictError         (REVISION_CONFLICT)  somebody else changed the voice first
    ├── NotImplementedByServerError   UNIMPLEMENTED        this server does not carry that out yet
    ├── ResourceExhaustedError        RESOURCE_EXHAUSTED   no memory for the voice, or server full
    │   ├── OverloadedError           (OVERLOADED)         more to compute than can be in time
    │   └── SlowWatcherError          (SLOW_WATCHER)       events came faster than they were read
    ├── FailedPreconditionError       FAILED_PRECONDITION  something must be there or done first
    │   ├── VersionInUseError         (VERSION_IN_USE)     a label or split names what would go
    │   ├── NothingToRollBackError    (NOTHING_TO_ROLL_BACK)  the label never moved
    │   ├── SelfTestFailedError       (SELF_TEST_FAILED)   the version gave no sound; no label moved
    │   └── VoiceInUseError           (VOICE_IN_USE)       it speaks, is being loaded or is pinned
    ├── EventsLostError               (EVENTS_LOST)        the next event is not kept any more
    ├── DataLossError                 DATA_LOSS            a voice's component is missing or damaged
    ├── StreamNotFoundError           (STREAM_NOT_FOUND)   nothing to interrupt, or no longer
    ├── DeadlineExceededError         DEADLINE_EXCEEDED    the deadline passed first
    │   ├── TooLateError              (TOO_LATE)           the line cannot start by its time
    │   └── ConversationIdleError     (CONVERSATION_IDLE)  nothing was said for too long
    ├── UnavailableError              UNAVAILABLE          no server, or the connection broke
    ├── CallCancelledError            CANCELLED            somebody cancelled the call
    ├── InternalServerError           INTERNAL, UNKNOWN    the server failed; its log knows more
    └── IncompleteStreamError         (none)               audio is missing from the stream

The server's reason, in brackets, goes before the code. A status without a class of its own is a
plain `VoxswapClientError`. These classes know nothing of grpc: `voxswap_client.rpc_status` makes
them from what grpc raises.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Violation(NamedTuple):
    """One fault of a request: the field's path, and what is wrong with it."""

    field: str
    description: str


class VoxswapClientError(Exception):
    """Base of every error that the clients raise on purpose.

    ``code`` is the name of the gRPC status code, empty if the client itself found the fault.
    ``reason`` and ``metadata`` are the server's ErrorInfo: stable, made for programs to match on.
    ``retry_after_s`` is how long the server asks to wait before the next try, if it said so.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[Violation] = (),
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason
        self.metadata = dict(metadata or {})
        self.violations = list(violations)
        self.retry_after_s = retry_after_s


class InvalidRequestError(VoxswapClientError):
    """A field of the request is at fault; ``violations`` names every one of them at once."""


class UnusableClipError(InvalidRequestError):
    """Nothing can be read off a recording; ``metadata["fault"]`` says why, for programs."""


class VoiceNotFoundError(VoxswapClientError):
    """No such voice or version. Another one is never taken in its place."""


class VersionExistsError(VoxswapClientError):
    """A version with the number that was asked for is there; versions never change."""


class RevisionConflictError(VoxswapClientError):
    """The voice is no longer at the revision that the change was made for; nothing was changed."""


class NotImplementedByServerError(VoxswapClientError):
    """A method or field that this server does not carry out yet."""


class ResourceExhaustedError(VoxswapClientError):
    """The voice does not fit the memory budget, or the server is full; see ``retry_after_s``."""


class OverloadedError(ResourceExhaustedError):
    """The server has as much to compute as it can in time; ``retry_after_s`` says when it may not.

    A line that nobody listens to (``pacing="none"``) is tried again by the client itself.
    """


class SlowWatcherError(ResourceExhaustedError):
    """Events came faster than this watch was read, and the server kept no more of them for it."""


class FailedPreconditionError(VoxswapClientError):
    """Something must be installed or done first; the message says what."""


class VersionInUseError(FailedPreconditionError):
    """A label or a traffic split names a version that would be deleted; nothing was."""


class NothingToRollBackError(FailedPreconditionError):
    """The label never named another version that is still there."""


class SelfTestFailedError(FailedPreconditionError):
    """The version was loaded and did not speak as it should; its labels are where they were."""


class VoiceInUseError(FailedPreconditionError):
    """The voice speaks, is being loaded or is pinned: it cannot be unloaded now."""


class EventsLostError(VoxswapClientError):
    """A watch cannot go on where it was: the next event is no longer kept, or of another run.

    List the residents, and watch from now on.
    """


class DataLossError(VoxswapClientError):
    """A component of the voice is missing on the server, or differs from its digest."""


class DeadlineExceededError(VoxswapClientError):
    """The deadline passed; the server has stopped computing."""


class TooLateError(DeadlineExceededError):
    """The line cannot start, or did not start, within its ``start_by_ms``. Never tried again.

    ``metadata`` may have the server's estimate as ``estimated_start_ms``.
    """


class ConversationIdleError(DeadlineExceededError):
    """A conversation was silent for longer than the server waits; `end` it when all is said."""


class StreamNotFoundError(VoxswapClientError):
    """No stream has this id, or no longer: what was to be interrupted has ended."""


class UnavailableError(VoxswapClientError):
    """The server cannot be reached, is shutting down, or the connection broke."""


class CallCancelledError(VoxswapClientError):
    """The call was cancelled: by ``cancel()``, by closing the client, or by the server."""


class InternalServerError(VoxswapClientError):
    """The server failed; the message has a reference for its log."""


class IncompleteStreamError(VoxswapClientError):
    """The stream ended well for the transport, and yet audio is missing from it.

    There was no header first, a gap between two chunks, or no trailer that agrees with them.
    """


CLASS_BY_CODE: Mapping[str, type[VoxswapClientError]] = {
    "INVALID_ARGUMENT": InvalidRequestError,
    "NOT_FOUND": VoiceNotFoundError,
    "ALREADY_EXISTS": VersionExistsError,
    "UNIMPLEMENTED": NotImplementedByServerError,
    "RESOURCE_EXHAUSTED": ResourceExhaustedError,
    "FAILED_PRECONDITION": FailedPreconditionError,
    "DATA_LOSS": DataLossError,
    "DEADLINE_EXCEEDED": DeadlineExceededError,
    "UNAVAILABLE": UnavailableError,
    "CANCELLED": CallCancelledError,
    "INTERNAL": InternalServerError,
    "UNKNOWN": InternalServerError,
}

# These go before the code.
CLASS_BY_REASON: Mapping[str, type[VoxswapClientError]] = {
    "CLIP_UNUSABLE": UnusableClipError,
    "REVISION_CONFLICT": RevisionConflictError,
    "VERSION_IN_USE": VersionInUseError,
    "NOTHING_TO_ROLL_BACK": NothingToRollBackError,
    "SELF_TEST_FAILED": SelfTestFailedError,
    "VOICE_IN_USE": VoiceInUseError,
    "EVENTS_LOST": EventsLostError,
    "SLOW_WATCHER": SlowWatcherError,
    "OVERLOADED": OverloadedError,
    "TOO_LATE": TooLateError,
    "CONVERSATION_IDLE": ConversationIdleError,
    "STREAM_NOT_FOUND": StreamNotFoundError,
}
