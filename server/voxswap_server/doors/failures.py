"""The only table from domain errors to what callers are told; doors have their own words for it."""

from __future__ import annotations

import enum
import itertools
import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from voxswap_families.errors import DeviceMemoryError, DeviceStuckError
from voxswap_registry import errors
from voxswap_server.doors.errors import (
    FirstMessageError,
    TooManyCallsError,
    TooManyStreamsError,
    WriteStalledError,
)
from voxswap_server.residency import errors as residency
from voxswap_server.speech import errors as speech
from voxswap_server.voices.errors import TooManyUploadsError, UploadStalledError
from voxswap_server.voices.self_test import SelfTestError

_LOGGER = logging.getLogger(__name__)

# What is told is clipped to this, in UTF-8, and so are field names, descriptions and metadata.
MAX_MESSAGE_BYTES, MAX_VIOLATIONS = 768, 16
_MAX_DESCRIPTION_BYTES, _MAX_NAME_BYTES, _MAX_ENTRIES = 512, 128, 8


class Code(enum.Enum):
    """The kinds of failures; names and numbers are those of google.rpc.Code."""

    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15


# What the server cannot do now, or not for so long; and by their reasons those of other codes.
_REFUSALS = (Code.RESOURCE_EXHAUSTED, Code.DEADLINE_EXCEEDED)
_ALSO_REFUSALS = frozenset({"REGISTRY_BUSY"})


@dataclass(frozen=True, slots=True)
class _Row:
    code: Code
    retry_s: float | None = None


# The most specific class of an error's ancestry counts.
_TABLE: dict[type[BaseException], _Row] = {
    errors.InvalidInputError: _Row(Code.INVALID_ARGUMENT),
    errors.VoiceNotFoundError: _Row(Code.NOT_FOUND),
    errors.VersionExistsError: _Row(Code.ALREADY_EXISTS),
    errors.VersionInUseError: _Row(Code.FAILED_PRECONDITION),
    errors.RevisionConflictError: _Row(Code.ABORTED),
    errors.NothingToRollBackError: _Row(Code.FAILED_PRECONDITION),
    errors.RegistryBusyError: _Row(Code.UNAVAILABLE, retry_s=5.0),
    errors.UploadTooLargeError: _Row(Code.RESOURCE_EXHAUSTED),
    errors.SignatureError: _Row(Code.FAILED_PRECONDITION),
    errors.GraphNotTrustedError: _Row(Code.FAILED_PRECONDITION),
    errors.RegistryError: _Row(Code.UNAVAILABLE, retry_s=1.0),
    errors.StorageFullError: _Row(Code.RESOURCE_EXHAUSTED),
    errors.ManifestError: _Row(Code.DATA_LOSS),
    errors.ComponentMissingError: _Row(Code.DATA_LOSS),
    errors.DigestMismatchError: _Row(Code.DATA_LOSS),
    errors.ComponentChangedError: _Row(Code.DATA_LOSS),
    errors.ImportSourceError: _Row(Code.INVALID_ARGUMENT),
    errors.FrontEndError: _Row(Code.FAILED_PRECONDITION),
    errors.FrontEndBusyError: _Row(Code.UNAVAILABLE, retry_s=0.5),
    errors.EncoderUnavailableError: _Row(Code.FAILED_PRECONDITION),
    errors.ClipReaderError: _Row(Code.UNAVAILABLE, retry_s=1.0),
    SelfTestError: _Row(Code.FAILED_PRECONDITION),
    speech.TooFarBehindError: _Row(Code.UNAVAILABLE, retry_s=0.1),
    TooManyUploadsError: _Row(Code.RESOURCE_EXHAUSTED, retry_s=5.0),
    UploadStalledError: _Row(Code.DEADLINE_EXCEEDED),
    TooManyStreamsError: _Row(Code.RESOURCE_EXHAUSTED, retry_s=1.0),
    TooManyCallsError: _Row(Code.RESOURCE_EXHAUSTED, retry_s=1.0),
    FirstMessageError: _Row(Code.DEADLINE_EXCEEDED),
    WriteStalledError: _Row(Code.DEADLINE_EXCEEDED),
    errors.NotBuiltError: _Row(Code.UNIMPLEMENTED),
    errors.EngineError: _Row(Code.INTERNAL),
    residency.ResidencyError: _Row(Code.INTERNAL),
    residency.VoiceTooLargeError: _Row(Code.RESOURCE_EXHAUSTED),
    residency.MemoryBusyError: _Row(Code.RESOURCE_EXHAUSTED, retry_s=0.5),
    residency.LoadTimeoutError: _Row(Code.DEADLINE_EXCEEDED),
    residency.LoadStuckError: _Row(Code.UNAVAILABLE, retry_s=30.0),
    residency.LoadFailedError: _Row(Code.INTERNAL),
    residency.DeviceRefusedError: _Row(Code.RESOURCE_EXHAUSTED, retry_s=1.0),
    residency.VoiceBarredError: _Row(Code.UNAVAILABLE, retry_s=60.0),
    residency.VoiceInUseError: _Row(Code.FAILED_PRECONDITION),
    residency.FabricatedVoiceError: _Row(Code.FAILED_PRECONDITION),
    residency.EventsLostError: _Row(Code.OUT_OF_RANGE),
    residency.SlowWatcherError: _Row(Code.RESOURCE_EXHAUSTED),
    residency.TooManyWatchersError: _Row(Code.RESOURCE_EXHAUSTED, retry_s=5.0),
    residency.ScenesBusyError: _Row(Code.RESOURCE_EXHAUSTED, retry_s=1.0),
    DeviceMemoryError: _Row(Code.RESOURCE_EXHAUSTED),
    DeviceStuckError: _Row(Code.UNAVAILABLE, retry_s=30.0),
    speech.OverloadedError: _Row(Code.RESOURCE_EXHAUSTED, retry_s=1.0),
    speech.TooLateError: _Row(Code.DEADLINE_EXCEEDED),
    speech.StylesUnknownError: _Row(Code.FAILED_PRECONDITION),
    speech.StreamNotFoundError: _Row(Code.NOT_FOUND),
    speech.ConversationIdleError: _Row(Code.DEADLINE_EXCEEDED),
    residency.FootprintError: _Row(Code.INTERNAL),
    errors.ClosedError: _Row(Code.UNAVAILABLE, retry_s=1.0),
}


