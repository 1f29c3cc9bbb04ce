"""How gRPC tells of a failure: a `google.rpc.Status` with details, small enough to arrive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from voxswap_registry.errors import FieldViolation
from voxswap_server.doors.failures import MAX_MESSAGE_BYTES, Failure, clipped, failure_of

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]
else:  # grpc's class takes no parameters when it runs
    Context = grpc.aio.ServicerContext

ERROR_DOMAIN = "voxswap"

# gRPC drops trailers of more than 8 KiB now and then, and of more than 16 KiB always; with them go
# code and message. There the status is Base64, and its message once more, percent-encoded.
_MAX_STATUS_BYTES = 4096
_ENVELOPE_BYTES = 64  # of the Any around a BadRequest


class Refusable:
    """A context that wants to know which calls were refused."""

    def refused(self, failure: Failure) -> None:
        """The call ends with ``failure``, which is no fault of the request."""
        raise NotImplementedError


def to_status(failure: Failure) -> status_pb2.Status:
    """The `google.rpc.Status` of a failure, with ErrorInfo and whatever else helps."""
    info = error_details_pb2.ErrorInfo(
        reason=failure.reason, domain=ERROR_DOMAIN, metadata=failure.metadata
    )
    status = status_pb2.Status(
        code=failure.code.value, message=failure.message, details=[_packed(info)]
    )
    if failure.retry_s is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(int(failure.retry_s * 1e3))
        status.details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
    if failure.violations:
        left = _MAX_STATUS_BYTES - status.ByteSize()
        status.details.append(_packed(_bad_request(failure.violations, left)))
    return status


def _bad_request(
    violations: Sequence[FieldViolation], limit_bytes: int
) -> error_details_pb2.BadRequest:
    """As many of ``violations`` as fit, the first one always."""
    request = error_details_pb2.BadRequest()
    for violation in violations:
        request.field_violations.add(field=violation.field, description=violation.description)
        if request.ByteSize() > limit_bytes - _ENVELOPE_BYTES and len(request.field_violations) > 1:
            del request.field_violations[-1]
            break
    return request


def clipped_message(text: str) -> str:
    """As much of a status's message as arrives with it."""
    return clipped(text, MAX_MESSAGE_BYTES)


async def abort(context: Context, error: BaseException) -> NoReturn:
    """End the call with the status of ``error``."""
    failure = failure_of(error)
    status = rpc_status.to_status(to_status(failure))
    if isinstance(context, Refusable) and failure.refused:
        context.refused(failure)
    # A client that does not read takes its status late or never. The frames that the error has
    # passed through would be kept for as long, and with them the voice.
    error.__traceback__ = error.__context__ = error.__cause__ = None
    await context.abort(status.code, status.details, status.trailing_metadata)
    raise AssertionError("abort raises")


def _packed(message: object) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)  # type: ignore[arg-type]
    return packed
