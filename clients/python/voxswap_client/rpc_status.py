"""The boundary: what grpc raises becomes a `VoxswapClientError`, google.rpc details included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from voxswap_client.errors import (
    CLASS_BY_CODE,
    CLASS_BY_REASON,
    Violation,
    VoxswapClientError,
)
from voxswap_client.wire import Field, message_classes

_DETAILS_KEY = "grpc-status-details-bin"

# google/rpc/status.proto and google/rpc/error_details.proto, as far as they are read here. A map is
# on the wire a repeated message with a key and a value.
_SCHEMA: Mapping[str, Mapping[str, Field]] = {
    "Status": {
        "code": Field(1, "int32"),
        "message": Field(2, "string"),
        "details": Field(3, "Any", repeated=True),
    },
    "Any": {"type_url": Field(1, "string"), "value": Field(2, "bytes")},
    "ErrorInfo": {
        "reason": Field(1, "string"),
        "domain": Field(2, "string"),
        "metadata": Field(3, "Entry", repeated=True),
    },
    "Entry": {"key": Field(1, "string"), "value": Field(2, "string")},
    "BadRequest": {"field_violations": Field(1, "FieldViolation", repeated=True)},
    "FieldViolation": {"field": Field(1, "string"), "description": Field(2, "string")},
    "RetryInfo": {"retry_delay": Field(1, "Duration")},
    "Duration": {"seconds": Field(1, "int64"), "nanos": Field(2, "int32")},
}

# What grpc itself ends calls with, often before a server was reached. Its messages are terse.
_OWN_WORDS = {
    "DEADLINE_EXCEEDED": "the deadline passed before the answer was complete",
    "UNAVAILABLE": "the server cannot be reached, or broke the connection",
    "CANCELLED": "the call was cancelled",
}


@dataclass(slots=True)
class _Details:
    reason: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)
    retry_after_s: float | None = None


@cache
def _messages() -> dict[str, Any]:
    return message_classes("voxswap_client.rpc_status", _SCHEMA)


def from_rpc_error(error: grpc.RpcError) -> VoxswapClientError:
    """The typed error for what a grpc call raised, from `grpc` or from `grpc.aio`.

    Details that cannot be decoded are passed over: the code and the message say enough.
    """
    # Every error of a call is a grpc.Call too; without a code it is none that a server gave.
    status = error.code() if hasattr(error, "code") else grpc.StatusCode.UNKNOWN
    code = (status or grpc.StatusCode.UNKNOWN).name
    message = (error.details() if hasattr(error, "details") else str(error)) or ""
    details = _decode(_details_bytes(error))
    if code in _OWN_WORDS and not details.reason:
        message = f"{_OWN_WORDS[code]} ({message})"
    kind = CLASS_BY_REASON.get(details.reason) or CLASS_BY_CODE.get(code, VoxswapClientError)
    return kind(
        message or f"the call ended with {code}",
        code=code,
        reason=details.reason,
        metadata=details.metadata,
        violations=details.violations,
        retry_after_s=details.retry_after_s,
    )


def _details_bytes(error: grpc.RpcError) -> bytes:
    # Pairs, in `grpc` and in `grpc.aio`; the stubs know each of the two classes by another name.
    metadata: Any = error.trailing_metadata() if hasattr(error, "trailing_metadata") else ()
    for key, value in metadata or ():
        if key == _DETAILS_KEY and isinstance(value, bytes):
            return value
    return b""


def _decode(data: bytes) -> _Details:
    messages = _messages()
    found = _Details()
    try:
        for packed in messages["Status"].FromString(data).details:
            match packed.type_url.rpartition("/")[2]:
                case "google.rpc.ErrorInfo":
                    info = messages["ErrorInfo"].FromString(packed.value)
                    found.reason = info.reason
                    found.metadata = {entry.key: entry.value for entry in info.metadata}
                case "google.rpc.BadRequest":
                    request = messages["BadRequest"].FromString(packed.value)
                    found.violations = [
                        Violation(fault.field, fault.description)
                        for fault in request.field_violations
                    ]
                case "google.rpc.RetryInfo":
                    delay = messages["RetryInfo"].FromString(packed.value).retry_delay
                    found.retry_after_s = max(0.0, delay.seconds + delay.nanos / 1e9)
                case _:
                    pass
    except DecodeError:
        return found
    return found
