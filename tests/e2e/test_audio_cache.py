"""The audio cache over real gRPC: what comes again, what is shared, and what is not."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.e2e.servers import ServerThread, serving
from tests.registry.drafts import root_of
from tests.server.redis_process import redis_process
from voxswap.v1 import speech_pb2, speech_pb2_grpc
from voxswap_client import (
    AsyncClient,
    Client,
    SpeechResult,
    VoiceNotFoundError,
    VoxswapClientError,
)
from voxswap_families.vits.engine import VitsEngine
from voxswap_registry.store import Registry

LINE = "Halt! Who goes there? The bridge is closed after dark."
LONG = "The road goes ever on and on, down from the door where it began. " * 12
# Far ahead: nobody plays what is sent here.
CACHE = {"audio_cache_bytes": "64MiB", "most_ahead_s": 3_600}
Response = speech_pb2.SynthesizeResponse


@pytest.fixture
def house(joe_registry: Registry) -> Iterator[tuple[ServerThread, Client]]:
    with serving(root_of(joe_registry), **CACHE) as thread:
        with Client(thread.server.address, timeout_s=60) as client:
            yield thread, client


def figure(thread: ServerThread, name: str, **labels: str) -> float:
    return thread.house.metrics.registry.get_sample_value(f"voxswap_{name}", labels) or 0.0


def outcomes(thread: ServerThread) -> dict[str, float]:
    return {
        outcome: found
        for outcome in ("hit", "joined", "miss", "off")
        if (found := figure(thread, "audio_cache_requests_total", outcome=outcome))
    }


def voices_used(thread: ServerThread) -> float:
    """How often a stream had a voice: once for each synthesis."""
    return sum(figure(thread, "cache_requests_total", outcome=o) for o in ("hit", "miss"))


def spoken(thread: ServerThread, **fields: Any) -> list[Response]:
    with grpc.insecure_channel(thread.server.address) as channel:
        stub = speech_pb2_grpc.SpeechServiceStub(channel)
        request = speech_pb2.SynthesizeRequest(**({"voice": "joe", "text": LINE} | fields))
        return list(stub.Synthesize(request, timeout=60))


def audio_of(parts: list[Response]) -> bytes:
    return b"".join(part.chunk.audio for part in parts)


def same_audio(first: SpeechResult, second: SpeechResult) -> None:
    assert second.audio == first.audio
    assert second.marks == first.marks
    assert second.trailer.total_samples == first.trailer.total_samples
    assert second.trailer.seed == first.trailer.seed


@pytest.mark.parametrize("encoding", ["pcm_s16le", "pcm_f32le", "wav"])
def test_a_line_that_was_made_comes_again(
    house: tuple[ServerThread, Client], encoding: str
) -> None:
    thread, client = house
    asked: Any = {"seed": 1, "marks": ["word", "phoneme", "viseme"], "encoding": encoding}
    first, second = (client.say("joe", LINE, **asked) for _ in range(2))
    same_audio(first, second)
    assert first.marks
    assert not first.header.cached
    header = second.header
    assert header.cached
    assert not header.cold
    assert header.queue_ms == header.swap_ms == second.trailer.compute_ms == 0
    assert header.voice == "joe@1"
    assert header.component_digests == first.header.component_digests
    assert header.estimated_samples == second.trailer.total_samples
    assert voices_used(thread) == 1
    assert outcomes(thread) == {"miss": 1, "hit": 1}
    assert figure(thread, "ttfa_seconds_count", swap="cached") == 1
    assert figure(thread, "streams_total", end="finished") == 2
    assert figure(thread, "audio_cache_entries") == 1
    assert figure(thread, "audio_cache_bytes") > len(first.audio)
    assert figure(thread, "audio_cache_held_bytes") == 0


def test_the_recording_is_of_the_chunks_as_they_were(
    house: tuple[ServerThread, Client],
) -> None:
    thread, _ = house
    marks = [speech_pb2.MARK_KIND_WORD, speech_pb2.MARK_KIND_VISEME]
    first, second = (spoken(thread, seed=1, marks=marks) for _ in range(2))
    assert len(first) > 5
    assert second[1:-1] == first[1:-1]


def test_off_use_and_unset_are_honoured(house: tuple[ServerThread, Client]) -> None:
    thread, _ = house
    off, use = speech_pb2.CACHE_POLICY_OFF, speech_pb2.CACHE_POLICY_USE
    expected: list[tuple[dict[str, Any], bool]] = [
        ({"seed": 1}, False),
        ({"seed": 1, "cache_policy": off}, False),
        ({"seed": 1, "cache_policy": use}, True),
        ({"seed": 1}, True),
        ({}, False),
        ({}, False),
        ({"cache_policy": use}, False),
        ({"cache_policy": use}, True),
        ({"cache_policy": off}, False),
    ]
    made = [spoken(thread, text="Halt!", **fields) for fields, _ in expected]
    assert [parts[0].header.cached for parts in made] == [cached for _, cached in expected]
    assert audio_of(made[1]) == audio_of(made[0])
    audios = {audio_of(parts) for parts in made}
    assert len(audios) == 5, "a seed's, and that of each making without one"
    assert outcomes(thread) == {"miss": 2, "hit": 3, "off": 4}


async def test_many_equal_requests_at_a_time_are_made_once(joe_registry: Registry) -> None:
    with serving(root_of(joe_registry), **CACHE) as thread:
        async with AsyncClient(thread.server.address, timeout_s=60) as client:
            lines = await asyncio.gather(
                *(client.say("joe", LONG, seed=3, marks=["viseme"]) for _ in range(16))
            )
        for result in lines:
            same_audio(lines[0], result)
        assert sum(not result.header.cached for result in lines) == 1
        assert voices_used(thread) == 1
        found = outcomes(thread)
        assert found["miss"] == 1
        assert found["miss"] + found["joined"] + found.get("hit", 0) == 16
        assert sum(result.header.cold for result in lines) == 1


def test_who_made_it_may_hang_up_and_the_others_hear_the_rest(
    house: tuple[ServerThread, Client],
) -> None:
    thread, client = house
    cache = thread.house.audio_cache
    with client.synthesize("joe", LONG, seed=4) as first:
        chunks = iter(first)
        next(chunks)
        with client.synthesize("joe", LONG, seed=4) as second:
            rest = iter(second)
            next(rest)
            assert cache.statistics().subscribers == 2
            first.cancel()
            thread.wait_until(lambda: cache.statistics().subscribers == 1)
            samples = 0
            for chunk in rest:
                samples = chunk.start_sample + chunk.sample_count
            assert second.trailer.total_samples == samples
    assert voices_used(thread) == 1
    assert client.say("joe", LONG, seed=4).header.cached


def test_a_short_deadline_ends_nobody_elses_line(
    house: tuple[ServerThread, Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who came first gives up while the voice is loaded; who came later waits on, and hears it."""
    thread, client = house
    cache, loads, read = thread.house.audio_cache, threading.Event(), VitsEngine.read

    def held_up(*args: Any) -> Any:
        assert loads.wait(60)
        return read(*args)

    monkeypatch.setattr(VitsEngine, "read", held_up)
    with ThreadPoolExecutor(2) as others:
        first = others.submit(client.say, "joe", LINE, seed=6, timeout_s=1.0)
        thread.wait_until(lambda: cache.statistics().subscribers == 1)
        second = others.submit(client.say, "joe", LINE, seed=6, timeout_s=60)
        thread.wait_until(lambda: cache.statistics().subscribers == 2)
        with pytest.raises(VoxswapClientError):
            first.result(30)
        thread.wait_until(lambda: cache.statistics().subscribers == 1)
        loads.set()
        assert second.result(60).audio
    assert outcomes(thread) == {"miss": 1, "joined": 1}
    assert voices_used(thread) == 1
    assert client.say("joe", LINE, seed=6).header.cached


