"""The only table from domain errors to gRPC status codes, and how details are attached."""

from __future__ import annotations

import itertools
import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from voxswap_families.errors import DeviceMemoryError, DeviceStuckError
from voxswap_registry import errors
from voxswap_server.doors.grpc.errors import (
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

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]
else:  # grpc's class takes no parameters when it runs
    Context = grpc.aio.ServicerContext

ERROR_DOMAIN = "voxswap"

# gRPC drops trailers of more than 8 KiB now and then, and of more than 16 KiB always; with them go
# code and message. There the status is Base64, and its message once more, percent-encoded.
_MAX_STATUS_BYTES, _MAX_MESSAGE_BYTES = 4096, 768
_MAX_VIOLATIONS, _MAX_ENTRIES = 16, 8
_MAX_DESCRIPTION_BYTES, _MAX_NAME_BYTES = 512, 128
_ENVELOPE_BYTES = 64  # of the Any around a BadRequest


# What the server cannot do now, or not for so long; and by their reasons those of other codes.
_REFUSALS = (code_pb2.RESOURCE_EXHAUSTED, code_pb2.DEADLINE_EXCEEDED)
_ALSO_REFUSALS = frozenset({"REGISTRY_BUSY"})


class Refusable:
    """A context that wants to know which calls were refused."""

    def refused(self, error: errors.VoxswapError) -> None:
        """The call ends with ``error``, which is no fault of the request."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class _Row:
    code: int
    retry_s: float | None = None


# The most specific class of an error's ancestry counts.
_TABLE: dict[type[BaseException], _Row] = {
    errors.InvalidInputError: _Row(code_pb2.INVALID_ARGUMENT),
    errors.VoiceNotFoundError: _Row(code_pb2.NOT_FOUND),
    errors.VersionExistsError: _Row(code_pb2.ALREADY_EXISTS),
    errors.VersionInUseError: _Row(code_pb2.FAILED_PRECONDITION),
    errors.RevisionConflictError: _Row(code_pb2.ABORTED),
    errors.NothingToRollBackError: _Row(code_pb2.FAILED_PRECONDITION),
    errors.RegistryBusyError: _Row(code_pb2.UNAVAILABLE, retry_s=5.0),
    errors.UploadTooLargeError: _Row(code_pb2.RESOURCE_EXHAUSTED),
    errors.SignatureError: _Row(code_pb2.FAILED_PRECONDITION),
    errors.GraphNotTrustedError: _Row(code_pb2.FAILED_PRECONDITION),
    errors.RegistryError: _Row(code_pb2.UNAVAILABLE, retry_s=1.0),
    errors.StorageFullError: _Row(code_pb2.RESOURCE_EXHAUSTED),
    errors.ManifestError: _Row(code_pb2.DATA_LOSS),
    errors.ComponentMissingError: _Row(code_pb2.DATA_LOSS),
    errors.DigestMismatchError: _Row(code_pb2.DATA_LOSS),
    errors.ComponentChangedError: _Row(code_pb2.DATA_LOSS),
    errors.ImportSourceError: _Row(code_pb2.INVALID_ARGUMENT),
    errors.FrontEndError: _Row(code_pb2.FAILED_PRECONDITION),
    errors.FrontEndBusyError: _Row(code_pb2.UNAVAILABLE, retry_s=0.5),
    errors.EncoderUnavailableError: _Row(code_pb2.FAILED_PRECONDITION),
    SelfTestError: _Row(code_pb2.FAILED_PRECONDITION),
    speech.TooFarBehindError: _Row(code_pb2.UNAVAILABLE, retry_s=0.1),
    TooManyUploadsError: _Row(code_pb2.RESOURCE_EXHAUSTED, retry_s=5.0),
    UploadStalledError: _Row(code_pb2.DEADLINE_EXCEEDED),
    TooManyStreamsError: _Row(code_pb2.RESOURCE_EXHAUSTED, retry_s=1.0),
    TooManyCallsError: _Row(code_pb2.RESOURCE_EXHAUSTED, retry_s=1.0),
    FirstMessageError: _Row(code_pb2.DEADLINE_EXCEEDED),
    WriteStalledError: _Row(code_pb2.DEADLINE_EXCEEDED),
    errors.NotBuiltError: _Row(code_pb2.UNIMPLEMENTED),
    errors.EngineError: _Row(code_pb2.INTERNAL),
    residency.ResidencyError: _Row(code_pb2.INTERNAL),
    residency.VoiceTooLargeError: _Row(code_pb2.RESOURCE_EXHAUSTED),
    residency.MemoryBusyError: _Row(code_pb2.RESOURCE_EXHAUSTED, retry_s=0.5),
    residency.LoadTimeoutError: _Row(code_pb2.DEADLINE_EXCEEDED),
    residency.LoadStuckError: _Row(code_pb2.UNAVAILABLE, retry_s=30.0),
    residency.LoadFailedError: _Row(code_pb2.INTERNAL),
    residency.DeviceRefusedError: _Row(code_pb2.RESOURCE_EXHAUSTED, retry_s=1.0),
    residency.VoiceBarredError: _Row(code_pb2.UNAVAILABLE, retry_s=60.0),
    residency.VoiceInUseError: _Row(code_pb2.FAILED_PRECONDITION),
    residency.EventsLostError: _Row(code_pb2.OUT_OF_RANGE),
    residency.SlowWatcherError: _Row(code_pb2.RESOURCE_EXHAUSTED),
    residency.TooManyWatchersError: _Row(code_pb2.RESOURCE_EXHAUSTED, retry_s=5.0),
    residency.ScenesBusyError: _Row(code_pb2.RESOURCE_EXHAUSTED, retry_s=1.0),
    DeviceMemoryError: _Row(code_pb2.RESOURCE_EXHAUSTED),
    DeviceStuckError: _Row(code_pb2.UNAVAILABLE, retry_s=30.0),
    speech.OverloadedError: _Row(code_pb2.RESOURCE_EXHAUSTED, retry_s=1.0),
    speech.TooLateError: _Row(code_pb2.DEADLINE_EXCEEDED),
    speech.StreamNotFoundError: _Row(code_pb2.NOT_FOUND),
    speech.ConversationIdleError: _Row(code_pb2.DEADLINE_EXCEEDED),
    residency.FootprintError: _Row(code_pb2.INTERNAL),
    errors.ClosedError: _Row(code_pb2.UNAVAILABLE, retry_s=1.0),
}


def to_status(error: BaseException) -> status_pb2.Status:
    """The `google.rpc.Status` of an error, with ErrorInfo and whatever else helps.

    An error that nobody foresaw is logged with a reference, and the client gets the reference only:
    foreign messages may hold paths or text. Whatever is long is clipped: a status is small enough
    to arrive.
    """
    row = next((_TABLE[kind] for kind in type(error).__mro__ if kind in _TABLE), None)
    if row is None or not isinstance(error, errors.VoxswapError):
        reference = secrets.token_hex(4)
        _LOGGER.error("unforeseen error, reference %s", reference, exc_info=error)
        info = error_details_pb2.ErrorInfo(
            reason="INTERNAL", domain=ERROR_DOMAIN, metadata={"reference": reference}
        )
        return status_pb2.Status(
            code=code_pb2.INTERNAL,
            message=f"the server failed; its log has the cause under the reference {reference}",
            details=[_packed(info)],
        )
    metadata = {
        _clipped(key, _MAX_NAME_BYTES): _clipped(value, _MAX_NAME_BYTES)
        for key, value in itertools.islice(error.metadata.items(), _MAX_ENTRIES)
    }
    reference = ""
    if error.detail:
        # Where on this machine it happened is the operator's business, and for the log alone.
        metadata["reference"] = reference = secrets.token_hex(4)
    where = f" (the server's log says where: reference {reference})" if reference else ""
    message = _clipped(error.message, _MAX_MESSAGE_BYTES - len(where)) + where
    if row.code in (code_pb2.INTERNAL, code_pb2.DATA_LOSS) or reference:
        text = f"reference {reference}: %s" if reference else "%s"
        _LOGGER.error(text, error)
        # It was foreseen, and its message says all; a voice that fails would fill the log with it.
        _LOGGER.debug("where it came from", exc_info=error)
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=ERROR_DOMAIN, metadata=metadata)
    details = [_packed(info)]
    retry_s = row.retry_s if error.retry_s is None else error.retry_s
    if retry_s is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(int(retry_s * 1e3))
        details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
    status = status_pb2.Status(code=row.code, message=message, details=details)
    if isinstance(error, errors.InvalidInputError | errors.NotBuiltError) and error.violations:
        left = _MAX_STATUS_BYTES - status.ByteSize()
        status.details.append(_packed(_bad_request(error.violations, left)))
    return status


def _bad_request(
    violations: Sequence[errors.FieldViolation], limit_bytes: int
) -> error_details_pb2.BadRequest:
    """As many of ``violations`` as fit, the first one always."""
    request = error_details_pb2.BadRequest()
    for violation in violations[:_MAX_VIOLATIONS]:
        request.field_violations.add(
            field=_clipped(violation.field, _MAX_NAME_BYTES),
            description=_clipped(violation.description, _MAX_DESCRIPTION_BYTES),
        )
        if request.ByteSize() > limit_bytes - _ENVELOPE_BYTES and len(request.field_violations) > 1:
            del request.field_violations[-1]
            break
    return request


def clipped_message(text: str) -> str:
    """As much of a status's message as arrives with it."""
    return _clipped(text, _MAX_MESSAGE_BYTES)


def _clipped(text: str, limit_bytes: int) -> str:
    """``text``, or as much of its beginning as fits; what is no UTF-8 is replaced."""
    data = text.encode(errors="replace")
    if len(data) <= limit_bytes:
        return data.decode()
    return data[: limit_bytes - 3].decode(errors="ignore") + "…"


async def abort(context: Context, error: BaseException) -> NoReturn:
    """End the call with the status of ``error``."""
    told = to_status(error)
    status = rpc_status.to_status(told)
    if (
        isinstance(context, Refusable)
        and isinstance(error, errors.VoxswapError)
        and (told.code in _REFUSALS or error.reason in _ALSO_REFUSALS)
    ):
        context.refused(error)
    # A client that does not read takes its status late or never. The frames that the error has
    # passed through would be kept for as long, and with them the voice.
    error.__traceback__ = error.__context__ = error.__cause__ = None
    await context.abort(status.code, status.details, status.trailing_metadata)
    raise AssertionError("abort raises")


def _packed(message: object) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)  # type: ignore[arg-type]
    return packed
