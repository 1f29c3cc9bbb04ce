"""The boundary: what grpc raises becomes a `VoxswapClientError`, google.rpc details included."""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from voxswap_client.errors import (
    CLASS_BY_CODE,
    CLASS_BY_REASON,
    CallCancelledError,
    Violation,
    VoxswapClientError,
)

# What grpc itself ends calls with, often before a server was reached. Its messages are terse.
_OWN_WORDS = {
    "DEADLINE_EXCEEDED": "the deadline passed before the answer was complete",
    "UNAVAILABLE": "the server cannot be reached, or broke the connection",
    "CANCELLED": "the call was cancelled",
}


def from_rpc_error(error: grpc.RpcError) -> VoxswapClientError:
    """The typed error for what a grpc call raised, from `grpc` or from `grpc.aio`.

    Details that cannot be decoded are passed over: the code and the message say enough.
    """
    # Every error of a call is a grpc.Call too; without a code it is none that a server gave.
    status = error.code() if hasattr(error, "code") else grpc.StatusCode.UNKNOWN
    code = (status or grpc.StatusCode.UNKNOWN).name
    message = (error.details() if hasattr(error, "details") else str(error)) or ""
    details = _details(error)
    reason = details.get("reason", "")
    if code in _OWN_WORDS and not reason:
        message = f"{_OWN_WORDS[code]} ({message})"
    kind = CLASS_BY_REASON.get(reason) or CLASS_BY_CODE.get(code, VoxswapClientError)
    return kind(message or f"the call ended with {code}", code=code, **details)


def cancelled() -> CallCancelledError:
    """The error for a call that was cancelled on this side."""
    return CallCancelledError("the call was cancelled", code="CANCELLED")


def _details(error: grpc.RpcError) -> dict[str, Any]:
    """What google.rpc details say, by argument of `VoxswapClientError`."""
    found: dict[str, Any] = {}
    info = error_details_pb2.ErrorInfo()
    request = error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    try:
        status = rpc_status.from_call(error) if hasattr(error, "trailing_metadata") else None
        for packed in status.details if status is not None else ():
            if packed.Unpack(info):
                found |= {"reason": info.reason, "metadata": dict(info.metadata)}
            elif packed.Unpack(request):
                faults = request.field_violations
                found["violations"] = [Violation(f.field, f.description) for f in faults]
            elif packed.Unpack(retry):
                delay = retry.retry_delay
                found["retry_after_s"] = max(0.0, delay.seconds + delay.nanos / 1e9)
    except (DecodeError, ValueError):  # ValueError: the details are of another status
        return found
    return found
