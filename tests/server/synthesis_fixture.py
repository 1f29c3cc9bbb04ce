"""One stream's synthesis, over voices that are made by hand and tell of each of their steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.fakes.family import LETTERS, FakeFrontEnd, FakeVoice, steady
from tests.fakes.manifests import make_manifest
from voxswap_families.contract import LoadedVoice
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_server.audio.encoding import AudioEncoding
from voxswap_server.compute.scheduler import Scheduler
from voxswap_server.residency.lease import Lease
from voxswap_server.speech.admission import Admission, Ticket
from voxswap_server.speech.books import Limits
from voxswap_server.speech.messages import Chunk, Header, Trailer
from voxswap_server.speech.pipeline import Stage, Synthesis
from voxswap_server.speech.request import SpeechRequest

TEXT = "One two three. Four five six!"


def alone(request: SpeechRequest, manifest: Manifest, stage: Stage) -> Ticket:
    """The place of a stream beside which there is none."""
    admission = Admission(Limits(), stage.pacing, clock=stage.clock)
    return Ticket(admission, admission._stream(request, manifest))


class SynthesisFixture:
    """One stream's synthesis, over voices that are made by hand."""

    def __init__(self, text: str = TEXT, letters: str = LETTERS) -> None:
        self.manifest = make_manifest("a")
        self.compute = Scheduler()
        self.during: Callable[[str], object] = lambda what: None
        self.letters = letters
        self.voices: list[FakeVoice] = []
        self.request = SpeechRequest(
            VoiceRef("a", 1), text, encoding=AudioEncoding.PCM_F32LE, seed=1
        )
        self.stage = Stage(self.compute)
        self.synthesis = self.again()

    def again(self, **changes: Any) -> Synthesis:
        """One more of the same, but for ``changes``: ``request`` or ``stage``."""
        request, stage = changes.get("request", self.request), changes.get("stage", self.stage)
        ticket = alone(request, self.manifest, stage)
        return Synthesis(request, self.manifest, stage, ticket)

    def voice(self, level: float) -> LoadedVoice:
        voice = FakeVoice(steady(level), during=self.tell)
        self.voices.append(voice)
        return LoadedVoice("a@1", voice, FakeFrontEnd(self.letters))

    def tell(self, what: str) -> None:
        self.during(what)

    async def heard(self, lease: Lease) -> npt.NDArray[np.float32]:
        """All of the audio; the stream's form is checked as well."""
        found = [part async for part in self.synthesis.messages(lease)]
        assert isinstance(found[0], Header)
        assert isinstance(found[-1], Trailer)
        chunks = [part for part in found if isinstance(part, Chunk)]
        assert len(chunks) == len(found) - 2
        audio = np.frombuffer(b"".join(chunk.audio for chunk in chunks), np.float32)
        assert found[-1].total_samples == len(audio)
        return audio
