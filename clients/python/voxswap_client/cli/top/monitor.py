"""Looks at a server again and again, and keeps what the display needs of it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from voxswap_client.channel import Clock
from voxswap_client.cli.top import figures
from voxswap_client.cli.top.figures import Frame, Taken
from voxswap_client.cli.top.prometheus import Scrape
from voxswap_client.cli.top.scrape import ScrapeError
from voxswap_client.errors import (
    EventsLostError,
    NotImplementedByServerError,
    SlowWatcherError,
    VoxswapClientError,
)
from voxswap_client.residency_types import ResidencyEvent, ResidencySnapshot

if TYPE_CHECKING:
    from voxswap_client import AsyncClient

_KEPT_EVENTS = 4096
_PAUSE_S = 2.0  # before events are asked for again


class Monitor:
    """Polls residents and metrics, and follows events. Confined to one event loop.

    ``fetch`` gives a scrape and may block; None: there are no metrics. ``clock`` is monotonic.
    """

    def __init__(
        self,
        client: AsyncClient,
        fetch: Callable[[], Scrape] | None,
        *,
        clock: Clock,
        wall_clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._fetch = fetch
        self._clock = clock
        self._wall_clock = wall_clock
        self._sleep = sleep
        self._snapshot = ResidencySnapshot((), (), ())
        self._taken: deque[Taken] = deque()
        self._events: deque[ResidencyEvent] = deque(maxlen=_KEPT_EVENTS)
        self._watched_since_s: float | None = None  # None: all that there was
        self._problems = {"server": "", "metrics": "", "events": ""}

    async def look(self, *, first: bool = False) -> None:
        """Look once. Only the ``first`` time is it an error that the server cannot be reached."""
        try:
            self._snapshot = await self._client.residents()
            self._problems["server"] = ""
        except VoxswapClientError as error:
            if first:
                raise
            self._problems["server"] = error.message
        if self._fetch is None:
            return
        try:
            scrape = await asyncio.to_thread(self._fetch)
        except ScrapeError as error:
            self._problems["metrics"] = f"no metrics: {error}"
            self._taken.clear()
        else:
            self._keep(scrape)

    async def follow(self) -> None:
        """Follow the events, for ever. Begins with all that the server has kept."""
        after: int | None = 0
        epoch = 0
        while True:
            try:
                async with self._client.watch(after=after, epoch=epoch) as events:
                    async for event in events:
                        self._events.append(event)
                        after, epoch = event.sequence, event.epoch
                        self._problems["events"] = ""
            except NotImplementedByServerError:
                self._problems["events"] = "this server does not tell its events"
                return
            except SlowWatcherError:
                after, epoch = self._anew(None)
            except EventsLostError:
                # Of another run of the server: all there is. Of this one: what is to come.
                after, epoch = self._anew(None if after == 0 else 0)
                continue
            except VoxswapClientError as error:
                self._problems["events"] = f"no events: {error.message}"
            await self._sleep(_PAUSE_S)

    def frame(self, *, lately: bool = True) -> Frame:
        """What is known now; see `figures.speech` for ``lately``."""
        # The server's clock may be ahead of ours.
        last = self._events[-1].time if self._events else None
        now = self._wall_clock()
        since_s = self._watched_since_s
        covered_s = figures.WINDOW_S if since_s is None else self._clock() - since_s
        # Where the server is away, it has told why already.
        told = [text for text in self._problems.values() if text]
        return Frame(
            now=now,
            snapshot=self._snapshot,
            speech=figures.speech(self._taken, lately=lately),
            churn=figures.churn(
                self._events, now=max(now, last) if last else now, covered_s=covered_s
            ),
            events=tuple(self._events),
            problems=tuple(told[:1] if self._problems["server"] else told),
        )

    def _anew(self, after: int | None) -> tuple[int | None, int]:
        self._events.clear()
        self._watched_since_s = None if after == 0 else self._clock()
        return after, 0

    def _keep(self, scrape: Scrape) -> None:
        foreign = not figures.are_voxswaps(scrape)
        self._problems["metrics"] = "no metrics: they are not those of voxswap" if foreign else ""
        if foreign:
            self._taken.clear()
            return
        now_s = self._clock()
        if self._taken and figures.restarted(self._taken[-1].scrape, scrape):
            self._taken.clear()
        while len(self._taken) > 1 and now_s - self._taken[0].time_s > figures.WINDOW_S:
            self._taken.popleft()
        self._taken.append(Taken(now_s, scrape))
