"""A step that hangs in a real server: what its stream, its voice, others and operators see."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.e2e.servers import ServerThread, active_leases, health, scrape, serving
from tests.fakes.utterances import Decode, patch_decode
from tests.registry.drafts import root_of
from voxswap_client import Client, DeadlineExceededError, UnavailableError
from voxswap_families.work import Work
from voxswap_registry.store import Registry

SERVING, NOT_SERVING = 1, 2


class Hanging:
    """Decoding hangs until it is let go, and is as always from then on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gate, self.hangs = threading.Event(), threading.Event()

        def hanging(original: Decode) -> Decode:
            def decode(utterance: Any, first: int, last: int) -> Any:
                is_hung = self.hangs.is_set()
                return Work.of(self.wait) if is_hung else original(utterance, first, last)

            return decode

        patch_decode(monkeypatch, hanging)

    def wait(self) -> npt.NDArray[np.float32]:
        assert self.gate.wait(60)
        return np.zeros(0, np.float32)


def stuck(thread: ServerThread, client: Client, reason: str, **options: Any) -> UnavailableError:
    with pytest.raises(UnavailableError) as raised:
        client.say("joe", "Hi.", **options)
    assert raised.value.reason == reason
    return raised.value


@pytest.mark.parametrize("gives_up", [False, True])
def test_a_voice_whose_step_hangs_is_barred_and_the_server_serves(
    joe_registry: Registry, monkeypatch: pytest.MonkeyPatch, gives_up: bool
) -> None:
    with serving(root_of(joe_registry), step_limit_s=2.0, shutdown_grace_s=0) as thread:
        hanging = Hanging(monkeypatch)
        with Client(thread.server.address, timeout_s=60) as client:
            client.say("joe", "Hi.")
            hanging.hangs.set()
            if gives_up:
                with pytest.raises(DeadlineExceededError):
                    client.say("joe", "Hi.", timeout_s=1.0)
                thread.wait_until(lambda: len(thread.house.manager.bars) == 1)
            else:
                stuck(thread, client, "DEVICE_STUCK")
            barred = stuck(thread, client, "VOICE_BARRED")
            assert "voxswap load joe@1" in barred.message
            assert health(thread, "") == SERVING
            assert health(thread, "voices/joe") == NOT_SERVING
            seen = scrape(thread)
            assert seen['voxswap_stuck_steps_total{verdict="written_off"}'] == 1
            assert (seen["voxswap_stuck_threads"], seen["voxswap_barred_voices"]) == (1, 1)
            assert seen["voxswap_active_streams"] == 0
            assert active_leases(thread) == 1, "the step still reads the weights"
            hanging.hangs.clear()
            client.load("joe")
            assert client.say("joe", "Hi.").trailer.total_samples, "on another thread"
            hanging.gate.set()
            thread.wait_until(lambda: active_leases(thread) == 0)
            assert health(thread, "voices/joe") == SERVING
