"""The retry policy alone, and in both clients against a real server; nobody really sleeps."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.client.fake_server import FakeServer
from tests.client.terminal import Connect
from tests.fakes.clocks import FakeClock
from voxswap.v1 import voices_pb2
from voxswap_client import (
    AsyncClient,
    CallCancelledError,
    Client,
    InternalServerError,
    OverloadedError,
    ResourceExhaustedError,
    RetryPolicy,
    TooLateError,
    UnavailableError,
)
from voxswap_client.retry import DEFAULT_RETRIES

DOWN = grpc.StatusCode.UNAVAILABLE


def delay(
    policy: RetryPolicy = DEFAULT_RETRIES,
    *,
    error: Any = None,
    attempts: int = 1,
    remaining_s: float | None = None,
    random: float = 1.0,
    may_wait: bool = False,
) -> float | None:
    return policy.delay_s(
        error or UnavailableError("down"),
        attempts=attempts,
        remaining_s=remaining_s,
        random=lambda: random,
        may_wait=may_wait,
    )


def test_the_ceiling_doubles_up_to_the_cap() -> None:
    policy = RetryPolicy(max_attempts=10, initial_backoff_ms=100, max_backoff_ms=500)
    assert [delay(policy, attempts=n) for n in range(1, 6)] == [0.1, 0.2, 0.4, 0.5, 0.5]


def test_the_jitter_is_full() -> None:
    assert delay(random=0.0) == 0.0
    assert delay(random=0.25) == 0.025


def test_attempts_are_counted_with_the_first() -> None:
    policy = RetryPolicy(max_attempts=3)
    assert delay(policy, attempts=2) is not None
    assert delay(policy, attempts=3) is None


def test_only_unavailable_is_tried_again() -> None:
    assert delay(error=InternalServerError("broken")) is None
    assert delay(error=ResourceExhaustedError("full", retry_after_s=0.1)) is None


def test_a_full_server_is_asked_again_if_it_says_when_and_nobody_waits() -> None:
    full = ResourceExhaustedError("full", retry_after_s=1.0)
    assert delay(error=full, random=0.5, may_wait=True) == 1.05
    assert delay(error=full, remaining_s=1.0, may_wait=True) is None
    assert delay(error=full, attempts=4, may_wait=True) is None
    assert delay(error=ResourceExhaustedError("too large"), may_wait=True) is None
    assert delay(error=TooLateError("late", retry_after_s=0.1), may_wait=True) is None


def test_no_wait_reaches_the_deadline() -> None:
    assert delay(remaining_s=0.1) is None
    assert delay(remaining_s=0.11) == 0.1


def test_a_hint_comes_on_top_of_the_jitter() -> None:
    assert delay(error=UnavailableError("down", retry_after_s=1.5), random=0.5) == 1.55
    assert delay(error=UnavailableError("down", retry_after_s=1.5), remaining_s=1.5) is None


def test_a_long_hint_is_left_to_the_caller() -> None:
    assert delay(error=UnavailableError("down", retry_after_s=10.0)) is not None
    assert delay(error=UnavailableError("down", retry_after_s=10.1)) is None


@given(
    attempts=st.integers(1, 60),
    remaining_s=st.none() | st.floats(0, 100),
    random=st.floats(0, 1, exclude_max=True),
    hint_s=st.none() | st.floats(0, 100),
)
def test_a_wait_is_never_negative_nor_beyond_cap_and_deadline(
    attempts: int, remaining_s: float | None, random: float, hint_s: float | None
) -> None:
    policy = RetryPolicy(max_attempts=50)
    error = UnavailableError("down", retry_after_s=hint_s)
    wait = delay(policy, error=error, attempts=attempts, remaining_s=remaining_s, random=random)
    if wait is None:
        return
    assert attempts < 50
    assert (hint_s or 0.0) <= wait <= (hint_s or 0.0) + policy.max_backoff_ms / 1000
    assert remaining_s is None or wait < remaining_s


@pytest.mark.parametrize("method", ["say", "get_voice"])
async def test_a_call_is_tried_again_with_growing_waits(
    server: FakeServer, connect: Connect, fake_clock: FakeClock, method: str
) -> None:
    server.voices.append(voices_pb2.Voice(id="npc/smith", version=3))
    server.script.extend([server.fail(DOWN, "down")] * 3)
    client = connect(time=fake_clock, random=lambda: 0.5)
    await (client.say("npc/smith", "Hi") if method == "say" else client.get_voice("npc/smith"))
    assert len(server.requests) == 4
    assert fake_clock.sleeps == [0.05, 0.1, 0.2]


@pytest.mark.parametrize("method", ["say", "get_voice"])
async def test_the_last_try_gives_the_error(
    server: FakeServer, connect: Connect, fake_clock: FakeClock, method: str
) -> None:
    server.script.extend([server.fail(DOWN, f"down {n}") for n in range(9)])
    client = connect(time=fake_clock, retries=RetryPolicy(max_attempts=2))
    with pytest.raises(UnavailableError, match="down 1"):
        await (client.say("npc/smith", "Hi") if method == "say" else client.get_voice("npc/smith"))
    assert len(server.requests) == 2


async def test_nothing_is_tried_again_after_the_first_message(
    server: FakeServer, connect: Connect, fake_clock: FakeClock
) -> None:
    server.script.append(server.fail(DOWN, "down", after=server.line[:1]))
    async with connect(time=fake_clock).synthesize("npc/smith", "Hi") as stream:
        assert (await stream.header()).voice == "npc/smith@3"
        with pytest.raises(UnavailableError):
            await stream.__anext__()
    assert (len(server.requests), fake_clock.sleeps) == (1, [])


async def test_the_servers_hint_is_honoured(
    server: FakeServer, connect: Connect, fake_clock: FakeClock
) -> None:
    server.script.append(server.fail(DOWN, "restarting", server.retry_info(3.5)))
    await connect(time=fake_clock, random=lambda: 0.0).say("npc/smith", "Hi")
    assert fake_clock.sleeps == [3.5]


@pytest.mark.parametrize("method", ["say", "get_voice"])
async def test_waits_end_before_the_deadline(
    server: FakeServer, connect: Connect, fake_clock: FakeClock, method: str
) -> None:
    server.script.extend([server.fail(DOWN, "down")] * 99)
    policy = RetryPolicy(max_attempts=99, initial_backoff_ms=1000, max_backoff_ms=1000)
    client = connect(time=fake_clock, retries=policy, random=lambda: 0.75, timeout_s=4.0)
    with pytest.raises(UnavailableError):
        await (client.say("npc/smith", "Hi") if method == "say" else client.get_voice("npc/smith"))
    assert fake_clock.sleeps == [0.75] * 5  # a sixth would end after 4.5 s


async def test_other_codes_are_not_tried_again(
    server: FakeServer, connect: Connect, fake_clock: FakeClock
) -> None:
    server.script.append(server.fail(grpc.StatusCode.INTERNAL, "broken"))
    with pytest.raises(InternalServerError):
        await connect(time=fake_clock).say("npc/smith", "Hi")
    assert (len(server.requests), fake_clock.sleeps) == (1, [])


async def test_a_line_for_a_file_waits_for_a_full_server(
    server: FakeServer, connect: Connect, fake_clock: FakeClock
) -> None:
    full = server.fail(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "full",
        server.reason("OVERLOADED"),
        server.retry_info(2),
    )
    server.script.append(full)
    await connect(time=fake_clock, random=lambda: 0.0).say("npc/smith", "Hi")
    assert fake_clock.sleeps == [2.0]


@pytest.mark.parametrize(
    "options", [{"pacing": "realtime"}, {"pacing": None}, {"start_by_ms": 500}], ids=str
)
async def test_a_listener_learns_at_once_of_a_full_server(
    server: FakeServer, connect: Connect, fake_clock: FakeClock, options: dict[str, Any]
) -> None:
    full = server.fail(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "full",
        server.reason("OVERLOADED"),
        server.retry_info(2),
    )
    server.script.append(full)
    with pytest.raises(OverloadedError):
        await connect(time=fake_clock).say("npc/smith", "Hi", **options)
    assert (len(server.requests), fake_clock.sleeps) == (1, [])


async def test_a_line_that_is_too_late_is_not_tried_again(
    server: FakeServer, connect: Connect, fake_clock: FakeClock
) -> None:
    late = server.fail(
        grpc.StatusCode.DEADLINE_EXCEEDED,
        "late",
        server.reason("TOO_LATE", estimated_start_ms="900"),
        server.retry_info(0.1),
    )
    server.script.append(late)
    with pytest.raises(TooLateError) as caught:
        await connect(time=fake_clock).say("npc/smith", "Hi", start_by_ms=300)
    assert caught.value.metadata == {"estimated_start_ms": "900"}
    assert (len(server.requests), fake_clock.sleeps) == (1, [])


async def test_cancel_while_waiting_for_the_next_try(
    server: FakeServer, connect: Connect, fake_clock: FakeClock
) -> None:
    server.script.extend([server.fail(DOWN, "down")] * 2)
    stream = connect(time=fake_clock).synthesize("npc/smith", "Hi")
    fake_clock.on_sleep = stream.cancel
    with pytest.raises(CallCancelledError):
        await stream.collect()
    assert len(server.requests) == 1


@pytest.mark.parametrize(("method", "arguments"), [("say", ["Hi"]), ("get_voice", [])])
async def test_closing_the_client_ends_a_call_that_waits_for_its_next_try(
    server: FakeServer, fake_clock: FakeClock, method: str, arguments: list[str]
) -> None:
    server.script += [server.fail(DOWN, "down")] * 2
    with Client(server.address, clock=fake_clock, sleep=fake_clock.sleep) as client:
        fake_clock.on_sleep = client.close
        with pytest.raises(CallCancelledError):
            getattr(client, method)("npc/smith", *arguments)

    async def close(_seconds: float) -> None:
        await asyncio_client.close()

    asyncio_client = AsyncClient(server.address, clock=fake_clock, sleep=close)
    with pytest.raises(CallCancelledError):
        await getattr(asyncio_client, method)("npc/smith", *arguments)
    assert len(server.requests) == 2


async def test_a_client_that_is_closed_makes_no_calls(server: FakeServer, connect: Connect) -> None:
    client = connect()
    await client.close()
    for call in (
        lambda: client.get_voice("npc/smith"),
        lambda: client.say("npc/smith", "Hi"),
        client.wait_ready,
    ):
        with pytest.raises(CallCancelledError):
            await call()
    for begin in (lambda: client.converse("npc/smith"), client.watch):
        with pytest.raises(CallCancelledError):
            begin()
    assert server.requests == []
