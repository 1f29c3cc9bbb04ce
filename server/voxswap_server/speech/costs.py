"""What speaking costs, by kind of voice: learnt from each piece of work as it ends. Pure."""

from __future__ import annotations

import enum
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TypeAlias


class Resource(enum.IntEnum):
    """What speech takes time of.

    Of the threads for steps, of the one for long steps and of the event loop it is time by the
    clock, in which they can do nothing else; of the cores it is time computed.
    """

    STEPS = 0
    LONG_STEPS = 1
    LOOP = 2
    CORES = 3


# Seconds of each resource, in their order.
Usage: TypeAlias = tuple[float, float, float, float]
NOTHING: Usage = (0.0, 0.0, 0.0, 0.0)


def plus(a: Usage, b: Usage) -> Usage:
    """The sum."""
    return (a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3])


def times(a: Usage, factor: float) -> Usage:
    """``factor`` times as much."""
    return (a[0] * factor, a[1] * factor, a[2] * factor, a[3] * factor)


@dataclass(frozen=True, slots=True)
class Costs:
    """What lines of one kind take.

    Characters are *spoken* ones: those of segments, divided by the rate, since at half the rate
    there is twice the audio. ``prepare`` is for one of them, which lasts ``audio_s``; ``decode`` is
    for a second of audio.
    """

    prepare: Usage
    decode: Usage
    audio_s: float


# A little of what was believed, so that the first observation is nearly all that counts after it.
_PRIOR_CHARACTERS, _PRIOR_AUDIO_S = 5.0, 0.05
_FADING_CHARACTERS, _FADING_AUDIO_S = 1_000.0, 60.0
_MOST_SURPRISE = 4.0
# Of a second of audio; most encodings take less.
_ENCODING: Usage = (0.0, 0.0, 0.002, 0.002)


class _Mean:
    """A running mean: a sum of costs by a sum of units, both of which fade.

    What is paid once (a lexicon is read, a library loaded, a kernel made) tells nothing of the next
    time. So no observation counts for more than a few times of what was expected of it.
    """

    def __init__(self, prior: Usage, units: float, fades_after: float) -> None:
        """``prior`` counts like ``units``; of what is ``fades_after`` units old, 1/e counts."""
        self._sum, self._units = times(prior, units), units
        self._fades_after = fades_after

    def learn(self, usage: Usage, units: float) -> None:
        kept = max(0.0, 1.0 - units / self._fades_after)
        most = times(self.value, _MOST_SURPRISE * units)
        a, b, c, d = (min(found, m) if m else found for found, m in zip(usage, most, strict=True))
        self._sum = plus(times(self._sum, kept), (a, b, c, d))
        self._units = kept * self._units + units

    @property
    def value(self) -> Usage:
        return times(self._sum, 1.0 / self._units)


class KindCosts:
    """What one kind of voice costs, as far as it is known. Not thread-safe."""

    def __init__(self, prior: Costs) -> None:
        """``prior`` holds until something was measured."""
        self._prepare = _Mean(prior.prepare, _PRIOR_CHARACTERS, _FADING_CHARACTERS)
        self._decode = _Mean(prior.decode, _PRIOR_AUDIO_S, _FADING_AUDIO_S)
        self._audio = _Mean(
            (prior.audio_s, 0.0, 0.0, 0.0), _PRIOR_CHARACTERS, 10 * _FADING_CHARACTERS
        )

    def prepared(self, characters: float, audio_s: float, usage: Usage) -> None:
        """So many spoken characters were prepared, and have so much audio."""
        if characters > 0 and audio_s > 0:
            self._prepare.learn(usage, characters)
            self._audio.learn((audio_s, 0.0, 0.0, 0.0), characters)

    def decoded(self, audio_s: float, usage: Usage) -> None:
        """So much audio was decoded."""
        if audio_s > 0:
            self._decode.learn(usage, audio_s)

    @property
    def costs(self) -> Costs:
        """What is known now."""
        return Costs(
            self._prepare.value,
            self._decode.value,
            self._audio.value[0],
        )


class CostBook:
    """Costs of all kinds; of those that are asked for least recently nothing is kept.

    Not thread-safe.
    """

    _MOST_KINDS = 1_024

    def __init__(self) -> None:
        self._kinds: dict[Hashable, KindCosts] = {}
        self._encodings: dict[Hashable, _Mean] = {}

    def of(self, kind: Hashable, prior: Callable[[], Costs]) -> KindCosts:
        """What is known of ``kind``; ``prior`` is believed of one that was never heard."""
        found = self._kinds.pop(kind, None) or KindCosts(prior())
        self._kinds[kind] = found  # the last one now
        if len(self._kinds) > self._MOST_KINDS:
            del self._kinds[next(iter(self._kinds))]
        return found

    def encoded(self, encoding: Hashable, audio_s: float, usage: Usage) -> None:
        """So much audio was encoded."""
        if audio_s > 0:
            if encoding not in self._encodings:
                self._encodings[encoding] = _Mean(_ENCODING, _PRIOR_AUDIO_S, _FADING_AUDIO_S)
            self._encodings[encoding].learn(usage, audio_s)

    def encode(self, encoding: Hashable) -> Usage:
        """What encoding a second of audio takes, as far as is known."""
        found = self._encodings.get(encoding)
        return _ENCODING if found is None else found.value


class BusyMeter:
    """How busy something was over the last seconds. Pure: times come in. Not thread-safe."""

    WINDOW_S = 4.0
    _BUCKET_S = 0.5

    def __init__(self) -> None:
        self._buckets: dict[int, float] = {}

    def add(self, busy_s: float, ended_s: float) -> None:
        """It was busy for so long until then."""
        bucket = int(ended_s // self._BUCKET_S)
        if bucket not in self._buckets:
            self._forget(ended_s)
        self._buckets[bucket] = self._buckets.get(bucket, 0.0) + busy_s

    def share(self, now_s: float) -> float:
        """Busy seconds for each second of late."""
        self._forget(now_s)
        return sum(self._buckets.values()) / self.WINDOW_S

    def _forget(self, now_s: float) -> None:
        first = int((now_s - self.WINDOW_S) // self._BUCKET_S) + 1
        for bucket in [b for b in self._buckets if b < first]:
            del self._buckets[bucket]