def test_when_all_have_hung_up_nothing_is_computed_or_held(
    house: tuple[ServerThread, Client],
) -> None:
    thread, client = house
    for _ in range(2):
        with client.synthesize("joe", LONG, seed=5) as stream:
            next(iter(stream))
    inside = thread.house
    thread.wait_until(lambda: not inside.audio_cache.statistics().flights)
    thread.wait_until(lambda: not any(r.leases for r in inside.manager.residents()))
    assert inside.audio_cache.statistics().held_bytes == 0
    assert not client.say("joe", LONG, seed=5).header.cached


def test_a_voice_that_is_not_in_memory_still_says_what_it_said(
    house: tuple[ServerThread, Client],
) -> None:
    thread, client = house
    first = client.say("joe", LINE, seed=1)
    client.unload("joe")
    second = client.say("joe", LINE, seed=1)
    same_audio(first, second)
    assert second.header.cached
    assert not thread.on_loop(thread.house.manager.residents)
    assert figure(thread, "loads_total") == 1


def test_a_voice_that_was_deleted_says_nothing(joe_registry: Registry, tmp_path: Path) -> None:
    root = tmp_path / "registry"
    shutil.copytree(root_of(joe_registry), root)
    with serving(root, **CACHE) as thread, Client(thread.server.address, timeout_s=60) as client:
        client.say("joe", LINE, seed=1)
        client.delete_voice("joe")
        with pytest.raises(VoiceNotFoundError):
            client.say("joe", LINE, seed=1)
        assert outcomes(thread) == {"miss": 1}


