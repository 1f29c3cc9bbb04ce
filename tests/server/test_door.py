"""Who waits for a place: for a moment, in order, and without a trace if it goes away."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.fakes.clocks import FakeClock
from tests.fakes.executors import settle
from tests.fakes.manifests import make_manifest
from voxswap_families.contract import Pace
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_server.compute.hooks import Ran
from voxswap_server.speech.admission import Admission, Ticket, prior
from voxswap_server.speech.books import Limits, Snapshot
from voxswap_server.speech.costs import Costs, Machine
from voxswap_server.speech.errors import OverloadedError, TooLateError
from voxswap_server.speech.playback import Pacing
from voxswap_server.speech.request import SpeechRequest

LINE = SpeechRequest(VoiceRef("a"), "x" * 1_000)
SHORT = make_manifest("a")
LONG = replace(make_manifest("k"), engine="long")
NEVER_S = 3_600.0


def costs(manifest: Manifest) -> Costs:
    """A tenth of a second for one of audio, or a fifth where steps are long, with two cores."""
    if manifest.engine == "long":
        return Costs((0.0, 0.013, 0.0, 0.026), (0.001, 0.0, 0.0, 0.001), 0.065)
    return prior(Pace(prepare_s_per_symbol=0.00008, decode_s_per_s=0.08))


class AdmissionFixture:
    """Of a machine with two threads and two cores."""

    def __init__(self, patience_s: float = NEVER_S, cores: float = 2.0) -> None:
        self.clock = FakeClock(50.0)
        self.admission = Admission(
            Limits(),
            Pacing(),
            clock=self.clock,
            machine=Machine(2, cores),
            long_width=2.0,
            prior=costs,
            patience_s=patience_s,
        )

    async def come(self, request: SpeechRequest = LINE, manifest: Manifest = SHORT) -> Ticket:
        return await self.admission.admit(request, manifest)

    async def waiting(
        self, request: SpeechRequest = LINE, manifest: Manifest = SHORT
    ) -> asyncio.Task[Ticket]:
        """One that has come as far as the fixture."""
        task = asyncio.create_task(self.come(request, manifest))
        await asyncio.sleep(0)
        assert not task.done()
        return task

    def speaking(self, ticket: Ticket) -> Ticket:
        """It is in the middle of its line, and far ahead."""
        ticket.asks(900, None)
        ticket.computed(Ran(None, 0.0, 0.15, 0.15), is_long=False)
        ticket.decoded(1.5)
        ticket.asks(900, self.clock.now_s + 4.0)
        return ticket

    async def fill(self) -> list[Ticket]:
        """Streams until one has to wait, which then goes away."""
        held: list[Ticket] = []
        while True:
            task = asyncio.create_task(self.come())
            await asyncio.sleep(0)
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                return held
            held.append(self.speaking(task.result()))

    def look(self) -> Snapshot:
        self.admission.check_integrity()
        self.admission.show()
        return self.admission.shown


def leave(ticket: Ticket) -> None:
    with ticket:
        pass


async def test_who_waits_comes_in_as_soon_as_there_is_room_and_in_order() -> None:
    fixture = AdmissionFixture()
    held = await fixture.fill()
    assert len(held) > 10
    first, second = await fixture.waiting(), await fixture.waiting()
    leave(held[0])
    fixture.speaking(await first)
    assert not second.done()
    leave(held[1])
    await second
    assert fixture.look().streams == len(held)


async def test_who_is_refused_has_waited_and_leaves_no_trace() -> None:
    """So a client that asks again at once does that once a second, and not a thousand times."""
    fixture = AdmissionFixture(patience_s=0.02)
    held = await fixture.fill()
    before, began_s = fixture.look(), asyncio.get_running_loop().time()
    with pytest.raises(OverloadedError, match="try again in") as refused:
        await fixture.come()
    assert asyncio.get_running_loop().time() - began_s >= 0.015
    assert refused.value.retry_s
    assert fixture.look() == before
    assert len(await fixture.fill()) == 0
    for ticket in held:
        leave(ticket)
    assert fixture.look() == Snapshot()


async def test_who_goes_away_at_the_door_leaves_no_trace() -> None:
    fixture = AdmissionFixture()
    held = await fixture.fill()
    before = fixture.look()
    task = await fixture.waiting()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert fixture.look() == before
    leave(held[0])
    assert fixture.look().streams == before.streams - 1  # nobody waits for it any more


async def test_who_goes_away_as_it_is_let_in_gives_its_place_to_the_next() -> None:
    fixture = AdmissionFixture()
    held = await fixture.fill()
    first, second = await fixture.waiting(), await fixture.waiting()
    leave(held[0])  # `first` is let in, and has not heard of it
    leave(held[1])
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await second
    assert fixture.look().streams == len(held) - 1


async def test_who_waits_for_too_long_to_begin_in_time_is_told() -> None:
    fixture = AdmissionFixture()
    held = await fixture.fill()
    task = await fixture.waiting(replace(LINE, start_by_s=1.0))
    fixture.clock.now_s += 0.99
    for ticket in held:
        leave(ticket)
    with pytest.raises(TooLateError):
        await task
    assert fixture.look() == Snapshot()


async def test_others_go_past_one_that_waits_for_the_thread_of_long_steps() -> None:
    fixture = AdmissionFixture(cores=4.0)
    first = await fixture.come(LINE, LONG)
    first.asks(1_000, None)
    held = [first]
    while True:
        task = asyncio.create_task(fixture.come(LINE, LONG))
        await asyncio.sleep(0)
        if not task.done():
            break
        held.append(task.result())
    assert len(held) < 5  # one thread, whatever there is beside it
    await asyncio.wait_for(fixture.come(), 10)
    assert not task.done()
    for ticket in held:
        leave(ticket)
    await task


async def test_small_needs_do_not_keep_a_large_one_out_for_ever() -> None:
    """Kokoro's session takes all cores: beside VITS streams it never found enough of them."""
    fixture = AdmissionFixture(cores=2.0)
    held = await fixture.fill()
    wanted = await fixture.waiting(LINE, LONG)
    let_in = 0
    for _ in range(len(held)):  # for each that leaves another one asks
        leave(held.pop(0))
        task = asyncio.create_task(fixture.come())
        await asyncio.sleep(0)
        if task.done():
            let_in += 1
            held.append(fixture.speaking(task.result()))
        else:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if wanted.done():
            break
    assert wanted.done()
    assert len(held) > 2


