"""Voices that may not speak for a while, because a step of theirs took longer than any may."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from voxswap_server.residency.errors import VoiceBarredError

_FIRST_S, _LONGEST_S = 60.0, 3_600.0
_KEPT = 1024


@dataclass(frozen=True, slots=True)
class Bar:
    """``ref`` may not speak until ``until_s``; it is the ``times``-th time in a row."""

    ref: str
    until_s: float
    for_s: float
    times: int


class Bars:
    """Which versions (``voice@version``) may not speak. Confined to one thread; never blocks.

    The first time it is for a minute, then for twice as long each time, up to an hour. An hour
    without another time forgets it, and so does `lift`. The latest `_KEPT` are kept.
    """

    def __init__(
        self, clock: Callable[[], float], on_bar: Callable[[Bar], None] = lambda bar: None
    ) -> None:
        self._clock = clock
        self._on_bar = on_bar
        self._known: OrderedDict[str, Bar] = OrderedDict()

    def bar(self, ref: str) -> None:
        """``ref`` may not speak from now on. Several streams of one may say so: it counts once."""
        now, known = self._clock(), self._known.get(ref)
        if known is not None and known.until_s > now:
            return
        times = 1
        if known is not None and now < known.until_s + _LONGEST_S:
            times = known.times + 1
        for_s = min(_LONGEST_S, _FIRST_S * 2.0 ** min(times - 1, 16))
        bar = self._known[ref] = Bar(ref, now + for_s, for_s, times)
        self._known.move_to_end(ref)
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)
        self._on_bar(bar)

    def lift(self, ref: str) -> None:
        """An operator wants ``ref`` to be tried."""
        self._known.pop(ref, None)

    def left_s(self, ref: str) -> float:
        """How long ``ref`` may not speak yet; 0 if it may."""
        bar = self._known.get(ref)
        return 0.0 if bar is None else max(0.0, bar.until_s - self._clock())

    def check(self, ref: str) -> None:
        """Raise `VoiceBarredError` if ``ref`` may not speak."""
        if (left_s := self.left_s(ref)) > 0:
            bar = self._known[ref]
            times = "" if bar.times == 1 else f", {bar.times} times in a row"
            error = VoiceBarredError(
                f"{ref} took longer for a step of speech than any voice may{times}, and is barred "
                f"for another {left_s:.0f} s; use another voice or version, or let an operator "
                f"try it: voxswap load {ref}",
                metadata={"voice": ref},
            )
            error.retry_s = left_s
            raise error

    def __len__(self) -> int:
        """How many may not speak now. From any thread."""
        now = self._clock()
        return sum(bar.until_s > now for bar in tuple(self._known.values()))
