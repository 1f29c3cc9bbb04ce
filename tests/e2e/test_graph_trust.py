"""A graph runs only if an operator trusts it: over the wire, from the store, by every remedy."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.hostile.graphs import hostile_graphs
from tests.e2e.servers import serving
from tests.families.kokoro_fakes import write_kokoro
from tests.registry.drafts import root_of
from voxswap_client import Client
from voxswap_client.cli import main
from voxswap_client.errors import VoxswapClientError
from voxswap_families.importing.detect import import_voice
from voxswap_registry.draft import VoiceDraft
from voxswap_registry.names import VoiceRef
from voxswap_registry.publishing import as_upload
from voxswap_registry.signing import PrivateKey, new_key_pair
from voxswap_registry.store import Registry

KILLERS = ("the least int64 divided by -1", "a ConvTranspose of 0 groups")


@pytest.fixture
def kokoro(tmp_path: Path) -> Path:
    """The folder of a small Kokoro with two styles."""
    return write_kokoro(tmp_path / "kokoro")


@pytest.fixture
def registry(tmp_path: Path, kokoro: Path) -> Registry:
    """A registry into which an operator has imported one of them."""
    add = ["voices", "add", str(kokoro), "--registry", str(tmp_path / "registry")]
    assert main([*add, "--id", "npc/hum", "--style", "af_hum", "--licence", "CC0"]) == 0
    return Registry(tmp_path / "registry")


@pytest.fixture
def client(registry: Registry) -> Iterator[Client]:
    with serving(root_of(registry)) as thread, Client(thread.server.address, timeout_s=60) as found:
        yield found


def imported(source: Path, folder: Path, voice_id: str, style: str = "bm_deep") -> VoiceDraft:
    return import_voice(source, voice_id, style=style, workdir=folder / "work", licence="CC0")


def with_base(draft: VoiceDraft, folder: Path, base: bytes) -> VoiceDraft:
    """``draft`` on another base."""
    path = folder / "other_base"
    path.write_bytes(base)
    parts = tuple(
        dataclasses.replace(part, path=path) if part.role == "base" else part
        for part in draft.components
    )
    return dataclasses.replace(draft, components=parts)


def other_base(folder: Path) -> bytes:
    """A base that would do, and that nobody has imported here: its hum is another."""

    def other(model: object) -> None:
        graph = model.graph  # type: ignore[attr-defined]
        next(node for node in graph.node if node.name == "mean").name = "another"

    draft = imported(write_kokoro(folder / "elsewhere", edit=other), folder, "npc/other")
    (path,) = (part.path for part in draft.components if part.role == "base")
    assert path is not None
    return path.read_bytes()


def assert_refused(raised: pytest.ExceptionInfo[VoxswapClientError]) -> None:
    error = raised.value
    assert (error.code, error.reason) == ("FAILED_PRECONDITION", "GRAPH_NOT_TRUSTED")
    for told in ("the base of npc/", "voxswap voices add", "trusted_graphs", "trust-graph sha256:"):
        assert told in str(error)


def test_a_style_on_a_trusted_base_comes_over_the_wire(
    client: Client, kokoro: Path, tmp_path: Path
) -> None:
    assert client.say("npc/hum", "Hello.").header.sample_rate_hertz == 24_000
    manifest, files = as_upload(imported(kokoro, tmp_path, "npc/deep"))
    assert client.register_voice(manifest, files).created
    assert client.say("npc/deep", "Hello.").trailer.total_samples > 0


@pytest.mark.parametrize("name", KILLERS)
def test_a_graph_that_ends_a_process_does_not_get_in(
    name: str, client: Client, registry: Registry, kokoro: Path, tmp_path: Path
) -> None:
    (graph,) = (graph for graph in hostile_graphs(0, 32) if graph.name == name)
    draft = with_base(imported(kokoro, tmp_path, "npc/evil"), tmp_path, graph.data)
    manifest, files = as_upload(draft)
    with pytest.raises(VoxswapClientError) as raised:
        client.register_voice(manifest, files, label="stable")
    assert_refused(raised)
    assert raised.value.metadata["role"] == "base"
    assert not registry.look("npc/evil").versions
    assert sorted(info.key for info in registry.objects.list("tmp")) == []
    assert client.say("npc/hum", "Still here.").trailer.total_samples > 0


def test_a_base_that_nobody_imported_is_refused_whatever_is_in_it(
    client: Client, kokoro: Path, tmp_path: Path
) -> None:
    draft = with_base(imported(kokoro, tmp_path, "npc/new"), tmp_path, other_base(tmp_path))
    manifest, files = as_upload(draft)
    with pytest.raises(VoxswapClientError) as raised:
        client.register_voice(manifest, files)
    assert_refused(raised)


def test_what_was_planted_in_the_store_is_refused_and_each_remedy_works(
    registry: Registry, kokoro: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = other_base(tmp_path)
    draft = with_base(imported(kokoro, tmp_path, "npc/planted"), tmp_path, base)
    digest = registry.publish(draft).component("base").digest
    root = root_of(registry)
    # Named in the settings.
    with serving(root, trusted_graphs=(digest,)) as thread:
        with Client(thread.server.address, timeout_s=60) as client:
            assert client.say("npc/planted", "Hello.").trailer.total_samples > 0
    with serving(root) as thread, Client(thread.server.address, timeout_s=60) as client:
        for _ in range(2):  # the failure is remembered, and so is what it says
            with pytest.raises(VoxswapClientError) as raised:
                client.say("npc/planted", "Hello.")
            assert_refused(raised)
        with pytest.raises(VoxswapClientError, match="no operator trusts it"):
            client.promote("npc/planted@1", warm_up=True)
        assert client.say("npc/hum", "Others speak.").trailer.total_samples > 0
        # Recorded, while the server runs.
        command = ["registry", "trust-graph", "npc/planted", "--registry", str(root)]
        assert main(command) == 0
        assert f"trusted: {digest}, the base of npc/planted@1" in capsys.readouterr().out
        assert client.load("npc/planted").voices == ("npc/planted@1",)
        assert client.say("npc/planted", "Hello.").trailer.total_samples > 0
        assert main([*command, "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert [graph["is_new"] for graph in document["graphs"]] == [False]


def test_a_planted_killer_is_not_trusted_by_mistake(
    registry: Registry, kokoro: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second wall: even an operator's word does not have it run."""
    (graph,) = (graph for graph in hostile_graphs(0, 32) if graph.name == KILLERS[0])
    draft = with_base(imported(kokoro, tmp_path, "npc/evil"), tmp_path, graph.data)
    digest = registry.publish(draft).component("base").digest
    root = root_of(registry)
    assert main(["registry", "trust-graph", digest, "--registry", str(root)]) == 1
    assert "should not be run" in " ".join(capsys.readouterr().err.split())
    with serving(root, trusted_graphs=(digest,)) as thread:
        with Client(thread.server.address, timeout_s=60) as client:
            with pytest.raises(VoxswapClientError, match="must be a constant and is computed"):
                client.say("npc/evil", "Die!")
            assert client.say("npc/hum", "Still here.").trailer.total_samples > 0


