"""Forty players at once, on a real server: who is let in is served, who is not is told when."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter

import grpc
import pytest

from tests.e2e.servers import ServerThread, serving
from tests.raw_http2 import RawClient
from tests.registry.drafts import root_of
from voxswap.v1 import speech_pb2, speech_pb2_grpc
from voxswap_client import Client
from voxswap_registry.store import Registry

LINES = "The road goes ever on and on, down from the door where it began. " * 4
SPEAK = "/voxswap.v1.SpeechService/Synthesize"


def metric(thread: ServerThread, name: str, **labels: str) -> float:
    return thread.house.metrics.registry.get_sample_value(name, labels) or 0.0


def leases(thread: ServerThread) -> int:
    return sum(resident.leases for resident in thread.house.manager.residents())


class ManyCallers:
    """Players that all ask in one moment."""

    def __init__(self, address: str, n: int) -> None:
        self.outcomes: Counter[str] = Counter()
        self.retries_s: list[float] = []
        self._lock = threading.Lock()
        self._gate = threading.Barrier(n)
        threads = [threading.Thread(target=self._play, args=(address, i)) for i in range(n)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)

    def _play(self, address: str, number: int) -> None:
        # A connection each: calls of one would come one after another.
        options = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(address, options=options) as channel:
            grpc.channel_ready_future(channel).result(60)
            stub = speech_pb2_grpc.SpeechServiceStub(channel)
            request = speech_pb2.SynthesizeRequest(voice="joe", text=LINES, seed=number)
            self._gate.wait(60)
            try:
                *_, last = stub.Synthesize(request, timeout=110)
                assert last.WhichOneof("part") == "trailer"
                outcome = "spoken"
            except grpc.RpcError as error:
                outcome = error.code().name
        with self._lock:
            self.outcomes[outcome] += 1


@pytest.mark.slow
def test_forty_players_at_once_fresh_and_known(joe_registry: Registry) -> None:
    """Findings 4b and 4d."""
    with serving(root_of(joe_registry), most_load=0.8) as thread:
        for what in ("fresh", "known"):
            callers = ManyCallers(thread.server.address, 40)
            assert callers.outcomes["spoken"] >= 1, what
            assert set(callers.outcomes) <= {"spoken", "RESOURCE_EXHAUSTED"}, callers.outcomes
            thread.wait_until(lambda: metric(thread, "voxswap_active_streams") == 0)
            assert metric(thread, "voxswap_admitted_load") == 0
            refused = metric(thread, "voxswap_admission_refusals_total", reason="OVERLOADED")
            assert refused or callers.outcomes["spoken"] == 40
        # And whoever comes to an idle server is served.
        before = metric(thread, "voxswap_admission_refusals_total", reason="OVERLOADED")
        with Client(thread.server.address, timeout_s=60) as client:
            for _ in range(3):
                assert client.say("joe", "Now there is room.").trailer.total_samples
        after = metric(thread, "voxswap_admission_refusals_total", reason="OVERLOADED")
        assert after == before


@pytest.mark.slow
def test_readers_that_stop_reading_keep_nobody_out(joe_registry: Registry) -> None:
    """Finding 4a: thirteen of them took 80 % of an idle device, for as long as they liked."""
    request = speech_pb2.SynthesizeRequest(voice="joe", text=LINES * 10)
    with serving(root_of(joe_registry), stalled_write_s=600, keepalive_s=600) as thread:
        with Client(thread.server.address, timeout_s=60) as client:
            assert client.say("joe", "What lines cost is known now.").trailer.total_samples
            with contextlib.ExitStack() as stack:
                for n in range(1, 14):
                    raw = stack.enter_context(RawClient(thread.server.address, window_bytes=1))
                    raw.call(SPEAK, request.SerializeToString())
                    thread.wait_until(lambda n=n: leases(thread) == n)  # type: ignore[misc]
                # They are let in as fast as they come (see `most_load`), and stand from then on.
                thread.wait_until(lambda: metric(thread, "voxswap_admitted_load") == 0)
                assert metric(thread, "voxswap_active_streams") == 13
                assert client.say("joe", "Next, please.").trailer.total_samples
                assert not metric(thread, "voxswap_admission_refusals_total", reason="OVERLOADED")