async def test_gaps_that_listeners_heard_make_cautious_for_a_while() -> None:
    fixture = AdmissionFixture()
    few = len(await fixture.fill())
    for late in (True, False):
        fixture = AdmissionFixture()
        ticket = fixture.speaking(await fixture.come())
        for _ in range(5):
            fixture.clock.now_s += 4.5 if late else 3.5
            ticket.asks(900, fixture.clock.now_s + 4.0)
        if not late:
            assert len(await fixture.fill()) >= few - 2
            continue
        begin = [asyncio.create_task(fixture.come()) for _ in range(12)]
        await asyncio.sleep(0)
        after_gaps = sum(task.done() for task in begin)
        for task in begin:
            task.cancel()
        await asyncio.gather(*begin, return_exceptions=True)
        for task in begin:
            if not task.cancelled():
                leave(task.result())
        ticket.asks(900, fixture.clock.now_s + 4.0)
        fixture.clock.now_s += 60.0
        ticket.asks(0, fixture.clock.now_s + 4.0)
        fixture.clock.now_s += 60.0
        begin = [asyncio.create_task(fixture.come()) for _ in range(12)]
        await asyncio.sleep(0)
        assert sum(task.done() for task in begin) > after_gaps
        for task in begin:
            task.cancel()
        await asyncio.gather(*begin, return_exceptions=True)


async def test_looks_that_take_long_are_not_taken_in_each_turn_and_none_is_lost() -> None:
    fixture, looks = AdmissionFixture(), list[float]()
    held = await fixture.fill()
    look = fixture.admission.books.look

    def slow(now_s: float) -> object:
        looks.append(now_s)
        fixture.clock.now_s += 0.01  # as beside hundreds of streams
        return look(now_s)

    fixture.admission.books.look = slow  # type: ignore[method-assign, assignment]
    waiting = [asyncio.create_task(fixture.come(replace(LINE, tenant=str(n)))) for n in range(40)]
    await asyncio.sleep(0)
    assert len(looks) == 1, "forty came within a tenth of a second"
    for ticket in held:
        ticket.__exit__(None, None, None)
    assert len(looks) == 1
    later = fixture.admission._later
    assert later is not None
    assert later.when() <= asyncio.get_running_loop().time() + 0.1
    fixture.clock.now_s += 1
    fixture.admission._look_later()
    await settle()
    let_in = [task for task in waiting if task.done()]
    assert let_in, "somebody left, and nobody looks"
    for task in waiting:
        task.cancel()
    later.cancel()
    done = await asyncio.gather(*waiting, return_exceptions=True)
    for ended in done:
        if isinstance(ended, Ticket):
            ended.__exit__(None, None, None)
    fixture.admission.check_integrity()
