"""A lease whose voice is still computed with when it is given back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from concurrent.futures import Future

import pytest

from tests.fakes.executors import settle
from tests.fakes.gates import Gate
from tests.server.synthesis_fixture import SynthesisFixture
from voxswap_families.errors import DeviceStuckError
from voxswap_server.residency.errors import VoiceBarredError
from voxswap_server.residency.lease import Lease


def make(fixture: SynthesisFixture, freed: list[str]) -> Lease:
    return Lease(fixture.voice(1.0), lambda: freed.append("freed"))


@contextlib.asynccontextmanager
async def hanging(fixture: SynthesisFixture, freed: list[str]) -> AsyncIterator[asyncio.Task[None]]:
    """A stream whose first step hangs until the block ends."""
    gate = Gate()
    fixture.during = lambda step: gate()

    async def speak() -> None:
        with make(fixture, freed) as lease:
            await fixture.heard(lease)

    speaking = asyncio.create_task(speak())
    await asyncio.to_thread(gate.wait_reached)
    try:
        yield speaking
    finally:
        gate.open()
        await asyncio.to_thread(fixture.compute.close, 10)
    await settle()


async def test_a_voice_that_a_step_still_uses_is_given_back_when_that_ends() -> None:
    fixture, freed, step = SynthesisFixture(), list[str](), Future[None]()
    with make(fixture, freed) as lease:
        lease.used_until(step)
    assert lease.released
    lease.release()
    await settle()
    assert freed == []
    # From the thread that took the step.
    await asyncio.to_thread(step.set_result, None)
    await settle()
    assert freed == ["freed"]
    fixture.compute.close()


async def test_one_whose_step_came_back_before_is_given_back_at_once() -> None:
    fixture, freed, step = SynthesisFixture(), list[str](), Future[None]()
    step.set_result(None)
    with make(fixture, freed) as lease:
        lease.used_until(step)
    assert freed == ["freed"]
    fixture.compute.close()


async def test_a_stream_that_fails_for_a_stuck_step_keeps_its_voice_until_it_comes_back() -> None:
    fixture, freed = SynthesisFixture(), list[str]()
    async with hanging(fixture, freed) as speaking:
        fixture.compute.end_steps_longer_than(0.0)
        with pytest.raises(DeviceStuckError):
            await speaking
        await settle()
        assert freed == [], "the step still computes with it"
        again = fixture.again()
        with make(fixture, []) as lease:
            with pytest.raises(VoiceBarredError, match="a@1"):
                async for _ in again.messages(lease):
                    pass
    assert freed == ["freed"]


async def test_a_server_that_ends_does_not_wait_for_a_stuck_step() -> None:
    fixture, freed = SynthesisFixture(), list[str]()
    async with hanging(fixture, freed) as speaking:
        fixture.compute.end_steps_longer_than(0.0)
        with pytest.raises(DeviceStuckError):
            await speaking
        assert freed == []
        fixture.compute.abandon()
        await settle()
        assert freed == ["freed"], "closing residency waits for its leases"
    assert freed == ["freed"]


async def test_a_stream_that_gave_up_in_a_stuck_step_keeps_its_voice_until_it_comes_back() -> None:
    """A client's deadline is mostly shorter than the limit of a step."""
    fixture, freed = SynthesisFixture(), list[str]()
    async with hanging(fixture, freed) as speaking:
        speaking.cancel()
        await settle()
        assert not speaking.done()
        fixture.compute.end_steps_longer_than(0.0)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(speaking, 10)
        assert freed == [], "the step still computes with it"
        assert fixture.stage.bars.left_s("a@1") > 0
    assert freed == ["freed"]
