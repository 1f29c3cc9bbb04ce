"""What speaking costs, by kind of voice: learnt from each piece of work as it ends. Pure."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TypeAlias


class Resource(enum.IntEnum):
    """What speech takes time of. Each kind of thread is one, and the cores that all share."""

    STEPS = 0
    LONG_STEPS = 1
    LOOP = 2
    CORES = 3


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is to compute with: threads for steps, and cores that all have in common."""

    threads: int
    cores: float

    def of(self, resource: Resource) -> float:
        """Seconds of it for each second."""
        return {Resource.STEPS: self.threads, Resource.CORES: self.cores}.get(resource, 1.0)


# Seconds of each resource, in their order; computed ones, without what others took meanwhile.
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
LEAST_AUDIO_S = 1e-3  # a frame has more
# Of a second of audio; most encodings take less.
_ENCODING: Usage = (0.0, 0.0, 0.002, 0.002)


class Mean:
    """A running mean: a sum of costs by a sum of units, both of which fade.

    What is paid once (a lexicon is read, a library loaded, a kernel made) tells nothing of the next
    time. So no observation counts for more than a few times of what was expected of it.
    """

    def __init__(self, prior: Usage, units: float, fades_after: float) -> None:
        """``prior`` counts like ``units``; of what is ``fades_after`` units old, 1/e counts."""
        self._sum, self._units = times(prior, units), units
        self._fades_after = fades_after

    def learn(self, usage: Usage, units: float) -> None:
        """So many units cost that."""
        kept = max(0.0, 1.0 - units / self._fades_after)
        most = times(self.value, _MOST_SURPRISE * units)
        a, b, c, d = (min(found, m) if m else found for found, m in zip(usage, most, strict=True))
        self._sum = plus(times(self._sum, kept), (a, b, c, d))
        self._units = kept * self._units + units

    @property
    def value(self) -> Usage:
        """Of one unit."""
        return times(self._sum, 1.0 / self._units)


class KindCosts:
    """What one kind of voice costs, as far as it is known. Not thread-safe."""

    def __init__(self, prior: Costs) -> None:
        """``prior`` holds until something was measured."""
        self._prepare = Mean(prior.prepare, _PRIOR_CHARACTERS, _FADING_CHARACTERS)
        self._decode = Mean(prior.decode, _PRIOR_AUDIO_S, _FADING_AUDIO_S)
        self._audio = Mean(
            (prior.audio_s, 0.0, 0.0, 0.0), _PRIOR_CHARACTERS, 10 * _FADING_CHARACTERS
        )
        # By size of the window: the first ones bring context along, which later ones have.
        self._windows: dict[int, Mean] = {}
        self.costs = prior  # what is known now

    def prepared(self, characters: float, audio_s: float, usage: Usage) -> None:
        """So many spoken characters were prepared, and have so much audio."""
        if characters > 0 and audio_s >= LEAST_AUDIO_S:
            self._prepare.learn(usage, characters)
            self._audio.learn((audio_s, 0.0, 0.0, 0.0), characters)
            self._learnt()

    def decoded(self, audio_s: float, usage: Usage) -> None:
        """So much audio was decoded."""
        if audio_s >= LEAST_AUDIO_S:
            self._decode.learn(usage, audio_s)
            known = Mean(self.costs.decode, _PRIOR_AUDIO_S, _FADING_AUDIO_S)
            self._windows.setdefault(_size(audio_s), known).learn(usage, audio_s)
            self._learnt()

    def _learnt(self) -> None:
        self.costs = Costs(self._prepare.value, self._decode.value, self._audio.value[0])

    def window(self, audio_s: float) -> Usage:
        """What decoding a window of so much audio takes."""
        found = self._windows.get(_size(audio_s))
        return times(self.costs.decode if found is None else found.value, audio_s)


def _size(audio_s: float) -> int:
    """Windows of about the same size have the same."""
    return round(math.log2(max(audio_s, 0.02)))


class CostBook:
    """Costs of all kinds; of those that are asked for least recently nothing is kept.

    Not thread-safe.
    """

    _MOST_KINDS = 1_024

    def __init__(self) -> None:
        self._kinds: dict[Hashable, KindCosts] = {}
        self._encodings: dict[Hashable, Mean] = {}

    def of(self, kind: Hashable, prior: Callable[[], Costs]) -> KindCosts:
        """What is known of ``kind``; ``prior`` is believed of one that was never heard."""
        found = self._kinds.pop(kind, None) or KindCosts(prior())
        self._kinds[kind] = found  # the last one now
        if len(self._kinds) > self._MOST_KINDS:
            del self._kinds[next(iter(self._kinds))]
        return found

    def encoding(self, encoding: Hashable) -> Mean:
        """What a second of audio takes to encode."""
        if encoding not in self._encodings:
            self._encodings[encoding] = Mean(_ENCODING, _PRIOR_AUDIO_S, _FADING_AUDIO_S)
        return self._encodings[encoding]
