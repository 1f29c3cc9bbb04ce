"""Which graphs are trusted: records of operators, and who does not write them."""

from __future__ import annotations

import dataclasses
import json
from datetime import timedelta
from pathlib import Path

import onnx
import pytest

from tests.families.kokoro_fakes import write_kokoro
from tests.families.kokoro_graphs import HOSTILE
from voxswap_families.embedded import import_embedded
from voxswap_families.importing.detect import import_voice
from voxswap_families.kokoro.embedded import VOICES as KOKORO_VOICES
from voxswap_families.kokoro.family import KokoroFamily
from voxswap_families.onnx_graphs.check import parse_graph
from voxswap_registry.collecting import collect
from voxswap_registry.draft import DraftComponent, VoiceDraft
from voxswap_registry.errors import (
    ComponentMissingError,
    GraphNotTrustedError,
    InvalidInputError,
    RegistryError,
)
from voxswap_registry.graphs import (
    GraphTrust,
    graph_roles,
    is_recorded,
    record,
    record_imported,
    trust_digest,
    trust_voice,
)
from voxswap_registry.layout import graph_key
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry

OTHER = "sha256:" + "ab" * 32


@pytest.fixture
def draft(tmp_path: Path) -> VoiceDraft:
    """A small Kokoro voice as it was imported."""
    source = write_kokoro(tmp_path / "voice")
    return import_voice(source, "npc/hum", style="af_hum", workdir=tmp_path / "work")


def refused(trust: GraphTrust, manifest: Manifest) -> bool:
    try:
        trust.check_loaded(manifest, "base")
    except GraphNotTrustedError:
        return True
    return False


def test_a_graph_is_refused_until_an_operator_trusts_it(
    registry: Registry, draft: VoiceDraft
) -> None:
    manifest = registry.publish(draft)
    trust = GraphTrust(registry.objects)
    with pytest.raises(GraphNotTrustedError, match=r"the base of npc/hum \(sha256:") as raised:
        trust.check_loaded(manifest, "base")
    assert raised.value.metadata["digest"] == manifest.component("base").digest
    for remedy in ("voxswap voices add", "trusted_graphs", "voxswap registry trust-graph sha256:"):
        assert remedy in raised.value.message
    (found,) = trust_voice(registry, manifest, actor="joe", tool="voxswap test")
    digest = manifest.component("base").digest
    assert (found.digest, found.is_new, found.voice, found.role) == (
        digest,
        True,
        "npc/hum@1",
        "base",
    )
    # The same server may run it now: it kept no refusal.
    assert not refused(trust, manifest)
    assert not trust_voice(registry, manifest, tool="voxswap test")[0].is_new
    document = json.loads(registry.objects.read(graph_key(digest), limit_bytes=4096) or b"")
    assert (document["actor"], document["tool"]) == ("joe", "voxswap test")
    assert document["time"].startswith("20")


def test_the_settings_trust_by_digest(registry: Registry, draft: VoiceDraft) -> None:
    manifest = registry.publish(draft)
    digest = manifest.component("base").digest
    assert not refused(GraphTrust(registry.objects, named=[digest]), manifest)
    assert refused(GraphTrust(registry.objects, named=[OTHER]), manifest)


def test_a_signature_covers_the_graph_but_at_the_door(
    registry: Registry, draft: VoiceDraft
) -> None:
    manifest = registry.publish(draft)
    trust = GraphTrust(registry.objects, all_signed=True)
    assert not refused(trust, manifest)
    # What comes over the wire is not signed yet.
    with pytest.raises(GraphNotTrustedError):
        trust.check(manifest, ("base",))


def test_an_import_is_recorded_and_a_digest_alone_is_not(
    registry: Registry, draft: VoiceDraft
) -> None:
    record_imported(registry, draft, actor="joe")
    manifest = registry.publish(draft)
    assert not refused(GraphTrust(registry.objects), manifest)
    # A style beside a base that somebody else brought says nothing about that base.
    named = tuple(
        DraftComponent(c.role, None, c.media_type, OTHER) if c.role == "base" else c
        for c in draft.components
    )
    record_imported(registry, dataclasses.replace(draft, components=named))
    assert not is_recorded(registry.objects, OTHER)


