"""A registry that an earlier voxswap has written opens and serves.

Commit e0be3a9 wrote the files of ``registry_before_families``, when importers still stood in the
registry: joe as two versions with a label, a traffic split and tags, and a Kokoro voice whose graph
is trusted. What is large is put beside them from today's import of the same packages.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.e2e.servers import serving
from tests.registry.drafts import blob_paths, root_of
from voxswap_client import Client
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry

WRITTEN = Path(__file__).parent / "registry_before_families"


@pytest.fixture
def older(tmp_path: Path, joe_registry: Registry, kokoro_registry: Registry) -> Registry:
    folder = tmp_path / "registry"
    shutil.copytree(WRITTEN, folder)
    registry = Registry(folder)
    here = {
        path.name: path
        for source, ref in ((joe_registry, "joe"), (kokoro_registry, "kokoro/jm_kumo"))
        for path in blob_paths(source, source.resolve(VoiceRef(ref))).values()
    }
    for ref in ("joe", "kokoro/jm_kumo"):
        for component in registry.resolve(VoiceRef(ref)).components:
            digits = component.digest.removeprefix("sha256:")
            blob = folder / "blobs" / "sha256" / digits[:2] / digits
            if not blob.exists():
                blob.parent.mkdir(exist_ok=True)
                blob.hardlink_to(here[digits])
    return registry


def test_it_opens_and_serves_and_is_gone_on_with(older: Registry) -> None:
    for ref in ("joe@1", "joe@2", "kokoro/jm_kumo@1"):
        for component in older.resolve(VoiceRef.parse(ref)).components:
            older.verify(component)
    with serving(root_of(older)) as thread, Client(thread.server.address, timeout_s=60) as client:
        listed = {voice.id: voice for voice in client.list_voices()}
        assert sorted(listed) == ["joe", "kokoro/jm_kumo"]
        assert not any(voice.problem for voice in listed.values())
        joe = client.get_voice("joe@stable")
        assert (joe.version, joe.tags, joe.display_name) == (2, ("village",), "Joe, the second")
        assert [(share.version, share.weight) for share in joe.traffic] == [(1, 90), (2, 10)]
        # What its manifest does not say yet, its family says.
        on_audio = ("pitch_semitones", "pitch_range", "volume_db", "pause_scale")
        assert joe.controls == ("rate", "noise_scale", "duration_noise_scale", *on_audio)
        assert sorted(listed["kokoro/jm_kumo"].controls) == sorted(("rate", *on_audio))
        for ref in ("joe@1", "joe@stable", "kokoro/jm_kumo"):
            assert client.say(ref, "Halt! Who goes there?", rate=1.2).trailer.total_samples
        assert client.promote("joe@1", actor="test").previous_version == 2
    assert older.resolve(VoiceRef("joe", label="stable")).version == 1
    assert next(older.history("joe")).change.actor == "test"
