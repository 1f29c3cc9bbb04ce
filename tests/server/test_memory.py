"""What each policy of `Memory` comes to, in the words of the fault that it mends."""

from __future__ import annotations

import pytest

from tests.server.memory_world import World
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


def house(budget: int, **limits: float) -> World:
    """Nothing is carved out, and lanes take nothing."""
    return World(budget, Limits(**limits), {})  # type: ignore[arg-type]


def voice(key: str, size: int, *, local: bool = True, lanes: tuple[Lane, ...] = ()) -> Plan:
    return Plan(key, (PartPlan(key, size, local),), lanes)


def load(world: World, plan: Plan, rank: Rank = Rank.PLAYER) -> int:
    """Ask, and let everything end well; the lease."""
    token = world.ask(plan, rank)
    finish_all(world, plan)
    assert token in world.leases
    return token


def finish_all(world: World, *plans: Plan) -> None:
    sizes = {part.key: part.size_bytes for plan in plans for part in plan.parts}
    for _ in range(20):
        for number in tuple(world.freeing):
            world.free(number)
        for number, thread in tuple(world.threads.items()):
            cancelled = thread.cancelled
            world.finish(number, Cancelled() if cancelled else Loaded(sizes.get(thread.key, 0)))


def running(world: World) -> set[str]:
    return {thread.key for thread in world.threads.values() if not thread.cancelled}


def number_of(world: World, key: str) -> int:
    return next(n for n, t in world.threads.items() if t.key == key)


def resident(world: World) -> set[str]:
    return set(world.there.values())


def why(world: World) -> list[Why]:
    return [refuse.why for refuse in world.refused]


# 2: the whole line is walked


def test_what_fits_goes_whoever_waits_before_it() -> None:
    world = house(100)
    load(world, voice("spoken", 40))
    world.release(load(world, voice("hot", 20)))
    waiting = world.ask(voice("opera", 70))
    assert waiting in world.waiting
    small = voice("small", 30)
    world.ask(small)
    assert running(world) == {"small"}, "it waits behind what it does not compete with"
    finish_all(world, small)
    assert "hot" in resident(world), "the hot voice was thrown out for nothing"
    world.pass_time(5)
    assert "hot" in resident(world), "and thrown out later"
    assert waiting in world.waiting


def test_nobody_waits_longer_than_the_server_lets_wait() -> None:
    world = house(100, wait_s=12)
    load(world, voice("spoken", 40))
    world.ask(voice("opera", 70))
    world.pass_time(11.9)
    assert not world.refused
    world.pass_time(0.2)
    assert why(world) == [Why.BUSY]
    assert not world.memory.claims


def test_a_large_claim_gets_what_comes_free_after_it_has_aged() -> None:
    """Small ones would take it from under it for ever."""
    world = house(100, ageing_s=1, exclusive_s=5, wait_s=30)
    leases = [load(world, voice(f"s{i}", 20)) for i in range(4)]
    opera = voice("opera", 70)
    waiting = world.ask(opera)
    before = world.ask(voice("before", 15))
    assert before not in world.leases
    assert "before" in running(world), "what was free before it aged is anybody's"
    finish_all(world, voice("before", 15))
    world.pass_time(1.5)
    world.ask(voice("after", 5))
    assert "after" in running(world), "and so it is while it keeps what comes free"
    finish_all(world, voice("after", 5))
    world.release(leases[0])
    world.release(leases[1])
    small = world.ask(voice("small", 20))
    assert small in world.waiting
    assert "small" not in running(world), "it takes what came free for the one that waited"
    world.release(leases[2])
    assert not world.freeing
    world.release(before)
    finish_all(world, opera)
    assert waiting in world.leases


def test_its_turn_is_bounded_and_comes_once() -> None:
    world = house(100, ageing_s=1, exclusive_s=5, wait_s=60)
    leases = [load(world, voice(f"s{i}", 25)) for i in range(4)]
    world.ask(voice("opera", 90))
    world.pass_time(1.5)
    world.release(leases[0])
    small = voice("small", 20)
    token = world.ask(small)
    assert token in world.waiting
    assert not running(world)
    world.pass_time(5)
    world.free(number_in(world.freeing, "s0"))
    assert running(world) == {"small"}
    finish_all(world, small)
    world.pass_time(10)
    world.release(leases[1])
    world.ask(voice("next", 20))
    world.free(number_in(world.freeing, "s1"))
    assert running(world) == {"next"}, "it had its turn"


