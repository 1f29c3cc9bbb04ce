"""EmotiVoice voices: prompts, emotions, controls, shared parts, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.fakes.family import characters
from tests.families.emotivoice_fixtures import run, style_fixture
from tests.families.emotivoice_voices import EmotiVoiceFiles, write_voice
from tests.families.files import read
from voxswap_families.contract import Delivery, LoadedVoice, PromptedEngine
from voxswap_families.emotivoice import usual
from voxswap_families.emotivoice.bert import StyleEncoder
from voxswap_families.emotivoice.config import EMOTIONS, EmotiVoiceConfig
from voxswap_families.emotivoice.engine import EmotiVoiceEngine
from voxswap_families.emotivoice.family import FAMILY
from voxswap_families.emotivoice.prompts import MOST_BYTES, PromptCounts, Prompts
from voxswap_families.emotivoice.voice import EmotiVoice
from voxswap_families.layers.networks import NetworkPart
from voxswap_families.work import finished
from voxswap_registry.errors import EngineError, InvalidInputError
from voxswap_registry.manifest import Manifest

pytestmark = pytest.mark.usefixtures("one_thread")
USUAL = Delivery(rate=1.0, seed=0, text="你好，世界。")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> EmotiVoiceFiles:
    return write_voice(tmp_path_factory.mktemp("voice"))


@pytest.fixture
def engine() -> EmotiVoiceEngine:
    return EmotiVoiceEngine(front_ends=characters)


def loaded(engine: EmotiVoiceEngine, files: EmotiVoiceFiles) -> LoadedVoice:
    parts = {
        role: read(engine, files.manifest, role, path).place() for role, path in files.files.items()
    }
    return engine.assemble(files.manifest, parts)


@pytest.fixture
def voice(engine: EmotiVoiceEngine, files: EmotiVoiceFiles) -> EmotiVoice:
    found = loaded(engine, files).voice
    assert isinstance(found, EmotiVoice)
    return found


def felt(voice: EmotiVoice, emotions: Mapping[str, float] = {}, prompt: str = "") -> Tensor:
    delivery = dataclasses.replace(USUAL, emotions=emotions, style_prompt=prompt)
    found: Tensor = run(voice._felt(delivery))
    return found


def said(voice: EmotiVoice, files: EmotiVoiceFiles, **changes: Any) -> np.ndarray[Any, Any]:
    utterance = finished(voice.prepare(files.ids, dataclasses.replace(USUAL, **changes)))
    return finished(utterance.decode(0, utterance.frames))


def test_a_text_is_read_once(
    engine: EmotiVoiceEngine, voice: EmotiVoice, files: EmotiVoiceFiles
) -> None:
    assert isinstance(engine, PromptedEngine)
    first = said(voice, files)
    assert (engine.prompts().found, engine.prompts().made) == (0, 2)  # neutral's, the sentence's
    assert np.array_equal(said(voice, files), first)
    assert (engine.prompts().found, engine.prompts().made) == (2, 2)
    said(voice, files, emotions={"happy": 1.0}, text="")
    assert (engine.prompts().found, engine.prompts().made) == (3, 4)
    assert 0 < engine.prompts().size_bytes < MOST_BYTES


def test_what_is_kept_is_bounded_and_the_least_used_goes() -> None:
    fixture, counts = style_fixture(), PromptCounts()
    prompts = Prompts(StyleEncoder(fixture.stored, fixture.architecture), counts, 2_200)
    for ids in ([2, 4], [2, 5], [2, 6], [2, 4], [2, 7], [2, 4], [2, 5]):
        run(prompts.steps(ids))
        assert prompts.size_bytes <= 2_200
    found = counts.statistics()
    assert (found.found, found.made, found.forgotten) == (2, 5, 2)
    assert found.size_bytes == prompts.size_bytes > 0
    del prompts
    assert counts.statistics().size_bytes == 0


def test_reading_a_prompt_has_steps_of_its_own(voice: EmotiVoice, files: EmotiVoiceFiles) -> None:
    """Others may come between them; of one that is kept there are none."""

    def steps() -> int:
        work = voice.prepare(files.ids, dataclasses.replace(USUAL, style_prompt="calm"))
        taken = 0
        while not work.is_done:
            work.step()
            taken += 1
        return taken

    first = steps()
    layers = style_fixture().architecture.layers
    assert first - steps() >= 2 * 4 * layers


def test_emotions_are_mixed_between_prompts(voice: EmotiVoice) -> None:
    neutral, happy, sad = (felt(voice, e) for e in ({}, {"happy": 1.0}, {"sad": 1.0}))
    assert not torch.equal(neutral, happy)
    assert torch.allclose(felt(voice, {"happy": 0.5}), (neutral + happy) / 2, atol=1e-6)
    mixed = felt(voice, {"happy": 0.3, "sad": 0.6})
    assert torch.allclose(mixed, 0.1 * neutral + 0.3 * happy + 0.6 * sad, atol=1e-6)
    assert torch.equal(mixed, felt(voice, {"sad": 0.6, "happy": 0.3}))


def test_more_than_all_of_an_emotion_goes_on_as_far_as_vectors_may(voice: EmotiVoice) -> None:
    neutral = felt(voice)
    before = 0.0
    for amount in (0.5, 1.0, 1.5, 2.0):
        away = float((felt(voice, {"angry": amount}) - neutral).norm())
        assert away > before
        before = away
    beyond = felt(voice, {"angry": 40.0})
    assert float(beyond.abs().max()) == 1.0


def test_a_style_in_words_takes_neutrals_place(voice: EmotiVoice) -> None:
    calm, happy = felt(voice, prompt="very calm"), felt(voice, {"happy": 1.0})
    assert not torch.equal(calm, felt(voice))
    assert torch.equal(felt(voice, prompt="普通"), felt(voice))
    half = felt(voice, {"happy": 0.5}, "very calm")
    assert torch.allclose(half, (calm + happy) / 2, atol=1e-6)


def test_every_way_to_say_it_is_heard(voice: EmotiVoice, files: EmotiVoiceFiles) -> None:
    usual = said(voice, files)
    asked: tuple[dict[str, Any], ...] = (
        *({"emotions": {name: 1.0}} for name in EMOTIONS),
        {"style_prompt": "calm"},
        {"text": "very"},
        {"controls": {"pitch_semitones": 2.0}},
        {"controls": {"pitch_range": 0.5}},
    )
    for changes in asked:
        other = said(voice, files, **changes)
        assert not np.array_equal(other, usual), changes
    neutral = {"pitch_semitones": 0.0, "pitch_range": 1.0}
    assert np.array_equal(said(voice, files, controls=neutral), usual)


@pytest.mark.parametrize("prompt", ["Grüße", "Привет，мир。", "🙂"])
def test_a_style_that_the_encoder_cannot_read_is_the_callers_fault(
    voice: EmotiVoice, files: EmotiVoiceFiles, prompt: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        said(voice, files, style_prompt=prompt)
    (violation,) = caught.value.violations
    assert violation.field == "style_prompt"


def test_a_long_text_is_read_as_far_as_there_are_places(
    voice: EmotiVoice, files: EmotiVoiceFiles
) -> None:
    assert np.isfinite(said(voice, files, text="世界" * 200, style_prompt="very " * 300)).all()


def test_speakers_and_emotions_that_are_none_are_refused(
    voice: EmotiVoice, files: EmotiVoiceFiles
) -> None:
    with pytest.raises(EngineError, match="speaker"):
        said(voice, files, speaker=1)
    with pytest.raises(EngineError, match="bored"):
        said(voice, files, emotions={"bored": 1.0})


def test_damaged_weights_end_in_an_error(
    voice: EmotiVoice, files: EmotiVoiceFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = torch.full_like(voice._speaking.speaker, torch.nan)
    broken = EmotiVoice(dataclasses.replace(voice._speaking, speaker=bad))
    with pytest.raises(EngineError, match="damaged"):
        said(broken, files)


def test_a_further_speaker_shares_all_parts_but_its_own(
    engine: EmotiVoiceEngine, files: EmotiVoiceFiles
) -> None:
    """What residency shares is one engine, role, form and digest."""

    def keys(manifest: Manifest) -> set[tuple[str, str, str]]:
        return {
            (spec.role, spec.form, manifest.component(spec.role).digest)
            for spec in engine.parts(manifest)
        }

    components = [
        dataclasses.replace(c, digest=f"sha256:{7:064x}") if c.role == "speaker" else c
        for c in files.manifest.components
    ]
    other = dataclasses.replace(files.manifest, components=tuple(components))
    assert {role for role, *_ in keys(files.manifest) ^ keys(other)} == {"speaker"}


def test_on_another_device_a_part_is_one_block(voice: EmotiVoice, files: EmotiVoiceFiles) -> None:
    """A name of the CPU that is not taken for the host's: the way that a GPU's parts go."""
    engine = EmotiVoiceEngine("cpu:0", front_ends=characters)
    for spec in engine.parts(files.manifest):
        part = read(engine, files.manifest, spec.role, files.files[spec.role]).place()
        assert part.resident_bytes <= spec.footprint_bytes
        if isinstance(part, NetworkPart):
            assert part.file is None
            assert part.allocated_bytes == part.resident_bytes
    there = loaded(engine, files).voice
    assert isinstance(there, EmotiVoice)
    assert np.abs(said(there, files) - said(voice, files)).max() <= 1e-6


def test_parts_of_another_voice_are_refused(
    engine: EmotiVoiceEngine, files: EmotiVoiceFiles, tmp_path: Path
) -> None:
    parts = {role: read(engine, files.manifest, role, p).place() for role, p in files.files.items()}
    with pytest.raises(EngineError, match="no EmotiVoice voice"):
        engine.assemble(files.manifest, {**parts, "vocoder": parts["acoustic"]})
    few = tmp_path / "vocabulary"
    few.write_bytes(b"[UNK]\n[CLS]\n[SEP]\n")
    with pytest.raises(EngineError, match="3 words"):
        read(engine, files.manifest, "vocabulary", few)
    with pytest.raises(EngineError, match="no vector"):
        read(engine, files.manifest, "speaker", files.files["vocoder"]).place()


FAULTS: list[tuple[tuple[str, ...], Any, str]] = [
    (("acoustic",), None, "acoustic is missing"),
    (("acoustic", "units"), 383, "acoustic units must be even"),
    (("acoustic", "encoder_heads"), 3, "encoder_heads must divide units"),
    (("acoustic", "pitch_kernel"), 4, "pitch_kernel must be odd"),
    (("acoustic", "n_symbols"), 10**9, "n_symbols has 1000000000"),
    (("acoustic", "f0_mean_hertz"), float("nan"), "f0_mean_hertz has nan"),
    (("acoustic", "mels"), 9, "9 mels a frame, and a vocoder with 8"),
    (("vocoder", "rates"), [8, 8, 2], "kernels must be as many as rates"),
    (("vocoder", "rates"), [8] * 9, "rates has a list of 9"),
    (("vocoder", "kernels"), [16, 16, 4, 5], "kernels must be larger"),
    (("vocoder", "channels"), 40, "channels must halve"),
    (("vocoder", "channels"), 2048, "takes .* products a frame"),
    (("vocoder", "resblock_kernels"), [3, 7, 10], "resblock_kernels must be odd"),
    (("vocoder", "resblock_dilations"), [[1]], "resblock_dilations must be as many"),
    (("vocoder", "resblock_dilations"), [[64] * 8] * 3, "sees .* frames to either side"),
    (("vocoder", "rates"), [64, 64, 2, 2], "kernels must be larger|rates make"),
    (("style", "heads"), 5, "style heads must divide units"),
    (("style", "units"), 24, "styles of 12 numbers, and a style encoder that gives 24"),
    (("style", "layers"), True, "layers has True"),
    (("emotions",), {"happy": "开心"}, "emotions have no neutral"),
    (("emotions",), {"neutral": ""}, "where a prompt of up to 200"),
    (("emotions",), {"neutral": "a" * 201}, "where a prompt of up to 200"),
    (("emotions",), [], "emotions must be names with prompts"),
    (("extra",), 1, "has unknown 'extra'"),
]


@pytest.mark.parametrize(("path", "value", "told"), FAULTS)
def test_an_engine_config_is_judged(
    files: EmotiVoiceFiles, path: tuple[str, ...], value: Any, told: str
) -> None:
    config = EmotiVoiceConfig.of(files.manifest).to_config()
    at = config
    for name in path[:-1]:
        at = at[name]
    at[path[-1]] = value
    (fault,) = FAMILY.faults(dataclasses.replace(files.manifest, engine_config=config))
    assert fault.field == "engine_config"
    with pytest.raises(ValueError, match=told):
        EmotiVoiceConfig.read(config)


def test_what_the_rest_of_a_manifest_says_otherwise(files: EmotiVoiceFiles) -> None:
    assert not list(FAMILY.faults(files.manifest))
    audio = dataclasses.replace(files.manifest.audio, sample_rate_hertz=22_050)
    manifest = dataclasses.replace(
        files.manifest, audio=audio, emotions=("bored",), speakers={"a": 1}
    )
    fields = [fault.field for fault in FAMILY.faults(manifest)]
    assert fields == ["audio.sample_rate_hertz", "emotions", "speakers"]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux tells peaks")
def test_the_longest_line_takes_no_more_than_is_said() -> None:
    command = [sys.executable, "-m", "tests.families.emotivoice_memory"]
    told = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)  # noqa: S603
    longest = max(told["line_bytes"], told["style_bytes"])
    assert 0.4 * told["bound_bytes"] < longest <= told["bound_bytes"]


def test_a_published_voice_leaves_room_for_others(files: EmotiVoiceFiles) -> None:
    """It stands beside a VITS and a Kokoro voice in the memory that a server has by itself."""
    config = dataclasses.replace(
        usual.CONFIG, style=dataclasses.replace(usual.CONFIG.style, layers=12)
    )
    manifest = dataclasses.replace(files.manifest, engine_config=config.to_config())
    engine = EmotiVoiceEngine(most_steps=2)
    assert engine.workspace_bytes(manifest, largest_chunk_s=1.5) <= 400 << 20
