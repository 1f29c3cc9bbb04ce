"""`voxswap render` with real servers and voices: killed, gone on with, swapping least, leveled."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pty
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.client.loudness_meter import lufs
from tests.client.terminal import Capsys, unwrapped
from tests.e2e.servers import ServerThread, scrape, serving
from tests.registry.drafts import root_of
from voxswap_client import Client
from voxswap_client.cli import main
from voxswap_families.importing.detect import import_voice
from voxswap_registry.store import Registry

LINE = "The bridge is closed after dark, and nobody may pass before the morning."


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """Three voices that need nothing and speak at once."""
    folder = tmp_path_factory.mktemp("tones")
    registry = Registry(folder / "registry")
    for name in "abc":
        source = folder / f"{name}.tone.json"
        source.write_text(json.dumps({"pitch_hertz": 80 + 10 * ord(name) % 97}))
        registry.publish(import_voice(source, f"npc/{name}", workdir=folder / name))
    return registry


@pytest.fixture(scope="module")
def choir(tones: Registry) -> Iterator[ServerThread]:
    with serving(root_of(tones)) as thread:
        yield thread


def script(*rows: dict[str, Any]) -> None:
    Path("s.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def render(thread: ServerThread, *flags: str) -> int:
    return main(["render", "s.jsonl", "-o", "out", "--address", thread.server.address, *flags])


def results() -> dict[str, dict[str, Any]]:
    rows = map(json.loads, Path("out/results.jsonl").read_text().splitlines())
    return {row["id"]: row for row in rows}


def until(terminal: int, told: bytes) -> bytes:
    """What a command writes to its terminal, as far as ``told``."""
    shown = b""
    while told not in shown:
        shown += os.read(terminal, 4096)
    return shown


@contextlib.contextmanager
def on_a_terminal(thread: ServerThread) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    ours, its = pty.openpty()
    command = [sys.executable, "-m", "voxswap_client.cli", "render", "s.jsonl", "-o", "out"]
    process = subprocess.Popen(  # noqa: S603
        [*command, "--address", thread.server.address], stderr=its, stdout=subprocess.DEVNULL
    )
    os.close(its)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_killed_in_the_middle_and_gone_on_with(choir: ServerThread, capsys: Capsys) -> None:
    voices = ("npc/a", "npc/b", "npc/c")
    script(
        *(
            {"id": f"{n % 7}/{n}", "voice": voices[n % 3], "text": LINE, "seed": n}
            for n in range(40)
        )
    )
    with on_a_terminal(choir) as (process, terminal):
        shown = until(terminal, b" of 40 lines, ")
        process.kill()
        process.wait()
    assert shown.startswith(b"\rrendering [....")
    before = {path: path.stat().st_mtime_ns for path in Path("out").rglob("*.wav")}
    done = results()
    assert 0 < len(done) <= len(before) < 40
    assert render(choir) == 0
    found = results()
    assert len(found) == 40
    assert sum(1 for _ in Path("out").rglob("*")) == 40 + 7 + 1, "and nothing besides"
    for row in found.values():
        data = Path("out", row["file"]).read_bytes()
        assert row["digest"] == f"sha256:{hashlib.sha256(data).hexdigest()}"
        with wave.open(f"out/{row['file']}") as file:
            assert file.getnframes() == row["samples"]
    for line_id, row in done.items():
        path = Path("out", row["file"])
        assert path.stat().st_mtime_ns == before[path], f"{line_id} was rendered twice"
    assert capsys.readouterr().out.startswith(f"out: {40 - len(done)} rendered, {len(done)} unch")


@pytest.mark.parametrize("encoding", ["wav", "pcm_f32le", "mulaw", "flac", "mp3"])
def test_a_file_is_what_the_server_says(choir: ServerThread, encoding: str) -> None:
    script({"id": "x", "voice": "npc/b", "text": LINE, "seed": 3, "encoding": encoding})
    assert render(choir) == 0
    with Client(choir.server.address) as client:
        saved = client.say("npc/b", LINE, seed=3, encoding=encoding).save("saved")
    row = results()["x"]
    assert Path("out", row["file"]).read_bytes() == saved.read_bytes()
    assert (row["voice"], row["seed"], row["encoding"]) == ("npc/b@1", "3", encoding)


def test_lines_that_the_server_refuses_are_told_and_the_rest_is_there(
    choir: ServerThread, capsys: Capsys
) -> None:
    script(
        {"id": "good", "voice": "npc/a", "text": LINE},
        *({"voice": "npc/nobody", "text": LINE} for _ in range(8)),
        {"id": "fast", "voice": "npc/a", "text": LINE, "rate": 99},
        {"id": "who", "voice": "npc/a", "text": LINE, "speaker": "anna"},
        {"id": "long", "voice": "npc/a", "text": "x" * 20_000},
        {"id": "odd", "voice": "Not A Voice", "text": LINE},
    )
    assert render(choir) == 1
    out, err = capsys.readouterr()
    assert out.startswith("out: 1 rendered, 12 failed; ")
    assert max(map(len, err.splitlines())) <= 100
    told = unwrapped(err)
    assert told[0] == "voxswap: error: 12 of 13 lines failed"
    assert sorted(line.split(":")[0] for line in told[1:-1]) == [
        *("  line 10", "  line 11", "  line 12", "  line 13", "  lines 2, 3, 4, 5, 6 and 3 more")
    ]
    assert {row["status"] for row in results().values()} == {"done", "failed"}
    assert results()["good"]["status"] == "done"


def test_voices_are_swapped_once_each(twins: Registry) -> None:
    script(*({"voice": "abc"[n % 3], "text": f"Line {n}."} for n in range(12)))
    one_voice: dict[str, Any] = {
        "memory_budget": "350MiB",
        "arithmetic": "float32",
        "compute_threads": 1,
    }
    with serving(root_of(twins), **one_voice) as thread:
        with Client(thread.server.address) as client:
            client.load("b")
        assert render(thread, "--jobs", "2") == 0
        found = scrape(thread)
    assert len(results()) == 12
    swaps = {
        outcome: found.get(f'voxswap_cache_requests_total{{outcome="{outcome}"}}', 0.0)
        for outcome in ("hit", "miss")
    }
    assert sum(swaps.values()) == 12
    # Each of the two jobs may be the first to wait for a voice.
    assert 2 <= swaps["miss"] <= 4
    assert found["voxswap_loads_total"] == 3


@pytest.mark.parametrize(
    ("encoding", "close"),
    [("wav", 0.15), ("pcm_f32le", 0.15), ("flac", 0.15), ("ogg_opus", 0.4), ("mp3", 0.4)],
)
def test_every_line_has_the_loudness_that_was_asked_for(
    server: ServerThread, encoding: str, close: float
) -> None:
    pytest.importorskip("pyloudnorm", reason="needs the extra render")
    script(
        {"id": "plain", "voice": "joe", "text": LINE, "seed": 1},
        {"id": "quiet", "voice": "joe", "text": LINE, "seed": 1, "loudness": -30},
        {"id": "fast", "voice": "joe", "text": LINE, "seed": 1, "rate": 1.5},
        {"id": "low", "voice": "joe", "text": LINE, "seed": 1, "sample_rate": 16_000},
    )
    assert render(server, "--loudness", "-23", "--encoding", encoding) == 0
    for line_id, row in results().items():
        samples, rate = soundfile.read(Path("out", row["file"]), dtype="float64")
        target = -30 if line_id == "quiet" else -23
        assert lufs(samples, rate) == pytest.approx(target, abs=close)
        assert np.abs(samples).max() < 10 ** (-1 / 20) + 0.02
        assert row["loudness"]["reached"]
        assert row["loudness"]["lufs"] == pytest.approx(target, abs=0.01)
        assert (rate, row["sample_rate_hertz"]) == (rate, rate)


def test_a_loudness_that_peaks_forbid_is_told(server: ServerThread, capsys: Capsys) -> None:
    pytest.importorskip("pyloudnorm", reason="needs the extra render")
    script({"id": "x", "voice": "joe", "text": LINE, "loudness": -5})
    assert render(server) == 0
    found = results()["x"]["loudness"]
    assert (found["target_lufs"], found["true_peak_dbtp"], found["reached"]) == (-5, -1.0, False)
    samples, rate = soundfile.read("out/x.wav", dtype="float64")
    assert lufs(samples, rate) == pytest.approx(found["lufs"], abs=0.15)
    assert unwrapped(capsys.readouterr().err)[0].startswith("voxswap: warning: 1 line could not")
