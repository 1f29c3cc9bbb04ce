"""Sambert voices: cuts, speakers, emotions, seeds, what they hold, and what is refused of them."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.families.files import assembled, read
from tests.families.sambert_voices import EMOTIONS, PAIRS, PAUSES, SambertVoiceFiles, write_voice
from voxswap_families.contract import Delivery
from voxswap_families.importing.weights import write_safetensors
from voxswap_families.layers.networks import NetworkPart
from voxswap_families.sambert.config import SambertConfig
from voxswap_families.sambert.engine import SambertEngine
from voxswap_families.sambert.family import FAMILY
from voxswap_families.sambert.generator import Generator
from voxswap_families.sambert.voice import SambertUtterance, SambertVoice
from voxswap_families.work import SuspendedError, finished
from voxswap_registry.errors import EngineError, ManifestError
from voxswap_registry.manifest import Audio, Manifest
from voxswap_registry.progress import NullProgress

PLAIN = Delivery(rate=1.0, seed=7)


def load(files: SambertVoiceFiles, device: str = "cpu") -> SambertVoice:
    """A voice as residency makes it."""
    engine = SambertEngine(device)
    parts = {
        role: read(engine, files.manifest, role, path).place()
        for role, path in files.files.items()
        if role != "symbols"
    }
    voice: SambertVoice = assembled(engine, files.manifest, **parts)
    return voice


def said(
    voice: SambertVoice, ids: Sequence[int], delivery: Delivery = PLAIN, step: int = 1_000
) -> Any:
    utterance = finished(voice.prepare(ids, delivery))
    firsts = range(0, utterance.frames, step)
    return np.concatenate(
        [finished(utterance.decode(n, min(n + step, utterance.frames))) for n in firsts]
    )


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The frames that vocoders get, in order."""
    frames: list[Tensor] = []
    steps = Generator.steps

    def kept(self: Generator, state: Any, more: Tensor, *, is_last: bool) -> Any:
        frames.append(more.clone())
        return steps(self, state, more, is_last=is_last)

    monkeypatch.setattr(Generator, "steps", kept)
    return frames


@pytest.mark.parametrize("kind", PAIRS)
def test_any_cut_gives_the_same_frames(kind: str, tmp_path: Path, heard: list[Tensor]) -> None:
    files = write_voice(tmp_path, kind)
    voice = load(files)
    whole = said(voice, files.ids)
    frames = torch.cat(heard)
    for step in (1, 5, 7, 30):
        heard.clear()
        assert np.abs(said(voice, files.ids, step=step) - whole).max() <= 1e-5
        assert torch.equal(torch.cat(heard), frames), step


def test_the_first_audio_needs_few_frames(tmp_path: Path, heard: list[Tensor]) -> None:
    files = write_voice(tmp_path, "causal")
    utterance = finished(load(files).prepare(files.ids, PLAIN))
    assert isinstance(utterance, SambertUtterance)
    finished(utterance.decode(0, 7))
    assert sum(map(len, heard)) == 7
    # The postnet of the fixture looks 3 frames ahead.
    assert utterance._line._decoding.done * 3 == 12 < utterance.frames


def test_speakers_differ_and_others_are_refused(tmp_path: Path) -> None:
    files = write_voice(tmp_path, "plain")
    voice = load(files)
    first, second = (said(voice, files.ids, Delivery(1.0, 7, speaker=row)) for row in (0, 1))
    assert len(first) != len(second) or np.abs(first - second).max() > 1e-3
    for row in (-1, 5):
        with pytest.raises(EngineError, match=f"the speaker {row} is none of this model's 5"):
            voice.prepare(files.ids, Delivery(1.0, 7, speaker=row))


def test_a_seed_is_heard_where_there_is_a_source_alone(tmp_path: Path) -> None:
    for kind, is_heard in (("source", True), ("plain", False)):
        files = write_voice(tmp_path / kind, kind)
        voice = load(files)
        one, other = (said(voice, files.ids, Delivery(1.0, seed)) for seed in (7, 8))
        assert len(one) == len(other)
        assert np.array_equal(one, other) != is_heard


@pytest.fixture
def felt(tmp_path: Path) -> Callable[[dict[str, float]], Tensor]:
    """What a mixture of emotions comes to, for each symbol of the fixtures' line."""
    files = write_voice(tmp_path, "plain")
    voice = load(files)

    def emotion(weights: dict[str, float]) -> Tensor:
        with torch.inference_mode():
            return voice._emotion(voice._rows(files.ids), weights)

    return emotion


