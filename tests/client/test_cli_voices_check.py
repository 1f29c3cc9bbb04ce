"""`voxswap voices verify` and `sign`, and `voxswap keys`, on a real registry folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.client.local_voices import SYMBOLS, WEIGHTS, torn
from tests.client.terminal import Capsys
from voxswap_client.cli import main
from voxswap_registry.layout import blob_key
from voxswap_registry.store import Registry

pytestmark = pytest.mark.usefixtures("at_home")


def blob(registry: Registry, digest: str) -> Path:
    path = registry.objects.path(blob_key(digest))
    assert path is not None
    return path


def test_verify_of_a_sound_registry(capsys: Capsys, registry: Registry) -> None:
    assert main(["voices", "verify"]) == 0
    out, err = capsys.readouterr()
    assert out == (
        "VOICE        COMPONENT  SIZE  RESULT\n"
        "npc/baker@1  model       5 B  ok\n"
        "npc/baker@1  symbols     2 B  ok\n"
        "npc/smith@1  model       7 B  ok\n"
        "npc/smith@1  symbols     2 B  ok\n"
        "npc/smith@2  model       7 B  ok\n"
        "npc/smith@2  symbols     2 B  ok\n"
        "6 of 6 components are sound\n"
    )
    # Three distinct components: what voices share is hashed once.
    assert err.splitlines()[-1] == "verifying: 100%, 14 B of 14 B"


def test_verify_finds_what_is_bad(capsys: Capsys, registry: Registry) -> None:
    blob(registry, WEIGHTS).chmod(0o644)
    blob(registry, WEIGHTS).write_bytes(b"Weights")
    blob(registry, SYMBOLS).unlink()
    torn(registry, "npc/baker", 2)
    assert main(["voices", "verify"]) == 1
    out, err = capsys.readouterr()
    assert out == (
        "VOICE        COMPONENT  SIZE  RESULT\n"
        "npc/baker@1  model       5 B  ok\n"
        "npc/baker@1  symbols     2 B  MISSING\n"
        "npc/baker@2  -             -  UNREADABLE\n"
        "npc/smith@1  model       7 B  DAMAGED\n"
        "npc/smith@1  symbols     2 B  MISSING\n"
        "npc/smith@2  model       7 B  DAMAGED\n"
        "npc/smith@2  symbols     2 B  MISSING\n"
        "1 of 7 components are sound\n"
    )
    assert err.count("voxswap: warning: ") == 6


def test_verify_of_some_as_json(capsys: Capsys, registry: Registry) -> None:
    blob(registry, WEIGHTS).unlink()
    assert main(["voices", "verify", "npc/baker", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True
    assert main(["voices", "verify", "npc/baker", "npc/smith@1", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    results = [(found["voice"], found["result"]) for found in document["components"]]
    assert document["ok"] is False
    assert results == [
        ("npc/baker@1", "ok"),
        ("npc/baker@1", "ok"),
        ("npc/smith@1", "MISSING"),
        ("npc/smith@1", "ok"),
    ]


def test_verify_of_an_unknown_voice(capsys: Capsys, registry: Registry) -> None:
    assert main(["voices", "verify", "npc/nobody"]) == 1
    assert "npc/nobody" in capsys.readouterr().err


# sign


@pytest.fixture
def keys(capsys: Capsys) -> tuple[str, str]:
    """Two key pairs: the private files."""
    for name in ("ours", "theirs"):
        assert main(["keys", "new", name]) == 0
    capsys.readouterr()
    return "ours", "theirs"


def test_signed_versions_are_verified(
    capsys: Capsys, registry: Registry, keys: tuple[str, str]
) -> None:
    ours, theirs = keys
    assert main(["voices", "sign", "npc/smith@1", "npc/baker", "--key", ours]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("signed npc/smith@1 with ")
    assert second.startswith("signed npc/baker@1 with ")
    flags = ["--key", f"{theirs}.pub", "--key", f"{ours}.pub"]
    assert main(["voices", "verify", "npc/baker", "npc/smith@1", *flags]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[1].split() == ["npc/baker@1", "signature", "-", "signed"]
    assert out.endswith("6 of 6 components and signatures are sound\n")


def test_a_version_that_is_not_signed(
    capsys: Capsys, registry: Registry, keys: tuple[str, str]
) -> None:
    ours, theirs = keys
    assert main(["voices", "sign", "npc/smith@1", "--key", theirs, "--json"]) == 0
    (signed,) = json.loads(capsys.readouterr().out)["signed"]
    assert signed["voice"] == "npc/smith@1"
    for ref in ("npc/smith@1", "npc/baker"):
        assert main(["voices", "verify", ref, "--key", f"{ours}.pub"]) == 1
        out, err = capsys.readouterr()
        assert "NOT SIGNED" in out
        assert "voxswap: warning: npc/" in err


def test_signing_needs_a_key(capsys: Capsys, registry: Registry) -> None:
    assert main(["voices", "sign", "npc/smith"]) == 2
    assert main(["voices", "sign", "npc/smith", "--key", "nowhere"]) == 1
    assert "nowhere" in capsys.readouterr().err
