"""The heart: events and time in, decisions out. No await, no thread, no clock, no lock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from voxswap_server.memory.actions import (
    Action,
    Cancelled,
    DeviceRefused,
    Failed,
    Loaded,
    News,
    NotLocal,
    Outcome,
    Refuse,
    Stage,
    Tell,
    Why,
)
from voxswap_server.memory.allotment import Allotment
from voxswap_server.memory.claims import Claim, Voice, Waiter
from voxswap_server.memory.integrity import check_integrity
from voxswap_server.memory.ledger import LedgerStatistics
from voxswap_server.memory.part import Part, State
from voxswap_server.memory.plans import Asker, Limits, PartPlan, Plan, Token
from voxswap_server.memory.statistics import Forecast, MemoryStatistics, statistics_of
from voxswap_server.memory.timers import Due


class MisuseError(AssertionError):
    """An event that cannot have happened: a defect of the caller."""


class Memory(Allotment):
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

    def __init__(
        self,
        budget_bytes: int,
        *,
        limits: Limits | None = None,
        carved: Mapping[str, int] | None = None,
    ) -> None:
        """``carved`` names bytes that are kept for other things for the life of the process.

        Raises ValueError if the budget has no room for more than these.
        """
        super().__init__(budget_bytes, limits or Limits(), carved or {})

    # Asking

    def ask(self, plan: Plan, who: Asker, now: float) -> list[Action]:
        """``who`` wants a lease on the voice of ``plan``: a `Grant` or a `Refuse` will come.

        A version that was retired is in the registry again if somebody asks for it.
        """
        self._begin(now)
        if who.token in self._claim_of or who.token in self._leases:
            raise MisuseError(f"{who.token} has asked before, and not let go")
        if self._closed:
            self._do(Refuse(who.token, plan.key, Why.CLOSED))
        elif (voice := self._voices.get(plan.key)) is not None:
            self._lease(voice, who)
        elif (claim := self._claims.get(plan.key)) is not None:
            self._join(claim, who)
        elif (why := self._hopeless(plan)) is not None:
            self._do(Refuse(who.token, plan.key, why))
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
        voice = self._leases.pop(token, None)
        if voice is None:
            raise MisuseError(f"{token} has no lease")
        voice.leases -= 1
        voice.last_use_s = now
        for part in voice.parts:
            self._let_go(part)
        if voice.is_retired:
            self._dismiss(voice, "retired")
        return self._done()

    def _want(self, plan: Plan, who: Asker) -> None:
        claim = self._claims[plan.key] = Claim(plan)
        self._join(claim, who)
        for part in plan.parts:
            if not part.is_local and self._holdings.find(part.key) is None:
                self._fetch(claim, part)
        if not claim.unfetched:
            self._stand_in_line(claim)

    def _join(self, claim: Claim, who: Asker) -> None:
        waiter = Waiter(who, self._now, next(self._turns))
        claim.join(waiter)
        self._claim_of[who.token] = claim
        if claim in self._line:
            self._time(claim, [waiter])
        for fetch in claim.unfetched.values():
            if fetch.state is State.ABANDONED and not fetch.is_ahead:
                self._resume(fetch)
        self._dirty = True

    def _leave(self, token: Token) -> None:
        claim = self._claim_of.pop(token)
        waiter = claim.leave(token)
        if not claim.waiters:
            del self._claims[claim.plan.key]
            self._let_go_of(claim)
            self._do(
                Tell(
                    News.NOT_LOADED,
                    claim.plan.key,
                    (waiter.who.ref,),
                    reason="given up",
                    duration_s=self._now - waiter.asked_s,
                )
            )
        self._dirty = True

    def _fetch(self, claim: Claim, plan: PartPlan) -> None:
        fetch = self._fetches.get(plan.key)
        if fetch is None:
            fetch = self._fetches[plan.key] = self._holdings.fetch(plan)
            self._work[fetch.number] = fetch
            self._slots[Stage.FETCH].add(fetch)
        elif fetch.state is State.ABANDONED:
            self._resume(fetch)
        fetch.claims[claim] = None
        claim.unfetched[plan.key] = fetch

    # What work came to

    def loaded(self, number: int, outcome: Outcome, now: float) -> list[Action]:
        """No thread is at the work ``number`` any more."""
        self._begin(now)
        part = self._work.get(number)
        if part is None or part.state not in (State.RUNNING, State.ABANDONED, State.STUCK):
            raise MisuseError(f"{number} is not under way: {part}")
        self._slots[part.stage].leave(part)
        self._dirty = True
        if isinstance(outcome, Cancelled) and part.claims:
            part.begin_anew()  # It was told to stop, and to go on, and had stopped.
            self._slots[part.stage].add(part)
        elif part.stage is Stage.FETCH:
            self._fetched(part, outcome)
        elif isinstance(outcome, Loaded):
            self._publish(part, outcome.size_bytes)
        elif part.state is not State.RUNNING:
            self._drop(part)
        elif isinstance(outcome, DeviceRefused):
            self._refused(part)
        elif isinstance(outcome, NotLocal):
            self._fetch_after_all(part)
        else:
            error = outcome.error if isinstance(outcome, Failed) else None
            self._fail(part, Why.FAILED, error)
        return self._done()

    def _fetched(self, fetch: Part, outcome: Outcome) -> None:
        claims = tuple(fetch.claims)
        self._drop(fetch)
        for claim in claims:
            if isinstance(outcome, Loaded):
                del claim.unfetched[fetch.key]
                if not claim.unfetched:
                    self._stand_in_line(claim)
            else:
                error = outcome.error if isinstance(outcome, Failed) else None
                self._end(claim, Why.FAILED, error)

    def _publish(self, part: Part, size_bytes: int) -> None:
        if size_bytes > part.size_bytes:
            claims = tuple(part.claims)
            self._holdings.publish(part, part.size_bytes, self._now)
            self._end_all(claims, Why.FOOTPRINT)
            self._evict(part, "footprint")
            return
        claims = tuple(part.claims)
        part.claims.clear()
        self._holdings.publish(part, size_bytes, self._now)
        if claims:
            settled_s = self._now + self._limits.settle_s
            self._holdings.touch(part, self._now, protected_until_s=settled_s)
        for claim in claims:
            claim.missing -= 1
            self._finish_if_ready(claim)
        if part.is_idle and (self._closed or self._holdings.spare_bytes < 0):
            # Nobody wanted it any more, and its memory was promised to somebody meanwhile.
            self._evict(part, "abandoned")

    def _refused(self, part: Part) -> None:
        """The device has less than the ledger says: as much as the part takes has to leave.

        That is not spare then, but kept for the second try. If so much is not idle, nothing leaves.
        """
        victims = None
        if not part.was_refused and not part.is_ahead:
            victims = self._holdings.idle.victims(part.size_bytes)
        if victims is None:
            self._fail(part, Why.DEVICE)
            return
        self._holdings.refuse(part, set(victims))
        for victim in victims:
            self._evict(victim, "refused")
        self._try_again(part)

    def _try_again(self, part: Part) -> None:
        if not part.awaits:
            part.begin_anew()
            self._slots[Stage.LOAD].add(part)

    def _fetch_after_all(self, part: Part) -> None:
        """Its bytes went from this machine after somebody had seen them here."""
        claims = tuple(part.claims)
        self._drop(part)
        for claim in claims:
            self._let_go_of(claim)
            self._fetch(claim, part.plan)

    def freed(self, number: int, now: float) -> list[Action]:
        """The memory of what `Free` named is free."""
        self._begin(now)
        part = self._work.get(number)
        if part is None or part.state is not State.EVICTING:
            raise MisuseError(f"{number} is not being freed: {part}")
        began_s = now if part.left_s is None else part.left_s
        self._do(
            Tell(
                News.EVICTED,
                part.key,
                size_bytes=part.size_bytes,
                reason=part.reason,
                duration_s=now - began_s,
                age_s=began_s - part.last_use_s,
            )
        )
        del self._work[number]
        self._holdings.freed(part)
        for other in self._holdings.second_tries():
            if part in other.awaits:
                other.awaits.discard(part)
                self._try_again(other)
        self._dirty = True
        return self._done()

    # Steering

    def pin(self, voice_key: str, now: float) -> list[Action]:
        """Keep the voice until `unpin`. REQUIRES: it is there, as it is while it is leased."""
        self._begin(now)
        voice = self._voices.get(voice_key)
        if voice is None:
            raise MisuseError(f"{voice_key} is not there, and cannot be pinned")
        if not voice.pinned:
            voice.pinned = True
            for part in voice.parts:
                self._holdings.hold(part, pin=True)
            self._dirty = True  # Somebody may not fit any more.
        return self._done()

    def unpin(self, voice_key: str, now: float) -> list[Action]:
        """Let it leave again; does nothing if it is not there or not pinned."""
        self._begin(now)
        if (voice := self._voices.get(voice_key)) is not None:
            self._unpin(voice)
            if voice.is_retired:
                self._dismiss(voice, "retired")
        return self._done()

    def retire(self, ref: str, now: float) -> list[Action]:
        """The version is gone from the registry: its voice leaves as soon as nobody speaks with it.

        Until it is back: `restore`, or somebody asks for it.
        """
        self._begin(now)
        for claim in self._claims.values():
            if ref in claim.refs:
                claim.retired.add(ref)
        for voice in tuple(self._voices.values()):
            if ref in voice.refs:
                voice.retired.add(ref)
                if voice.is_retired:
                    self._unpin(voice)
                    self._dismiss(voice, "retired")
        return self._done()

    def restore(self, ref: str, now: float) -> list[Action]:
        """The version is in the registry again."""
        self._begin(now)
        for claim in self._claims.values():
            claim.retired.discard(ref)
        for voice in self._voices.values():
            voice.retired.discard(ref)
        return self._done()

    def withdraw(self, number: int, now: float) -> list[Action]:
        """The file of a part was changed under it: nobody else gets it, pinned or not.

        Who holds it has to let go; the news are WITHDRAWN, ``changed``. Does nothing if the part
        has left already.
        """
        self._begin(now)
        part = self._work.get(number)
        if part is None or part.state is not State.RESIDENT:
            return self._done()
        voices = tuple(part.voices)
        self._holdings.withdraw(part, "changed")
        for voice in voices:
            self._take_apart(voice, "changed")
        for voice in voices:
            self._unpin(voice)
        claims = [claim for claim in self._promised_claims if part in claim.parts]
        self._end_all(claims, Why.CHANGED)
        if not part.holds and not part.is_leaving:
            self._evict(part, "changed")
        self._dirty = True
        return self._done()

    def unload(self, voice_key: str, now: float) -> list[Action]:
        """Evict what no other voice has of this one.

        REQUIRES: nobody leases it and it is not pinned. Does nothing if it is not there.
        """
        self._begin(now)
        if (voice := self._voices.get(voice_key)) is not None:
            if voice.leases or voice.pinned:
                raise MisuseError(f"{voice} is in use, and is said to be unloaded")
            self._dismiss(voice, "unload")
        return self._done()

    def used(self, keys: Iterable[str], now: float) -> list[Action]:
        """Parts were used without a lease: a line of their voice came from the audio cache."""
        self._begin(now)
        self._touch(keys, 0.0)
        return self._done()

    def protect(self, keys: Iterable[str], until_s: float, now: float) -> list[Action]:
        """A scene is about to begin: its parts leave as if they were used until then."""
        self._begin(now)
        self._touch(keys, until_s)
        return self._done()

    def _touch(self, keys: Iterable[str], until_s: float) -> None:
        for key in keys:
            part = self._holdings.find(key)
            if part is not None and part.state is State.RESIDENT:
                self._holdings.touch(part, self._now, protected_until_s=until_s)

    def evict_idle(self, since_s: float, now: float) -> list[Action]:
        """Evict what nobody has used, and nothing protects, since then."""
        self._begin(now)
        for part in self._holdings.idle.used_until(since_s):
            self._evict(part, "idle")
        return self._done()

    def resize(self, budget_bytes: int, now: float) -> list[Action]:
        """Change the budget; a smaller one is reached as memory comes free.

        Raises ValueError if it is not above 0.
        """
        self._begin(now)
        self._holdings.ledger.resize(budget_bytes)
        self._dirty = True
        return self._done()

    def take_for_stream(self, size_bytes: int) -> bool:
        """Whether a stream may hold so many bytes more, of the carve-out ``streams``."""
        return self._holdings.ledger.take_for_stream(size_bytes)

    def give_for_stream(self, size_bytes: int) -> None:
        """It holds so many less."""
        self._holdings.ledger.give_for_stream(size_bytes)

    def close(self, now: float) -> list[Action]:
        """Refuse who waits and who comes; everything goes as soon as nobody holds it."""
        self._begin(now)
        self._closed = True
        self._end_all(tuple(self._claims.values()), Why.CLOSED)
        for voice in tuple(self._voices.values()):
            self._unpin(voice)
        for part in tuple(self._holdings.idle):
            self._evict(part, "closed")
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

    def _see_time(self) -> None:
        for timer in self._timers.due(self._now):
            if timer.what is Due.LOOK:
                self._dirty = True
            elif timer.what is Due.WAITED:
                self._has_waited(timer.whom)
            elif isinstance(timer.whom, Part) and timer.what is Due.LATE:
                self._is_late(timer.whom)
            elif isinstance(timer.whom, Part):
                self._is_stuck(timer.whom)

    def _has_waited(self, token: Token) -> None:
        claim = self._claim_of.get(token)
        if claim is None or claim not in self._line or claim.in_line_s is None:
            return  # What was promised it is not taken away for its having waited.
        waiter = claim.waiters[token]
        if self._now >= max(waiter.asked_s, claim.in_line_s) + self._limits.wait_s:
            self._do(Refuse(token, claim.plan.key, Why.BUSY))
            self._leave(token)

    def _is_late(self, part: Part) -> None:
        if part.left_s is None or part.late or self._now < part.left_s + self._limits.leaving_s:
            return
        self._holdings.give_up_on(part)
        self._dirty = True
        for other in self._holdings.second_tries():
            if part in other.awaits:
                self._fail(other, Why.DEVICE)

    def _is_stuck(self, part: Part) -> None:
        under_way = part.state in (State.RUNNING, State.ABANDONED)
        if not under_way or self._now < part.began_s + self._timeout_s(part.stage):
            return
        self._slots[part.stage].leave(part)
        self._holdings.stick(part)
        self._dirty = True
        claims = tuple(part.claims)
        part.claims.clear()
        self._end_all(claims, Why.STUCK)

    # What there is

    def forecast(self, plans: Sequence[Plan]) -> Forecast:
        """What would leave so that each is there beside those before it, if nobody else asked.

        Those of ``plans`` that are there are spared. Looks at each part once.
        """
        return self._forecast(plans)

    def number_of(self, key: str) -> int | None:
        """Of the part under this key, if it is there or on its way."""
        part = self._holdings.find(key)
        return None if part is None else part.number

    def voice(self, voice_key: str) -> Voice | None:
        """The voice, if it can speak. To be looked at."""
        return self._voices.get(voice_key)

    def voices(self) -> tuple[Voice, ...]:
        """All that can. To be looked at."""
        return tuple(self._voices.values())

    def claims(self) -> tuple[Claim, ...]:
        """Voices that are wanted and not there. To be looked at."""
        return tuple(self._claims.values())

    def parts(self) -> tuple[Part, ...]:
        """Every part that is there, promised or leaving. To be looked at."""
        return tuple(self._holdings)

    def work(self) -> tuple[Part, ...]:
        """Every part and every fetch. To be looked at."""
        return tuple(self._work.values())

    def exclusive(self) -> tuple[Claim, float, int] | None:
        """The claim that may keep what comes free, until when, and how many bytes are kept."""
        line = self._line
        claim = line.exclusive
        return None if claim is None else (claim, line.exclusive_until_s, line.floor_bytes)

    def leased(self) -> frozenset[Token]:
        """Tokens that have leases."""
        return frozenset(self._leases)

    def lanes_used(self) -> Mapping[str, int]:
        """Bytes that lanes have for good."""
        return self._holdings.lanes.used

    @property
    def books(self) -> LedgerStatistics:
        """The ledger. May be called from any thread."""
        return self._holdings.ledger.statistics()

    def statistics(self) -> MemoryStatistics:
        """All figures, at this instant."""
        return statistics_of(self)

    def check_integrity(self) -> None:
        """Prove that everything agrees; `AssertionError` says what does not."""
        check_integrity(self)

    def __repr__(self) -> str:
        s = self.statistics()
        return (
            f"<Memory {s.books.free_bytes} of {s.books.budget_bytes} bytes free, {s.idle_bytes} "
            f"idle, {s.promised_bytes} promised; {s.voices} voices, {s.leases} leases, "
            f"{s.players_in_line}+{s.ahead_in_line} in line{', closed' if self._closed else ''}>"
        )
