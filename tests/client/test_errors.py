"""Every status code with its details, decoded from what a real server sends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2

import voxswap_client
from tests.client.fake_server import FakeServer
from tests.client.terminal import Connect
from voxswap.v1 import speech_pb2
from voxswap_client import VoxswapClientError

CODES = {
    "INVALID_ARGUMENT": voxswap_client.InvalidRequestError,
    "NOT_FOUND": voxswap_client.VoiceNotFoundError,
    "ALREADY_EXISTS": voxswap_client.VersionExistsError,
    "UNIMPLEMENTED": voxswap_client.NotImplementedByServerError,
    "RESOURCE_EXHAUSTED": voxswap_client.ResourceExhaustedError,
    "FAILED_PRECONDITION": voxswap_client.FailedPreconditionError,
    "DATA_LOSS": voxswap_client.DataLossError,
    "DEADLINE_EXCEEDED": voxswap_client.DeadlineExceededError,
    "UNAVAILABLE": voxswap_client.UnavailableError,
    "CANCELLED": voxswap_client.CallCancelledError,
    "INTERNAL": voxswap_client.InternalServerError,
    "UNKNOWN": voxswap_client.InternalServerError,
    "PERMISSION_DENIED": VoxswapClientError,
}
NO_RETRY = voxswap_client.RetryPolicy(max_attempts=1)


@pytest.mark.parametrize(("code", "expected"), CODES.items())
@pytest.mark.parametrize("method", ["say", "get_voice"])
async def test_each_code_has_its_class_and_keeps_its_details(
    server: FakeServer, connect: Connect, code: str, expected: type[Any], method: str
) -> None:
    info = error_details_pb2.ErrorInfo(
        reason="SOME_REASON", domain="voxswap", metadata={"voice": "npc/smith@3", "ö": "ü"}
    )
    server.script.append(server.fail(grpc.StatusCode[code], "what happened", info))
    client = connect(retries=NO_RETRY)
    with pytest.raises(VoxswapClientError) as caught:
        await (client.say("npc/smith", "Hi") if method == "say" else client.get_voice("npc/smith"))
    error = caught.value
    assert type(error) is expected
    assert (error.code, error.message, str(error)) == (code, "what happened", "what happened")
    assert error.reason == "SOME_REASON"
    assert error.metadata == {"voice": "npc/smith@3", "ö": "ü"}
    assert (error.violations, error.retry_after_s) == ([], None)
    assert isinstance(error.__cause__, grpc.RpcError)


REASONS = {
    ("ABORTED", "REVISION_CONFLICT"): voxswap_client.RevisionConflictError,
    ("FAILED_PRECONDITION", "VERSION_IN_USE"): voxswap_client.VersionInUseError,
    ("FAILED_PRECONDITION", "NOTHING_TO_ROLL_BACK"): voxswap_client.NothingToRollBackError,
    ("FAILED_PRECONDITION", "SELF_TEST_FAILED"): voxswap_client.SelfTestFailedError,
    ("FAILED_PRECONDITION", "VOICE_IN_USE"): voxswap_client.VoiceInUseError,
    ("OUT_OF_RANGE", "EVENTS_LOST"): voxswap_client.EventsLostError,
    ("RESOURCE_EXHAUSTED", "SLOW_WATCHER"): voxswap_client.SlowWatcherError,
    ("RESOURCE_EXHAUSTED", "OVERLOADED"): voxswap_client.OverloadedError,
    ("DEADLINE_EXCEEDED", "TOO_LATE"): voxswap_client.TooLateError,
    ("DEADLINE_EXCEEDED", "CONVERSATION_IDLE"): voxswap_client.ConversationIdleError,
    ("NOT_FOUND", "STREAM_NOT_FOUND"): voxswap_client.StreamNotFoundError,
    ("FAILED_PRECONDITION", "FRONT_END_UNAVAILABLE"): voxswap_client.FailedPreconditionError,
    ("ABORTED", "SOMETHING_ELSE"): VoxswapClientError,
}


@pytest.mark.parametrize(("status", "expected"), REASONS.items(), ids=str)
async def test_a_reason_goes_before_the_code(
    server: FakeServer, connect: Connect, status: tuple[str, str], expected: type[Any]
) -> None:
    code, reason = status
    server.script.append(server.fail(grpc.StatusCode[code], "what happened", server.reason(reason)))
    with pytest.raises(VoxswapClientError) as caught:
        await connect().get_voice("npc/smith")
    assert type(caught.value) is expected
    assert (caught.value.code, caught.value.reason) == (code, reason)


async def test_every_violation_is_decoded(server: FakeServer, connect: Connect) -> None:
    request = error_details_pb2.BadRequest(
        field_violations=[
            error_details_pb2.BadRequest.FieldViolation(field="text", description="is blank"),
            error_details_pb2.BadRequest.FieldViolation(field="controls.rate", description="is 9"),
        ]
    )
    server.script.append(server.fail(grpc.StatusCode.INVALID_ARGUMENT, "two faults", request))
    with pytest.raises(voxswap_client.InvalidRequestError) as caught:
        await connect().say("npc/smith", " ")
    assert caught.value.violations == [("text", "is blank"), ("controls.rate", "is 9")]


async def test_the_retry_hint_is_decoded(server: FakeServer, connect: Connect) -> None:
    server.script.append(
        server.fail(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", server.retry_info(2.25))
    )
    with pytest.raises(voxswap_client.ResourceExhaustedError) as caught:
        await connect(retries=NO_RETRY).say("npc/smith", "Hi")
    assert caught.value.retry_after_s == 2.25


async def test_details_of_unknown_kinds_are_passed_over(
    server: FakeServer, connect: Connect
) -> None:
    server.script.append(
        server.fail(
            grpc.StatusCode.INTERNAL,
            "broken",
            error_details_pb2.DebugInfo(detail="a trace"),
            error_details_pb2.ErrorInfo(reason="ENGINE_FAILED"),
        )
    )
    with pytest.raises(voxswap_client.InternalServerError) as caught:
        await connect().say("npc/smith", "Hi")
    assert caught.value.reason == "ENGINE_FAILED"


async def test_details_that_are_garbage_leave_code_and_message(
    server: FakeServer, connect: Connect
) -> None:
    def behaviour(_request: speech_pb2.SynthesizeRequest, context: Any) -> Iterator[Any]:
        context.set_trailing_metadata([("grpc-status-details-bin", b"\xff\xff\xff")])
        yield from ()
        context.abort(grpc.StatusCode.DATA_LOSS, "damaged")

    server.script.append(behaviour)
    with pytest.raises(voxswap_client.DataLossError, match="damaged") as caught:
        await connect().say("npc/smith", "Hi")
    assert (caught.value.reason, caught.value.violations) == ("", [])


async def test_a_servicer_that_crashes(server: FakeServer, connect: Connect) -> None:
    def behaviour(
        _request: speech_pb2.SynthesizeRequest, _context: Any
    ) -> Iterator[speech_pb2.SynthesizeResponse]:
        yield server.line[0]
        raise ArithmeticError("NaN")

    server.script.append(behaviour)
    with pytest.raises(voxswap_client.InternalServerError) as caught:
        await connect().say("npc/smith", "Hi")
    assert caught.value.code == "UNKNOWN"


async def test_a_server_that_is_not_there(server: FakeServer, connect: Connect) -> None:
    server.stop()
    with pytest.raises(voxswap_client.UnavailableError):
        await connect(retries=NO_RETRY).residents()


async def test_a_message_above_the_limit_is_refused(server: FakeServer, connect: Connect) -> None:
    huge = server.chunk(0, 1, audio=bytes(17 << 20))
    server.script.append(server.play(server.line[0], huge))
    with pytest.raises(voxswap_client.ResourceExhaustedError):
        await connect().say("npc/smith", "Hi")


async def test_a_message_of_8_mib_is_taken(server: FakeServer, connect: Connect) -> None:
    large = server.chunk(0, 4 << 20, audio=bytes(8 << 20))
    server.script.append(server.play(server.line[0], large, server.trailer(4 << 20)))
    assert len((await connect().say("npc/smith", "Hi")).audio) == 8 << 20
