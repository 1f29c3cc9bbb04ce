"""The Kokoro engine: the real model against onnxruntime itself, and a small one for the rest."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from tests.fakes.manifests import make_manifest
from tests.families.files import assembled, read
from tests.families.kokoro_graphs import HOSTILE
from tests.families.kokoro_voices import load, manifest_of, write_fake
from tests.registry.drafts import blob_paths
from voxswap_families.contract import Delivery
from voxswap_families.kokoro import engine as module
from voxswap_families.kokoro import format as kokoro
from voxswap_families.kokoro.engine import (
    KokoroBase,
    KokoroEngine,
    KokoroStyle,
    KokoroUtterance,
    KokoroVoice,
    frames_bytes,
)
from voxswap_families.onnx_graphs.check import parse_graph
from voxswap_families.prosody_measures import RATE_HERTZ, frames_of
from voxswap_families.symbols import SymbolTable
from voxswap_families.work import Work, finished
from voxswap_registry.errors import EngineError, ManifestError
from voxswap_registry.families import GraphError
from voxswap_registry.manifest import Audio, FrontEndSpec, Manifest
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry
from voxswap_server.text.frontends import make_front_end
from voxswap_server.text.normalization import normalize

HOP = kokoro.HOP_LENGTH_SAMPLES
USUAL = Delivery(rate=1.0, seed=7, controls={"noise_scale": 0.667, "duration_noise_scale": 0.8})
KUMO, GONGITSUNE = "kokoro/jm_kumo", "kokoro/jf_gongitsune"

Audio32 = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Real:
    """The real base, read once, with two of its styles."""

    voices: dict[str, KokoroVoice]
    base: KokoroBase
    manifest: Manifest


@pytest.fixture(scope="module")
def real(kokoro_registry: Registry) -> Real:
    engine = KokoroEngine(threads=2)
    voices, base = {}, None
    for name in (KUMO, GONGITSUNE):
        manifest = kokoro_registry.resolve(VoiceRef(name))
        paths = blob_paths(kokoro_registry, manifest)
        if base is None:
            base = read(engine, manifest, "base", paths["base"]).place()
        style = read(engine, manifest, "style", paths["style"]).place()
        voice = assembled(engine, manifest, base=base, style=style)
        assert isinstance(voice, KokoroVoice)
        voices[name] = voice
    assert isinstance(base, KokoroBase)
    return Real(voices, base, manifest)


@pytest.fixture(scope="module")
def reference(kokoro_model: Path, kokoro_styles: Path) -> Callable[..., Audio32]:
    """The model as it was published, run by onnxruntime as anybody would."""
    ort = pytest.importorskip("onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 2
    options.log_severity_level = 3
    session = ort.InferenceSession(str(kokoro_model), options)
    packs = np.load(kokoro_styles)

    def speak(name: str, ids: list[int], rate: float = 1.0) -> Audio32:
        feeds = {
            "tokens": np.array([ids]),
            "style": packs[name.rpartition("/")[2]][len(ids) - 3],
            "speed": np.array([rate], np.float32),
        }
        audio: Audio32 = session.run(None, feeds)[0]
        return audio

    return speak


def ids_of(text: str) -> list[int]:
    return [0, *(kokoro.SYMBOLS[symbol] for symbol in text), 0]


LINE = ids_of("ðə bɹˈɪʤ ɪz klˈOzd ˈæftəɹ dˈɑɹk.")


def whole(voice: KokoroVoice, ids: list[int], delivery: Delivery = USUAL) -> Audio32:
    utterance = finished(voice.prepare(ids, delivery))
    return finished(utterance.decode(0, utterance.frames))


@pytest.fixture
def fake(tmp_path: Path) -> KokoroVoice:
    return load(KokoroEngine(), write_fake(tmp_path), _paths(tmp_path))


def _paths(folder: Path) -> dict[str, Path]:
    return {role: folder / role for role in ("base", "style")}


# The real model


@pytest.mark.parametrize(("name", "rate"), [(KUMO, 1.0), (GONGITSUNE, 1.7)])
def test_parity_with_onnxruntime(
    real: Real, reference: Callable[..., Audio32], name: str, rate: float
) -> None:
    expected = reference(name, LINE, rate)
    utterance = finished(real.voices[name].prepare(LINE, dataclasses.replace(USUAL, rate=rate)))
    ours = finished(utterance.decode(0, utterance.frames))
    # The same samples, less some silence at either end and with the highest peaks bent.
    start = np.flatnonzero(expected == ours[0])
    before = next(int(i) for i in start if np.array_equal(expected[i : i + HOP], ours[:HOP]))
    after = len(expected) - before - len(ours)
    untouched = np.abs(expected[before : before + len(ours)]) <= 0.9
    assert np.array_equal(ours[untouched], expected[before : before + len(ours)][untouched])
    assert untouched.mean() > 0.999
    assert np.abs(ours).max() <= 1.0
    for silence, least_ms in ((expected[:before], 150), (expected[len(expected) - after :], 250)):
        assert len(silence) % HOP == 0
        assert len(silence) > least_ms * 24
        assert np.sqrt(np.square(silence).mean()) < 10 ** (-50 / 20)


def test_pitch_and_range_are_the_model_s_own(real: Real) -> None:
    """Without any it is the published model to the bit: see above."""
    steered = dataclasses.replace(USUAL, controls={"pitch_semitones": 4.0, "pitch_range": 0.0})
    plain, flat = (
        _pitch(whole(real.voices[GONGITSUNE], LINE, asked)) for asked in (USUAL, steered)
    )
    widths = [float(np.subtract(*np.percentile(p, (75, 25)))) for p in (flat, plain)]
    assert widths[0] < 0.4 * widths[1]
    # About a mean of what is predicted, consonants with it, and not of what is heard.
    assert abs(1200 * np.log2(np.median(flat) / np.median(plain)) - 400) < 150


def _pitch(audio: Audio32) -> npt.NDArray[np.float64]:
    """In hertz, of what is voiced, without what is taken for an octave more or less."""
    at = np.arange(0, len(audio), kokoro.SAMPLE_RATE_HERTZ / RATE_HERTZ)
    clip = np.interp(at, np.arange(len(audio)), audio).astype(np.float32)
    hertz = finished(Work(frames_of(clip))).pitch_hertz
    hertz = hertz[hertz > 0]
    return hertz[np.abs(np.log2(hertz / np.median(hertz))) < 0.6]


def test_durations_line_up_with_the_sound(real: Real) -> None:
    utterance = finished(real.voices[KUMO].prepare(LINE, USUAL))
    assert len(utterance.durations_frames) == len(LINE)
    assert sum(utterance.durations_frames) == utterance.frames
    assert min(utterance.durations_frames[1:-2]) >= 1
    audio = finished(utterance.decode(0, utterance.frames))
    assert len(audio) == utterance.frames * HOP
    levels = np.square(audio).reshape(-1, HOP).mean(axis=1)
    edges = np.cumsum(utterance.durations_frames)
    heard = {
        kind: np.mean([levels[edges[i - 1] : edges[i]].mean() for i in _places(symbols)])
        for kind, symbols in (("vowels", "ɪOæɑ"), ("plosives", "ktf"))
    }
    assert heard["vowels"] > 4 * heard["plosives"]
    assert 0.05 < np.sqrt(levels.mean()) < 0.3


def _places(symbols: str) -> list[int]:
    """Where these stand in the line."""
    ids = {kokoro.SYMBOLS[symbol] for symbol in symbols}
    return [place for place, symbol in enumerate(LINE) if symbol in ids]


def test_words_of_the_front_end_have_their_time(real: Real, kokoro_registry: Registry) -> None:
    paths = blob_paths(kokoro_registry, real.manifest)
    table = SymbolTable.from_json(paths["symbols"].read_bytes())
    front_end = make_front_end(real.manifest.front_end, table, "en-US")
    text = normalize("Pay 2 coins!", "en-US")
    sequence = front_end.symbols(text)
    assert not sequence.unknown
    durations = finished(real.voices[KUMO].prepare(sequence.ids, USUAL)).durations_frames
    frames: dict[str, int] = {}
    for phone in sequence.phones:
        if phone.word is not None:
            word = text.words[phone.word].text
            frames[word] = frames.get(word, 0) + sum(durations[phone.first : phone.last])
    assert list(frames) == ["Pay", "2", "coins"]
    assert all(4 <= n <= 40 for n in frames.values())


def test_nothing_is_drawn_by_lot(real: Real) -> None:
    other = Delivery(rate=1.0, seed=1, speaker=3)
    short = [*LINE[:9], 0]
    assert np.array_equal(whole(real.voices[KUMO], short), whole(real.voices[KUMO], short, other))
    assert not np.array_equal(
        whole(real.voices[KUMO], short)[:HOP], whole(real.voices[GONGITSUNE], short)[:HOP]
    )


def test_voices_share_the_base(real: Real, kokoro_registry: Registry) -> None:
    engine = KokoroEngine()
    first, second = (
        engine.parts(kokoro_registry.resolve(VoiceRef(name))) for name in (KUMO, GONGITSUNE)
    )
    assert first == second  # their digests differ where their bytes do
    base, style, _ = first
    assert base.footprint_bytes > real.base.resident_bytes
    assert style.footprint_bytes < 1 << 20
    assert real.base.allocated_bytes == real.base.resident_bytes


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's /proc")
def test_memory_stays_within_what_was_announced(kokoro_registry: Registry) -> None:
    """In a process of its own: the first base, a slow segment, and too little memory."""
    paths = blob_paths(kokoro_registry, kokoro_registry.resolve(VoiceRef(KUMO)))
    script = [sys.executable, "-m", "tests.families.kokoro_memory"]
    command: list[str | Path] = [*script, paths["base"], paths["style"], "60", "0.25"]
    run = subprocess.run(command, check=True, capture_output=True)  # noqa: S603
    found: dict[str, Any] = json.loads(run.stdout)
    base = found["base"]
    assert base["peak_bytes"] <= base["footprint_bytes"]
    assert base["kept_bytes"] <= base["resident_bytes"] + (48 << 20)  # the libraries, once
    assert base["footprint_bytes"] < 4 * paths["base"].stat().st_size
    assert found["style"]["kept_bytes"] <= 4 << 20  # pages, and safetensors itself
    slow = found["slow"]
    assert slow["frames"] > 400
    assert 0.4 * slow["bound_bytes"] < slow["peak_bytes"] <= slow["bound_bytes"]
    assert slow["kept_bytes"] < 64 << 20
    # The longest ones, whose frames are bounded, take too long to be tried here.
    most = KokoroEngine().workspace_bytes(make_manifest(), largest_chunk_s=2.5)
    assert most == frames_bytes(800 + 160)
    assert (found["speaking"], found["loading"]) == ("DeviceMemoryError", "DeviceMemoryError")
    assert found["audible"] > 0


# The small model


@pytest.mark.parametrize(("n", "row"), [(1, 0), (2, 0), (3, 0), (4, 1), (160, 157)])
def test_the_style_is_that_of_the_length(fake: KokoroVoice, n: int, row: int) -> None:
    assert whole(fake, [50] * n)[0] == pytest.approx(row / 1000, rel=1e-5)


def test_the_rate_is_the_model_s_speed(fake: KokoroVoice) -> None:
    ids = [6, 48, 55, 0]  # 7, 7, 7 and 1 frames, of which two go from the first to the last
    for rate, expected in ((1.0, [5, 7, 7, 3]), (0.5, [12, 14, 14, 4]), (4.0, [0, 2, 2, 3])):
        utterance = finished(fake.prepare(ids, dataclasses.replace(USUAL, rate=rate)))
        assert list(utterance.durations_frames) == expected


def test_more_symbols_than_there_are_styles_are_refused(fake: KokoroVoice) -> None:
    with pytest.raises(EngineError, match="symbols"):
        finished(fake.prepare([0] * 161, USUAL))


@pytest.mark.parametrize("rate", [1.0, 0.5, 0.1, 0.001, 1e-6])
def test_no_segment_lasts_for_ever(fake: KokoroVoice, rate: float) -> None:
    ids = [0, *[55] * 158, 0]
    durations = finished(fake.prepare(ids, dataclasses.replace(USUAL, rate=rate))).durations_frames
    asked = sum(round((7 if i == 55 else 1) / rate) for i in ids)
    if asked <= 800:
        assert sum(durations) == asked
    else:
        assert 720 < sum(durations) <= 800 + len(ids)
        assert min(durations[1:]) >= 1


def _times(factor: Any) -> Callable[[onnx.ModelProto], None]:
    """Multiply the audio by a constant."""

    def edit(model: onnx.ModelProto) -> None:
        array = np.array(factor, np.float32)
        model.graph.initializer.append(numpy_helper.from_array(array, "factor"))
        next(n for n in model.graph.node if n.name == "audio").output[0] = "quiet"
        model.graph.node.append(helper.make_node("Mul", ["quiet", "factor"], ["audio"]))

    return edit


def _hop_of_599(model: onnx.ModelProto) -> None:
    hop = next(tensor for tensor in model.graph.initializer if tensor.name == "hop")
    hop.CopyFrom(numpy_helper.from_array(np.array(599), "hop"))


def _nan_durations(model: onnx.ModelProto) -> None:
    table = next(tensor for tensor in model.graph.initializer if tensor.name == "table")
    array = np.full(kokoro.N_SYMBOLS, np.nan, np.float32)
    table.CopyFrom(numpy_helper.from_array(array, "table"))


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (_times(np.nan), "NaN or infinity"),
        (_times(np.inf), "NaN or infinity"),
        (_hop_of_599, "the weights are damaged"),
        (_nan_durations, "damaged|stopped midway"),
    ],
)
def test_damaged_weights_never_become_audio(
    edit: Callable[[onnx.ModelProto], None], expected: str, tmp_path: Path
) -> None:
    voice = load(KokoroEngine(), write_fake(tmp_path, edit), _paths(tmp_path))
    with pytest.raises(EngineError, match=expected):
        finished(voice.prepare([0, *[50] * 40, 0], USUAL))


@pytest.mark.parametrize("edit", HOSTILE, ids=lambda edit: edit.__name__.strip("_"))
def test_a_graph_that_wants_more_is_not_run(
    edit: Callable[[onnx.ModelProto], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = write_fake(tmp_path, after=edit)
    monkeypatch.setattr(module, "Session", None)
    with pytest.raises(EngineError, match=HOSTILE[edit]) as caught:
        read(KokoroEngine(), manifest, "base", tmp_path / "base")
    assert caught.value.message.startswith("a@1: its base ")
    assert caught.value.message.endswith("; import the voice again")
    assert len(caught.value.message) < 500


def test_what_was_checked_is_what_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others change the file between the check and the session, and it makes no difference."""
    manifest = write_fake(tmp_path)
    path, checked = tmp_path / "base", kokoro.check_base

    def check_and_change(model: Any) -> None:
        checked(model)
        other = parse_graph(path.read_bytes())
        next(node for node in other.graph.node if node.name == "mean").op_type = "Neg"
        path.write_bytes(other.SerializeToString())

    monkeypatch.setattr(kokoro, "check_base", check_and_change)
    base = read(KokoroEngine(), manifest, "base", path).place()
    monkeypatch.undo()
    with pytest.raises(GraphError, match=r"onnx\.Neg"):
        kokoro.check_base(parse_graph(path.read_bytes()))
    style = read(KokoroEngine(), manifest, "style", tmp_path / "style").place()
    voice = assembled(KokoroEngine(), manifest, base=base, style=style)
    assert isinstance(voice, KokoroVoice)
    assert whole(voice, [0, 50, 50, 0])[0] == pytest.approx(0.001, rel=1e-5)


