"""What each policy of `Memory` comes to, in the words of the fault that it mends."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.server.memory_simulation import MemorySimulation
from voxswap_server.memory.actions import (
    Cancelled,
    DeviceRefused,
    Failed,
    Loaded,
    News,
    Refuse,
    Stage,
    Why,
)
from voxswap_server.memory.entries import MisuseError
from voxswap_server.memory.memory import Memory
from voxswap_server.memory.part import IllegalTransitionError, Part, State
from voxswap_server.memory.plans import Lane, Limits, PartPlan, Plan, Rank

AHEAD = Rank.AHEAD


def simulated(budget: int, **limits: float) -> MemorySimulation:
    """Nothing is carved out, and lanes take nothing."""
    return MemorySimulation(budget, Limits(**limits), {})  # type: ignore[arg-type]


def voice(key: str, size: int, *, local: bool = True, lanes: tuple[Lane, ...] = ()) -> Plan:
    return Plan(key, (PartPlan(key, size, local),), lanes)


def load(simulation: MemorySimulation, plan: Plan, rank: Rank = Rank.PLAYER) -> int:
    """Ask, and let everything end well; the lease."""
    token = simulation.ask(plan, rank)
    finish_all(simulation, plan)
    assert token in simulation.leases
    return token


def finish_all(simulation: MemorySimulation, *plans: Plan) -> None:
    sizes = {part.key: part.size_bytes for plan in plans for part in plan.parts}
    for _ in range(20):
        for number in tuple(simulation.freeing):
            simulation.free(number)
        for number, thread in tuple(simulation.threads.items()):
            cancelled = thread.cancelled
            simulation.finish(
                number, Cancelled() if cancelled else Loaded(sizes.get(thread.key, 0))
            )


def running(simulation: MemorySimulation) -> set[str]:
    return {thread.key for thread in simulation.threads.values() if not thread.cancelled}


def number_of(simulation: MemorySimulation, key: str) -> int:
    return next(n for n, t in simulation.threads.items() if t.key == key)


def resident(simulation: MemorySimulation) -> set[str]:
    return set(simulation.there.values())


def why(simulation: MemorySimulation) -> list[Why]:
    return [refuse.why for refuse in simulation.refused]


# 2: the whole line is walked


def test_what_fits_goes_whoever_waits_before_it() -> None:
    simulation = simulated(100)
    load(simulation, voice("spoken", 40))
    simulation.release(load(simulation, voice("hot", 20)))
    waiting = simulation.ask(voice("opera", 70))
    assert waiting in simulation.waiting
    small = voice("small", 30)
    simulation.ask(small)
    assert running(simulation) == {"small"}, "it waits behind what it does not compete with"
    finish_all(simulation, small)
    assert "hot" in resident(simulation), "the hot voice was thrown out for nothing"
    simulation.pass_time(5)
    assert "hot" in resident(simulation), "and thrown out later"
    assert waiting in simulation.waiting


def test_nobody_waits_longer_than_the_server_lets_wait() -> None:
    simulation = simulated(100, wait_s=12)
    load(simulation, voice("spoken", 40))
    simulation.ask(voice("opera", 70))
    simulation.pass_time(11.9)
    assert not simulation.refused
    simulation.pass_time(0.2)
    assert why(simulation) == [Why.BUSY]
    assert not simulation.memory.claims


def test_a_large_claim_gets_what_comes_free_after_it_has_aged() -> None:
    """Small ones would take it from under it for ever."""
    simulation = simulated(100, ageing_s=1, exclusive_s=5, wait_s=30)
    leases = [load(simulation, voice(f"s{i}", 20)) for i in range(4)]
    opera = voice("opera", 70)
    waiting = simulation.ask(opera)
    before = simulation.ask(voice("before", 15))
    assert before not in simulation.leases
    assert "before" in running(simulation), "what was free before it aged is anybody's"
    finish_all(simulation, voice("before", 15))
    simulation.pass_time(1.5)
    simulation.ask(voice("after", 5))
    assert "after" in running(simulation), "and so it is while it keeps what comes free"
    finish_all(simulation, voice("after", 5))
    simulation.release(leases[0])
    simulation.release(leases[1])
    small = simulation.ask(voice("small", 20))
    assert small in simulation.waiting
    assert "small" not in running(simulation), "it takes what came free for the one that waited"
    simulation.release(leases[2])
    assert not simulation.freeing
    simulation.release(before)
    finish_all(simulation, opera)
    assert waiting in simulation.leases


def test_what_comes_idle_of_its_own_is_no_room_for_others_either() -> None:
    """It counts as free, and is not: the one that waits keeps it, and as much again as it costs."""
    simulation = simulated(100, ageing_s=1, exclusive_s=5, wait_s=30)
    base = PartPlan("base", 20)
    duet = load(simulation, Plan("duet", (base,), ()))
    leases = [load(simulation, voice(f"s{i}", n)) for i, n in enumerate((20, 20, 10, 10, 20))]
    opera = Plan("opera", (base, PartPlan("opera", 60)), ())
    waiting = simulation.ask(opera)
    simulation.pass_time(1.5)
    for lease in (duet, *leases[:3]):
        simulation.release(lease)
    small = simulation.ask(voice("small", 10))
    assert small in simulation.waiting
    assert not simulation.freeing
    simulation.release(leases[3])
    finish_all(simulation, opera)
    assert waiting in simulation.leases


def test_its_turn_is_bounded_and_comes_once() -> None:
    simulation = simulated(100, ageing_s=1, exclusive_s=5, wait_s=60)
    leases = [load(simulation, voice(f"s{i}", 25)) for i in range(4)]
    simulation.ask(voice("opera", 90))
    simulation.pass_time(1.5)
    simulation.release(leases[0])
    small = voice("small", 20)
    token = simulation.ask(small)
    assert token in simulation.waiting
    assert not running(simulation)
    simulation.pass_time(5)
    simulation.free(number_in(simulation.freeing, "s0"))
    assert running(simulation) == {"small"}
    finish_all(simulation, small)
    simulation.pass_time(10)
    simulation.release(leases[1])
    simulation.ask(voice("next", 20))
    simulation.free(number_in(simulation.freeing, "s1"))
    assert running(simulation) == {"next"}, "it had its turn"


def test_turns_in_vain_are_followed_by_a_rest() -> None:
    """Large claims one after the other would keep all that comes free for themselves."""
    simulation = simulated(100, ageing_s=1, exclusive_s=5, wait_s=60)
    leases = [load(simulation, voice(f"s{i}", 25)) for i in range(4)]
    for i in range(3):
        simulation.ask(voice(f"opera{i}", 90))
    simulation.pass_time(7)
    simulation.release(leases[0])
    small = voice("small", 20)
    token = simulation.ask(small)
    finish_all(simulation, small)
    assert token in simulation.leases, "the next large one had its turn at once"
    assert simulation.memory.line.exclusive is None
    simulation.pass_time(5)
    assert simulation.memory.line.exclusive is not None


def test_room_that_was_made_for_one_is_not_taken_by_another() -> None:
    simulation = simulated(100)
    simulation.release(load(simulation, voice("old", 60)))
    simulation.release(load(simulation, voice("older", 40)))
    first = voice("first", 50)
    simulation.ask(first)
    assert list(simulation.freeing.values()) == ["old"]
    simulation.ask(voice("second", 50))
    assert set(simulation.freeing.values()) == {"old", "older"}, "each has victims of its own"
    simulation.free(next(iter(simulation.freeing)))
    assert running(simulation) == {"first"}


def test_nothing_leaves_for_a_plan_that_does_not_come_about() -> None:
    simulation = simulated(100)
    load(simulation, voice("spoken", 40))
    simulation.release(load(simulation, voice("idle", 30)))
    simulation.ask(voice("opera", 80))
    simulation.pass_time(29)
    assert not simulation.freeing
    simulation.pass_time(2)
    assert why(simulation) == [Why.BUSY]
    assert "idle" in resident(simulation)


def test_memory_that_does_not_come_free_is_counted_on_for_a_bounded_time() -> None:
    simulation = simulated(100, leaving_s=2)
    simulation.release(load(simulation, voice("hangs", 50)))
    simulation.release(load(simulation, voice("other", 50)))
    wanted = voice("wanted", 40)
    token = simulation.ask(wanted)
    assert list(simulation.freeing.values()) == ["hangs"]
    simulation.pass_time(2.5)
    assert list(simulation.freeing.values()) == ["hangs", "other"], "it counts on what hangs"
    simulation.free(number_in(simulation.freeing, "other"))
    simulation.finish(number_of(simulation, "wanted"), Loaded(40))
    assert token in simulation.leases


def number_in(table: dict[int, str], key: str) -> int:
    return next(number for number, found in table.items() if found == key)


# 3: what is loaded ahead of need


def test_a_player_does_not_wait_behind_what_is_ahead_of_need() -> None:
    simulation = simulated(100)
    load(simulation, voice("a", 30))
    simulation.ask(voice("opera", 90), AHEAD)
    player = voice("player", 10)
    simulation.ask(player)
    assert running(simulation) == {"player"}


def test_what_is_ahead_steps_back_for_a_player_who_needs_its_memory() -> None:
    simulation = simulated(100)
    load(simulation, voice("a", 30))
    scene = simulation.ask(voice("scene", 60), AHEAD)
    assert running(simulation) == {"scene"}
    player = voice("player", 50)
    token = simulation.ask(player)
    assert simulation.threads[number_of(simulation, "scene")].cancelled
    assert scene in simulation.waiting, "it is given up, and not put back"
    finish_all(simulation, player)
    assert token in simulation.leases


def test_what_is_ahead_goes_once_what_came_idle_since_is_long_idle() -> None:
    """Though nothing else happens, and nothing was idle when it was last looked at."""
    simulation = simulated(100, long_idle_s=20)
    token = load(simulation, voice("speaking", 60))
    simulation.ask(voice("scene", 50), AHEAD)
    simulation.pass_time(5)
    simulation.release(token)
    simulation.pass_time(19)
    assert resident(simulation) == {"speaking"}
    simulation.pass_time(2)
    assert list(simulation.freeing.values()) == ["speaking"]


def test_what_is_ahead_steps_back_for_a_player_who_needs_its_slot() -> None:
    simulation = simulated(100, load_slots=1)
    simulation.ask(voice("scene", 10), AHEAD)
    simulation.ask(voice("player", 10))
    assert running(simulation) == {"player"}


def test_no_more_give_up_their_slots_than_there_are_slots() -> None:
    """Their threads have not ended, and there are only so many."""
    simulation = simulated(100, load_slots=1)
    simulation.ask(voice("first", 10), AHEAD)
    simulation.ask(voice("player", 10))
    assert running(simulation) == {"player"}
    simulation.finish(number_of(simulation, "player"), Loaded(10))
    simulation.ask(voice("second", 10), AHEAD)
    assert running(simulation) == {"second"}
    token = simulation.ask(voice("other", 10))
    assert running(simulation) == {"second"}
    simulation.finish(number_of(simulation, "first"), Cancelled())
    assert running(simulation) == {"other"}
    simulation.finish(number_of(simulation, "other"), Loaded(10))
    assert token in simulation.leases


def test_what_is_ahead_evicts_only_what_is_long_idle() -> None:
    simulation = simulated(100, long_idle_s=60, wait_s=300)
    simulation.release(load(simulation, voice("warm", 80)))
    scene = voice("scene", 40)
    token = simulation.ask(scene, AHEAD)
    simulation.pass_time(59)
    assert not simulation.freeing, "it pushes out what was used a moment ago"
    simulation.pass_time(2)
    assert list(simulation.freeing.values()) == ["warm"]
    finish_all(simulation, scene)
    assert token in simulation.leases


def test_what_is_ahead_takes_nothing_while_a_player_waits() -> None:
    simulation = simulated(100)
    load(simulation, voice("spoken", 50))
    simulation.ask(voice("opera", 80))
    simulation.ask(voice("scene", 10), AHEAD)
    assert not running(simulation)


def test_who_asks_as_a_player_makes_it_a_players() -> None:
    simulation = simulated(100, load_slots=1)
    scene = voice("scene", 40)
    ahead, player = simulation.ask(scene, AHEAD), simulation.ask(scene)
    simulation.ask(voice("other", 60))
    assert running(simulation) == {"scene"}, "it is cancelled, though a player waits for it"
    simulation.give_up(ahead)
    finish_all(simulation, scene)
    assert player in simulation.leases


# Abandoned loads, stages, what hangs


def test_an_abandoned_load_is_taken_up_again() -> None:
    simulation = simulated(100)
    plan = voice("a", 60)
    simulation.give_up(simulation.ask(plan))
    number = number_of(simulation, "a")
    assert simulation.threads[number].cancelled
    token = simulation.ask(plan)
    assert list(simulation.threads) == [number], "it is loaded anew"
    assert not simulation.threads[number].cancelled
    simulation.finish(number, Loaded(60))
    assert token in simulation.leases


def test_one_that_had_stopped_already_begins_anew_in_its_own_memory() -> None:
    simulation = simulated(100)
    plan = voice("a", 60)
    simulation.give_up(simulation.ask(plan))
    token = simulation.ask(plan)
    simulation.finish(number_of(simulation, "a"), Cancelled())
    assert running(simulation) == {"a"}
    finish_all(simulation, plan)
    assert token in simulation.leases


def test_what_was_loaded_though_nobody_waited_is_there() -> None:
    simulation = simulated(100)
    simulation.give_up(simulation.ask(voice("a", 60)))
    simulation.finish(number_of(simulation, "a"), Loaded(60))
    assert simulation.ask(voice("a", 60)) in simulation.leases


def test_a_load_that_hangs_is_told_to_who_waits_and_who_comes() -> None:
    simulation = simulated(100, load_timeout_s=20, load_slots=1)
    plan = voice("a", 30)
    simulation.ask(plan)
    other = voice("b", 30)
    simulation.ask(other)
    simulation.pass_time(20)
    assert why(simulation) == [Why.STUCK]
    assert simulation.ask(plan) in [r.token for r in simulation.refused]
    assert running(simulation) >= {"b"}, "a thread that hangs keeps its slot"
    simulation.finish(number_of(simulation, "a"), Failed())
    simulation.ask(plan)
    finish_all(simulation, plan, other)
    assert {v.plan.key for v in simulation.memory.voices.values()} == {"a", "b"}


def test_downloads_do_not_hold_up_a_local_load() -> None:
    simulation = simulated(100, fetch_slots=2, load_slots=1)
    for key in "xyz":
        simulation.ask(voice(key, 10, local=False))
    assert sum(t.stage is Stage.FETCH for t in simulation.threads.values()) == 2
    local = voice("local", 10)
    token = simulation.ask(local)
    simulation.finish(number_of(simulation, "local"), Loaded(10))
    assert token in simulation.leases


def test_a_fetch_takes_no_memory_and_evicts_nothing() -> None:
    simulation = simulated(100)
    simulation.release(load(simulation, voice("idle", 90)))
    plan = voice("remote", 50, local=False)
    simulation.ask(plan)
    assert not simulation.freeing
    simulation.finish(number_of(simulation, "remote"), Failed("no such bucket"))
    assert simulation.refused[-1] == Refuse(2, "remote", Why.FAILED, "no such bucket")
    assert resident(simulation) == {"idle"}, "the cast was thrown out for a download that failed"


def test_bytes_that_left_the_disk_are_fetched_after_all() -> None:
    simulation = simulated(100)
    token = simulation.ask(voice("a", 60))
    simulation.remote.add("a")
    simulation.finish(number_of(simulation, "a"), Loaded(60))
    assert simulation.threads[number_of(simulation, "a")].stage is Stage.FETCH
    simulation.finish(number_of(simulation, "a"), Loaded())
    simulation.finish(number_of(simulation, "a"), Loaded(60))
    assert token in simulation.leases


def test_who_stands_in_line_is_told_of_a_load_that_failed_unless_he_insists() -> None:
    simulation = simulated(60)
    shared = PartPlan("base", 20)
    one = Plan("one", (shared, PartPlan("one", 10)))
    two = Plan("two", (shared, PartPlan("two", 40)))
    load(simulation, voice("spoken", 10))
    simulation.ask(one)
    simulation.ask(two)
    simulation.ask(Plan("three", (shared, PartPlan("three", 39))), insists=True)
    simulation.finish(number_of(simulation, "base"), Failed("broken"))
    assert [(r.voice, r.why) for r in simulation.refused] == [
        ("one", Why.FAILED),
        ("two", Why.FAILED),
    ]
    assert len(simulation.waiting) == 1


# The device


def test_a_refused_load_gets_the_room_that_was_made_for_it() -> None:
    simulation = simulated(100)
    simulation.release(load(simulation, voice("old", 40)))
    load(simulation, voice("held", 10))
    token = simulation.ask(voice("first", 40))
    simulation.finish(number_of(simulation, "first"), DeviceRefused())
    assert list(simulation.freeing.values()) == ["old"]
    simulation.ask(voice("thief", 35))
    simulation.free(number_in(simulation.freeing, "old"))
    assert simulation.memory.books.free_bytes >= 0
    assert "first" in running(simulation)
    assert "thief" not in running(simulation), "another is granted what was made for the retry"
    simulation.finish(number_of(simulation, "first"), Loaded(40))
    assert token in simulation.leases


def test_nobody_else_is_charged_to_the_room_of_a_second_try() -> None:
    """By the sums there is enough for both; but what is to come does not help the device now."""
    simulation = simulated(100)
    for key in ("old", "older"):
        simulation.release(load(simulation, voice(key, 40)))
        simulation.pass_time(1)
    token = simulation.ask(voice("first", 20))
    simulation.finish(number_of(simulation, "first"), DeviceRefused())
    other = voice("other", 30)
    simulation.ask(other)
    assert list(simulation.freeing.values()) == ["old", "older"]
    simulation.free(number_in(simulation.freeing, "old"))
    assert running(simulation) == {"first"}
    simulation.finish(number_of(simulation, "first"), Loaded(20))
    assert token in simulation.leases
    simulation.free(number_in(simulation.freeing, "older"))
    assert running(simulation) == {"other"}


def test_a_second_refusal_fails_that_load_alone() -> None:
    simulation = simulated(100)
    simulation.release(load(simulation, voice("old", 50)))
    simulation.ask(voice("a", 40))
    simulation.finish(number_of(simulation, "a"), DeviceRefused())
    simulation.free(number_in(simulation.freeing, "old"))
    simulation.finish(number_of(simulation, "a"), DeviceRefused())
    assert why(simulation) == [Why.DEVICE]


def test_all_that_is_idle_leaves_for_a_load_that_a_device_in_pieces_refuses() -> None:
    simulation = simulated(100)
    simulation.release(load(simulation, voice("small", 10)))
    simulation.ask(voice("a", 40))
    simulation.finish(number_of(simulation, "a"), DeviceRefused())
    simulation.free(number_in(simulation.freeing, "small"))
    simulation.finish(number_of(simulation, "a"), Loaded(40))
    assert resident(simulation) == {"a"}


def test_a_load_that_a_device_refuses_with_nothing_idle_fails_at_once() -> None:
    simulation = simulated(100)
    load(simulation, voice("speaking", 10))
    simulation.ask(voice("a", 40))
    simulation.finish(number_of(simulation, "a"), DeviceRefused("full"))
    assert [(refused.why, refused.error) for refused in simulation.refused] == [
        (Why.DEVICE, "full")
    ]
    assert resident(simulation) == {"speaking"}


# 13: versions that go and come back


def test_a_voice_that_came_back_is_a_voice_again() -> None:
    simulation = simulated(100)
    plan = voice("a", 40)
    token = load(simulation, plan)
    simulation.retire("a@1")
    assert resident(simulation) == {"a"}
    simulation.release(token)
    assert list(simulation.freeing.values()) == ["a"]
    token = load(simulation, plan)
    simulation.release(token)
    assert not simulation.freeing, "it is evicted after every use"
    simulation.retire("a@1")
    assert list(simulation.freeing.values()) == ["a"]


def test_a_version_that_is_restored_while_it_speaks_stays() -> None:
    simulation = simulated(100)
    token = load(simulation, voice("a", 40))
    simulation.retire("a@1")
    simulation.restore("a@1")
    simulation.release(token)
    assert resident(simulation) == {"a"}


# Files that change, pins, budgets, the end


def test_a_changed_file_is_nobodys_and_is_freed_when_it_is_let_go() -> None:
    simulation = simulated(100)
    base = PartPlan("base", 30)
    token = load(simulation, Plan("one", (base, PartPlan("one", 10))))
    simulation.pin("one")
    waiting = simulation.ask(Plan("two", (base, PartPlan("two", 10))))
    part = simulation.memory.holdings.find("base")
    assert part is not None
    number = part.number
    simulation.withdraw(number)
    assert simulation.refused == [Refuse(waiting, "two", Why.CHANGED)]
    withdrawn = [news for news in simulation.news if news.news is News.WITHDRAWN]
    assert [(n.key, n.reason) for n in withdrawn] == [("one", "changed")]
    assert not simulation.freeing
    again = simulation.ask(Plan("one", (base, PartPlan("one", 10))))
    assert "base" in running(simulation)
    finish_all(simulation, Plan("one", (base,)))
    assert again in simulation.leases
    simulation.release(token)
    assert list(simulation.freeing.values()) == ["base"]


def test_a_budget_that_shrinks_is_reached_as_leases_end() -> None:
    simulation = simulated(100)
    token = load(simulation, voice("spoken", 60))
    simulation.release(load(simulation, voice("idle", 30)))
    simulation.ask(voice("next", 20))
    assert list(simulation.freeing.values()) == ["idle"]
    simulation.resize(50)
    simulation.free(number_in(simulation.freeing, "idle"))
    assert not running(simulation), "something is loaded beyond the new budget"
    simulation.release(token)
    assert list(simulation.freeing.values()) == ["spoken"]
    assert simulation.ask(voice("large", 51)) in [r.token for r in simulation.refused]


def test_pins_are_not_evicted_and_make_others_too_large() -> None:
    simulation = simulated(100)
    token = load(simulation, voice("a", 60))
    simulation.pin("a")
    simulation.release(token)
    simulation.ask(voice("b", 50))
    assert why(simulation) == [Why.TOO_LARGE]
    simulation.unpin("a")
    b = voice("b", 50)
    simulation.ask(b)
    finish_all(simulation, b)
    assert resident(simulation) == {"b"}


def test_close_in_the_middle_of_everything() -> None:
    simulation = simulated(100)
    token = load(simulation, voice("spoken", 20))
    simulation.release(load(simulation, voice("idle", 20)))
    simulation.ask(voice("loading", 20))
    simulation.ask(voice("remote", 20, local=False))
    simulation.ask(voice("waits", 90))
    simulation.close()
    assert why(simulation) == [Why.CLOSED] * 3
    assert all(thread.cancelled for thread in simulation.threads.values())
    assert simulation.ask(voice("late", 1)) in [r.token for r in simulation.refused]
    finish_all(simulation)
    assert resident(simulation) == {"spoken"}
    simulation.release(token)
    finish_all(simulation)
    assert simulation.memory.books.charged_bytes == 0


# 11: what lanes compute in, and what streams hold


def test_each_lane_has_a_workspace_of_its_own_which_stays_once_it_was_used() -> None:
    simulation = simulated(100)
    a = voice("a", 10, lanes=(Lane("vits", 20),))
    b = voice("b", 10, lanes=(Lane("kokoro", 30),))
    c = voice("c", 5, lanes=(Lane("vits", 15),))
    simulation.release(load(simulation, a))
    simulation.release(load(simulation, b))
    simulation.release(load(simulation, c))
    assert simulation.memory.books.carved_bytes == 50
    simulation.happen(lambda: simulation.memory.evict_idle(simulation.now, simulation.now))
    finish_all(simulation)
    books = simulation.memory.books
    assert (books.resident_bytes, books.carved_bytes) == (0, 50)
    assert simulation.ask(voice("large", 51)) in [r.token for r in simulation.refused]


def test_a_lane_that_was_never_computed_with_gives_its_workspace_back() -> None:
    simulation = simulated(100)
    simulation.ask(voice("a", 10, lanes=(Lane("vits", 20),)))
    assert simulation.memory.books.carved_bytes == 20
    simulation.finish(number_of(simulation, "a"), Failed())
    assert simulation.memory.books.carved_bytes == 0


def test_what_is_carved_out_must_leave_room_for_voices() -> None:
    with pytest.raises(ValueError, match=r"workers 60, streams 40.*larger memory_budget"):
        Memory(100, carved={"workers": 60, "streams": 40})


def test_streams_hold_no_more_than_their_carve_out() -> None:
    memory = Memory(100, carved={"streams": 40})
    assert memory.holdings.ledger.take_for_stream(30)
    assert not memory.holdings.ledger.take_for_stream(11)
    assert memory.books.streams_bytes == 30
    memory.holdings.ledger.give_for_stream(30)
    assert memory.holdings.ledger.take_for_stream(40)
    assert memory.books.free_bytes == 60


# The order


def test_the_least_recently_used_leaves_first_and_what_the_cache_answered_counts() -> None:
    simulation = simulated(100)
    for key in "abc":
        simulation.release(load(simulation, voice(key, 30)))
        simulation.pass_time(1)
    simulation.happen(lambda: simulation.memory.used(["a"], simulation.now))
    simulation.ask(voice("d", 20))
    assert list(simulation.freeing.values()) == ["b"]


def test_what_was_just_loaded_or_is_wanted_soon_leaves_last() -> None:
    simulation = simulated(100, settle_s=5)
    for key in "abc":
        simulation.release(load(simulation, voice(key, 30)))
    simulation.pass_time(6)
    simulation.happen(
        lambda: simulation.memory.used(["a"], simulation.now, until_s=simulation.now + 30)
    )
    simulation.ask(voice("d", 40))
    assert list(simulation.freeing.values()) == ["b"]


def test_a_forecast_changes_nothing_and_spares_its_own_cast() -> None:
    simulation = simulated(100)
    load(simulation, voice("spoken", 30))
    for key in "abc":
        simulation.release(load(simulation, voice(key, 20)))
        simulation.pass_time(1)
    cast = [voice("a", 20), voice("x", 30), voice("y", 20), voice("z", 1)]
    forecast = simulation.memory.forecast(cast, simulation.now)
    named = {part.number: part.key for part in simulation.memory.holdings}
    assert [named[number] for number in forecast.victims] == ["b", "c"]
    assert forecast.leave == (0, 1, 2, None)
    assert not simulation.freeing


# Misuse is told


def test_misuse_is_told() -> None:
    memory = Memory(100)
    events: tuple[Callable[[], object], ...] = (
        lambda: memory.release("x", 1.0),
        lambda: memory.give_up("x", 1.0),
        lambda: memory.loaded(7, Loaded(), 1.0),
        lambda: memory.freed(7, 1.0),
        lambda: memory.pin("x", 1.0),
    )
    for event in events:
        with pytest.raises(MisuseError):
            event()
    part = Part(1, PartPlan("a", 1))
    with pytest.raises(IllegalTransitionError, match="promised -> running"):
        part.begin(1.0)
    with pytest.raises(ValueError, match="name them by role"):
        Plan("a", (PartPlan("x", 1), PartPlan("x", 1)))
    with pytest.raises(ValueError, match="nothing to load"):
        Plan("a", ())
    assert part.state is State.PROMISED


def test_a_repr_says_how_it_stands() -> None:
    simulation = simulated(100)
    load(simulation, voice("a", 30))
    assert repr(simulation.memory) == (
        "<Memory 70 of 100 bytes free, 0 idle, 0 promised; 1 voices, 1 leases, 0+0 in line>"
    )