def test_turns_in_vain_are_followed_by_a_rest() -> None:
    """Large claims one after the other would keep all that comes free for themselves."""
    world = house(100, ageing_s=1, exclusive_s=5, wait_s=60)
    leases = [load(world, voice(f"s{i}", 25)) for i in range(4)]
    for i in range(3):
        world.ask(voice(f"opera{i}", 90))
    world.pass_time(7)
    world.release(leases[0])
    small = voice("small", 20)
    token = world.ask(small)
    finish_all(world, small)
    assert token in world.leases, "the next large one had its turn at once"
    assert world.memory.line.exclusive is None
    world.pass_time(5)
    assert world.memory.line.exclusive is not None


def test_room_that_was_made_for_one_is_not_taken_by_another() -> None:
    world = house(100)
    world.release(load(world, voice("old", 60)))
    world.release(load(world, voice("older", 40)))
    first = voice("first", 50)
    world.ask(first)
    assert list(world.freeing.values()) == ["old"]
    world.ask(voice("second", 50))
    assert set(world.freeing.values()) == {"old", "older"}, "each has victims of its own"
    world.free(next(iter(world.freeing)))
    assert running(world) == {"first"}


def test_nothing_leaves_for_a_plan_that_does_not_come_about() -> None:
    world = house(100)
    load(world, voice("spoken", 40))
    world.release(load(world, voice("idle", 30)))
    world.ask(voice("opera", 80))
    world.pass_time(29)
    assert not world.freeing
    world.pass_time(2)
    assert why(world) == [Why.BUSY]
    assert "idle" in resident(world)


def test_memory_that_does_not_come_free_is_counted_on_for_a_bounded_time() -> None:
    world = house(100, leaving_s=2)
    world.release(load(world, voice("hangs", 50)))
    world.release(load(world, voice("other", 50)))
    wanted = voice("wanted", 40)
    token = world.ask(wanted)
    assert list(world.freeing.values()) == ["hangs"]
    world.pass_time(2.5)
    assert list(world.freeing.values()) == ["hangs", "other"], "it counts on what hangs"
    world.free(number_in(world.freeing, "other"))
    world.finish(number_of(world, "wanted"), Loaded(40))
    assert token in world.leases


def number_in(table: dict[int, str], key: str) -> int:
    return next(number for number, found in table.items() if found == key)


# 3: what is loaded ahead of need


def test_a_player_does_not_wait_behind_what_is_ahead_of_need() -> None:
    world = house(100)
    load(world, voice("a", 30))
    world.ask(voice("opera", 90), AHEAD)
    player = voice("player", 10)
    world.ask(player)
    assert running(world) == {"player"}


def test_what_is_ahead_steps_back_for_a_player_who_needs_its_memory() -> None:
    world = house(100)
    load(world, voice("a", 30))
    scene = world.ask(voice("scene", 60), AHEAD)
    assert running(world) == {"scene"}
    player = voice("player", 50)
    token = world.ask(player)
    assert world.threads[number_of(world, "scene")].cancelled
    assert scene in world.waiting, "it is given up, and not put back"
    finish_all(world, player)
    assert token in world.leases


def test_what_is_ahead_goes_once_what_came_idle_since_is_long_idle() -> None:
    """Though nothing else happens, and nothing was idle when it was last looked at."""
    world = house(100, long_idle_s=20)
    token = load(world, voice("speaking", 60))
    world.ask(voice("scene", 50), AHEAD)
    world.pass_time(5)
    world.release(token)
    world.pass_time(19)
    assert resident(world) == {"speaking"}
    world.pass_time(2)
    assert list(world.freeing.values()) == ["speaking"]


def test_what_is_ahead_steps_back_for_a_player_who_needs_its_slot() -> None:
    world = house(100, load_slots=1)
    world.ask(voice("scene", 10), AHEAD)
    world.ask(voice("player", 10))
    assert running(world) == {"player"}


def test_what_is_ahead_evicts_only_what_is_long_idle() -> None:
    world = house(100, long_idle_s=60, wait_s=300)
    world.release(load(world, voice("warm", 80)))
    scene = voice("scene", 40)
    token = world.ask(scene, AHEAD)
    world.pass_time(59)
    assert not world.freeing, "it pushes out what was used a moment ago"
    world.pass_time(2)
    assert list(world.freeing.values()) == ["warm"]
    finish_all(world, scene)
    assert token in world.leases


def test_what_is_ahead_takes_nothing_while_a_player_waits() -> None:
    world = house(100)
    load(world, voice("spoken", 50))
    world.ask(voice("opera", 80))
    world.ask(voice("scene", 10), AHEAD)
    assert not running(world)