def _slow(model: onnx.ModelProto) -> None:
    """Some minutes of products; the sum of what they come to is added to the audio as nothing."""
    graph = model.graph
    for name, array in (
        ("side", np.array([1024, 1024])),
        ("tiny", np.float32(1e-3)),
        ("nothing", np.float32(0)),
    ):
        graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    last = next(node for node in graph.node if node.name == "audio")
    last.output[0] = "loud"
    graph.node.append(helper.make_node("Expand", ["tiny", "side"], ["m"]))
    products = [f"m{i}" for i in range(4_000)]
    for before, product in pairwise(["m", *products]):
        graph.node.append(helper.make_node("MatMul", [before, "m"], [product]))
    for op_type, inputs, output in (
        ("ReduceMean", [products[-1]], "mean_of_all"),
        ("Mul", ["mean_of_all", "nothing"], "no_more"),
        ("Add", ["loud", "no_more"], "audio"),
    ):
        options: dict[str, Any] = {"keepdims": 0} if op_type == "ReduceMean" else {}
        graph.node.append(helper.make_node(op_type, inputs, [output], **options))


def test_a_slow_graph_is_ended(tmp_path: Path) -> None:
    voice = load(KokoroEngine(threads=1), write_fake(tmp_path, _slow), _paths(tmp_path))
    slow = voice.prepare([0, 50, 0], USUAL)
    thread = threading.Thread(target=slow.step)
    thread.start()
    # Well under way by then; if it were not, it would be ended all the same.
    thread.join(0.5)
    assert thread.is_alive()
    slow.interrupt()
    thread.join(60)
    assert not thread.is_alive()
    with pytest.raises(EngineError, match=r"was ended after \d+ s: it takes longer") as caught:
        slow.result()
    assert type(caught.value) is EngineError
    slow.interrupt()  # again, and too late: nothing happens


