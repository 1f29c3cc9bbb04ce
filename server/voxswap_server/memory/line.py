"""Who waits for memory, in which order, and who may keep what comes free for itself."""

from __future__ import annotations

from collections.abc import Iterable

from voxswap_server.memory.claims import Claim
from voxswap_server.memory.plans import Limits, Rank


class Line:
    """Claims that wait for memory. Not thread-safe.

    The whole line is walked, so what fits goes, whoever waits before it. That alone would let small
    claims keep a large one waiting for ever. So the first player's claim that has waited for
    ``ageing_s`` is **exclusive** for ``exclusive_s``: bytes that become available meanwhile are
    kept for it (the **floor**), and those that were available before are anybody's. Each claim is
    so once, and after one that was so in vain nobody is for as long again: most of what comes free
    is anybody's, however many large claims there are. Hits on what is there never wait.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._claims: dict[Claim, None] = {}
        self._available_bytes = 0
        self.exclusive: Claim | None = None
        self.exclusive_until_s = 0.0
        self.rests_until_s = 0.0  # nobody is exclusive before
        self.floor_bytes = 0
        self._most_floor_bytes = 0
        # The least that any claim but the exclusive one costs, and what that one does.
        self._least_bytes: int | None = None
        self._least_exclusive_bytes: int | None = None

    def add(self, claim: Claim) -> None:
        """It waits."""
        self._claims[claim] = None

    def discard(self, claim: Claim) -> None:
        """It waits no more."""
        self._claims.pop(claim, None)
        if claim is self.exclusive:
            self._end_exclusive()

    def in_order(self) -> tuple[list[Claim], list[Claim]]:
        """Players' claims, and those ahead of need; who asked first first."""
        order = sorted(self._claims, key=lambda claim: claim.place)
        players = [claim for claim in order if claim.rank is Rank.PLAYER]
        return players, [claim for claim in order if claim.rank is Rank.AHEAD]

    def note(self, available_bytes: int) -> None:
        """So much is available now: what came since the last call is kept for the exclusive one."""
        if self.exclusive is not None:
            grown = max(0, available_bytes - self._available_bytes)
            most = min(self._most_floor_bytes, max(0, available_bytes))
            self.floor_bytes = min(most, self.floor_bytes + grown)
        self._available_bytes = available_bytes

    def floor_for(self, claim: Claim) -> int:
        """What ``claim`` must leave available."""
        return 0 if claim is self.exclusive else self.floor_bytes

    def end_exclusive(self, now: float) -> bool:
        """If its time is over, or no player waits for it any more, nothing is kept for it.

        Whether that is so.
        """
        claim = self.exclusive
        over = claim is not None and (
            now >= self.exclusive_until_s or claim.rank is not Rank.PLAYER
        )
        if over:
            self.rests_until_s = now + self._limits.exclusive_s
            self._end_exclusive()
        return over

    def choose_exclusive(self, now: float) -> bool:
        """If it is nobody's turn, see whose it is; whether one has begun."""
        if self.exclusive is not None or now < self.rests_until_s:
            return False
        players, _ = self.in_order()
        for claim in players:
            is_aged = now >= claim.waits_since_s + self._limits.ageing_s
            if is_aged and not claim.had_exclusive:
                claim.had_exclusive = True
                self.exclusive = claim
                self.exclusive_until_s = now + self._limits.exclusive_s
                return True
        return False

    def see_costs(self, costs: Iterable[tuple[Claim, int, int]]) -> None:
        """What players' claims that still wait cost, and how much of their own is idle."""
        self._least_bytes = self._least_exclusive_bytes = None
        for claim, cost, own_idle in costs:
            if claim is self.exclusive:
                self._least_exclusive_bytes = cost
                self._most_floor_bytes = cost + own_idle
            elif self._least_bytes is None or cost < self._least_bytes:
                self._least_bytes = cost

    def may_go(self, available_bytes: int) -> bool:
        """Whether that may be enough for one of them; looks at none of them."""
        least, exclusive = self._least_bytes, self._least_exclusive_bytes
        return (least is not None and available_bytes - self.floor_bytes >= least) or (
            exclusive is not None and available_bytes >= exclusive
        )

    def _end_exclusive(self) -> None:
        self.exclusive, self.floor_bytes, self._most_floor_bytes = None, 0, 0

    def __contains__(self, claim: Claim) -> bool:
        return claim in self._claims

    def __len__(self) -> int:
        return len(self._claims)
