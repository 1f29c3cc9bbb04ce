"""Who computes next: a state machine over the line, with a clock and works made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.examples import examples
from voxswap_families.work import Call, Steps, Work
from voxswap_server.compute.step_queue import Entry, StepQueue

MOST_TOGETHER = 3
MOST_TURNS = 3


@dataclass(eq=False)
class Stream:
    """What the test knows of a work in line."""

    due_s: float
    number: int
    steps: int
    key: str | None
    fails_at: int | None
    entry: Entry
    owner: str | None = None
    is_out: bool = False  # the line said so
    taken: int = 0
    ends: list[str] = field(default_factory=list)

    @property
    def is_in(self) -> bool:
        return not self.ends


class LineMachine(RuleBasedStateMachine):
    """Streams come, go on, give up; several steps are under way, and end in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.line = StepQueue(MOST_TOGETHER)
        self.streams: list[Stream] = []
        self.turns: list[list[Stream]] = []
        self.now = 0.0
        self.calls: list[int] = []

    def steps_of(self, n: int, key: str | None, fails_at: int | None) -> Steps[str]:
        for i in range(n):
            if i == fails_at:
                raise ValueError("broken")
            if key is None:
                yield None
            else:
                assert (yield Call(key, i, self.together)) == i * 2
        return "done"

    def together(self, inputs: Sequence[int]) -> list[int]:
        self.calls.append(len(inputs))
        return [2 * i for i in inputs]

    @rule(
        due_s=st.floats(0, 10),
        steps=st.integers(0, 4),
        key=st.sampled_from([None, "a", "b"]),
        fails_at=st.none() | st.integers(0, 3),
        owner=st.sampled_from([None, "smith", "guard"]),
    )
    def come(
        self, due_s: float, steps: int, key: str | None, fails_at: int | None, owner: str | None
    ) -> None:
        work: Work[Any] = Work(self.steps_of(steps, key, fails_at))
        due_s += self.now
        entry = self.line.add(work, Future(), due_s=due_s, asked_s=self.now, owner=owner)
        self.streams.append(Stream(due_s, len(self.streams), steps, key, fails_at, entry, owner))

    @property
    def stepping(self) -> list[Stream]:
        return [stream for turn in self.turns for stream in turn]

    @precondition(lambda self: len(self.turns) < MOST_TURNS)
    @rule()
    def choose(self) -> None:
        waiting = [s for s in self.streams if s.is_in and s not in self.stepping]
        keys = {s.number: s.entry.work.key for s in waiting if s.entry.work is not None}
        chosen = {entry.number for entry in self.line.next()}
        if not waiting:
            assert not chosen
            return
        self.turns.append([s for s in self.streams if s.number in chosen])
        first = min(waiting, key=lambda s: (s.due_s, s.number))
        assert first.number in chosen, "the earliest deadline goes first"
        assert len(chosen) <= MOST_TOGETHER
        key = keys[first.number]
        others = chosen - {first.number}
        assert all(keys[n] == key is not None for n in others), "only like goes with like"
        alike = sorted(
            (s.due_s, s.number) for s in waiting if key is not None and keys[s.number] == key
        )
        assert chosen == {n for _, n in alike[:MOST_TOGETHER]} | {first.number}

    @precondition(lambda self: self.turns)
    @rule(took_s=st.floats(0.001, 1.0), data=st.data())
    def step(self, took_s: float, data: st.DataObject) -> None:
        self.end(data.draw(st.sampled_from(self.turns)), took_s)

    def end(self, turn: list[Stream], took_s: float) -> None:
        self.turns.remove(turn)
        works = [s.entry.work for s in turn if s.entry.work is not None]
        if len(works) == 1:
            works[0].step()
        elif works:
            Work.step_together(works)
        self.now += took_s
        out = {entry.number for entry in self.line.put_back([s.entry for s in turn], took_s)}
        for stream in turn:
            stream.taken += 1
            work = stream.entry.work
            was_out, stream.is_out = stream.is_out, stream.is_out or stream.number in out
            if was_out:
                assert stream.number not in out, "it was out already"
            elif work is None:
                assert stream.number in out
                assert stream.ends == ["given up"]
            elif work.is_done:
                assert stream.number in out
                stream.is_out = True
                fails = stream.fails_at is not None and stream.fails_at < stream.steps
                stream.ends.append("failed" if fails else "finished")
                if not fails:
                    assert work.result() == "done"
                    assert stream.taken == stream.steps + 1
                stream.entry.work = None
            else:
                assert stream.number not in out

    @precondition(lambda self: any(s.is_in for s in self.streams))
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        stream = data.draw(st.sampled_from([s for s in self.streams if s.is_in]))
        is_out = self.line.give_up(stream.entry)
        assert is_out == (stream not in self.stepping), "a step that has begun ends first"
        stream.ends.append("given up")
        stream.is_out = is_out

    @rule()
    def drop(self) -> None:
        self.put_out(self.line.drop(), [s for s in self.streams if not s.is_out])

    @precondition(lambda self: self.turns)
    @rule(data=st.data())
    def write_off(self, data: st.DataObject) -> None:
        turn = data.draw(st.sampled_from(self.turns))
        out = self.line.write_off([s.entry for s in turn])
        self.put_out(out, [s for s in turn if not s.is_out])

    @rule(owner=st.sampled_from(["smith", "guard"]))
    def expel(self, owner: str) -> None:
        waiting = [s for s in self.streams if s.is_in and s not in self.stepping]
        self.put_out(self.line.expel({owner}), [s for s in waiting if s.owner == owner])

    def put_out(self, out: list[Entry], expected: list[Stream]) -> None:
        """Each is told once, and who holds what a step uses can wait for that step's end."""
        assert {entry.number for entry in out} == {s.number for s in expected}
        for stream in expected:
            assert (stream.entry.returned is not None) == (stream in self.stepping)
            assert stream.entry.work is None
            stream.is_out = True
            if stream.is_in:
                stream.ends.append("put out")

    @invariant()
    def who_has_an_end_is_out_or_in_a_step(self) -> None:
        for stream in self.streams:
            assert stream.is_out or stream.is_in or stream in self.stepping
            assert not (stream.is_out and stream.is_in)

    @invariant()
    def every_stream_ends_once_and_the_books_balance(self) -> None:
        assert all(len(s.ends) <= 1 for s in self.streams)
        waiting = sum(s.is_in and s not in self.stepping for s in self.streams)
        assert len(self.line) == waiting

    def teardown(self) -> None:
        """Nobody starves: with nobody new, each of those in line comes to its end."""
        for turn in list(self.turns):
            self.end(turn, 0.001)
        bound = sum(s.steps + 2 for s in self.streams)
        for _ in range(bound):
            self.choose()
            if not self.turns:
                break
            self.end(self.turns[0], 0.001)
        assert all(s.ends for s in self.streams)