def test_emotions_mix_and_leave_pauses_alone(
    felt: Callable[[dict[str, float]], Tensor], tmp_path: Path
) -> None:
    files = write_voice(tmp_path / "again", "plain")
    table = load(files)._speaking.acoustic.emotions
    rows = {name: table[row] for name, row in EMOTIONS.items()}
    pauses = [n for n, i in enumerate(files.ids) if i % 147 in PAUSES]
    assert len(pauses) == 2
    for weights, expected in (
        ({}, rows["neutral"]),
        ({"happy": 1.0}, rows["happy"]),
        ({"happy": 0.5}, (rows["happy"] + rows["neutral"]) / 2),
        ({"sad": 2.0}, 2 * rows["sad"] - rows["neutral"]),
        (
            {"happy": 0.25, "angry": 0.5},
            0.25 * rows["happy"] + 0.5 * rows["angry"] + 0.25 * rows["neutral"],
        ),
    ):
        found = felt(weights)
        for n, row in enumerate(found):
            wanted = rows["none"] if n in pauses else expected
            assert torch.allclose(row, wanted, atol=1e-6), (weights, n)
    assert torch.equal(felt({"happy": 0.3, "sad": 0.2}), felt({"sad": 0.2, "happy": 0.3}))


def test_emotions_are_heard_and_those_that_are_none_refused(tmp_path: Path) -> None:
    files = write_voice(tmp_path, "plain")
    voice = load(files)
    calm, angry = (
        said(voice, files.ids, dataclasses.replace(PLAIN, emotions=e)) for e in ({}, {"angry": 1.0})
    )
    assert len(calm) != len(angry) or np.abs(calm - angry).max() > 1e-3
    with pytest.raises(EngineError, match="the emotion 'bored' is none"):
        voice.prepare(files.ids, dataclasses.replace(PLAIN, emotions={"bored": 1.0}))


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("rate", [0.25, 1.0])
def test_what_is_held_is_no_more_than_was_said(kind: str, rate: float, tmp_path: Path) -> None:
    files = write_voice(tmp_path, kind)
    utterance = finished(load(files).prepare(files.ids, Delivery(rate, 7)))
    assert isinstance(utterance, SambertUtterance)
    line, most = utterance._line, 0
    for first in range(0, utterance.frames, 10):
        finished(utterance.decode(first, min(first + 10, utterance.frames)))
        held = [utterance._audio.nbytes, utterance._vocoding.held_bytes, *_bytes(utterance._ready)]
        held += _bytes([line._said, line._condition, line._symbols, line._places])
        held += [line._positions.nbytes, line._decoding.size_bytes, line._refining.waiting.nbytes]
        for state in line._refining.fsmn:
            held += _bytes([state.rows, state.inputs])
        most = max(most, sum(held))
    assert most <= utterance.held_bytes


def _bytes(tensors: Sequence[Tensor]) -> list[int]:
    return [tensor.nbytes for tensor in tensors]


def test_weights_are_taken_up_and_not_copied(tmp_path: Path) -> None:
    files = write_voice(tmp_path, "vector")
    engine = SambertEngine()
    sizes = {spec.role: spec.footprint_bytes for spec in engine.parts(files.manifest)}
    assert sizes["speaker"] < 1_000
    for role in ("acoustic", "vocoder", "speaker"):
        part = read(engine, files.manifest, role, files.files[role]).place()
        assert isinstance(part, NetworkPart)
        assert part.file is not None
        assert part.allocated_bytes == 0 < part.resident_bytes <= sizes[role]


def test_on_another_device_a_part_is_one_block(tmp_path: Path) -> None:
    """A name of the CPU that is not taken for the host's: the way that a GPU's parts go."""
    files = write_voice(tmp_path, "vector")
    engine = SambertEngine("cpu:0")
    for spec in engine.parts(files.manifest):
        if spec.role != "symbols":
            part = read(engine, files.manifest, spec.role, files.files[spec.role]).place()
            assert isinstance(part, NetworkPart)
            assert part.file is None
            assert part.allocated_bytes == part.resident_bytes <= spec.footprint_bytes
    there = said(load(files, "cpu:0"), files.ids)
    assert np.abs(there - said(load(files), files.ids)).max() <= 1e-6


def test_voices_share_what_is_the_same(tmp_path: Path) -> None:
    engine = SambertEngine()
    first, other = (
        {spec.role: spec.form for spec in engine.parts(write_voice(tmp_path / kind, kind).manifest)}
        for kind in ("plain", "causal")
    )
    assert first["acoustic"] == other["acoustic"]
    assert first["vocoder"] != other["vocoder"]


@pytest.mark.parametrize("role", ["acoustic", "vocoder", "speaker"])
def test_a_voice_is_not_stepped_once_a_file_has_changed(role: str, tmp_path: Path) -> None:
    files = write_voice(tmp_path, "vector")
    voice = load(files)
    utterance = finished(voice.prepare(files.ids, PLAIN))
    decoding = utterance.decode(0, utterance.frames)
    decoding.step()
    os.truncate(files.files[role], 100)  # to touch what was there would be a SIGBUS
    with pytest.raises(SuspendedError):
        finished(decoding)
    with pytest.raises(SuspendedError):
        finished(voice.prepare(files.ids, PLAIN))


def test_damaged_weights_never_become_audio(tmp_path: Path) -> None:
    files = write_voice(tmp_path, "plain")
    voice = load(files)
    acoustic = voice._speaking.acoustic
    acoustic.postnet._out.bias = torch.full((8,), float("nan"))
    with pytest.raises(EngineError, match="NaN or infinity"):
        said(voice, files.ids)