def test_who_asks_as_a_player_makes_it_a_players() -> None:
    world = house(100, load_slots=1)
    scene = voice("scene", 40)
    ahead, player = world.ask(scene, AHEAD), world.ask(scene)
    world.ask(voice("other", 60))
    assert running(world) == {"scene"}, "it is cancelled, though a player waits for it"
    world.give_up(ahead)
    finish_all(world, scene)
    assert player in world.leases


# Abandoned loads, stages, what hangs


def test_an_abandoned_load_is_taken_up_again() -> None:
    world = house(100)
    plan = voice("a", 60)
    world.give_up(world.ask(plan))
    number = number_of(world, "a")
    assert world.threads[number].cancelled
    token = world.ask(plan)
    assert list(world.threads) == [number], "it is loaded anew"
    assert not world.threads[number].cancelled
    world.finish(number, Loaded(60))
    assert token in world.leases


def test_one_that_had_stopped_already_begins_anew_in_its_own_memory() -> None:
    world = house(100)
    plan = voice("a", 60)
    world.give_up(world.ask(plan))
    token = world.ask(plan)
    world.finish(number_of(world, "a"), Cancelled())
    assert running(world) == {"a"}
    finish_all(world, plan)
    assert token in world.leases


def test_what_was_loaded_though_nobody_waited_is_there() -> None:
    world = house(100)
    world.give_up(world.ask(voice("a", 60)))
    world.finish(number_of(world, "a"), Loaded(60))
    assert world.ask(voice("a", 60)) in world.leases


def test_a_load_that_hangs_is_told_to_who_waits_and_who_comes() -> None:
    world = house(100, load_timeout_s=20, load_slots=1)
    plan = voice("a", 30)
    world.ask(plan)
    other = voice("b", 30)
    world.ask(other)
    world.pass_time(20)
    assert why(world) == [Why.STUCK]
    assert world.ask(plan) in [r.token for r in world.refused]
    assert running(world) >= {"b"}, "a thread that hangs keeps its slot"
    world.finish(number_of(world, "a"), Failed())
    world.ask(plan)
    finish_all(world, plan, other)
    assert {v.plan.key for v in world.memory.voices.values()} == {"a", "b"}


def test_downloads_do_not_hold_up_a_local_load() -> None:
    world = house(100, fetch_slots=2, load_slots=1)
    for key in "xyz":
        world.ask(voice(key, 10, local=False))
    assert sum(t.stage is Stage.FETCH for t in world.threads.values()) == 2
    local = voice("local", 10)
    token = world.ask(local)
    world.finish(number_of(world, "local"), Loaded(10))
    assert token in world.leases


def test_a_fetch_takes_no_memory_and_evicts_nothing() -> None:
    world = house(100)
    world.release(load(world, voice("idle", 90)))
    plan = voice("remote", 50, local=False)
    world.ask(plan)
    assert not world.freeing
    world.finish(number_of(world, "remote"), Failed("no such bucket"))
    assert world.refused[-1] == Refuse(2, "remote", Why.FAILED, "no such bucket")
    assert resident(world) == {"idle"}, "the cast was thrown out for a download that failed"


def test_bytes_that_left_the_disk_are_fetched_after_all() -> None:
    world = house(100)
    token = world.ask(voice("a", 60))
    world.remote.add("a")
    world.finish(number_of(world, "a"), Loaded(60))
    assert world.threads[number_of(world, "a")].stage is Stage.FETCH
    world.finish(number_of(world, "a"), Loaded())
    world.finish(number_of(world, "a"), Loaded(60))
    assert token in world.leases


def test_who_stands_in_line_is_told_of_a_load_that_failed_unless_he_insists() -> None:
    world = house(60)
    shared = PartPlan("base", 20)
    one = Plan("one", (shared, PartPlan("one", 10)))
    two = Plan("two", (shared, PartPlan("two", 40)))
    load(world, voice("spoken", 10))
    world.ask(one)
    world.ask(two)
    world.ask(Plan("three", (shared, PartPlan("three", 39))), insists=True)
    world.finish(number_of(world, "base"), Failed("broken"))
    assert [(r.voice, r.why) for r in world.refused] == [("one", Why.FAILED), ("two", Why.FAILED)]
    assert len(world.waiting) == 1


# The device


