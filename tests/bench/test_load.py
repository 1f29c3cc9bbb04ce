"""What the benches offer, and how they count what comes of it."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections import Counter
from dataclasses import asdict

import pytest

from bench.lines import LINE, shouts, speeches
from bench.load import Clients, Open, Target, _plan
from bench.playback import Playback
from bench.requests import speech_request
from bench.schedule import BARK_SHARE, arrivals_s, game_mix, quantile, zipf_shares
from tests.fakes.clocks import FakeClock
from voxswap.v1 import speech_pb2

VOICES = [f"actor-{i}" for i in range(20)]


def test_a_seed_offers_the_same_load_again() -> None:
    lines = game_mix(5, 60, VOICES, seed=7)
    assert lines == game_mix(5, 60, VOICES, seed=7)
    assert lines != game_mix(5, 60, VOICES, seed=8)


def test_a_seed_offers_the_same_load_on_every_machine() -> None:
    line = game_mix(5, 60, VOICES, seed=7)[0]
    assert (round(line.at_s, 6), line.voice, line.line_class) == (0.013997, "actor-0", "dialogue")


def test_arrivals_come_at_their_rate_with_gaps_of_a_poisson_process() -> None:
    at_s = arrivals_s(20, 500, random.Random(1))
    assert at_s == sorted(at_s)
    assert 0 < at_s[0] < at_s[-1] < 500
    assert len(at_s) == 20 * 500
    gaps_s = [b - a for a, b in itertools.pairwise(at_s)]
    mean_s = sum(gaps_s) / len(gaps_s)
    deviation_s = math.sqrt(sum((gap - mean_s) ** 2 for gap in gaps_s) / len(gaps_s))
    assert mean_s == pytest.approx(1 / 20, rel=0.05)
    assert deviation_s == pytest.approx(mean_s, rel=0.05)


def test_popularity_falls_as_zipf_says() -> None:
    shares = zipf_shares(10, exponent=1)
    assert sum(shares) == pytest.approx(1)
    assert shares[0] == pytest.approx(2 * shares[1])
    assert shares[0] == pytest.approx(10 * shares[9])


def test_a_games_lines_are_mixed() -> None:
    lines = game_mix(20, 200, VOICES, seed=3)
    classes = Counter(line.line_class for line in lines)
    assert classes["bark"] / len(lines) == pytest.approx(BARK_SHARE, abs=0.05)
    assert all(line.start_by_ms is None for line in lines if line.line_class == "dialogue")
    impatient = sum(line.start_by_ms is not None for line in lines)
    assert impatient / classes["bark"] == pytest.approx(0.5, abs=0.05)
    voices = Counter(line.voice for line in lines)
    assert voices["actor-0"] == max(voices.values())


def test_no_two_lines_are_alike() -> None:
    for lines in (shouts(1), speeches(1)):
        assert len(set(lines)) == len(lines) >= 100
    lengths = [len(line) for line in speeches(1)]
    assert sum(lengths) / len(lengths) == pytest.approx(len(LINE), rel=0.05)
    assert all(line.count(".") == 1 for line in speeches(1)), "pauses would count as audio"
    assert speeches(1) != speeches(2)


def test_quantiles_lie_between_values() -> None:
    assert quantile([4.0, 1.0, 3.0, 2.0], 0.5) == 2.5
    assert quantile([1.0, 2.0], 1) == 2
    assert quantile([5.0], 0.99) == 5
    assert math.isnan(quantile([], 0.5))


def test_a_listener_in_time_hears_no_gap() -> None:
    clock = FakeClock()
    playback = Playback(clock)
    assert playback.left_s == 0
    playback.heard(0.25)
    clock.now_s += 0.25  # to the moment
    playback.heard(0.5)
    clock.now_s += 0.125
    playback.heard(1.0)
    assert playback.first_at_s == 100.0
    assert (playback.underruns, playback.worst_gap_s) == (0, 0)
    assert (playback.audio_s, playback.left_s) == (1.75, 1.375)


def test_a_listener_whose_audio_ran_dry_goes_on_from_there() -> None:
    clock = FakeClock()
    playback = Playback(clock)
    playback.heard(0.25)
    clock.now_s += 0.5
    playback.heard(0.25)  # a quarter of a second late
    assert (playback.underruns, playback.worst_gap_s) == (1, 0.25)
    clock.now_s += 0.25
    playback.heard(0.25)  # in time again
    assert (playback.underruns, playback.left_s) == (1, 0.25)
    clock.now_s += 10
    playback.heard(0.25)
    assert (playback.underruns, playback.worst_gap_s, playback.left_s) == (2, 9.75, 0.25)


@pytest.mark.parametrize(
    "load",
    [
        Clients(8, 12.0, ["Halt!", "Who goes there?"], paced=True, stagger_s=5.0),
        Open(game_mix(5, 3, VOICES, seed=1)),
    ],
)
def test_a_plan_reaches_the_generator_as_it_was_made(load: Clients | Open) -> None:
    target = Target("grpc", "127.0.0.1:50051", ["start_by_ms"])
    raw = json.loads(json.dumps({"target": asdict(target), "load": asdict(load)}))
    assert _plan(raw) == (target, load)


def test_a_request_says_how_its_line_matters() -> None:
    request = speech_request("joe", "Halt!", seed=1, paced=True, line_class="bark", start_by_ms=300)
    assert request.pacing == speech_pb2.PACING_REALTIME
    assert request.line_class == speech_pb2.LINE_CLASS_BARK
    assert request.start_by_ms == 300
    assert request.cache_policy == speech_pb2.CACHE_POLICY_OFF


def test_a_request_leaves_out_what_the_server_refuses() -> None:
    request = speech_request(
        "joe",
        "Halt!",
        seed=1,
        paced=False,
        line_class="bark",
        start_by_ms=300,
        leave_out=["line_class", "start_by_ms"],
    )
    assert request.pacing == speech_pb2.PACING_NONE
    assert not request.line_class
    assert not request.HasField("start_by_ms")
