"""ResidencyService and Prepare over real sockets, with real voices that share and that do not."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.e2e.servers import ServerThread, serving
from tests.registry.drafts import blob_path, root_of
from voxswap.v1 import residency_pb2, residency_pb2_grpc
from voxswap_client import (
    CastMember,
    Client,
    EventsLostError,
    ResidencyEventKind,
    VoxswapClientError,
)
from voxswap_registry.draft import DraftComponent, VoiceDraft
from voxswap_registry.manifest import Manifest
from voxswap_registry.store import Registry
from voxswap_server.residency.events import EventKind

LONG = "This is a sentence that goes on for a while, and then it stops. " * 12
TWO_VOICES = "420MiB"  # the workspace, two voices of joe's size, and not a third
ONE_VOICE = "350MiB"


@contextlib.contextmanager
def house(registry: Registry, **settings: Any) -> Iterator[tuple[ServerThread, Client]]:
    # Sizes as they are stored, and one workspace, on every machine.
    settings = {"arithmetic": "float32", "compute_threads": 1} | settings
    with (
        serving(root_of(registry), **settings) as thread,
        Client(thread.server.address, timeout_s=60) as client,
    ):
        yield thread, client


def reason_of(error: pytest.ExceptionInfo[VoxswapClientError]) -> tuple[str, str]:
    return error.value.code, error.value.reason


def resident(client: Client) -> set[str]:
    return {v for r in client.residents().residents if r.state == "resident" for v in r.voices}


def test_load_pin_unpin_and_unload(twins: Registry) -> None:
    with house(twins, memory_budget=TWO_VOICES) as (_, client):
        loaded = client.load("a")
        assert loaded.voices == ("a@1",)
        assert (loaded.state, loaded.leases, loaded.pinned) == ("resident", 0, False)
        assert client.pin("a").pinned
        for voice in ("b", "c", "b", "c"):
            client.load(voice)
        assert resident(client) == {"a@1", "c@1"}, "what is pinned stays"
        with pytest.raises(VoxswapClientError, match="a@1 is pinned; unpin it first") as error:
            client.unload("a")
        assert reason_of(error) == ("FAILED_PRECONDITION", "VOICE_IN_USE")
        unpinned = client.unpin("a")
        assert unpinned is not None
        assert not unpinned.pinned
        assert client.unload("a") > 60e6
        assert client.unload("a") == 0
        assert client.unpin("a") is None
        for call in (client.load, client.unload, client.pin, client.unpin, client.explain):
            with pytest.raises(VoxswapClientError) as unknown:
                call("nobody")
            assert reason_of(unknown) == ("NOT_FOUND", "VOICE_NOT_FOUND")


def test_a_voice_that_speaks_is_not_unloaded_and_what_must_wait_for_it_says_so(
    twins: Registry,
) -> None:
    with house(twins, memory_budget=ONE_VOICE) as (_, client):
        with client.synthesize("a", LONG, pacing="none") as stream:
            next(iter(stream))
            with pytest.raises(VoxswapClientError, match="a@1 speaks in 1 stream;") as error:
                client.unload("a")
            assert reason_of(error) == ("FAILED_PRECONDITION", "VOICE_IN_USE")
            outlook = client.explain("b")
            assert (outlook.resident, outlook.fits, outlook.speaking) == (False, False, ("a@1",))
            assert "would wait for a stream to end" in outlook.reason
            with pytest.raises(VoxswapClientError, match=r"speaking now: a@1") as busy:
                client.load("b", timeout_s=0.4)
            assert busy.value.code in {"RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"}


def test_explain_says_what_load_then_does(twins: Registry) -> None:
    with house(twins, memory_budget=TWO_VOICES, settle_s=0) as (_, client):
        before = client.explain("a")
        assert (before.voice, before.resident, before.fits) == ("a@1", False, True)
        assert [(c.role, c.tier) for c in before.components] == [
            ("model", "disk"),
            ("symbols", "disk"),
        ]
        assert not before.would_evict
        assert before.need_bytes > 60e6
        client.load("a")
        client.load("b")
        third = client.explain("c")
        assert [component.voices for component in third.would_evict] == [("a@1",)]
        assert third.estimated_ms > 1
        client.load("c")
        assert resident(client) == {"b@1", "c@1"}
        there = client.explain("c")
        assert (there.resident, there.estimated_ms, there.reason) == (True, 0, "it is resident")
        assert {component.tier for component in there.components} == {"device"}


def test_watching_from_a_listing_on_misses_nothing_and_resumes(twins: Registry) -> None:
    with house(twins, memory_budget=ONE_VOICE, settle_s=0) as (thread, client):
        stub = residency_pb2_grpc.ResidencyServiceStub(grpc.insecure_channel(thread.server.address))
        listed = stub.ListResidents(residency_pb2.ListResidentsRequest())
        client.load("a")
        client.load("b")
        request = residency_pb2.WatchRequest(
            after_sequence=listed.last_sequence, epoch=listed.epoch
        )
        call = stub.Watch(request, timeout=30)
        seen = [next(call) for _ in range(5)]
        call.cancel()
        kinds = [residency_pb2.ResidencyEventKind.Name(e.kind).rpartition("KIND_")[2] for e in seen]
        assert kinds[:2] == ["LOAD_STARTED", "LOADED"]
        assert sorted(kinds[2:]) == ["EVICTED", "LOADED", "LOAD_STARTED"]
        assert [e.sequence for e in seen] == list(range(1, 6))
        evicted = next(e for e in seen if e.kind == residency_pb2.RESIDENCY_EVENT_KIND_EVICTED)
        assert (list(evicted.voices), evicted.reason, evicted.role) == (["a@1"], "memory", "model")
        assert evicted.size_bytes > 60e6
        again = stub.Watch(
            residency_pb2.WatchRequest(after_sequence=3, epoch=listed.epoch), timeout=30
        )
        assert [next(again).sequence for _ in range(2)] == [4, 5]
        again.cancel()
        for after, epoch in ((99, listed.epoch), (1, 7)):
            with pytest.raises(grpc.RpcError) as lost:
                next(
                    stub.Watch(
                        residency_pb2.WatchRequest(after_sequence=after, epoch=epoch), timeout=30
                    )
                )
            assert lost.value.code() is grpc.StatusCode.OUT_OF_RANGE
        thread.wait_until(lambda: thread.house.events.watchers == 0)


def test_a_list_and_a_watch_have_no_gap_between_them_and_a_restart_is_told(
    twins: Registry,
) -> None:
    with house(twins) as (thread, client):
        address = thread.server.address
        client.load("a")
        seen = client.residents()
        assert resident(client) == {"a@1"}
        client.load("b")  # before anybody watches
        with client.watch(after=seen.last_sequence, epoch=seen.epoch) as events:
            first, second = next(events), next(events)
        assert [e.sequence - seen.last_sequence for e in (first, second)] == [1, 2]
        assert {e.voices for e in (first, second)} == {("b@1",)}
        old = client.residents()
    with house(twins, listen=address) as (_, client):
        client.load("c")
        for lost in (seen, old):
            with client.watch(after=lost.last_sequence, epoch=lost.epoch) as events:
                with pytest.raises(EventsLostError):
                    next(events)
        anew = client.residents()
        assert anew.epoch > old.epoch
        client.unload("c")
        with client.watch(after=anew.last_sequence, epoch=anew.epoch) as events:
            assert next(events).kind is ResidencyEventKind.EVICTED


def test_a_watcher_that_does_not_read_is_dropped_and_holds_nobody_up(twins: Registry) -> None:
    with house(twins) as (thread, client):
        stub = residency_pb2_grpc.ResidencyServiceStub(grpc.insecure_channel(thread.server.address))
        call = stub.Watch(residency_pb2.WatchRequest(after_sequence=0), timeout=60)
        client.load("a")
        assert next(call).sequence == 1
        events = thread.house.events
        quarantine = next(e.event for e in events._log if e.event.kind is EventKind.LOADED)

        def flood() -> None:
            for _ in range(200_000):
                events.tell(dataclasses.replace(quarantine, reason="x" * 200))

        thread.on_loop(flood)
        assert client.say("a", "Hi.").trailer.total_samples
        with pytest.raises(grpc.RpcError) as dropped:
            for _ in call:
                pass
        assert dropped.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "too slow" in str(dropped.value.details())


def test_the_budget_changes_while_it_speaks(twins: Registry) -> None:
    with house(twins, memory_budget=TWO_VOICES) as (thread, client):
        client.load("b")
        with client.synthesize("a", LONG, pacing="none") as stream:
            chunks = iter(stream)
            next(chunks)
            ledger = client.set_budget(300 << 20)
            assert ledger.target_bytes == 300 << 20
            assert ledger.budget_bytes >= ledger.target_bytes
            assert "b@1" not in resident(client)
            for _ in chunks:
                pass
        thread.wait_until(lambda: thread.house.manager.statistics().budget_bytes == 300 << 20)
        with pytest.raises(VoxswapClientError) as error:
            client.load("a")
        assert reason_of(error) == ("RESOURCE_EXHAUSTED", "VOICE_TOO_LARGE")
        client.set_budget(1 << 30)
        assert client.say("a", "Again.").header.cold
        with pytest.raises(VoxswapClientError, match="budget_bytes") as small:
            client.set_budget(1000)
        assert small.value.code == "INVALID_ARGUMENT"


def test_a_scene_is_loaded_in_order_of_need_as_far_as_it_fits(twins: Registry) -> None:
    with house(twins, memory_budget=TWO_VOICES) as (thread, client):
        dry = client.prepare([CastMember("a", 5_000), CastMember("b", 100)], dry_run=True)
        assert [member.voice for member in dry.cast] == ["b@1", "a@1"]
        assert dry.fits
        assert not resident(client)
        cast = [CastMember(v, ms) for v, ms in (("a", 5_000), ("b", 100), ("c", 9_000))]
        scene = client.prepare(cast)
        assert [(m.voice, m.fits) for m in scene.cast] == [
            ("b@1", True),
            ("a@1", True),
            ("c@1", False),
        ]
        assert not scene.fits
        thread.wait_until(lambda: not thread.house.residents.ahead._scenes)
        assert resident(client) == {"a@1", "b@1"}
        with pytest.raises(VoxswapClientError, match=r"cast") as error:
            client.prepare([])
        assert error.value.code == "INVALID_ARGUMENT"


def test_a_deleted_voice_finishes_its_line_and_goes(twins: Registry, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    manifest = next(iter(twins_of(twins)))
    components = tuple(DraftComponent.instead(c, blob_path(twins, c)) for c in manifest.components)
    registry.publish(dataclasses.replace(VoiceDraft.of(manifest, components), voice_id="doomed"))
    with house(registry, registry_poll_s=0.05) as (thread, client):
        with client.synthesize("doomed", LONG, pacing="none") as stream:
            chunks = iter(stream)
            next(chunks)
            client.delete_voice("doomed")
            thread.wait_until(lambda: not thread.house.catalog.count())
            for _ in chunks:
                pass
            assert stream.trailer.total_samples > 22_050
        thread.wait_until(lambda: not thread.house.manager.residents())
        books = thread.house.manager.statistics()
        assert books.resident_bytes < 1 << 16


def twins_of(registry: Registry) -> Iterator[Manifest]:
    from voxswap_registry.names import VoiceRef

    for name in "abc":
        yield registry.resolve(VoiceRef(name))


def start(registry: Registry, *flags: str, **options: Any) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "voxswap_server", "--registry", str(root_of(registry))]
    command += [
        "--listen",
        "127.0.0.1:0",
        "--metrics-listen",
        "off",
        "--http-listen",
        "off",
        *flags,
    ]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("VOXSWAP_")}
    process = subprocess.Popen(  # noqa: S603
        command,
        text=True,
        env=environment,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options,
    )
    assert process.stdout is not None
    found = re.search(r"serving on (\S+)", process.stdout.readline())
    assert found, process.stderr.read() if process.stderr else ""
    return process, found.group(1)


def test_sighup_takes_up_a_new_budget_and_refuses_a_broken_file(
    twins: Registry, tmp_path: Path
) -> None:
    config = tmp_path / "voxswap.toml"
    config.write_text('memory_budget = "1GiB"\n')
    process, address = start(twins, "--config", str(config), "--cache-dir", str(tmp_path / "cache"))
    try:
        assert process.stderr is not None
        with Client(address, timeout_s=60) as client:
            assert client.residents().ledgers[0].budget_bytes == 1 << 30
            for text, said in (
                ('memory_budget = "700MiB"\n', "now memory_budget=734003200"),
                ('memory_budget = "a lot"\n', "the settings stay as they are: memory_budget"),
            ):
                config.write_text(text)
                process.send_signal(signal.SIGHUP)
                for line in process.stderr:
                    if "SIGHUP" in line:
                        break
                assert said in line
            assert client.residents().ledgers[0].budget_bytes == 700 << 20
            assert client.say("a", "Still here.").trailer.total_samples
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 0


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's figures")
def test_what_is_kept_when_everything_has_left_is_in_the_books(
    twins: Registry, tmp_path: Path
) -> None:
    flags = (
        *("--cache-dir", str(tmp_path / "cache"), "--audio-cache-bytes", "0"),
        *("--most-backlog-s", "3600"),
    )
    process, address = start(twins, *flags, stderr=subprocess.DEVNULL)
    try:
        with Client(address, timeout_s=120) as client, ThreadPoolExecutor(4) as clients:
            list(clients.map(lambda n: client.say("abc"[n % 3], LONG[:200]), range(6)))
            speaking = client.residents().ledgers[0]
            freed = sum(client.unload(voice) for voice in "abc")
            assert freed > 3 * 30 << 20
            deadline_s = time.monotonic() + 60
            while (found := client.residents()).ledgers[0].workspace_bytes == (
                speaking.workspace_bytes
            ):
                assert time.monotonic() < deadline_s, "nobody measures what is kept"
        books = found.ledgers[0]
        assert books.resident_bytes == books.evicting_bytes == 0
        status = Path(f"/proc/{process.pid}/status").read_text()
        own = int(status.partition("RssAnon:")[2].split()[0]) << 10
        said = books.budget_bytes - books.free_bytes - books.for_streams_bytes
        said += sum(size for what, size in found.beside.items() if what != "espeak-ng")
        assert abs(own - said) <= max(32 << 20, own // 10), (own >> 20, said >> 20)
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_what_was_resident_is_there_after_a_restart(twins: Registry, tmp_path: Path) -> None:
    flags = ("--cache-dir", str(tmp_path / "cache"))
    process, address = start(twins, *flags)
    with Client(address, timeout_s=60) as client:
        client.say("b", "Remember me.")
    process.terminate()
    process.communicate(timeout=60)
    process, address = start(twins, *flags)
    try:
        with Client(address, timeout_s=60) as client:
            for _ in client.watch(after=0):
                if "b@1" in resident(client):
                    break
            assert not client.say("b", "Here I am.").header.cold
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_without_file_descriptors_loads_fail_and_what_speaks_goes_on(
    twins: Registry, tmp_path: Path
) -> None:
    process, address = start(twins, "--cache-dir", str(tmp_path / "cache"), "--warm-start", "false")
    try:
        with Client(address, timeout_s=60) as client:
            client.say("a", "Warm.")
            with client.synthesize("a", LONG, pacing="none") as stream:
                chunks = iter(stream)
                next(chunks)
                used = len(os.listdir(f"/proc/{process.pid}/fd"))  # noqa: PTH208
                limits = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
                resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (used, limits[1]))
                with pytest.raises(VoxswapClientError) as error:
                    client.load("b")
                assert error.value.code in {"UNAVAILABLE", "INTERNAL"}
                for _ in chunks:
                    pass
                assert stream.trailer.total_samples > 22_050
                resource.prlimit(process.pid, resource.RLIMIT_NOFILE, limits)
            assert client.load("b").voices == ("b@1",)
            ledger = client.residents().ledgers[0]
            assert ledger.reserved_bytes == ledger.workspace_bytes + ledger.for_streams_bytes
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_kokoro_voices_share_their_base(kokoro_registry: Registry) -> None:
    with house(kokoro_registry) as (_, client):
        first = client.load("kokoro/jm_kumo")
        second = client.load("kokoro/jf_gongitsune")
        assert second.shared_bytes > 0.9 * second.size_bytes
        assert second.load_ms < first.load_ms / 5
        base = next(c for c in client.residents().components if c.role == "base")
        assert base.voices == ("kokoro/jf_gongitsune@1", "kokoro/jm_kumo@1")
        assert client.unload("kokoro/jm_kumo") < 1 << 20, "the base stays, others use it"
        assert resident(client) == {"kokoro/jf_gongitsune@1"}
        spoken = client.say("kokoro/jf_gongitsune", "Halt!")
        assert spoken.header.sample_rate_hertz == 24_000
        assert not spoken.header.cold
