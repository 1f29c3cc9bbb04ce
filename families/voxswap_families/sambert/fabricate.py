"""Makes up Sambert voices: directories as ModelScope publishes them, with random weights.

They say nothing, and sound like it; but durations, mels and level are about those of speech, so
they cost what real ones cost.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from voxswap_families.contract import Fabricator, Size
from voxswap_families.made_up import mark, random_tensors, with_weight_norm, write_json
from voxswap_families.sambert.configuration import architecture_of
from voxswap_families.sambert.dictionaries import FILES, KNOWN, SPECIALS
from voxswap_families.sambert.shapes import acoustic_shapes
from voxswap_families.sambert.variants import VARIANTS, Variant
from voxswap_families.sambert.vocoder_architecture import GeneratorArchitecture, checkpoint_shapes
from voxswap_families.sambert.vocoder_config import generator_architecture
from voxswap_registry.os_errors import as_registry_errors

if TYPE_CHECKING:
    from torch import Tensor

_STEPS: Final = 980_000  # in the name of a checkpoint, as published ones have about so many
_SYMBOL_FRAMES: Final = 9.0
_F0_HERTZ: Final = (210.0, 45.0)  # mean and deviation
_LEVEL: Final = 0.12  # root of the mean square of the audio
_LEVEL_FRAMES: Final = 48


def fabricate_model(variant: Variant, folder: Path, seed: int, size: Size) -> None:
    """Fill ``folder`` with a model of that sort. Blocks, for seconds if it is a real size.

    Raises `RegistryError` if the disk refuses.
    """
    with as_registry_errors("write into", folder):
        mark(folder, seed, size)
        model = {
            "type": "sambert-hifigan",
            "lang_type": "pinyin",
            "sample_rate": variant.rate_hertz,
            "am": {"linguistic_unit": {"cleaners": "english_cleaners", "has_mask": True}},
        }
        write_json(folder / "configuration.json", {"task": "text-to-speech", "model": model})
        write_json(folder / "voices/voices.json", {"voices": list(variant.voices)})
        vocoder = _vocoder(variant, seed, size)
        for number, name in enumerate(variant.voices):
            voice = folder / "voices" / name
            _write_vocoder(voice / "voc", variant, vocoder, size)
            _write_acoustic(voice, variant, seed + number, size)


def fabricate_vocoder(folder: Path, seed: int, size: Size) -> None:
    """Fill ``folder`` with the vocoder of a voice, to lie in its ``voc``. As `fabricate_model`."""
    variant = VARIANTS["sambert"]
    with as_registry_errors("write into", folder):
        mark(folder, seed, size)
        _write_vocoder(folder, variant, _vocoder(variant, seed, size), size)


def _write_yaml(path: Path, value: Mapping[str, Any]) -> None:
    import yaml

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(dict(value), sort_keys=False), "utf-8")


def _audio(variant: Variant) -> dict[str, Any]:
    hop = math.prod(variant.rates)
    return {"audio_config": {"sampling_rate": variant.rate_hertz, "hop_length": hop}}


def _write_checkpoint(folder: Path, model: Mapping[str, Any]) -> None:
    """As training leaves it: what trained the model is in the file as well."""
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    trained_by = {
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(4)}}},
        "scheduler": {"milestones": Counter([200_000, 400_000]), "last_epoch": _STEPS},
        "steps": _STEPS,
    }
    torch.save({"model": model, **trained_by}, folder / f"checkpoint_{_STEPS}.pth")


def _write_acoustic(voice: Path, variant: Variant, seed: int, size: Size) -> None:
    import numpy as np

    params = variant.acoustic(size)
    names = {**KNOWN, "speaker": variant.speakers}
    counts = {kind: len(found) + len(SPECIALS) for kind, found in names.items()}
    shapes = {
        "text_encoder.sy_emb.weight": (counts["sy"], 0),
        "text_encoder.tone_emb.weight": (counts["tone"], 0),
        "text_encoder.syllable_flag_emb.weight": (counts["syllable_flag"], 0),
        "text_encoder.ws_emb.weight": (counts["word_segment"], 0),
        "emo_tokenizer.weight": (counts["emotion"], 0),
        "spk_tokenizer.weight": (counts["speaker"], 0),
    }
    architecture = architecture_of(params, shapes, _F0_HERTZ)
    tensors = random_tensors(acoustic_shapes(architecture), f"acoustic {seed}")
    # Durations are the logarithm of frames and one: about as long as symbols are, each another.
    last = "variance_adaptor.duration_predictor.fc"
    tensors[f"{last}.weight"].mul_(0.4)
    tensors[f"{last}.bias"].fill_(math.log(_SYMBOL_FRAMES + 1))
    unit = {
        "cleaners": "english_cleaners",
        "lfeat_type_list": "sy,tone,syllable_flag,word_segment,emo_category,speaker_category",
        "speaker_list": ",".join(variant.speakers),
    }
    _write_yaml(voice / "audio_config.yaml", _audio(variant))
    _write_yaml(
        voice / "am/config.yaml",
        {
            "model_type": "sambert",
            "Model": {"KanTtsSAMBERT": {"params": params}},
            "linguistic_unit": unit,
        },
    )
    _write_checkpoint(voice / "am/ckpt", tensors)
    if variant.source == "mean_std":
        np.save(voice / "am/mvn.npy", np.array(_F0_HERTZ, np.float32)[:, None])
    if variant.has_vector:
        vector = random_tensors({"speaker": (1, architecture.speaker_units)}, f"speaker {seed}")
        np.save(voice / "am/se.npy", vector["speaker"].numpy())
    (voice / "dict").mkdir(exist_ok=True)
    for kind, file in FILES.items():
        (voice / "dict" / file).write_text("".join(f"{n}\n" for n in names[kind]), "utf-8")


def _write_vocoder(
    folder: Path, variant: Variant, tensors: Mapping[str, Tensor], size: Size
) -> None:
    params = variant.generator(size)
    config = {"model_type": "hifigan", "Model": {"Generator": {"params": params}}}
    _write_yaml(folder / "config.yaml", {**config, **_audio(variant)})
    import torch

    judged_by = {"MultiPeriodDiscriminator": {"convs.0.weight": torch.zeros(4)}}
    _write_checkpoint(
        folder / "ckpt", {"generator": with_weight_norm(tensors), "discriminator": judged_by}
    )


def _vocoder(variant: Variant, seed: int, size: Size) -> dict[str, Tensor]:
    """Weights, such that audio is about as loud as speech."""
    architecture = generator_architecture(
        variant.generator(size), where="made up", sample_rate_hertz=variant.rate_hertz
    )
    tensors = random_tensors(checkpoint_shapes(architecture), f"vocoder {seed}")
    level = _level(tensors, architecture, seed)
    tensors["conv_post.conv1d.weight"].mul_(_LEVEL / level)
    tensors["conv_post.conv1d.bias"].zero_()
    return tensors


def _level(tensors: Mapping[str, Tensor], architecture: GeneratorArchitecture, seed: int) -> float:
    """How loud they are, before the last tangent, for frames like those of an acoustic model."""
    import torch

    from voxswap_families.layers.stored import in_canonical_shape
    from voxswap_families.sambert.generator import Generator
    from voxswap_families.sambert.vocoder_weights import stored_tensors

    quiet = 1e-3  # where a tangent is a line
    scaled = {**tensors, "conv_post.conv1d.bias": torch.zeros(1)}
    scaled["conv_post.conv1d.weight"] = tensors["conv_post.conv1d.weight"] * quiet
    stored = in_canonical_shape(stored_tensors(scaled, architecture))
    generator = Generator(stored, architecture)
    frames = random_tensors({"frames": (_LEVEL_FRAMES, architecture.columns)}, "frames")["frames"]
    frames *= math.sqrt(architecture.columns)
    if architecture.has_source:
        frames[:, -2], frames[:, -1] = _F0_HERTZ[0], (frames[:, -1] > 0).float()
    audio = generator.step(generator.begin(seed), frames, is_last=True)
    return float(audio.square().mean().sqrt()) / quiet


def _fabricator(variant: Variant) -> Fabricator:
    def write(folder: Path, seed: int, size: Size) -> None:
        fabricate_model(variant, folder, seed, size)

    return Fabricator(f"a model of ModelScope: {variant.description}", write)


FABRICATORS: Final[Mapping[str, Fabricator]] = {
    **{name: _fabricator(variant) for name, variant in VARIANTS.items()},
    "hifigan": Fabricator("a vocoder alone, for the voc folder of a voice", fabricate_vocoder),
}