def test_a_signature_trusts_the_graph(registry: Registry, kokoro: Path, tmp_path: Path) -> None:
    draft = with_base(imported(kokoro, tmp_path, "npc/signed"), tmp_path, other_base(tmp_path))
    registry.publish(draft)
    keys = new_key_pair(tmp_path / "studio")
    registry.sign("npc/signed", 1, PrivateKey.load(keys.private_path))
    settings = {"require_signature": True, "trusted_keys": (keys.public_path,)}
    with serving(root_of(registry), **settings) as thread:
        with Client(thread.server.address, timeout_s=60) as client:
            assert client.say("npc/signed", "Hello.").trailer.total_samples > 0


def test_a_mix_is_of_what_its_parts_are(registry: Registry, kokoro: Path, tmp_path: Path) -> None:
    """Mixing trusts nothing: the base is that of the parts, trusted or not."""
    root = str(root_of(registry))
    add = ["voices", "add", str(kokoro), "--registry", root, "--licence", "CC0"]
    assert main([*add, "--id", "npc/deep", "--style", "bm_deep"]) == 0
    for name, style in (("npc/a", "af_hum"), ("npc/b", "bm_deep")):
        draft = imported(kokoro, tmp_path, name, style)
        registry.publish(with_base(draft, tmp_path, other_base(tmp_path / name)))
    mix = ["voices", "mix", "--registry", root]
    assert main([*mix, "npc/good", "--of", "npc/hum=0.5", "--of", "npc/deep=0.5"]) == 0
    assert main([*mix, "npc/bad", "--of", "npc/a=0.5", "--of", "npc/b=0.5"]) == 0
    assert registry.resolve(VoiceRef("npc/bad")).component("base")
    with serving(root) as thread, Client(thread.server.address, timeout_s=60) as client:
        assert client.say("npc/good", "Hello.").trailer.total_samples > 0
        with pytest.raises(VoxswapClientError) as raised:
            client.say("npc/bad", "Hello.")
        assert_refused(raised)
