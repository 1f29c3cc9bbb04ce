"""Interruptions that nobody has the receipts of cost nothing, and each still has its receipt."""

from __future__ import annotations

import tracemalloc

from tests.fakes.family import FakeFrontEnd, FakeVoice
from tests.fakes.manifests import make_manifest
from tests.server.synthesis_fixture import alone
from voxswap_families.contract import LoadedVoice
from voxswap_registry.names import VoiceRef
from voxswap_server.app.metrics import Metrics
from voxswap_server.compute.scheduler import Scheduler
from voxswap_server.residency.lease import Lease
from voxswap_server.speech.conversation import Conversation
from voxswap_server.speech.listening import Stream
from voxswap_server.speech.messages import Header, Receipt, Trailer
from voxswap_server.speech.metrics import StreamObservation
from voxswap_server.speech.pipeline import Stage, Synthesis
from voxswap_server.speech.request import SpeechRequest


async def test_any_number_of_interruptions_takes_the_memory_of_one() -> None:
    conversation = Conversation(most_waiting=1000)
    scheduler = Scheduler()
    stage = Stage(scheduler)
    request = SpeechRequest(VoiceRef("a", 1), "")
    try:
        manifest = make_manifest("a")
        ticket = alone(request, manifest, stage)
        synthesis = Synthesis(request, manifest, stage, ticket, script=conversation)
        loaded = LoadedVoice("a@1", FakeVoice(), FakeFrontEnd())
        stream = Stream(
            "id",
            synthesis.messages(Lease(loaded, lambda: None)),
            StreamObservation(Metrics("cpu").streams),
            arrived_s=0.0,
            clock=stage.clock,
            script=conversation,
        )
        stream.begun(synthesis)
        await stream.interrupt()
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(20_000):
            await stream.interrupt()
        kept = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        # Less than a word for each. Threads of other tests may have left something as well.
        assert kept < 8 * 20_000, f"{kept} bytes of 20,000 interruptions"
        conversation.end()
        parts = [part async for part in stream]
    finally:
        scheduler.close()
    assert isinstance(parts[0], Header)
    assert [type(part) for part in parts[1:-1]] == [Receipt] * 20_001
    assert isinstance(parts[-1], Trailer)
