"""Who is let in: books of what will be computed, and refusals that say when to come again."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
)

from tests.examples import examples
from tests.fakes.manifests import make_manifest
from voxswap_families.contract import Pace
from voxswap_registry.names import VoiceRef
from voxswap_server.compute.hooks import Ran
from voxswap_server.compute.meter import Meter
from voxswap_server.speech.admission import Admission, Ticket, prior
from voxswap_server.speech.books import Limits, Snapshot
from voxswap_server.speech.costs import Machine
from voxswap_server.speech.errors import OverloadedError, TooLateError
from voxswap_server.speech.playback import Pacing
from voxswap_server.speech.request import LineClass, SpeechRequest

# 6.5 seconds, which take 0.65 of a thread: 26 ms to the first sound.
LINE = SpeechRequest(VoiceRef("a"), "x" * 100)
FILE = replace(LINE, paced=False)
BARK = replace(LINE, line_class=LineClass.BARK)
VOICE = make_manifest("a")
KNOWN = prior(Pace(prepare_s_per_symbol=0.00008, decode_s_per_s=0.08))


@pytest.fixture(scope="module", autouse=True)
def _loop() -> Iterator[None]:
    """What admission is confined to; nothing else runs on it."""
    with asyncio.Runner() as AdmissionFixture.runner:
        yield


class AdmissionFixture:
    """Admission of a machine whose voices compute a second of audio in a tenth. Nobody waits."""

    runner: asyncio.Runner

    def __init__(
        self, most_load: float = 0.9, most_backlog_s: float = 10.0, threads: int = 1
    ) -> None:
        self.now = 50.0
        self.speeds = (1.0, 1.0)
        self.admission = Admission(
            Limits(most_load, most_backlog_s),
            Pacing(),
            clock=lambda: self.now,
            machine=Machine(threads, threads + 1.0),
            prior=lambda manifest: KNOWN,
            speeds=lambda: self.speeds,
            patience_s=0.0,
        )

    def come(self, request: SpeechRequest = LINE, *, swap_s: float = 0.0) -> Ticket:
        return self.runner.run(self.admission.admit(request, VOICE, swap_s=swap_s))

    def speaking(self, request: SpeechRequest = LINE, *, ahead_s: float = 4.0) -> Ticket:
        """A stream in the middle of a long line, so far ahead of its listener."""
        ticket = self.come(replace(request, text="x" * 1_000))
        ticket.asks(900, None)
        ticket.computed(ran(0.01), is_long=False)
        ticket.prepared(100, 6.5)
        ticket.computed(ran(0.13), is_long=False)
        ticket.decoded(1.5)
        ticket.asks(900, self.now + ahead_s)
        return ticket

    def fill(self, request: SpeechRequest = LINE) -> list[Ticket]:
        """Streams, until one is refused."""
        held: list[Ticket] = []
        while len(held) < 1_000:
            try:
                held.append(self.speaking(request))
            except OverloadedError:
                return held
        raise AssertionError("nobody is refused")

    def look(self) -> Snapshot:
        self.admission.show()
        return self.admission.shown


def ran(compute_s: float) -> Ran[None]:
    return Ran(None, 0.0, compute_s, compute_s)


def leave(*tickets: Ticket) -> None:
    for ticket in tickets:
        with ticket:
            pass


def test_paced_streams_are_let_in_as_far_as_the_machine_can_keep_up() -> None:
    fixture = AdmissionFixture(most_load=0.8)
    held = fixture.fill()
    assert len(held) in (8, 9)
    assert fixture.look().load == pytest.approx(len(held) * 0.09, rel=0.1)
    with pytest.raises(OverloadedError, match=r"streams need .* of the compute threads") as refused:
        fixture.come(replace(LINE, text="x" * 1_000))
    assert refused.value.retry_s is not None
    assert 0.1 <= refused.value.retry_s <= 30
    leave(held[0])
    fixture.speaking()


def test_two_threads_have_twice_as_much_to_give() -> None:
    one, two = len(AdmissionFixture().fill()), len(AdmissionFixture(threads=2).fill())
    assert 2 * one <= two <= 2 * one + 2


def test_threads_that_others_slow_down_can_do_less() -> None:
    fixture = AdmissionFixture(most_load=0.8)
    fixture.speeds = (0.5, 1.0)  # another process has the cores for half of the time
    assert len(fixture.fill()) == pytest.approx(
        len(AdmissionFixture(most_load=0.8).fill()) / 2, abs=1
    )


def test_whoever_finds_the_machine_idle_is_served_however_slow_it_is() -> None:
    fixture = AdmissionFixture(most_load=0.01, most_backlog_s=0.01)
    leave(fixture.come(), fixture.come(FILE))
    fixture.come()


@pytest.mark.parametrize("request_", [LINE, FILE])
def test_readers_that_do_not_read_on_are_in_nobodys_way(request_: SpeechRequest) -> None:
    """Finding 4a."""
    fixture = AdmissionFixture(most_backlog_s=3.0)
    held = fixture.fill(request_)
    for ticket in held:
        ticket.stands()
    # Every reader stands for a moment between two windows.
    more = fixture.fill(request_)
    assert len(more) <= 2
    leave(*more)
    fixture.now += 6.0
    assert fixture.look() == Snapshot(streams=len(held), counting=0, load=0.0, backlog_s=0.0)
    assert len(fixture.fill(request_)) == len(held)
    held[0].asks(900, fixture.now)
    assert fixture.look().counting == len(held) + 1


def test_a_stream_that_is_far_ahead_needs_nothing_until_then() -> None:
    fixture = AdmissionFixture()
    for _ in range(40):  # whose last seconds are all that is left of them
        ticket = fixture.speaking(ahead_s=30.0)
        ticket.prepared(900, 1.0)
    assert len(fixture.fill()) >= 5


def test_conversations_without_words_are_in_nobodys_way() -> None:
    """Finding 4d: nor does what they cost spoil what is known."""
    fixture = AdmissionFixture()
    for _ in range(100):
        ticket = fixture.come(replace(LINE, text=""))
        ticket.asks(0, None)
        ticket.stands(for_words=True)
    assert fixture.look().load == 0
    in_time = replace(BARK, start_by_s=0.1)
    talk = fixture.come(in_time)
    talk.asks(40, None)
    talk.computed(ran(0.01), is_long=False)
    talk.prepared(40, 2.6)
    leave(talk)
    fixture.come(in_time)


def test_costs_are_looked_up_when_they_are_summed() -> None:
    """Finding 4b: tickets kept a cost of 0 after it was learnt."""
    fixture = AdmissionFixture(threads=4)
    first, *others = [fixture.come(replace(LINE, text="x" * 1_000)) for _ in range(3)]
    for ticket in (first, *others):
        ticket.asks(900, None)
    before = fixture.look().load
    first.computed(ran(1.0), is_long=False)
    first.prepared(100, 6.5)
    first.computed(ran(0.6), is_long=False)
    first.decoded(1.5)
    assert fixture.look().load > 3 * before
    assert len(fixture.fill()) + 3 < len(AdmissionFixture(threads=4).fill()) / 2


def test_at_a_quarter_of_the_rate_a_line_takes_four_times_as_long() -> None:
    """Finding 4e."""
    fixture = AdmissionFixture(most_backlog_s=100.0)
    fixture.come(FILE)
    at_full_rate = fixture.look().backlog_s
    fixture.come(replace(FILE, rate=0.25))
    assert fixture.look().backlog_s == pytest.approx(5 * at_full_rate)


def test_what_is_learnt_at_one_rate_holds_at_another() -> None:
    fixture = AdmissionFixture(most_backlog_s=100.0)
    with fixture.come(replace(LINE, rate=0.5)) as ticket:
        ticket.computed(ran(0.04), is_long=False)
        ticket.prepared(100, 20.0)  # 200 spoken characters
    fixture.come(FILE)
    assert fixture.look().backlog_s == pytest.approx(100 * 0.04 / 200 + 10.0 * 0.1, rel=0.1)


def test_files_are_promised_no_more_than_can_be_made_in_time() -> None:
    fixture = AdmissionFixture(most_backlog_s=2.0)
    first, second = (fixture.come(FILE) for _ in range(2))
    with pytest.raises(OverloadedError, match=r"at most 2\.0 s may wait") as refused:
        fixture.come(FILE)
    assert refused.value.retry_s == pytest.approx(0.1, abs=0.1)
    first.asks(0, None)  # all of it was prepared
    fixture.come(FILE)
    assert second is not first


def test_a_tenant_with_less_than_its_share_finds_room_kept_for_it() -> None:
    fixture = AdmissionFixture(most_load=1.0)
    loud, quiet = replace(LINE, tenant="loud"), replace(LINE, tenant="quiet")
    alone = len(AdmissionFixture(most_load=1.0).fill(loud))
    first = fixture.speaking(quiet)
    held = fixture.fill(loud)
    assert len(held) + 1 < alone
    more = fixture.fill(quiet)
    assert more
    assert len(held) + 1 + len(more) <= alone
    leave(first)


def test_files_of_one_tenant_wait_longer_the_more_there_are() -> None:
    fixture = AdmissionFixture()
    crowd = [fixture.come(replace(FILE, tenant="crowd")) for _ in range(5)]
    alone = fixture.come(replace(FILE, tenant="alone"))
    assert [t.weight() for t in (*crowd, alone)] == [5, 5, 5, 5, 5, 1]
    leave(crowd[0])
    assert crowd[1].weight() == 4


def test_a_file_of_long_steps_leaves_time_for_those_who_listen() -> None:
    slow = prior(None, long_width=1.0)
    admission = Admission(Limits(), Pacing(), clock=lambda: 0.0, prior=lambda manifest: slow)
    ticket = AdmissionFixture.runner.run(admission.admit(FILE, VOICE))
    # 100 characters keep the thread for 3.25 s, which is to be a tenth of its time.
    assert Pacing().patience_s * ticket.weight() == pytest.approx(32.5, rel=0.1)


def test_a_line_that_could_not_start_in_time_is_refused_with_the_estimate() -> None:
    fixture = AdmissionFixture()
    bark = replace(BARK, text="x" * 60, start_by_s=0.03)
    fixture.come(bark)
    with pytest.raises(TooLateError, match="would take") as refused:
        fixture.come(bark)
    estimate_ms = float(refused.value.metadata["estimated_start_ms"])
    assert 36 < estimate_ms <= 44  # two first sounds of 20 ms
    fixture.come(replace(bark, start_by_s=0.1))


def test_what_is_due_later_does_not_stand_in_a_barks_way() -> None:
    fixture = AdmissionFixture()
    fixture.come(replace(LINE, text="x" * 60, line_class=LineClass.CINEMATIC))
    fixture.come(replace(BARK, text="x" * 60, start_by_s=0.03))


def test_the_way_to_a_voice_that_is_not_resident_counts() -> None:
    fixture = AdmissionFixture()
    bark = replace(BARK, start_by_s=0.1)
    with pytest.raises(TooLateError):
        fixture.come(bark, swap_s=0.09)
    fixture.come(bark, swap_s=0.05)


def test_who_waits_for_memory_is_in_nobodys_way() -> None:
    fixture = AdmissionFixture(threads=4)
    waiting = [fixture.come() for _ in range(3)]
    assert fixture.look().counting == 3
    fixture.now += 10.0
    assert fixture.look().load == 0
    waiting[0].asks(100, None)
    assert fixture.look().counting == 1


def test_what_is_paid_once_is_not_expected_again() -> None:
    """The first line of an accent reads a lexicon, for half a second."""
    fixture = AdmissionFixture(most_backlog_s=100.0)
    with fixture.come(replace(LINE, text="Halt!")) as ticket:
        ticket.asks(0, None)
        ticket.computed(ran(0.5), is_long=False)
        ticket.prepared(5, 0.4)
    assert len(fixture.fill()) >= 8


def test_encoding_is_in_the_books() -> None:
    fixture = AdmissionFixture(threads=8)
    before = len(fixture.fill())
    fixture = AdmissionFixture(threads=8)
    with fixture.come() as ticket:
        for _ in range(60):
            ticket.encoded(1.5, 0.15)  # a tenth of the event loop for each stream
    assert len(fixture.fill()) < 12 < before


def test_the_books_are_shown_as_they_were_to_other_threads() -> None:
    """Finding 21: a scrape walked through books that changed under it."""
    fixture, seen, is_over = AdmissionFixture(), [], threading.Event()

    def scrape() -> None:
        while not is_over.is_set():
            seen.append(fixture.admission.shown.load)

    scraper = threading.Thread(target=scrape)
    scraper.start()
    for _ in range(200):
        leave(*[fixture.come(FILE) for _ in range(3)], fixture.come())
    is_over.set()
    scraper.join()
    assert seen
    assert all(load >= 0 for load in seen)
    shown = fixture.look()
    fixture.come()
    assert shown == Snapshot()
    assert fixture.admission.shown.streams == 1


def test_a_meter_forgets_what_was_long_ago() -> None:
    meter = Meter()
    for n in range(40):
        meter.add(0.05, 0.02, 100 + n / 10)
    assert meter.busy(104.0) == pytest.approx(0.5, rel=0.15)
    assert meter.speed(104.0) == pytest.approx(0.4, abs=0.04)
    assert meter.busy(106.0) < 0.4
    assert (meter.busy(200.0), meter.speed(200.0)) == (0.0, 1.0)


class AdmissionMachine(RuleBasedStateMachine):
    """Streams of three tenants come, speak, stand and go in any order."""

    tickets: Bundle[Ticket] = Bundle("tickets")

    def __init__(self) -> None:
        super().__init__()
        self.fixture = AdmissionFixture(most_load=0.9, most_backlog_s=5.0, threads=2)
        self.inside: set[Ticket] = set()
        self.retries_s: list[float | None] = []

    @rule(
        target=tickets,
        tenant=st.sampled_from("abc"),
        paced=st.booleans(),
        text=st.integers(0, 2000).map("x".__mul__),
        rate=st.floats(0.25, 4),
        start_by_s=st.none() | st.floats(0.0, 5.0),
    )
    def come(
        self, tenant: str, text: str, rate: float, start_by_s: float | None, *, paced: bool
    ) -> Ticket | MultipleResults[Ticket]:
        request = replace(
            LINE, tenant=tenant, paced=paced, text=text, rate=rate, start_by_s=start_by_s
        )
        is_idle = self.fixture.look().counting == 0
        before = self.fixture.admission.shown
        try:
            ticket = self.fixture.come(request)
        except OverloadedError as error:
            self.retries_s.append(error.retry_s)
            assert not is_idle, "nobody is refused on an idle machine"
            assert self.fixture.look() == before, "who is refused leaves no trace"
            return multiple()
        except TooLateError:
            assert start_by_s is not None
            return multiple()
        self.inside.add(ticket)
        return ticket

    @rule(ticket=tickets, left=st.integers(0, 2000), ahead_s=st.none() | st.floats(-5, 10))
    def ask(self, ticket: Ticket, left: int, ahead_s: float | None) -> None:
        if ticket in self.inside:
            ticket.asks(left, None if ahead_s is None else self.fixture.now + ahead_s)

    @rule(
        ticket=tickets,
        characters=st.integers(0, 400),
        audio_s=st.floats(0, 60),
        compute_s=st.floats(0, 5),
        is_long=st.booleans(),
    )
    def compute(
        self,
        ticket: Ticket,
        characters: int,
        audio_s: float,
        compute_s: float,
        *,
        is_long: bool,
    ) -> None:
        if ticket in self.inside:
            ticket.computed(ran(compute_s), is_long=is_long)
            ticket.prepared(characters, audio_s)
            ticket.computed(ran(compute_s), is_long=False)
            ticket.decoded(audio_s / 2)
            ticket.encoded(audio_s / 2, compute_s / 10)

    @rule(ticket=tickets, for_words=st.booleans())
    def stand(self, ticket: Ticket, *, for_words: bool) -> None:
        if ticket in self.inside:
            ticket.stands(for_words=for_words)

    @rule(ticket=consumes(tickets))
    def finish(self, ticket: Ticket) -> None:
        leave(ticket)
        leave(ticket)
        self.inside.discard(ticket)

    @rule(seconds=st.floats(0, 100), short=st.floats(0.01, 1), long=st.floats(0.01, 1))
    def time_goes_by(self, seconds: float, short: float, long: float) -> None:
        self.fixture.now += seconds
        self.fixture.speeds = short, long

    @invariant()
    def books_balance(self) -> None:
        self.fixture.admission.check_integrity()
        shown = self.fixture.look()
        assert shown.streams == len(self.inside)
        assert all(retry_s is not None and 0.1 <= retry_s <= 30 for retry_s in self.retries_s)
        assert 0 <= shown.counting <= shown.streams
        assert shown.load >= 0
        assert shown.backlog_s >= 0
        assert all(ticket.weight() >= 1 for ticket in self.inside)

    @invariant()
    def empty_books_are_empty(self) -> None:
        if not self.inside:
            assert self.fixture.look() == Snapshot()

    def teardown(self) -> None:
        before = self.fixture.look()
        for ticket in list(self.inside):
            leave(ticket)
            after = self.fixture.look()
            assert after.load <= before.load + 1e-9, "who leaves makes nobody busier"
            assert after.backlog_s <= before.backlog_s + 1e-9
            before = after
        assert self.fixture.look() == Snapshot()


TestDesk = AdmissionMachine.TestCase
TestDesk.settings = examples(80, stateful_step_count=30)
