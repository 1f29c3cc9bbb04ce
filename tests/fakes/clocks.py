"""A clock that stands still until a test moves it, or somebody sleeps by it."""

from __future__ import annotations

from collections.abc import Callable


class FakeClock:
    """Seconds. ``sleeps`` are the waits that were asked for; ``on_sleep`` is called after each."""

    def __init__(self, now_s: float = 100.0) -> None:
        self.now_s = now_s
        self.sleeps: list[float] = []
        self.on_sleep: Callable[[], object] = lambda: None

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now_s += seconds
        self.on_sleep()

    async def sleep_async(self, seconds: float) -> None:
        self.sleep(seconds)
