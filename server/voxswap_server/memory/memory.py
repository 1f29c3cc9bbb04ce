"""The heart: events and time in, decisions out. No await, no thread, no clock, no lock."""

from __future__ import annotations

from collections.abc import Iterable

from voxswap_server.memory.actions import (
    Action,
    News,
    Refuse,
    Tell,
    Why,
)
from voxswap_server.memory.claims import Claim, Waiter
from voxswap_server.memory.entries import MisuseError
from voxswap_server.memory.integrity import check_integrity
from voxswap_server.memory.ledger import LedgerStatistics
from voxswap_server.memory.outcomes import Outcomes
from voxswap_server.memory.part import State
from voxswap_server.memory.plans import Asker, Plan, Rank, Token
from voxswap_server.memory.prospect import Prospect


class Memory(Outcomes):
    """Voices under a byte budget. Not thread-safe; never blocks.

    Each method is an event, takes the time at which it happened (seconds, never backwards), and
    returns what is to be done, in this order. Whoever calls carries that out and tells what came of
    it: `loaded` for each `Load`, `freed` for each `Free`.

    What may be relied on:

    - Nobody who is granted anything loses it before `release`. The ledger is never over its budget.
    - Memory is promised to a claim as a whole, and nothing is evicted for one that does not get it.
      What was promised nobody else takes; it is counted on for `Limits.leaving_s`.
    - A player's claim that fits into what is spare or idle is promised its memory at once, whoever
      waits before it, but for what is kept for an exclusive one (`Line`), for a bounded time.
    - Players do not wait for what was begun ahead of need: neither for its memory nor for its slot.
    - Nobody waits for memory longer than `Limits.wait_s`, nor for work longer than its timeout.
    """

    # Asking

    def ask(self, plan: Plan, who: Asker, now: float) -> list[Action]:
        """``who`` wants a lease on the voice of ``plan``: a `Grant` or a `Refuse` will come."""
        self._begin(now)
        if who.token in self._claim_of or who.token in self.leases:
            raise MisuseError(f"{who.token} has asked before, and not let go")
        if self._closed:
            self._do(Refuse(who.token, plan.key, Why.CLOSED))
        elif (voice := self.voices.get(plan.key)) is not None:
            self._lease(voice, who)
        elif (claim := self.claims.get(plan.key)) is not None:
            self._join(claim, who)
        elif (why := self._hopeless(plan)) is not None:
            self._do(Refuse(who.token, plan.key, why))
            self._do(Tell(News.NOT_LOADED, plan.key, (who.ref,), why=why))
        else:
            self._want(plan, who)
        return self._done()

    def give_up(self, token: Token, now: float) -> list[Action]:
        """Who waits under ``token`` waits no more. The last one to give up ends the claim."""
        self._begin(now)
        if token not in self._claim_of:
            raise MisuseError(f"nobody waits under {token}")
        self._leave(token)
        return self._done()

    def release(self, token: Token, now: float) -> list[Action]:
        """The lease of ``token`` is given back."""
        self._begin(now)
        voice = self.leases.pop(token, None)
        if voice is None:
            raise MisuseError(f"{token} has no lease")
        voice.leases -= 1
        voice.last_use_s = now
        for part in voice.parts:
            self._let_go(part)
        if voice.is_retired:
            self._dismiss(voice, "deleted")
        return self._done()

    def _want(self, plan: Plan, who: Asker) -> None:
        claim = self.claims[plan.key] = Claim(plan)
        self._join(claim, who)
        for part in plan.parts:
            if not part.is_local and self.holdings.find(part.key) is None:
                self._fetch(claim, part)
        if not claim.unfetched:
            self._stand_in_line(claim)

    def _join(self, claim: Claim, who: Asker) -> None:
        waiter = Waiter(who, self._now, next(self._turns))
        claim.join(waiter)
        self._claim_of[who.token] = claim
        if claim in self.line:
            self._time(claim, [waiter])
        for fetch in claim.unfetched.values():
            if fetch.state is State.ABANDONED and fetch.rank is Rank.PLAYER:
                self._resume(fetch)
        self._dirty = True

    # Steering

    def pin(self, voice_key: str, now: float) -> list[Action]:
        """Keep the voice until `unpin`. REQUIRES: it is there, as it is while it is leased."""
        self._begin(now)
        voice = self.voices.get(voice_key)
        if voice is None:
            raise MisuseError(f"{voice_key} is not there, and cannot be pinned")
        if not voice.pinned:
            voice.pinned = True
            for part in voice.parts:
                self.holdings.hold(part, pin=True)
            self._dirty = True  # Somebody may not fit any more.
        return self._done()

    def unpin(self, voice_key: str, now: float) -> list[Action]:
        """Let it leave again; does nothing if it is not there or not pinned."""
        self._begin(now)
        if (voice := self.voices.get(voice_key)) is not None:
            self._unpin(voice)
            if voice.is_retired:
                self._dismiss(voice, "deleted")
        return self._done()

    def retire(self, ref: str, now: float) -> list[Action]:
        """The version is gone from the registry: its voice leaves as soon as nobody speaks with it.

        Until it is back: see `restore`. Nothing is known of it once it has left.
        """
        self._begin(now)
        for claim in self.claims.values():
            if ref in claim.refs:
                claim.retired.add(ref)
        for voice in tuple(self.voices.values()):
            if ref in voice.refs:
                voice.retired.add(ref)
                if voice.is_retired:
                    self._unpin(voice)
                    self._dismiss(voice, "deleted")
        return self._done()

    def restore(self, ref: str, now: float) -> list[Action]:
        """The version is in the registry again."""
        self._begin(now)
        for claim in self.claims.values():
            claim.retired.discard(ref)
        for voice in self.voices.values():
            voice.retired.discard(ref)
        return self._done()

    def withdraw(self, number: int, now: float, error: object = None) -> list[Action]:
        """The file of a part was changed under it: nobody else gets it, pinned or not.

        Who holds it has to let go; the news are WITHDRAWN, ``changed``, and who waits for it is
        refused with ``error``. Does nothing if the part has left already.
        """
        self._begin(now)
        part = self.work.get(number)
        if part is None or part.state is not State.RESIDENT:
            return self._done()
        voices = tuple(part.voices)
        self.holdings.withdraw(part, "changed")
        for voice in voices:
            part.refs += self._take_apart(voice, "changed")
        for voice in voices:
            self._unpin(voice)
        claims = [claim for claim in self._promised_claims if part in claim.parts]
        self._end_all(claims, Why.CHANGED, error)
        if part.left_s is None and not part.holds:
            self._evict(part, "changed")
        self._dirty = True
        return self._done()

    def unload(self, voice_key: str, now: float) -> list[Action]:
        """Evict what no other voice has of this one.

        REQUIRES: nobody leases it and it is not pinned. Does nothing if it is not there.
        """
        self._begin(now)
        if (voice := self.voices.get(voice_key)) is not None:
            if voice.leases or voice.pinned:
                raise MisuseError(f"{voice} is in use, and is said to be unloaded")
            self._dismiss(voice, "unload")
        return self._done()

    def used(self, keys: Iterable[str], now: float, *, until_s: float = 0.0) -> list[Action]:
        """Parts were used without a lease: a line of their voice came from the audio cache.

        Or a scene is about to begin: then they leave as if they were used ``until_s``.
        """
        self._begin(now)
        for key in keys:
            part = self.holdings.find(key)
            if part is not None and part.state is State.RESIDENT:
                self.holdings.touch(part, self._now, protected_until_s=until_s)
        return self._done()

    def evict_idle(self, since_s: float, now: float) -> list[Action]:
        """Evict what nobody has used, and nothing protects, since then."""
        self._begin(now)
        for part in self.holdings.idle.used_until(since_s):
            self._evict(part, "idle")
        return self._done()

    def resize(self, budget_bytes: int, now: float) -> list[Action]:
        """Change the budget; a smaller one is reached as memory comes free.

        Raises ValueError if it is not above 0.
        """
        self._begin(now)
        self.holdings.ledger.resize(budget_bytes)
        self._dirty = True
        return self._done()

    def settle_lanes(self, kept_bytes: int, now: float) -> list[Action]:
        """So much was measured to stay for lanes; does nothing unless everything has left."""
        self._begin(now)
        if self.is_empty:
            self.holdings.lanes.settle(kept_bytes)
        return self._done()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is there, or on its way in or out."""
        return not self.work and not self.claims

    def close(self, now: float) -> list[Action]:
        """Refuse who waits and who comes; everything goes as soon as nobody holds it."""
        self._begin(now)
        self._closed = True
        self._end_all(tuple(self.claims.values()), Why.CLOSED)
        for voice in tuple(self.voices.values()):
            self._unpin(voice)
        for part in tuple(self.holdings.idle):
            self._evict(part, "shutdown")
        return self._done()

    # Time

    def next_tick_s(self) -> float | None:
        """When `tick` is due: never too late, now and then for nothing. None: when something else
        has happened.
        """
        return self._timers.next_s

    def tick(self, now: float) -> list[Action]:
        """Time has passed. Every other event looks at the time as well."""
        self._begin(now)
        return self._done()

    # What there is

    def prospect(self, plan: Plan) -> Prospect:
        """What a player would find who asked for ``plan`` now. Changes nothing."""
        holdings = self.holdings
        need = holdings.cost(plan)
        victims = holdings.idle.victims(need - holdings.spare_bytes, plan.keys)
        return Prospect(self._hopeless(plan), need, None if victims is None else tuple(victims))

    @property
    def books(self) -> LedgerStatistics:
        """The ledger. May be called from any thread."""
        return self.holdings.ledger.statistics()

    def check_integrity(self) -> None:
        """Prove that everything agrees; `AssertionError` says what does not."""
        check_integrity(self)

    def __repr__(self) -> str:
        holdings, books = self.holdings, self.books
        players, ahead = self.line.in_order()
        return (
            f"<Memory {books.free_bytes} of {books.budget_bytes} bytes free, "
            f"{holdings.idle.sum_bytes} idle, {holdings.promised_bytes} promised; "
            f"{len(self.voices)} voices, {len(self.leases)} leases, "
            f"{len(players)}+{len(ahead)} in line{', closed' if self._closed else ''}>"
        )
