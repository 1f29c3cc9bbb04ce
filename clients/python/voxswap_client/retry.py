"""When to try again, and after how long: pure, and shared by both clients."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass

from voxswap_client.errors import ResourceExhaustedError, UnavailableError, VoxswapClientError


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential back-off with full jitter, for UNAVAILABLE.

    And for RESOURCE_EXHAUSTED with RetryInfo, where nobody waits for the answer: whoever listens
    had better know at once that the server is full.

    The wait after try n is drawn from ``[0, min(max_backoff_ms, initial_backoff_ms * 2**(n-1))]``
    (Brooker, "Exponential Backoff And Jitter", 2015). If the server sent RetryInfo, its delay comes
    on top, so that clients that were told the same do not return together; a delay above
    ``max_hint_ms`` is left to the caller. ``RetryPolicy(max_attempts=1)`` never tries again.
    """

    max_attempts: int = 4
    initial_backoff_ms: float = 100.0
    max_backoff_ms: float = 2_000.0
    max_hint_ms: float = 10_000.0

    def delay_s(
        self,
        error: VoxswapClientError,
        *,
        attempts: int,
        remaining_s: float | None,
        random: Callable[[], float],
        may_wait: bool = False,
    ) -> float | None:
        """Seconds to wait before the next try, or None if ``error`` is final.

        ``attempts`` have been made; ``remaining_s`` is left until the deadline (None: there is
        none); ``random`` gives a number in [0, 1); ``may_wait`` if the answer is as good later.
        """
        passes = isinstance(error, UnavailableError) or (
            may_wait
            and isinstance(error, ResourceExhaustedError)
            and error.retry_after_s is not None
        )
        if not passes or attempts >= self.max_attempts:
            return None
        hint_s = error.retry_after_s or 0.0
        if hint_s * 1000 > self.max_hint_ms:
            return None
        ceiling_ms = min(self.max_backoff_ms, self.initial_backoff_ms * 2 ** (attempts - 1))
        delay = hint_s + random() * ceiling_ms / 1000
        return delay if remaining_s is None or delay < remaining_s else None


DEFAULT_RETRIES = RetryPolicy()


class Repeat(enum.Enum):
    """Whether a call may be made a second time, when nobody knows what became of the first."""

    ALWAYS = enum.auto()  # it reads
    IF_ASKED = enum.auto()  # a second time changes nothing, and the server sent RetryInfo
    NEVER = enum.auto()


@dataclass(slots=True)
class Attempts:
    """The tries of one call: how many there were, and what its deadline leaves. Not thread-safe."""

    policy: RetryPolicy
    clock: Callable[[], float]
    random: Callable[[], float]
    deadline_s: float | None
    repeat: Repeat = Repeat.ALWAYS
    may_wait: bool = False
    count: int = 0

    @classmethod
    def begin(
        cls,
        policy: RetryPolicy,
        *,
        clock: Callable[[], float],
        random: Callable[[], float],
        timeout_s: float | None,
        repeat: Repeat = Repeat.ALWAYS,
        may_wait: bool = False,
    ) -> Attempts:
        """Start the clock. Without ``timeout_s`` there is no deadline."""
        deadline_s = None if timeout_s is None else clock() + timeout_s
        return cls(policy, clock, random, deadline_s, repeat, may_wait)

    def next_timeout_s(self) -> float | None:
        """Count one more try; return the time it has, 0 at the least."""
        self.count += 1
        return self.remaining_s()

    def remaining_s(self) -> float | None:
        """Time until the deadline, 0 at the least; None if there is no deadline."""
        return None if self.deadline_s is None else max(0.0, self.deadline_s - self.clock())

    def call_timeout_s(self) -> float:
        """Time until the deadline as a timeout for a further call; ``math.inf`` without one."""
        left_s = self.remaining_s()
        return math.inf if left_s is None else left_s

    def delay_s(self, error: VoxswapClientError) -> float | None:
        """See `RetryPolicy.delay_s`; None as well for a call that must not be made again."""
        if self.repeat is Repeat.NEVER:
            return None
        if self.repeat is Repeat.IF_ASKED and error.retry_after_s is None:
            return None
        return self.policy.delay_s(
            error,
            attempts=self.count,
            remaining_s=self.remaining_s(),
            random=self.random,
            may_wait=self.may_wait,
        )
