"""What explain and forecast say, against what then happens."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.examples import examples
from tests.fakes.executors import settle
from tests.fakes.manifests import digest_of, make_manifest
from tests.fakes.residency import ResidencyFixture
from voxswap_server.memory.plans import Limits
from voxswap_server.residency.estimates import LoadEstimates, Tier
from voxswap_server.residency.events import EventKind
from voxswap_server.residency.lease import Lease
from voxswap_server.residency.outlook import CastMember, explain, forecast

BASE = ("base", 12)
VOICES = {
    "a": make_manifest("a", 5),
    "b": make_manifest("b", 10),
    "c": make_manifest("c", 17, text=("table", 1)),
    "e": make_manifest("e", 1, base=BASE, text=("table", 1)),
    "f": make_manifest("f", 2, base=BASE),
    "g": make_manifest("g", 6, base=BASE),
    "x": make_manifest("x", 30),
}
names = st.sampled_from(sorted(VOICES))


async def test_what_is_resident_costs_nothing() -> None:
    residency = ResidencyFixture(30)
    (await residency.have("a")).release()
    found = await explain(residency.manager, make_manifest("a"))
    assert (found.resident, found.fits, found.need_bytes, found.would_evict) == (True, True, 0, ())
    assert (found.estimated_s, found.reason) == (0.0, "it is resident")
    assert [part.tier for part in found.parts] == [Tier.DEVICE]


async def test_what_is_missing_is_named_with_where_it_is_and_how_far() -> None:
    residency = ResidencyFixture(30)
    (await residency.have(make_manifest("e", 1, base=BASE))).release()
    found = await explain(residency.manager, make_manifest("f", 2, base=BASE))
    assert (found.ref, found.resident, found.fits) == ("f@1", False, True)
    assert [(p.role, p.digest, p.tier, p.size_bytes) for p in found.parts] == [
        ("model", digest_of("f"), Tier.DISK, 2),
        ("base", digest_of("base"), Tier.DEVICE, 12),
    ]
    assert found.need_bytes == 2
    assert found.estimated_s == pytest.approx(2e-3)
    assert residency.loader.loads == ["e", "base"], "nothing was done"
    assert not residency.queued()


async def test_victims_are_named_with_the_voices_that_speak_with_them() -> None:
    residency = ResidencyFixture(16)
    for name in "ef":
        (await residency.have(make_manifest(name, 1, base=BASE))).release()
    found = await explain(residency.manager, make_manifest("new", 14))
    assert {(part.role, part.voices) for part in found.would_evict} == {("base", ("e@1", "f@1"))}
    assert found.fits
    assert "evicting 1 part gives" in found.reason


async def test_what_would_have_to_wait_names_who_speaks_and_who_is_ahead() -> None:
    residency = ResidencyFixture(30)
    speaking = await residency.have("a", 20)
    found = await explain(residency.manager, make_manifest("b", 15))
    assert (found.fits, found.would_evict, found.speaking) == (False, (), ("a@1",))
    assert "would wait for a stream to end" in found.reason
    waiting = residency.ask("c", 25)
    await settle()
    found = await explain(residency.manager, make_manifest("d", 5))
    assert (found.fits, found.ahead) == (True, 1)
    assert found.reason.endswith("; 1 load waits for memory already")
    speaking.release()
    await residency.work()
    (await waiting).release()


async def test_what_cannot_be_loaded_says_why() -> None:
    residency = ResidencyFixture(30)
    found = await explain(residency.manager, make_manifest("large", 31))
    assert not found.fits
    assert "needs 31 bytes" in found.reason
    residency.loader.faults["a"] = OSError("broken")
    task = residency.ask("a")
    await residency.work()
    assert task.exception() is not None
    found = await explain(residency.manager, make_manifest("a"))
    assert not found.fits
    assert "is tried again in 0.5 s" in found.reason
    residency.clock.now_s += 0.5
    assert (await explain(residency.manager, make_manifest("a"))).fits


moves = st.one_of(
    st.tuples(st.just("use"), names),
    st.tuples(st.just("use"), names),
    st.tuples(st.just("hold"), names),
    st.tuples(st.just("pin"), names),
    st.tuples(st.just("unload"), names),
    st.tuples(st.just("protect"), names),
    st.tuples(st.just("budget"), st.sampled_from([30, 36, 45])),
)


async def furnished(residency: ResidencyFixture, found: list[tuple[str, Any]]) -> list[Lease]:
    """Do ``found``, as far as it can be done at once; what is held in the end."""
    held: list[Lease] = []
    for move, what in found:
        residency.clock.now_s += 1
        tasks: list[asyncio.Future[Any]] = []
        match move:
            case "use" | "hold":
                tasks.append(residency.ask(VOICES[what]))
            case "pin":
                tasks.append(asyncio.ensure_future(residency.manager.pin(VOICES[what])))
            case "unload":
                tasks.append(asyncio.ensure_future(residency.manager.unload(VOICES[what])))
            case "protect":
                residency.manager.protect(VOICES[what], 3)
            case "budget":
                residency.manager.set_budget(what)
        await residency.work()
        for task in tasks:
            if not task.done():
                task.cancel()
                await residency.work()
            elif task.exception() is None and isinstance(lease := task.result(), Lease):
                if move == "hold":
                    held.append(lease)
                else:
                    lease.release()
    await residency.work()
    return held


@examples(150)
@given(
    st.lists(moves, max_size=12),
    names,
    st.dictionaries(names, st.integers(0, 6), max_size=3),
)
@example(
    before=[("use", "e"), ("use", "a"), ("use", "b")],
    voice="c",
    workspaces={"e": 4},
)
def test_if_it_fits_then_loading_evicts_just_what_was_said(
    before: list[tuple[str, Any]], voice: str, workspaces: dict[str, int]
) -> None:
    async def run() -> None:
        residency = ResidencyFixture(36, Limits(load_slots=8, settle_s=2.5))
        residency.loader.workspaces = workspaces
        held = await furnished(residency, before)
        found = await explain(residency.manager, VOICES[voice])
        residency.events.clear()
        residency.loader.loads.clear()
        task = residency.ask(VOICES[voice])
        await residency.work()
        evicted = {e.digest for e in residency.events if e.kind is EventKind.EVICTED}
        if found.fits:
            (await task).release()
            assert evicted == {part.digest for part in found.would_evict}
            missing = [part for part in found.parts if part.tier is not Tier.DEVICE]
            assert len(residency.loader.loads) == len(missing)
            assert found.resident == (not residency.loader.loads and found.resident)
        else:
            assert not evicted
            assert not task.done() or task.exception() is not None
            task.cancel()
        for lease in held:
            lease.release()
        await residency.work()

    asyncio.run(run())


# Scenes


def member(voice: str, due_s: float | None = None, size: int = 10) -> CastMember:
    return CastMember(make_manifest(voice, size), due_s)


async def test_a_cast_is_told_in_its_order_with_when_each_is_ready() -> None:
    residency = ResidencyFixture(30)
    (await residency.have("b")).release()
    found = await forecast(
        residency.manager, [member("b", 0.0), member("a", 0.009), member("c", 0.03), member("d")]
    )
    # A part takes 10 ms; b is here, and d does not fit beside them.
    assert [(m.ref, m.fits, m.in_time) for m in found.cast] == [
        ("b@1", True, True),
        ("a@1", True, False),
        ("c@1", True, True),
        ("d@1", False, False),
    ]
    assert [m.ready_s for m in found.cast][:3] == pytest.approx([0.0, 0.01, 0.02])
    assert not found.fits
    assert found.would_evict == ()


async def test_what_is_here_already_is_in_time() -> None:
    residency = ResidencyFixture(30)
    (await residency.have("b")).release()
    found = await forecast(residency.manager, [member("a", 0.05), member("b", 0.0)])
    assert all(m.in_time and m.fits for m in found.cast)


async def test_shared_parts_of_a_cast_are_counted_once_and_never_evicted_for_it() -> None:
    residency = ResidencyFixture(26)
    (await residency.have("old", 10)).release()
    (await residency.have(make_manifest("e", 1, base=BASE))).release()
    cast = [CastMember(make_manifest(name, 1, base=BASE)) for name in "fgh"]
    found = await forecast(residency.manager, cast)
    assert found.fits
    assert found.would_evict == ()
    with_new = [*cast, member("new", size=9)]
    assert not (await forecast(residency.manager, with_new)).fits, "what was used just now stays"
    residency.clock.now_s += 100
    found = await forecast(residency.manager, with_new)
    assert found.fits
    assert found.would_evict == ("old@1",)


async def test_the_first_that_does_not_fit_leaves_out_those_after_it() -> None:
    residency = ResidencyFixture(30)
    speaking = await residency.have("a", 15)
    found = await forecast(
        residency.manager, [member("b", size=10), member("c", size=10), member("d", size=1)]
    )
    assert [m.fits for m in found.cast] == [True, False, False]
    speaking.release()


async def test_a_voice_that_failed_does_not_fit() -> None:
    residency = ResidencyFixture(30)
    residency.loader.faults["a"] = OSError("broken")
    task = residency.ask("a")
    await residency.work()
    assert task.exception() is not None
    found = await forecast(residency.manager, [member("a")])
    assert not found.fits


@examples(40)
@given(
    st.lists(st.sampled_from("abcdef"), max_size=8),
    st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=4, unique=True),
)
def test_voices_of_one_size_evict_just_what_was_said(used: list[str], cast: list[str]) -> None:
    async def run() -> None:
        residency = ResidencyFixture(40)
        for name in used:
            (await residency.have(name)).release()
        residency.clock.now_s += 100
        found = await forecast(residency.manager, [member(name) for name in cast])
        assert found.fits
        residency.events.clear()
        for name in cast:  # as a scene does
            residency.manager.protect(make_manifest(name), 100)
        for name in cast:
            (await residency.have(name)).release()
            residency.manager.protect(make_manifest(name), 100)
        assert sorted(residency.evicted()) == [(ref,) for ref in found.would_evict]

    asyncio.run(run())


def test_estimates_follow_what_is_measured_and_no_small_sample() -> None:
    estimates = LoadEstimates()
    before = estimates.load_s("vits", Tier.DISK, 15 << 20)
    estimates.record("vits", Tier.DISK, 1000, 10.0)
    estimates.record("vits", Tier.DISK, 1 << 20, 0.0)
    assert estimates.load_s("vits", Tier.DISK, 15 << 20) == before
    estimates.record("vits", Tier.DISK, 10 << 20, 2.0)
    assert estimates.load_s("vits", Tier.DISK, 10 << 20) == pytest.approx(2.0, rel=0.01)
    for _ in range(60):
        estimates.record("vits", Tier.DISK, 10 << 20, 1.0)
    assert estimates.load_s("vits", Tier.DISK, 10 << 20) == pytest.approx(1.0, rel=0.01)
    assert estimates.load_s("vits", Tier.DEVICE, 1 << 40) == 0.0
    assert estimates.load_s("vits", Tier.HOST, 0) < estimates.load_s("vits", Tier.HOST, 1 << 30)


def test_what_an_engine_takes_up_slowly_is_estimated_so_before_it_was_measured() -> None:
    estimates = LoadEstimates()
    estimates.record("vits", Tier.DISK, 10 << 20, 1e-3)
    assert estimates.load_s(
        "kokoro", Tier.DISK, 75_000_000, most_bytes_per_s=75e6
    ) == pytest.approx(1.05, rel=0.01)
    estimates.record("kokoro", Tier.DISK, 75_000_000, 2.0)
    assert estimates.load_s(
        "kokoro", Tier.DISK, 75_000_000, most_bytes_per_s=75e6
    ) == pytest.approx(2.0, rel=0.01)
