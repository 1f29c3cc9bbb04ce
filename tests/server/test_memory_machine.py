"""Any order of events, and `Memory` is safe and makes progress: `memory_world.World` judges."""

from __future__ import annotations

import random

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from tests.examples import examples
from tests.server.memory_world import BUDGETS, VOICES, World, drawn_outcome
from voxswap_server.memory.part import State
from voxswap_server.memory.plans import Rank

STEPS = 20_000
voices = st.sampled_from(sorted(VOICES))
ranks = st.sampled_from(Rank)


class MemoryMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    def draw(self, data: st.DataObject, things: object) -> int:
        return data.draw(st.sampled_from(sorted(things)))  # type: ignore[call-overload,no-any-return]

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.2]))
    def a_moment_passes_unseen(self, seconds: float) -> None:
        self.world.now += seconds

    @rule(seconds=st.sampled_from([0.3, 1.0, 2.5, 9.0, 30.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule(voice=voices, rank=ranks, insists=st.booleans(), version=st.integers(1, 2))
    def ask(self, voice: str, rank: Rank, version: int, *, insists: bool) -> None:
        self.world.ask(voice, rank, insists=insists, ref=f"{voice}@{version}")

    @rule(several=st.lists(voices, min_size=2, max_size=5))
    def many_ask(self, several: list[str]) -> None:
        for voice in several:
            self.world.ask(voice)

    @precondition(lambda self: self.world.waiting)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        self.world.give_up(self.draw(data, self.world.waiting))

    @precondition(lambda self: self.world.leases)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        self.world.release(self.draw(data, self.world.leases))

    @precondition(lambda self: self.world.threads)
    @rule(data=st.data(), fault=st.floats(0, 1))
    def a_thread_ends(self, data: st.DataObject, fault: float) -> None:
        number = self.draw(data, self.world.threads)
        self.world.finish(number, drawn_outcome(self.world.threads[number], fault))

    @precondition(lambda self: self.world.freeing)
    @rule(data=st.data())
    def memory_is_free(self, data: st.DataObject) -> None:
        self.world.free(self.draw(data, self.world.freeing))

    @rule(voice=voices)
    def pin(self, voice: str) -> None:
        found = self.world.memory.voices.get(voice)
        if found is not None and found.leases:
            self.world.pin(voice)

    @rule(voice=voices)
    def unpin(self, voice: str) -> None:
        self.world.unpin(voice)

    @rule(voice=voices, version=st.integers(1, 2), back=st.booleans())
    def a_version_goes_or_comes_back(self, voice: str, version: int, *, back: bool) -> None:
        (self.world.restore if back else self.world.retire)(f"{voice}@{version}")

    @rule(data=st.data())
    def a_file_is_changed(self, data: st.DataObject) -> None:
        found = [p.number for p in self.world.memory.holdings if p.state is State.RESIDENT]
        if found:
            self.world.withdraw(self.draw(data, found))

    @rule(voice=voices)
    def its_files_leave_the_cache_on_disk(self, voice: str) -> None:
        self.world.remote.update(VOICES[voice][0])

    @rule(voice=voices, for_s=st.sampled_from([0.0, 3.0]))
    def used_or_protected(self, voice: str, for_s: float) -> None:
        world, keys = self.world, tuple(VOICES[voice][0])
        if for_s:
            world.happen(lambda: world.memory.protect(keys, world.now + for_s, world.now))
        else:
            world.happen(lambda: world.memory.used(keys, world.now))

    @rule(age_s=st.sampled_from([0, 2, 10]))
    def evict_idle(self, age_s: int) -> None:
        world = self.world
        world.happen(lambda: world.memory.evict_idle(world.now - age_s, world.now))

    @rule(voice=voices)
    def unload(self, voice: str) -> None:
        found, world = self.world.memory.voices.get(voice), self.world
        if found is not None and not found.leases and not found.pinned:
            world.happen(lambda: world.memory.unload(voice, world.now))

    @rule(budget=st.sampled_from(BUDGETS))
    def resize(self, budget: int) -> None:
        self.world.resize(budget)

    @rule()
    def all_work_comes_to_its_end(self) -> None:
        self.world.work_off()

    @rule()
    def everybody_is_granted_or_refused(self) -> None:
        self.world.come_to_rest()

    def teardown(self) -> None:
        self.world.end()


TestMemoryMachine = MemoryMachine.TestCase
TestMemoryMachine.settings = examples(200, stateful_step_count=80)


def test_twenty_thousand_random_steps() -> None:
    rng = random.Random(1)
    world = World()
    for step in range(STEPS):
        world.random_step(rng)
        if step % 400 == 399:
            world.come_to_rest()
        if step % 2_000 == 1_999:
            world.end()
            world = World(rng.choice(BUDGETS))
    world.end()