def test_a_refused_load_gets_the_room_that_was_made_for_it() -> None:
    world = house(100)
    world.release(load(world, voice("old", 40)))
    load(world, voice("held", 10))
    token = world.ask(voice("first", 40))
    world.finish(number_of(world, "first"), DeviceRefused())
    assert list(world.freeing.values()) == ["old"]
    world.ask(voice("thief", 35))
    world.free(number_in(world.freeing, "old"))
    assert world.memory.books.free_bytes >= 0
    assert "first" in running(world)
    assert "thief" not in running(world), "another is granted what was made for the retry"
    world.finish(number_of(world, "first"), Loaded(40))
    assert token in world.leases


def test_nobody_else_is_charged_to_the_room_of_a_second_try() -> None:
    """By the sums there is enough for both; but what is to come does not help the device now."""
    world = house(100)
    for key in ("old", "older"):
        world.release(load(world, voice(key, 40)))
        world.pass_time(1)
    token = world.ask(voice("first", 20))
    world.finish(number_of(world, "first"), DeviceRefused())
    other = voice("other", 30)
    world.ask(other)
    assert list(world.freeing.values()) == ["old", "older"]
    world.free(number_in(world.freeing, "old"))
    assert running(world) == {"first"}
    world.finish(number_of(world, "first"), Loaded(20))
    assert token in world.leases
    world.free(number_in(world.freeing, "older"))
    assert running(world) == {"other"}


def test_a_second_refusal_fails_that_load_alone() -> None:
    world = house(100)
    world.release(load(world, voice("old", 50)))
    world.ask(voice("a", 40))
    world.finish(number_of(world, "a"), DeviceRefused())
    world.free(number_in(world.freeing, "old"))
    world.finish(number_of(world, "a"), DeviceRefused())
    assert why(world) == [Why.DEVICE]


def test_all_that_is_idle_leaves_for_a_load_that_a_device_in_pieces_refuses() -> None:
    world = house(100)
    world.release(load(world, voice("small", 10)))
    world.ask(voice("a", 40))
    world.finish(number_of(world, "a"), DeviceRefused())
    world.free(number_in(world.freeing, "small"))
    world.finish(number_of(world, "a"), Loaded(40))
    assert resident(world) == {"a"}


def test_a_load_that_a_device_refuses_with_nothing_idle_fails_at_once() -> None:
    world = house(100)
    load(world, voice("speaking", 10))
    world.ask(voice("a", 40))
    world.finish(number_of(world, "a"), DeviceRefused("full"))
    assert [(refused.why, refused.error) for refused in world.refused] == [(Why.DEVICE, "full")]
    assert resident(world) == {"speaking"}


# 13: versions that go and come back


def test_a_voice_that_came_back_is_a_voice_again() -> None:
    world = house(100)
    plan = voice("a", 40)
    token = load(world, plan)
    world.retire("a@1")
    assert resident(world) == {"a"}
    world.release(token)
    assert list(world.freeing.values()) == ["a"]
    token = load(world, plan)
    world.release(token)
    assert not world.freeing, "it is evicted after every use"
    world.retire("a@1")
    assert list(world.freeing.values()) == ["a"]


def test_a_version_that_is_restored_while_it_speaks_stays() -> None:
    world = house(100)
    token = load(world, voice("a", 40))
    world.retire("a@1")
    world.restore("a@1")
    world.release(token)
    assert resident(world) == {"a"}


# Files that change, pins, budgets, the end


def test_a_changed_file_is_nobodys_and_is_freed_when_it_is_let_go() -> None:
    world = house(100)
    base = PartPlan("base", 30)
    token = load(world, Plan("one", (base, PartPlan("one", 10))))
    world.pin("one")
    waiting = world.ask(Plan("two", (base, PartPlan("two", 10))))
    part = world.memory.holdings.find("base")
    assert part is not None
    number = part.number
    world.withdraw(number)
    assert world.refused == [Refuse(waiting, "two", Why.CHANGED)]
    withdrawn = [news for news in world.news if news.news is News.WITHDRAWN]
    assert [(n.key, n.reason) for n in withdrawn] == [("one", "changed")]
    assert not world.freeing
    again = world.ask(Plan("one", (base, PartPlan("one", 10))))
    assert "base" in running(world)
    finish_all(world, Plan("one", (base,)))
    assert again in world.leases
    world.release(token)
    assert list(world.freeing.values()) == ["base"]


