"""Voices that were made up speak at servers that are told to take them, and at no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.servers import serving
from voxswap_client import Client
from voxswap_client.cli import main
from voxswap_client.errors import VoxswapClientError
from voxswap_families.importing.detect import import_voice
from voxswap_registry.publishing import as_upload


@pytest.fixture
def made_up(tmp_path: Path) -> Path:
    """A VITS voice with random weights."""
    folder = tmp_path / "made_up"
    assert main(["voices", "fabricate", "vits", str(folder), "--seed", "7", "--size", "tiny"]) == 0
    return folder


def added(folder: Path, root: Path) -> Path:
    assert main(["voices", "add", str(folder), "--id", "bench/x", "--registry", str(root)]) == 0
    return root


def test_a_server_refuses_what_was_made_up(made_up: Path, tmp_path: Path) -> None:
    root = added(made_up, tmp_path / "registry")
    with serving(root) as thread, Client(thread.server.address, timeout_s=60) as client:
        for ask in (
            lambda: client.say("bench/x", "hello there"),
            lambda: client.promote("bench/x@1", warm_up=True),
        ):
            with pytest.raises(VoxswapClientError) as raised:
                ask()
            assert (raised.value.code, raised.value.reason) == (
                "FAILED_PRECONDITION",
                "VOICE_FABRICATED",
            )
            assert "--allow-fabricated" in str(raised.value)
        # Nobody brings one over the wire either.
        draft = import_voice(made_up, "bench/wire", workdir=tmp_path / "work")
        with pytest.raises(VoxswapClientError, match="was made up with random weights"):
            client.register_voice(*as_upload(draft))


def test_a_server_that_allows_them_speaks_and_is_heard(made_up: Path, tmp_path: Path) -> None:
    root = added(made_up, tmp_path / "registry")
    with serving(root, allow_fabricated=True) as thread:
        with Client(thread.server.address, timeout_s=60) as client:
            first, again = (client.say("bench/x", "hello there", seed=3) for _ in range(2))
            assert first.trailer.total_samples > 16_000 // 4
            assert first.audio == again.audio
            draft = import_voice(made_up, "bench/wire", workdir=tmp_path / "work")
            assert client.register_voice(*as_upload(draft)).created
            assert client.say("bench/wire", "hello there", seed=3).audio == first.audio
