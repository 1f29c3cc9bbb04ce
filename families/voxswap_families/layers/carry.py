"""What convolutions remember between the pieces of a signal, so that pieces equal the whole.

A convolution of kernel k sees (k - 1) / 2 samples to either side. Over a signal that comes in
pieces it gives what it can, and keeps the end of its input: nothing is computed twice, and nothing
depends on where the cuts are, since every sum has the same terms. The price is delay: a network
gives its first sample when it has seen its reach.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor


class Carry:
    """The memory of one signal on its way through one network. Not thread-safe.

    Layers take their slots in the order in which they run, which is the same for every piece.
    Signals are ``(batch, channels, 1, time)``, stored channels last; pieces may be empty.
    """

    def __init__(self) -> None:
        self._slots: list[Tensor | None] = []
        self._emitted: dict[int, int] = {}  # by slot: how much of the signal its context has left
        self._reach: dict[int, int] = {}  # by slot: how far its context reaches
        self._next = 0
        self.is_last = False
        self.emitted = 0
        # Samples at the end of the last piece that are no part of the signal; layers that make it
        # longer count on. They are zero before each convolution, as what lies beyond an end is.
        self.beyond = 0

    def begin(self, *, last: bool, beyond: int = 0) -> None:
        """The next piece comes; ``last``: no other will, and its last ``beyond`` are no signal."""
        self._next = 0
        self.is_last = last
        self.beyond = beyond

    @property
    def kept_bytes(self) -> int:
        """What it remembers, in memory."""
        return sum(slot.nbytes for slot in self._slots if slot is not None)

    @property
    def state(self) -> Hashable:
        """Pieces of one length and state have one shape at every layer, and so can go together."""
        kept = tuple(0 if slot is None else slot.shape[3] for slot in self._slots)
        return kept, tuple(min(self._emitted.get(n, 0), reach) for n, reach in self._reach.items())

    @classmethod
    def joined(cls, carries: Sequence[Carry]) -> Carry:
        """One memory for several signals in the same `state`, along the batch axis."""
        one, first = cls(), carries[0]
        for slots in zip(*(carry._slots for carry in carries), strict=True):
            one._slots.append(torch.cat([slot for slot in slots if slot is not None]))
        # Of the signals' beginnings, which may differ, nothing is within a context any more; or
        # they do not differ.
        one._emitted, one._reach = dict(first._emitted), dict(first._reach)
        return one

    def parted(self) -> list[Carry]:
        """The memory of each signal of a batch."""
        parts = []
        batches = [slot.chunk(slot.shape[0]) for slot in self._slots if slot is not None]
        for slots in zip(*batches, strict=True):
            part = Carry()
            part._slots = list(slots)
            part._emitted, part._reach = dict(self._emitted), dict(self._reach)
            parts.append(part)
        return parts

    def with_context(self, x: Tensor, before: int, after: int | None = None) -> Tensor:
        """``x`` between the ``before`` and ``after`` samples that a convolution sees beside it.

        As many ``after`` as ``before`` if nothing is said; beyond both ends of the signal there are
        zeros. What a convolution without padding makes of it are the samples that can be emitted by
        now. ``emitted`` is how many it emitted before: with less than ``before`` of them, the
        beginning of the signal is still within the context.
        """
        after = before if after is None else after
        kept = self._take()
        if kept is None:
            kept = _zeros_like(x, before)
        joined = [kept, x, _zeros_like(x, after)] if self.is_last and after else [kept, x]
        whole = _joined(joined)
        left = max(0, whole.shape[3] - before - after)
        self.emitted = self._emitted.get(self._next, 0)
        self._reach[self._next] = before
        self._emitted[self._next] = self.emitted + left
        self._keep(whole[..., left:])
        return whole

    def with_tail(self, x: Tensor, length: int) -> tuple[Tensor, int]:
        """``x`` after the last ``length`` samples before it, and how many of those there are."""
        before = self._take()
        whole = x if before is None else _joined([before, x])
        self._keep(whole[..., max(0, whole.shape[3] - length) :])
        return whole, whole.shape[3] - x.shape[3]

    def with_strides(
        self, x: Tensor, before: int, after: int, *, kernel: int, stride: int
    ) -> Tensor:
        """`with_context` for a convolution that goes on by ``stride`` samples at a time."""
        kept = self._take()
        if kept is None:
            kept = _zeros_like(x, before)
        joined = [kept, x, _zeros_like(x, after)] if self.is_last and after else [kept, x]
        whole = _joined(joined)
        steps = max(0, (whole.shape[3] - kernel) // stride + 1)
        self._keep(whole[..., steps * stride :])
        return whole

    def delayed(self, x: Tensor, length: int) -> Tensor:
        """The next ``length`` samples of a signal of which ``x`` comes now; others are kept."""
        kept = self._take()
        whole = x if kept is None or not kept.shape[3] else _joined([kept, x])
        self._keep(whole[..., length:])
        return whole[..., :length]

    def together(self, signals: Sequence[Tensor]) -> list[Tensor]:
        """Of each as much as all have by now: branches give their samples with other delays."""
        slots = self._slots[self._next : self._next + len(signals)] or [None] * len(signals)
        kept = [0 if slot is None else slot.shape[3] for slot in slots]
        ready = min(x.shape[3] + n for x, n in zip(signals, kept, strict=True))
        return [self.delayed(x, ready) for x in signals]

    def _take(self) -> Tensor | None:
        if self._next == len(self._slots):
            self._slots.append(None)
        self._next += 1
        return self._slots[self._next - 1]

    def _keep(self, tail: Tensor) -> None:
        # A copy: a view would keep all of the piece that it is the end of.
        self._slots[self._next - 1] = tail.clone()


def silenced(x: Tensor, beyond: int) -> Tensor:
    """``x`` itself, with its last ``beyond`` samples zero."""
    if beyond:
        x[..., max(0, x.shape[3] - beyond) :].zero_()
    return x


def _zeros_like(x: Tensor, length: int) -> Tensor:
    batch, channels, _, _ = x.shape
    return x.new_zeros(batch, 1, length, channels).permute(0, 3, 1, 2)


def _joined(pieces: list[Tensor]) -> Tensor:
    """One after the other in time, channels last."""
    return torch.cat([p.permute(0, 2, 3, 1) for p in pieces], dim=2).permute(0, 3, 1, 2)
