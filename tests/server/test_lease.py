"""A lease whose voice is still computed with when it is given back."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future

import pytest

from tests.server.fakes import settle
from tests.server.play import Play, alone
from voxswap_families.errors import DeviceStuckError
from voxswap_server.residency.errors import VoiceBarredError
from voxswap_server.residency.lease import Lease
from voxswap_server.speech.pipeline import Synthesis


def make(play: Play, freed: list[str]) -> Lease:
    return Lease(play.voice(1.0), lambda: freed.append("freed"))


async def test_a_voice_that_a_step_still_uses_is_given_back_when_that_ends() -> None:
    play, freed, step = Play(), [], Future[None]()
    with make(play, freed) as lease:
        lease.used_until(step)
    assert lease.released
    lease.release()
    await settle()
    assert freed == []
    # From the thread that took the step.
    await asyncio.to_thread(step.set_result, None)
    await settle()
    assert freed == ["freed"]
    play.compute.close()


async def test_one_whose_step_came_back_before_is_given_back_at_once() -> None:
    play, freed, step = Play(), [], Future[None]()
    step.set_result(None)
    with make(play, freed) as lease:
        lease.used_until(step)
    assert freed == ["freed"]
    play.compute.close()


async def test_a_stream_that_fails_for_a_stuck_step_keeps_its_voice_until_it_comes_back() -> None:
    play, freed = Play(), []
    begun, gate = threading.Event(), threading.Event()

    def hang(_: str) -> None:
        begun.set()
        assert gate.wait(20)

    play.during = hang

    async def speak() -> None:
        with make(play, freed) as lease:
            await play.heard(lease)

    speaking = asyncio.ensure_future(speak())
    try:
        assert await asyncio.to_thread(begun.wait, 10)
        play.compute.end_steps_longer_than(0.0)
        with pytest.raises(DeviceStuckError):
            await speaking
        await settle()
        assert freed == [], "the step still computes with it"
        again = Synthesis(
            play.request,
            play.manifest,
            play.stage,
            alone(play.request, play.manifest, play.stage),
        )
        with make(play, []) as lease:
            with pytest.raises(VoiceBarredError, match="a@1"):
                async for _ in again.parts(lease):
                    pass
    finally:
        gate.set()
        await asyncio.to_thread(play.compute.close, 10)
    await settle()
    assert freed == ["freed"]


async def test_a_server_that_ends_does_not_wait_for_a_stuck_step() -> None:
    play, freed = Play(), []
    begun, gate = threading.Event(), threading.Event()

    def hang(_: str) -> None:
        begun.set()
        assert gate.wait(20)

    play.during = hang

    async def speak() -> None:
        with make(play, freed) as lease:
            await play.heard(lease)

    speaking = asyncio.ensure_future(speak())
    try:
        assert await asyncio.to_thread(begun.wait, 10)
        play.compute.end_steps_longer_than(0.0)
        with pytest.raises(DeviceStuckError):
            await speaking
        assert freed == []
        play.compute.abandon()
        await settle()
        assert freed == ["freed"], "closing residency waits for its leases"
    finally:
        gate.set()
        await asyncio.to_thread(play.compute.close)
    assert freed == ["freed"]


async def test_a_stream_that_gave_up_in_a_stuck_step_keeps_its_voice_until_it_comes_back() -> None:
    """A client's deadline is mostly shorter than the limit of a step."""
    play, freed = Play(), []
    begun, gate = threading.Event(), threading.Event()

    def hang(_: str) -> None:
        begun.set()
        assert gate.wait(20)

    play.during = hang

    async def speak() -> None:
        with make(play, freed) as lease:
            await play.heard(lease)

    speaking = asyncio.ensure_future(speak())
    try:
        assert await asyncio.to_thread(begun.wait, 10)
        speaking.cancel()
        await settle()
        assert not speaking.done()
        play.compute.end_steps_longer_than(0.0)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(speaking, 10)
        assert freed == [], "the step still computes with it"
        assert play.stage.bars.left_s("a@1") > 0
    finally:
        gate.set()
        await asyncio.to_thread(play.compute.close, 10)
    await settle()
    assert freed == ["freed"]
