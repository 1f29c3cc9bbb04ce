"""What is in memory, and how to steer it."""

from __future__ import annotations

import asyncio
import contextlib

from voxswap_registry.errors import InvalidInputError
from voxswap_server.doors.http.exchange import Exchange
from voxswap_server.doors.http.guard import Guard, tell
from voxswap_server.doors.http.native import told
from voxswap_server.doors.http.native.asked import Budget, Named, Prepare
from voxswap_server.doors.http.native.voices import parameters, whole_number
from voxswap_server.doors.http.services import Services
from voxswap_server.residency.outlook import CastMember
from voxswap_server.residency.snapshot import Resident
from voxswap_server.speech.asking import AskedMember, cast_of

# A comment, which readers pass over: so both sides learn when the other one is gone.
_SIGN_OF_LIFE = b": still here\n\n"
_SIGN_OF_LIFE_S = 15.0


class ResidencyHandlers:
    """Translates, both ways. Confined to one event loop."""

    def __init__(self, services: Services, guard: Guard) -> None:
        self._services = services
        self._steering = services.steering
        self._guard = guard

    async def residents(self, exchange: Exchange) -> None:
        """Residents, components and ledgers of one instant."""
        parameters(exchange)
        instant = self._steering.instant()
        await exchange.answer_json(told.overview(self._steering.overview(), instant))

    async def load(self, exchange: Exchange) -> None:
        """Load, and answer when it is there."""
        body = exchange.json(Named)
        await self._tell(exchange, await self._steering.load(body.voice, timeout_s=None))

    async def unload(self, exchange: Exchange) -> None:
        """Evict, and answer when that is done."""
        body = exchange.json(Named)
        await exchange.answer_json({"freed_bytes": await self._steering.unload(body.voice)})

    async def pin(self, exchange: Exchange) -> None:
        """Load, and keep."""
        body = exchange.json(Named)
        await self._tell(exchange, await self._steering.pin(body.voice, timeout_s=None))

    async def unpin(self, exchange: Exchange) -> None:
        """Keep no longer."""
        body = exchange.json(Named)
        await self._tell(exchange, self._steering.unpin(body.voice))

    async def explain(self, exchange: Exchange) -> None:
        """Say what loading a voice would do."""
        voice = parameters(exchange, "voice").get("voice", "")
        found = await self._steering.explain(voice)
        await exchange.answer_json(told.explanation(found, self._steering.instant()))

    async def set_budget(self, exchange: Exchange) -> None:
        """Change the memory budget until the server stops."""
        body = exchange.json(Budget)
        await exchange.answer_json(told.ledger(self._steering.set_budget(body.budget_bytes)))

    async def prepare(self, exchange: Exchange) -> None:
        """Begin to load a scene's voices; the answer does not wait for them."""
        body = exchange.json(Prepare)
        members = [AskedMember(member.voice, member.first_line_ms) for member in body.cast]
        cast = [
            CastMember(self._services.catalog.resolve(voice, session_id=body.session_id), due_s)
            for voice, due_s in cast_of(members, by_ms=body.by_ms, session_id=body.session_id)
        ]
        found = await self._services.ahead.prepare(cast, dry_run=body.dry_run)
        await exchange.answer_json(told.scene(found))

    async def events(self, exchange: Exchange) -> None:
        """Loads and evictions as they happen, as server-sent events.

        ``Last-Event-ID`` goes on after an event, as browsers do by themselves after a break.
        """
        asked = parameters(exchange, "after_sequence", "epoch")
        after, epoch = None, 0
        if last := exchange.request.headers.get("last-event-id", ""):
            after, epoch = _place(last)
        elif "after_sequence" in asked:
            after, epoch = whole_number(asked, "after_sequence"), whole_number(asked, "epoch")
        async with contextlib.aclosing(self._steering.watch(after, epoch)) as events:
            coming = asyncio.ensure_future(anext(events, None))
            try:
                # What is wrong with the place is known before anything comes.
                await asyncio.wait([coming], timeout=0)
                if coming.done():
                    coming.result()
                await exchange.start("text/event-stream")
                await exchange.write(_SIGN_OF_LIFE)
                while True:
                    await asyncio.wait([coming], timeout=_SIGN_OF_LIFE_S)
                    if not coming.done():
                        await exchange.write(_SIGN_OF_LIFE)
                        continue
                    event = coming.result()
                    if event is None:
                        break
                    place = f"id: {self._steering.epoch}-{event.sequence}\n"
                    await exchange.write(place.encode())
                    await exchange.event("", told.event(event, self._steering.epoch))
                    coming = asyncio.ensure_future(anext(events, None))
            except Exception as error:
                if not exchange.has_begun:
                    raise
                await exchange.event("error", tell(self._guard.problem_of(error)))
            finally:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)
        await exchange.end()

    async def _tell(self, exchange: Exchange, found: Resident | None) -> None:
        instant = self._steering.instant()
        shown = None if found is None else told.resident(found, instant)
        await exchange.answer_json({"resident": shown})


def _place(text: str) -> tuple[int, int]:
    """The sequence and the epoch of an event's id. Raises `InvalidInputError`."""
    epoch, dash, sequence = text.partition("-")
    numbers = (sequence, epoch)
    if not (dash and all(n.isascii() and n.isdecimal() and len(n) < 19 for n in numbers)):
        raise InvalidInputError.one("last-event-id", "is none of this server's; leave it out")
    return int(sequence), int(epoch)
