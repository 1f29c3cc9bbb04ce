"""How the fake services end a call: google.rpc statuses with details, as the real server sends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status


def details(*messages: Any) -> list[any_pb2.Any]:
    """Messages as a google.rpc.Status packs them."""
    packed = []
    for message in messages:
        packed.append(any_pb2.Any())
        packed[-1].Pack(message)
    return packed


def retry_info(delay_s: float) -> error_details_pb2.RetryInfo:
    """RetryInfo with this delay."""
    delay = duration_pb2.Duration(seconds=int(delay_s), nanos=round(delay_s % 1 * 1e9))
    return error_details_pb2.RetryInfo(retry_delay=delay)


def reason(name: str, **metadata: str) -> error_details_pb2.ErrorInfo:
    """ErrorInfo with this reason."""
    return error_details_pb2.ErrorInfo(reason=name, domain="voxswap", metadata=metadata)


def abort(context: Any, code: grpc.StatusCode, message: str, *extra: Any) -> NoReturn:
    """End the call with this status and these details."""
    status = status_pb2.Status(code=code.value[0], message=message, details=details(*extra))
    context.abort_with_status(rpc_status.to_status(status))
    raise AssertionError("abort raises")


def fail(code: grpc.StatusCode, message: str, *extra: Any, after: tuple[Any, ...] = ()) -> Any:
    """Sends ``after``, then ends with this status: for a stream or for a unary call."""

    def behaviour(_request: Any, context: Any) -> Iterator[Any]:
        yield from after
        abort(context, code, message, *extra)

    return behaviour
