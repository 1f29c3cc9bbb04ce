"""Files that are written to, truncated or replaced while joe speaks with them."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.servers import ServerThread, serving
from tests.registry.drafts import blob_path, root_of
from voxswap_client import Client, DataLossError
from voxswap_families.embedded import import_embedded
from voxswap_families.layers.native.library import usable
from voxswap_families.vits.embedded import JOE
from voxswap_registry.manifest import Manifest
from voxswap_registry.names import VoiceRef
from voxswap_registry.signing import PrivateKey, new_key_pair
from voxswap_registry.store import Registry

LINE = "Halt! Who goes there? The bridge is closed after dark."


@pytest.fixture(params=["native", "torch"])
def kernels(request: pytest.FixtureRequest) -> str:
    """What computes; the weights are pages of the file either way."""
    if request.param == "native" and not usable():
        pytest.skip("no native kernels here")
    return "auto" if request.param == "native" else "torch"


@pytest.fixture
def registry(kernels: str, joe_registry: Registry, tmp_path: Path) -> Registry:
    """One that a test may spoil, in the form that ``kernels`` map."""
    if kernels == "torch":
        shutil.copytree(root_of(joe_registry), tmp_path / "registry")
        return Registry(tmp_path / "registry")
    registry = Registry(tmp_path / "registry")
    import_embedded(registry, voices=(JOE,), dtype="auto")
    return registry


def model_of(registry: Registry) -> Path:
    return blob_path(registry, registry.resolve(VoiceRef("joe")).component("model"))


def put_in_place(path: Path, data: bytes, at: int = 0) -> None:
    """Write into the very file, and set its times back."""
    before = path.stat()
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def put_by_renaming(path: Path, data: bytes) -> None:
    path.with_name("new").write_bytes(data)
    path.with_name("new").replace(path)


def same(a: bytes, b: bytes) -> bool:
    """But for rounding, which comes with how the line was cut into steps."""
    x, y = (np.frombuffer(audio, np.int16).astype(int) for audio in (a, b))
    return len(x) == len(y) and bool(np.abs(x - y).max() < 64)


def count(address: str | None, metric: str) -> float:
    with urllib.request.urlopen(f"http://{address}/metrics") as answer:
        text = answer.read().decode()
    found = re.search(rf"^{re.escape(metric)} (\S+)$", text, re.MULTILINE)
    return float(found.group(1)) if found else 0.0


def test_changes_that_change_nothing_go_unheard_and_others_are_refused(
    registry: Registry, kernels: str
) -> None:
    path = model_of(registry)
    sound = path.read_bytes()
    with (
        serving(root_of(registry), kernels=kernels) as thread,
        Client(thread.server.address) as client,
    ):
        metrics = thread.server.metrics_address

        def say() -> bytes:
            return client.say("joe", LINE, seed=3).audio

        def spoils(change: object) -> None:
            """The change is refused at the next step, and the bytes at the next load."""
            before = count(metrics, 'voxswap_evictions_total{reason="changed"}')
            with pytest.raises(DataLossError, match="was changed on the server's disk") as raised:
                say()
            assert raised.value.reason == "COMPONENT_CHANGED"
            thread.wait_until(lambda: not thread.house.manager.residents())
            # It is counted once its memory is free.
            thread.wait_until(
                lambda: count(metrics, 'voxswap_evictions_total{reason="changed"}') == before + 1
            )
            with pytest.raises(DataLossError) as raised:
                say()
            assert raised.value.reason == "DIGEST_MISMATCH"
            put_by_renaming(path, sound)
            assert same(say(), right)

        right = say()
        os.utime(path)
        assert same(say(), right)
        path.chmod(0o644)
        path.with_name("link").hardlink_to(path)
        assert same(say(), right)
        path.with_name("link").unlink()
        put_by_renaming(path, bytes(len(sound)))
        assert same(say(), right), "what is mapped is the file that was verified"
        assert count(metrics, "voxswap_loads_total") == 1
        put_by_renaming(path, sound)
        client.unload("joe")
        assert same(say(), right)
        spoils(put_in_place(path, bytes(1 << 20), at=20 << 20))
        spoils(os.truncate(path, 1 << 20))
        # `cp` truncates and writes again: by the time that anybody looks, it may be sound.
        put_in_place(path, sound)
        assert same(say(), right)


def test_an_idle_voice_is_taken_out_as_well(registry: Registry, kernels: str) -> None:
    path = model_of(registry)
    with (
        serving(root_of(registry), kernels=kernels) as thread,
        Client(thread.server.address) as client,
    ):
        client.say("joe", LINE)
        client.pin("joe")
        manager = thread.house.manager

        def look() -> None:
            asyncio.run_coroutine_threadsafe(manager.inspect_files(), thread.loop).result(60)

        os.utime(path)
        look()
        assert thread.on_loop(manager.residents)
        os.truncate(path, 1 << 20)
        look()
        thread.wait_until(lambda: not manager.residents())
        thread.on_loop(manager.check_integrity)


@pytest.fixture
def signed(registry: Registry, kernels: str, tmp_path: Path) -> Iterator[ServerThread]:
    keys = new_key_pair(tmp_path / "studio")
    registry.sign("joe", 1, PrivateKey.load(keys.private_path))
    with serving(
        root_of(registry),
        require_signature=True,
        trusted_keys=(keys.public_path,),
        kernels=kernels,
    ) as thread:
        yield thread


def copies_of(thread: ServerThread, joe: Manifest) -> list[Path]:
    folder = thread._settings.cache_dir / "components"
    assert folder.stat().st_mode & 0o777 == 0o700
    digest = joe.component("model").digest.removeprefix("sha256:")
    return list(folder.glob(f"sha256/*/{digest}"))


def test_what_is_signed_is_spoken_from_a_copy_that_nobody_else_can_write(
    registry: Registry, signed: ServerThread
) -> None:
    joe = registry.resolve(VoiceRef("joe"))
    with Client(signed.server.address) as client:
        right = client.say("joe", LINE, seed=3).audio
        put_in_place(model_of(registry), bytes(1 << 20), at=20 << 20)
        assert same(client.say("joe", LINE, seed=3).audio, right)
        client.unload("joe")
        assert same(client.say("joe", LINE, seed=3).audio, right)
        (copy,) = copies_of(signed, joe)
        assert copy.stat().st_mode & 0o222 == 0
        put_in_place(copy, bytes(1 << 20), at=20 << 20)
        with pytest.raises(DataLossError, match="was changed on the server's disk"):
            client.say("joe", LINE, seed=3)
        with pytest.raises(DataLossError) as raised:  # by now the registry has no sound bytes
            client.say("joe", LINE, seed=3)
        assert raised.value.reason == "DIGEST_MISMATCH"


def test_a_truncated_file_ends_the_stream_and_not_the_process(
    registry: Registry, kernels: str, tmp_path: Path
) -> None:
    """In a process of its own: the fault would be a SIGBUS."""
    path = model_of(registry)
    sound = path.read_bytes()
    command = [sys.executable, "-m", "voxswap_server", "--registry", str(root_of(registry))]
    command += [
        "--listen",
        "127.0.0.1:0",
        "--metrics-listen",
        "127.0.0.1:0",
        "--http-listen",
        "off",
    ]
    command += ["--cache-dir", str(tmp_path / "cache"), "--audio-cache-bytes", "0"]
    command += ["--kernels", kernels]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("VOXSWAP_")}
    process = subprocess.Popen(  # noqa: S603
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert process.stdout is not None
        greeting = process.stdout.readline() + process.stdout.readline()
        found = re.search(r"serving on (\S+)\n.*http://(\S+?)(/metrics)?\n", greeting)
        assert found, greeting
        address, metrics = found.group(1), found.group(2)
        with Client(address, timeout_s=120) as client:
            with client.converse("joe", seed=3, pacing="none") as conversation:
                conversation.send("Halt!")
                conversation.flush()
                next(conversation)
                _until_quiet(metrics)
                os.truncate(path, 1 << 20)
                conversation.send("Who goes there?")
                conversation.end()
                with pytest.raises(DataLossError) as raised:
                    for _ in conversation:
                        pass
            assert raised.value.reason == "COMPONENT_CHANGED"
            with pytest.raises(DataLossError):
                client.say("joe", LINE)
            put_by_renaming(path, sound)
            assert client.say("joe", LINE).trailer.total_samples
        assert process.poll() is None
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors


def _until_quiet(metrics: str) -> None:
    """Nothing more is to be said, so soon no step is under way: one that is could be hit."""
    steps, since = -1.0, time.monotonic()
    while time.monotonic() - since < 2:
        if (now := count(metrics, "voxswap_step_seconds_count")) != steps:
            steps, since = now, time.monotonic()