def test_what_ends_one_run_ends_no_other(fake: KokoroVoice) -> None:
    ended, other = (fake.prepare([0, 50, 0], USUAL) for _ in range(2))
    ended.interrupt()
    with pytest.raises(EngineError, match="was ended after 0 s"):
        finished(ended)
    assert finished(other).frames
    other.interrupt()  # it is over
    assert finished(fake.prepare([0, 50, 0], USUAL)).frames


def test_a_model_that_no_importer_wrote_is_not_run(tmp_path: Path) -> None:
    def untold(model: onnx.ModelProto) -> None:
        del model.graph.output[1]

    manifest = write_fake(tmp_path, after=untold)
    with pytest.raises(EngineError, match="ports 'audio', and audio, durations"):
        read(KokoroEngine(), manifest, "base", tmp_path / "base")


def test_a_graph_that_does_not_fit_together_is_an_error(tmp_path: Path) -> None:
    def torn(model: onnx.ModelProto) -> None:
        next(n for n in model.graph.node if n.name == "hum").input[0] = "nowhere"

    manifest = write_fake(tmp_path, after=torn)
    with pytest.raises(EngineError, match="before its input 'nowhere'"):
        read(KokoroEngine(), manifest, "base", tmp_path / "base")


def test_what_onnxruntime_does_not_take_is_an_error(tmp_path: Path) -> None:
    """Sizes are its own to compare: the check looks at what it does not."""

    def split(model: onnx.ModelProto) -> None:
        model.graph.initializer.append(numpy_helper.from_array(np.array([85, 85]), "thirds"))
        model.graph.node.append(helper.make_node("Split", ["style", "thirds"], ["y", "z"], axis=1))

    manifest = write_fake(tmp_path, after=split)
    with pytest.raises(EngineError, match="cannot be loaded") as caught:
        read(KokoroEngine(), manifest, "base", tmp_path / "base")
    assert type(caught.value) is EngineError


