"""The clock of whoever listens: when audio is due, when a stream waits, when it ran dry."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxswap_server.speech.playback import Pacing, PlaybackClock
from voxswap_server.speech.request import LineClass


class Player:
    """A clock by hand, and the playback that goes by it."""

    def __init__(self, line_class: LineClass = LineClass.DIALOGUE, *, paced: bool = True) -> None:
        self.now = 1000.0
        self.weight = 1.0
        self.clock = PlaybackClock(
            Pacing(most_ahead_s=4.0, patience_s=2.0),
            line_class,
            paced=paced,
            arrived_s=self.now,
            clock=lambda: self.now,
            weight=lambda: self.weight,
        )


def test_a_start_that_is_late_lets_those_go_first_who_would_hear_a_gap() -> None:
    late, heard = Player(LineClass.DIALOGUE), Player(LineClass.DIALOGUE)
    heard.clock.delivered(0.35)
    late.now += 0.3  # it was due 0.1 s ago
    heard.now += 0.3  # and has 50 ms left to play
    assert heard.clock.due_s() < late.clock.due_s() == pytest.approx(late.now + 0.08)


@pytest.mark.parametrize(
    ("line_class", "budget_s"),
    [(LineClass.BARK, 0.08), (LineClass.DIALOGUE, 0.2), (LineClass.CINEMATIC, 1.0)],
)
def test_the_first_sound_is_due_after_the_budget_of_its_class(
    line_class: LineClass, budget_s: float
) -> None:
    player = Player(line_class)
    player.now += 0.05
    assert player.clock.due_s() == pytest.approx(1000.0 + budget_s)


def test_more_is_due_when_what_came_will_have_been_played() -> None:
    player = Player()
    player.now += 0.1
    player.clock.delivered(0.5)
    player.now += 0.2
    player.clock.delivered(1.0)
    assert player.clock.due_s() == pytest.approx(1000.1 + 1.5)
    assert player.clock.underruns == 0


def test_a_stream_far_ahead_waits_and_no_longer_than_it_should() -> None:
    player = Player()
    player.clock.delivered(6.0)
    assert player.clock.wait_s() == pytest.approx(2.0)
    player.now += 2.0
    assert player.clock.wait_s() == 0
    player.clock.delivered(1.0)
    assert player.clock.wait_s() == pytest.approx(1.0)


def test_who_runs_dry_goes_on_when_more_comes_and_it_counts_once() -> None:
    player = Player()
    player.clock.delivered(0.5)
    player.now += 0.8
    player.clock.delivered(0.5)
    assert player.clock.underruns == 1
    assert player.clock.due_s() == pytest.approx(1000.8 + 0.5)
    player.now += 0.4
    player.clock.delivered(0.5)
    assert player.clock.underruns == 1


def test_without_pacing_it_is_due_after_its_patience_and_never_waits_or_runs_dry() -> None:
    player = Player(paced=False)
    player.clock.delivered(100.0)
    assert player.clock.wait_s() == 0
    player.now += 500.0
    assert player.clock.due_s() == pytest.approx(1502.0)
    player.weight = 3.0
    assert player.clock.due_s() == pytest.approx(1506.0)
    player.clock.delivered(1.0)
    assert player.clock.underruns == 0


def test_waiting_for_words_is_no_running_dry() -> None:
    player = Player()
    player.clock.delivered(0.5)
    player.now += 3.0
    player.clock.begin_anew()
    assert player.clock.due_s() == pytest.approx(1003.2)
    player.now += 0.1
    player.clock.delivered(1.0)
    assert player.clock.underruns == 0
    # Words that come while there is audio left to play change nothing.
    player.now += 0.5
    player.clock.begin_anew()
    assert player.clock.due_s() == pytest.approx(1004.1)


@given(st.lists(st.tuples(st.floats(0, 2), st.floats(0.01, 2)), min_size=1, max_size=40))
def test_it_agrees_with_a_player_that_is_simulated(steps: list[tuple[float, float]]) -> None:
    """Audio in hand, drained second by second, with a tolerance that no ear notices."""
    player, in_hand, underruns = Player(), 0.0, 0
    for i, (wait_s, audio_s) in enumerate(steps):
        if i:
            player.now += wait_s
            in_hand -= wait_s
            underruns += in_hand < -0.005 - 1e-9
            in_hand = max(in_hand, 0.0)
        player.clock.delivered(audio_s)
        in_hand += audio_s
        assert player.clock.due_s() == pytest.approx(player.now + in_hand)
    assert player.clock.underruns == underruns
