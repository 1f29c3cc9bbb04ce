"""Voices that are made by hand: known audio, and a front-end that reads letters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from voxswap_families.contract import Delivery
from voxswap_families.text import NormalizedText, Phone, SymbolSequence
from voxswap_families.work import Work

RATE, HOP = 22050, 256


Samples = npt.NDArray[np.float32]


class FakeUtterance:
    held_bytes = 0

    def __init__(self, voice: FakeVoice, n_symbols: int) -> None:
        self._voice = voice
        self.frames = max(1, len(voice.audio) // HOP)
        self.durations_frames = [self.frames] + [0] * (n_symbols - 1)

    def decode(self, first_frame: int, last_frame: int) -> Work[Samples]:
        return Work.of(lambda: self._decoded(first_frame, last_frame))

    def _decoded(self, first_frame: int, last_frame: int) -> Samples:
        self._voice.steps += 1
        if self._voice.fault is not None:
            raise self._voice.fault
        return self._voice.audio[first_frame * HOP : last_frame * HOP]


class FakeVoice:
    """Says the same whatever it is given."""

    def most_symbols(self, rate: float) -> int:
        return 1_000

    def __init__(self, audio: Samples) -> None:
        self.audio = audio
        self.fault: Exception | None = None
        self.steps = 0
        self.deliveries: list[Delivery] = []

    def prepare(self, ids: Sequence[int], delivery: Delivery) -> Work[FakeUtterance]:
        self.deliveries.append(delivery)
        return Work.of(lambda: FakeUtterance(self, len(ids)))


class FakeFrontEnd:
    """Reads the letters that it knows."""

    def __init__(self, letters: str) -> None:
        self.letters = letters
        self.texts: list[str] = []

    def symbols(self, text: NormalizedText) -> SymbolSequence:
        self.texts.append(text.text)
        known = [letter for letter in text.text.lower() if letter in self.letters]
        phones = tuple(Phone(letter, n, n + 1, 0) for n, letter in enumerate(known))
        return SymbolSequence(tuple(range(len(known))), phones)
