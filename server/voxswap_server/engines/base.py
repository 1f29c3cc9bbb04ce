"""The contract between the server and its engines.

An engine computes. It owns no threads, no cache and no clock: whoever calls it decides on which
thread, in which order, and how much at a time. Methods marked *step* run on the device's compute
thread and take a bounded time; methods marked *load* run on a loading thread and may block on disk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from voxswap_registry.manifest import Manifest

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Delivery:
    """How symbols are to be spoken. Validated before it gets here.

    ``rate`` is a factor on the voice's own speed. Noise scales are standard deviations. ``seed``
    makes the result repeatable, whatever else the device is doing.
    """

    rate: float
    noise_scale: float
    duration_noise_scale: float
    seed: int
    speaker: int = 0


class Utterance(Protocol):
    """One segment whose durations are known and whose audio can be decoded piece by piece.

    Not thread-safe: its steps run one after the other. Dropping it frees what it holds.
    """

    @property
    def durations_frames(self) -> Sequence[int]:
        """Frames that each input symbol lasts; they sum to `frames`."""
        ...

    @property
    def frames(self) -> int:
        """Length of the segment in frames of the voice's hop length."""
        ...

    def decode(self, first_frame: int, last_frame: int) -> npt.NDArray[np.float32]:
        """*Step.* Audio of ``[first_frame, last_frame)``: ``(samples,)`` float32 in [-1, 1].

        Pieces joined are the whole: the result does not depend on where the cuts are (up to float
        rounding). Calls must go forward: ``first_frame`` is the ``last_frame`` of the call before.
        Raises `EngineError` if the arithmetic gives something that is no audio.
        """
        ...


class Voice(Protocol):
    """A voice whose weights are on the device. Immutable, so its steps may serve many streams."""

    @property
    def resident_bytes(self) -> int:
        """Bytes that its weights take on the device."""
        ...

    def prepare(self, ids: Sequence[int], delivery: Delivery) -> Utterance:
        """*Step.* Everything that needs the whole segment. ``ids`` are its symbols, not empty."""
        ...


class Engine(Protocol):
    """Code for one model family. Stateless and thread-safe."""

    name: str

    def check(self, manifest: Manifest) -> None:
        """Raise `EngineError` or `ManifestError` for a manifest that `load` would refuse.

        From the manifest alone; never blocks. Weights may still turn out not to fit it.
        """
        ...

    def footprint_bytes(self, manifest: Manifest) -> int:
        """An upper bound of `Voice.resident_bytes`, from the manifest alone; never blocks.

        1. Weights count at their stored size, or at the size they are converted to.
        2. Activations do not count: they belong to the steps, not to the voice.
        3. Whatever `load` needs for a moment only counts in full.
        """
        ...

    def warm_up(self) -> None:
        """*Step.* Pay what a process pays once (imports, kernels) before the first request."""
        ...

    def load(self, manifest: Manifest, components: Mapping[str, Path]) -> Voice:
        """*Load.* Take the verified ``components`` (by role) up into a voice.

        Raises `EngineError` or `ManifestError`; leaves nothing behind if it does.
        """
        ...
