"""What streams keep of segments: bounded together, first come, first served, and given back."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.fakes.executors import settle
from tests.fakes.family import LEVEL
from tests.fakes.residency import ResidencyFixture
from tests.server.synthesis_fixture import SynthesisFixture
from voxswap_server.memory.ledger import STREAMS
from voxswap_server.residency.lease import Lease
from voxswap_server.residency.manager import ModelManager
from voxswap_server.speech.stream_memory import StreamMemory

MOST = 100


class FakeLedger:
    """Says what was taken, and that it was never too much."""

    def __init__(self) -> None:
        self.taken = 0

    def take(self, size_bytes: int) -> bool:
        if self.taken + size_bytes > MOST:
            return False
        self.taken += size_bytes
        return True

    def give(self, size_bytes: int) -> None:
        self.taken -= size_bytes
        assert self.taken >= 0


class Streams:
    def __init__(self) -> None:
        self.books = FakeLedger()
        self.memory = StreamMemory(MOST, self.books.take, self.books.give)
        self.entered: list[str] = []

    def begin(self, name: str, size: int) -> tuple[asyncio.Task[None], asyncio.Event]:
        done = asyncio.Event()

        async def stream() -> None:
            async with self.memory.held(size):
                self.entered.append(name)
                await done.wait()

        return asyncio.ensure_future(stream()), done


async def test_who_comes_later_waits_however_little_he_wants() -> None:
    streams = Streams()
    first, end_first = streams.begin("first", 60)
    large, end_large = streams.begin("large", 60)
    small, end_small = streams.begin("small", 10)
    await settle()
    assert streams.entered == ["first"]
    end_first.set()
    await settle()
    assert streams.entered == ["first", "large", "small"]
    end_large.set()
    end_small.set()
    await asyncio.gather(first, large, small)
    assert streams.books.taken == 0


async def test_more_than_there_is_counts_as_all_of_it() -> None:
    streams = Streams()
    task, end = streams.begin("huge", 10 * MOST)
    await settle()
    assert streams.books.taken == MOST
    end.set()
    await task


async def test_who_gives_up_in_line_lets_those_behind_go() -> None:
    streams = Streams()
    first, end_first = streams.begin("first", 60)
    large, _ = streams.begin("large", 60)
    small, end_small = streams.begin("small", 10)
    await settle()
    large.cancel()
    await settle()
    assert streams.entered == ["first", "small"]
    end_first.set()
    end_small.set()
    await asyncio.gather(first, small)
    assert (streams.books.taken, len(streams.memory._waiting)) == (0, 0)


@examples(150)
@given(
    st.lists(
        st.tuples(st.sampled_from(["begin", "end", "cancel"]), st.integers(0, 150)), max_size=40
    ),
    st.integers(0, 3),
)
def test_nothing_is_lost_whatever_ends_in_which_turn(
    moves: list[tuple[str, int]], turns: int
) -> None:
    async def run() -> None:
        streams, open_ = Streams(), []
        for move, n in moves:
            if move == "begin":
                open_.append(streams.begin(str(n), n))
            elif open_:
                task, done = open_.pop(n % len(open_))
                done.set() if move == "end" else task.cancel()
            for _ in range(turns):
                await asyncio.sleep(0)
        for _, done in open_:
            done.set()
        await asyncio.gather(*(task for task, _ in open_))
        await settle()
        assert (streams.books.taken, len(streams.memory._waiting)) == (0, 0)

    asyncio.run(run())


async def test_a_synthesis_holds_a_segment_until_its_last_window_and_nothing_after_it() -> None:
    fixture, books = SynthesisFixture(), FakeLedger()
    seen: list[tuple[str, int]] = []
    memory = StreamMemory(MOST, books.take, books.give)
    object.__setattr__(fixture.stage, "memory", memory)
    fixture.during = lambda what: seen.append((what, books.taken))
    await fixture.heard(Lease(fixture.voice(LEVEL), lambda: None))
    assert {taken for what, taken in seen if what == "decode"} == {7}
    assert {taken for what, taken in seen if what == "prepare"} == {0}
    assert books.taken == 0
    fixture.compute.close()


async def test_a_manager_books_what_streams_hold_out_of_its_carve_out() -> None:
    residency = ResidencyFixture(100)
    manager = ModelManager(
        residency.loader,
        residency.executor,
        budget_bytes=100,
        carved={STREAMS: 30},
        clock=residency.clock,
    )
    assert manager.take_for_stream(20)
    assert not manager.take_for_stream(11)
    books: Any = manager.statistics()
    assert (books.carved_bytes, books.streams_bytes, books.free_bytes) == (30, 20, 70)
    manager.check_integrity()
    manager.give_for_stream(20)
    assert manager.statistics().streams_bytes == 0
