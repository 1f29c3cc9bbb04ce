"""Who is let in: books that balance, refusals that say when to come again."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from tests.examples import examples
from voxswap_registry.names import VoiceRef
from voxswap_server.speech.admission import Admission, Limits, Ticket
from voxswap_server.speech.errors import OverloadedError, TooLateError
from voxswap_server.speech.playback import Pacing
from voxswap_server.speech.request import LineClass, SpeechRequest

LINE = SpeechRequest(VoiceRef("a"), "x" * 100)
FILE = replace(LINE, paced=False)
KIND = "vits"


class Desk:
    def __init__(
        self, most_load: float = 0.9, most_backlog_s: float = 10.0, side_by_side: int = 1
    ) -> None:
        self.now = 50.0
        self.admission = Admission(
            Limits(most_load, most_backlog_s),
            Pacing(),
            clock=lambda: self.now,
            side_by_side=side_by_side,
        )

    def teach(self, *, compute_s: float, audio_s: float, first_s: float = 0.025) -> None:
        """What lines of 100 characters cost."""
        with self.admission.admit(LINE, KIND) as ticket:
            ticket.begun(first_s, 100)
            ticket.finished(compute_s, audio_s, 100)


def test_nothing_is_known_at_first_and_everybody_is_let_in() -> None:
    desk = Desk()
    tickets = [desk.admission.admit(LINE, KIND) for _ in range(100)]
    assert desk.admission.load == 0
    for ticket in tickets:
        desk.admission.leave(ticket)


def test_paced_streams_are_let_in_as_far_as_the_device_can_keep_up() -> None:
    desk = Desk(most_load=0.9)
    desk.teach(compute_s=0.5, audio_s=5.0)
    tickets = [desk.admission.admit(LINE, KIND) for _ in range(9)]
    desk.now += 2.0
    with pytest.raises(OverloadedError, match="9 streams take 90% of the device") as refused:
        desk.admission.admit(LINE, KIND)
    # The first of them has been spoken in three seconds.
    assert refused.value.retry_s == pytest.approx(3.0)
    desk.admission.leave(tickets[0])
    desk.admission.admit(LINE, KIND)


def test_a_device_that_computes_for_two_at_a_time_has_twice_as_much_to_give() -> None:
    desk = Desk(most_load=0.91, most_backlog_s=10.0, side_by_side=2)
    desk.teach(compute_s=0.5, audio_s=5.0)
    tickets = [desk.admission.admit(LINE, KIND) for _ in range(18)]
    assert desk.admission.load == pytest.approx(0.9)
    with pytest.raises(OverloadedError, match="18 streams take 90% of the device"):
        desk.admission.admit(LINE, KIND)
    for ticket in tickets:
        desk.admission.leave(ticket)
    files = [desk.admission.admit(FILE, KIND) for _ in range(40)]
    assert desk.admission.backlog_s == pytest.approx(10.0)
    with pytest.raises(OverloadedError):
        desk.admission.admit(FILE, KIND)
    files[0].done = lambda: 0.5
    desk.admission.admit(FILE, KIND)


def test_a_device_that_is_too_slow_for_one_still_speaks_that_one() -> None:
    desk = Desk(most_load=0.9)
    desk.teach(compute_s=10.0, audio_s=5.0)
    with desk.admission.admit(LINE, KIND):
        with pytest.raises(OverloadedError):
            desk.admission.admit(LINE, KIND)
    desk.admission.admit(LINE, KIND)


def test_files_are_promised_no_more_than_can_be_made_in_time() -> None:
    desk = Desk(most_backlog_s=10.0)
    desk.teach(compute_s=4.0, audio_s=40.0)
    first, _ = (desk.admission.admit(FILE, KIND) for _ in range(2))
    with pytest.raises(OverloadedError, match=r"at most 10\.0 s are promised") as refused:
        desk.admission.admit(FILE, KIND)
    assert refused.value.retry_s == pytest.approx(2.0)
    first.done = lambda: 3.0  # of four seconds
    desk.admission.admit(FILE, KIND)


def test_whoever_finds_the_device_idle_is_served_however_long_it_takes() -> None:
    desk = Desk(most_backlog_s=1.0)
    desk.teach(compute_s=4.0, audio_s=40.0)
    desk.admission.admit(FILE, KIND)


def test_a_tenant_with_less_than_its_share_finds_room_kept_for_it() -> None:
    desk = Desk(most_load=1.0)
    desk.teach(compute_s=0.5, audio_s=5.0)
    loud, quiet = replace(LINE, tenant="loud"), replace(LINE, tenant="quiet")
    held = [desk.admission.admit(quiet, KIND)]
    while True:
        try:
            held.append(desk.admission.admit(loud, KIND))
        except OverloadedError:
            break
    assert len(held) == 8  # of ten places: the last two are for whoever has less than five
    desk.admission.admit(quiet, KIND)
    desk.admission.admit(quiet, KIND)
    with pytest.raises(OverloadedError):
        desk.admission.admit(quiet, KIND)


def test_files_of_one_tenant_wait_longer_the_more_there_are() -> None:
    desk = Desk()
    crowd = [desk.admission.admit(replace(FILE, tenant="crowd"), KIND) for _ in range(5)]
    alone = desk.admission.admit(replace(FILE, tenant="alone"), KIND)
    assert [t.weight() for t in (*crowd, alone)] == [5, 5, 5, 5, 5, 1]
    desk.admission.leave(crowd[0])
    assert crowd[1].weight() == 4


def test_a_line_that_could_not_start_in_time_is_refused_with_the_estimate() -> None:
    desk = Desk()
    desk.teach(compute_s=0.1, audio_s=5.0, first_s=0.03)
    bark = replace(LINE, line_class=LineClass.BARK, start_by_s=0.1)
    for _ in range(3):
        desk.admission.admit(bark, KIND)
    with pytest.raises(TooLateError, match="would take") as refused:
        desk.admission.admit(bark, KIND)
    estimate_ms = float(refused.value.metadata["estimated_start_ms"])
    assert 120 <= estimate_ms <= 150  # four first chunks of 30 ms, on what the others leave
    desk.admission.admit(replace(bark, start_by_s=0.2), KIND)


def test_what_is_due_later_does_not_stand_in_a_barks_way() -> None:
    desk = Desk()
    desk.teach(compute_s=0.1, audio_s=5.0, first_s=0.03)
    for _ in range(10):
        desk.admission.admit(replace(LINE, line_class=LineClass.CINEMATIC), KIND)
    bark = replace(LINE, line_class=LineClass.BARK, start_by_s=0.05)
    desk.admission.admit(bark, KIND)


def test_the_way_to_a_voice_that_is_not_resident_counts() -> None:
    desk = Desk()
    desk.teach(compute_s=0.1, audio_s=5.0, first_s=0.03)
    bark = replace(LINE, line_class=LineClass.BARK, start_by_s=0.1)
    with pytest.raises(TooLateError):
        desk.admission.admit(bark, KIND, swap_s=0.08)
    desk.admission.admit(bark, KIND, swap_s=0.05)


class DeskMachine(RuleBasedStateMachine):
    """Streams of three tenants come and go in any order, and some tell what they cost."""

    tickets: Bundle[Ticket] = Bundle("tickets")

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(most_load=0.9, most_backlog_s=5.0)
        self.inside: set[Ticket] = set()
        self.retries_s: list[float | None] = []

    @rule(
        target=tickets,
        tenant=st.sampled_from("abc"),
        paced=st.booleans(),
        text=st.integers(1, 2000).map("x".__mul__),
    )
    def come(self, tenant: str, text: str, *, paced: bool) -> Ticket | None:
        request = replace(LINE, tenant=tenant, paced=paced, text=text)
        alone = not any(t.paced == paced for t in self.inside)
        try:
            ticket = self.desk.admission.admit(request, KIND)
        except OverloadedError as error:
            assert not (alone and not self.inside), "who comes first is always served"
            self.retries_s.append(error.retry_s)
            return None
        self.inside.add(ticket)
        return ticket

    @rule(ticket=consumes(tickets), compute_s=st.floats(0.01, 3), audio_s=st.floats(0.1, 60))
    def finish(self, ticket: Ticket | None, compute_s: float, audio_s: float) -> None:
        if ticket is not None:
            with ticket:
                ticket.begun(compute_s / 10, 100)
                ticket.finished(compute_s, audio_s, 100)
            self.inside.discard(ticket)

    @rule(ticket=tickets)
    def leave_twice(self, ticket: Ticket | None) -> None:
        if ticket is not None:
            self.desk.admission.leave(ticket)
            self.desk.admission.leave(ticket)
            self.inside.discard(ticket)

    @rule(seconds=st.floats(0, 100))
    def time_goes_by(self, seconds: float) -> None:
        self.desk.now += seconds

    @invariant()
    def books_balance(self) -> None:
        admission = self.desk.admission
        admission.check_integrity()
        assert all(retry_s is not None and 0.1 <= retry_s <= 30 for retry_s in self.retries_s)
        paced = [ticket for ticket in self.inside if ticket.paced]
        assert admission.load == pytest.approx(sum(ticket.load for ticket in paced))
        # Only the first may take more than there is.
        if len(paced) > 1:
            assert admission.load - max(t.load for t in paced) <= 0.9 + 1e-9


TestDesk = DeskMachine.TestCase
TestDesk.settings = examples(80, stateful_step_count=30)
