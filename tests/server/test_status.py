"""Statuses: whatever an error says, its code arrives, for the trailer that holds it stays small."""

from __future__ import annotations

import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2

from voxswap_registry.errors import (
    FieldViolation,
    FrontEndBusyError,
    InvalidInputError,
    NotBuiltError,
    RegistryError,
    UnreadableTextError,
    VoiceNotFoundError,
    VoxswapError,
)
from voxswap_server.doors.failures import failure_of
from voxswap_server.doors.grpc import status as grpc_status
from voxswap_server.residency.errors import LoadStuckError

LONG = 1 << 20


def status_of(error: VoxswapError) -> status_pb2.Status:
    return grpc_status.to_status(failure_of(error))


def violations(status: status_pb2.Status) -> list[FieldViolation]:
    request = error_details_pb2.BadRequest()
    for detail in status.details:
        if detail.Unpack(request):
            return [FieldViolation(v.field, v.description) for v in request.field_violations]
    return []


@pytest.mark.parametrize(
    "error",
    [
        InvalidInputError([FieldViolation("marks", "has an unknown kind; use WORD")] * 100),
        InvalidInputError([FieldViolation("a" * LONG, "b" * LONG)] * 100),
        InvalidInputError([FieldViolation("声" * 50, "声" * 500)] * 16),
        InvalidInputError.one("manifest_json", "\N{GRINNING FACE}" * LONG),
        NotBuiltError("n" * LONG, [FieldViolation("c" * LONG, "d" * LONG)] * 3),
        VoiceNotFoundError("e" * LONG, metadata={"voice": "声" * LONG, "f" * LONG: "g"}),
        VoiceNotFoundError("h", metadata={f"{n}": "i" * 500 for n in range(1000)}),
        RegistryError("cannot read \udcff" * LONG),
    ],
    ids=lambda error: str(error)[:10].encode(errors="replace").hex(),
)
def test_a_status_is_small_whatever_the_error_says(error: VoxswapError) -> None:
    status = status_of(error)
    assert status.code not in (code_pb2.OK, code_pb2.INTERNAL, code_pb2.RESOURCE_EXHAUSTED)
    # What the trailers hold: the details in Base64, and the message percent-encoded.
    assert status.ByteSize() * 4 / 3 + len(status.message.encode()) * 3 < 8 << 10
    if getattr(error, "violations", ()):
        assert 0 < len(violations(status)) <= 16


def test_what_is_short_arrives_as_it_is() -> None:
    told = [FieldViolation(f"field_{n}", f"is {n}; use another number than {n}") for n in range(9)]
    error = InvalidInputError(told)
    status = status_of(error)
    assert violations(status) == told
    assert status.message == error.message
    info = error_details_pb2.ErrorInfo()
    metadata = {"voice": "schmied/铁匠", "version": "7"}
    assert status_of(VoiceNotFoundError("gone", metadata=metadata)).details[0].Unpack(info)
    assert (info.reason, dict(info.metadata)) == ("VOICE_NOT_FOUND", metadata)


def test_what_is_clipped_says_so_and_ends_with_a_whole_character() -> None:
    status = status_of(InvalidInputError.one("text", "声" * 1000))
    (violation,) = violations(status)
    assert violation.description.strip("声") == "…"
    assert status.message.endswith("声…")


def test_clients_do_not_hurry_back_to_a_load_that_hangs() -> None:
    """RetryPolicy.max_hint_ms of the clients is 10 s: they leave a longer wait to the caller."""
    status = status_of(LoadStuckError("the model of a@1 was not loaded within 60 s"))
    retry = error_details_pb2.RetryInfo()
    assert status.details[1].Unpack(retry)
    assert retry.retry_delay.ToTimedelta().total_seconds() > 10


def test_a_text_that_cannot_be_read_is_its_senders_and_a_reader_that_is_busy_is_not() -> None:
    told = [FieldViolation("text", "cannot be read; respell it")]
    status = status_of(UnreadableTextError(told))
    assert (status.code, violations(status)) == (code_pb2.INVALID_ARGUMENT, told)
    assert status_of(FrontEndBusyError("try again")).code == code_pb2.UNAVAILABLE
