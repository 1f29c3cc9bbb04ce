"""Whether the server serves: any order of facts gives the one right answer."""

from __future__ import annotations

import asyncio
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.executors import settle
from voxswap_server.residency.bars import Bars
from voxswap_server.speech.serving import Serving

Fact = Literal["ready", "drain", "stuck", "well", "long stuck", "long well"]
FACTS: tuple[Fact, ...] = ("ready", "drain", "stuck", "well", "long stuck", "long well")


def state(serving: Serving, fact: Fact) -> None:
    match fact:
        case "ready":
            serving.become_ready()
        case "drain":
            serving.drain()
        case _:
            serving.set_threads(may_be_long="long" in fact, are_there="well" in fact)


@given(st.lists(st.sampled_from(FACTS)), st.booleans())
def test_it_serves_if_it_is_ready_and_not_stuck_and_not_draining(
    facts: list[Fact], barred: bool
) -> None:
    bars = Bars(lambda: 0.0)
    serving = Serving(bars, long_engines=frozenset({"kokoro"}))
    if barred:
        bars.bar("smith@1")
    for fact in facts:
        state(serving, fact)
    latest = {fact.removesuffix("stuck").removesuffix("well"): fact for fact in facts}
    expected = "ready" in facts and "drain" not in facts and latest.get("") != "stuck"
    assert serving.serves == expected
    assert serving.serves_voice("joe@1", "vits") == expected
    assert serving.serves_voice("smith@1", "vits") == (expected and not barred)
    has_long = latest.get("long ") != "long stuck"
    assert serving.serves_voice("alpha@1", "kokoro") == (expected and has_long)


async def test_news_wakes_who_waits_and_what_is_past_is_not_waited_for() -> None:
    serving = Serving(Bars(lambda: 0.0))
    seen = serving.changes
    waiting = asyncio.ensure_future(serving.news(seen))
    await settle()
    assert not waiting.done()
    serving.become_ready()
    await asyncio.wait_for(waiting, 10)
    await asyncio.wait_for(serving.news(seen), 10)
