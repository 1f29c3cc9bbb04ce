"""Any order of events, and `Memory` is safe and makes progress: `MemorySimulation` judges."""

from __future__ import annotations

import random

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from tests.examples import examples
from tests.server.memory_simulation import BUDGETS, VOICES, MemorySimulation, drawn_outcome
from voxswap_server.memory.part import State
from voxswap_server.memory.plans import Rank

STEPS = 20_000
voices = st.sampled_from(sorted(VOICES))
ranks = st.sampled_from(Rank)


class MemoryMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.simulation = MemorySimulation()

    def draw(self, data: st.DataObject, things: object) -> int:
        return data.draw(st.sampled_from(sorted(things)))  # type: ignore[call-overload,no-any-return]

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.2]))
    def a_moment_passes_unseen(self, seconds: float) -> None:
        self.simulation.now += seconds

    @rule(seconds=st.sampled_from([0.3, 1.0, 2.5, 9.0, 30.0]))
    def time_passes(self, seconds: float) -> None:
        self.simulation.pass_time(seconds)

    @rule(voice=voices, rank=ranks, insists=st.booleans(), version=st.integers(1, 2))
    def ask(self, voice: str, rank: Rank, version: int, *, insists: bool) -> None:
        self.simulation.ask(voice, rank, insists=insists, ref=f"{voice}@{version}")

    @rule(several=st.lists(voices, min_size=2, max_size=5))
    def many_ask(self, several: list[str]) -> None:
        for voice in several:
            self.simulation.ask(voice)

    @precondition(lambda self: self.simulation.waiting)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        self.simulation.give_up(self.draw(data, self.simulation.waiting))

    @precondition(lambda self: self.simulation.leases)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        self.simulation.release(self.draw(data, self.simulation.leases))

    @precondition(lambda self: self.simulation.threads)
    @rule(data=st.data(), fault=st.floats(0, 1))
    def a_thread_ends(self, data: st.DataObject, fault: float) -> None:
        number = self.draw(data, self.simulation.threads)
        self.simulation.finish(number, drawn_outcome(self.simulation.threads[number], fault))

    @precondition(lambda self: self.simulation.freeing)
    @rule(data=st.data())
    def memory_is_free(self, data: st.DataObject) -> None:
        self.simulation.free(self.draw(data, self.simulation.freeing))

    @rule(voice=voices)
    def pin(self, voice: str) -> None:
        found = self.simulation.memory.voices.get(voice)
        if found is not None and found.leases:
            self.simulation.pin(voice)

    @rule(voice=voices)
    def unpin(self, voice: str) -> None:
        self.simulation.unpin(voice)

    @rule(voice=voices, version=st.integers(1, 2), back=st.booleans())
    def a_version_goes_or_comes_back(self, voice: str, version: int, *, back: bool) -> None:
        (self.simulation.restore if back else self.simulation.retire)(f"{voice}@{version}")

    @rule(data=st.data())
    def a_file_is_changed(self, data: st.DataObject) -> None:
        found = [p.number for p in self.simulation.memory.holdings if p.state is State.RESIDENT]
        if found:
            self.simulation.withdraw(self.draw(data, found))

    @rule(voice=voices)
    def its_files_leave_the_cache_on_disk(self, voice: str) -> None:
        self.simulation.remote.update(VOICES[voice][0])

    @rule(voice=voices, for_s=st.sampled_from([0.0, 3.0]))
    def used_or_protected(self, voice: str, for_s: float) -> None:
        simulation, keys = self.simulation, tuple(VOICES[voice][0])
        if for_s:
            simulation.happen(
                lambda: simulation.memory.used(keys, simulation.now, until_s=simulation.now + for_s)
            )
        else:
            simulation.happen(lambda: simulation.memory.used(keys, simulation.now))

    @rule(age_s=st.sampled_from([0, 2, 10]))
    def evict_idle(self, age_s: int) -> None:
        simulation = self.simulation
        simulation.happen(
            lambda: simulation.memory.evict_idle(simulation.now - age_s, simulation.now)
        )

    @rule(voice=voices)
    def unload(self, voice: str) -> None:
        found, simulation = self.simulation.memory.voices.get(voice), self.simulation
        if found is not None and not found.leases and not found.pinned:
            simulation.happen(lambda: simulation.memory.unload(voice, simulation.now))

    @rule(budget=st.sampled_from(BUDGETS))
    def resize(self, budget: int) -> None:
        self.simulation.resize(budget)

    @rule()
    def all_work_comes_to_its_end(self) -> None:
        self.simulation.work_off()

    @rule()
    def everybody_is_granted_or_refused(self) -> None:
        self.simulation.come_to_rest()

    def teardown(self) -> None:
        self.simulation.end()


TestMemoryMachine = MemoryMachine.TestCase
TestMemoryMachine.settings = examples(200, stateful_step_count=80)


def test_twenty_thousand_random_steps() -> None:
    rng = random.Random(1)
    simulation = MemorySimulation()
    for step in range(STEPS):
        simulation.random_step(rng)
        if step % 400 == 399:
            simulation.come_to_rest()
        if step % 2_000 == 1_999:
            simulation.end()
            simulation = MemorySimulation(rng.choice(BUDGETS))
    simulation.end()
