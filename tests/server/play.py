"""One stream's synthesis, over voices that are made by hand and tell of each of their steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from tests.server.fakes import make_manifest
from tests.server.test_self_test import FakeFrontEnd
from voxswap_families.contract import Delivery, LoadedVoice
from voxswap_families.work import Work
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_server.audio.encoding import AudioEncoding
from voxswap_server.compute.scheduler import Scheduler
from voxswap_server.residency.lease import Lease
from voxswap_server.speech.admission import Admission, Ticket
from voxswap_server.speech.books import Limits
from voxswap_server.speech.parts import Chunk, Header, Trailer
from voxswap_server.speech.pipeline import Stage, Synthesis
from voxswap_server.speech.request import SpeechRequest

HOP, FRAMES = 256, 40
GOOD = 0.25
TEXT = "One two three. Four five six!"


class Weights:
    """A part; what is computed with it is recognised by its level."""

    allocated_bytes = 0

    def __init__(self, level: float, size: int = 10) -> None:
        self.level = level
        self.resident_bytes = size


class Utterance:
    frames = FRAMES
    held_bytes = 7

    def __init__(self, voice: SpeakingVoice, n_symbols: int) -> None:
        self._voice = voice
        self.durations_frames = [FRAMES] + [0] * (n_symbols - 1)

    def decode(self, first_frame: int, last_frame: int) -> Work[npt.NDArray[np.float32]]:
        def decoded() -> npt.NDArray[np.float32]:
            self._voice.step("decode")
            return np.full((last_frame - first_frame) * HOP, self._voice.weights.level, np.float32)

        return Work.of(decoded)


class SpeakingVoice:
    """Tells of each step, and waits for whatever ``during`` waits for."""

    def __init__(self, weights: Weights, during: Callable[[str], None]) -> None:
        self.weights = weights
        self.steps: list[str] = []
        self.during = during

    def most_symbols(self, rate: float) -> int:
        return 1_000

    def step(self, what: str) -> None:
        self.steps.append(what)
        self.during(what)

    def prepare(self, ids: Sequence[int], delivery: Delivery) -> Work[Utterance]:
        def prepared() -> Utterance:
            self.step("prepare")
            return Utterance(self, len(ids))

        return Work.of(prepared)


def alone(request: SpeechRequest, manifest: Manifest, stage: Stage) -> Ticket:
    """The place of a stream beside which there is none."""
    admission = Admission(Limits(), stage.pacing, clock=stage.clock)
    return Ticket(admission, admission._stream(request, manifest))


class Play:
    """One stream's synthesis, over voices that are made by hand."""

    def __init__(self, text: str = TEXT, letters: str = "abcdefghijklmnopqrstuvwxyz") -> None:
        self.manifest = make_manifest("a")
        self.compute = Scheduler()
        self.during: Callable[[str], None] = lambda what: None
        self.letters = letters
        self.voices: list[SpeakingVoice] = []
        self.request = SpeechRequest(
            VoiceRef("a", 1), text, encoding=AudioEncoding.PCM_F32LE, seed=1
        )
        self.stage = Stage(self.compute)
        self.synthesis = Synthesis(
            self.request, self.manifest, self.stage, alone(self.request, self.manifest, self.stage)
        )

    def voice(self, level: float) -> LoadedVoice:
        voice = SpeakingVoice(Weights(level), self.tell)
        self.voices.append(voice)
        return LoadedVoice("a@1", voice, FakeFrontEnd(self.letters))

    def tell(self, what: str) -> None:
        self.during(what)

    async def heard(self, lease: Lease) -> npt.NDArray[np.float32]:
        """All of the audio; the stream's form is checked as well."""
        found = [part async for part in self.synthesis.parts(lease)]
        assert isinstance(found[0], Header)
        assert isinstance(found[-1], Trailer)
        chunks = [part for part in found if isinstance(part, Chunk)]
        assert len(chunks) == len(found) - 2
        audio = np.frombuffer(b"".join(chunk.audio for chunk in chunks), np.float32)
        assert found[-1].total_samples == len(audio)
        return audio
