"""A clip becomes a style, and a line is spoken with it: over gRPC, over HTTP, by the command."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.audio import clips
from tests.e2e.servers import ServerThread, scrape, serving
from tests.families.kokoro_fakes import style, write_kokoro
from tests.http.web import Web, nothing_is_left, web_of
from tests.registry.drafts import root_of
from voxswap_client import (
    Client,
    InvalidRequestError,
    ReadStyle,
    UnusableClipError,
    VoiceNotFoundError,
)
from voxswap_client.cli import main
from voxswap_families.kokoro import style_reading
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry

LINE = "Halt! Who goes there?"
CLIP = clips.file_of(clips.voice(4.0, hertz=180))
_PITCHES = {"af_hum": 12.0, "bm_deep": 0.0}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """Two styles of a small Kokoro, a mixture of another base, and a voice without styles."""
    folder = tmp_path_factory.mktemp("recordings")
    root = str(folder / "registry")
    packs = {"af_hum": style(0.1), "bm_deep": style(0.2)}
    for name, source in (
        ("one", write_kokoro(folder / "one", styles=packs)),
        ("two", write_kokoro(folder / "two", styles=packs, edit=_otherwise)),
    ):
        for pack in packs:
            add = ["voices", "add", str(source), "--registry", root, "--licence", "CC0"]
            assert main([*add, "--id", f"{name}/{pack}", "--style", pack]) == 0
    robot = folder / "robot.tone.json"
    robot.write_text('{"name": "Robot", "pitch_hertz": 110, "front_end": "espeak"}')
    assert main(["voices", "add", str(robot), "--id", "robot", "--registry", root]) == 0
    return Registry(Path(root))


def _otherwise(model: object) -> None:
    graph = model.graph  # type: ignore[attr-defined]
    next(node for node in graph.node if node.name == "mean").name = "another"


@pytest.fixture(scope="module")
def server(registry: Registry) -> Iterator[ServerThread]:
    heard = {
        registry.resolve(VoiceRef(f"one/{name}")).component("style").digest: (
            *(pitch, 1.0, 4.0, 6.0, 0.0),
        )
        for name, pitch in _PITCHES.items()
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style_reading, "PACK_PROSODY", heard)
        with serving(root_of(registry)) as thread:
            yield thread


@pytest.fixture
def client(server: ServerThread) -> Iterator[Client]:
    with Client(server.server.address, timeout_s=60) as client:
        yield client
    nothing_is_left(server)


@pytest.fixture
def web(server: ServerThread) -> Web:
    return web_of(server)


def level(client: Client, voice: str, sealed: bytes | None = None) -> float:
    """The hum of a small Kokoro: the mean of the style that it speaks with."""
    said = client.say(voice, LINE, encoding="pcm_f32le", style=sealed)
    return float(np.frombuffer(said.audio, np.float32).mean())


@pytest.fixture(scope="module")
def read(server: ServerThread) -> ReadStyle:
    with Client(server.server.address, timeout_s=60) as client:
        return client.read_style("one/bm_deep", CLIP)


def test_a_line_is_spoken_with_the_style_of_a_clip(client: Client, read: ReadStyle) -> None:
    assert read.voice == "one/bm_deep@1"
    assert read.heard.pitch_hertz == pytest.approx(180, rel=0.03)
    assert read.similarity > read.similarity_without
    # Five semitones is as far as a voice is taken: from 0 to 5 of 12.
    shares = {share.voice: share.weight for share in read.mixture}
    assert shares == pytest.approx({"one/bm_deep@1": 7 / 12, "one/af_hum@1": 5 / 12}, abs=0.05)
    assert read.expected.pitch_hertz == pytest.approx(100 * 2 ** (5 / 12), rel=0.03)
    own = level(client, "one/bm_deep")
    assert own == pytest.approx(0.2, abs=0.02)
    moved = shares["one/af_hum@1"] * 0.1 / 2  # of half of the style, from 0.2 towards 0.1
    assert level(client, "one/bm_deep", read.style) == pytest.approx(own - moved, abs=2e-3)
    # And on any voice of its base; with a seed the audio is the cache's or is not, and the same.
    assert level(client, "one/af_hum", read.style) != pytest.approx(level(client, "one/af_hum"))


def test_each_fault_of_a_style_names_the_field(client: Client, read: ReadStyle) -> None:
    for voice, sealed, told in (
        ("two/bm_deep", read.style, "another model"),
        ("robot", read.style, "takes no style off a recording"),
        ("one/bm_deep", read.style[:-1], "torn"),
        ("one/bm_deep", b"mine", "none that was read off a recording"),
    ):
        with pytest.raises(InvalidRequestError, match=told) as refused:
            client.say(voice, LINE, style=sealed)
        assert [v.field for v in refused.value.violations] == ["style"]


def test_clips_of_no_use_say_why(client: Client) -> None:
    for audio, fault in (
        (b"no recording at all", "not_audio"),
        (clips.file_of(np.zeros(64_000, np.float32)), "silent"),
        (clips.flac_that_says(samples=3600 * clips.RATE), "too_long"),
        (bytes(2_000_001), "too_large"),
    ):
        with pytest.raises(UnusableClipError) as refused:
            client.read_style("one/bm_deep", audio)
        assert refused.value.metadata == {"fault": fault}
        assert refused.value.code == "INVALID_ARGUMENT"
        assert [v.field for v in refused.value.violations] == ["audio"]
    with pytest.raises(VoiceNotFoundError):
        client.read_style("nobody", CLIP)
    with pytest.raises(InvalidRequestError, match="choose a voice of"):
        client.read_style("robot", CLIP)
    with pytest.raises(InvalidRequestError) as wrong:
        client.read_style("../etc", b"", raw_sample_rate_hertz=-1)
    fields = [v.field for v in wrong.value.violations]
    assert fields == ["voice", "raw_sample_rate_hertz", "audio"]


def test_raw_samples_are_taken(client: Client, read: ReadStyle) -> None:
    raw = client.read_style("one/bm_deep", CLIP[44:], raw_sample_rate_hertz=clips.RATE)
    assert raw.heard == read.heard


def test_http_takes_a_recording_as_it_is(web: Web, client: Client, read: ReadStyle) -> None:
    kind = {"Content-Type": "audio/wav"}
    answer = web.ask("POST", "/v1/style?voice=one/bm_deep", raw=CLIP, headers=kind)
    assert answer.status == 200
    found = answer.json
    assert base64.b64decode(found["style"]) == read.style
    assert found["heard"]["pitch_hertz"] == pytest.approx(read.heard.pitch_hertz)
    body = {"voice": "one/bm_deep", "text": LINE, "style": found["style"]}
    assert web.ask("POST", "/v1/speech", body).status == 200
    for path, raw, field in (
        ("/v1/style?voice=one/bm_deep", b"no", "audio"),
        ("/v1/style?voice=one/bm_deep", b"", "audio"),
        ("/v1/style", CLIP, "voice"),
        ("/v1/style?voice=one/bm_deep&raw_sample_rate_hertz=1e9", CLIP, "raw_sample_rate_hertz"),
        ("/v1/style?voice=one/bm_deep&like=me", CLIP, "like"),
    ):
        refused = web.ask("POST", path, raw=raw, headers=kind)
        assert refused.status == 400, path
        assert [v["field"] for v in refused.error["violations"]] == [field], path
    assert web.ask("POST", "/v1/style?voice=a", raw=bytes(2_000_001), headers=kind).status == 413


def test_the_command_reads_and_speaks(
    server: ServerThread, tmp_path: Path, capsys: pytest.CaptureFixture[str], read: ReadStyle
) -> None:
    clip, kept, line = tmp_path / "clip.wav", tmp_path / "like.style", tmp_path / "line.wav"
    clip.write_bytes(CLIP)
    where = ["--address", server.server.address]
    assert main(["voices", "read-style", "one/bm_deep", str(clip), "-o", str(kept), *where]) == 0
    assert "is expected to come to" in capsys.readouterr().out
    assert kept.read_bytes() == read.style
    for like in (clip, kept):
        told = ["say", "one/bm_deep", LINE, "--like", str(like), "-o", str(line), *where]
        assert main(told) == 0
        assert line.stat().st_size > 1000
        line.unlink()
    capsys.readouterr()
    assert main(["voices", "read-style", "one/bm_deep", str(clip), "--json", *where]) == 0
    assert base64.b64decode(json.loads(capsys.readouterr().out)["style"]) == read.style
    clip.write_bytes(b"no recording")
    assert main(["say", "one/bm_deep", LINE, "--like", str(clip), "-o", str(line), *where]) != 0
    assert "convert it" in capsys.readouterr().err
    clip.write_bytes(bytes(2_000_001))
    assert main(["voices", "read-style", "one/bm_deep", str(clip), *where]) != 0
    assert "cut 3 to 10 s" in capsys.readouterr().err


def test_its_processes_are_counted(server: ServerThread, read: ReadStyle) -> None:
    assert read.style
    rows = scrape(server)
    found = {name: value for name, value in rows.items() if "recordings" in name}
    assert any(value >= 1 for value in found.values()), found