def test_a_budget_that_shrinks_is_reached_as_leases_end() -> None:
    world = house(100)
    token = load(world, voice("spoken", 60))
    world.release(load(world, voice("idle", 30)))
    world.ask(voice("next", 20))
    assert list(world.freeing.values()) == ["idle"]
    world.resize(50)
    world.free(number_in(world.freeing, "idle"))
    assert not running(world), "something is loaded beyond the new budget"
    world.release(token)
    assert list(world.freeing.values()) == ["spoken"]
    assert world.ask(voice("large", 51)) in [r.token for r in world.refused]


def test_pins_are_not_evicted_and_make_others_too_large() -> None:
    world = house(100)
    token = load(world, voice("a", 60))
    world.pin("a")
    world.release(token)
    world.ask(voice("b", 50))
    assert why(world) == [Why.TOO_LARGE]
    world.unpin("a")
    b = voice("b", 50)
    world.ask(b)
    finish_all(world, b)
    assert resident(world) == {"b"}


def test_close_in_the_middle_of_everything() -> None:
    world = house(100)
    token = load(world, voice("spoken", 20))
    world.release(load(world, voice("idle", 20)))
    world.ask(voice("loading", 20))
    world.ask(voice("remote", 20, local=False))
    world.ask(voice("waits", 90))
    world.close()
    assert why(world) == [Why.CLOSED] * 3
    assert all(thread.cancelled for thread in world.threads.values())
    assert world.ask(voice("late", 1)) in [r.token for r in world.refused]
    finish_all(world)
    assert resident(world) == {"spoken"}
    world.release(token)
    finish_all(world)
    assert world.memory.books.charged_bytes == 0


# 11: what lanes compute in, and what streams hold


def test_each_lane_has_a_workspace_of_its_own_which_stays_once_it_was_used() -> None:
    world = house(100)
    a = voice("a", 10, lanes=(Lane("vits", 20),))
    b = voice("b", 10, lanes=(Lane("kokoro", 30),))
    c = voice("c", 5, lanes=(Lane("vits", 15),))
    world.release(load(world, a))
    world.release(load(world, b))
    world.release(load(world, c))
    assert world.memory.books.carved_bytes == 50
    world.happen(lambda: world.memory.evict_idle(world.now, world.now))
    finish_all(world)
    books = world.memory.books
    assert (books.resident_bytes, books.carved_bytes) == (0, 50)
    assert world.ask(voice("large", 51)) in [r.token for r in world.refused]


def test_a_lane_that_was_never_computed_with_gives_its_workspace_back() -> None:
    world = house(100)
    world.ask(voice("a", 10, lanes=(Lane("vits", 20),)))
    assert world.memory.books.carved_bytes == 20
    world.finish(number_of(world, "a"), Failed())
    assert world.memory.books.carved_bytes == 0


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
    world = house(100)
    for key in "abc":
        world.release(load(world, voice(key, 30)))
        world.pass_time(1)
    world.happen(lambda: world.memory.used(["a"], world.now))
    world.ask(voice("d", 20))
    assert list(world.freeing.values()) == ["b"]


def test_what_was_just_loaded_or_is_wanted_soon_leaves_last() -> None:
    world = house(100, settle_s=5)
    for key in "abc":
        world.release(load(world, voice(key, 30)))
    world.pass_time(6)
    world.happen(lambda: world.memory.protect(["a"], world.now + 30, world.now))
    world.ask(voice("d", 40))
    assert list(world.freeing.values()) == ["b"]


def test_a_forecast_changes_nothing_and_spares_its_own_cast() -> None:
    world = house(100)
    load(world, voice("spoken", 30))
    for key in "abc":
        world.release(load(world, voice(key, 20)))
        world.pass_time(1)
    cast = [voice("a", 20), voice("x", 30), voice("y", 20), voice("z", 1)]
    forecast = world.memory.forecast(cast, world.now)
    named = {part.number: part.key for part in world.memory.holdings}
    assert [named[number] for number in forecast.victims] == ["b", "c"]
    assert forecast.leave == (0, 1, 2, None)
    assert not world.freeing


# Misuse is told


def test_misuse_is_told() -> None:
    memory = Memory(100)
    for event in (
        lambda: memory.release("x", 1.0),
        lambda: memory.give_up("x", 1.0),
        lambda: memory.loaded(7, Loaded(), 1.0),
        lambda: memory.freed(7, 1.0),
        lambda: memory.pin("x", 1.0),
    ):
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
    world = house(100)
    load(world, voice("a", 30))
    assert repr(world.memory) == (
        "<Memory 70 of 100 bytes free, 0 idle, 0 promised; 1 voices, 1 leases, 0+0 in line>"
    )
