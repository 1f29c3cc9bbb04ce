"""What lanes compute in: carve-outs of the ledger that stay once they were used."""

from __future__ import annotations

from collections.abc import Sequence

from voxswap_server.memory.claims import Claim
from voxswap_server.memory.ledger import Ledger
from voxswap_server.memory.plans import Plan


class Lanes:
    """A carve-out for each lane, as large as the largest plan that is or was computed with needs.

    Every lane has its own, since lanes compute side by side. It is found room for with the first
    claim of the lane, and is given back if that comes to nothing. Once a voice of it was leased it
    stays, whoever leaves: what a lane used, its allocator and its kernels keep. After a churn of
    voices a process held 340 MiB that a ledger would have called free. Only once nothing is there
    any more can be measured what that really is (`settle`).
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.used: dict[str, int] = {}  # bytes that stay
        self._claims: dict[str, dict[Claim, int]] = {}

    def wanted(self, lane: str) -> int:
        """Bytes that it has or is to have."""
        claims = self._claims.get(lane, {})
        return max(self.used.get(lane, 0), max(claims.values(), default=0))

    @property
    def growth_bytes(self) -> int:
        """What lanes are to have and have not yet."""
        return sum(self.wanted(lane) - self._ledger.carved(lane) for lane in self._claims)

    def cost(self, plan: Plan) -> int:
        """What a claim for ``plan`` would add."""
        return sum(max(0, lane.workspace_bytes - self.wanted(lane.name)) for lane in plan.lanes)

    def least_bytes(self, plan: Plan) -> int:
        """Of all lanes, once everything else has left and ``plan`` is computed with."""
        least = dict(self.used)
        for lane in plan.lanes:
            least[lane.name] = max(least.get(lane.name, 0), lane.workspace_bytes)
        return sum(least.values())

    def only_of(self, claims: Sequence[Claim], plan: Plan) -> int:
        """What would be spare for ``plan`` if ``claims`` wanted nothing of any lane."""
        needs = {lane.name: lane.workspace_bytes for lane in plan.lanes}
        gain = 0
        for lane, wanting in self._claims.items():
            others = max((n for claim, n in wanting.items() if claim not in claims), default=0)
            stays = max(others, self.used.get(lane, 0), needs.get(lane, 0))
            gain += max(0, self.wanted(lane) - stays)
        return gain

    def join(self, claim: Claim) -> None:
        """``claim`` was promised its memory."""
        for lane in claim.plan.lanes:
            self._claims.setdefault(lane.name, {})[claim] = lane.workspace_bytes

    def leave(self, claim: Claim) -> None:
        """It has ended: what nobody else needs, and nobody has used, is free."""
        for lane in claim.plan.lanes:
            if self._claims.get(lane.name, {}).pop(claim, None) is None:
                continue
            if not self._claims[lane.name]:
                del self._claims[lane.name]
            if self._ledger.carved(lane.name) > (wanted := self.wanted(lane.name)):
                self._ledger.carve(lane.name, wanted)

    def carve(self, room_bytes: int) -> int:
        """Carve out what is wanted, as far as ``room_bytes`` go; how much that took."""
        took = 0
        for lane in self._claims:
            growth = self.wanted(lane) - self._ledger.carved(lane)
            if 0 < growth <= room_bytes - took:
                self._ledger.carve(lane, self.wanted(lane))
                took += growth
        return took

    def has(self, plan: Plan) -> bool:
        """Whether ``plan`` can be computed with."""
        return all(self._ledger.carved(e.name) >= e.workspace_bytes for e in plan.lanes)

    def use(self, plan: Plan) -> None:
        """It is about to be computed with. REQUIRES: `has`."""
        for lane in plan.lanes:
            self.used[lane.name] = max(self.used.get(lane.name, 0), lane.workspace_bytes)

    def settle(self, kept_bytes: int) -> None:
        """The process was measured to keep so much for all of them. REQUIRES: nobody claims any."""
        for lane, used in self.used.items():
            self.used[lane] = min(used, kept_bytes)
            kept_bytes -= self.used[lane]
            self._ledger.carve(lane, self.used[lane])

    def check_integrity(self) -> None:
        """Prove that what is used or claimed and carved out agree."""
        for lane in {*self.used, *self._claims}:
            carved = self._ledger.carved(lane)
            if not self.used.get(lane, 0) <= carved <= self.wanted(lane):
                raise AssertionError(f"the lane {lane} has {carved}, and wants {self.wanted(lane)}")