def test_a_yes_is_asked_for_once(registry: Registry, draft: VoiceDraft) -> None:
    manifest = registry.publish(draft)
    trust = GraphTrust(registry.objects)
    record_imported(registry, draft)
    trust.check_loaded(manifest, "base")
    registry.objects.delete(graph_key(manifest.component("base").digest))
    trust.check_loaded(manifest, "base")  # kept until the server stops
    assert refused(GraphTrust(registry.objects), manifest)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"[" * 5000, b'{"schema_version": 2, "digest": "%s"}']
)
def test_what_is_no_record_trusts_nothing(registry: Registry, content: bytes) -> None:
    assert registry.objects.create(graph_key(OTHER), content.replace(b"%s", OTHER.encode()))
    assert not is_recorded(registry.objects, OTHER)
    with pytest.raises(RegistryError, match="is no record of this graph; remove it"):
        record(registry.objects, OTHER, tool="voxswap test")


def test_a_record_that_was_moved_trusts_nothing(registry: Registry) -> None:
    record(registry.objects, OTHER, tool="voxswap test")
    data = registry.objects.read(graph_key(OTHER), limit_bytes=4096)
    another = "sha256:" + "cd" * 32
    assert data is not None
    registry.objects.create(graph_key(another), data)
    assert is_recorded(registry.objects, OTHER)
    assert not is_recorded(registry.objects, another)


@pytest.mark.parametrize("edit", list(HOSTILE)[:3], ids=lambda edit: edit.__name__.strip("_"))
def test_what_should_not_be_run_is_not_trusted(
    edit: object, registry: Registry, draft: VoiceDraft
) -> None:
    (base,) = (c.path for c in draft.components if c.role == "base")
    assert base is not None
    proto: onnx.ModelProto = parse_graph(base.read_bytes())
    edit(proto)  # type: ignore[operator]
    base.write_bytes(proto.SerializeToString())
    manifest = registry.publish(draft)
    digest = manifest.component("base").digest
    for trust in (
        lambda: trust_voice(registry, manifest, tool="voxswap test"),
        lambda: trust_digest(registry, digest, tool="voxswap test"),
    ):
        with pytest.raises(GraphNotTrustedError, match="is not recorded as trusted"):
            trust()
    assert not is_recorded(registry.objects, digest)


def test_a_digest_must_be_there_and_one(
    registry: Registry, draft: VoiceDraft, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ComponentMissingError, match="publish a voice that has it first"):
        trust_digest(registry, OTHER, tool="voxswap test")
    with pytest.raises(InvalidInputError, match="64 hexadecimal digits"):
        trust_digest(registry, "sha256:../../etc", tool="voxswap test")
    manifest = registry.publish(draft)
    digest = manifest.component("base").digest
    assert trust_digest(registry, digest, tool="voxswap test").is_new
    monkeypatch.setattr(KokoroFamily, "role_limits", {"base": 10})
    with pytest.raises(InvalidInputError, match="more than any graph"):
        trust_digest(registry, digest, tool="voxswap test")


def test_collecting_leaves_records(registry: Registry, draft: VoiceDraft) -> None:
    """They say what an operator trusts, whether the graph is there or not."""
    record_imported(registry, draft)
    manifest = registry.publish(draft)
    registry.delete(VoiceRef("npc/hum"))
    assert collect(registry, grace=timedelta()).blobs == 3
    assert is_recorded(registry.objects, manifest.component("base").digest)


@pytest.mark.usefixtures("kokoro_model")
def test_embedded_voices_from_before_are_trusted_by_their_pins(
    registry: Registry, draft: VoiceDraft
) -> None:
    """By the digest in the code: whatever lies under their names says nothing."""
    voices = KOKORO_VOICES
    planted = registry.publish(dataclasses.replace(draft, voice_id=voices[0].id))
    for voice in voices[1:]:
        registry.publish(dataclasses.replace(draft, voice_id=voice.id))
    assert import_embedded(registry, voices=voices) == []
    assert is_recorded(registry.objects, voices[0].graph)
    assert refused(GraphTrust(registry.objects), planted)
    assert set(graph_roles("kokoro")) == {"base"}


def test_the_pin_is_what_the_importer_makes(kokoro_registry: Registry) -> None:
    for voice in KOKORO_VOICES:
        manifest = kokoro_registry.resolve(VoiceRef(voice.id))
        assert manifest.component("base").digest == voice.graph
        GraphTrust(kokoro_registry.objects).check_loaded(manifest, "base")