def test_a_graph_that_asks_for_absurd_memory_stops(tmp_path: Path) -> None:
    """No number in it is large; their product is 64 GB of audio."""

    def greedy(model: onnx.ModelProto) -> None:
        for name in ("once", "twice"):
            array = np.array(1 << 12)
            model.graph.initializer.append(numpy_helper.from_array(array, f"{name}_factor"))
        node = next(n for n in model.graph.node if n.name == "samples")
        node.output[0] = "few"
        for source, name, target in (("few", "once", "some"), ("some", "twice", "samples")):
            model.graph.node.append(helper.make_node("Mul", [source, f"{name}_factor"], [target]))
        last = [n for n in model.graph.node if n.output[0] in ("shape", "audio")]
        for node in last:
            model.graph.node.remove(node)
        model.graph.node.extend(last)

    voice = load(KokoroEngine(), write_fake(tmp_path, greedy), _paths(tmp_path))
    with pytest.raises(EngineError, match="stopped midway") as caught:
        finished(voice.prepare([0, 50, 0], USUAL))
    assert type(caught.value) is EngineError


@pytest.mark.parametrize("content", [b"", b"no graph", b"\x08\x09"])
def test_a_file_that_is_no_graph_is_an_error(content: bytes, tmp_path: Path) -> None:
    manifest = write_fake(tmp_path)
    for role in ("base", "style"):
        (tmp_path / role).write_bytes(content)
        with pytest.raises(EngineError, match=f"a@1: its {role} .*import the voice again"):
            read(KokoroEngine(), manifest, role, tmp_path / role)


