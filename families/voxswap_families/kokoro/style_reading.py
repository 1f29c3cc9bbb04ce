"""A delivery that was heard, as the mixture of a base's styles that is expected to sound like it.

Half of a style is who speaks, half is how (columns 128 to 255): pitch, its range, pace and stress
come of the second half alone, whoever speaks. So a style here is 128 numbers: what the mean of a
voice's second half becomes. How each pack is spoken was measured once (`pack_prosody`); of a
mixture it is taken to be the mixture of that, and of a voice that is itself a mixture too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from voxswap_families.kokoro import format as kokoro
from voxswap_families.kokoro.pack_prosody import LINE_TO_LINE, PACK_PROSODY
from voxswap_families.prosody_measures import Prosody
from voxswap_families.styles import StyleFound, StyleShare
from voxswap_registry.manifest import Manifest

Floats = npt.NDArray[np.float64]

# Rows of the lengths that most segments have. Those of a few symbols are far from all others, in
# every pack alike.
_ROWS: Final = slice(30, 160)
#: How far from its own a voice is taken, in each measure: pitch in semitones, range in semitones,
#: syllables a second, stress in dB, share of pauses. Beyond, it is no longer the voice.
MOST_MOVED: Final = np.array([5.0, 3.0, 1.2, 1.5, 0.15])
_FAR: Final = 0.02  # what a squared step away from the voice's own style costs
_STEPS: Final = 1000
_ENOUGH: Final = 1e-4
_LEAST_SHARE: Final = 0.02
_MOST_SHARES: Final = 8
_LEAST_KINDRED: Final = 4


class KokoroStyles:
    """See `voxswap_families.styles.StyleReader`. Stateless."""

    role = "style"

    def sources(self, voice: Manifest, others: Iterable[Manifest]) -> list[Manifest]:
        """``voice`` first, then those on its base whose style was measured, each style once.

        Of its own language, if there are enough: a rhythm of another one is heard as an accent.
        """
        base = voice.component("base").digest
        own = voice.component(self.role).digest
        found: dict[str, Manifest] = {}
        for other in others:
            if other.engine == kokoro.ENGINE and other.component("base").digest == base:
                digest = other.component(self.role).digest
                if digest in PACK_PROSODY and digest != own:
                    found.setdefault(digest, other)
        language = _primary(voice)
        kindred = [other for other in found.values() if _primary(other) == language]
        return [voice, *(kindred if len(kindred) >= _LEAST_KINDRED else found.values())]

    def summary(self, data: bytes) -> tuple[float, ...]:
        """The mean of its second half. Raises ValueError for what is no style."""
        return tuple(map(float, prosody_half(kokoro.style_from_bytes(data))))

    def read(
        self,
        sources: Sequence[Manifest],
        summaries: Mapping[str, tuple[float, ...]],
        heard: Prosody,
    ) -> StyleFound:
        """The nearest mixture; takes some milliseconds. ``summaries`` are by style's digest."""
        digests = [source.component(self.role).digest for source in sources]
        styles = np.array([summaries[digest] for digest in digests])
        spoken = np.array([PACK_PROSODY.get(digest, (0.0,) * 5) for digest in digests])
        if digests[0] not in PACK_PROSODY:
            spoken[0] = _mixture(styles[1:].T, styles[0]) @ spoken[1:]
        scale = np.array(LINE_TO_LINE)
        wanted = measured(heard)
        target = spoken[0] + np.clip(wanted - spoken[0], -MOST_MOVED, MOST_MOVED)
        far = np.square(styles - styles[0]).sum(axis=1)
        weights = _mixture((spoken / scale).T, target / scale, cost=_FAR * far)
        weights[weights < _LEAST_SHARE] = 0.0
        weights[np.argsort(-weights)[_MOST_SHARES:]] = 0.0
        weights /= weights.sum()
        expected = weights @ spoken
        if _similarity(expected, wanted) <= _similarity(spoken[0], wanted):
            weights = np.eye(len(sources))[0]
            expected = spoken[0]
        return StyleFound(
            values=tuple(map(float, (weights @ styles).astype(np.float32))),
            similarity=_similarity(expected, wanted),
            similarity_without=_similarity(spoken[0], wanted),
            expected=_prosody(expected),
            mixture=tuple(
                StyleShare(sources[place].ref, float(weights[place]))
                for place in np.argsort(-weights)
                if weights[place]
            ),
        )


def prosody_half(style: kokoro.Style) -> Floats:
    """``(128,)``: the second half of a pack, or of one that became one, on average."""
    mean: Floats = style[_ROWS, kokoro.TIMBRE_SIZE :].mean(axis=0, dtype=np.float64)
    return mean


def moved(style: kokoro.Style, row: int, values: Sequence[float]) -> kokoro.Style:
    """``(1, 256)``: a row of ``style``, spoken with ``values`` as the mean of its second half."""
    found = style[row : row + 1].copy()
    found[0, kokoro.TIMBRE_SIZE :] += (np.asarray(values) - prosody_half(style)).astype(np.float32)
    return found


def measured(heard: Prosody) -> Floats:
    """``heard`` as the five numbers of the table: pitch in semitones above 100 Hz first."""
    return np.array(
        [
            12 * np.log2(max(heard.pitch_hertz, 1.0) / 100),
            heard.range_semitones,
            heard.syllables_per_s,
            heard.stress_db,
            heard.pauses,
        ]
    )


def _prosody(numbers: Floats) -> Prosody:
    pitch, spread, pace, stress, pauses = map(float, numbers)
    return Prosody(100 * 2 ** (pitch / 12), spread, pace, stress, pauses)


def _similarity(expected: Floats, wanted: Floats) -> float:
    """1: no further from each other than two lines of one speaker are; e^-1/2 as much again."""
    apart = np.square((expected - wanted) / np.array(LINE_TO_LINE)).mean() / 2
    return float(np.exp(-0.5 * max(0.0, apart - 1)))


def _primary(manifest: Manifest) -> str:
    return manifest.language.lower().partition("-")[0]


def _mixture(columns: Floats, target: Floats, *, cost: Floats | float = 0.0) -> Floats:
    """Shares, none below 0, together 1, whose mixture of ``columns`` is nearest to ``target``.

    Least squares and ``cost`` of each share, from the first one on: what costs most gives to what
    gains most, as much as is best (pairwise Frank-Wolfe; Lacoste-Julien and Jaggi, "On the global
    linear convergence of Frank-Wolfe optimization variants", 2015). Few shares are not 0.
    """
    shares = np.zeros(columns.shape[1])
    shares[0] = 1.0
    apart = columns[:, 0] - target
    for _ in range(_STEPS):
        slope = columns.T @ apart + cost
        gains = int(slope.argmin())
        gives = int(np.where(shares > 0, slope, -np.inf).argmax())
        if slope[gives] - slope[gains] < _ENOUGH:
            break
        way = columns[:, gains] - columns[:, gives]
        step = min(float(shares[gives]), float((slope[gives] - slope[gains]) / (way @ way + 1e-12)))
        shares[gains] += step
        shares[gives] -= step
        apart += step * way
    return shares
