"""The real loader and the real manager on a device that is not there: an address space with holes.

The device refuses what fits into no hole, and now and then what would; it copies as slowly as the
test wants. What `tests/gpu` asks of a real one is asked of this one as well.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.fakes.clocks import FakeClock
from tests.fakes.executors import ManualExecutor, settle
from tests.fakes.family import SYMBOLS, FakeEngine
from tests.registry.drafts import make_draft
from voxswap_families.contract import DevicePart, HostPart
from voxswap_families.errors import DeviceMemoryError
from voxswap_registry.draft import DraftComponent
from voxswap_registry.errors import VoxswapError
from voxswap_registry.manifest import FrontEndSpec, Manifest
from voxswap_registry.storage.verified import VerifiedFile
from voxswap_registry.store import Registry
from voxswap_server.memory.plans import Limits
from voxswap_server.residency.errors import DeviceRefusedError
from voxswap_server.residency.events import EventKind, ResidencyEvent
from voxswap_server.residency.host_tier import HostTier
from voxswap_server.residency.lease import Lease
from voxswap_server.residency.loader import VoiceLoader
from voxswap_server.residency.manager import ModelManager
from voxswap_server.residency.snapshot import State

TABLE_BYTES = 16 * len(SYMBOLS)  # what residency charges for it; it lies on the host
BASE = 3_000
SIZES = {"a": 300, "b": 400, "c": 700, "d": 1_500, "e": 2_500, "f": 4_000}
ON_BASE = {"s": 60, "t": 90, "u": 800}
BUDGET = 6_000 + TABLE_BYTES


@dataclass
class SimulatedDevice:
    """First-fit allocation in ``size`` bytes. Thread-safe. Is a `Device` for residency."""

    size: int
    name: str = "sim:0"
    taken: dict[int, int] = field(default_factory=dict)  # size by offset
    peak: int = 0
    refusals: int = 0  # to come, whatever is free
    refused: int = 0
    given_back: int = 0
    copying: Callable[[], object] = lambda: None
    freed: Callable[[int], None] = lambda freed_bytes: None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def allocate(self, size: int) -> int:
        with self.lock:
            if self.refusals:
                self.refusals -= 1
                offset = None
            else:
                offset = next((at for at, hole in self.holes() if hole >= size), None)
            if offset is None:
                self.refused += 1
                raise DeviceMemoryError(f"{self.name} refused {size} bytes")
            self.taken[offset] = size
            self.peak = max(self.peak, sum(self.taken.values()))
            return offset

    def free(self, offset: int) -> None:
        with self.lock:
            del self.taken[offset]

    def holes(self) -> Iterator[tuple[int, int]]:
        """Offset and size of what is free."""
        end = 0
        for offset, size in sorted(self.taken.items()):
            if offset > end:
                yield end, offset - end
            end = offset + size
        if end < self.size:
            yield end, self.size - end

    def held_bytes(self) -> int:
        with self.lock:
            return sum(self.taken.values())

    def kept_bytes(self) -> int:
        return 0

    def give_back(self, freed_bytes: int) -> None:
        self.given_back += freed_bytes
        self.freed(freed_bytes)

    def figures(self) -> str:
        with self.lock:
            largest = max((size for _, size in self.holes()), default=0)
        return f"{self.name} has {self.size - self.held_bytes()} bytes, {largest} in one piece"


class SimulatedPart:
    """A block of the device, which has it back when nobody refers to this any more."""

    def __init__(self, device: SimulatedDevice, size: int) -> None:
        self.resident_bytes = self.allocated_bytes = size
        offset = device.allocate(size)
        weakref.finalize(self, device.free, offset)
        device.copying()


@dataclass(eq=False)
class StagedPart:
    device: SimulatedDevice
    data: bytes

    @property
    def host_bytes(self) -> int:
        return len(self.data)

    def place(self) -> DevicePart:
        return SimulatedPart(self.device, len(self.data))


class SimulatedEngine(FakeEngine):
    def __init__(self, device: SimulatedDevice) -> None:
        super().__init__()
        self.device = device

    def workspace_bytes(self, manifest: Manifest, *, largest_chunk_s: float) -> int:
        return 0

    def taken_up(self, manifest: Manifest, file: VerifiedFile) -> HostPart:
        return StagedPart(self.device, os.pread(file.fd, file.size_bytes, 0))


@dataclass(frozen=True)
class StockedRegistry:
    registry: Registry
    manifests: Mapping[str, Manifest]


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> StockedRegistry:
    """A registry with voices of all sizes; some share a base. Nobody writes to it."""
    folder = tmp_path_factory.mktemp("stock")
    registry = Registry(folder / "registry")
    base, table = folder / "base", folder / "table"
    base.write_bytes(b"b" * BASE)
    table.write_bytes(SYMBOLS)
    manifests = {}
    for name, size in (SIZES | ON_BASE).items():
        model = folder / name
        model.write_bytes(name.encode() * size)
        components = [DraftComponent("model", model, "x/y")]
        if name in ON_BASE:
            components.append(DraftComponent("base", base, "x/y"))
        components.append(DraftComponent("symbols", table, "application/json"))
        draft = make_draft(
            folder / "draft",
            f"npc/{name}",
            engine="fake",
            front_end=FrontEndSpec("characters"),
            components=tuple(components),
        )
        manifests[name] = registry.publish(draft)
    return StockedRegistry(registry, manifests)


class SimulatedResidency:
    """Loader and manager on a simulated device, by hand or with real threads."""

    def __init__(
        self,
        stock: StockedRegistry,
        *,
        size: int = BUDGET,
        budget: int = BUDGET,
        host_budget: int = 0,
        executor: Executor | None = None,
        freeing: Executor | None = None,
    ) -> None:
        self.stock = stock
        self.device = SimulatedDevice(size)
        self.executor, self.freeing = ManualExecutor(), ManualExecutor()
        self.host_tier = HostTier(host_budget) if host_budget else None
        self.events: list[ResidencyEvent] = []
        self.loader = VoiceLoader(
            stock.registry.components,
            {"fake": SimulatedEngine(self.device)},
            host_tier=self.host_tier,
        )
        self.clock = FakeClock()
        self.not_free: list[int] = []
        self.device.freed = self.freed
        self.manager = ModelManager(
            self.loader,
            executor or self.executor,
            freeing=freeing or self.freeing,
            budget_bytes=budget,
            device=self.device,
            limits=Limits(load_slots=3),
            clock=self.clock,
            observer=self.events.append,
        )

    def ask(self, name: str, **options: Any) -> asyncio.Task[Lease]:
        work = self.manager.acquire(self.stock.manifests[name], **options)
        return asyncio.get_running_loop().create_task(work)

    async def have(self, name: str) -> Lease:
        task = self.ask(name)
        await self.work()
        self.clock.now_s += 1
        return await task

    def freed(self, freed_bytes: int) -> None:
        """What is told to be free is free already, and charged still."""
        charged_bytes = self.manager.statistics().charged_bytes
        if self.device.held_bytes() + freed_bytes > charged_bytes:
            self.not_free.append(freed_bytes)

    async def work(self) -> None:
        await settle()
        while waiting := [e for e in (self.executor, self.freeing) if e.waiting]:
            waiting[0].run_next()
            await settle()
            self.check()

    def check(self) -> None:
        """The device has no byte that the ledger does not know of."""
        self.manager.check_integrity()
        books = self.manager.statistics()
        assert self.device.held_bytes() <= books.charged_bytes <= books.budget_bytes
        assert not self.not_free
        if self.host_tier is not None:
            self.host_tier.check_integrity()

    async def end(self) -> None:
        """Everything goes, and then the device is as it was."""
        closing = asyncio.ensure_future(self.manager.close())
        await self.work()
        assert closing.done()
        books = self.manager.statistics()
        assert books.charged_bytes == books.carved_bytes
        assert not self.device.taken


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    """Memory must come back because nobody refers to it, not because somebody tidied up."""
    logging.disable(logging.CRITICAL)  # pytest keeps what is logged, errors and their frames too
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        logging.disable(logging.NOTSET)


async def test_memory_in_pieces_is_given_back_until_one_is_large_enough(
    stock: StockedRegistry,
) -> None:
    simulated = SimulatedResidency(stock)
    for name in ("d", "a", "e", "b"):  # 1500 | 300 | 2500 | 400 | 1300 free
        (await simulated.have(name)).release()
    for name in ("d", "e"):  # 1500 free | 300 | 2500 free | 400 | 1300 free
        unloading = asyncio.ensure_future(simulated.manager.unload(stock.manifests[name]))
        await simulated.work()
        await unloading
    simulated.events.clear()
    lease = await simulated.have("f")  # 4,000 of 5,300
    assert simulated.device.refused == 1
    reasons = [e.reason for e in simulated.events if e.kind is EventKind.EVICTED]
    assert set(reasons) == {"refused"}
    assert simulated.manager.find(stock.manifests["f"]) is not None
    lease.release()
    await simulated.end()


async def test_where_everything_else_speaks_that_load_fails_alone(stock: StockedRegistry) -> None:
    simulated = SimulatedResidency(stock)
    speaking = []
    for name in ("d", "a", "e", "b"):
        lease = await simulated.have(name)
        if name in ("a", "b"):
            speaking.append(lease)
        else:
            lease.release()
    for name in ("d", "e"):
        unloading = asyncio.ensure_future(simulated.manager.unload(stock.manifests[name]))
        await simulated.work()
        await unloading
    task, other = simulated.ask("f"), simulated.ask("c")
    await simulated.work()
    with pytest.raises(
        DeviceRefusedError,
        match=r"the model of npc/f@1 needs 4000 bytes: sim:0 refused 4000 bytes\. The ledger has "
        r"4600 bytes of 6688 bytes free, sim:0 has \d+ bytes, 2500 in one piece; lower "
        r"memory_budget",
    ):
        await task
    (await other).release()
    assert simulated.manager.statistics().reserved_bytes == 0
    assert [r.state for r in simulated.manager.residents()].count(State.FAILED) == 1
    for lease in speaking:
        assert not lease.released
        lease.release()
    # When they have ended there is a piece that is large enough, and it is tried again.
    simulated.clock.now_s += 1
    (await simulated.have("f")).release()
    await simulated.end()


async def test_a_device_that_refuses_now_and_then_takes_nothing_with_it(
    stock: StockedRegistry,
) -> None:
    simulated = SimulatedResidency(stock, size=2 * BUDGET)
    speaking = await simulated.have("s")
    for refusals in (1, 2, 1, 3):
        simulated.device.refusals = refusals
        task = simulated.ask("t")
        await simulated.work()
        simulated.device.refusals = 0
        if task.exception() is None:
            (await task).release()
        else:
            assert isinstance(task.exception(), DeviceRefusedError)
        simulated.clock.now_s += 100
        unloading = asyncio.ensure_future(simulated.manager.unload(stock.manifests["t"]))
        await simulated.work()
        await unloading
        assert simulated.device.held_bytes() == BASE + ON_BASE["s"]
    speaking.release()
    await simulated.end()


async def test_a_load_that_is_given_up_in_its_copy_gives_its_block_back(
    stock: StockedRegistry,
) -> None:
    simulated = SimulatedResidency(stock)
    task = simulated.ask("e")
    await settle()
    simulated.device.copying = task.cancel
    await simulated.work()
    assert task.cancelled()
    assert simulated.device.peak == SIZES["e"]
    simulated.manager.evict_idle(0)  # It was there by the time its thread could have looked up.
    await simulated.work()
    assert not simulated.device.taken
    assert simulated.manager.statistics().charged_bytes == 0
    await simulated.end()


async def test_damaged_bytes_never_reach_the_device(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    draft = make_draft(
        tmp_path, data=b"w" * 500, engine="fake", front_end=FrontEndSpec("characters")
    )
    (tmp_path / "symbols.json").write_bytes(SYMBOLS)
    manifest = registry.publish(draft)
    path = next(
        p for p in (tmp_path / "registry").rglob("*") if p.is_file() and p.stat().st_size == 500
    )
    path.chmod(0o644)
    path.write_bytes(b"W" * 500)
    simulated = SimulatedResidency(StockedRegistry(registry, {"x": manifest}))
    for _ in range(3):
        task = simulated.ask("x", insist=True)
        await simulated.work()
        assert type(task.exception()).__name__ == "DigestMismatchError"
        del task
        assert not simulated.device.taken
    assert registry.components.quarantined()
    assert simulated.device.peak == 0
    await simulated.end()


async def test_a_slow_copy_holds_up_nobody_else(stock: StockedRegistry) -> None:
    """On real threads: one copy waits at its gate, and the others come and go."""
    gate, begun = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def copy() -> None:
        if threading.current_thread() is slow[0]:
            loop.call_soon_threadsafe(begun.set)
            assert gate.wait(timeout=20)

    slow: list[threading.Thread] = []
    with ThreadPoolExecutor(3) as executor, ThreadPoolExecutor(1) as freeing:
        simulated = SimulatedResidency(stock, executor=executor, freeing=freeing)

        def mark_and_copy() -> None:
            if not slow:
                slow.append(threading.current_thread())
            copy()

        simulated.device.copying = mark_and_copy
        task = simulated.ask("e")
        await begun.wait()
        for name in "abcabc":
            (await simulated.ask(name)).release()
        (await simulated.ask("d")).release()
        simulated.check()
        assert not task.done()
        gate.set()
        (await task).release()
        simulated.check()
        await simulated.manager.close()
        assert not simulated.device.taken


async def test_what_the_host_tier_keeps_comes_back_without_the_disk(stock: StockedRegistry) -> None:
    simulated = SimulatedResidency(stock, host_budget=5_000)
    for name in ("e", "f", "e", "f"):
        (await simulated.have(name)).release()
    assert simulated.host_tier is not None
    assert simulated.host_tier.statistics().resident_bytes <= 5_000
    simulated.check()
    await simulated.end()


def came_to_its_end(task: asyncio.Task[int]) -> bool:
    """Whether it did, as it may. An error has frames, and these a voice: it must not be kept."""
    return task.done() and isinstance(task.exception(), VoxswapError | None)


voices = st.sampled_from(sorted(SIZES | ON_BASE))
moves = st.one_of(
    st.tuples(st.just("ask"), voices),
    st.tuples(st.just("ask"), voices),
    st.tuples(st.just("load"), st.integers(0, 3)),
    st.tuples(st.just("load"), st.integers(0, 3)),
    st.tuples(st.just("free"), st.integers(0, 3)),
    st.tuples(st.just("release"), st.integers(0, 5)),
    st.tuples(st.just("cancel"), st.integers(0, 5)),
    st.tuples(st.just("refuse"), st.integers(1, 2)),
    st.tuples(st.just("unload"), voices),
    st.tuples(st.just("budget"), st.sampled_from([5_500, 6_000, 9_000])),
)


@examples(120)
@given(
    st.lists(moves, max_size=50),
    st.sampled_from([1.0, 1.1, 2.0]),
    st.sampled_from([0, 3_500]),
)
def test_whatever_is_asked_the_device_holds_what_the_ledger_says_and_gets_it_all_back(
    stock: StockedRegistry,
    moves: list[tuple[str, Any]],
    room: float,
    host_budget: int,
) -> None:
    async def run() -> None:
        simulated = SimulatedResidency(
            stock,
            size=round(9_000 * room) if room > 1 else BUDGET,
            host_budget=host_budget,
        )
        asking: list[asyncio.Task[Lease]] = []
        unloading: list[asyncio.Task[int]] = []
        held: list[Lease] = []
        for move, what in moves:
            simulated.clock.now_s += 1
            match move:
                case "ask":
                    asking.append(simulated.ask(what))
                case "load" if what < len(simulated.executor.waiting):
                    simulated.executor.run_next(what)
                case "free" if what < len(simulated.freeing.waiting):
                    simulated.freeing.run_next(what)
                case "release" if what < len(held):
                    held.pop(what).release()
                case "cancel" if what < len(asking):
                    asking[what].cancel()
                case "refuse":
                    simulated.device.refusals = what
                case "unload":
                    work = simulated.manager.unload(stock.manifests[what])
                    unloading.append(asyncio.ensure_future(work))
                case "budget":
                    simulated.manager.set_budget(what)
            await settle()
            for task in [t for t in asking if t.done()]:
                asking.remove(task)
                if task.cancelled():
                    continue
                if task.exception() is None:
                    held.append(task.result())
                else:
                    assert isinstance(task.exception(), VoxswapError)
                del task
            unloading = [task for task in unloading if not came_to_its_end(task)]
            simulated.check()
        simulated.device.refusals = 0
        while True:
            await simulated.work()
            held += [
                t.result() for t in asking if not t.cancelled() and t.done() and not t.exception()
            ]
            asking = [t for t in asking if not t.done()]
            if not held:
                break
            held.pop().release()
        assert not asking
        assert all(map(came_to_its_end, unloading))
        unloading.clear()
        await simulated.end()
        assert simulated.device.peak <= max(9_000, BUDGET)

    asyncio.run(run())