def test_a_manifest_is_checked_without_its_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = write_fake(tmp_path)
    engine = KokoroEngine()
    manifest = dataclasses.replace(manifest, front_end=FrontEndSpec("misaki"), language="en")
    manifest.check(where="here")
    engine.check(manifest)
    for change, told in (
        ({"audio": Audio(24_000, 256)}, "600 samples a frame"),
        ({"components": manifest.components[:1]}, "style"),
        ({"components": ()}, "base"),
        ({"speakers": {"x": 1}}, "the row 1"),
    ):
        with pytest.raises(ManifestError, match=told):
            dataclasses.replace(manifest, **change).check(where="here")
    for role in ("base", "style", "symbols"):
        components = tuple(
            dataclasses.replace(c, size_bytes=1 << 30) if c.role == role else c
            for c in manifest.components
        )
        with pytest.raises(ManifestError, match=f"is 1073741824; a {role} of the engine kokoro"):
            dataclasses.replace(manifest, components=components).check(where="here")
    with pytest.raises(EngineError, match="computes on cuda:0; serve it with device cpu"):
        KokoroEngine("cuda:0").check(manifest)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EngineError, match=r"onnxruntime; pip install 'voxswap\[server\]'"):
        engine.check(manifest)


def test_parts_of_another_family_are_refused(tmp_path: Path) -> None:
    manifest = write_fake(tmp_path)
    engine = KokoroEngine()
    parts = {
        role: read(engine, manifest, role, tmp_path / role).place() for role in ("base", "style")
    }
    with pytest.raises(EngineError, match="its parts are not Kokoro's"):
        assembled(engine, manifest, base=parts["style"], style=parts["base"])


