"""Is it speech? A recogniser reads back ten lines that came over real gRPC."""

from __future__ import annotations

import numpy as np
import pytest

from bench.lines import TEN
from bench.recognise import recognise, word_error_rate
from tests.e2e.servers import serving
from tests.registry.drafts import root_of
from voxswap_client import Client
from voxswap_registry.store import Registry

# Of each line; `scripts/bench quality` hears more of them.
TAKES = 2


@pytest.mark.parametrize("front_end", ["espeak", "english"])
def test_a_recogniser_reads_ten_lines_back(joe_registry: Registry, front_end: str) -> None:
    pytest.importorskip("pocketsphinx")
    if front_end == "espeak":
        pytest.importorskip("espeakng_loader", reason="needs the extra espeak")
    heard = []
    with serving(root_of(joe_registry), front_end=front_end) as thread:
        with Client(thread.server.address, timeout_s=60) as client:
            for seed in range(TAKES):
                for line in TEN:
                    result = client.say("joe", line, seed=seed)
                    audio = np.frombuffer(result.audio, "<i2").astype(np.float32) / np.float32(
                        32767
                    )
                    heard.append(recognise(audio, result.header.sample_rate_hertz))
    spoken = TEN * TAKES
    assert word_error_rate(spoken, heard) <= 0.25, list(zip(spoken, heard, strict=True))


def test_the_measure_can_fail() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 22050).astype(np.float32)
    assert word_error_rate(["who goes there"], [recognise(noise, 22050)]) > 0.5