def test_parts_of_other_voices_are_refused(tmp_path: Path) -> None:
    plain, vector = (write_voice(tmp_path / kind, kind) for kind in ("plain", "vector"))
    engine = SambertEngine()
    with pytest.raises(EngineError, match="do not fit"):
        read(engine, plain.manifest, "acoustic", vector.files["acoustic"]).place()
    with pytest.raises(EngineError, match="do not fit"):
        read(engine, plain.manifest, "vocoder", plain.files["acoustic"]).place()
    with pytest.raises(EngineError, match="no vector of 6 numbers"):
        read(engine, vector.manifest, "speaker", vector.files["vocoder"]).place()
    parts = {
        role: read(engine, vector.manifest, role, vector.files[role]).place()
        for role in ("acoustic", "vocoder")
    }
    with pytest.raises(EngineError, match="no Sambert voice"):
        assembled(engine, vector.manifest, **parts)


def test_half_precision_is_refused(tmp_path: Path) -> None:
    files = write_voice(tmp_path, "vector")
    path = tmp_path / "half"
    write_safetensors({"speaker": torch.zeros(6).bfloat16()}, path, progress=NullProgress())
    with pytest.raises(EngineError, match="not float32"):
        read(SambertEngine(), files.manifest, "speaker", path)


@pytest.mark.parametrize("kind", PAIRS)
def test_a_manifest_is_read_back(kind: str, tmp_path: Path) -> None:
    manifest = write_voice(tmp_path, kind).manifest
    again = Manifest.from_json(manifest.to_json(), where="here")
    assert SambertConfig.of(again) == SambertConfig.of(manifest)
    assert not list(FAMILY.faults(again))


def _config(kind: str, tmp_path: Path, **changes: Any) -> Manifest:
    manifest = write_voice(tmp_path, kind).manifest
    config = json.loads(json.dumps(manifest.engine_config, default=dict))
    return dataclasses.replace(manifest, engine_config={**config, **changes})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"emotions": {"angry": 2}}, "neither neutral nor none"),
        ({"emotions": {"neutral": 36}}, "emotions have the row 36, and there are 36"),
        ({"emotions": {"neutral": True}}, "emotions have the row True"),
        ({"emotions": ["neutral"]}, "emotions must be names"),
        ({"pauses": [147]}, "pauses have the row 147, and there are 147"),
        ({"pauses": "12"}, "pauses must be a list"),
        ({"pauses": list(range(100))}, "pauses are 100 rows"),
        ({"acoustic": 1}, "acoustic is no object"),
        ({"vocoder": {}}, "vocoder lacks"),
        ({"surplus": 1}, "has unknown 'surplus'"),
    ],
)
def test_a_config_out_of_bounds_is_refused(
    changes: dict[str, Any], told: str, tmp_path: Path
) -> None:
    manifest = _config("plain", tmp_path, **changes)
    (fault,) = FAMILY.faults(manifest)
    assert fault.field == "engine_config"
    assert told in fault.description
    with pytest.raises(ManifestError, match="engine_config"):
        SambertEngine().parts(manifest)


def test_halves_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    other = write_voice(tmp_path / "source", "source").manifest.engine_config["vocoder"]
    manifest = _config("plain", tmp_path / "plain", vocoder=dict(other))
    (fault,) = FAMILY.faults(manifest)
    assert "8 numbers a frame and a vocoder that takes 10" in fault.description


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"audio": Audio(24_000, 200)}, "audio.sample_rate_hertz"),
        ({"audio": Audio(16_000, 160)}, "audio.hop_length_samples"),
        ({"emotions": ("angry", "fear")}, "emotions"),
        ({"speakers": {"F7": 5}}, "speakers"),
    ],
)
def test_what_the_manifest_says_otherwise_is_named(
    changes: dict[str, Any], field: str, tmp_path: Path
) -> None:
    manifest = write_voice(tmp_path, "plain", **changes).manifest
    assert [fault.field for fault in FAMILY.faults(manifest)] == [field]


@pytest.mark.parametrize(("kind", "told"), [("vector", "have no speaker's"), ("plain", "a table")])
def test_a_speaker_is_a_row_or_a_vector(kind: str, told: str, tmp_path: Path) -> None:
    manifest = write_voice(tmp_path, kind).manifest
    parts = list(manifest.components)
    if kind == "vector":
        parts = [part for part in parts if part.role != "speaker"]
    else:
        parts.append(dataclasses.replace(parts[0], role="speaker"))
    (fault,) = FAMILY.faults(dataclasses.replace(manifest, components=tuple(parts)))
    assert told in fault.description


def test_slow_speech_gets_shorter_segments(tmp_path: Path) -> None:
    voice = load(write_voice(tmp_path, "plain"))
    assert [voice.most_symbols(rate) for rate in (0.1, 0.25, 1.0, 4.0)] == [100, 250, 800, 800]