@dataclass(frozen=True, slots=True)
class Failure:
    """What a caller is told: everything is short, and UTF-8.

    ``retry_s`` is None where waiting does not help. ``refused`` is for the log, and empty unless
    the request was right and the server cannot carry it out now.
    """

    code: Code
    reason: str
    message: str
    violations: Sequence[errors.FieldViolation] = ()
    retry_s: float | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    refused: str = ""


def failure_of(error: BaseException) -> Failure:
    """What a caller is told of ``error``, with whatever else helps.

    An error that nobody foresaw is logged with a reference, and the caller gets the reference only:
    foreign messages may hold paths or text.
    """
    row = next((_TABLE[kind] for kind in type(error).__mro__ if kind in _TABLE), None)
    if row is None or not isinstance(error, errors.VoxswapError):
        reference = secrets.token_hex(4)
        _LOGGER.error("unforeseen error, reference %s", reference, exc_info=error)
        return Failure(
            Code.INTERNAL,
            "INTERNAL",
            f"the server failed; its log has the cause under the reference {reference}",
            metadata={"reference": reference},
        )
    metadata = {
        clipped(key, _MAX_NAME_BYTES): clipped(value, _MAX_NAME_BYTES)
        for key, value in itertools.islice(error.metadata.items(), _MAX_ENTRIES)
    }
    reference = ""
    if error.detail:
        # Where on this machine it happened is the operator's business, and for the log alone.
        metadata["reference"] = reference = secrets.token_hex(4)
    where = f" (the server's log says where: reference {reference})" if reference else ""
    if row.code in (Code.INTERNAL, Code.DATA_LOSS) or reference:
        text = f"reference {reference}: %s" if reference else "%s"
        _LOGGER.error(text, error)
        # It was foreseen, and its message says all; a voice that fails would fill the log with it.
        _LOGGER.debug("where it came from", exc_info=error)
    is_refusal = row.code in _REFUSALS or error.reason in _ALSO_REFUSALS
    return Failure(
        row.code,
        error.reason,
        clipped(error.message, MAX_MESSAGE_BYTES - len(where)) + where,
        violations=[
            errors.FieldViolation(
                clipped(violation.field, _MAX_NAME_BYTES),
                clipped(violation.description, _MAX_DESCRIPTION_BYTES),
            )
            for violation in _violations(error)
        ],
        retry_s=row.retry_s if error.retry_s is None else error.retry_s,
        metadata=metadata,
        refused=clipped(error.message, MAX_MESSAGE_BYTES) if is_refusal else "",
    )


def _violations(error: errors.VoxswapError) -> Sequence[errors.FieldViolation]:
    if isinstance(error, errors.InvalidInputError | errors.NotBuiltError):
        return error.violations[:MAX_VIOLATIONS]
    return ()


def clipped(text: str, limit_bytes: int) -> str:
    """``text``, or as much of its beginning as fits; what is no UTF-8 is replaced."""
    data = text.encode(errors="replace")
    if len(data) <= limit_bytes:
        return data.decode()
    return data[: limit_bytes - 3].decode(errors="ignore") + "…"