def test_a_host_part_is_the_part(tmp_path: Path) -> None:
    manifest = write_fake(tmp_path)
    part = read(KokoroEngine(), manifest, "style", tmp_path / "style")
    placed = part.place()
    assert placed is part.place()
    assert part.host_bytes == 0
    assert isinstance(placed, KokoroStyle)
    _, style, _ = KokoroEngine().parts(manifest)
    assert placed.resident_bytes == placed.allocated_bytes == 4 * 510 * 256 <= style.footprint_bytes


def test_nothing_is_imported_before_a_base_is_read() -> None:
    code = (
        "import sys\n"
        "from voxswap_families.kokoro.engine import KokoroEngine\n"
        "KokoroEngine().warm_up()\n"
        "sys.exit(bool({'onnxruntime', 'onnx', 'safetensors', 'torch'} & sys.modules.keys()))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603


def test_nobody_is_told_what_runs(tmp_path: Path) -> None:
    """onnxruntime reports to its makers unless it is stopped: by way of the home folder."""
    write_fake(tmp_path)
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from voxswap_families.kokoro.session import Session\n"
        "graph = Path(sys.argv[1]).read_bytes()\n"
        "Session(graph, threads=1, arena_bytes=1 << 28)\n"
    )
    home = tmp_path / "home"
    home.mkdir()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "ORT_"))}
    subprocess.run(  # noqa: S603
        [sys.executable, "-c", code, str(tmp_path / "base")],
        check=True,
        env=environment | {"HOME": str(home)},
    )
    assert not list(home.rglob("*"))


