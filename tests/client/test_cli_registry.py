"""`voxswap registry gc`, `registry pull` and `voxswap keys`."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest

from tests.client.local_voices import draft
from tests.client.terminal import Capsys, unwrapped
from voxswap_client.cli import main
from voxswap_client.cli.registry import duration
from voxswap_registry.layout import blob_key
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry

pytestmark = pytest.mark.usefixtures("at_home")


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """npc/smith has one version and had another one, of other weights."""
    found = Registry(tmp_path / "var/registry")
    found.publish(draft(tmp_path, weights=b"old weights"))
    found.publish(draft(tmp_path, weights=b"new weights"))
    found.delete(VoiceRef("npc/smith", 1))
    return found


def blobs(registry: Registry) -> set[str]:
    return {info.key for info in registry.objects.list("blobs")}


def test_gc_removes_what_no_version_names(capsys: Capsys, registry: Registry) -> None:
    kept = {blob_key(c.digest) for c in registry.read("npc/smith", 2).components}
    before = blobs(registry)
    assert main(["registry", "gc", "--grace", "0s", "--dry-run"]) == 0
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first == "would remove 1 blobs (11 B) from var/registry"
    assert second == "kept 2 blobs that versions name, 0 that are too young to go"
    assert blobs(registry) == before
    assert main(["registry", "gc", "--grace", "0s"]) == 0
    assert capsys.readouterr().out.startswith("removed 1 blobs (11 B) from var/registry")
    assert blobs(registry) == kept


def test_gc_keeps_what_is_young(capsys: Capsys, registry: Registry) -> None:
    before = blobs(registry)
    assert main(["registry", "gc", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["collected"]["young"] == 1
    assert blobs(registry) == before


def test_gc_refuses_while_somebody_publishes(capsys: Capsys, registry: Registry) -> None:
    assert registry.objects.create("publishing/0123.json", b"{}")
    assert main(["registry", "gc"]) == 1
    assert "publishing now" in " ".join(unwrapped(capsys.readouterr().err))


@pytest.mark.parametrize("text", ["", "1", "h", "-1h", "1w", "1.5h", "9999999s"])
def test_a_grace_that_is_no_time_is_misuse(capsys: Capsys, registry: Registry, text: str) -> None:
    assert main(["registry", "gc", f"--grace={text}"]) == 2
    assert "such as 24h" in capsys.readouterr().err


def test_durations_have_units() -> None:
    assert [duration(text) for text in ("90s", "5m", "24h", "7d")] == [
        timedelta(seconds=90), timedelta(minutes=5), timedelta(hours=24), timedelta(days=7)
    ]  # fmt: skip


def test_pull_checks_and_counts(capsys: Capsys, registry: Registry) -> None:
    assert main(["registry", "pull"]) == 0
    assert capsys.readouterr().out == "2 components of 1 voices are here (13 B)\n"
    path = registry.objects.path(blob_key(registry.read("npc/smith", 2).components[0].digest))
    path.chmod(0o644)
    path.write_bytes(b"NEW weights")
    assert main(["registry", "pull", "npc/smith"]) == 1
    assert "reads as sha256:" in " ".join(unwrapped(capsys.readouterr().err))


def test_a_location_that_is_none_is_misuse(capsys: Capsys) -> None:
    assert main(["registry", "gc", "--registry", "ftp://host/voices"]) == 2
    assert "s3://" in " ".join(unwrapped(capsys.readouterr().err))
    assert main(["registry", "gc", "--registry", "s3://key:secret@bucket/voices"]) == 2
    told = " ".join(unwrapped(capsys.readouterr().err))
    assert "environment" in told
    assert "secret" not in told


def test_keys_are_made_shown_and_used(capsys: Capsys, registry: Registry, tmp_path: Path) -> None:
    assert main(["keys", "new", "release.key", "--json"]) == 0
    key_id = json.loads(capsys.readouterr().out)["key_id"]
    assert os.stat("release.key").st_mode & 0o777 == 0o600  # noqa: PTH116
    assert main(["keys", "show", "release.key.pub"]) == 0
    assert capsys.readouterr().out == f"{key_id}  release.key.pub\n"
    verify = ["voices", "verify", "--key", "release.key.pub"]
    assert main(verify) == 1
    assert "has no signature" in " ".join(unwrapped(capsys.readouterr().err))
    assert main(["voices", "sign", "npc/smith", "--key", "release.key"]) == 0
    assert capsys.readouterr().out == f"signed npc/smith@2 with {key_id}\n"
    assert main(verify) == 0


def test_a_key_is_never_overwritten_nor_told(capsys: Capsys) -> None:
    assert main(["keys", "new", "release.key"]) == 0
    with open("release.key") as file:  # noqa: PTH123
        secret = file.read()
    assert main(["keys", "new", "release.key"]) == 1
    assert main(["keys", "show", "release.key"]) == 1
    out, err = capsys.readouterr()
    assert secret.splitlines()[1] not in out + err
    with open("release.key") as file:  # noqa: PTH123
        assert file.read() == secret


def test_trust_graph_of_a_voice_without_one(capsys: Capsys, registry: Registry) -> None:
    assert main(["registry", "trust-graph", "npc/smith"]) == 0
    assert capsys.readouterr().out == "nothing to trust: these voices have no graphs\n"
    assert not list(registry.objects.list("graphs"))


def test_trust_graph_of_what_is_not_there(capsys: Capsys, registry: Registry) -> None:
    assert main(["registry", "trust-graph", "npc/nobody"]) == 1
    assert "no voice 'npc/nobody'" in capsys.readouterr().err
    assert main(["registry", "trust-graph", "sha256:abc"]) == 2
    assert "64 hexadecimal digits" in " ".join(unwrapped(capsys.readouterr().err))
    assert main(["registry", "trust-graph", "sha256:" + "0" * 64]) == 1
    assert "publish a voice that has it first" in " ".join(unwrapped(capsys.readouterr().err))