TestLine = LineMachine.TestCase
TestLine.settings = examples(150, stateful_step_count=40)


def test_who_moves_its_deadline_on_is_not_starved_by_urgent_ones() -> None:
    """Urgent works come all the time; each is due sooner than the patient one was, not than now."""
    line, now, served = StepQueue(1), 0.0, False
    patient = line.add(Work.of(lambda: "file"), Future(), due_s=now + 2.0, asked_s=now)
    for _ in range(1000):
        line.add(Work.of(lambda: "bark"), Future(), due_s=now + 0.08, asked_s=now)
        (first,) = line.next()
        assert first.work is not None
        first.work.step()
        now += 0.01
        line.put_back([first], 0.01)
        if first is patient:
            served = True
            break
    assert served
    assert now <= 2.1


def test_a_call_that_fails_for_one_is_made_for_the_others() -> None:
    def together(inputs: Sequence[int]) -> Sequence[int]:
        if 13 in inputs:
            raise ValueError("13")
        return inputs

    def steps(n: int) -> Steps[int]:
        answer: int = yield Call("k", n, together)
        return answer

    works = [Work(steps(n)) for n in (1, 13, 2)]
    for work in works:
        work.step()
    Work.step_together(works)
    assert [work.result() for work in (works[0], works[2])] == [1, 2]
    with pytest.raises(ValueError, match="13"):
        works[1].result()