# What is done to the audio


def utterance_of(frames: list[float], durations: list[int]) -> KokoroUtterance:
    """Frames of these levels."""
    return KokoroUtterance(np.repeat(np.array(frames, np.float32), HOP), durations)


@pytest.mark.parametrize(
    ("levels", "durations", "expected"),
    [
        ([0] * 10 + [0.1] * 5 + [0] * 10, [12, 5, 8], [2, 5, 4]),
        ([0] * 3 + [0.1] * 5 + [0] * 3, [5, 5, 1], [2, 5, 3]),
        ([0.1] * 5, [2, 2, 1], [0, 2, 3]),
        ([0.1] * 5, [1, 3, 1], [0, 3, 2]),
        ([0] * 9 + [0.1], [3, 3, 4], [0, 0, 3]),
        ([0] * 9, [3, 3, 3], [1, 3, 5]),  # all silent: whoever listens will say so
    ],
)
def test_silence_is_cut_down(
    levels: list[float], durations: list[int], expected: list[int]
) -> None:
    utterance = utterance_of(levels, durations)
    assert list(utterance.durations_frames) == expected
    assert utterance.frames == sum(expected)


@given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=12))
def test_what_is_cut_is_silence_at_the_ends(symbols: list[tuple[int, bool]]) -> None:
    symbols = [(0, False), *symbols, (1, False)]
    levels = [0.1 if loud else 0.0 for n, loud in symbols for _ in range(n)]
    # The model says that sounds come two frames later than they do.
    said = [n for n, _ in symbols]
    utterance = utterance_of([*levels, 0, 0], [said[0] + 2, *said[1:]])
    audio = finished(utterance.decode(0, utterance.frames))
    assert sum(utterance.durations_frames) == utterance.frames > 0
    assert np.count_nonzero(audio) == np.count_nonzero(levels) * HOP
    kept = iter(audio.reshape(-1, HOP)[:, 0])
    for (_, loud), n in zip(symbols, utterance.durations_frames, strict=True):
        assert all((next(kept) != 0) == loud for _ in range(n))


@given(st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=50))
def test_peaks_are_bent_and_the_rest_is_left(samples: list[float]) -> None:
    before = np.array(samples, np.float32)
    after = module._bent(before.copy())
    assert np.abs(after).max() <= 1
    low = np.abs(before) <= 0.9
    assert np.array_equal(after[low], before[low])
    order = np.argsort(before, kind="stable")
    assert (np.diff(after[order]) >= 0).all()


def test_manifests_of_files(tmp_path: Path) -> None:
    manifest = write_fake(tmp_path)
    assert manifest == manifest_of(_paths(tmp_path))
