"""The fake family: an engine whose weights are a few bytes, and a voice that says known audio.

It keeps the contract that the real ones keep (``tests/families/test_contract.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voxswap_families import reading
from voxswap_families.contract import (
    Delivery,
    DevicePart,
    HostPart,
    LoadedVoice,
    PartSpec,
    Utterance,
)
from voxswap_families.symbols import SymbolTable
from voxswap_families.text import FrontEnd, NormalizedText, Phone, SymbolSequence
from voxswap_families.work import Work
from voxswap_registry.errors import EngineError
from voxswap_registry.manifest import FrontEndSpec, Manifest
from voxswap_registry.storage.verified import VerifiedFile
from voxswap_server.text.characters import CharacterFrontEnd

Samples = npt.NDArray[np.float32]

RATE, HOP = 22050, 256
FRAMES, LEVEL = 40, 0.25
HELD_BYTES = 7
N_SYMBOLS = 1 << 20
LETTERS = "abcdefghijklmnopqrstuvwxyz"
WEIGHTS = b"weights"  # what those of the fake engine end with
SYMBOLS = b'{"layout": "blanks", "symbols": {"a": [1]}}'


def steady(level: float) -> Samples:
    """Audio that is recognised by its level."""
    return np.full(FRAMES * HOP, level, np.float32)


_USUAL = steady(LEVEL)


class FakeUtterance:
    held_bytes = HELD_BYTES

    def __init__(self, voice: FakeVoice, n_symbols: int, rate: float) -> None:
        frames = max(1, len(voice.audio) // HOP)
        self.frames = max(1, round(frames / rate))
        self.durations_frames = [self.frames] + [0] * (n_symbols - 1)
        self._voice = voice
        stretched = self.frames != frames
        self._audio = np.resize(voice.audio, self.frames * HOP) if stretched else voice.audio
        self._told = 0

    def decode(self, first_frame: int, last_frame: int) -> Work[Samples]:
        if not self._told == first_frame < last_frame <= self.frames:
            raise ValueError(f"frames {first_frame}:{last_frame} of {self.frames}")
        self._told = last_frame

        def decoded() -> Samples:
            self._voice.step("decode")
            return self._audio[first_frame * HOP : last_frame * HOP]

        return Work.of(decoded)


class FakeVoice:
    """Says ``audio`` whatever it is given, and longer if it is to be slower.

    It keeps each step and each delivery; ``during`` is called in each step, and may wait or raise.
    """

    def __init__(
        self,
        audio: Samples = _USUAL,
        *,
        during: Callable[[str], object] = lambda step: None,
        parts: Mapping[str, object] | None = None,
    ) -> None:
        self.audio = audio
        self.during = during
        self.parts = dict(parts or {})
        self.steps: list[str] = []
        self.deliveries: list[Delivery] = []

    def most_symbols(self, rate: float) -> int:
        return 1_000

    def step(self, what: str) -> None:
        self.steps.append(what)
        self.during(what)

    def prepare(self, ids: Sequence[int], delivery: Delivery) -> Work[Utterance]:
        if not len(ids) > 0 or min(ids) < 0 or max(ids) >= N_SYMBOLS:
            raise EngineError(f"{len(ids)} symbols, of which some are outside 0 to {N_SYMBOLS - 1}")
        self.deliveries.append(delivery)

        def prepared() -> Utterance:
            self.step("prepare")
            return FakeUtterance(self, len(ids), delivery.rate)

        return Work.of(prepared)


class FakeFrontEnd:
    """Reads the letters that it knows, each as its place among them; all that are any if None."""

    def __init__(self, letters: str | None = LETTERS) -> None:
        self.letters = letters
        self.texts: list[str] = []

    def symbols(self, text: NormalizedText) -> SymbolSequence:
        self.texts.append(text.text)
        known = [c for c in text.text.lower() if self.letters is None or c in self.letters]
        phones = tuple(Phone(letter, n, n + 1, 0) for n, letter in enumerate(known))
        return SymbolSequence(tuple(range(len(known))), phones)


def characters(spec: FrontEndSpec, table: SymbolTable, language: str) -> FrontEnd:
    """The front-end of any voice here: it needs no process and no lexicon."""
    del spec, language
    return CharacterFrontEnd(table, lowercase=False)


@dataclass(frozen=True)
class FakePart:
    resident_bytes: int
    allocated_bytes: int = 0


@dataclass(eq=False)
class FakeHostPart:
    host_bytes: int
    data: bytes = b""

    def place(self) -> DevicePart:
        return FakePart(len(self.data) or self.host_bytes)


class FakeEngine:
    """Reads weights of all roles, and the symbols as every engine does."""

    name = "fake"
    steps_may_be_long = False

    def __init__(self) -> None:
        self.reads: list[str] = []
        self.host_bytes = 0

    def check(self, manifest: Manifest) -> None:
        pass

    def parts(self, manifest: Manifest) -> Sequence[PartSpec]:
        form = str(manifest.engine_config)
        own = (c for c in manifest.components if c.role != reading.ROLE)
        return [*(PartSpec(c.role, form, c.size_bytes) for c in own), reading.part(manifest)]

    def workspace_bytes(self, manifest: Manifest, *, largest_chunk_s: float) -> int:
        return round(1000 * largest_chunk_s)

    def pace(self, manifest: Manifest) -> None:
        return None

    def warm_up(self) -> None:
        pass

    def read(self, manifest: Manifest, role: str, file: VerifiedFile) -> HostPart:
        if role == reading.ROLE:
            return reading.read(manifest, file, characters)
        self.reads.append(role)
        return self.taken_up(manifest, file)

    def taken_up(self, manifest: Manifest, file: VerifiedFile) -> HostPart:
        """What becomes of a component with weights."""
        data = file.read_bytes()
        if not data.endswith(WEIGHTS):
            raise EngineError(f"{manifest.ref}: {data[:10]!r} are no weights")
        return FakeHostPart(self.host_bytes, data)

    def assemble(self, manifest: Manifest, parts: Mapping[str, DevicePart]) -> LoadedVoice:
        front_end = reading.front_end_of(manifest, parts)
        own = {role: part for role, part in parts.items() if role != reading.ROLE}
        return LoadedVoice(manifest.ref, FakeVoice(parts=own), front_end)
