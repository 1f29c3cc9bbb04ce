"""Riva's protocol over real gRPC: what its own client does not show (see tests/clients)."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from tests.e2e.servers import ServerThread, active_leases, health, serving
from tests.raw_http2 import RawClient
from tests.registry.drafts import root_of
from voxswap.riva.v1 import riva_tts_pb2 as riva
from voxswap_client import Client
from voxswap_registry.store import Registry

SERVICE = "nvidia.riva.tts.RivaSpeechSynthesis"
SPEAK, STREAM = f"/{SERVICE}/Synthesize", f"/{SERVICE}/SynthesizeOnline"
LONG = "The road goes ever on and on, down from the door where it began. " * 20
Message = riva.SynthesizeSpeechRequest


@pytest.fixture
def channel(server: ServerThread) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.server.address) as channel:
        yield channel


def stream(channel: grpc.Channel, requests: Iterator[Message] | list[Message]) -> Any:
    call = channel.stream_stream(
        STREAM, Message.SerializeToString, riva.SynthesizeSpeechResponse.FromString
    )
    return call(iter(requests), timeout=60)


def refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as raised:
        list(call)
    return raised.value.code(), str(raised.value.details())


def test_health_knows_the_service(server: ServerThread) -> None:
    assert health(server, SERVICE) == 1


def test_settings_that_change_on_the_way_end_the_call(channel: grpc.Channel) -> None:
    code, told = refusal(
        stream(
            channel,
            [
                Message(text="One.", voice_name="joe"),
                Message(text="Two.", voice_name="joe", sample_rate_hz=8000),
            ],
        )
    )
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "sample_rate_hz" in told


@pytest.mark.parametrize(
    ("later", "field"),
    [
        (Message(text="x" * 10_001), "text"),
        (Message(text="Two.\x00"), "text"),
        (Message(text="Two.", id=riva.RequestId(value="x" * 129)), "id.value"),
    ],
)
def test_a_later_text_is_looked_at_like_the_first(
    channel: grpc.Channel, later: Message, field: str
) -> None:
    code, told = refusal(stream(channel, [Message(text="One.", voice_name="joe"), later]))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert field in told


def test_a_later_ssml_is_not_read_aloud(channel: grpc.Channel) -> None:
    later = Message(text="<speak>Two.</speak>")
    code, told = refusal(stream(channel, [Message(text="One.", voice_name="joe"), later]))
    assert code is grpc.StatusCode.UNIMPLEMENTED
    assert "text" in told


def test_a_call_without_a_request_is_told_what_is_missing(channel: grpc.Channel) -> None:
    code, told = refusal(stream(channel, []))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "message" in told


def test_a_sentence_is_spoken_before_the_next_one_comes(channel: grpc.Channel) -> None:
    """Though nothing ends it but the request."""
    is_heard = threading.Event()

    def requests() -> Iterator[Message]:
        yield Message(text="this has no full stop", voice_name="joe")
        assert is_heard.wait(60)
        yield Message(text="and this comes later")

    answers = stream(channel, requests())
    assert next(answers).audio
    is_heard.set()
    assert list(answers)


def test_readers_that_stop_reading_give_everything_back(joe_registry: Registry) -> None:
    request = Message(text=LONG, voice_name="joe", sample_rate_hz=22_050).SerializeToString()
    with serving(root_of(joe_registry), stalled_write_s=1, most_load=10) as thread:
        with Client(thread.server.address, timeout_s=60) as client, contextlib.ExitStack() as stack:
            assert client.say("joe", "What lines cost is known now.").trailer.total_samples
            for path in (SPEAK, STREAM):
                raw = stack.enter_context(RawClient(thread.server.address))
                raw.call(path, request)
            refused = thread.house.metrics.registry.get_sample_value
            thread.wait_until(
                lambda: (refused("voxswap_refused_total", {"reason": "WRITE_STALLED"}) or 0) >= 2
            )
            thread.wait_until(lambda: active_leases(thread) == 0)
            assert client.say("joe", "Next, please.").trailer.total_samples


def test_its_streams_have_places_among_all_streams(joe_registry: Registry) -> None:
    with serving(root_of(joe_registry), max_streams=1) as thread:
        address = thread.server.address
        with Client(address, timeout_s=60) as client, grpc.insecure_channel(address) as channel:
            with client.converse("joe", "Halt! ") as conversation:
                conversation.flush()
                next(conversation)
                speak: Any = channel.unary_unary(SPEAK, Message.SerializeToString)
                with pytest.raises(grpc.RpcError) as raised:
                    speak(Message(text="Hi.", voice_name="joe"), timeout=60)
                assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