def test_an_error_is_not_kept(house: tuple[ServerThread, Client]) -> None:
    thread, _ = house
    for _ in range(2):
        with pytest.raises(grpc.RpcError) as raised:
            spoken(thread, text="\u3164", seed=1)  # a letter, says Unicode, and without a sound
        assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert outcomes(thread) == {"miss": 2}
    assert figure(thread, "audio_cache_entries") == 0


def test_servers_share_a_redis_and_live_without_it(joe_registry: Registry) -> None:
    with redis_process() as redis:
        settings = CACHE | {"audio_cache_redis_url": redis.url}
        root = root_of(joe_registry)
        with serving(root, **settings) as one, serving(root, **settings) as other:
            with Client(one.server.address, timeout_s=60) as client:
                first = client.say("joe", LINE, seed=1, marks=["word"])
            with Client(other.server.address, timeout_s=60) as client:
                second = client.say("joe", LINE, seed=1, marks=["word"])
                same_audio(first, second)
                assert second.header.cached
                assert voices_used(other) == 0
                redis.kill()
                assert not client.say("joe", "Halt!", seed=2).header.cached
                assert client.say("joe", "Halt!", seed=2).header.cached, "memory has it"
                assert client.say("joe", LINE, seed=1).header.cached is False, "other marks"
            assert figure(other, "audio_cache_faults_total", reason="connection") >= 1
            assert figure(other, "streams_total", end="failed") == 0


def test_a_redis_that_was_never_there_hinders_nothing(
    joe_registry: Registry, tmp_path: Path
) -> None:
    settings = CACHE | {"audio_cache_redis_url": f"unix://{tmp_path}/nobody"}
    with serving(root_of(joe_registry), **settings) as thread:
        with Client(thread.server.address, timeout_s=60) as client:
            assert not client.say("joe", "Halt!", seed=2).header.cached
            assert client.say("joe", "Halt!", seed=2).header.cached
        assert figure(thread, "audio_cache_faults_total", reason="connection") == 1


def test_what_a_machine_decided_is_kept_and_shown(joe_registry: Registry, tmp_path: Path) -> None:
    """The first start decides; the next one finds it, whatever it would find faster itself."""
    root, cache = root_of(joe_registry), tmp_path / "cache"
    build: dict[str, Any] = {}
    for arithmetic in ("bfloat16", "float32"):
        with serving(root, cache_dir=cache, kernels="torch") as thread:
            (family,) = (
                f for f in thread.house.metrics.registry.collect() if f.name == "voxswap_build"
            )
            build = family.samples[0].labels
        kept = json.loads((cache / "decisions-cpu.json").read_text())
        assert kept["decisions"]["arithmetic"] == build["arithmetic"]
        kept["decisions"]["arithmetic"] = arithmetic
        (cache / "decisions-cpu.json").write_text(json.dumps(kept))
    assert build["arithmetic"] == "bfloat16"
    assert (build["tf32"], build["front_end"]) == ("false", "espeak")
